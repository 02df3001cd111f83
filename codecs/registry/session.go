package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"leat/internal/bus"
	"leat/internal/fault"
)

// maxTries is how often a look at the registry, or a change, begins anew because
// somebody else has changed it meanwhile.
const maxTries = 64

// session is one look at the registry, and what is to change. All of it counts only if
// the head is the same at the end as at the beginning; else it is thrown away.
type session struct {
	docs    Documents
	head    head
	version uint64 // of the document of the head
	puts    map[string][]byte
	deletes map[string]bool
}

func (r *Registry) open() (*session, error) {
	s := &session{docs: r.docs, puts: map[string][]byte{}, deletes: map[string]bool{}}
	doc, found := s.docs.Doc(bus.MetaShard, headKey)
	if found {
		s.version = doc.Version
		if err := json.Unmarshal(doc.Value, &s.head); err != nil {
			return nil, errCorrupt(headKey, err)
		}
	}
	return s, nil
}

// current tells whether nothing has changed since the session was opened.
func (s *session) current() bool {
	doc, _ := s.docs.Doc(bus.MetaShard, headKey)
	return doc.Version == s.version
}

// local has look see the registry as it was at one moment, by what this node knows.
func (r *Registry) local(look func(*session) error) error {
	for range maxTries {
		s, err := r.open()
		if err != nil {
			return err
		}
		if err = look(s); s.current() {
			return err
		}
	}
	return fault.New(fault.Unavailable, codeOverloaded, "The registry changes too often to be read")
}

// read is local after everything that was acknowledged before.
func (r *Registry) read(ctx context.Context, look func(*session) error) error {
	if err := r.docs.Confirm(ctx, bus.MetaShard); err != nil {
		return fmt.Errorf("wait for the registry to catch up: %w", err)
	}
	return r.local(look)
}

// change has alter look at the registry and say what becomes of it. alter runs again
// where somebody else was faster; where it puts and deletes nothing, nothing is written.
func (r *Registry) change(ctx context.Context, alter func(*session) error) error {
	select {
	case r.writing <- struct{}{}:
		defer func() { <-r.writing }()
	case <-ctx.Done():
		return fault.New(fault.Unavailable, codeOverloaded, "The registry has as many changes under way as it takes")
	}
	for range maxTries {
		if err := r.docs.Confirm(ctx, bus.MetaShard); err != nil {
			return fmt.Errorf("wait for the registry to catch up: %w", err)
		}
		s, err := r.open()
		if err != nil {
			return err
		}
		err = alter(s)
		if !s.current() {
			continue
		}
		if err != nil || len(s.puts)+len(s.deletes) == 0 {
			return err
		}
		_, err = r.docs.Transact(ctx, s.transaction())
		if f := fault.As(err); f == nil || f.Kind != fault.Conflict {
			return err
		}
	}
	return fault.New(fault.Unavailable, codeOverloaded, "The registry changes too often to be changed")
}

func (s *session) transaction() bus.Txn {
	s.puts[headKey] = encode(s.head)
	t := bus.Txn{Shard: bus.MetaShard, Fence: &bus.Fence{Key: headKey, Version: s.version}}
	for _, key := range slices.Sorted(maps.Keys(s.puts)) {
		t.Puts = append(t.Puts, bus.Doc{Key: key, Value: s.puts[key]})
	}
	t.Deletes = slices.Sorted(maps.Keys(s.deletes))
	return t
}

func (s *session) put(key string, v any) {
	delete(s.deletes, key)
	s.puts[key] = encode(v)
}

func (s *session) drop(key string) {
	delete(s.puts, key)
	s.deletes[key] = true
}

// load reads a document, as the session leaves it, into v, which it leaves alone where
// there is none.
func (s *session) load(key string, v any) (found bool, err error) {
	value, found := s.puts[key]
	if !found {
		var doc bus.Doc
		if doc, found = s.docs.Doc(bus.MetaShard, key); !found || s.deletes[key] {
			return false, nil
		}
		value = doc.Value
	}
	if err := json.Unmarshal(value, v); err != nil {
		return false, errCorrupt(key, err)
	}
	return true, nil
}

// keys lists what comes after the prefix in the keys that have it, as the session found
// them.
func (s *session) keys(prefix string) []string {
	const page = 1000
	var list []string
	for after := ""; ; {
		docs := s.docs.DocsPage(bus.MetaShard, prefix, after, page)
		for i := range docs {
			list = append(list, strings.TrimPrefix(docs[i].Key, prefix))
		}
		if len(docs) < page {
			return list
		}
		after = docs[len(docs)-1].Key
	}
}

// subject reads a subject; one that is not there has no versions.
func (s *session) subject(name string) (subjectRecord, error) {
	var record subjectRecord
	_, err := s.load(subjectPrefix+name, &record)
	return record, err
}

// versionOf finds a version of a subject, or its Latest.
func (s *session) versionOf(subject string, number int, deletedToo bool) (versionRecord, error) {
	record, err := s.subject(subject)
	if err != nil {
		return versionRecord{}, err
	}
	list := record.live(deletedToo)
	if len(list) == 0 {
		return versionRecord{}, errSubjectNotFound(subject)
	}
	if number == Latest {
		return list[len(list)-1], nil
	}
	for _, v := range list {
		if v.Number == number {
			return v, nil
		}
	}
	return versionRecord{}, errVersionNotFound(number)
}
