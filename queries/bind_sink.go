package queries

import (
	"context"
	"slices"
	"strings"

	"leat/codecs"
	"leat/internal/bus"
	"leat/internal/fault"
)

// SinkPlan says where the records of one of the query's own logs are written to: a
// topic, or a key-value namespace.
type SinkPlan struct {
	Log   string // sinkResults, sinkLate or sinkDead
	Topic string
	Key   *codecs.Path  // into a result row; nil = no key
	KV    string        // the namespace, in place of a topic
	Parts []codecs.Path // into a result row: of a key of the namespace
	TTLMs int64         // of what is written to it, 0 = for ever
	// Follow tells that a row goes to the partition its source row came from; else it
	// goes by the hash of its key, and without one to partition 0.
	Follow bool
	Format codecs.FormatSpec // of the records; without a Name they are JSON

	members []string         // of the output row, nil where they are not known
	rows    codecs.RowFormat // what Format stands for; nil = JSON
	node    *jsonNode        // of the topic's name
}

// The logs that may have a sink.
const (
	sinkResults = "results"
	sinkLate    = "late"
	sinkDead    = "dead"
)

// logTopic is the log of query id that the sink empties.
func (s *SinkPlan) logTopic(id string) string {
	switch s.Log {
	case sinkLate:
		return lateTopic(id)
	case sinkDead:
		return deadTopic(id)
	}
	return resultsTopic(id)
}

// sinkPlans are the sinks of a spec.
func sinkPlans(spec *Spec) []SinkPlan {
	var plans []SinkPlan
	for _, s := range []struct {
		spec *SinkSpec
		plan SinkPlan
	}{
		{spec.Sink, SinkPlan{Log: sinkResults, Follow: spec.Window == nil && spec.Join == nil}},
		{spec.Late, SinkPlan{Log: sinkLate, Follow: true}},
		{spec.OnError, SinkPlan{Log: sinkDead, Follow: true}},
	} {
		if s.spec == nil || s.spec.Topic == "" && s.spec.KV == "" {
			continue
		}
		s.plan.Topic, s.plan.node = s.spec.Topic, s.spec.node
		s.plan.Format = codecs.FormatSpec{Topic: s.spec.Topic, Name: s.spec.Format, Schema: s.spec.Schema}
		if s.plan.KV = s.spec.KV; s.plan.KV != "" {
			s.plan.Follow, s.plan.TTLMs = false, s.spec.TTLMs
		}
		members := outputMembers(spec)
		s.plan.members = members
		for _, key := range s.spec.Keys {
			path := key.Path
			if slices.Contains(members, key.Text) { // also one that is no identifier
				path = codecs.NewPath(codecs.Step{Member: key.Text})
			}
			s.plan.Parts = append(s.plan.Parts, path)
		}
		if s.plan.KV == "" && s.plan.Parts != nil {
			s.plan.Key, s.plan.Parts = &s.plan.Parts[0], nil
		}
		plans = append(plans, s.plan)
	}
	return plans
}

// outputMembers are the members of the output rows, nil where they are whole records.
func outputMembers(spec *Spec) []string {
	var members []string
	switch {
	case spec.Select != nil:
		for _, s := range spec.Select {
			members = append(members, s.Name)
		}
	case spec.Window != nil:
		for _, field := range spec.GroupBy {
			members = append(members, field.Text)
		}
		for _, a := range spec.Aggregate {
			members = append(members, a.Name)
		}
		if !spec.running() {
			members = append(members, windowStart, windowEnd)
		}
	case spec.Join != nil:
		members = joinedMembers(spec)
	}
	return members
}

// sinks checks what the query writes to. Topics that do not exist are made by the
// query; those that do may need a partition for each of the source's.
func (b *binder) sinks(ctx context.Context, n Names) {
	topics := n.Topics
	b.bound.sinks = sinkPlans(b.spec)
	for i := range b.bound.sinks {
		b.sinkFormat(ctx, n, &b.bound.sinks[i])
	}
	widest := bus.Topic{}
	for i := range b.bound.sources {
		if t := b.bound.sources[i].topic; t.Partitions > widest.Partitions {
			widest = t
		}
	}
	for _, s := range b.bound.sinks {
		topic, ok := topics.Topic(s.Topic)
		if ok && s.Follow && topic.Partitions < widest.Partitions {
			b.add(s.node, fault.Unprocessable, codeInvalid,
				"topic %q has %d partitions, fewer than %q with %d: a row goes to the partition its source row came from",
				topic.Name, topic.Partitions, widest.Name, widest.Partitions)
		}
		members := outputMembers(b.spec)
		if s.Log != sinkResults || members == nil {
			continue
		}
		paths := s.Parts
		if s.Key != nil {
			paths = []codecs.Path{*s.Key}
		}
		for i, path := range paths {
			if first := path.Steps()[0].Member; !slices.Contains(members, first) {
				b.invalid(b.spec.Sink.Keys[i].node, "the output row has no member %q%s", first, nearOf(first, members))
			}
		}
	}
}

// detail is the sink in the JSON form of a plan.
func (s *SinkPlan) detail() map[string]any {
	if s.KV == "" {
		detail := map[string]any{"topic": s.Topic}
		if s.Format.Name != "" {
			detail["format"] = s.Format.Name
		}
		return detail
	}
	detail := map[string]any{"kv": s.KV}
	if s.TTLMs > 0 {
		detail["ttl_ms"] = s.TTLMs
	}
	return detail
}

// target is where the sink writes to.
func (s *SinkPlan) target() string {
	if s.KV != "" {
		return "kv " + s.KV
	}
	return "topic " + s.Topic
}

// title names the rows that are written.
func (s *SinkPlan) title() string {
	switch s.Log {
	case sinkLate:
		return "late rows"
	case sinkDead:
		return "dead letters"
	}
	return "results"
}

// text says what the sink does.
func (s *SinkPlan) text() string {
	text := "write " + s.title() + " to " + s.target()
	switch {
	case s.KV != "":
		parts := make([]string, len(s.Parts))
		for i, path := range s.Parts {
			parts[i] = path.String()
		}
		text += ", key " + strings.Join(parts, "/")
		if s.TTLMs > 0 {
			text += ", for " + FormatDuration(s.TTLMs)
		}
	case s.Key != nil:
		text += s.formatText() + ", key " + s.Key.String()
	case !s.Follow:
		text += s.formatText() + ", partition 0"
	default:
		text += s.formatText()
	}
	return text
}

func (s *SinkPlan) formatText() string {
	if s.Format.Name == "" {
		return ""
	}
	return " in " + s.Format.Name
}

// sinkSet tells which logs have a sink.
type sinkSet struct{ results, late, dead bool }

func sinkSetOf(sinks []SinkPlan) sinkSet {
	var set sinkSet
	for _, s := range sinks {
		switch s.Log {
		case sinkResults:
			set.results = true
		case sinkLate:
			set.late = true
		case sinkDead:
			set.dead = true
		}
	}
	return set
}
