package log

import (
	"encoding/binary"

	"leat/internal/fault"
)

// Records lie back to back in a block and in the payload of a frame:
//
//	+----------------------+-----------------+---------+-----------+
//	| uvarint len(key) + 1 | uvarint         | key     | value     |
//	| 0: no key            | len(value)      |         |           |
//	+----------------------+-----------------+---------+-----------+
//
// A uvarint is unsigned LEB128 in its shortest form; a longer form is malformed.

// minRecordBytes is the size of a record with neither key nor value.
const minRecordBytes = 2

// Add appends one record. A nil key means no key.
func (b *Block) Add(key, value []byte) {
	tag := uint64(0)
	if key != nil {
		tag = uint64(len(key)) + 1
	}
	b.Bytes = binary.AppendUvarint(b.Bytes, tag)
	b.Bytes = binary.AppendUvarint(b.Bytes, uint64(len(value)))
	b.Bytes = append(b.Bytes, key...)
	b.Bytes = append(b.Bytes, value...)
	b.Count++
}

// Records iterates over the block's records as if they had been appended at
// base with that append time. The records are views into b.Bytes.
func (b Block) Records(base Offset, timeMs int64) Cursor {
	return Cursor{rest: b.Bytes, left: b.Count, offset: base, timeMs: timeMs}
}

// Check tells whether the block is well formed: Count records and nothing after
// them. The error is a fault of kind Corrupt.
func (b Block) Check() error {
	if b.Count < 0 {
		return corruptRecords("a block counts %d records", b.Count)
	}
	c := b.Records(0, 0)
	for {
		if _, ok := c.Next(); !ok {
			return c.Err()
		}
	}
}

// Cursor iterates over records without allocating. It is a value: a copy goes
// on from the same place on its own. The zero Cursor holds no records.
type Cursor struct {
	rest   []byte // the undecoded records of the present frame
	frames []byte // the verified frames after it
	left   int    // records left in rest
	offset Offset // of the next record in rest
	timeMs int64
	from   Offset // records below are skipped
	err    error
}

// Next returns the next record, false at the end or at damage: see Err.
func (c *Cursor) Next() (Record, bool) {
	key, value, ok := c.next()
	if !ok {
		return Record{}, false
	}
	return Record{Offset: c.offset - 1, TimeMs: c.timeMs, Key: key, Value: value}, true
}

// NextValue is Next for who reads millions of records and no keys: what it returns
// stays in registers, where a Record goes through memory.
func (c *Cursor) NextValue() (offset Offset, timeMs int64, value []byte, ok bool) {
	_, value, ok = c.next()
	return c.offset - 1, c.timeMs, value, ok
}

// next moves past a record, which has the offset before c.offset.
func (c *Cursor) next() (key, value []byte, ok bool) {
	for {
		for c.left == 0 {
			if !c.nextFrame() {
				return nil, nil, false
			}
		}
		if key, value, c.rest, ok = splitRecord(c.rest); !ok {
			c.fail("record %d is malformed, %d more expected", c.offset, c.left)
			return nil, nil, false
		}
		c.left--
		c.offset++
		if c.offset > c.from {
			return key, value, true
		}
	}
}

// Err returns what ended the iteration early, a fault of kind Corrupt, nil if
// nothing did.
func (c *Cursor) Err() error { return c.err }

// nextFrame enters the next frame that holds a record not below from.
func (c *Cursor) nextFrame() bool {
	if len(c.rest) != 0 {
		c.fail("%d bytes follow the record before %d, the last one counted", len(c.rest), c.offset)
		return false
	}
	for len(c.frames) != 0 {
		f := decodeFrame(c.frames)
		payload := c.frames[frameHeaderBytes:f.size]
		c.frames = c.frames[f.size:]
		if f.end() > c.from {
			c.rest, c.left, c.offset, c.timeMs = payload, f.count, f.base, f.timeMs
			return true
		}
	}
	return false
}

func (c *Cursor) fail(format string, args ...any) {
	*c = Cursor{err: corruptRecords(format, args...)}
}

func corruptRecords(format string, args ...any) error {
	return fault.New(fault.Corrupt, "corrupt_record", format, args...)
}

// splitRecord takes the first record off b.
func splitRecord(b []byte) (key, value, rest []byte, ok bool) {
	tag, b, ok := splitUvarint(b)
	if !ok {
		return nil, nil, nil, false
	}
	size, b, ok := splitUvarint(b)
	if !ok {
		return nil, nil, nil, false
	}
	if tag != 0 {
		n := tag - 1
		if n > uint64(len(b)) {
			return nil, nil, nil, false
		}
		key, b = b[:n:n], b[n:]
	}
	if size > uint64(len(b)) {
		return nil, nil, nil, false
	}
	return key, b[:size:size], b[size:], true
}

func splitUvarint(b []byte) (uint64, []byte, bool) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), b[1:], true
	}
	v, n := binary.Uvarint(b)
	if n <= 0 || b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
