package avrocodec

import (
	"encoding/base64"
	"slices"

	"leat/codecs"
	"leat/codecs/internal/datum"
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
func (e *Encoder) union(dst []byte, n *node, v datum.Datum) ([]byte, *codecs.MemberError) {
	var members []datum.Member
	if v.Value.Kind == codecs.Object {
		members = datum.Members(v.Value.Str)
	}
	best, how := -1, unfit
	for i, b := range n.branches {
		if f := e.fit(b, v, members); f > how {
			best, how = i, f
		}
	}
	if tagged := taggedBranch(n, members); tagged >= 0 {
		b, inner := n.branches[tagged], members[0].Datum
		var below []datum.Member
		if inner.Value.Kind == codecs.Object {
			below = datum.Members(inner.Value.Str)
		}
		if e.fit(b, inner, below) != unfit {
			if how != unfit {
				return nil, wrong("%q may be a member or the name of a branch of %s", members[0].Name, unionName(n))
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
func taggedBranch(n *node, members []datum.Member) int {
	if len(members) != 1 {
		return -1
	}
	return slices.IndexFunc(n.branches, func(b *node) bool { return b.typeName() == members[0].Name })
}

// noBranch says why v fits no branch: what is wrong with it as the only one besides
// null, if there is but one.
func (e *Encoder) noBranch(n *node, v datum.Datum) *codecs.MemberError {
	only := slices.DeleteFunc(slices.Clone(n.branches), func(b *node) bool { return b.kind == null })
	if len(only) == 1 && v.Value.Kind != codecs.Missing {
		if _, err := e.value(nil, only[0], v); err != nil {
			return err
		}
	}
	return misplaced(n, v)
}

// fit looks at the kind of v and, of an object, at the names of its members.
func (e *Encoder) fit(b *node, v datum.Datum, members []datum.Member) fitness {
	switch b.kind {
	case null:
		return exactIf(v.Value.IsNull())
	case boolean:
		return exactIf(v.Value.Kind == codecs.Bool)
	case intType, long:
		if _, err := appendInteger(nil, b, v); err == nil {
			return max(convertible, exactIf(v.Value.Kind == codecs.Int))
		}
	case float:
		if _, err := appendNumber(nil, b, v); err == nil {
			return max(convertible, exactIf(v.Value.Kind == codecs.Float && float64(float32(v.Value.Float())) == v.Value.Float()))
		}
	case double:
		if v.Value.IsNumber() {
			return max(convertible, exactIf(v.Value.Kind == codecs.Float))
		}
	case stringType:
		return exactIf(v.Value.Kind == codecs.String)
	case enum:
		return exactIf(v.Value.Kind == codecs.String && slices.Contains(b.symbols, v.Value.Str))
	case array:
		return exactIf(v.Value.Kind == codecs.Array)
	case mapType:
		if v.Value.Kind == codecs.Object {
			return convertible
		}
	case record:
		return exactIf(v.Value.Kind == codecs.Object && e.hasShape(b, members))
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

func (e *Encoder) fitBinary(b *node, v datum.Datum) fitness {
	if v.Value.Kind == codecs.String && b.logical == none && base64.StdEncoding.DecodedLen(len(v.Value.Str)) < b.size {
		return unfit
	}
	if _, err := e.binary(nil, b, v); err != nil {
		return unfit
	}
	return max(convertible, exactIf(v.Value.Kind == codecs.Bytes))
}

// hasShape reports whether members are fields of the record, and all that have to be
// there are.
func (e *Encoder) hasShape(n *node, members []datum.Member) bool {
	places := e.places(n)
	present := make([]bool, len(n.fields))
	for i := range members {
		place, known := places[members[i].Name]
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
