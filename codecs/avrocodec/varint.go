package avrocodec

import (
	"fmt"

	"leat/codecs/internal/utf8text"
	"leat/codecs/internal/varint"
)

// Numbers of an Avro record, and lengths, counts and indexes, are zigzag varints, least
// significant seven bits first: at most 5 bytes for an int and 10 for a long.
const (
	maxIntBytes  = 5
	maxLongBytes = 10
)

// readLong reads the varint at b[i] and returns the index after it, or -1.
func readLong(b []byte, i int) (v int64, next int) {
	if uint(i) < uint(len(b)) {
		if c := b[i]; c < 0x80 {
			return int64(c>>1) ^ -int64(c&1), i + 1
		}
	}
	return readLongSlow(b, i)
}

func readLongSlow(b []byte, i int) (int64, int) {
	v, next := varint.Long(b, i)
	return varint.Unzigzag(v), next
}

// isInt reports whether the varint of v, so many bytes long, is an int.
func isInt(v int64, size int) bool { return v == int64(int32(v)) && size <= maxIntBytes }

// fault is why a record is refused.
type fault struct {
	reason string
	offset int
	field  string
}

// at records a reason, if there is none yet, and returns -1.
func (f *fault) at(offset int, reason string) int {
	if f.reason == "" {
		f.offset, f.reason = offset, reason
	}
	return -1
}

// number records why there is no varint of the given length at b[i].
func (f *fault) number(b []byte, i, limit int) int {
	for k := i; k < len(b) && k < i+limit; k++ {
		if b[k] < 0x80 {
			return f.at(i, "a number out of range")
		}
	}
	if len(b)-i < limit {
		return f.at(i, "the record ends inside a number")
	}
	return f.at(i, fmt.Sprintf("a number of more than %d bytes", limit))
}

// length records why b[i] does not start something whose length is in front of it.
func (f *fault) length(b []byte, i int) int {
	n, next := readLong(b, i)
	switch {
	case next < 0:
		return f.number(b, i, maxLongBytes)
	case n < 0:
		return f.at(i, fmt.Sprintf("a length of %d", n))
	}
	return f.at(i, fmt.Sprintf("a length of %d where %d bytes are left", n, len(b)-next))
}

// short records that b ends before the n bytes at i.
func (f *fault) short(b []byte, i, n int) int {
	return f.at(i, fmt.Sprintf("%d bytes are left where %d are needed", max(0, len(b)-i), n))
}

// text records why b[i] does not start a string.
func (f *fault) text(b []byte, i int) int {
	if n, from := readLong(b, i); from >= 0 && uint64(n) <= uint64(len(b)-from) {
		return f.at(from, "a string that is not UTF-8")
	}
	return f.length(b, i)
}

// findText finds the UTF-8 string whose length is at b[i]; end is -1 if there is none.
func findText(b []byte, i int) (from, end int) {
	if uint(i) < uint(len(b)) && b[i]&0x81 == 0 { // a length of 0 to 63
		n := int(b[i] >> 1)
		from, end = i+1, i+1+n
		if end > len(b) {
			return from, -1
		}
		if utf8text.Short(b, end, n) {
			return from, end
		}
	} else {
		var n int64
		if n, from = readLong(b, i); from < 0 || uint64(n) > uint64(len(b)-from) {
			return from, -1
		}
		end = from + int(n)
	}
	if !utf8text.Valid(b, from, end) {
		return from, -1
	}
	return from, end
}
