package queries

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"leat/codecs"
	"leat/internal/fault"
	"leat/operators"
)

var (
	aggregateNames = []string{
		"count", "sum", "avg", "min", "max", "stddev", "first", "last", "min_by", "max_by",
		"count_distinct", "approx_count_distinct", "percentile", "top_k", "collect",
	}
	simpleAggregateNames = aggregateNames[:5] // what one-shot queries have
	windowKinds          = []string{"tumbling", "hopping", "every", "session", "allowed_lateness"}
	windowKindsLater     = []string{"within", "before", "after"}
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
		if a, ok := p.windowAggregate(m); ok {
			p.spec.Aggregate = append(p.spec.Aggregate, a)
		}
	}
}

// windowAggregate reads one {"fn", "field", "as", "filter"}, with "by", "p" or "k" where
// the function takes it. "field" and "by" may also be expressions.
func (p *specParser) windowAggregate(n *jsonNode) (a AggregateSpec, ok bool) {
	before := p.found
	a, _ = p.aggregateOf(n, aggregateNames, []string{"by", "p", "k", "filter"})
	if m := n.member("filter"); m != nil {
		a.Filter = p.filter(m)
	}
	for _, m := range n.children {
		if takes := extraMember(a.Fn); a.Fn != "" && m.name != takes && (m.name == "by" || m.name == "p" || m.name == "k") {
			p.invalid(m, "%s takes no %q", a.Fn, m.name)
		}
	}
	m := n.member(extraMember(a.Fn))
	switch {
	case extraMember(a.Fn) == "" || n.kind != codecs.Object:
	case m == nil:
		p.invalid(n, `member %q is missing: %s`, extraMember(a.Fn), paramMeaning(a.Fn))
	case m.name == "by":
		a.By = p.operand(m)
	default:
		var fits bool
		if a.Param, fits = aggregateParam(a.Fn, m.value); !fits {
			p.invalid(m, "%s", paramMeaning(a.Fn))
		}
	}
	return a, p.found == before
}

// extraMember is the member beside "field" that the list form of fn needs, or "".
func extraMember(fn string) string {
	switch fn {
	case "min_by", "max_by":
		return "by"
	case "percentile":
		return "p"
	case "top_k":
		return "k"
	}
	return ""
}

// paramMeaning says what the second argument of fn is.
func paramMeaning(fn string) string {
	switch fn {
	case "percentile":
		return "percentile takes a number from 0 to 100 with at most 3 decimals, as 99.9"
	case "top_k":
		return fmt.Sprintf("top_k takes an integer from 1 to %d", maxTopK)
	}
	return "what " + fn + " chooses the row by"
}

// maxTopK is the largest k of top_k.
const maxTopK = 1000

// aggregateParam reads the percentage of percentile, in thousandths of a percent, or
// the k of top_k.
func aggregateParam(fn string, v codecs.Value) (param int64, ok bool) {
	switch {
	case fn == "top_k":
		return v.Int(), v.Kind == codecs.Int && v.Int() >= 1 && v.Int() <= maxTopK
	case !v.IsNumber():
		return 0, false
	}
	thousandths := math.Round(v.AsFloat() * 1000)
	return int64(thousandths), thousandths >= 0 && thousandths <= 100_000 && thousandths/1000 == v.AsFloat()
}

// listedAggregate reads one {"fn", "field", "as"} of a one-shot query.
func (p *specParser) listedAggregate(n *jsonNode) (a AggregateSpec, ok bool) {
	a, ok = p.aggregateOf(n, simpleAggregateNames, nil)
	if m := n.member("field"); ok && m != nil && a.Arg.Expr != "" {
		_, ok = p.field(m) // says what is wrong with the path
	}
	return a, ok
}

// operand reads a field path or, if the text at n is none, leaves an expression to Bind.
func (p *specParser) operand(n *jsonNode) *OperandSpec {
	text, ok := p.text(n)
	if !ok {
		return nil
	}
	path, err := codecs.ParsePath(text)
	switch {
	case err == nil:
		return &OperandSpec{Text: text, Path: path, node: n}
	case strings.TrimSpace(text) == "":
		p.invalid(n, "%v", err)
		return nil
	}
	return &OperandSpec{Text: text, Expr: text, node: n}
}

