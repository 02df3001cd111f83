package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

const (
	maxKeyBytes            = 4 << 10
	maxIdempotencyKeyBytes = 256
)

// production is what the address and headers of a produce call ask for.
type production struct {
	topic          bus.Topic
	partition      int32
	key            []byte // nil = none
	idempotencyKey string
	timeout        time.Duration // 0 = the server's
	timing         bool
	async          bool // answer once it is queued
	everywhere     bool // answer once every node has it
}

// produce answers POST …/produce: the body is one record, an empty one too.
func (c *call) produce() error {
	p, err := c.production()
	if err != nil {
		return err
	}
	body, err := c.readBody(c.server.limits.RecordBytes, "record_too_large")
	if err != nil {
		return err
	}
	if len(p.key)+len(body) > c.server.limits.RecordBytes {
		return c.recordTooLarge()
	}
	block := c.server.pools.block()
	defer c.server.pools.giveBlock(block)
	block.Add(p.key, body)
	return c.append(p, block, false)
}

// produceNDJSON answers POST …/produce-ndjson: every line is a record.
func (c *call) produceNDJSON() error {
	p, err := c.production()
	if err != nil {
		return err
	}
	encoding, err := c.params.choice("encoding", "", "b64", "text")
	if err != nil {
		return err
	}
	body, bodyErr := c.readBody(c.server.limits.BodyBytes, "body_too_large")
	if bodyErr != nil && fault.KindOf(bodyErr) != fault.TooLarge {
		return bodyErr
	}
	block := c.server.pools.block()
	defer c.server.pools.giveBlock(block)
	// Of a body that is too large the lines are looked at all the same: one that is
	// too long is the better reason.
	split := splitLines
	if encoding == "b64" {
		split = splitBase64
	}
	switch line, tooLong := split(block, p.key, body, c.server.limits.RecordBytes); {
	case tooLong:
		return c.recordTooLarge().With("line", line)
	case line > 0 && bodyErr == nil:
		return invalidParameter("encoding", "does not fit line %d, which is not base64", line).With("line", line)
	}
	if bodyErr != nil {
		return bodyErr
	}
	if block.Count == 0 {
		return fault.New(fault.Invalid, "empty_body", "The body holds no record")
	}
	return c.append(p, block, true)
}

func (c *call) recordTooLarge() *fault.Error {
	limit := c.server.limits.RecordBytes
	return fault.New(fault.TooLarge, "record_too_large", "The record is over the limit of %d bytes", limit).With("limit_bytes", limit)
}

// splitLines adds a record for every line of body: any bytes up to LF, a CR before
// it cut, empty lines skipped, a line that is one JSON string stored as its text.
// It returns the number, from 1, of a line that is over limit with the key, 0 if
// there is none.
func splitLines(block *log.Block, key, body []byte, limit int) (number int, tooLong bool) {
	var text []byte
	for number := 1; len(body) > 0; number++ {
		line := body
		if end := bytes.IndexByte(body, '\n'); end >= 0 {
			line, body = body[:end], body[end+1:]
		} else {
			body = nil
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			continue
		}
		if len(line)+len(key) > limit {
			return number, true
		}
		if line[0] == '"' || isSpace(line[0]) {
			var ok bool
			if text, ok = unquote(text[:0], line); ok {
				line = text
			}
		}
		block.Add(key, line)
	}
	return 0, false
}

// splitBase64 adds a record for every line of body that is not empty: the bytes that it
// is the base64 of, padded or not, and none for the line "=". It returns the number of a
// line that is too long or not base64, 0 if there is none.
func splitBase64(block *log.Block, key, body []byte, limit int) (number int, tooLong bool) {
	var value []byte
	for line := range bytes.Lines(body) {
		number++
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		digits := line
		if bare := bytes.TrimRight(line, "="); len(line)%4 == 0 && len(line)-len(bare) <= 2 || len(bare) == 0 && len(line) == 1 {
			digits = bare
		}
		if base64.RawStdEncoding.DecodedLen(len(digits))+len(key) > limit {
			return number, true
		}
		value = slices.Grow(value[:0], len(digits))[:len(digits)]
		n, err := base64.RawStdEncoding.Strict().Decode(value, digits)
		if err != nil {
			return number, false
		}
		block.Add(key, value[:n])
	}
	return 0, false
}

// production reads the address and headers, and makes the topic where --dev does.
func (c *call) production() (p production, err error) {
	name, err := c.topicName(ScopeProduce)
	if err != nil {
		return p, err
	}
	timeoutMs, err := c.params.integer("timeout_ms", 1, math.MaxInt64, 0)
	if err != nil {
		return p, err
	}
	p.timeout = min(time.Duration(min(timeoutMs, 1<<31))*time.Millisecond, c.server.limits.LongPoll)
	if p.timing, err = c.params.flag("timing"); err != nil {
		return p, err
	}
	if p.async, p.everywhere, err = c.concern(); err != nil {
		return p, err
	}
	if key, ok := c.params.get("key"); ok {
		if len(key) > maxKeyBytes {
			return p, invalidParameter("key", "has to be at most %d bytes", maxKeyBytes)
		}
		p.key = []byte(key)
	}
	if p.idempotencyKey, err = c.idempotencyKey(); err != nil {
		return p, err
	}
	if p.topic, err = c.lookup(name); err != nil && c.server.dev {
		p.topic, err = c.autoCreate(name)
	}
	if err != nil {
		return p, err
	}
	partition, err := c.params.integer("partition", 0, int64(p.topic.Partitions)-1, int64(bus.AnyPartition))
	p.partition = int32(partition)
	return p, err
}

