package queries

import (
	"fmt"
	"slices"
	"strings"

	"leat/codecs"
)

// boundJoin is a join whose names are resolved.
type boundJoin struct {
	keys    [2][]int     // by side: columns of its batches
	kinds   [2][]kindSet // of the keys
	columns []joinColumn
}

// joinColumn is a column of the joined row: of a side, or a bound of its window.
type joinColumn struct {
	path   codecs.Path // as expressions write it
	side   int         // boundOfWindow or lookedUp where it is of none
	column int         // of the side's batches
}

// What columns of joined rows hold that are of no side.
const (
	boundOfWindow = -1
	lookedUp      = -2
)

// joinedScope is what expressions over joined rows may use: left, right, what is in
// them and, of a tumbling join, window_start and window_end. What is used becomes a
// column.
type joinedScope struct {
	sides   []sourceScope
	bound   *boundJoin
	windows bool
	flawed  bool
}

func (s *joinedScope) field(path codecs.Path) (col int, kinds kindSet, err error) {
	first, kinds := path.Steps()[0].Member, kindInt
	c := joinColumn{path: path, side: slices.Index(joinSides(), first)}
	switch {
	case c.side >= 0:
	case s.windows && len(path.Steps()) == 1 && (first == windowStart || first == windowEnd):
	case s.flawed:
		return 0, kindAny, nil
	default:
		known := joinSides()
		if s.windows {
			known = append(known, windowStart, windowEnd)
		}
		return 0, 0, fmt.Errorf("%q is not a member of the joined row, which has %s%s", first, strings.Join(known, ", "), didYouMean(first, known))
	}
	if c.side >= 0 {
		if c.column, kinds, err = s.sides[c.side].field(codecs.NewPath(path.Steps()[1:]...)); err != nil {
			return 0, 0, err
		}
		kinds |= kindNull // the side may be lacking
	}
	for i := range s.bound.columns {
		if s.bound.columns[i].path.Equal(path) {
			return i, kinds, nil
		}
	}
	s.bound.columns = append(s.bound.columns, c)
	return len(s.bound.columns) - 1, kinds, nil
}

// joinKeys resolves the fields that have to be equal.
func (b *binder) joinKeys() {
	if b.spec.Join == nil {
		return
	}
	for _, pair := range b.spec.Join.On {
		for side, field := range pair {
			col, kinds, err := b.sources[side].field(field.Path)
			if err != nil {
				b.invalid(field.node, "%v", err)
			}
			j := b.bound.join
			j.keys[side], j.kinds[side] = append(j.keys[side], col), append(j.kinds[side], kinds)
		}
	}
}

// warnKeys warns of fields that have to be equal and, by their schemas, never are.
func (b *binder) warnKeys() {
	for i, pair := range b.spec.Join.On {
		var kinds [2]kindSet
		for side := range kinds {
			if kinds[side] = b.bound.join.kinds[side][i] &^ kindNull; kinds[side]&kindNumber != 0 {
				kinds[side] |= kindNumber // 1 and 1.0 are equal
			}
		}
		if kinds[0] != 0 && kinds[1] != 0 && kinds[0]&kinds[1] == 0 {
			b.bound.Warnings = append(b.bound.Warnings, fmt.Sprintf("left.%s is %s and right.%s is %s: they are never equal, so no row matches another",
				pair[0].Text, kinds[0], pair[1].Text, kinds[1]))
		}
	}
}

// wholeRows has a join that says nothing else put out the whole joined row.
func (b *binder) wholeRows() {
	if b.spec.Select != nil || b.spec.Window != nil {
		return
	}
	for _, name := range joinedMembers(b.spec) {
		t, err := newField(b.rows, opField, codecs.NewPath(codecs.Step{Member: name}))
		if err != nil {
			b.invalid(b.spec.at.join, "%v", err)
			continue
		}
		b.bound.selects = append(b.bound.selects, boundSelect{name, t})
	}
}

// joinSides are the members of a joined row that hold the rows of its sides.
func joinSides() []string { return []string{"left", "right"} }

// joinedMembers are the members of a whole joined row.
func joinedMembers(spec *Spec) []string {
	members := joinSides()
	if spec.Join.TumblingMs > 0 {
		members = append(members, windowStart, windowEnd)
	}
	if spec.Lookup != nil {
		members = append(members, spec.Lookup.As)
	}
	return members
}
