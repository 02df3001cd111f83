package queries

import (
	"math"
	"slices"

	"leat/codecs"
	"leat/log"
)

// shotParser reads the body of a one-shot form. Members it does not know are passed
// over, null is as good as absent.
type shotParser struct {
	*specParser
	formats OneShotFormats // nil: only JSON is read
}

// newShotParser reads a body; without a root there is nothing more to read.
func newShotParser(body []byte, formats OneShotFormats) (shotParser, *jsonNode) {
	doc, report := readDocument(body)
	p := shotParser{&specParser{reporter: report, spec: &Spec{doc: doc}}, formats}
	if doc.root != nil && doc.root.kind != codecs.Object {
		p.invalid(doc.root, "the body has to be a JSON object, not %s", article(doc.root.kind))
		return p, nil
	}
	return p, doc.root
}

// get finds a member that is there and not null.
func (p shotParser) get(n *jsonNode, name string) *jsonNode {
	if m := n.member(name); m != nil && m.kind != codecs.Null {
		return m
	}
	return nil
}

// of is get of a member that has to be of a kind.
func (p shotParser) of(n *jsonNode, name string, kind codecs.Kind) *jsonNode {
	m := p.get(n, name)
	if m != nil && m.kind != kind {
		p.invalid(m, "%q has to be %s, not %s", name, article(kind), article(m.kind))
		return nil
	}
	return m
}

func (p shotParser) string(n *jsonNode, name string) string {
	if m := p.of(n, name, codecs.String); m != nil {
		return m.value.Str
	}
	return ""
}

func (p shotParser) bool(n *jsonNode, name string) bool {
	m := p.of(n, name, codecs.Bool)
	return m != nil && m.value.Bool()
}

// word is a member that is one of a few words; the first where it is absent.
func (p shotParser) word(n *jsonNode, name string, words ...string) string {
	m := p.of(n, name, codecs.String)
	if m == nil {
		return words[0]
	}
	if !slices.Contains(words, m.value.Str) {
		p.invalid(m, "%q has to be %s, not %q", name, quotedList(words), m.value.Str)
	}
	return m.value.Str
}

func (p shotParser) integer(n *jsonNode, name string, low, high, absent int64) int64 {
	m := p.get(n, name)
	switch {
	case m == nil:
		return absent
	case m.kind != codecs.Int || m.value.Int() < low || m.value.Int() > high:
		if high == math.MaxInt64 {
			p.invalid(m, "%q has to be a whole number, at least %d", name, low)
		} else {
			p.invalid(m, "%q has to be a whole number from %d to %d", name, low, high)
		}
		return absent
	}
	return m.value.Int()
}

// fields reads a list of field paths.
func (p shotParser) fields(n *jsonNode, name string, most int) (fields []FieldSpec) {
	list := p.of(n, name, codecs.Array)
	if list == nil {
		return nil
	}
	if len(list.children) > most {
		p.invalid(list, "%q has more than %d fields", name, most)
		return nil
	}
	for _, e := range list.children {
		if f, ok := p.field(e); ok {
			fields = append(fields, f)
		}
	}
	return fields
}

// source reads a source or a side of a join.
func (p shotParser) source(root *jsonNode, name string, names *sourceScope) OneShotSource {
	s := OneShotSource{Partition: -1, Offset: -1, eventTime: -1}
	n := p.of(root, name, codecs.Object)
	if n == nil {
		if p.get(root, name) == nil {
			p.invalid(root, "member %q is missing", name)
		}
		return s
	}
	s.Topic, s.Group = p.string(n, "topic"), p.string(n, "group")
	s.Partition = int32(p.integer(n, "partition", 0, math.MaxInt32, -1))
	s.Offset = log.Offset(p.integer(n, "offset", 0, math.MaxInt64, -1))
	s.Limit = int(min(p.integer(n, "limit", 1, math.MaxInt64, MaxOneShotRecords), MaxOneShotRecords))
	if m := p.get(n, "event_time"); m != nil {
		if f, ok := p.field(m); ok {
			s.eventTime = p.column(names, f)
		}
	}
	p.decode(n, &s)
	return s
}

// column finds the column of a field.
func (p shotParser) column(names *sourceScope, f FieldSpec) int {
	column, _, err := names.field(f.Path)
	if err != nil {
		p.invalid(f.node, "%v", err)
	}
	return column
}

// projection is the fields under a name, or the whole record.
func (p shotParser) projection(n *jsonNode, name string, names *sourceScope) (s shotProjection) {
	for _, f := range p.fields(n, name, maxSelect) {
		s.names = append(s.names, f.Text)
		s.columns = append(s.columns, p.column(names, f))
	}
	if len(s.names) == 0 {
		s.whole, _, _ = names.field(codecs.Path{})
	}
	return s
}

// prune drops the members of the objects in a list that are not known, at any depth
// of nested lists: the strict readers of a query spec come after it.
func prune(n *jsonNode, known []string) {
	if n == nil {
		return
	}
	if n.kind == codecs.Object {
		n.children = slices.DeleteFunc(n.children, func(m *jsonNode) bool { return !slices.Contains(known, m.name) })
	}
	for _, child := range n.children {
		if child.name != "value" {
			prune(child, known)
		}
	}
}

// done sorts the problems.
func (p shotParser) done() Problems {
	p.problems.sort()
	return p.problems
}
