package avrocodec

import (
	"encoding/base64"
	"slices"

	"leat/codecs"
)

// fitness is how well a value goes into a branch of a union.
type fitness uint8

const (
	unfit fitness = iota
	convertible
	exact
)

// union writes v as the branch that it fits best, the first of those that it fits
// equally.
func (e *Encoder) union(dst []byte, n *node, v datum) ([]byte, *codecs.MemberError) {
	var members []entry
	if v.v.Kind == codecs.Object {
		members = objectEntries(v.v.Str)
	}
	best, how := -1, unfit
	for i, b := range n.branches {
		if f := e.fit(b, v, members); f > how {
			best, how = i, f
		}
	}
	if tagged := taggedBranch(n, members); tagged >= 0 {
		b, inner := n.branches[tagged], members[0].value
		var below []entry
		if inner.v.Kind == codecs.Object {
			below = objectEntries(inner.v.Str)
		}
		if e.fit(b, inner, below) != unfit {
			if how != unfit {
				return nil, wrong("%q may be a member or the name of a branch of %s", members[0].name, unionName(n))
			}
			best, how, v = tagged, exact, inner
		}
	}
	if how == unfit {
		return nil, e.noBranch(n, v)
	}
	return e.value(appendLong(dst, int64(best)), n.branches[best], v)
}

// taggedBranch is the branch that the only member of an object is called like, or -1.
func taggedBranch(n *node, members []entry) int {
	if len(members) != 1 {
		return -1
	}
	return slices.IndexFunc(n.branches, func(b *node) bool { return b.typeName() == members[0].name })
}

// noBranch says why v fits no branch: what is wrong with it as the only one besides
// null, if there is but one.
func (e *Encoder) noBranch(n *node, v datum) *codecs.MemberError {
	only := slices.DeleteFunc(slices.Clone(n.branches), func(b *node) bool { return b.kind == null })
	if len(only) == 1 && v.v.Kind != codecs.Missing {
		if _, err := e.value(nil, only[0], v); err != nil {
			return err
		}
	}
	return misplaced(n, v)
}

// fit looks at the kind of v and, of an object, at the names of its members.
func (e *Encoder) fit(b *node, v datum, members []entry) fitness {
	switch b.kind {
	case null:
		return exactIf(v.v.IsNull())
	case boolean:
		return exactIf(v.v.Kind == codecs.Bool)
	case intType, long:
		if _, err := appendInteger(nil, b, v); err == nil {
			return max(convertible, exactIf(v.v.Kind == codecs.Int))
		}
	case float:
		if _, err := appendNumber(nil, b, v); err == nil {
			return max(convertible, exactIf(v.v.Kind == codecs.Float && float64(float32(v.v.Float())) == v.v.Float()))
		}
	case double:
		if v.v.IsNumber() {
			return max(convertible, exactIf(v.v.Kind == codecs.Float))
		}
	case stringType:
		return exactIf(v.v.Kind == codecs.String)
	case enum:
		return exactIf(v.v.Kind == codecs.String && slices.Contains(b.symbols, v.v.Str))
	case array:
		return exactIf(v.v.Kind == codecs.Array)
	case mapType:
		if v.v.Kind == codecs.Object {
			return convertible
		}
	case record:
		return exactIf(v.v.Kind == codecs.Object && e.hasShape(b, members))
	case bytesType, fixed:
		return e.fitBinary(b, v)
	}
	return unfit
}

func exactIf(ok bool) fitness {
	if ok {
		return exact
	}
	return unfit
}

func (e *Encoder) fitBinary(b *node, v datum) fitness {
	if v.v.Kind == codecs.String && b.logical == none && base64.StdEncoding.DecodedLen(len(v.v.Str)) < b.size {
		return unfit
	}
	if _, err := e.binary(nil, b, v); err != nil {
		return unfit
	}
	return max(convertible, exactIf(v.v.Kind == codecs.Bytes))
}

// hasShape reports whether members are fields of the record, and all that have to be
// there are.
func (e *Encoder) hasShape(n *node, members []entry) bool {
	places := e.places(n)
	present := make([]bool, len(n.fields))
	for i := range members {
		place, known := places[members[i].name]
		if !known {
			return false
		}
		present[place] = true
	}
	for i := range n.fields {
		if f := &n.fields[i]; !present[i] && !f.hasDefault && !f.node.takesNull() {
			return false
		}
	}
	return true
}

func (n *node) takesNull() bool {
	return n.kind == null || n.kind == union && slices.ContainsFunc(n.branches, func(b *node) bool { return b.kind == null })
}
