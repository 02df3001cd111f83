package queries

import (
	"leat/codecs"
	"leat/operators"
)

var (
	joinMembers       = []string{"type", "on", "window", "dedupe_once", "allowed_lateness", "left", "right"}
	joinWindowMembers = []string{"tumbling", "within", "before", "after", "allowed_lateness"}
	joinTypes         = []string{"inner", "left", "right", "full"}
)

// join reads the member "join". There are two sources afterwards, whatever is there.
func (p *specParser) join(n *jsonNode) {
	s := p.spec
	s.Join, s.Sources = &JoinSpec{Type: "inner"}, make([]SourceSpec, 2)
	if n.kind != codecs.Object {
		p.invalid(n, `"join" has to be an object with "left", "right", "on" and "window", not %s`, article(n.kind))
		return
	}
	p.members(n, joinMembers, nil)
	for i, side := range []string{"left", "right"} {
		m := n.member(side)
		if m == nil {
			p.invalid(n, `member "%s" is missing in "join": the topic of that side, like {"topic": "flights"}`, side)
			continue
		}
		s.Sources[i] = p.source(m)
	}
	if m := n.member("type"); m != nil {
		p.joinType(m)
	}
	if m := n.member("on"); m == nil {
		p.invalid(n, `member "on" is missing in "join": the fields that have to be equal, like [["origin", "origin"]]`)
	} else {
		p.joinOn(m)
	}
	if m := n.member("window"); m == nil {
		p.invalid(n, `member "window" is missing in "join": how near in time rows have to be, %s`, joinWindowForms)
	} else {
		p.joinWindow(m)
	}
	if m := n.member("dedupe_once"); m != nil {
		if s.Join.Once = m.value.Bool(); m.kind != codecs.Bool {
			p.invalid(m, `"dedupe_once" has to be true or false, not %s`, article(m.kind))
		}
	}
	p.joinLateness(n)
}

// joinLateness reads "allowed_lateness" of a join, which may stand in it, in its window
// or where other queries have it.
func (p *specParser) joinLateness(n *jsonNode) {
	root := p.spec.at.root
	var found *jsonNode
	for _, in := range []*jsonNode{root, root.member("window"), n, n.member("window")} {
		m := in.member("allowed_lateness")
		switch {
		case m == nil:
		case found != nil && (in == n || in == n.member("window")):
			p.invalid(m, `"allowed_lateness" is there twice`)
		default:
			found = m
		}
	}
	if found != nil {
		p.spec.AllowedLateness = p.duration(found)
	}
}

func (p *specParser) joinType(n *jsonNode) {
	text, ok := p.text(n)
	if !ok {
		return
	}
	for _, known := range joinTypes {
		if text == known {
			p.spec.Join.Type = text
			return
		}
	}
	p.invalid(n, `the "type" of a join is %s%s`, quotedList(joinTypes), didYouMean(text, joinTypes))
}

const joinOnForm = `"on" is a list of 1 to 64 pairs of a left and a right field, like [["origin", "origin"]]`

func (p *specParser) joinOn(n *jsonNode) {
	if n.kind != codecs.Array || len(n.children) == 0 || len(n.children) > maxGroupBy {
		p.invalid(n, joinOnForm)
		return
	}
	for _, pair := range n.children {
		if pair.kind != codecs.Array || len(pair.children) != 2 {
			p.invalid(pair, joinOnForm)
			continue
		}
		left, ok := p.field(pair.children[0])
		right, both := p.field(pair.children[1])
		if ok && both {
			p.spec.Join.On = append(p.spec.Join.On, [2]FieldSpec{left, right})
		}
	}
}

const joinWindowForms = `{"tumbling": "1h"} for the same window, {"within": "30m"} for at most so far apart, or {"before": "1h", "after": "5m"} for a right row from so long before to so long after the left one`

func (p *specParser) joinWindow(n *jsonNode) {
	if n.kind != codecs.Object {
		p.invalid(n, `the "window" of a join is %s`, joinWindowForms)
		return
	}
	p.members(n, joinWindowMembers, nil)
	j := p.spec.Join
	tumbling, within, before, after := n.member("tumbling"), n.member("within"), n.member("before"), n.member("after")
	forms := 0
	if tumbling != nil {
		forms++
		j.TumblingMs = p.length(tumbling)
	}
	if within != nil {
		forms++
		j.BeforeMs = p.reach(within)
		j.AfterMs = j.BeforeMs
	}
	if before != nil || after != nil {
		forms++
		j.BeforeMs, j.AfterMs = 0, 0
		if before != nil {
			j.BeforeMs = p.reach(before)
		}
		if after != nil {
			j.AfterMs = p.reach(after)
		}
	}
	if forms != 1 {
		p.invalid(n, `the "window" of a join is one of %s`, joinWindowForms)
	}
}

// reach reads how far apart rows may be.
func (p *specParser) reach(n *jsonNode) int64 {
	ms := p.duration(n)
	if ms > operators.MaxEventTime {
		p.invalid(n, "%s is longer than there is time", describe(n))
	}
	return ms
}
