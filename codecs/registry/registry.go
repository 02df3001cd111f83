// Package registry keeps schemas: subjects with versions, global ids, references,
// rules of compatibility and modes, as the Confluent Schema Registry has them. What it
// keeps lies in documents of the metadata shard; the package decides what they become,
// from what they are and nothing else.
package registry

import (
	"context"

	"leat/internal/bus"
)

// Documents is what the registry needs of the replicated documents. Errors are faults: a
// refused fence is Conflict "fenced"; after Unavailable and Timeout the transaction may
// have been applied, or may still be.
type Documents interface {
	// Confirm returns once everything acknowledged before the call is visible to Doc
	// and DocsPage.
	Confirm(ctx context.Context, shard uint64) error
	Doc(shard uint64, key string) (bus.Doc, bool)
	// DocsPage lists up to limit documents below a prefix and after a key, by key.
	DocsPage(shard uint64, prefix, after string, limit int) []bus.Doc
	// DocsChanged is closed at the next change of any document of the shard.
	DocsChanged(shard uint64) <-chan struct{}
	Transact(ctx context.Context, t bus.Txn) (bus.TxnResult, error)
}

// Limits bound what the registry keeps; 0 means the default.
type Limits struct {
	SchemaBytes int // of one schema's text; 1 MiB
	TotalBytes  int // of the texts of all schemas together; 64 MiB
	Subjects    int // with any version, a deleted one too; 10,000
	Versions    int // of one subject, deleted ones too; 1,000
	References  int // of one schema, those of its references too; 200
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		limit *int
		value int
	}{{&l.SchemaBytes, 1 << 20}, {&l.TotalBytes, 64 << 20}, {&l.Subjects, 10_000}, {&l.Versions, 1_000}, {&l.References, 200}} {
		if *d.limit == 0 {
			*d.limit = d.value
		}
	}
	return l
}

// Registry answers and changes what is registered. Methods that take a context are
// linearizable, through any node; the others, in view.go, read the local replica. It is
// safe for concurrent use.
type Registry struct {
	docs    Documents
	limits  Limits
	formats map[Type]format
	writing chan struct{} // holds an element while a change is under way on this node
	parsed  cache
}

// New makes a registry over documents. It keeps no state that they do not have.
func New(docs Documents, limits Limits) *Registry {
	return &Registry{docs: docs, limits: limits.withDefaults(), formats: formats(), writing: make(chan struct{}, 1)}
}

// Type is the language that a schema is written in.
type Type string

// The types that a schema can have.
const (
	Avro     Type = "AVRO"
	Protobuf Type = "PROTOBUF"
	JSON     Type = "JSON"
)

// Reference names a version of a subject that a schema uses, by the name by which its
// text does so: a type's full name in Avro, a file's in Protobuf, a URI in JSON Schema.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// Source is the text of a schema by the name by which others refer to it.
type Source struct{ Name, Text string }

// Schema is a registered schema. It is immutable.
type Schema struct {
	ID         int // global, from 1
	Type       Type
	Text       string // as it was first registered
	References []Reference
	// Sources are the schemas that it needs, those that they need before them, each
	// name once.
	Sources []Source
}

// Version is a schema as a version of a subject.
type Version struct {
	Subject string
	Number  int // from 1; not dense where versions were deleted for good
	Deleted bool
	Schema  *Schema
}

// Draft is a schema that is to be registered, looked up or checked.
type Draft struct {
	Type       Type // "" is Avro
	Text       string
	References []Reference // a Version of -1 is the latest
	// ID and Version ask for these numbers; 0 leaves them to the registry. Only a
	// subject in the mode IMPORT lets the id be chosen.
	ID, Version int
}
