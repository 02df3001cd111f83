package queries

import (
	"math"
	"strconv"

	"leat/codecs"
	"leat/internal/fault"
	"leat/log"
)

func (p *specParser) source(n *jsonNode) (s SourceSpec) {
	if n.kind != codecs.Object {
		p.invalid(n, `"source" has to be an object like {"topic": "flights"}, not %s`, article(n.kind))
		return s
	}
	p.members(n, sourceMembers, nil)
	switch topic := n.member("topic"); {
	case topic == nil:
		p.invalid(n, `member "topic" is missing in "source"`)
	default:
		s.topic = topic
		if text, ok := p.text(topic); ok {
			s.Topic = text
			if text == "" {
				p.invalid(topic, `"topic" is empty`)
			}
		}
	}
	if m := n.member("start"); m != nil {
		s.start = m
		s.Start = p.start(m)
	}
	if m := n.member("until"); m != nil {
		if s.UntilEnd = m.kind == codecs.String && m.value.Str == "end"; !s.UntilEnd {
			p.invalid(m, `"until" is "end"; without it the query runs on`)
		}
	}
	if m := n.member("event_time"); m != nil {
		if field, ok := p.field(m); ok {
			s.EventTime = &field
		}
	}
	if m := n.member("max_out_of_orderness"); m != nil {
		s.MaxOutOfOrderness = p.duration(m)
	}
	if m := n.member("idle_timeout"); m != nil {
		s.IdleTimeout = p.duration(m)
		if _, err := durationOf(m); err == nil && s.IdleTimeout == 0 {
			p.invalid(m, `"idle_timeout" is at least 1ms; without it no partition is ever passed over`)
		}
	}
	p.formatOf(n, &s)
	return s
}

const startForms = `"start" is "earliest", "latest", {"offset": {"0": 17}} with an offset for each partition, or {"timestamp": MS}`

func (p *specParser) start(n *jsonNode) Start {
	if n.kind == codecs.String {
		switch n.value.Str {
		case "earliest":
			return Start{Kind: StartEarliest}
		case "latest":
			return Start{Kind: StartLatest}
		}
	}
	if n.kind != codecs.Object || len(n.children) != 1 {
		p.invalid(n, startForms)
		return Start{}
	}
	switch m := n.children[0]; m.name {
	case "offset":
		return Start{Kind: StartOffset, Offsets: p.offsets(m)}
	case "timestamp":
		return Start{Kind: StartTimestamp, Timestamp: p.timestamp(m)}
	default:
		p.members(n, []string{"offset", "timestamp"}, nil)
	}
	return Start{}
}

func (p *specParser) offsets(n *jsonNode) map[int32]log.Offset {
	if n.kind != codecs.Object {
		p.invalid(n, `"offset" has to be an object from partition to offset like {"0": 17}, not %s`, article(n.kind))
		return nil
	}
	offsets := make(map[int32]log.Offset, len(n.children))
	for _, m := range n.children {
		partition, err := strconv.ParseUint(m.name, 10, 31)
		if err != nil || strconv.FormatUint(partition, 10) != m.name {
			p.addName(m, fault.Invalid, codeInvalid, "%q is not a partition number", m.name)
			continue
		}
		if m.kind != codecs.Int || m.value.Int() < 0 {
			p.invalid(m, "an offset is an integer from 0")
			continue
		}
		offsets[int32(partition)] = log.Offset(m.value.Int())
	}
	return offsets
}

func (p *specParser) timestamp(n *jsonNode) int64 {
	switch n.kind {
	case codecs.Int:
		if n.value.Int() >= 0 {
			return n.value.Int()
		}
	case codecs.String:
		if ms, ok := codecs.ParseTime(n.value.Str); ok {
			return ms
		}
	}
	p.invalid(n, `"timestamp" is an append time, in epoch milliseconds or as RFC 3339 text`)
	return math.MaxInt64
}
