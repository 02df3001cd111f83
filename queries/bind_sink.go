package queries

import (
	"slices"

	"leat/codecs"
	"leat/internal/fault"
)

// SinkPlan says where the records of one of the query's own logs are written to.
type SinkPlan struct {
	Log   string // sinkResults, sinkLate or sinkDead
	Topic string
	Key   *codecs.Path // into a result row; nil = no key
	// Follow tells that a row goes to the partition its source row came from; else it
	// goes by the hash of its key, and without one to partition 0.
	Follow bool

	node *jsonNode // of the topic's name
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
		{spec.Sink, SinkPlan{Log: sinkResults, Follow: spec.Window == nil}},
		{spec.Late, SinkPlan{Log: sinkLate, Follow: true}},
		{spec.OnError, SinkPlan{Log: sinkDead, Follow: true}},
	} {
		if s.spec == nil || s.spec.Topic == "" {
			continue
		}
		s.plan.Topic, s.plan.node = s.spec.Topic, s.spec.node
		if key := s.spec.Key; key != nil {
			s.plan.Key = &key.Path
			if slices.Contains(outputMembers(spec), key.Text) { // also one that is no identifier
				path := codecs.NewPath(codecs.Step{Member: key.Text})
				s.plan.Key = &path
			}
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
		members = append(members, windowStart, windowEnd)
	}
	return members
}

// sinks checks what the query writes to. Topics that do not exist are made by the
// query; those that do may need a partition for each of the source's.
func (b *binder) sinks(topics TopicLookup) {
	b.bound.sinks = sinkPlans(b.spec)
	for _, s := range b.bound.sinks {
		topic, ok := topics.Topic(s.Topic)
		if ok && s.Follow && topic.Partitions < b.bound.Topic.Partitions {
			b.add(s.node, fault.Unprocessable, codeInvalid,
				"topic %q has %d partitions, fewer than %q with %d: a row goes to the partition its source row came from",
				topic.Name, topic.Partitions, b.bound.Topic.Name, b.bound.Topic.Partitions)
		}
		members := outputMembers(b.spec)
		if s.Key == nil || members == nil {
			continue
		}
		if first := s.Key.Steps()[0].Member; !slices.Contains(members, first) {
			b.invalid(b.spec.Sink.Key.node, "the output row has no member %q%s", first, nearOf(first, members))
		}
	}
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
	text := "write " + s.title() + " to topic " + s.Topic
	switch {
	case s.Key != nil:
		text += ", key " + s.Key.String()
	case !s.Follow:
		text += ", partition 0"
	}
	return text
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
