package registry

import (
	"context"
	"strconv"
)

// Hidden says whether deleted versions are part of an answer.
type Hidden uint8

// What becomes of deleted versions.
const (
	WithoutDeleted Hidden = iota
	WithDeleted
	OnlyDeleted // those alone; of subjects, those with no other version
)

func (h Hidden) picks(deleted bool) bool {
	return h == WithDeleted || deleted == (h == OnlyDeleted)
}

// Subjects lists the subjects whose name begins with prefix, by name.
func (r *Registry) Subjects(ctx context.Context, prefix string, hidden Hidden) (names []string, err error) {
	err = r.read(ctx, func(s *session) error {
		names = nil
		for _, rest := range s.keys(subjectPrefix + prefix) {
			name := prefix + rest
			record, err := s.subject(name)
			if err != nil {
				return err
			}
			if hidden.picks(len(record.live(false)) == 0) {
				names = append(names, name)
			}
		}
		return nil
	})
	return names, err
}

// Numbers lists the versions of a subject, ascending: NotFound "subject_not_found" where
// there are none.
func (r *Registry) Numbers(ctx context.Context, subject string, hidden Hidden) (numbers []int, err error) {
	err = r.read(ctx, func(s *session) error {
		numbers = nil
		record, err := s.subject(subject)
		if err != nil {
			return err
		}
		for _, v := range record.Versions {
			if hidden.picks(v.Deleted) {
				numbers = append(numbers, v.Number)
			}
		}
		if len(numbers) == 0 {
			return errSubjectNotFound(subject)
		}
		return nil
	})
	return numbers, err
}

// Version finds a version of a subject, or its Latest: NotFound "subject_not_found",
// "version_not_found".
func (r *Registry) Version(ctx context.Context, subject string, number int, deletedToo bool) (found Version, err error) {
	err = r.read(ctx, func(s *session) error {
		v, err := s.versionOf(subject, number, deletedToo)
		if err == nil {
			found, err = s.full(r, subject, v)
		}
		return err
	})
	return found, err
}

// All lists the versions of the subjects whose name begins with prefix, by subject and
// number, only the latest of each where latest is set. It skips the first offset of them
// and answers up to limit.
func (r *Registry) All(ctx context.Context, prefix string, deletedToo, latest bool, keep func(subject string) bool, offset, limit int) (list []Version, err error) {
	err = r.read(ctx, func(s *session) error {
		list = nil
		skip := offset
		for _, rest := range s.keys(subjectPrefix + prefix) {
			name := prefix + rest
			if !keep(name) {
				continue
			}
			record, err := s.subject(name)
			if err != nil {
				return err
			}
			versions := record.live(deletedToo)
			if latest && len(versions) > 0 {
				versions = versions[len(versions)-1:]
			}
			for _, v := range versions {
				if skip > 0 {
					skip--
					continue
				}
				if len(list) >= limit {
					return nil
				}
				full, err := s.full(r, name, v)
				if err != nil {
					return err
				}
				list = append(list, full)
			}
		}
		return nil
	})
	return list, err
}

// Schema finds what is registered under an id: NotFound "schema_not_found".
func (r *Registry) Schema(ctx context.Context, id int) (schema *Schema, err error) {
	err = r.read(ctx, func(s *session) (err error) {
		schema, err = s.schema(r, id)
		return err
	})
	return schema, err
}

// LastID is the largest id that was ever given out, 0 before the first.
func (r *Registry) LastID(ctx context.Context) (id int, err error) {
	err = r.read(ctx, func(s *session) error {
		id = s.head.LastID
		return nil
	})
	return id, err
}

// Use is a version of a subject that has a schema.
type Use struct {
	Subject string
	Number  int
	Deleted bool
}

// Uses lists the versions that have a schema, by subject and number: NotFound
// "schema_not_found" where there is no such id.
func (r *Registry) Uses(ctx context.Context, id int, deletedToo bool) (uses []Use, err error) {
	err = r.read(ctx, func(s *session) (err error) {
		if _, err = s.schema(r, id); err == nil {
			uses, err = s.uses(id, deletedToo)
		}
		return err
	})
	return uses, err
}

func (s *session) uses(id int, deletedToo bool) ([]Use, error) {
	var list []Use
	for _, subject := range s.keys(usesOf(id)) {
		record, err := s.subject(subject)
		if err != nil {
			return nil, err
		}
		for _, v := range record.live(deletedToo) {
			if v.ID == id {
				list = append(list, Use{Subject: subject, Number: v.Number, Deleted: v.Deleted})
			}
		}
	}
	return list, nil
}

// ReferencedBy lists the ids of the schemas that refer to a version, ascending; those
// that only deleted versions have are left out unless deletedToo is set.
func (r *Registry) ReferencedBy(ctx context.Context, subject string, number int, deletedToo bool) (ids []int, err error) {
	err = r.read(ctx, func(s *session) error {
		ids = nil
		v, err := s.versionOf(subject, number, true)
		if err != nil {
			return err
		}
		all, err := s.referrers(subject, v.Number)
		if err != nil {
			return err
		}
		for _, id := range all {
			uses, err := s.uses(id, deletedToo)
			if err != nil {
				return err
			}
			if len(uses) > 0 {
				ids = append(ids, id)
			}
		}
		return nil
	})
	return ids, err
}

// referrers lists the ids of the schemas that refer to a version, ascending.
func (s *session) referrers(subject string, number int) ([]int, error) {
	var ids []int
	prefix := referrersOf(subject, number)
	for _, rest := range s.keys(prefix) {
		id, err := strconv.Atoi(rest)
		if err != nil {
			return nil, errCorrupt(prefix+rest, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
