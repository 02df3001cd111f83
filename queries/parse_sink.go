package queries

import "leat/codecs"

// SinkSpec is one of the members "sink", "late" and "on_error" that name a topic or,
// "sink" alone, a key-value namespace.
type SinkSpec struct {
	Topic string
	KV    string      // the namespace, in place of a topic
	Keys  []FieldSpec // of "sink" alone: paths into the output row; at most one for a topic, at least one for a namespace
	TTLMs int64       // of the keys of a namespace; 0 = for ever
	// Format is how the records of "sink" are written to a topic, "" = JSON, and Schema
	// the subject of their schema, or its text; "" = the topic's, or one made of the rows.
	Format, Schema string

	node, format, schema *jsonNode // node is that of the topic's name
}

var (
	sinkMembers      = []string{"topic", "kv", "format", "schema", "key", "ttl_ms"}
	letterMembers    = []string{"topic"}
	sinkMembersLater = []string{"webhook"}
)

// maxSinkTTL is the longest "ttl_ms", a hundred years.
const maxSinkTTL = 100 * 366 * 24 * 3600 * 1000

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
	names := map[string]bool{}
	for i := range s.Sources {
		names[s.Sources[i].Topic] = true
	}
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
		p.invalid(n, `"sink" is {"topic": NAME, "key": PATH} or {"kv": NAMESPACE, "key": PATH}, not %s`, article(n.kind))
		return nil
	}
	p.members(n, sinkMembers, sinkMembersLater)
	s := &SinkSpec{}
	p.topicOf(n, s)
	p.spaceOf(n, s)
	p.sinkKeys(n, s)
	p.sinkFormat(n, s)
	return s
}

// spaceOf reads what only a key-value namespace has.
func (p *specParser) spaceOf(n *jsonNode, s *SinkSpec) {
	kv, ttl := n.member("kv"), n.member("ttl_ms")
	if kv == nil {
		if ttl != nil {
			p.invalid(ttl, `"ttl_ms" goes with "kv"; what a topic keeps is its retention`)
		}
		return
	}
	if n.member("topic") != nil {
		p.invalid(kv, `"sink" has a "topic" or a "kv", not both`)
	}
	if n.member("key") == nil {
		p.invalid(n, `member "key" is missing: the path of the member that names a row in the namespace`)
	}
	if text, ok := p.text(kv); ok {
		s.KV = text
		p.namespace(kv, text)
	}
	if ttl == nil {
		return
	}
	if s.TTLMs = ttl.value.Int(); ttl.kind != codecs.Int || s.TTLMs < 1 || s.TTLMs > maxSinkTTL {
		p.invalid(ttl, `"ttl_ms" is a whole number of milliseconds from 1 to %d`, int64(maxSinkTTL))
	}
}

// namespace checks the name of a key-value namespace.
func (p *specParser) namespace(n *jsonNode, name string) {
	if !validNameOf(name, maxTopicName) {
		p.invalid(n, "a namespace's name is 1 to %d of the characters A-Z a-z 0-9 . _ - and starts with a letter or digit", maxTopicName)
	}
}

// sinkKeys reads "key": a path or, for a namespace, a list of them.
func (p *specParser) sinkKeys(n *jsonNode, s *SinkSpec) {
	m := n.member("key")
	if m == nil {
		return
	}
	list := []*jsonNode{m}
	if m.kind == codecs.Array && n.member("kv") != nil {
		if list = m.children; len(list) == 0 || len(list) > maxGroupBy {
			p.invalid(m, `"key" is a path or a list of 1 to %d paths`, maxGroupBy)
			return
		}
	}
	for _, e := range list {
		if field, ok := p.field(e); ok {
			s.Keys = append(s.Keys, field)
		}
	}
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
