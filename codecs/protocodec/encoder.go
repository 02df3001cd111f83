package protocodec

import (
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
	"leat/codecs/internal/datum"
	"leat/codecs/internal/varint"
)

// Encoder writes rows as bare messages of one type: the way back of Decoder, by the same
// table (docs/formats/protobuf.md). What it is given has to fit exactly: a number with a
// fraction is no int32, a text no number. A float takes the nearest value.
//
// A member that the row lacks, or that is null, is not set; one that the type does not
// have is an error, and so are two members of one oneof. Members may also have the names
// and notations of Protobuf's own JSON mapping: lowerCamelCase, 64-bit integers and
// numbers that are not finite as texts, times in RFC 3339, durations like "1.5s".
//
// Fields are written in the order of their numbers, maps in the order of the row. Safe for
// concurrent use.
type Encoder struct {
	root *message
}

// NewEncoder makes an encoder of messages of m.
func NewEncoder(m *Message) *Encoder { return &Encoder{root: m.root} }

// Append appends a row that is given by its members; of members of one name the last one
// counts. On an error, a *codecs.MemberError, what it returns is dst.
func (e *Encoder) Append(dst []byte, row []codecs.Member) ([]byte, error) {
	members := make([]datum.Member, len(row))
	for i := range row {
		members[i] = datum.Member{Name: row[i].Name, Datum: datum.Datum{Value: row[i].Value}}
	}
	w := writer{depth: 1}
	out, err := w.appendMembers(dst, e.root, members)
	if e.root.special == object {
		out, err = w.appendMap(dst, &e.root.fields[0], members)
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

// AppendJSON appends a row that is given as JSON text. On an error, a
// *codecs.MemberError, what it returns is dst.
func (e *Encoder) AppendJSON(dst, text []byte) ([]byte, error) {
	v, err := datum.Parse(text)
	if err == nil {
		var out []byte
		w := writer{depth: 1}
		if out, err = w.appendMessage(dst, e.root, v); err == nil {
			return out, nil
		}
	}
	return dst, err
}

// writer encodes one row.
type writer struct {
	depth int // messages that are open
}

// enter counts a message, or several, that are about to be open.
func (w *writer) enter(levels int) *codecs.MemberError {
	if w.depth += levels; w.depth > maxDepth {
		return wrong("messages nested more than %d deep", maxDepth)
	}
	return nil
}

func wrong(format string, args ...any) *codecs.MemberError {
	return &codecs.MemberError{Reason: fmt.Sprintf(format, args...)}
}

func misplaced(v datum.Datum, schema string) *codecs.MemberError {
	return wrong("%s where the schema has %s", v.Value.Kind, schema)
}

// appendMessage writes the fields of a message.
func (w *writer) appendMessage(dst []byte, t *message, v datum.Datum) ([]byte, *codecs.MemberError) {
	switch t.special {
	case timestamp, duration:
		return appendTime(dst, t, v)
	case wrapper:
		f := &t.fields[0]
		if v.Value.IsNull() {
			return nil, misplaced(v, t.name)
		}
		return w.appendSingle(dst, f, v)
	case anyValue:
		return w.appendValue(dst, t, v)
	case list:
		if v.Value.Kind == codecs.Array {
			return w.appendList(dst, &t.fields[0], datum.Elements(v.Value.Str))
		}
	case object:
		if v.Value.Kind == codecs.Object {
			return w.appendMap(dst, &t.fields[0], datum.Members(v.Value.Str))
		}
	default:
		if v.Value.Kind == codecs.Object {
			return w.appendMembers(dst, t, datum.Members(v.Value.Str))
		}
	}
	return nil, misplaced(v, t.name)
}

func (w *writer) appendMembers(dst []byte, t *message, members []datum.Member) ([]byte, *codecs.MemberError) {
	if t.special != general {
		return nil, wrong("a row is written, and the schema is %s", t.name)
	}
	values := make([]datum.Datum, len(t.fields))
	for i := range members {
		place, known := t.byName[members[i].Name]
		if !known {
			if place, known = t.byJSONName[members[i].Name]; !known {
				return nil, t.unknown(members[i].Name)
			}
		}
		values[place] = members[i].Datum
	}
	set := make([]int, t.oneofs)
	for _, place := range t.inOrder() {
		f, v := &t.fields[place], values[place]
		if f.isUnset(v) {
			if f.required {
				return nil, wrong("missing, and the schema requires it").Within(codecs.Step{Member: f.name})
			}
			continue
		}
		if f.oneof >= 0 {
			if other := set[f.oneof]; other > 0 {
				return nil, wrong("only one of %q and this may be set", t.fields[other-1].name).Within(codecs.Step{Member: f.name})
			}
			set[f.oneof] = place + 1
		}
		var err *codecs.MemberError
		if dst, err = w.appendField(dst, f, v); err != nil {
			return nil, err.Within(codecs.Step{Member: f.name})
		}
	}
	return dst, nil
}

// isUnset reports whether v leaves f out: null, but for the types that have a null.
func (f *field) isUnset(v datum.Datum) bool {
	if v.Value.Kind == codecs.Null && !f.list && !f.isMap {
		return !f.takesNull()
	}
	return v.Value.IsNull()
}

func (f *field) takesNull() bool {
	return f.enum != nil && f.enum.isNull || f.msg != nil && f.msg.special == anyValue
}

// inOrder are the places of the fields by number.
func (t *message) inOrder() []int {
	places := make([]int, len(t.fields))
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(a, b int) int { return int(t.fields[a].number) - int(t.fields[b].number) })
	return places
}

func (t *message) unknown(name string) *codecs.MemberError {
	names := make([]string, len(t.fields))
	for i := range t.fields {
		names[i] = t.fields[i].name
	}
	err := wrong("the schema %s has no such field", t.name)
	if near := codecs.NearestNames(name, names); len(near) > 0 {
		err = wrong("the schema %s has no such field; did you mean %q?", t.name, near[0])
	}
	err.NoField = true
	return err.Within(codecs.Step{Member: name})
}

func (w *writer) appendField(dst []byte, f *field, v datum.Datum) ([]byte, *codecs.MemberError) {
	switch {
	case f.list && v.Value.Kind == codecs.Array:
		return w.appendList(dst, f, datum.Elements(v.Value.Str))
	case f.list:
		return nil, misplaced(v, "a list")
	case f.isMap && v.Value.Kind == codecs.Object:
		return w.appendMap(dst, f, datum.Members(v.Value.Str))
	case f.isMap:
		return nil, misplaced(v, "a map")
	}
	return w.appendSingle(dst, f, v)
}

// appendSingle writes the only value of f, or nothing if that means the same.
func (w *writer) appendSingle(dst []byte, f *field, v datum.Datum) ([]byte, *codecs.MemberError) {
	if f.wire != wireBytes && f.wire != wireGroup {
		bits, err := f.bits(v)
		switch {
		case err != nil:
			return nil, err
		case bits == 0 && !f.explicit:
			return dst, nil
		}
		return appendNumber(appendTag(dst, f, f.wire), f.wire, bits), nil
	}
	if !f.explicit && v.Value.Kind == codecs.String && v.Value.Str == "" {
		return dst, nil
	}
	return w.appendOne(dst, f, v)
}

// appendOne writes a value of f with its tag.
func (w *writer) appendOne(dst []byte, f *field, v datum.Datum) ([]byte, *codecs.MemberError) {
	switch {
	case f.msg != nil:
		return w.appendInside(dst, f, v)
	case f.wire == wireBytes:
		raw, err := f.raw(v)
		if err != nil {
			return nil, err
		}
		dst = varint.Append(appendTag(dst, f, wireBytes), uint64(len(raw)))
		return append(dst, raw...), nil
	}
	bits, err := f.bits(v)
	if err != nil {
		return nil, err
	}
	return appendNumber(appendTag(dst, f, f.wire), f.wire, bits), nil
}

// appendInside writes a message inside another.
func (w *writer) appendInside(dst []byte, f *field, v datum.Datum) ([]byte, *codecs.MemberError) {
	levels := 1
	if f.wire == wireGroup {
		levels = groupLevels
	}
	if err := w.enter(levels); err != nil {
		return nil, err
	}
	defer func() { w.depth -= levels }()
	if f.wire != wireGroup {
		return w.appendSized(dst, f, func(dst []byte) ([]byte, *codecs.MemberError) { return w.appendMessage(dst, f.msg, v) })
	}
	out, err := w.appendMessage(appendTag(dst, f, wireGroup), f.msg, v)
	if err != nil {
		return nil, err
	}
	return appendTag(out, f, wireEnd), nil
}

// appendSized writes what body appends, with f's tag and its length in front.
func (w *writer) appendSized(dst []byte, f *field, body func([]byte) ([]byte, *codecs.MemberError)) ([]byte, *codecs.MemberError) {
	dst = appendTag(dst, f, wireBytes)
	from := len(dst)
	dst, err := body(dst)
	if err != nil {
		return nil, err
	}
	var length [varint.MaxBytes]byte
	return slices.Insert(dst, from, varint.Append(length[:0], uint64(len(dst)-from))...), nil
}

func (w *writer) appendList(dst []byte, f *field, values []datum.Datum) ([]byte, *codecs.MemberError) {
	for i := range values {
		if values[i].Value.IsNull() && !f.takesNull() {
			return nil, misplaced(values[i], f.describe()).Within(codecs.Step{Index: i, IsIndex: true})
		}
	}
	if f.packed && len(values) > 0 {
		return w.appendSized(dst, f, func(dst []byte) ([]byte, *codecs.MemberError) {
			for i := range values {
				bits, err := f.bits(values[i])
				if err != nil {
					return nil, err.Within(codecs.Step{Index: i, IsIndex: true})
				}
				dst = appendNumber(dst, f.wire, bits)
			}
			return dst, nil
		})
	}
	for i := range values {
		var err *codecs.MemberError
		if dst, err = w.appendOne(dst, f, values[i]); err != nil {
			return nil, err.Within(codecs.Step{Index: i, IsIndex: true})
		}
	}
	return dst, nil
}

func (w *writer) appendMap(dst []byte, f *field, members []datum.Member) ([]byte, *codecs.MemberError) {
	key, value := f.msg.entry()
	k, v := &f.msg.fields[key], &f.msg.fields[value]
	if err := w.enter(1); err != nil {
		return nil, err
	}
	defer func() { w.depth-- }()
	for i := range members {
		name, inside := keyOf(k, members[i].Name), members[i].Datum
		var err *codecs.MemberError
		dst, err = w.appendSized(dst, f, func(dst []byte) ([]byte, *codecs.MemberError) {
			dst, err := w.appendOne(dst, k, name)
			switch {
			case err != nil:
				return nil, wrong("no key of a map of %s", k.describe())
			case inside.Value.IsNull() && !v.takesNull():
				return nil, misplaced(inside, v.describe())
			}
			return w.appendOne(dst, v, inside)
		})
		if err != nil {
			return nil, err.Within(codecs.Step{Member: members[i].Name})
		}
	}
	return dst, nil
}

// keyOf is the name of a member as a value of the keys of a map.
func keyOf(f *field, name string) datum.Datum {
	switch f.kind {
	case protoreflect.StringKind:
		return datum.Datum{Value: codecs.StringValue(name)}
	case protoreflect.BoolKind:
		if name == "true" || name == "false" {
			return datum.Datum{Value: codecs.BoolValue(name == "true")}
		}
	default:
		if i, err := strconv.ParseInt(name, 10, 64); err == nil && strconv.FormatInt(i, 10) == name {
			return datum.Datum{Value: codecs.IntValue(i), Literal: name}
		}
		if u, err := strconv.ParseUint(name, 10, 64); err == nil && strconv.FormatUint(u, 10) == name {
			return datum.Datum{Value: codecs.FloatValue(float64(u)), Literal: name}
		}
	}
	return datum.Datum{Value: codecs.NullValue()}
}

func appendTag(dst []byte, f *field, wire wireType) []byte {
	return varint.Append(dst, uint64(f.number)<<3|uint64(wire))
}

func appendNumber(dst []byte, wire wireType, bits uint64) []byte {
	size := 8
	switch wire {
	case wireVarint:
		return varint.Append(dst, bits)
	case wire32:
		size = 4
	}
	for range size {
		dst = append(dst, byte(bits))
		bits >>= 8
	}
	return dst
}

// describe is the type of one value of f as a message shows it.
func (f *field) describe() string {
	switch {
	case f.msg != nil:
		return f.msg.name
	case f.enum != nil:
		return f.enum.name
	}
	return f.kind.String()
}
