package codecs

import (
	"encoding/binary"
	"math/bits"
)

// The primes of xxHash64.
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

// KeyHash is xxHash64 with seed 0 of an encoded key. It is part of the stored
// format: the same on every node, architecture and version. All of its bits are well
// mixed, so any 8 of them select one of 256 key groups.
//
// Algorithm: xxHash fast digest, XXH64, by Yann Collet (specification version 0.1.1).
func KeyHash(key []byte) uint64 {
	var h uint64
	rest := key
	if len(rest) >= 32 {
		h, rest = hashStripes(rest)
	} else {
		h = prime5
	}
	h += uint64(len(key))
	for ; len(rest) >= 8; rest = rest[8:] {
		h ^= hashRound(0, binary.LittleEndian.Uint64(rest))
		h = bits.RotateLeft64(h, 27)*prime1 + prime4
	}
	if len(rest) >= 4 {
		h ^= uint64(binary.LittleEndian.Uint32(rest)) * prime1
		h = bits.RotateLeft64(h, 23)*prime2 + prime3
		rest = rest[4:]
	}
	for _, c := range rest {
		h ^= uint64(c) * prime5
		h = bits.RotateLeft64(h, 11) * prime1
	}
	h ^= h >> 33
	h *= prime2
	h ^= h >> 29
	h *= prime3
	return h ^ h>>32
}

// hashStripes folds all whole 32-byte stripes of b and returns what is left of it.
func hashStripes(b []byte) (uint64, []byte) {
	p1, p2 := prime1, prime2 // variables, because the sums wrap
	v1, v2, v3, v4 := p1+p2, p2, uint64(0), -p1
	for ; len(b) >= 32; b = b[32:] {
		v1 = hashRound(v1, binary.LittleEndian.Uint64(b[0:8]))
		v2 = hashRound(v2, binary.LittleEndian.Uint64(b[8:16]))
		v3 = hashRound(v3, binary.LittleEndian.Uint64(b[16:24]))
		v4 = hashRound(v4, binary.LittleEndian.Uint64(b[24:32]))
	}
	h := bits.RotateLeft64(v1, 1) + bits.RotateLeft64(v2, 7) + bits.RotateLeft64(v3, 12) + bits.RotateLeft64(v4, 18)
	for _, v := range [4]uint64{v1, v2, v3, v4} {
		h = (h^hashRound(0, v))*prime1 + prime4
	}
	return h, b
}

func hashRound(acc, lane uint64) uint64 {
	return bits.RotateLeft64(acc+lane*prime2, 31) * prime1
}
