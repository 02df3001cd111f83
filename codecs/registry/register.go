package registry

import (
	"context"
	"fmt"
	"slices"

	"leat/internal/fault"
)

// Register makes a draft a version of a subject, and answers the version that it is; the
// one that it was already where a version that is not deleted has the same schema. It is
// idempotent.
//
// Errors are faults: Unprocessable, Conflict "incompatible_schema" with the reasons in its
// message, Exhausted "quota_exceeded", and those of the documents.
func (r *Registry) Register(ctx context.Context, subject string, d Draft) (Version, error) {
	if err := CheckSubject(subject); err != nil {
		return Version{}, err
	}
	var done Version
	err := r.change(ctx, func(s *session) (err error) {
		done, err = s.register(ctx, r, subject, d)
		return err
	})
	if err != nil {
		return Version{}, fmt.Errorf("register a schema for %q: %w", clip(subject, 80), err)
	}
	return done, nil
}

func (s *session) register(ctx context.Context, r *Registry, subject string, given Draft) (Version, error) {
	d, err := s.prepare(r, given)
	if err != nil {
		return Version{}, err
	}
	record, err := s.subject(subject)
	if err != nil {
		return Version{}, err
	}
	var same identity
	if _, err := s.load(hashPrefix+d.hash, &same); err != nil {
		return Version{}, err
	}
	for _, v := range record.live(false) {
		if slices.Contains(same.IDs, v.ID) && (d.ID == 0 || d.ID == v.ID) && (d.Version == 0 || d.Version == v.Number) {
			schema, err := s.schema(r, v.ID)
			return Version{Subject: subject, Number: v.Number, Schema: schema}, err
		}
	}
	mode, err := s.effectiveMode(subject)
	if err != nil {
		return Version{}, err
	}
	switch {
	case mode == ReadOnly || mode == ReadOnlyOverride:
		return Version{}, errNotPermitted("Subject %s is in read-only mode", subject)
	case mode == Import && d.ID == 0:
		return Version{}, errNotPermitted("Subject %s is in import mode: a schema is registered there with its id", subject)
	case mode != Import && d.ID != 0:
		return Version{}, errNotPermitted("Subject %s is not in import mode: the id of a schema is not chosen there", subject)
	case mode != Import && d.Version != 0 && d.Version != record.next():
		return Version{}, errInvalidSchema("Version %d is not one more than the version before it, %d", d.Version, record.next()-1)
	case mode != Import:
		if err := s.checkDraft(ctx, r, subject, d, &record); err != nil {
			return Version{}, err
		}
	}
	return s.add(r, subject, &record, d)
}

// checkDraft refuses a draft that is not compatible with the versions before it.
func (s *session) checkDraft(ctx context.Context, r *Registry, subject string, d *draft, record *subjectRecord) error {
	level, err := s.effectiveLevel(subject)
	if err != nil {
		return err
	}
	reasons, err := s.compare(ctx, r, d, level, record.live(false))
	if err != nil || len(reasons) == 0 {
		return err
	}
	return fault.New(fault.Conflict, CodeIncompatible,
		"Schema being registered is incompatible with an earlier schema for subject %q, details: %s", subject, joined(reasons))
}

