package api

import (
	"math"
	"net/http"
	"strconv"

	"leat/codecs"
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

// maxGroups bounds a page of groups: each says where it stands in every partition.
const maxGroups = 100

// listGroups answers GET /broker/topics/{topic}/groups.
func (c *call) listGroups() error {
	t, err := c.topic(ScopeConsume)
	if err != nil {
		return err
	}
	limit, err := c.params.integer("limit", 1, math.MaxInt64, maxGroups)
	if err != nil {
		return err
	}
	after, _ := c.params.get("after")
	most := int(min(limit, maxGroups))
	ends, err := c.standings(t)
	if err != nil {
		return err
	}
	names := c.server.topics.Groups(t.Name, after, most+1)
	more := len(names) > most
	names = names[:min(len(names), most)]
	out := append(c.out(), `{"ok":true,"topic":`...)
	out = append(codecs.AppendJSONString(out, t.Name), `,"groups":[`...)
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"group":`...)
		out = append(codecs.AppendJSONString(out, name), `,"partitions":[`...)
		out = append(c.appendStandings(out, t.Name, name, ends), "]}"...)
	}
	out = appendField(append(out, ']'), "count", int64(len(names)))
	out = append(out, `,"next_after":`...)
	if more {
		out = codecs.AppendJSONString(out, names[len(names)-1])
	} else {
		out = append(out, "null"...)
	}
	return c.send(http.StatusOK, typeJSON, append(out, '}'))
}

// appendStandings appends where a group stands in each partition.
func (c *call) appendStandings(dst []byte, topic, group string, ends []bus.Partition) []byte {
	for i, p := range ends {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"partition":`...)
		dst = strconv.AppendInt(dst, int64(p.Partition), 10)
		from := p.First
		if committed, ok := c.server.topics.Committed(bus.GroupOffset{Group: group, Topic: topic, Partition: p.Partition}); ok {
			dst, from = appendField(dst, "committed_offset", int64(committed)), max(committed+1, p.First)
		} else {
			dst = append(dst, `,"committed_offset":null`...)
		}
		dst = appendField(dst, "next_offset", int64(p.Next))
		dst = append(appendField(dst, "lag", max(int64(p.Next-from), 0)), '}')
	}
	return dst
}
