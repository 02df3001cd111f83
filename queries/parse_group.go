package queries

import (
	"leat/codecs"
	"leat/internal/fault"
	"slices"
)

var (
	aggregateNames      = []string{"count", "sum", "avg", "min", "max"}
	aggregateNamesLater = []string{
		"count_distinct", "first", "last", "stddev", "percentile",
		"top_k", "max_by", "min_by", "collect",
	}
	windowKinds      = []string{"tumbling", "allowed_lateness"}
	windowKindsLater = []string{"hopping", "every", "session", "within", "before", "after"}
)

func (p *specParser) groupBy(n *jsonNode) {
	if n == nil {
		return
	}
	if n.kind != codecs.Array || len(n.children) == 0 {
		p.invalid(n, `"group_by" is a list of field paths like ["origin"]; leave it out for one group`)
		return
	}
	if len(n.children) > maxGroupBy {
		p.invalid(n, `"group_by" has more than %d fields`, maxGroupBy)
		return
	}
	for _, e := range n.children {
		if field, ok := p.field(e); ok {
			p.spec.GroupBy = append(p.spec.GroupBy, field)
		}
	}
}

func (p *specParser) aggregates(n *jsonNode) {
	if n == nil {
		return
	}
	if n.kind != codecs.Object && n.kind != codecs.Array || len(n.children) == 0 {
		p.invalid(n, `"aggregate" is an object like {"flights": "count()"} or a list of {"fn", "field", "as"}`)
		return
	}
	if len(n.children) > maxAggregates {
		p.invalid(n, `"aggregate" has more than %d members`, maxAggregates)
		return
	}
	for _, m := range n.children {
		if n.kind == codecs.Object {
			if text, ok := p.text(m); ok {
				p.spec.Aggregate = append(p.spec.Aggregate, AggregateSpec{Name: m.name, Expr: text, node: m})
			}
			continue
		}
		if a, ok := p.listedAggregate(m); ok {
			p.spec.Aggregate = append(p.spec.Aggregate, a)
		}
	}
}

// listedAggregate reads one {"fn", "field", "as"}.
func (p *specParser) listedAggregate(n *jsonNode) (a AggregateSpec, ok bool) {
	if n.kind != codecs.Object {
		p.invalid(n, `an aggregate is an object like {"fn": "avg", "field": "dep_delay", "as": "avg_delay"}, not %s`, article(n.kind))
		return a, false
	}
	before := p.found
	p.members(n, []string{"fn", "field", "as"}, nil)
	a.node = n
	switch fn := n.member("fn"); {
	case fn == nil:
		p.invalid(n, `member "fn" is missing: %s`, quotedList(aggregateNames))
	default:
		var isText bool
		if a.Fn, isText = p.text(fn); isText {
			p.aggregateName(fn, a.Fn)
		}
	}
	a.Name = a.Fn
	if m := n.member("field"); m != nil {
		if field, ok := p.field(m); ok {
			a.Arg = &field.Path
			a.Name += "_" + field.Text
		}
	} else if a.Fn != "count" && slices.Contains(aggregateNames, a.Fn) {
		p.invalid(n, `member "field" is missing: what %s is taken of`, a.Fn)
	}
	if m := n.member("as"); m != nil {
		a.Name, _ = p.text(m)
	}
	return a, p.found == before
}

// aggregateName checks the name of an aggregate function that stands at n.
func (r *reporter) aggregateName(n *jsonNode, fn string) bool {
	switch {
	case slices.Contains(aggregateNames, fn):
		return true
	case slices.Contains(aggregateNamesLater, fn):
		r.add(n, fault.Unprocessable, codeUnsupported, "aggregate %q is not available in this version", fn)
	default:
		r.invalid(n, "unknown aggregate %q%s", fn, nearOf(fn, aggregateNames))
	}
	return false
}

func (p *specParser) window(n *jsonNode) {
	if n == nil {
		return
	}
	const form = `"window" is an object like {"tumbling": "1h"}`
	if n.kind != codecs.Object || len(n.children) == 0 {
		p.invalid(n, form)
		return
	}
	p.members(n, windowKinds, windowKindsLater)
	if m := n.member("tumbling"); m != nil {
		size := p.duration(m)
		if _, err := durationOf(m); err == nil && size == 0 {
			p.invalid(m, `a window of no length: "tumbling" is at least 1ms`)
		}
		p.spec.Window = &WindowSpec{TumblingMs: size}
	} else if m := n.member("allowed_lateness"); m != nil && len(n.children) == 1 {
		p.invalid(n, form)
	}
	if m := n.member("allowed_lateness"); m != nil {
		if p.spec.at.lateness != nil {
			p.invalid(m, `"allowed_lateness" is there twice: once in "window" and once beside it`)
			return
		}
		p.spec.AllowedLateness = p.duration(m)
	}
}

func (p *specParser) selects(n *jsonNode) {
	if n == nil {
		return
	}
	if n.kind != codecs.Object || len(n.children) == 0 {
		p.invalid(n, `"select" is an object from member to expression like {"airport": "origin"}`)
		return
	}
	if len(n.children) > maxSelect {
		p.invalid(n, `"select" has more than %d members`, maxSelect)
		return
	}
	for _, m := range n.children {
		if text, ok := p.text(m); ok {
			p.spec.Select = append(p.spec.Select, SelectSpec{Name: m.name, Expr: text, node: m})
		}
	}
}
