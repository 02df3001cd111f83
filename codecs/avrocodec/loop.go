package avrocodec

import (
	"fmt"
	"math"

	"leat/codecs"
	"leat/codecs/internal/utf8text"
)

// Arrays and maps lie in blocks:
//
//	count                  of items; 0 ends the array or map
//	-count, size in bytes  before the items of a block that can be passed by
//
// A count is trusted as far as so many items can lie in the bytes that are left.

// block reads the head of a block at b[i]: how many items it has, where they start, and
// where the block ends, or -1 if it does not say so. from is -1 if the head is bad.
func (m *machine) block(b []byte, i, fewest, idle int) (count int64, from, end int) {
	at := i
	count, i = readLong(b, i)
	if i < 0 {
		return 0, m.fault.number(b, at, maxLongBytes), -1
	}
	left, end := len(b)-i, -1
	if count < 0 {
		if count == math.MinInt64 {
			return 0, m.fault.at(at, "a block count that has no absolute value"), -1
		}
		count = -count
		sizeAt := i
		var size int64
		if size, i = readLong(b, i); i < 0 {
			return 0, m.fault.number(b, sizeAt, maxLongBytes), -1
		}
		if size < 0 || size > int64(len(b)-i) {
			return 0, m.fault.at(sizeAt, fmt.Sprintf("a block size of %d where %d bytes are left", size, len(b)-i)), -1
		}
		left, end = int(size), i+int(size)
	}
	if fewest > 0 && count > int64(left/fewest) {
		if end >= 0 {
			return 0, m.fault.at(at, fmt.Sprintf("a block of %d bytes that says that it has %d items", left, count)), -1
		}
		return 0, m.fault.at(at, fmt.Sprintf("a block of %d items where %d bytes are left", count, left)), -1
	}
	if idle > 0 && (count > int64(m.idle) || !m.spend(at, int(count)*idle)) {
		return 0, m.fault.at(at, "too many values that take no bytes"), -1
	}
	return count, i, end
}

// closeBlock checks that a block is as long as it says.
func (m *machine) closeBlock(i, end int) int {
	if end >= 0 && i >= 0 && i != end {
		return m.fault.at(i, fmt.Sprintf("a block that ends at offset %d and says that it ends at %d", i, end))
	}
	return i
}

// loop passes by the items of an array or map, or runs what is asked for of them.
func (m *machine) loop(st *step, b []byte, i, depth int) int {
	if depth > maxDepth {
		return m.tooDeep(i)
	}
	x := st.x
	index := int64(0)
	for {
		count, from, end := m.block(b, i, x.min, x.idle)
		if from < 0 {
			return -1
		}
		if count == 0 {
			return m.closeBlock(from, end)
		}
		switch i = from; {
		case x.isMap:
			i = m.entries(x, b, i, depth, count)
		case x.fixed >= 0 && len(x.elements) == 0:
			i += int(count) * x.fixed // fits: block has looked at that
		default:
			i = m.items(x, b, i, depth, index, count)
		}
		if i = m.closeBlock(i, end); i < 0 {
			return -1
		}
		index += count
	}
}

// items runs the items of one block of an array, the first of which is number index.
func (m *machine) items(x *detail, b []byte, i, depth int, index, count int64) int {
	next := 0
	for next < len(x.elements) && x.elements[next].index < index {
		next++
	}
	if next == len(x.elements) && x.body.isText() {
		for range count {
			at := i
			if _, i = findText(b, i); i < 0 {
				m.fault.field = x.body.where[0]
				return m.fault.text(b, at)
			}
		}
		return i
	}
	for last := index + count; index < last; index++ {
		body := x.body
		if next < len(x.elements) && x.elements[next].index == index {
			body = x.elements[next].body
			next++
		}
		if i = m.run(body, b, i, depth); i < 0 {
			return -1
		}
	}
	return i
}

// isText reports whether all that a program does is to pass by a string.
func (pr *program) isText() bool {
	return len(pr.steps) == 1 && pr.steps[0].op == opString && pr.steps[0].col < 0
}

// entries runs the entries of one block of a map. Of entries with the same key the last
// one counts.
func (m *machine) entries(x *detail, b []byte, i, depth int, count int64) int {
	for range count {
		from, end := m.span(b, i)
		if end < 0 {
			return -1
		}
		if !utf8text.Valid(b, from, end) {
			return m.fault.at(from, "a key that is not UTF-8")
		}
		body := x.body
		if len(x.members) > 0 {
			if t := x.members[view(b[from:end])]; t != nil {
				body = t.body
				for _, col := range t.below {
					m.cols[col].Set(m.row, codecs.Value{})
				}
			}
		}
		if i = m.run(body, b, end, depth); i < 0 {
			return -1
		}
	}
	return i
}
