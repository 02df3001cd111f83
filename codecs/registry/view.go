package registry

import "leat/internal/bus"

// The local view, for engines: what this node knows, without asking others. It lags
// behind the registry by what the node has not applied yet; an id or version that was
// acknowledged before may be missing for that long, and comes with a Changed.

// ByID finds what is registered under an id. An id always stands for the same schema, so
// the answer may be kept: NotFound "schema_not_found" where there is none, or none yet.
func (r *Registry) ByID(id int) (schema *Schema, err error) {
	err = r.local(func(s *session) (err error) {
		schema, err = s.schema(r, id)
		return err
	})
	return schema, err
}

// At finds a version of a subject that is not deleted, or its Latest: NotFound
// "subject_not_found", "version_not_found".
func (r *Registry) At(subject string, number int) (found Version, err error) {
	err = r.local(func(s *session) error {
		v, err := s.versionOf(subject, number, false)
		if err == nil {
			found, err = s.full(r, subject, v)
		}
		return err
	})
	return found, err
}

// Every lists the versions of a subject, ascending, deleted ones too, since records may
// have been written with them; none where there is no such subject.
func (r *Registry) Every(subject string) (list []Version, err error) {
	err = r.local(func(s *session) error {
		list = nil
		record, err := s.subject(subject)
		if err != nil {
			return err
		}
		for _, v := range record.Versions {
			full, err := s.full(r, subject, v)
			if err != nil {
				return err
			}
			list = append(list, full)
		}
		return nil
	})
	return list, err
}

// Changed tells how often the registry has changed and is closed after that, soon after
// it changes again, and sometimes without. Ask for it before reading what it is about.
func (r *Registry) Changed() (state uint64, next <-chan struct{}) {
	next = r.docs.DocsChanged(bus.MetaShard)
	doc, _ := r.docs.Doc(bus.MetaShard, headKey)
	return doc.Version, next
}
