package avrocodec

import (
	"slices"

	"leat/codecs"
)

// Takes tells why rows of a type have no place in the schema, nil where they have: a
// member without a field, a field without a default that the rows lack, or a value of a
// kind that its field never holds. With every, each kind that a value can have needs a
// place, null too; else one of them that is not null does. Neither looks at ranges and
// symbols, nor at what is not known of the rows.
func (s *Schema) Takes(row *codecs.Type, every bool) *codecs.MemberError {
	f := fit{every: every, seen: map[fitPair]bool{}}
	return f.value(s.root, row)
}

// fit compares types of rows with those of a schema.
type fit struct {
	every bool
	seen  map[fitPair]bool // that are looked at, or have been
}

type fitPair struct {
	node   *node
	fields *codecs.TypeField
}

func (f *fit) value(n *node, t *codecs.Type) *codecs.MemberError {
	if t.Anything() {
		return nil
	}
	branches := []*node{n}
	if n.kind == union {
		branches = n.branches
	}
	values := t.Kinds.Values()
	if t.Kinds.Nullable() && (f.every || values == 0) && !n.takesNull() {
		return wrong("it may be null, and the schema has %s there", describeAll(n))
	}
	var first *codecs.MemberError
	placed := false
	for k := codecs.Bool; k <= codecs.Array; k++ {
		if !values.Has(k) {
			continue
		}
		switch err := f.anyBranch(branches, k, t); {
		case err == nil:
			placed = true
		case first == nil:
			first = err
		}
	}
	if first == nil || placed && !f.every {
		return nil
	}
	if first.Reason == "" {
		first.Reason = values.String() + " where the schema has " + describeAll(n)
	}
	return first
}

func describeAll(n *node) string {
	if n.kind == union {
		return "the union " + unionName(n)
	}
	return n.describe()
}

// anyBranch looks for a place of the values of one kind. The error has no reason where
// no branch is of such a kind.
func (f *fit) anyBranch(branches []*node, k codecs.Kind, t *codecs.Type) *codecs.MemberError {
	err := &codecs.MemberError{}
	for _, b := range branches {
		if !b.holds(k, f.every) {
			continue
		}
		inside := f.inside(b, k, t)
		if inside == nil {
			return nil
		}
		err = inside
	}
	return err
}

// holds reports whether values of a kind can be written as n: as a rule, or where
// always is not asked for, in some cases.
func (n *node) holds(k codecs.Kind, always bool) bool {
	switch k {
	case codecs.Bool:
		return n.kind == boolean
	case codecs.Int:
		return n.kind >= intType && n.kind <= double && (!always || n.logical != date) || n.logical == decimal
	case codecs.Float:
		return n.kind == float || n.kind == double || !always && (n.kind == intType || n.kind == long || n.logical == decimal)
	case codecs.String:
		return n.kind == stringType || n.kind == enum || !always && (n.kind == bytesType || n.kind == fixed || n.logical.isInstant())
	case codecs.Bytes:
		return n.kind == bytesType && n.logical == none || n.kind == fixed && n.logical == none
	case codecs.Object:
		return n.kind == record || n.kind == mapType || n.logical == duration
	case codecs.Array:
		return n.kind == array
	}
	return false
}

// inside compares what is in an object or an array.
func (f *fit) inside(n *node, k codecs.Kind, t *codecs.Type) *codecs.MemberError {
	switch {
	case k == codecs.Array && t.Items != nil:
		if err := f.value(n.items, t.Items); err != nil {
			return err.Within(codecs.Step{IsIndex: true})
		}
	case k != codecs.Object || n.kind == fixed:
	case n.kind == mapType && t.Values != nil:
		return f.value(n.items, t.Values)
	case n.kind == mapType:
		for _, m := range t.Fields {
			if err := f.value(n.items, m.Type.Without(codecs.Kinds(codecs.Missing))); err != nil {
				return err.Within(codecs.Step{Member: m.Name})
			}
		}
	case t.Fields != nil:
		return f.record(n, t.Fields)
	case t.Values != nil && f.every:
		return wrong("any members where the schema has %s", n.name)
	}
	return nil
}

func (f *fit) record(n *node, members []codecs.TypeField) *codecs.MemberError {
	if len(members) > 0 {
		pair := fitPair{n, &members[0]}
		if f.seen[pair] {
			return nil
		}
		f.seen[pair] = true
	}
	for _, m := range members {
		field := n.child(m.Name)
		if field == nil {
			return n.unknown(m.Name)
		}
		t := m.Type
		if field.hasDefault {
			t = t.Without(codecs.Kinds(codecs.Missing))
		}
		if err := f.value(field.node, t); err != nil {
			return err.Within(codecs.Step{Member: m.Name})
		}
	}
	for i := range n.fields {
		field := &n.fields[i]
		has := slices.ContainsFunc(members, func(m codecs.TypeField) bool { return m.Name == field.name })
		if !has && !field.hasDefault && !field.node.takesNull() {
			return wrong("the schema %s has the field %q without a default, and the rows have no such member", n.name, field.name)
		}
	}
	return nil
}
