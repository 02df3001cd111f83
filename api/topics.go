package api

import (
	"context"
	"net/http"
	"strconv"

	"leat/codecs"
	"leat/internal/bus"
)

// maxJSONBytes bounds a JSON body: a small object or a query spec.
const maxJSONBytes = 1 << 20

// readJSON reads a JSON body whole.
func (c *call) readJSON() ([]byte, error) {
	return c.readBody(min(maxJSONBytes, c.server.limits.BodyBytes), "body_too_large")
}

// deadline is the context of a call that has no timeout of its own.
func (c *call) deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.server.base, c.server.limits.CallTimeout)
}

// sharedDeadline is deadline for calls that leave nothing running: others that begin
// about the same time have it too.
func (c *call) sharedDeadline() context.Context {
	return c.server.pools.deadlines.after(c.server.base, c.server.limits.CallTimeout)
}

// createTopic answers POST /broker/topics.
func (c *call) createTopic() error {
	body, err := c.readJSON()
	if err != nil {
		return err
	}
	o, err := parseObject(body, []string{"name"}, []string{"partitions"})
	if err != nil {
		return err
	}
	if err := o.required("name", "missing_topic", "Topic name is required"); err != nil {
		return err
	}
	name := o.strings["name"]
	if err := c.checkTopic(name, ScopeAdmin); err != nil {
		return err
	}
	limits := c.server.limits
	partitions, err := o.integer("partitions", 1, int64(limits.Partitions), int64(limits.DefaultPartitions))
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	t, err := c.server.topics.CreateTopic(ctx, name, int32(partitions))
	if err != nil {
		return err
	}
	out := append(c.out(), `{"ok":true`...)
	return c.send(http.StatusOK, typeJSON, append(appendTopic(out, t), '}'))
}

// appendTopic appends ,"topic":…,"partitions":….
func appendTopic(dst []byte, t bus.Topic) []byte {
	dst = append(dst, `,"topic":`...)
	dst = codecs.AppendJSONString(dst, t.Name)
	return appendField(dst, "partitions", int64(t.Partitions))
}

// listTopics answers GET /broker/topics with the topics the token covers.
func (c *call) listTopics() error {
	out := append(c.out(), `{"ok":true,"topics":[`...)
	first := true
	for _, t := range c.server.topics.ListTopics() {
		if t.Internal || !allows(c.grants, ScopeAdmin|ScopeProduce|ScopeConsume, t.Name) {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(out, `{"topic":`...)
		out = codecs.AppendJSONString(out, t.Name)
		out = appendField(out, "partitions", int64(t.Partitions))
		out = appendField(out, "created_ms", t.CreatedMs)
		out = append(out, '}')
	}
	return c.send(http.StatusOK, typeJSON, append(out, "]}"...))
}

// describeTopic answers GET /broker/topics/{topic}.
func (c *call) describeTopic() error {
	t, err := c.topic(ScopeAdmin | ScopeProduce | ScopeConsume)
	if err != nil {
		return err
	}
	detail, err := c.standings(t)
	if err != nil {
		return err
	}
	schema, err := c.topicSchema(t.Name)
	if err != nil {
		return err
	}
	out := appendTopic(append(c.out(), `{"ok":true`...), t)
	out = appendField(out, "created_ms", t.CreatedMs)
	leaders, all := make(map[uint64]uint64), c.server.cluster.Members()
	for _, shard := range c.server.cluster.Shards() {
		leaders[shard.ID] = shard.LeaderID
	}
	out = append(out, `,"detail":[`...)
	for i, p := range detail {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"partition":`...)
		out = strconv.AppendInt(out, int64(p.Partition), 10)
		out = appendField(out, "first_offset", int64(p.First))
		out = appendField(out, "next_offset", int64(p.Next))
		out = appendField(out, "bytes", p.Bytes)
		out = append(out, `,"leader":`...)
		out = c.server.appendNode(out, all, leaders[p.Shard])
		out = append(out, `,"schema":`...)
		out = append(append(out, schema...), '}')
	}
	return c.send(http.StatusOK, typeJSON, append(out, "]}"...))
}

// deleteTopic answers DELETE /broker/topics/{topic}.
func (c *call) deleteTopic() error {
	t, err := c.topic(ScopeAdmin)
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	if err := c.server.topics.DeleteTopic(ctx, t.Name); err != nil {
		return err
	}
	out := append(c.out(), `{"ok":true,"topic":`...)
	return c.send(http.StatusOK, typeJSON, append(codecs.AppendJSONString(out, t.Name), '}'))
}