// aggregateOf reads one {"fn", "field", "as"} with a function of names. Members that
// extra names are for the caller.
func (p *specParser) aggregateOf(n *jsonNode, names, extra []string) (a AggregateSpec, ok bool) {
	if n.kind != codecs.Object {
		p.invalid(n, `an aggregate is an object like {"fn": "avg", "field": "dep_delay", "as": "avg_delay"}, not %s`, article(n.kind))
		return a, false
	}
	before := p.found
	p.members(n, append([]string{"fn", "field", "as"}, extra...), nil)
	a.node = n
	switch fn := n.member("fn"); {
	case fn == nil:
		p.invalid(n, `member "fn" is missing: %s`, quotedList(names))
	default:
		var isText bool
		if a.Fn, isText = p.text(fn); isText {
			p.aggregateName(fn, a.Fn, names)
		}
	}
	a.Name = a.Fn
	if m := n.member("field"); m != nil {
		if a.Arg = p.operand(m); a.Arg != nil {
			a.Name += "_" + a.Arg.Text
		}
	} else if a.Fn != "count" && slices.Contains(names, a.Fn) {
		p.invalid(n, `member "field" is missing: what %s is taken of`, a.Fn)
	}
	if m := n.member("as"); m != nil {
		a.Name, _ = p.text(m)
	}
	return a, p.found == before
}

// aggregateName checks the name of an aggregate function that stands at n.
func (r *reporter) aggregateName(n *jsonNode, fn string, names []string) bool {
	switch {
	case slices.Contains(names, fn):
		return true
	case slices.Contains(aggregateNames, fn):
		r.add(n, fault.Unprocessable, codeUnsupported, "aggregate %q is not available in this version", fn)
	default:
		r.invalid(n, "unknown aggregate %q%s", fn, nearOf(fn, names))
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
	tumbling, hopping, every, session := n.member("tumbling"), n.member("hopping"), n.member("every"), n.member("session")
	switch {
	case session != nil && (tumbling != nil || hopping != nil || every != nil):
		p.invalid(n, `a window is either {"session": GAP}, {"tumbling": D} or {"hopping": D, "every": D}`)
	case session != nil:
		p.session(session)
	case tumbling != nil && (hopping != nil || every != nil):
		p.invalid(n, `a window is either {"tumbling": D} or {"hopping": D, "every": D}`)
	case tumbling != nil:
		p.spec.Window = &WindowSpec{TumblingMs: p.length(tumbling)}
	case hopping != nil && every != nil:
		p.hopping(hopping, every)
	case hopping != nil:
		p.invalid(n, `"hopping" without "every": say how far apart the windows begin, for example {"hopping": "1h", "every": "5m"}`)
	case every != nil:
		p.invalid(n, `"every" without "hopping": say how long the windows are, for example {"hopping": "1h", "every": "5m"}`)
	case n.member("allowed_lateness") != nil && len(n.children) == 1:
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

// session reads the gap of session windows.
func (p *specParser) session(n *jsonNode) {
	w := &WindowSpec{SessionMs: p.length(n)}
	p.spec.Window = w
	if w.SessionMs > operators.MaxSessionGapMs {
		p.invalid(n, "a session gap is at most %s", FormatDuration(operators.MaxSessionGapMs))
	}
}

// length is the duration at n, which has to be one of at least 1 ms.
func (p *specParser) length(n *jsonNode) int64 {
	size := p.duration(n)
	if _, err := durationOf(n); err == nil && size == 0 {
		p.invalid(n, "a window of no length: %q is at least 1ms", n.name)
	}
	return size
}

// maxOverlap bounds how many windows a row may lie in.
const maxOverlap = 10_000

func (p *specParser) hopping(hopping, every *jsonNode) {
	before := p.found
	w := &WindowSpec{HoppingMs: p.length(hopping), EveryMs: p.length(every)}
	p.spec.Window = w
	switch {
	case p.found > before:
	case w.EveryMs > w.HoppingMs:
		p.invalid(every, `windows of %s every %s leave gaps: "every" is at most "hopping"`, FormatDuration(w.HoppingMs), FormatDuration(w.EveryMs))
	case w.HoppingMs > operators.MaxHoppingMs:
		p.invalid(hopping, "a hopping window is at most %s long", FormatDuration(operators.MaxHoppingMs))
	case (w.HoppingMs-1)/w.EveryMs >= maxOverlap:
		p.invalid(every, "each row would lie in more than %d windows", maxOverlap)
	}
}

// having reads the condition on grouped rows, in the forms of a filter.
func (p *specParser) having(n *jsonNode) {
	switch {
	case n == nil:
	case n.kind == codecs.String && strings.TrimSpace(n.value.Str) != "":
		p.spec.Having = &FilterSpec{node: n, Expr: n.value.Str}
	case n.kind == codecs.Array && len(n.children) > 0:
		p.spec.Having = &FilterSpec{node: n, Conditions: p.conditionList(n, 1)}
	default:
		p.invalid(n, `"having" is an expression like "flights > 10" or a list of conditions like [{"field":"flights","op":"gt","value":10}]`)
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
