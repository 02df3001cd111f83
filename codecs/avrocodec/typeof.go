package avrocodec

import (
	"fmt"
	"slices"

	"leat/codecs"
)

// TypeOf is what the cells of a path can be in records of s. Missing is among them where
// a record may lack the path: an element of an array, an entry of a map, and what lies
// behind a null or only in some branches of a union. The error is a
// *codecs.NoFieldError if no record can have the path.
func (s *Schema) TypeOf(path codecs.Path) (codecs.KindSet, error) {
	at, missing, err := s.at(path)
	if err != nil {
		return 0, err
	}
	var kinds codecs.KindSet
	for _, p := range at {
		kinds |= p.kinds()
	}
	if missing {
		kinds |= codecs.Kinds(codecs.Missing)
	}
	return kinds, nil
}

// TypeAt is TypeOf with what is inside of objects and arrays.
func (s *Schema) TypeAt(path codecs.Path) (*codecs.Type, error) {
	at, missing, err := s.at(path)
	if err != nil {
		return nil, err
	}
	all := types{}
	t := all.of(at[0])
	for _, p := range at[1:] {
		t = t.Or(all.of(p))
	}
	if missing {
		t = t.With(codecs.Kinds(codecs.Missing))
	}
	return t, nil
}

// at are the plans of what a path can lead to, at least one; missing tells that a record
// may lack it.
func (s *Schema) at(path codecs.Path) (at []*plan, missing bool, err error) {
	p, err := resolve(s.root, s.root, nil)
	if err != nil {
		return nil, false, fmt.Errorf("the Avro schema has no records: %w", err)
	}
	at = []*plan{p}
	for k, step := range path.Steps() {
		w := walk{step: step}
		for _, p := range at {
			w.into(p)
		}
		if len(w.found) == 0 {
			return nil, false, w.noField(path, k)
		}
		at, missing = w.found, missing || w.missing
	}
	return at, missing, nil
}

// types makes the types of plans.
type types map[*plan]*codecs.Type

func (all types) of(p *plan) *codecs.Type {
	if t := all[p]; t != nil {
		return t
	}
	t := &codecs.Type{Kinds: p.kinds()}
	all[p] = t
	switch p.wire {
	case wireRecord:
		t.Fields = make([]codecs.TypeField, len(p.fields))
		for i := range p.fields {
			t.Fields[i] = codecs.TypeField{Name: p.fields[i].name, Type: all.of(p.fields[i].p)}
		}
	case wireArray:
		t.Items = all.of(p.items)
	case wireMap:
		t.Values = all.of(p.items)
	case wireUnion:
		*t = codecs.Type{}
		for _, b := range p.branches {
			*t = *t.Or(all.of(b))
		}
	}
	return t
}

// walk takes one step of a path from several types.
type walk struct {
	step    codecs.Step
	found   []*plan
	missing bool // a record may have none
	names   []string
	dead    []*plan // types without anything inside, or with something else
}

func (w *walk) into(p *plan) {
	switch {
	case p.wire == wireUnion:
		for _, b := range p.branches {
			w.into(b)
		}
	case p.wire == wireArray && w.step.IsIndex, p.wire == wireMap && !w.step.IsIndex:
		w.find(p.items)
		w.missing = true
	case p.wire == wireRecord && !w.step.IsIndex:
		for i := range p.fields {
			if p.fields[i].name == w.step.Member {
				w.find(p.fields[i].p)
				return
			}
			w.names = append(w.names, p.fields[i].name)
		}
		w.missing = true
	default:
		w.missing = true
		w.dead = append(w.dead, p)
	}
}

// find notes p once, however many ways lead to it.
func (w *walk) find(p *plan) {
	if !slices.Contains(w.found, p) {
		w.found = append(w.found, p)
	}
}

func (w *walk) noField(path codecs.Path, step int) error {
	e := &codecs.NoFieldError{Path: path, Step: step, Nearest: codecs.NearestNames(w.step.Member, w.names)}
	if len(w.names) > 0 {
		return e
	}
	var kinds codecs.KindSet
	for _, p := range w.dead {
		kinds |= p.kinds()
	}
	before := codecs.NewPath(path.Steps()[:step]...)
	verb := "has no members"
	if w.step.IsIndex {
		verb = "has no elements"
	}
	e.Reason = fmt.Sprintf("%q is %s and %s", before, kinds.Values(), verb)
	if step == 0 {
		e.Reason = fmt.Sprintf("a record is %s and %s", kinds.Values(), verb)
	}
	return e
}
