package api

import (
	"encoding/base64"
	"math"
	"net/http"
	"strconv"
	"time"

	"leat/codecs"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

const (
	defaultLimit = 100
	maxLimit     = 1000

	firstRead = 64 << 10 // bytes of the log read at first
	nextRead  = 1 << 20  // and when that was not enough
)

// consumption is the state of one consume call.
type consumption struct {
	topic     string
	partition int32
	group     bus.GroupOffset
	limit     int
	base64    bool
	from      log.Offset // of the next message
	skipped   int64
	count     int
	truncated bool
}

// consume answers GET /broker/consume/{topic}/{group}/{partition}.
func (c *call) consume() error {
	r, err := c.consumption()
	if err != nil {
		return err
	}
	waitMs, err := c.params.integer("wait_ms", 0, math.MaxInt64, 0)
	if err != nil {
		return err
	}
	buffer := c.server.pools.buffer()
	defer c.server.pools.giveBuffer(buffer)
	out := append(c.out(), `{"messages":[`...)
	if out, err = c.fill(r, out, buffer); err == nil && r.count == 0 && waitMs > 0 {
		out, err = c.longPoll(r, out, buffer, min(time.Duration(min(waitMs, 1<<31))*time.Millisecond, c.server.limits.LongPoll))
	}
	if err != nil {
		c.request.Response.SwapBody(out[:0])
		return err
	}
	out = append(out, `],"count":`...)
	out = strconv.AppendInt(out, int64(r.count), 10)
	out = appendField(out, "next_offset", int64(r.from))
	if committed, ok := c.server.topics.Committed(r.group); ok {
		out = appendField(out, "committed_offset", int64(committed))
	} else {
		out = append(out, `,"committed_offset":null`...)
	}
	out = append(out, `,"truncated":`...)
	out = strconv.AppendBool(out, r.truncated)
	if r.skipped > 0 {
		out = appendField(out, "skipped", r.skipped)
	}
	return c.send(http.StatusOK, typeJSON, append(out, '}'))
}

// consumption reads the address and finds where to begin.
func (c *call) consumption() (*consumption, error) {
	t, err := c.topic(ScopeConsume)
	if err != nil {
		return nil, err
	}
	group, _ := c.text("group")
	if err := checkGroup(group); err != nil {
		return nil, err
	}
	r := &consumption{topic: t.Name}
	if r.partition, err = c.pathPartition(t); err != nil {
		return nil, err
	}
	r.group = bus.GroupOffset{Group: group, Topic: t.Name, Partition: r.partition}
	encoding, err := c.params.choice("encoding", "", "b64", "text")
	if err != nil {
		return nil, err
	}
	r.base64 = encoding == "b64"
	limit, err := c.params.integer("limit", 1, math.MaxInt64, defaultLimit)
	if err != nil {
		return nil, err
	}
	r.limit = int(min(limit, maxLimit))
	offset, err := c.params.integer("offset", 0, math.MaxInt64, -1)
	if err != nil {
		return nil, err
	}
	p, err := c.standing(t, r.partition)
	if err != nil {
		return nil, err
	}
	if r.from = log.Offset(offset); offset < 0 {
		r.from = p.First
		if committed, ok := c.server.topics.Committed(r.group); ok {
			r.from = committed + 1
		}
	}
	r.skip(p.First)
	return r, nil
}

// skip moves a beginning below the first offset up to it.
func (r *consumption) skip(first log.Offset) {
	if r.from < first {
		r.skipped += int64(first - r.from)
		r.from = first
	}
}

// fill appends messages until the limit, the end of the log or the size of an
// answer is reached.
func (c *call) fill(r *consumption, out []byte, buffer *[]byte) ([]byte, error) {
	for want := firstRead; r.count < r.limit; want = nextRead {
		frames, err := c.server.topics.Read(r.topic, r.partition, r.from, want, *buffer)
		if fault.KindOf(err) == fault.OutOfRange && err != nil {
			// Retention passed by since the beginning was found.
			before := r.from
			p, err := c.server.topics.Partition(r.topic, r.partition)
			if err != nil {
				return out, err
			}
			if r.skip(p.First); r.from > before {
				continue
			}
		}
		if err != nil {
			return out, err
		}
		*buffer = frames.Bytes()
		if frames.Empty() {
			return out, nil
		}
		for cursor := frames.Records(r.from); r.count < r.limit; {
			record, ok := cursor.Next()
			if !ok {
				if cursor.Err() != nil {
					return out, cursor.Err()
				}
				break
			}
			if r.count > 0 {
				out = append(out, ',')
			}
			out = appendMessage(out, record, r.partition, r.base64)
			r.from = record.Offset + 1
			if r.count++; len(out) >= c.server.limits.ResponseBytes {
				r.truncated = r.count < r.limit
				return out, nil
			}
		}
	}
	return out, nil
}

// longPoll fills again once there is something, or gives up in time.
func (c *call) longPoll(r *consumption, out []byte, buffer *[]byte, wait time.Duration) ([]byte, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	pass := c.pass(ScopeConsume, forTopic(ScopeConsume, r.topic))
	for r.count == 0 {
		arrived, err := c.server.topics.Wait(r.topic, r.partition, r.from)
		if err != nil {
			return out, err
		}
		select {
		case <-arrived:
		case <-pass.seen.replaced:
		case <-timer.C:
			return out, nil
		case <-c.server.stopping:
			return out, nil
		}
		if pass.seen != c.server.credentials.Load() {
			if err := pass.renew(); err != nil {
				return out, err
			}
			continue
		}
		before := r.from
		if out, err = c.fill(r, out, buffer); err != nil {
			return out, err
		}
		if r.count == 0 && r.from == before {
			return out, nil // the partition is going away
		}
	}
	return out, nil
}

// appendMessage appends one message. As text, bytes that are not UTF-8 become
// U+FFFD; in base64 every byte is kept.
func appendMessage(dst []byte, r log.Record, partition int32, asBase64 bool) []byte {
	dst = append(dst, `{"offset":`...)
	dst = strconv.AppendInt(dst, int64(r.Offset), 10)
	dst = appendField(dst, "partition", int64(partition))
	if asBase64 {
		dst = append(dst, `,"value_b64":"`...)
		dst = append(base64.StdEncoding.AppendEncode(dst, r.Value), '"')
		if r.Key != nil {
			dst = append(dst, `,"key_b64":"`...)
			dst = append(base64.StdEncoding.AppendEncode(dst, r.Key), '"')
		}
		return append(dst, '}')
	}
	dst = append(dst, `,"value":`...)
	dst = codecs.AppendJSONText(dst, r.Value)
	if r.Key != nil {
		dst = append(dst, `,"key":`...)
		dst = codecs.AppendJSONText(dst, r.Key)
	}
	return append(dst, '}')
}
