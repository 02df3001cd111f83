package api

import (
	"math"
	"net/http"
	"strconv"

	"leat/internal/bus"
	"leat/log"
)

// commit answers POST /broker/commit. The offset is the last one processed.
func (c *call) commit() error {
	body, err := c.readJSON()
	if err != nil {
		return err
	}
	o, err := parseObject(body, []string{"topic", "group"}, []string{"partition", "offset"})
	if err != nil {
		return err
	}
	for _, member := range [][3]string{
		{"topic", "missing_topic", "Topic name is required"},
		{"group", "missing_group", "Group name is required"},
		{"partition", "missing_partition", "Partition is required"},
		{"offset", "missing_offset", "Offset is required"},
	} {
		if err := o.required(member[0], member[1], member[2]); err != nil {
			return err
		}
	}
	name := o.strings["topic"]
	if err := c.checkTopic(name, ScopeConsume); err != nil {
		return err
	}
	if err := checkGroup(o.strings["group"]); err != nil {
		return err
	}
	offset, err := o.integer("offset", 0, math.MaxInt64-1, 0) // so that offset+1 is one too
	if err != nil {
		return err
	}
	t, err := c.lookup(name)
	if err != nil {
		return err
	}
	partition, err := o.integer("partition", 0, int64(t.Partitions)-1, 0)
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	group := bus.GroupOffset{Group: o.strings["group"], Topic: t.Name, Partition: int32(partition)}
	committed, err := c.server.topics.CommitGroup(ctx, group, log.Offset(offset))
	if err != nil {
		return err
	}
	out := append(c.out(), `{"ok":true,"committed_offset":`...)
	return c.send(http.StatusOK, typeJSON, append(strconv.AppendInt(out, int64(committed), 10), '}'))
}
