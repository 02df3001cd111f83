package formats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"leat/codecs"
	"leat/internal/fault"
)

// codeInvalid is the code of what a spec says wrongly of a format.
const codeInvalid = "invalid_format"

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, codeInvalid, format, args...)
}

// Source finds the format of a topic's records: what the spec says of it, else the newest
// version of the subject "{topic}-value", else JSON. Errors are faults: Invalid for what
// the spec says wrongly, and those of the registry.
func (l *Library) Source(ctx context.Context, spec codecs.FormatSpec) (codecs.Format, error) {
	if err := l.catchUp(ctx); err != nil {
		return nil, err
	}
	f := &format{library: l}
	if spec.Written != "" && l.registry == nil && !isText(spec.Schema) {
		spec.Schema = "" // a subject, of which nothing is known where nothing is registered
	}
	var err error
	switch {
	case spec.Written != "" && spec.Schema == "":
		f.reader, f.text = parse(Schema{Language: Avro, Text: spec.Written}), "schema of the file"
	case spec.Pin == codecs.FormatJSON || spec.Name == codecs.FormatJSON && spec.Schema == "":
		f.pin = spec.Pin
		return f, nil
	case spec.Pin != "":
		err = f.again(spec)
	case isText(spec.Schema):
		err = f.inline(spec)
	default:
		err = f.registered(spec)
	}
	if err == nil && f.reader != nil {
		err = f.check(spec)
	}
	if err == nil && spec.Written != "" && spec.Schema != "" {
		if f.bare = parse(Schema{Language: Avro, Text: spec.Written}); f.bare.err != nil {
			err = invalid("the schema of the file: %w", f.bare.err)
		} else if f.reader.avro == nil {
			err = invalid("the file is one of %q, and the schema of the spec is not", codecs.FormatAvro)
		}
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// format implements codecs.Format.
type format struct {
	library *Library
	reader  *schema // what records are read as; nil = JSON of any shape
	bare    *schema // what those without a frame are written with; nil = reader
	text    string  // where the schema is from
	subject string  // whose versions single-object frames may name; "" for none
	pin     string

	mu    sync.Mutex
	marks map[uint64]*schema // of the subject, by fingerprint
	state uint64             // of the registry when they were read
}

// isText tells the text of a schema from a subject.
func isText(s string) bool {
	start := strings.TrimLeft(s, " \t\r\n")
	return start != "" && strings.ContainsAny(start[:1], `{["`) || strings.ContainsAny(s, "{;")
}

// inline takes the schema that the spec has.
func (f *format) inline(spec codecs.FormatSpec) error {
	language := Avro
	if start := strings.TrimLeft(spec.Schema, " \t\r\n"); spec.Name == codecs.FormatProtobuf || spec.Name == "" && !strings.ContainsAny(start[:1], `{["`) {
		language = Protobuf
	}
	f.reader = parse(Schema{Language: language, Text: spec.Schema})
	f.text = "schema of the spec"
	return nil
}

// registered takes the version that the spec names, or the topic's.
func (f *format) registered(spec codecs.FormatSpec) error {
	subject, number, err := subjectOf(spec)
	if err != nil {
		return err
	}
	if f.library.registry == nil {
		if spec.Schema == "" && spec.Name == "" {
			return nil
		}
		return invalid("no schemas are registered here: %q needs one in the spec", orAvro(spec.Name))
	}
	version, err := f.library.registry.At(subject, number)
	switch {
	case fault.KindOf(err) == fault.NotFound && spec.Schema == "" && spec.Name == "":
		f.pin = codecs.FormatJSON
		return nil
	case fault.KindOf(err) == fault.NotFound && spec.Schema == "":
		return invalid("the topic %q has no schema: there is no subject %q", spec.Topic, subject)
	case fault.KindOf(err) == fault.NotFound && number != Latest:
		return invalid("there is no version %d of the subject %q", number, subject)
	case fault.KindOf(err) == fault.NotFound:
		return invalid("there is no subject %q", subject)
	case err != nil:
		return fmt.Errorf("look for the schema %q: %w", subject, err)
	}
	f.reader, err = f.library.byID(version.Schema.ID)
	if err != nil {
		return err
	}
	f.subject, f.pin = subject, pinOf(version)
	f.text = fmt.Sprintf("schema %s version %d", subject, version.Number)
	return nil
}

// pinOf names a version: ID/NUMBER/SUBJECT.
func pinOf(v Version) string { return fmt.Sprintf("%d/%d/%s", v.Schema.ID, v.Number, v.Subject) }

func orAvro(name string) string {
	if name == "" {
		return codecs.FormatAvro
	}
	return name
}

// subjectOf reads what the spec says of a registered schema.
func subjectOf(spec codecs.FormatSpec) (subject string, number int, err error) {
	if spec.Schema == "" {
		return spec.Topic + "-value", Latest, nil
	}
	subject, version, found := cutLast(spec.Schema, ':')
	if !found || version == "latest" {
		return subject, Latest, nil
	}
	number, err = strconv.Atoi(version)
	if err != nil || number < 1 {
		return "", 0, invalid(`the version in %q is neither a number from 1 nor "latest"`, spec.Schema)
	}
	return subject, number, nil
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// again takes the schema that a pin names: ID/NUMBER/SUBJECT.
func (f *format) again(spec codecs.FormatSpec) error {
	id, rest, _ := strings.Cut(spec.Pin, "/")
	number, subject, found := strings.Cut(rest, "/")
	n, err := strconv.Atoi(id)
	if err != nil || !found || f.library.registry == nil {
		return fault.New(fault.Internal, "internal", "%q is no schema of this registry", spec.Pin)
	}
	if f.reader, err = f.library.byID(n); err != nil {
		return fmt.Errorf("look for the schema with the id %d, version %s of %q, that the query reads with: %w", n, number, subject, err)
	}
	f.subject, f.pin = subject, spec.Pin
	f.text = fmt.Sprintf("schema %s version %s", subject, number)
	return nil
}

// check refuses a schema that cannot be read with, or not as the format that the spec
// names.
func (f *format) check(spec codecs.FormatSpec) error {
	switch has := f.reader.format(); {
	case f.reader.err != nil:
		return invalid("the %s: %w", f.text, f.reader.err)
	case spec.Name != "" && spec.Name != has:
		return invalid("the format is %q, and the %s is one of %q", spec.Name, f.text, has)
	}
	if f.reader.language == JSONSchema {
		f.reader = nil // it says nothing that is looked at
	}
	return nil
}

// String implements codecs.Format.
func (f *format) String() string {
	if f.reader == nil {
		return codecs.FormatJSON
	}
	return f.reader.format() + ", " + f.text
}

// Pin implements codecs.Format.
func (f *format) Pin() string { return f.pin }

// TypeOf implements codecs.Format.
func (f *format) TypeOf(path codecs.Path) (codecs.KindSet, error) {
	if f.reader == nil {
		return codecs.AnyKind, nil
	}
	return f.reader.typeOf(path)
}

// TypeAt implements codecs.Format.
func (f *format) TypeAt(path codecs.Path) (*codecs.Type, error) {
	switch {
	case f.reader == nil:
		return codecs.UnknownType(), nil
	case f.reader.avro != nil:
		return f.reader.avro.TypeAt(path)
	}
	return f.reader.message.TypeAt(path)
}

// byMark finds the schema of a fingerprint: the reader's own, or that of a version of the
// subject. nil is one that is not known.
func (f *format) byMark(mark uint64) *schema {
	if f.reader == nil || f.reader.avro == nil {
		return nil
	}
	if f.reader.avro.Fingerprint() == mark {
		return f.reader
	}
	if f.subject == "" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if found := f.marks[mark]; found != nil {
		return found
	}
	if state := f.library.registry.State(); f.marks == nil || state != f.state {
		f.readMarks(state)
	}
	return f.marks[mark]
}

func (f *format) readMarks(state uint64) {
	versions, err := f.library.registry.Every(f.subject)
	if err != nil {
		return
	}
	f.marks, f.state = map[uint64]*schema{}, state
	for _, v := range versions {
		if s, err := f.library.byID(v.Schema.ID); err == nil && s.avro != nil {
			f.marks[s.avro.Fingerprint()] = s
		}
	}
}

// errUnknownID is what stands for an id that is not registered.
var errUnknownID = errors.New("the id is not registered")

// byID finds the schema of a frame's id.
func (f *format) byID(id uint32) (*schema, error) {
	if f.library.registry == nil || int64(id) > f.library.last.Load() {
		return nil, errUnknownID
	}
	s, err := f.library.byID(int(id))
	if fault.KindOf(err) == fault.NotFound {
		return nil, errUnknownID
	}
	return s, err
}
