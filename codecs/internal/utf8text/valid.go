// Package utf8text checks that bytes are UTF-8, fast where they are short and ASCII, as the
// texts of records mostly are.
package utf8text

import (
	"encoding/binary"
	"unicode/utf8"
)

const highBits = 0x8080808080808080

// Valid reports whether b[from:end] is UTF-8. It may look at other bytes of b.
func Valid(b []byte, from, end int) bool {
	n := end - from
	switch {
	case n > 8:
		high := binary.LittleEndian.Uint64(b[end-8:])
		for i := from; i < end-8; i += 8 {
			high |= binary.LittleEndian.Uint64(b[i:])
		}
		if high&highBits == 0 {
			return true
		}
	case Short(b, end, n):
		return true
	case len(b)-from >= 8:
		if binary.LittleEndian.Uint64(b[from:])&highBits&(1<<(8*n)-1) == 0 {
			return true
		}
	}
	return utf8.Valid(b[from:end])
}

// Short reports whether the n bytes before b[end] are ASCII, if they are at most 8 and
// there are 8 bytes before b[end]; else it is false.
func Short(b []byte, end, n int) bool {
	return n <= 8 && end >= 8 && binary.LittleEndian.Uint64(b[end-8:])&highBits>>(64-8*n) == 0
}
