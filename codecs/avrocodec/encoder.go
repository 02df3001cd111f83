package avrocodec

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"leat/codecs"
	"leat/codecs/internal/datum"
)

// Encoder writes rows as bare Avro records of one schema: the way back of Decoder, by the
// same table (docs/formats/mapping.md). What it is given has to fit exactly: a number
// with a fraction is no int, a text no number. A float takes the nearest value.
//
// A member that the row lacks has the default of its field, or else is null if it may
// be; a member that the schema does not have is an error.
//
// A value of a union takes the branch that has its kind, else the first that it can be
// converted to. Avro's own JSON notation, {"type": value}, is understood where the plain
// reading of it is not possible as well.
//
// Not safe for concurrent use.
type Encoder struct {
	root   *node
	fields map[*node]map[string]int // places of the fields of records
}

// NewEncoder makes an encoder of records of s.
func NewEncoder(s *Schema) *Encoder {
	return &Encoder{root: s.root, fields: map[*node]map[string]int{}}
}

// Append appends a row that is given by its members; of members of one name the last one
// counts. On an error, a *codecs.MemberError, what it returns is dst.
func (e *Encoder) Append(dst []byte, row []codecs.Member) ([]byte, error) {
	members := make([]datum.Member, len(row))
	for i := range row {
		members[i] = datum.Member{Name: row[i].Name, Datum: datum.Datum{Value: row[i].Value}}
	}
	var out []byte
	var err *codecs.MemberError
	switch e.root.kind {
	case record:
		out, err = e.record(dst, e.root, members)
	case mapType:
		out, err = e.entries(dst, e.root, members)
	default:
		err = wrong("a row is written, and the schema is %s", e.root.typeName())
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

// AppendJSON appends a row that is given as JSON text, a value of any kind that the
// schema has. On an error, a *codecs.MemberError, what it returns is dst.
func (e *Encoder) AppendJSON(dst, text []byte) ([]byte, error) {
	v, err := datum.Parse(text)
	if err == nil {
		var out []byte
		if out, err = e.value(dst, e.root, v); err == nil {
			return out, nil
		}
	}
	return dst, err
}

func wrong(format string, args ...any) *codecs.MemberError {
	return &codecs.MemberError{Reason: fmt.Sprintf(format, args...)}
}

// misplaced says that v is of a kind that n cannot hold.
func misplaced(n *node, v datum.Datum) *codecs.MemberError {
	switch {
	case v.Value.Kind == codecs.Missing:
		return wrong("missing, and the schema has no default for it")
	case n.kind == union:
		return wrong("%s where the schema has the union %s", v.Value.Kind, unionName(n))
	}
	return wrong("%s where the schema has %s", v.Value.Kind, n.describe())
}

// describe is the name of a type with what it means.
func (n *node) describe() string {
	if n.logical != none {
		return fmt.Sprintf("%s (%s)", n.typeName(), n.logical)
	}
	return n.typeName()
}

func (e *Encoder) value(dst []byte, n *node, v datum.Datum) ([]byte, *codecs.MemberError) {
	switch n.kind {
	case null:
		if v.Value.IsNull() {
			return dst, nil
		}
	case boolean:
		if v.Value.Kind == codecs.Bool {
			return appendBool(dst, v.Value.Bool()), nil
		}
	case intType, long:
		return appendInteger(dst, n, v)
	case float, double:
		return appendNumber(dst, n, v)
	case stringType:
		if v.Value.Kind == codecs.String {
			return append(appendLong(dst, int64(len(v.Value.Str))), v.Value.Str...), nil
		}
	case bytesType, fixed:
		return e.binary(dst, n, v)
	case enum:
		return appendSymbol(dst, n, v)
	case array:
		if v.Value.Kind == codecs.Array {
			return e.items(dst, n, v.Value.Str)
		}
	case mapType:
		if v.Value.Kind == codecs.Object {
			return e.entries(dst, n, datum.Members(v.Value.Str))
		}
	case record:
		if v.Value.Kind == codecs.Object {
			return e.record(dst, n, datum.Members(v.Value.Str))
		}
	case union:
		return e.union(dst, n, v)
	}
	return nil, misplaced(n, v)
}

// integerOf is the whole number of v; ok is false if it is none or too large.
func integerOf(v codecs.Value) (i int64, ok bool) {
	switch v.Kind {
	case codecs.Int:
		return v.Int(), true
	case codecs.Float:
		f := v.Float()
		if f == math.Trunc(f) && f >= -1<<63 && f < 1<<63 {
			return int64(f), true
		}
	}
	return 0, false
}

func appendInteger(dst []byte, n *node, v datum.Datum) ([]byte, *codecs.MemberError) {
	i, ok := integerOf(v.Value)
	if !ok && n.logical.isInstant() && v.Value.Kind == codecs.String {
		if i, ok = codecs.ParseTime(v.Value.Str); !ok {
			return nil, wrong("%q is neither a time in RFC 3339 nor a number of milliseconds", v.Value.Str)
		}
	}
	switch {
	case !ok && v.Value.IsNumber():
		return nil, wrong("%s is not a whole number of 64 bits", codecs.AppendJSON(nil, v.Value))
	case !ok:
		return nil, misplaced(n, v)
	}
	out, ok := n.logical.fromMilliseconds(i)
	if !ok || n.kind == intType && out != int64(int32(out)) {
		return nil, wrong("%d is out of the range of %s", i, n.describe())
	}
	return appendLong(dst, out), nil
}

// fromMilliseconds is a time in its own unit; ok is false if it does not fit.
func (l logical) fromMilliseconds(ms int64) (v int64, ok bool) {
	factor := int64(1)
	switch l {
	case date:
		return ms / 86_400_000, ms%86_400_000 == 0
	case timeMicros, timestampMicros:
		factor = 1000
	case timestampNanos:
		factor = 1_000_000
	}
	v = ms * factor
	return v, v/factor == ms
}

// isInstant reports whether l counts from 1970.
func (l logical) isInstant() bool {
	return l >= date && l <= timestampNanos && l != timeMillis && l != timeMicros
}

func appendNumber(dst []byte, n *node, v datum.Datum) ([]byte, *codecs.MemberError) {
	if !v.Value.IsNumber() {
		return nil, misplaced(n, v)
	}
	f := v.Value.AsFloat()
	if n.kind == double {
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), nil
	}
	single := float32(f)
	if math.IsInf(float64(single), 0) && !math.IsInf(f, 0) {
		return nil, wrong("%s is out of the range of float", codecs.AppendJSON(nil, v.Value))
	}
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(single)), nil
}

