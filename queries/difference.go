package queries

import (
	"slices"

	"leat/codecs"
)

// maxDifferences bounds what is told about two specs that have little in common.
const maxDifferences = 10

// specDifferences lists the JSON pointers at which two specs differ, nil where they
// mean the same; both are valid JSON without repeated members. White space and the
// order of members do not count, except in "select" and "aggregate", where the order
// is that of the output.
func specDifferences(a, b []byte) []string {
	left, _ := readDocument(a)
	right, _ := readDocument(b)
	var d differences
	d.compare(left.root, right.root)
	return d.pointers
}

type differences struct{ pointers []string }

func (d *differences) add(n *jsonNode) {
	if len(d.pointers) < maxDifferences {
		d.pointers = append(d.pointers, n.pointer())
	}
}

func (d *differences) compare(a, b *jsonNode) {
	if a == nil || b == nil || a.kind != b.kind {
		if a == nil {
			a = b
		}
		if a != nil {
			d.add(a)
		}
		return
	}
	switch a.kind {
	case codecs.Object:
		d.members(a, b)
	case codecs.Array:
		for i := range max(len(a.children), len(b.children)) {
			if i >= len(a.children) || i >= len(b.children) {
				d.add(a) // of another length
				return
			}
			d.compare(a.children[i], b.children[i])
		}
	default:
		if string(codecs.AppendJSON(nil, a.value)) != string(codecs.AppendJSON(nil, b.value)) {
			d.add(a)
		}
	}
}

func (d *differences) members(a, b *jsonNode) {
	before := len(d.pointers)
	for _, m := range a.children {
		d.compare(m, b.member(m.name))
	}
	for _, m := range b.children {
		if a.member(m.name) == nil {
			d.add(m)
		}
	}
	ordered := a.parent != nil && a.parent.parent == nil && (a.name == "select" || a.name == "aggregate")
	sameName := func(x, y *jsonNode) bool { return x.name == y.name }
	if ordered && len(d.pointers) == before && !slices.EqualFunc(a.children, b.children, sameName) {
		d.add(a)
	}
}
