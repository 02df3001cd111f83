package queries

import (
	"fmt"
	"strings"

	"leat/codecs"
)

// scope says which names an expression may use.
type scope interface {
	// field finds the column that holds path, and the kinds of its values. The
	// error says why there is none.
	field(path codecs.Path) (col int, kinds kindSet, err error)
}

// sourceScope is what expressions over records may use: any path, which becomes a
// column.
type sourceScope struct {
	paths  []codecs.Path
	kinds  []kindSet     // of each path
	format codecs.Format // nil: nothing is known of the records
}

func (s *sourceScope) field(path codecs.Path) (col int, kinds kindSet, err error) {
	for i, p := range s.paths {
		if p.Equal(path) {
			return i, s.kinds[i], nil
		}
	}
	if len(s.paths) == maxFields {
		return 0, 0, errTooManyFields()
	}
	kinds = kindAny
	if s.format != nil {
		known, err := s.format.TypeOf(path)
		if err != nil {
			return 0, 0, err
		}
		kinds = kindsOf(known)
	}
	s.paths, s.kinds = append(s.paths, path), append(s.kinds, kinds)
	return len(s.paths) - 1, kinds, nil
}

func errTooManyFields() error {
	return fmt.Errorf("a query of more than %d different fields", maxFields)
}

// groupedScope is what expressions over grouped rows may use.
type groupedScope struct {
	bound *Bound
}

// member finds a column of the grouped row by its name.
func (s *groupedScope) member(name string) (col int, kinds kindSet, ok bool) {
	for i := range s.bound.keys {
		if s.bound.keys[i].Name == name {
			return i, s.bound.keyKinds[i], true
		}
	}
	col = len(s.bound.keys)
	for i := range s.bound.aggregates {
		if s.bound.aggregates[i].name == name {
			return col + i, s.bound.aggregates[i].kinds(), true
		}
	}
	col += len(s.bound.aggregates)
	if s.bound.Spec.running() {
		return 0, 0, false
	}
	switch name {
	case windowStart:
		return col, kindInt, true
	case windowEnd:
		return col + 1, kindInt, true
	}
	return 0, 0, false
}

func (s *groupedScope) field(path codecs.Path) (col int, kinds kindSet, err error) {
	text := path.String()
	if col, kinds, ok := s.member(text); ok {
		return col, kinds, nil
	}
	for i, field := range s.bound.Spec.GroupBy {
		if field.Path.Equal(path) {
			return i, s.bound.keyKinds[i], nil
		}
	}
	if s.bound.Spec.flawed {
		return 0, kindAny, nil // the name may be one that Parse could not make out
	}
	known := []string{}
	for _, k := range s.bound.keys {
		known = append(known, k.Name)
	}
	for _, a := range s.bound.aggregates {
		known = append(known, a.name)
	}
	if !s.bound.Spec.running() {
		known = append(known, windowStart, windowEnd)
	}
	return 0, 0, fmt.Errorf("%q is not a member of the grouped row, which has %s%s", text, strings.Join(known, ", "), didYouMean(text, known))
}
