package avrocodec

import (
	"encoding/json"
	"strconv"

	"leat/codecs"
)

// SchemaOf is the text of a schema for rows of a type, a record: the same for the same
// arguments. Whole numbers are long and others double; what may be null is a union with
// null in front and by default; objects are records, called after where they are, or maps.
//
// Where there has been a schema before, which may be nil, it keeps what that has for a
// member if it takes all of its values, and the names of its records; a member that is new
// may be null, because older records lack it.
//
// The error says of which member the type is not known, or has no place in Avro.
func SchemaOf(name string, row *codecs.Type, before *Schema) (string, *codecs.MemberError) {
	d := deriver{
		names: map[string]bool{}, records: map[*codecs.TypeField]string{}, written: map[*node]bool{},
		fit: fit{every: true, seen: map[fitPair]bool{}},
	}
	var root *node
	if before != nil {
		root = before.root
	}
	if row.Fields == nil {
		return "", &codecs.MemberError{Reason: "its members are not known", Unknown: true}
	}
	text, err := d.record(nil, row, root.only(record), name)
	return string(text), err
}

type deriver struct {
	names   map[string]bool // that are taken
	records map[*codecs.TypeField]string
	written map[*node]bool // of the schema before
	fit     fit
}

// only is the branch of a kind that n is or has, the first; nil where there is none, as
// for no n.
func (n *node) only(k kind) *node {
	switch {
	case n == nil || n.kind == k:
		return n
	case n.kind == union:
		for _, b := range n.branches {
			if b.kind == k {
				return b
			}
		}
	}
	return nil
}

// record appends a record, or its name where it has been before.
func (d *deriver) record(dst []byte, t *codecs.Type, before *node, name string) ([]byte, *codecs.MemberError) {
	if len(t.Fields) > 0 {
		if known := d.records[&t.Fields[0]]; known != "" {
			return codecs.AppendJSONString(dst, known), nil
		}
	}
	full := name
	if before != nil {
		full = before.name
	}
	for n := 2; d.names[full]; n++ {
		full = name + strconv.Itoa(n)
	}
	d.names[full] = true
	if before != nil && full == before.name {
		d.written[before] = true // what is kept means the new one
	}
	if len(t.Fields) > 0 {
		d.records[&t.Fields[0]] = full
	}
	dst = codecs.AppendJSONString(append(dst, `{"type":"record","name":`...), full)
	dst = append(dst, `,"fields":[`...)
	for i, m := range t.Fields {
		var err *codecs.MemberError
		if dst, err = d.field(comma(dst, i), m, before, name+"_"+m.Name); err != nil {
			return nil, err.Within(codecs.Step{Member: m.Name})
		}
	}
	return append(dst, "]}"...), nil
}

func (d *deriver) field(dst []byte, m codecs.TypeField, before *node, name string) ([]byte, *codecs.MemberError) {
	dst = codecs.AppendJSONString(append(dst, `{"name":`...), m.Name)
	dst = append(dst, `,"type":`...)
	nullable := m.Type.Kinds.Nullable() || before != nil
	var inside *node
	if before != nil {
		if f := before.child(m.Name); f != nil {
			t := m.Type
			if f.hasDefault {
				t = t.Without(codecs.Kinds(codecs.Missing))
			}
			if t.Known() && d.fit.value(f.node, t) == nil {
				return append(f.appendRest(d.keep(dst, f.node)), '}'), nil
			}
			inside, nullable = f.node, m.Type.Kinds.Nullable() || f.node.takesNull()
		}
	}
	dst, err := d.value(dst, m.Type, inside, nullable, name)
	if err != nil {
		return nil, err
	}
	if nullable {
		dst = append(dst, `,"default":null`...)
	}
	return append(dst, '}'), nil
}

// value appends the type of a value.
func (d *deriver) value(dst []byte, t *codecs.Type, before *node, nullable bool, name string) ([]byte, *codecs.MemberError) {
	values := t.Kinds.Values()
	switch {
	case !t.Known():
		return nil, &codecs.MemberError{Reason: "its type is not known", Unknown: true}
	case values.Has(codecs.String) && values.Has(codecs.Bytes):
		return nil, wrong("it may be a string or bytes, which cannot be told apart")
	case values.Has(codecs.Float):
		values &^= codecs.Kinds(codecs.Int)
	}
	open, branches := len(dst), 0
	next := func() {
		if branches++; branches > 1 {
			dst = append(dst, ',')
		}
	}
	if nullable || values == 0 {
		next()
		dst = append(dst, `"null"`...)
	}
	for _, k := range []codecs.Kind{codecs.Bool, codecs.Int, codecs.Float, codecs.String, codecs.Bytes} {
		if values.Has(k) {
			next()
			dst = codecs.AppendJSONString(dst, primitiveOf(k).String())
		}
	}
	for _, k := range []codecs.Kind{codecs.Object, codecs.Array} {
		if !values.Has(k) {
			continue
		}
		next()
		var err *codecs.MemberError
		if dst, err = d.inside(dst, t, k, before, name); err != nil {
			return nil, err
		}
	}
	if branches > 1 {
		dst = append(dst[:open], append([]byte{'['}, dst[open:]...)...)
		dst = append(dst, ']')
	}
	return dst, nil
}

