package formats

import (
	"context"
	"fmt"
	"strings"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/internal/datum"
	"leat/codecs/protocodec"
	"leat/internal/fault"
)

// codeIncompatible is the code of a schema that its subject does not allow.
const codeIncompatible = "incompatible_schema"

// Sink finds the format that rows of a type are written to a topic in. The spec may name a
// subject or have the text of a schema; else it is the newest version of "{topic}-value",
// if that takes every row, and a schema that is made of the type where it does not, or
// where there is no such subject. A schema that is not registered yet is checked against the
// versions before it; RowFormat.Register adds it to them, under "{topic}-value".
//
// Errors are those of Source, and faults: Unprocessable where rows have no place in the
// schema, or no schema can be made of their type, with the *codecs.MemberError inside;
// Conflict "incompatible_schema" where the subject does not allow the schema.
func (l *Library) Sink(ctx context.Context, spec codecs.FormatSpec, row *codecs.Type) (codecs.RowFormat, error) {
	if err := l.catchUp(ctx); err != nil {
		return nil, err
	}
	f := &rowFormat{format: &format{library: l}, spec: spec}
	if spec.Pin != "" {
		err := f.again(spec)
		if err == nil {
			err = f.check(spec)
		}
		return f, err
	}
	fields, err := fieldsOf(row)
	if err != nil {
		return nil, err
	}
	switch {
	case isText(spec.Schema):
		err = f.written(ctx, fields)
	case spec.Schema != "":
		if err = f.existing(); err == nil {
			err = f.takes(fields, false)
		}
	default:
		err = f.made(ctx, fields)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// rowFormat implements codecs.RowFormat.
type rowFormat struct {
	*format
	spec   codecs.FormatSpec
	draft  *Schema // that is to be registered; nil = the reader is
	notice string
}

// fieldsOf is the type of rows whose members are named as fields are.
func fieldsOf(row *codecs.Type) (*codecs.Type, error) {
	if row.Fields == nil {
		return row, nil
	}
	named := *row
	named.Fields = make([]codecs.TypeField, len(row.Fields))
	taken := map[string]string{}
	for i, m := range row.Fields {
		name := codecs.FieldName(m.Name)
		if other, double := taken[name]; double {
			err := &codecs.MemberError{Reason: fmt.Sprintf("in a schema it is called %q, as %q is", name, other)}
			return nil, misfit(err.Within(codecs.Step{Member: name}))
		}
		taken[name] = m.Name
		named.Fields[i] = codecs.TypeField{Name: name, Type: m.Type}
	}
	return &named, nil
}

func misfit(err *codecs.MemberError) error {
	return fault.New(fault.Unprocessable, codeInvalid, "%w", err)
}

func (f *rowFormat) subjectName() string { return f.spec.Topic + "-value" }

// existing takes the registered schema that the spec names, or the topic's.
func (f *rowFormat) existing() error {
	if err := f.registered(f.spec); err != nil {
		return err
	}
	return f.check(f.spec)
}

// takes refuses rows that have no place in the schema.
func (f *rowFormat) takes(row *codecs.Type, every bool) error {
	if err := f.reader.takes(row, every); err != nil {
		return misfit(err)
	}
	return nil
}

func (s *schema) takes(row *codecs.Type, every bool) *codecs.MemberError {
	if s.message != nil {
		return s.message.Takes(row, every)
	}
	return s.avro.Takes(row, every)
}

// written takes the schema that the spec has.
func (f *rowFormat) written(ctx context.Context, row *codecs.Type) error {
	language := Avro
	if f.spec.Name == codecs.FormatProtobuf {
		language = Protobuf
	}
	if err := f.propose(ctx, Schema{Language: language, Text: f.spec.Schema}, "the schema of the spec"); err != nil {
		return err
	}
	return f.takes(row, false)
}

// made takes the newest version of the topic's subject if every row has a place in it,
// else the schema that is made of the rows. Where there is none that the subject allows, it
// is that version after all, if some rows have a place in it.
func (f *rowFormat) made(ctx context.Context, row *codecs.Type) error {
	if f.library.registry == nil {
		return f.registered(f.spec) // an error
	}
	_, err := f.library.registry.At(f.subjectName(), Latest)
	if fault.KindOf(err) == fault.NotFound {
		return f.derive(ctx, row, nil)
	}
	if err != nil {
		return fmt.Errorf("look for the schema %q: %w", f.subjectName(), err)
	}
	if err := f.existing(); err != nil {
		return err
	}
	newest := f.format
	why := newest.reader.takes(row, true)
	if why == nil {
		return nil
	}
	f.format = &format{library: f.library}
	err = f.derive(ctx, row, newest.reader)
	if err == nil {
		f.notice = fmt.Sprintf("the schema %s gets a new version, because of the output rows: %v", f.subjectName(), why)
		return nil
	}
	if kind := fault.KindOf(err); kind != fault.Conflict && kind != fault.Unprocessable {
		return err
	}
	f.format, f.draft = newest, nil
	none := f.takes(row, false)
	switch {
	case none == nil:
		f.notice = fmt.Sprintf("not every row has a place in the %s, and those that have none are skipped: %v", f.text, why)
		return nil
	case fault.KindOf(err) == fault.Conflict:
		return err
	}
	return none
}

// derive proposes the schema that is made of the rows.
func (f *rowFormat) derive(ctx context.Context, row *codecs.Type, before *schema) error {
	name := codecs.FieldName(f.spec.Topic)
	draft := Schema{Language: Avro}
	var err *codecs.MemberError
	switch {
	case f.spec.Name == codecs.FormatProtobuf && before != nil:
		draft.Text, err = protocodec.SchemaOf(name, row, before.message)
	case f.spec.Name == codecs.FormatProtobuf:
		draft.Text, err = protocodec.SchemaOf(name, row, nil)
	case before != nil:
		draft.Text, err = avrocodec.SchemaOf(name, row, before.avro)
	default:
		draft.Text, err = avrocodec.SchemaOf(name, row, nil)
	}
	if err != nil {
		return misfit(err)
	}
	if f.spec.Name == codecs.FormatProtobuf {
		draft.Language = Protobuf
	}
	return f.propose(ctx, draft, "schema of the output rows")
}

// propose takes a schema that is not registered yet, and that its subject allows.
func (f *rowFormat) propose(ctx context.Context, draft Schema, text string) error {
	if f.library.registry == nil {
		return invalid("no schemas are registered here, and records are written behind the id of one")
	}
	f.reader, f.text = parse(draft), text
	if err := f.check(f.spec); err != nil {
		return err
	}
	reasons, err := f.library.registry.Compare(ctx, f.subjectName(), draft)
	if err != nil {
		return fmt.Errorf("compare the %s with those of %q: %w", text, f.subjectName(), err)
	}
	if len(reasons) > 0 {
		return fault.New(fault.Conflict, codeIncompatible, "the %s is not compatible with the versions of %q before it: %s", text, f.subjectName(), strings.Join(reasons, ", "))
	}
	f.draft = &draft
	return nil
}

// Register implements codecs.RowFormat.
func (f *rowFormat) Register(ctx context.Context) (pin string, err error) {
	if f.draft == nil {
		return f.pin, nil
	}
	version, err := f.library.registry.Add(ctx, f.subjectName(), *f.draft)
	if err != nil {
		return "", fmt.Errorf("register the %s: %w", f.text, err)
	}
	return pinOf(version), nil
}

// Notice implements codecs.RowFormat.
func (f *rowFormat) Notice() string { return f.notice }

// Writer implements codecs.RowFormat.
func (f *rowFormat) Writer(members []string) (codecs.RowWriter, error) {
	if f.draft != nil || f.reader == nil {
		return nil, invalid("the %s is not registered", f.text)
	}
	w := &rowWriter{frame: codecs.AppendConfluent(nil, uint32(f.reader.id))}
	if f.reader.message != nil {
		w.frame = protocodec.AppendIndex(w.frame, f.reader.message.Index())
		w.encoder = protocodec.NewEncoder(f.reader.message)
	} else {
		w.encoder = avrocodec.NewEncoder(f.reader.avro)
	}
	w.names = renamed(members)
	return w, nil
}

// renamed are the names of fields that their members do not have; nil if all do.
func renamed(members []string) map[string]string {
	var names map[string]string
	for _, m := range members {
		if name := codecs.FieldName(m); name != m {
			if names == nil {
				names = map[string]string{}
			}
			names[m] = name
		}
	}
	return names
}

// rowWriter implements codecs.RowWriter.
type rowWriter struct {
	frame   []byte
	encoder interface {
		AppendJSON(dst, text []byte) ([]byte, error)
	}
	names map[string]string // of fields, by members that are called otherwise
	text  []byte
}

// Append implements codecs.RowWriter.
func (w *rowWriter) Append(dst, row []byte) ([]byte, error) {
	if w.names != nil {
		row = w.rename(row)
	}
	out, err := w.encoder.AppendJSON(append(dst, w.frame...), row)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// rename has the members of a row called as the fields are.
func (w *rowWriter) rename(row []byte) []byte {
	parsed, err := datum.Parse(row)
	if err != nil || parsed.Value.Kind != codecs.Object {
		return row // the encoder says what is wrong
	}
	w.text = append(w.text[:0], '{')
	for i, m := range datum.Members(parsed.Value.Str) {
		if i > 0 {
			w.text = append(w.text, ',')
		}
		name := m.Name
		if other, called := w.names[name]; called {
			name = other
		}
		w.text = append(codecs.AppendJSONString(w.text, name), ':')
		if m.Datum.Literal != "" {
			w.text = append(w.text, m.Datum.Literal...)
		} else {
			w.text = codecs.AppendJSON(w.text, m.Datum.Value)
		}
	}
	return append(w.text, '}')
}
