package api

import (
	"math"
	"net/http"
	"strconv"

	"leat/codecs"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// deleteBefore answers POST /broker/delete-before.
func (c *call) deleteBefore() error {
	body, err := c.readJSON()
	if err != nil {
		return err
	}
	o, err := parseObject(body, []string{"topic"}, []string{"partition", "before_offset"})
	if err != nil {
		return err
	}
	for _, member := range [][3]string{
		{"topic", "missing_topic", "Topic name is required"},
		{"partition", "missing_partition", "Partition is required"},
		{"before_offset", "missing_offset", "Offset is required"},
	} {
		if err := o.required(member[0], member[1], member[2]); err != nil {
			return err
		}
	}
	before, err := o.integer("before_offset", 0, math.MaxInt64, 0)
	if err != nil {
		return err
	}
	topic, partition, err := c.bodyPartition(o)
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	records, freed, err := c.server.trimming.DeleteBefore(ctx, topic, partition, log.Offset(before))
	if err != nil {
		return err
	}
	out := append(c.out(), `{"ok":true`...)
	out = appendField(out, "deleted_count", records)
	return c.send(http.StatusOK, typeJSON, append(appendField(out, "freed_bytes", freed), '}'))
}

// bodyPartition checks members topic and partition of a body; AnyPartition where
// partition is absent.
func (c *call) bodyPartition(o *object) (topic string, partition int32, err error) {
	topic = o.strings["topic"]
	if err := c.checkTopic(topic, ScopeAdmin); err != nil {
		return "", 0, err
	}
	t, err := c.lookup(topic)
	if err != nil {
		return "", 0, err
	}
	n, err := o.integer("partition", 0, int64(t.Partitions)-1, int64(bus.AnyPartition))
	return t.Name, int32(n), err
}

// retention answers POST /broker/retention: what a topic, one of its partitions or
// every topic without a policy of its own keeps. 0 takes a bound away.
func (c *call) retention() error {
	body, err := c.readJSON()
	if err != nil {
		return err
	}
	o, err := parseObject(body, []string{"topic"}, []string{"partition", "ttl_ms", "max_bytes"})
	if err != nil {
		return err
	}
	if err := o.required("topic", "missing_topic", "Topic name is required"); err != nil {
		return err
	}
	var policy bus.Retention
	if policy.TTLMs, err = o.integer("ttl_ms", 0, math.MaxInt64, 0); err != nil {
		return err
	}
	if policy.MaxBytes, err = o.integer("max_bytes", 0, math.MaxInt64, 0); err != nil {
		return err
	}
	if !o.has("ttl_ms") && !o.has("max_bytes") {
		return fault.New(fault.Invalid, "missing_retention", "Say what to keep: ttl_ms, max_bytes or both").With("pointer", "")
	}
	topic, partition := "*", bus.AnyPartition
	switch {
	case o.strings["topic"] != "*":
		topic, partition, err = c.bodyPartition(o)
	case limited(c.grants, ScopeAdmin):
		err = forbidden(ScopeAdmin, "*")
	case o.has("partition"):
		err = fault.New(fault.Invalid, "invalid_member", `"partition" needs a topic, not "*"`).With("pointer", "/partition")
	}
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	if err := c.server.trimming.SetRetention(ctx, topic, partition, policy); err != nil {
		return err
	}
	out := append(c.out(), `{"ok":true,"topic":`...)
	out = append(codecs.AppendJSONString(out, topic), `,"partition":`...)
	if partition == bus.AnyPartition {
		out = append(out, "null"...)
	} else {
		out = strconv.AppendInt(out, int64(partition), 10)
	}
	out = appendField(out, "ttl_ms", policy.TTLMs)
	return c.send(http.StatusOK, typeJSON, append(appendField(out, "max_bytes", policy.MaxBytes), '}'))
}