func appendSymbol(dst []byte, n *node, v datum.Datum) ([]byte, *codecs.MemberError) {
	if v.Value.Kind != codecs.String {
		return nil, misplaced(n, v)
	}
	i := slices.Index(n.symbols, v.Value.Str)
	if i < 0 {
		if near := codecs.NearestNames(v.Value.Str, n.symbols); len(near) > 0 {
			return nil, wrong("%q is not a symbol of %s; did you mean %q?", v.Value.Str, n.name, near[0])
		}
		return nil, wrong("%q is not a symbol of %s", v.Value.Str, n.name)
	}
	return appendLong(dst, int64(i)), nil
}

// items writes an array as one block.
func (e *Encoder) items(dst []byte, n *node, text string) ([]byte, *codecs.MemberError) {
	values := datum.Elements(text)
	if len(values) > 0 {
		dst = appendLong(dst, int64(len(values)))
	}
	for i, v := range values {
		var err *codecs.MemberError
		if dst, err = e.value(dst, n.items, v); err != nil {
			return nil, err.Within(codecs.Step{Index: i, IsIndex: true})
		}
	}
	return append(dst, 0), nil
}

// entries writes a map as one block.
func (e *Encoder) entries(dst []byte, n *node, members []datum.Member) ([]byte, *codecs.MemberError) {
	if len(members) > 0 {
		dst = appendLong(dst, int64(len(members)))
	}
	for i := range members {
		m := &members[i]
		dst = append(appendLong(dst, int64(len(m.Name))), m.Name...)
		var err *codecs.MemberError
		if dst, err = e.value(dst, n.items, m.Datum); err != nil {
			return nil, err.Within(codecs.Step{Member: m.Name})
		}
	}
	return append(dst, 0), nil
}

// record writes the fields in the schema's order.
func (e *Encoder) record(dst []byte, n *node, members []datum.Member) ([]byte, *codecs.MemberError) {
	places := e.places(n)
	values := make([]datum.Datum, len(n.fields))
	for i := range members {
		place, known := places[members[i].Name]
		if !known {
			return nil, n.unknown(members[i].Name)
		}
		values[place] = members[i].Datum
	}
	for i := range n.fields {
		f := &n.fields[i]
		if values[i].Value.Kind == codecs.Missing && f.hasDefault {
			dst = append(dst, f.binary...)
			continue
		}
		var err *codecs.MemberError
		if dst, err = e.value(dst, f.node, values[i]); err != nil {
			return nil, err.Within(codecs.Step{Member: f.name})
		}
	}
	return dst, nil
}

// unknown says that a record has no field of a name.
func (n *node) unknown(name string) *codecs.MemberError {
	known := make([]string, len(n.fields))
	for i := range n.fields {
		known[i] = n.fields[i].name
	}
	err := wrong("the schema %s has no such field", n.name)
	if near := codecs.NearestNames(name, known); len(near) > 0 {
		err = wrong("the schema %s has no such field; did you mean %q?", n.name, near[0])
	}
	err.NoField = true
	return err.Within(codecs.Step{Member: name})
}

// places are the indexes of the fields of a record by name.
func (e *Encoder) places(n *node) map[string]int {
	places := e.fields[n]
	if places == nil {
		places = make(map[string]int, len(n.fields))
		for i := range n.fields {
			places[n.fields[i].name] = i
		}
		e.fields[n] = places
	}
	return places
}
