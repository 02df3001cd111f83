// Package utf8text checks that bytes are UTF-8, fast where they are short and ASCII, as the
// texts of records mostly are.
package utf8text

import (
	"encoding/binary"
	"unicode/utf8"
)

const highBits = 0x8080808080808080

// Valid reports whether b[from:end] is UTF-8. It may look at bytes of b behind.
func Valid(b []byte, from, end int) bool {
	n := end - from
	switch {
	case n >= 8:
		for i := from; i < end-8; i += 8 {
			if binary.LittleEndian.Uint64(b[i:])&highBits != 0 {
				return utf8.Valid(b[i:end])
			}
		}
		if binary.LittleEndian.Uint64(b[end-8:])&highBits == 0 {
			return true
		}
	case Short(b, from, n):
		return true
	}
	return utf8.Valid(b[from:end])
}

// Short reports whether the n bytes at b[from] are ASCII, if they are at most 8 and b has 8
// bytes there; else it is false.
func Short(b []byte, from, n int) bool {
	return n <= 8 && len(b)-from >= 8 && binary.LittleEndian.Uint64(b[from:])&highBits&(1<<(8*n)-1) == 0
}
