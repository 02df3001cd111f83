package registry

import (
	"context"
	"fmt"
	"slices"

	"leat/internal/fault"
)

// DeleteSubject deletes the versions of a subject and answers their numbers. Deleted
// versions are hidden and keep their ids readable, unless permanent is set: then versions
// that have been deleted before go for good, and with the last use of a schema its id.
//
// Errors are faults: NotFound, Unprocessable "operation_not_permitted" and
// "reference_exists", and those of the documents.
func (r *Registry) DeleteSubject(ctx context.Context, subject string, permanent bool) (numbers []int, err error) {
	err = r.change(ctx, func(s *session) error {
		numbers = nil
		record, err := s.deletable(subject)
		if err != nil {
			return err
		}
		live := record.live(false)
		gone := live
		switch {
		case permanent && len(live) > 0:
			return fault.New(fault.NotFound, CodeSubjectNotDeleted, "Subject '%s' was not deleted first before being permanently deleted", subject)
		case permanent:
			gone = record.Versions
		case len(live) == 0:
			return fault.New(fault.NotFound, CodeSubjectDeleted, "Subject '%s' was soft deleted. Set permanent=true to delete permanently", subject)
		default:
			s.drop(levelPrefix + subject)
			s.drop(modePrefix + subject)
		}
		for _, v := range gone {
			numbers = append(numbers, v.Number)
		}
		return s.remove(subject, record, slices.Clone(gone), permanent)
	})
	if err != nil {
		return nil, fmt.Errorf("delete subject %q: %w", clip(subject, 80), err)
	}
	return numbers, nil
}

// DeleteVersion is DeleteSubject of one version.
func (r *Registry) DeleteVersion(ctx context.Context, subject string, number int, permanent bool) (deleted int, err error) {
	err = r.change(ctx, func(s *session) error {
		record, err := s.deletable(subject)
		if err != nil {
			return err
		}
		v, err := s.versionOf(subject, number, number != Latest || permanent)
		if err != nil {
			return err
		}
		deleted = v.Number
		switch {
		case permanent && !v.Deleted:
			return fault.New(fault.NotFound, CodeVersionNotDeleted,
				"Subject '%s' Version %d was not deleted first before being permanently deleted", subject, v.Number)
		case !permanent && v.Deleted:
			return fault.New(fault.NotFound, CodeVersionDeleted,
				"Subject '%s' Version %d was soft deleted. Set permanent=true to delete permanently", subject, v.Number)
		}
		return s.remove(subject, record, []versionRecord{v}, permanent)
	})
	if err != nil {
		return 0, fmt.Errorf("delete version %d of subject %q: %w", number, clip(subject, 80), err)
	}
	return deleted, nil
}

// deletable is a subject that exists and may be changed.
func (s *session) deletable(subject string) (*subjectRecord, error) {
	record, err := s.subject(subject)
	if err != nil {
		return nil, err
	}
	if len(record.Versions) == 0 {
		return nil, errSubjectNotFound(subject)
	}
	mode, err := s.effectiveMode(subject)
	if err != nil {
		return nil, err
	}
	if mode == ReadOnly || mode == ReadOnlyOverride {
		return nil, errNotPermitted("Subject %s is in read-only mode", subject)
	}
	return &record, nil
}

// remove deletes versions of a subject.
func (s *session) remove(subject string, record *subjectRecord, gone []versionRecord, permanent bool) error {
	for _, v := range gone {
		if err := s.unreferenced(subject, v.Number, gone, permanent); err != nil {
			return err
		}
	}
	if !permanent {
		for _, v := range gone {
			record.Versions[record.find(v.Number)].Deleted = true
		}
		s.put(subjectPrefix+subject, record)
		return nil
	}
	for _, v := range gone {
		at := record.find(v.Number)
		record.Versions = slices.Delete(record.Versions, at, at+1)
		if record.has(v.ID) {
			continue
		}
		if err := s.release(v.ID, subject); err != nil {
			return err
		}
	}
	if len(record.Versions) > 0 {
		s.put(subjectPrefix+subject, record)
		return nil
	}
	s.head.Subjects--
	s.drop(subjectPrefix + subject)
	return nil
}

// unreferenced refuses to delete a version that a schema refers to which has a use
// besides the versions that go. For good it refuses also where that use is deleted: what
// can be read has all it needs.
func (s *session) unreferenced(subject string, number int, gone []versionRecord, permanent bool) error {
	referrers, err := s.referrers(subject, number)
	if err != nil {
		return err
	}
	for _, id := range referrers {
		uses, err := s.uses(id, permanent)
		if err != nil {
			return err
		}
		for _, use := range uses {
			going := use.Subject == subject && slices.ContainsFunc(gone, func(v versionRecord) bool { return v.Number == use.Number })
			if !going {
				return fault.New(fault.Unprocessable, CodeReferenceExists,
					"One or more references exist to subject %s, version %d: subject %s, version %d", subject, number, use.Subject, use.Number)
			}
		}
	}
	return nil
}

// release takes a schema from a subject that does not use it any more. The last one that
// did takes the schema with it.
func (s *session) release(id int, subject string) error {
	s.drop(useKey(id, subject))
	for _, other := range s.keys(usesOf(id)) {
		if other != subject {
			return nil
		}
	}
	var old record
	if _, err := s.load(idKey(id), &old); err != nil {
		return err
	}
	var same identity
	if _, err := s.load(hashPrefix+old.Hash, &same); err != nil {
		return err
	}
	if same.IDs = slices.DeleteFunc(same.IDs, func(other int) bool { return other == id }); len(same.IDs) > 0 {
		s.put(hashPrefix+old.Hash, same)
	} else {
		s.drop(hashPrefix + old.Hash)
	}
	s.head.Bytes -= len(old.Text)
	s.drop(idKey(id))
	for _, reference := range old.References {
		s.drop(referrerKey(reference.Subject, reference.Version, id))
	}
	return nil
}
