// Package formats says how the records of a topic are read: which format they have, by
// the topic's schema and by the frames in front of them, and the decoder for each schema.
// It is where the formats and the registered schemas meet; who reads records knows
// codecs.Format alone.
package formats

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// Latest is the number of a subject's newest version.
const Latest = -1

// The languages of registered schemas.
const (
	Avro       = "AVRO"
	Protobuf   = "PROTOBUF"
	JSONSchema = "JSON"
)

// Source is the text of a schema by the name by which others refer to it.
type Source struct{ Name, Text string }

// Schema is a registered schema. An id always stands for the same one.
type Schema struct {
	ID       int
	Language string
	Text     string
	Sources  []Source // the schemas that it needs, those that they need before them
}

// Version is a schema as a version of a subject.
type Version struct {
	Subject string
	Number  int
	Schema  Schema
}

// Registry is what the library needs of the registered schemas. The methods without a
// context answer from what this node knows. Errors are faults; NotFound is what is not
// registered, or not known yet.
type Registry interface {
	ByID(id int) (Schema, error)
	// At finds a version of a subject that is not deleted.
	At(subject string, number int) (Version, error)
	// Every lists the versions of a subject, deleted ones too; none where there is no
	// such subject.
	Every(subject string) ([]Version, error)
	// LastID is the largest id ever given out, 0 before the first. Everything that was
	// registered before the call is known to this node when it returns.
	LastID(ctx context.Context) (int, error)
	// Add makes a schema the next version of a subject, or finds the version that has it.
	// Compare tells why the subject would not allow that, none where it would.
	Add(ctx context.Context, subject string, s Schema) (Version, error)
	Compare(ctx context.Context, subject string, s Schema) (reasons []string, err error)
	// State is another number after each change that this node knows of.
	State() uint64
}

// Library knows all formats. It is safe for concurrent use.
type Library struct {
	registry Registry // nil: nothing is registered
	last     atomic.Int64

	mu    sync.Mutex
	known map[int]*schema // by id
}

// New makes a library over the registered schemas, nil for none.
func New(registry Registry) *Library {
	return &Library{registry: registry, known: map[int]*schema{}}
}

// maxKnown bounds the schemas that are kept in their parsed form.
const maxKnown = 1024

// catchUp has this node know what has been registered.
func (l *Library) catchUp(ctx context.Context) error {
	if l.registry == nil {
		return nil
	}
	last, err := l.registry.LastID(ctx)
	if err != nil {
		return fmt.Errorf("look for new schemas: %w", err)
	}
	for seen := l.last.Load(); int64(last) > seen && !l.last.CompareAndSwap(seen, int64(last)); {
		seen = l.last.Load()
	}
	return nil
}

// byID is the schema of an id that is not beyond the last one.
func (l *Library) byID(id int) (*schema, error) {
	l.mu.Lock()
	known := l.known[id]
	l.mu.Unlock()
	if known != nil {
		return known, nil
	}
	registered, err := l.registry.ByID(id)
	if err != nil {
		return nil, err
	}
	s := parse(registered)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) >= maxKnown {
		clear(l.known)
	}
	l.known[id] = s
	return s, nil
}