func primitiveOf(k codecs.Kind) kind {
	switch k {
	case codecs.Bool:
		return boolean
	case codecs.Int:
		return long
	case codecs.Float:
		return double
	case codecs.Bytes:
		return bytesType
	}
	return stringType
}

// inside appends the type of an object or an array.
func (d *deriver) inside(dst []byte, t *codecs.Type, k codecs.Kind, before *node, name string) ([]byte, *codecs.MemberError) {
	inside, of := t.Values, mapType
	switch {
	case k == codecs.Array:
		inside, of = t.Items, array
		dst = append(dst, `{"type":"array","items":`...)
	case t.Fields != nil:
		return d.record(dst, t, before.only(record), name)
	default:
		dst = append(dst, `{"type":"map","values":`...)
	}
	var items *node
	if before = before.only(of); before != nil {
		items = before.items
	}
	nullable := inside.Kinds.Nullable() || items != nil && items.takesNull()
	dst, err := d.value(dst, inside, items, nullable, name+"_item")
	if err != nil && k == codecs.Array {
		err = err.Within(codecs.Step{IsIndex: true})
	}
	return append(dst, '}'), err
}

// keep appends a type of the schema before, as that has it.
func (d *deriver) keep(dst []byte, n *node) []byte {
	if n.name != "" {
		if d.written[n] {
			return codecs.AppendJSONString(dst, n.name)
		}
		d.written[n], d.names[n.name] = true, true
	}
	switch n.kind {
	case union:
		dst = append(dst, '[')
		for i, b := range n.branches {
			dst = d.keep(comma(dst, i), b)
		}
		return append(dst, ']')
	case array, mapType:
		member := map[kind]string{array: "items", mapType: "values"}[n.kind]
		dst = append(append(append(dst, `{"type":"`...), n.kind.String()...), `","`...)
		dst = append(append(dst, member...), `":`...)
		return append(d.keep(dst, n.items), '}')
	}
	if n.name == "" && n.logical == none {
		return codecs.AppendJSONString(dst, n.kind.String())
	}
	dst = codecs.AppendJSONString(append(dst, `{"type":`...), n.kind.String())
	if n.name != "" {
		dst = codecs.AppendJSONString(append(dst, `,"name":`...), n.name)
		dst = appendNames(dst, "aliases", n.aliases)
	}
	switch n.kind {
	case record:
		dst = append(dst, `,"fields":[`...)
		for i := range n.fields {
			f := &n.fields[i]
			dst = codecs.AppendJSONString(append(comma(dst, i), `{"name":`...), f.name)
			dst = append(f.appendRest(d.keep(append(dst, `,"type":`...), f.node)), '}')
		}
		dst = append(dst, ']')
	case enum:
		dst = appendNames(dst, "symbols", n.symbols)
		if n.hasElse {
			dst = codecs.AppendJSONString(append(dst, `,"default":`...), n.symbolElse)
		}
	case fixed:
		dst = strconv.AppendInt(append(dst, `,"size":`...), int64(n.size), 10)
	}
	return append(n.appendLogical(dst), '}')
}

// appendRest appends what a field has behind its type.
func (f *field) appendRest(dst []byte) []byte {
	if f.hasDefault {
		if text, err := json.Marshal(f.written); err == nil {
			dst = append(append(dst, `,"default":`...), text...)
		}
	}
	return appendNames(dst, "aliases", f.aliases)
}

func (n *node) appendLogical(dst []byte) []byte {
	if n.logical == none {
		return dst
	}
	dst = codecs.AppendJSONString(append(dst, `,"logicalType":`...), n.meant)
	if n.logical == decimal {
		dst = strconv.AppendInt(append(dst, `,"precision":`...), int64(n.digits), 10)
		dst = strconv.AppendInt(append(dst, `,"scale":`...), int64(n.scale), 10)
	}
	return dst
}

func appendNames(dst []byte, member string, names []string) []byte {
	if len(names) == 0 {
		return dst
	}
	dst = append(append(append(dst, `,"`...), member...), `":[`...)
	for i, name := range names {
		dst = codecs.AppendJSONString(comma(dst, i), name)
	}
	return append(dst, ']')
}