// concern tells whether the call asks not to wait until its records are durable, or to
// wait until every node has them.
func (c *call) concern() (async, everywhere bool, err error) {
	mode, err := c.params.choice("mode", "", "sealed", "rocket")
	if err != nil {
		return false, false, err
	}
	acks, err := c.params.choice("acks", "", "async", "majority", "all")
	if err != nil {
		return false, false, err
	}
	if mode == "" && acks == "" {
		return c.server.rocket, c.server.everywhere, nil
	}
	rocket := mode == "rocket" || acks == "async"
	if rocket && (mode == "sealed" || acks == "majority" || acks == "all") {
		return false, false, invalidParameter("acks", "has to agree with mode: rocket does not wait for other nodes, sealed does")
	}
	return rocket, acks == "all" || acks == "" && !rocket && c.server.everywhere, nil
}

// idempotencyKey takes the key from the address or the header; both have to agree.
func (c *call) idempotencyKey() (string, error) {
	const name = "idempotency_key"
	key, given := c.params.get(name)
	if header := c.request.Request.Header.Peek("Idempotency-Key"); header != nil {
		if given && key != string(header) {
			return "", invalidParameter(name, "differs from the header Idempotency-Key")
		}
		key, given = string(header), true
	}
	if given && (key == "" || len(key) > maxIdempotencyKeyBytes) {
		return "", invalidParameter(name, "has to have 1 to %d bytes", maxIdempotencyKeyBytes)
	}
	return key, nil
}

// autoCreate makes the topic of a first produce.
func (c *call) autoCreate(name string) (bus.Topic, error) {
	ctx, cancel := c.deadline()
	defer cancel()
	t, err := c.server.topics.CreateTopic(ctx, name, int32(c.server.limits.DefaultPartitions))
	if fault.KindOf(err) == fault.Conflict {
		return c.lookup(name) // somebody made it meanwhile, in another way
	}
	return t, err
}

// append hands the block over and answers what became of it.
func (c *call) append(p production, block *log.Block, batch bool) error {
	parsed := c.server.now()
	var ctx context.Context
	if p.timeout > 0 {
		own, cancel := context.WithTimeout(c.server.base, p.timeout)
		defer cancel()
		ctx = own
	} else {
		ctx = c.sharedDeadline()
	}
	done, err := c.server.topics.Append(ctx, bus.Append{
		Topic: p.topic.Name, Partition: p.partition, Key: p.key, Block: *block, IdempotencyKey: p.idempotencyKey, Async: p.async, Everywhere: p.everywhere,
	})
	out := append(c.out(), `{"ok":true`...)
	switch {
	case err == nil && p.async:
		out = appendUnsure(out, done.Partition, block.Count, batch, "rocket")
	case err == nil:
		out = appendDone(out, &done, batch, p.idempotencyKey != "")
	case p.timeout > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) && outcomeUnknown(err):
		return c.send(http.StatusOK, typeJSON, append(appendUnsure(out, p.partition, block.Count, batch, "sealed"), '}'))
	default:
		c.request.Response.SwapBody(out[:0])
		return err
	}
	total := c.server.now().Sub(c.started)
	c.server.meters.produced(&done, p.async, parsed.Sub(c.started), total)
	if p.timing {
		out = append(out, `,"timing":{"queue_us":`...)
		out = strconv.AppendInt(out, done.QueueUs, 10)
		out = appendField(out, "parse_us", parsed.Sub(c.started).Microseconds())
		out = appendField(out, "commit_us", done.CommitUs)
		out = append(appendField(out, "total_us", total.Microseconds()), '}')
	}
	return c.send(http.StatusOK, typeJSON, append(out, '}'))
}

// appendDone appends where durable records lie.
func appendDone(out []byte, done *bus.Appended, batch, keyed bool) []byte {
	if batch {
		out = appendField(out, "first_offset", int64(done.Base))
		out = appendField(out, "count", int64(done.Count))
	} else {
		out = appendField(out, "offset", int64(done.Base))
	}
	out = appendField(out, "partition", int64(done.Partition))
	if done.Duplicate {
		return append(out, `,"sealed":true,"durable":true,"synced":null,"duplicate":true`...)
	}
	out = append(out, `,"batch_id":`...)
	out = strconv.AppendUint(out, done.BatchID, 10)
	out = append(out, `,"sealed":true,"durable":true,"mode":"sealed","synced":true`...)
	if keyed {
		out = append(out, `,"duplicate":false`...)
	}
	return out
}

// appendUnsure appends what is known of records that a crash may yet lose: those
// that are queued, in mode rocket, and those whose outcome was not known when
// timeout_ms was over, to be retried with an idempotency key.
func appendUnsure(out []byte, partition int32, count int, batch bool, mode string) []byte {
	if batch {
		out = append(out, `,"first_offset":null`...)
		out = appendField(out, "count", int64(count))
	} else {
		out = append(out, `,"offset":null`...)
	}
	if partition == bus.AnyPartition {
		out = append(out, `,"partition":null`...)
	} else {
		out = appendField(out, "partition", int64(partition))
	}
	out = append(out, `,"batch_id":0,"sealed":false,"durable":false,"mode":"`...)
	return append(append(out, mode...), `","synced":false`...)
}

// outcomeUnknown tells whether an append that ended with its timeout may yet have
// happened, or yet happen.
func outcomeUnknown(err error) bool {
	kind := fault.KindOf(err)
	return kind == fault.Timeout || kind == fault.Unavailable ||
		fault.As(err) == nil && errors.Is(err, context.DeadlineExceeded)
}
