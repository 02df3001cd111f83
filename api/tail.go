package api

import (
	"math"
	"strconv"

	"leat/codecs"
	"leat/internal/fault"
	"leat/log"
)

// A followed partition as NDJSON, one JSON value a line:
//
//	{"meta":{"topic":"t","partition":0,"next_offset":7}}
//	{"offset":7,"partition":0,"value":"…","key":"…"}   any number of messages
//	{"heartbeat":{"next_offset":8}}
//	{"ok":false,"error":…}                             last, of an error
//
// As server-sent events a message is the data of an unnamed event whose id is its
// offset.

// tail is one followed partition.
type tail struct {
	*outlet
	topic     string
	partition int32
	next      log.Offset
	base64    bool
	buffer    []byte
}

// tail answers GET /broker/stream/{topic}/{partition}: records from an offset, or
// from now on, as they come.
func (c *call) tail() error {
	t, err := c.topic(ScopeConsume)
	if err != nil {
		return err
	}
	f := &tail{topic: t.Name}
	if f.partition, err = c.pathPartition(t); err != nil {
		return err
	}
	encoding, err := c.params.choice("encoding", "", "b64", "text")
	if err != nil {
		return err
	}
	f.base64 = encoding == "b64"
	offset, err := c.params.integer("offset", 0, math.MaxInt64, -1)
	if err != nil {
		return err
	}
	if offset, err = c.resume(offset, 1); err != nil {
		return err
	}
	p, err := c.standing(t, f.partition)
	if err != nil {
		return err
	}
	if f.next = log.Offset(offset); offset < 0 {
		f.next = p.Next
	}
	if f.next < p.First {
		return offsetGone(f.next, p.First)
	}
	return c.stream(ScopeConsume, forTopic(ScopeConsume, t.Name), func(o *outlet) {
		f.outlet = o
		f.run()
	})
}

func offsetGone(offset, first log.Offset) *fault.Error {
	return fault.New(fault.OutOfRange, "offset_out_of_range", "Offset %d is gone, the first there is is %d", offset, first).
		With("first_offset", int64(first))
}

// run writes the records until the client is gone, the server shuts down, the topic
// goes away or retention has overtaken the client. What a slow client has not taken
// stays in the log: nothing is kept for it, and nobody waits for it.
func (f *tail) run() {
	meta := codecs.AppendJSONString([]byte(`{"topic":`), f.topic)
	meta = appendField(meta, "partition", int64(f.partition))
	f.event("meta", append(appendField(meta, "next_offset", int64(f.next)), '}'))
	if !f.flush() {
		return
	}
	for {
		arrived, err := f.server.topics.Wait(f.topic, f.partition, f.next)
		if err == nil {
			var found bool
			if found, err = f.fill(); err == nil && found {
				if !f.flush() {
					return
				}
				if f.server.stopped() {
					f.fail(shuttingDown())
					return
				}
				continue
			}
		}
		if err != nil {
			f.fail(err)
			return
		}
		switch f.wait(arrived) {
		case waitOver:
			return
		case waitBeat:
			beat := strconv.AppendInt([]byte(`{"next_offset":`), int64(f.next), 10)
			f.event("heartbeat", append(beat, '}'))
			if !f.flush() {
				return
			}
		}
	}
}

// fill adds the records that one read finds.
func (f *tail) fill() (found bool, err error) {
	frames, err := f.server.topics.Read(f.topic, f.partition, f.next, firstRead, f.buffer)
	if err != nil {
		if p, gone := f.server.topics.Partition(f.topic, f.partition); gone == nil && f.next < p.First {
			return false, offsetGone(f.next, p.First)
		}
		return false, err
	}
	f.buffer = frames.Bytes()
	cursor := frames.Records(f.next)
	for {
		record, ok := cursor.Next()
		if !ok {
			return found, cursor.Err()
		}
		if f.sse {
			f.mark(int64(record.Offset))
			f.out = append(f.out, "data: "...)
		}
		f.out = appendMessage(f.out, record, f.partition, f.base64)
		f.out = append(f.out, '\n')
		if f.sse {
			f.out = append(f.out, '\n')
		}
		f.next = record.Offset + 1
		found = true
	}
}
