package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"leat/codecs"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
	"leat/queries"
)

// shotBytes is what one side of a one-shot form keeps in memory, about: it reads no
// further than that.
const shotBytes = 128 << 20

func (c *call) shotLimits() queries.OneShotLimits {
	return queries.OneShotLimits{Records: queries.MaxOneShotRecords, Bytes: shotBytes, Answer: c.server.limits.ResponseBytes}
}

// shotRange checks that the token covers a source and finds what it reads.
func (c *call) shotRange(s *queries.OneShotSource, pointer string) (r queries.OneShotRange, err error) {
	switch {
	case s.Topic == "":
		return r, fault.New(fault.Invalid, "missing_topic", "Topic name is required").With("pointer", pointer)
	case s.Partition < 0:
		return r, fault.New(fault.Invalid, "missing_partition", "Partition is required").With("pointer", pointer)
	}
	if err := c.checkTopic(s.Topic, ScopeQuery); err != nil {
		return r, err
	}
	if s.Group != "" {
		if err := checkGroup(s.Group); err != nil {
			return r, err
		}
	}
	t, err := c.lookup(s.Topic)
	if err != nil {
		return r, err
	}
	if s.Partition >= t.Partitions {
		return r, fault.New(fault.Invalid, "invalid_partition", "Topic %q has %d partitions, counted from 0", t.Name, t.Partitions).
			With("pointer", pointer+"/partition")
	}
	p, err := c.standing(t, s.Partition)
	if err != nil {
		return r, err
	}
	r = queries.OneShotRange{From: s.Offset, End: p.Next}
	if r.From < 0 {
		r.From = p.First
		group := bus.GroupOffset{Group: s.Group, Topic: t.Name, Partition: s.Partition}
		if committed, ok := c.server.topics.Committed(group); ok && s.Group != "" {
			r.From = committed + 1
		}
	}
	if r.From < p.Next { // past the end there is nothing, and nothing is skipped
		r.From = max(r.From, p.First)
	}
	return r, nil
}

// ask waits for its turn to read: there are only so many one-shot calls at a time.
func (c *call) ask(ctx context.Context) (done func(), err error) {
	select {
	case c.server.asking <- struct{}{}:
		return func() { <-c.server.asking }, nil
	case <-ctx.Done():
		return nil, fault.New(fault.Unavailable, "overloaded", "The server answers as many queries and joins as it takes at a time")
	}
}

// oneShotQuery answers POST /broker/query: one range of one partition.
func (c *call) oneShotQuery() error {
	body, err := c.readJSON()
	if err != nil {
		return err
	}
	q, problems := queries.ParseOneShotQuery(c.server.base, body, c.server.formats)
	if q == nil {
		return problems.Fault()
	}
	r, err := c.shotRange(&q.Source, "/source")
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	done, err := c.ask(ctx)
	if err != nil {
		return err
	}
	defer done()
	found, err := q.Run(ctx, c.server.topics, r, c.shotLimits())
	if err != nil {
		return err
	}
	out := appendList(append(c.out(), `{"ok":true,"rows":`...), found.Rows)
	out = appendList(append(out, `,"aggregates":`...), found.Aggregates)
	out = codecs.AppendJSONString(append(out, `,"source":{"topic":`...), q.Source.Topic)
	if out = append(out, `,"group":`...); q.Source.Group == "" {
		out = append(out, "null"...)
	} else {
		out = codecs.AppendJSONString(out, q.Source.Group)
	}
	out = appendField(out, "partition", int64(q.Source.Partition))
	out = appendField(out, "next_offset", int64(found.Next))
	return c.send(http.StatusOK, typeJSON, append(appendField(out, "consumed", int64(found.Consumed)), "}}"...))
}

// oneShotJoin answers POST /broker/join: one range each of two partitions.
func (c *call) oneShotJoin() error {
	body, err := c.readJSON()
	if err != nil {
		return err
	}
	j, problems := queries.ParseOneShotJoin(c.server.base, body, c.server.formats)
	if j == nil {
		return problems.Fault()
	}
	var ranges [2]queries.OneShotRange
	if ranges[0], err = c.shotRange(&j.Left, "/left"); err != nil {
		return err
	}
	if ranges[1], err = c.shotRange(&j.Right, "/right"); err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	done, err := c.ask(ctx)
	if err != nil {
		return err
	}
	defer done()
	found, err := j.Run(ctx, c.server.topics, ranges, c.shotLimits())
	if err != nil {
		return err
	}
	out := appendList(append(c.out(), `{"ok":true,"rows":`...), found.Rows)
	out = append(out, `,"next_offsets":`...)
	out = appendPair(out, found.Next)
	out = append(out, `,"stats":{"left_scanned":`...)
	out = strconv.AppendInt(out, int64(found.Scanned[0]), 10)
	out = appendField(out, "right_scanned", int64(found.Scanned[1]))
	out = appendField(out, "rows", int64(len(found.Rows)))
	if found.Watermark == nil {
		out = append(out, `,"watermark_ms":null`...)
	} else {
		out = appendField(out, "watermark_ms", *found.Watermark)
	}
	out = appendField(out, "outer_left", int64(found.Outer[0]))
	out = appendField(out, "outer_right", int64(found.Outer[1]))
	out = strconv.AppendBool(append(out, `,"dedupe_once":`...), found.Once)
	out = strconv.AppendBool(append(out, `,"truncated":`...), found.Truncated)
	return c.send(http.StatusOK, typeJSON, append(out, "}}"...))
}

func appendPair(dst []byte, offsets [2]log.Offset) []byte {
	dst = strconv.AppendInt(append(dst, `{"left":`...), int64(offsets[0]), 10)
	return append(appendField(dst, "right", int64(offsets[1])), '}')
}

// appendList appends a list of JSON values.
func appendList(dst []byte, list []json.RawMessage) []byte {
	dst = append(dst, '[')
	for i, value := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, value...)
	}
	return append(dst, ']')
}
