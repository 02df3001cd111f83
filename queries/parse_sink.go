package queries

import (
	"leat/codecs"
	"leat/internal/fault"
)

// SinkSpec is one of the members "sink", "late" and "on_error" that name a topic.
type SinkSpec struct {
	Topic string
	Key   *FieldSpec // of "sink" alone: path into the output row; nil = no key

	node *jsonNode // of the topic's name
}

var (
	sinkMembers      = []string{"topic", "format", "key"}
	letterMembers    = []string{"topic"}
	sinkMembersLater = []string{"kv", "webhook"}
)

// sinks reads where the query writes besides its own logs.
func (p *specParser) sinks(root *jsonNode) {
	s := p.spec
	s.Sink = p.sink(root.member("sink"))
	s.Late = p.letters(root.member("late"), `"late" is {"topic": NAME}`)
	if n := root.member("on_error"); n != nil && n.kind == codecs.String && n.value.Str == "stop" {
		s.StopOnError = true
	} else {
		s.OnError = p.letters(n, `"on_error" is "stop" or {"topic": NAME}; without it failing rows are kept in the query's own dead-letter log`)
	}
	names := map[string]bool{s.Source.Topic: true}
	for _, sink := range []*SinkSpec{s.Sink, s.Late, s.OnError} {
		if sink == nil || sink.Topic == "" {
			continue
		}
		if names[sink.Topic] {
			p.invalid(sink.node, "topic %q is read or written by this query already", sink.Topic)
		}
		names[sink.Topic] = true
	}
}

func (p *specParser) sink(n *jsonNode) *SinkSpec {
	if n == nil {
		return nil
	}
	if n.kind != codecs.Object {
		p.invalid(n, `"sink" is {"topic": NAME, "key": PATH}, not %s`, article(n.kind))
		return nil
	}
	p.members(n, sinkMembers, sinkMembersLater)
	s := &SinkSpec{}
	p.topicOf(n, s)
	if m := n.member("key"); m != nil {
		if field, ok := p.field(m); ok {
			s.Key = &field
		}
	}
	if m := n.member("format"); m != nil {
		switch text, ok := p.text(m); {
		case !ok || text == "json":
		case text == "avro" || text == "protobuf":
			p.add(m, fault.Unprocessable, codeUnsupported, "format %q is not available in this version", text)
		default:
			p.invalid(m, `"format" is "json"`)
		}
	}
	return s
}

func (p *specParser) letters(n *jsonNode, form string) *SinkSpec {
	if n == nil {
		return nil
	}
	if n.kind != codecs.Object {
		p.invalid(n, "%s", form)
		return nil
	}
	p.members(n, letterMembers, nil)
	s := &SinkSpec{}
	p.topicOf(n, s)
	return s
}

const maxTopicName = 249

func (p *specParser) topicOf(n *jsonNode, s *SinkSpec) {
	topic := n.member("topic")
	if topic == nil {
		if n.member("kv") == nil && n.member("webhook") == nil {
			p.invalid(n, `member "topic" is missing in "%s"`, n.name)
		}
		return
	}
	s.node = topic
	text, ok := p.text(topic)
	if !ok {
		return
	}
	ok = validNameOf(text, maxTopicName)
	if !ok {
		p.invalid(topic, "a topic's name is 1 to %d of the characters A-Z a-z 0-9 . _ - and starts with a letter or digit", maxTopicName)
		return
	}
	s.Topic = text
}
