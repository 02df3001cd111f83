package avrocodec

import (
	"fmt"

	"leat/codecs"
)

// TypeOf is what the cells of a path can be in records of s. Missing is among them where
// a record may lack the path: an element of an array, an entry of a map, and what lies
// behind a null or only in some branches of a union. The error is a
// *codecs.NoFieldError if no record can have the path.
func (s *Schema) TypeOf(path codecs.Path) (codecs.KindSet, error) {
	p, err := resolve(s.root, s.root)
	if err != nil {
		return 0, fmt.Errorf("the Avro schema has no records: %w", err)
	}
	at := []*plan{p}
	missing := false
	for k, step := range path.Steps() {
		w := walk{step: step}
		for _, p := range at {
			w.into(p)
		}
		if len(w.found) == 0 {
			return 0, w.noField(path, k)
		}
		at, missing = w.found, missing || w.missing
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
		w.found, w.missing = append(w.found, p.items), true
	case p.wire == wireRecord && !w.step.IsIndex:
		for i := range p.fields {
			if p.fields[i].name == w.step.Member {
				w.found = append(w.found, p.fields[i].p)
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
