// Package varint reads variable-length integers: seven bits a byte, the least significant
// first, every byte but the last with its high bit set, at most ten bytes for 64 bits.
// Avro and Protobuf write their numbers so. Forms longer than a number needs are read.
package varint

import (
	"encoding/binary"
	"math/bits"
)

// MaxBytes is the length of the longest.
const MaxBytes = 10

// Read reads the integer at b[i] and returns the index after it, or -1 if b ends before or
// the integer has more than 64 bits.
func Read(b []byte, i int) (v uint64, next int) {
	if uint(i) < uint(len(b)) {
		if c := b[i]; c < 0x80 {
			return uint64(c), i + 1
		}
	}
	return Long(b, i)
}

// Long is Read, for integers that are expected to have more than one byte.
func Long(b []byte, i int) (uint64, int) {
	if len(b)-i >= 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if stop := ^x & 0x8080808080808080; stop != 0 {
			x &= stop ^ (stop - 1) // the bytes up to the first without a continuation bit
			x &= 0x7F7F7F7F7F7F7F7F
			x = x&0x007F007F007F007F | x&0x7F007F007F007F00>>1
			x = x&0x00003FFF00003FFF | x&0x3FFF00003FFF0000>>2
			x = x&0x000000000FFFFFFF | x&0x0FFFFFFF00000000>>4
			return x, i + bits.TrailingZeros64(stop)>>3 + 1
		}
	}
	var x uint64
	for k := range MaxBytes {
		if i+k >= len(b) {
			return 0, -1
		}
		c := b[i+k]
		if k == MaxBytes-1 && c > 1 {
			return 0, -1
		}
		x |= uint64(c&0x7F) << (7 * k)
		if c < 0x80 {
			return x, i + k + 1
		}
	}
	return 0, -1
}

// Append appends v in as few bytes as it needs.
func Append(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// Zigzag maps small numbers of either sign to small numbers.
func Zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

// Unzigzag is the way back.
func Unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
