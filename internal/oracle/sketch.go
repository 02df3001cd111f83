package oracle

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"strings"
)

// estimate is the HyperLogLog estimate of the number of different values: register i of
// 16384 holds the longest run of zeros, and one, behind the first 14 bits of the hashes
// whose first 14 bits are i. From how many registers hold each number comes the improved
// raw estimate of O. Ertl (arXiv:1702.01284), here by its formulas as they stand.
func estimate(all []cell) int64 {
	longest := map[uint64]int{} // 0 where there is none
	for _, c := range all {
		h := xxh64(c.v.canonical(nil))
		run := 1
		for bit := 49; bit >= 0 && h>>bit&1 == 0; bit-- {
			run++
		}
		longest[h>>50] = max(longest[h>>50], run)
	}
	const m = 1 << 14
	count := [52]float64{m - float64(len(longest))}
	for _, run := range longest {
		count[run]++
	}
	if count[0] == m {
		return 0
	}
	sigma, x := count[0]/m, count[0]/m
	for k := 1; k < 60; k++ {
		sigma += math.Pow(x, math.Pow(2, float64(k))) * math.Pow(2, float64(k-1))
	}
	tau, y := count[51]/m, 1-count[51]/m
	for k := 1; k < 60; k++ {
		d := 1 - math.Pow(y, math.Pow(2, -float64(k)))
		tau -= d * d * math.Pow(2, -float64(k))
	}
	z := m*sigma + m*tau/3*math.Pow(2, -50)
	for run := 1; run <= 50; run++ {
		z += count[run] * math.Pow(2, -float64(run))
	}
	return int64(math.Round(m * m / (2 * math.Ln2) / z))
}

// canonical appends the bytes that stand for a value and all that are equal to it, as
// group keys have them.
func (v value) canonical(b []byte) []byte {
	text := func(s string) []byte {
		return append(append([]byte{5}, strings.ReplaceAll(s, "\x00", "\x00\xFF")...), 0, 1)
	}
	switch {
	case v.none():
		return append(b, 1)
	case v.kind == boolean && !v.b:
		return append(b, 2)
	case v.kind == boolean:
		return append(b, 3)
	case v.number():
		return v.canonicalNumber(append(b, 4))
	case v.kind == array:
		b = append(b, 7)
		for _, e := range v.in.list {
			b = e.canonical(b)
		}
		return append(b, 0)
	case v.kind == object:
		b = append(b, 8)
		for i, name := range v.in.names {
			b = v.in.list[i].canonical(append(b, text(name)...))
		}
		return append(b, 0)
	}
	return append(b, text(v.s)...)
}

// canonicalNumber is the nearest float, and how far the number is off it where that can
// be.
func (v value) canonicalNumber(b []byte) []byte {
	f := v.float() + 0 // -0 is 0
	if f == 0 {
		f = 0
	}
	u := math.Float64bits(f)
	if f < 0 {
		u = ^u
	} else {
		u |= 1 << 63
	}
	b = binary.BigEndian.AppendUint64(b, u)
	if abs := math.Abs(f); abs < 1<<53 || abs > 1<<63 {
		return b
	}
	off := new(big.Float).SetPrec(200).Sub(new(big.Float).SetPrec(200).Set(v.exact()), big.NewFloat(f))
	i, _ := off.Int64()
	return binary.BigEndian.AppendUint16(b, uint16(int16(i))^0x8000)
}

// xxh64 is XXH64 with seed 0, after its specification.
func xxh64(b []byte) uint64 {
	p := []uint64{0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5}
	round := func(acc, lane uint64) uint64 { return bits.RotateLeft64(acc+lane*p[1], 31) * p[0] }
	n := uint64(len(b))
	acc := p[4]
	if n >= 32 {
		lanes := []uint64{p[0] + p[1], p[1], 0, -p[0]}
		for ; len(b) >= 32; b = b[32:] {
			for i := range lanes {
				lanes[i] = round(lanes[i], binary.LittleEndian.Uint64(b[8*i:]))
			}
		}
		acc = bits.RotateLeft64(lanes[0], 1) + bits.RotateLeft64(lanes[1], 7) + bits.RotateLeft64(lanes[2], 12) + bits.RotateLeft64(lanes[3], 18)
		for _, lane := range lanes {
			acc = (acc^round(0, lane))*p[0] + p[3]
		}
	}
	acc += n
	for ; len(b) >= 8; b = b[8:] {
		acc = bits.RotateLeft64(acc^round(0, binary.LittleEndian.Uint64(b)), 27)*p[0] + p[3]
	}
	if len(b) >= 4 {
		acc = bits.RotateLeft64(acc^uint64(binary.LittleEndian.Uint32(b))*p[0], 23)*p[1] + p[2]
		b = b[4:]
	}
	for _, c := range b {
		acc = bits.RotateLeft64(acc^uint64(c)*p[4], 11) * p[0]
	}
	acc = (acc ^ acc>>33) * p[1]
	acc = (acc ^ acc>>29) * p[2]
	return acc ^ acc>>32
}
