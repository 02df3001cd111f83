// Package protocodec reads and writes Protocol Buffers: schemas in the language of .proto
// files (proto2, proto3 and editions) that are compiled while the program runs, and binary
// messages. Messages are decoded by programs of its own that are compiled for the fields
// asked for, check every byte of a record, and never do work or take memory beyond what
// the record's length allows.
package protocodec

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
)

// The limits of a schema. A schema beyond them is refused before it is compiled.
const (
	// MaxSchemaBytes is the length of a schema's text together with the texts it refers to.
	MaxSchemaBytes = 1 << 20
	// MaxSchemaFiles is how many references a schema may have.
	MaxSchemaFiles = 128
	// MaxSchemaDepth is how many brackets may be open inside each other.
	MaxSchemaDepth = 48
	// MaxNameBytes is the length of one identifier or dotted name.
	MaxNameBytes = 1024
	// MaxExpandedBytes is the length of all names of a file written out in full, and of
	// all options written out for each range that they are set for.
	MaxExpandedBytes = 32 << 20
	// MaxChoices is how many oneofs and optional fields a file may have.
	MaxChoices = 16384
)

// mainFile is what a schema is called in error messages.
const mainFile = "schema.proto"

// standardPrefix starts the names of the files that are built in and cannot be replaced.
const standardPrefix = "google/protobuf/"

// Reference is a file that a schema, or another reference, may import.
type Reference struct {
	Name string // as it is imported
	Text string
}

// Schema is a compiled file with all that it imports. Immutable; safe for concurrent use.
type Schema struct {
	file  protoreflect.FileDescriptor
	built *builder // what its messages are made of
}

// SchemaError says what is wrong with the text of a schema, and where.
type SchemaError struct {
	File         string // the reference's name; "schema.proto" for the schema itself
	Line, Column int    // from 1; 0 if it is the file as a whole
	Reason       string
}

// Error is one line, as compilers write it: file:line:column: reason.
func (e *SchemaError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Reason
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Reason)
}

// ParseSchema compiles the text of a .proto file. What it imports is found by name among
// the references, and the files below google/protobuf/ are built in; no file is opened.
// The error is a *SchemaError, or ctx's when that ends first.
func ParseSchema(ctx context.Context, text string, references []Reference) (*Schema, error) {
	texts, err := checkTexts(text, references)
	if err != nil {
		return nil, err
	}
	find := func(name string) (protocompile.SearchResult, error) {
		text, known := texts[name]
		if !known {
			return protocompile.SearchResult{}, errors.New("there is no reference of this name")
		}
		return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(protocompile.ResolverFunc(find)),
		MaxParallelism: 1,
	}
	files, err := compiler.Compile(ctx, mainFile)
	if err != nil {
		return nil, schemaError(ctx, err)
	}
	return &Schema{file: files[0], built: newBuilder()}, nil
}

// checkTexts measures all files before any is compiled.
func checkTexts(text string, references []Reference) (map[string]string, error) {
	if len(references) > MaxSchemaFiles {
		return nil, &SchemaError{File: mainFile, Reason: fmt.Sprintf("%d references, more than %d", len(references), MaxSchemaFiles)}
	}
	texts := map[string]string{mainFile: text}
	size := len(text)
	for _, r := range references {
		size += len(r.Text)
		_, double := texts[r.Name]
		switch {
		case double:
			return nil, &SchemaError{File: r.Name, Reason: "two references of this name"}
		case strings.HasPrefix(r.Name, standardPrefix):
			continue // the built-in file counts
		}
		texts[r.Name] = r.Text
	}
	if size > MaxSchemaBytes {
		return nil, &SchemaError{File: mainFile, Reason: fmt.Sprintf("%d bytes with its references, more than %d", size, MaxSchemaBytes)}
	}
	for _, name := range append([]string{mainFile}, referenceNames(references)...) {
		if err := measure(name, texts[name]); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

func referenceNames(references []Reference) []string {
	names := make([]string, len(references))
	for i, r := range references {
		names[i] = r.Name
	}
	return names
}

// schemaError takes the first error of the compiler, without its parts that change from
// run to run.
func schemaError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("compile the Protobuf schema: %w", context.Cause(ctx))
	}
	var at reporter.ErrorWithPos
	if errors.As(err, &at) {
		pos := at.GetPosition()
		return &SchemaError{File: pos.Filename, Line: pos.Line, Column: pos.Col, Reason: oneLine(at.Unwrap().Error())}
	}
	var panicked protocompile.PanicError
	if errors.As(err, &panicked) {
		return &SchemaError{File: panicked.File, Reason: "the compiler cannot read this file"}
	}
	return &SchemaError{File: mainFile, Reason: oneLine(err.Error())}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// Message is a message type of a schema. Immutable; safe for concurrent use.
type Message struct {
	descriptor protoreflect.MessageDescriptor
	root       *message
	built      *builder
}

// Message is the type of the given name, in full or without the file's package, also one
// inside another: Outer.Inner. An empty name is the first message of the file.
func (s *Schema) Message(name string) (*Message, error) {
	all := s.file.Messages()
	if name == "" {
		if all.Len() == 0 {
			return nil, errors.New("the Protobuf schema has no message")
		}
		return s.built.message(all.Get(0)), nil
	}
	full := strings.TrimPrefix(name, ".")
	prefix := string(s.file.Package())
	if prefix != "" {
		prefix += "."
	}
	found, names := findMessage(all, full, prefix)
	if found == nil {
		if near := codecs.NearestNames(full, names); len(near) > 0 {
			return nil, fmt.Errorf("the Protobuf schema has no message %q; did you mean %q?", name, near[0])
		}
		return nil, fmt.Errorf("the Protobuf schema has no message %q", name)
	}
	return s.built.message(found), nil
}

// findMessage looks for a name among messages and those inside them, and lists the names
// without the package.
func findMessage(in protoreflect.MessageDescriptors, name, prefix string) (protoreflect.MessageDescriptor, []string) {
	var names []string
	for i := range in.Len() {
		d := in.Get(i)
		if d.IsMapEntry() {
			continue
		}
		full := string(d.FullName())
		short := strings.TrimPrefix(full, prefix)
		if full == name || short == name {
			return d, nil
		}
		names = append(names, short)
		found, inside := findMessage(d.Messages(), name, prefix)
		if found != nil {
			return found, nil
		}
		names = append(names, inside...)
	}
	return nil, names
}

// MessageAt is the type that a message index of Confluent framing leads to.
func (s *Schema) MessageAt(index []int) (*Message, error) {
	in := s.file.Messages()
	var found protoreflect.MessageDescriptor
	for _, i := range index {
		if i < 0 || i >= in.Len() {
			found = nil
			break
		}
		found = in.Get(i)
		in = found.Messages()
	}
	if found == nil || found.IsMapEntry() {
		return nil, fmt.Errorf("the Protobuf schema has no message at index %v", index)
	}
	return s.built.message(found), nil
}

// Name is the full name of the type.
func (m *Message) Name() string { return string(m.descriptor.FullName()) }

// Index is the way to the type from the top of its file, as Confluent framing writes it.
func (m *Message) Index() []int {
	var index []int
	for d := protoreflect.Descriptor(m.descriptor); ; d = d.Parent() {
		if _, isFile := d.(protoreflect.FileDescriptor); isFile {
			break
		}
		index = append([]int{d.Index()}, index...)
	}
	return index
}
