package queries

import (
	"slices"
	"strings"

	"leat/codecs"
)

var (
	comparisonOps = []string{"eq", "ne", "lt", "le", "gt", "ge", "in", "contains", "exists"}
	logicOps      = []string{"and", "or", "not"}
)

func (p *specParser) filter(n *jsonNode) *FilterSpec {
	f := &FilterSpec{node: n}
	switch n.kind {
	case codecs.String:
		f.Expr = n.value.Str
		if strings.TrimSpace(f.Expr) == "" {
			p.invalid(n, `"filter" is empty; leave it out to keep every row`)
			return nil
		}
	case codecs.Array:
		f.Conditions = p.conditionList(n, 1)
	default:
		p.invalid(n, `"filter" is an expression like "dep_delay > 15" or a list of conditions like [{"field":"dep_delay","op":"gt","value":15}], not %s`, article(n.kind))
		return nil
	}
	return f
}

func (p *specParser) conditionList(n *jsonNode, depth int) []Condition {
	var list []Condition
	for _, e := range n.children {
		if c, ok := p.condition(e, depth); ok {
			list = append(list, c)
		}
	}
	return list
}

const conditionForm = `a condition is an object like {"field":"dep_delay","op":"gt","value":15} or {"or":[…]}`

func (p *specParser) condition(n *jsonNode, depth int) (c Condition, ok bool) {
	if p.conditions++; p.conditions > maxConditions {
		if p.conditions == maxConditions+1 {
			p.invalid(n, "more than %d conditions in one filter", maxConditions)
		}
		return c, false
	}
	if depth > maxNesting {
		p.invalid(n, "conditions nested more than %d deep", maxNesting)
		return c, false
	}
	if n.kind != codecs.Object || len(n.children) == 0 {
		p.invalid(n, conditionForm)
		return c, false
	}
	c.node = n
	for _, op := range logicOps {
		m := n.member(op)
		if m == nil {
			continue
		}
		if len(n.children) > 1 {
			p.invalid(n, `%q stands alone in its condition`, op)
			return c, false
		}
		c.Op = op
		return c, p.combination(&c, m, depth)
	}
	return c, p.comparison(&c, n)
}

// combination reads the conditions that and, or or not at m combines.
func (p *specParser) combination(c *Condition, m *jsonNode, depth int) bool {
	before := p.found
	switch {
	case c.Op == "not" && m.kind == codecs.Object:
		if nested, ok := p.condition(m, depth+1); ok {
			c.Nested = []Condition{nested}
		}
	case c.Op == "not":
		p.invalid(m, `"not" holds one condition, an object`)
	case m.kind != codecs.Array || len(m.children) == 0:
		p.invalid(m, "%q holds a list of conditions", c.Op)
	default:
		c.Nested = p.conditionList(m, depth+1)
	}
	return p.found == before && len(c.Nested) > 0
}

func (p *specParser) comparison(c *Condition, n *jsonNode) bool {
	before := p.found
	p.members(n, []string{"field", "op", "value", "and", "or", "not"}, nil)
	field, op, value := n.member("field"), n.member("op"), n.member("value")
	if field == nil {
		p.invalid(n, `member "field" is missing: `+conditionForm)
	} else if f, ok := p.field(field); ok {
		c.Field = f.Path
	}
	if op == nil {
		p.invalid(n, `member "op" is missing: %s`, quotedList(comparisonOps))
		return false
	}
	text, ok := p.text(op)
	if !ok {
		return false
	}
	if !slices.Contains(comparisonOps, text) {
		p.invalid(op, "unknown op %q%s", text, nearOf(text, comparisonOps))
		return false
	}
	c.Op = text
	p.conditionValue(c, n, value)
	return p.found == before
}

// conditionValue checks "value" against the operator.
func (p *specParser) conditionValue(c *Condition, n, value *jsonNode) {
	if c.Op == "exists" {
		c.Values = []codecs.Value{codecs.BoolValue(true)}
		if value != nil {
			c.Values[0] = value.value
			if value.kind != codecs.Bool {
				p.invalid(value, `the value of "exists" is true or false; without it, true`)
			}
		}
		return
	}
	if value == nil {
		p.invalid(n, `member "value" is missing: what %q compares with`, c.Op)
		return
	}
	switch {
	case c.Op == "in":
		p.inValues(c, value)
		return
	case value.kind == codecs.Object || value.kind == codecs.Array:
		p.invalid(value, "the value of %q is a string, a number, a boolean or null, not %s", c.Op, article(value.kind))
		return
	case c.Op == "contains" && value.kind != codecs.String:
		p.invalid(value, `the value of "contains" is a string, not %s`, article(value.kind))
	case slices.Contains([]string{"lt", "le", "gt", "ge"}, c.Op) && (value.kind == codecs.Null || value.kind == codecs.Bool):
		p.invalid(value, "the value of %q is a number or a string, not %s", c.Op, article(value.kind))
	}
	c.Values = []codecs.Value{value.value}
}

func (p *specParser) inValues(c *Condition, value *jsonNode) {
	if value.kind != codecs.Array {
		p.invalid(value, `the value of "in" is a list, not %s`, article(value.kind))
		return
	}
	if len(value.children) > maxInValues {
		p.invalid(value, `the list of "in" has more than %d values`, maxInValues)
		return
	}
	for _, e := range value.children {
		if e.kind == codecs.Object || e.kind == codecs.Array {
			p.invalid(e, `the list of "in" holds strings, numbers, booleans and nulls, not %s`, article(e.kind))
			continue
		}
		c.Values = append(c.Values, e.value)
	}
}