// add puts a new version of a subject, and its schema if that is new.
func (s *session) add(r *Registry, subject string, record *subjectRecord, d *draft) (Version, error) {
	number := d.Version
	if number == 0 {
		number = record.next()
	}
	switch at := record.find(number); {
	case at >= 0 && !record.Versions[at].Deleted:
		return Version{}, errNotPermitted("Overwriting version %d of subject %s is not permitted", number, subject)
	case at >= 0:
		if err := s.remove(subject, record, []versionRecord{record.Versions[at]}, true); err != nil {
			return Version{}, err
		}
	case len(record.Versions) >= r.limits.Versions:
		return Version{}, errQuota("Subject %s has %d versions, and that is the limit; delete some for good", subject, len(record.Versions))
	}
	if len(record.Versions) == 0 {
		if s.head.Subjects++; s.head.Subjects > r.limits.Subjects {
			return Version{}, errQuota("There are %d subjects, and that is the limit; delete some for good", r.limits.Subjects)
		}
	}
	var same identity // after what may have gone
	if _, err := s.load(hashPrefix+d.hash, &same); err != nil {
		return Version{}, err
	}
	id, known, err := s.chooseID(d, same)
	if err != nil {
		return Version{}, err
	}
	schema := &Schema{ID: id, Type: d.Type, Text: d.Text, References: d.References, Sources: d.sources}
	if known {
		if schema, err = s.schema(r, id); err != nil {
			return Version{}, err
		}
	} else {
		if s.head.Bytes += len(d.Text); s.head.Bytes > r.limits.TotalBytes {
			return Version{}, errQuota("The schemas have %d bytes together, and %d is the limit; delete some for good", s.head.Bytes, r.limits.TotalBytes)
		}
		s.addSchema(id, d, same)
	}
	at, _ := slices.BinarySearchFunc(record.Versions, number, func(v versionRecord, n int) int { return v.Number - n })
	record.Versions = slices.Insert(record.Versions, at, versionRecord{Number: number, ID: id})
	s.put(subjectPrefix+subject, record)
	s.put(useKey(id, subject), struct{}{})
	return Version{Subject: subject, Number: number, Schema: schema}, nil
}

// chooseID is the id of a draft: that of the same schema, the one asked for, or the next.
func (s *session) chooseID(d *draft, same identity) (id int, known bool, err error) {
	switch {
	case d.ID == 0 && len(same.IDs) > 0:
		return same.IDs[0], true, nil
	case d.ID == 0 && s.head.LastID >= maxID:
		return 0, false, errQuota("There are no more ids")
	case d.ID == 0:
		return s.head.LastID + 1, false, nil
	}
	if slices.Contains(same.IDs, d.ID) {
		return d.ID, true, nil
	}
	if taken, err := s.load(idKey(d.ID), new(record)); taken || err != nil {
		return 0, false, errNotPermitted("Overwriting the schema with id %d is not permitted", d.ID)
	}
	return d.ID, false, nil
}

// addSchema puts a schema that is new.
func (s *session) addSchema(id int, d *draft, same identity) {
	s.head.LastID = max(s.head.LastID, id)
	s.put(idKey(id), record{Type: d.Type, Hash: d.hash, References: d.References, Text: d.Text})
	s.put(hashPrefix+d.hash, identity{IDs: append(slices.Clone(same.IDs), id)})
	for _, reference := range d.References {
		s.put(referrerKey(reference.Subject, reference.Version, id), struct{}{})
	}
}

// Lookup finds the version of a subject that has the schema of a draft: the last of
// those that are not deleted, or of all.
//
// Errors are faults: NotFound "subject_not_found" and "schema_not_found",
// Unprocessable, and those of the documents.
func (r *Registry) Lookup(ctx context.Context, subject string, d Draft, deletedToo bool) (found Version, err error) {
	err = r.read(ctx, func(s *session) error {
		record, err := s.subject(subject)
		if err != nil {
			return err
		}
		list := record.live(deletedToo)
		if len(list) == 0 {
			return errSubjectNotFound(subject)
		}
		draft, err := s.prepare(r, d)
		if err != nil {
			return err
		}
		var same identity
		if _, err := s.load(hashPrefix+draft.hash, &same); err != nil {
			return err
		}
		for _, v := range slices.Backward(list) {
			if slices.Contains(same.IDs, v.ID) {
				found, err = s.full(r, subject, v)
				return err
			}
		}
		return errSchemaNotFound()
	})
	return found, err
}

// full is a version with its schema.
func (s *session) full(r *Registry, subject string, v versionRecord) (Version, error) {
	schema, err := s.schema(r, v.ID)
	return Version{Subject: subject, Number: v.Number, Deleted: v.Deleted, Schema: schema}, err
}
