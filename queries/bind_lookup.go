package queries

import (
	"slices"

	"leat/codecs"
	"leat/internal/fault"
)

// boundLookup is a lookup whose names are resolved.
type boundLookup struct {
	key   *term
	paths []codecs.Path // of what expressions use, below the value
	// columns of the rows are where they are. Until all of a record's fields are known,
	// those of a plain query are numbered from lookupBase.
	columns []int
	whole   int // index into paths of the whole value, -1 where nothing uses it
}

// lookupBase is above the columns of all fields.
const lookupBase = maxFields

// lookupScope is what expressions behind a lookup may use: the rows, and in them a
// member that is what has been looked up.
type lookupScope struct {
	rows  scope
	joins *boundJoin // of the rows; nil where they are records
	as    string
	bound *boundLookup
}

func (s *lookupScope) field(path codecs.Path) (col int, kinds kindSet, err error) {
	steps := path.Steps()
	if len(steps) == 0 || steps[0].Member != s.as {
		return s.rows.field(path)
	}
	below := codecs.NewPath(steps[1:]...)
	if i := slices.IndexFunc(s.bound.paths, below.Equal); i >= 0 {
		return s.bound.columns[i], kindAny, nil
	}
	if len(s.bound.paths) == maxFields {
		return 0, 0, errTooManyFields()
	}
	col = lookupBase + len(s.bound.paths)
	if s.joins != nil {
		col = len(s.joins.columns)
		s.joins.columns = append(s.joins.columns, joinColumn{path: path, side: lookedUp})
	}
	s.bound.paths, s.bound.columns = append(s.bound.paths, below), append(s.bound.columns, col)
	return col, kindAny, nil
}

// lookup resolves the lookup: its key is of the rows in front of it, and what follows
// sees the rows behind it.
func (b *binder) lookup() {
	l := b.spec.Lookup
	if l == nil {
		return
	}
	b.bound.lookup = &boundLookup{whole: -1}
	if l.Key != "" {
		b.bound.lookup.key = b.expr(l.key, l.Key, b.rows)
	} else if l.key != nil && l.key.kind == codecs.String {
		b.invalid(l.key, `"key" is an expression, and it is empty`)
	}
	if t := b.bound.lookup.key; t != nil && t.kinds.outside(kindText|kindNumber|kindBool) {
		b.invalid(l.key, "a key is a string, a number or a bool, and this is %s", t.kinds)
	}
	if l.As != "" {
		b.lookupName(l)
		b.rows = &lookupScope{rows: b.rows, joins: b.bound.join, as: l.As, bound: b.bound.lookup}
		b.names = b.rows
	}
}

// lookupName refuses a name that rows have already.
func (b *binder) lookupName(l *LookupSpec) {
	if b.spec.Join != nil {
		if slices.Contains(append(joinSides(), windowStart, windowEnd), l.As) {
			b.add(l.as, fault.Unprocessable, codeInvalid, "the joined row has a member %q of its own: take another name", l.As)
		}
		return
	}
	for i := range b.sources {
		format := b.sources[i].format
		if format == nil {
			continue
		}
		kinds, err := format.TypeOf(codecs.NewPath(codecs.Step{Member: l.As}))
		if err == nil && kinds != codecs.AnyKind {
			b.add(l.as, fault.Unprocessable, codeInvalid, "the records of topic %q have a field %q of their own: take another name",
				b.spec.Sources[i].Topic, l.As)
		}
	}
}

// settleLookup gives the columns of a plain query their places behind those of the
// record.
func (b *Bound) settleLookup() {
	l := b.lookup
	if l == nil {
		return
	}
	l.whole = slices.IndexFunc(l.paths, codecs.Path{}.Equal)
	if b.join != nil {
		return
	}
	base := len(b.sources[0].paths)
	place := func(col int) int {
		if col >= lookupBase {
			return base + col - lookupBase
		}
		return col
	}
	for i := range l.columns {
		l.columns[i] = place(l.columns[i])
	}
	for i := range b.keys {
		b.keys[i].Column = place(b.keys[i].Column)
	}
	moved := map[*term]bool{nil: true}
	var move func(terms ...*term)
	move = func(terms ...*term) {
		for _, t := range terms {
			if !moved[t] {
				moved[t] = true
				t.col = place(t.col)
				move(t.args...)
			}
		}
	}
	move(b.filter)
	for i := range b.aggregates {
		move(b.aggregates[i].arg, b.aggregates[i].by, b.aggregates[i].filter)
	}
	if b.Spec.Window == nil { // else they are of grouped rows
		for _, s := range b.selects {
			move(s.term)
		}
	}
}
