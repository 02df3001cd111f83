// Package avrocodec reads and writes Avro (specification 1.12): schemas and binary
// records. Records are decoded by programs that are compiled for the fields asked for,
// check every byte of a record, and never do work or take memory beyond what its length
// allows.
package avrocodec

import (
	"errors"
	"fmt"

	"leat/codecs/internal/jsontext"
)

// The limits of a schema. A schema beyond them is refused.
const (
	// MaxSchemaBytes is the length of a schema's text together with the texts it refers to.
	MaxSchemaBytes = 1 << 20
	// MaxSchemaDepth is how many types may be defined inside each other.
	MaxSchemaDepth = 64
	// MaxSchemaTypes is how many types, fields and symbols a schema may have, and
	// MaxExpandedTypes how many it may have with every use of a named type counted
	// anew.
	MaxSchemaTypes   = 20_000
	MaxExpandedTypes = 100_000
	// MaxNameBytes is the length of a name with its namespace.
	MaxNameBytes = 1024
)

// Reference is a schema whose named types another schema may use.
type Reference struct {
	Name string // what the schema is called in error messages
	Text string
}

// Schema is a parsed schema. Immutable; safe for concurrent use.
type Schema struct {
	root        *node
	canonical   string
	fingerprint uint64
}

// ParseSchema reads the JSON text of a schema. The named types of the references may
// be used in it; the references may use the types of those before them. The error says
// in one line what is wrong where, by the names of the types and fields on the way.
func ParseSchema(text string, references []Reference) (*Schema, error) {
	size := len(text)
	for _, r := range references {
		size += len(r.Text)
	}
	if size > MaxSchemaBytes {
		return nil, fmt.Errorf("an Avro schema of %d bytes with its references, more than %d", size, MaxSchemaBytes)
	}
	p := newParser()
	for _, r := range references {
		if _, err := p.schema(r.Text); err != nil {
			return nil, fmt.Errorf("reference %q: %w", r.Name, err)
		}
	}
	root, err := p.schema(text)
	if err != nil {
		return nil, err
	}
	if expanded := expandedSize(root); expanded > MaxExpandedTypes {
		return nil, fmt.Errorf("the Avro schema uses its types so often inside each other that it stands for more than %d", MaxExpandedTypes)
	}
	if err := p.checkDefaults(); err != nil {
		return nil, err
	}
	s := &Schema{root: root, canonical: string(appendCanonical(nil, root, map[*node]bool{}))}
	s.fingerprint = fingerprint(s.canonical)
	return s, nil
}

// Canonical is the Parsing Canonical Form, with the types of references written out
// where they are first used.
func (s *Schema) Canonical() string { return s.canonical }

// Fingerprint is the CRC-64-AVRO of the canonical form.
func (s *Schema) Fingerprint() uint64 { return s.fingerprint }

// checkJSON refuses text that is not one strict JSON value.
func checkJSON(text string) error {
	var fault jsontext.Fault
	b := []byte(text)
	end := jsontext.Skip(b, jsontext.SkipSpace(b, 0), 0, &fault)
	if end >= 0 {
		if end = jsontext.SkipSpace(b, end); end == len(b) {
			return nil
		}
		fault.Unexpected(b, end, "the end")
	}
	if len(text) == 0 {
		return errors.New("an Avro schema without text")
	}
	return fmt.Errorf("the Avro schema is not JSON: offset %d: %s", fault.Offset, fault.Reason)
}
