package varint

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// TestAgainstStandard: as encoding/binary reads and writes, at every distance from the end.
func TestAgainstStandard(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b := make([]byte, r.IntN(14))
		for i := range b {
			b[i] = byte(r.Uint32())
			if r.IntN(3) > 0 {
				b[i] |= 0x80
			}
		}
		from := r.IntN(len(b) + 1)
		want, n := binary.Uvarint(b[from:])
		got, next := Read(b, from)
		if n <= 0 && next != -1 || n > 0 && (got != want || next != from+n) {
			t.Fatalf("% x from %d: %d, %d; want %d, %d", b, from, got, next, want, n)
		}
		if n > 0 && len(Append(nil, want)) > n {
			t.Fatalf("%d is written % x", want, Append(nil, want))
		}
	}
}

func TestEdges(t *testing.T) {
	t.Parallel()
	for _, v := range []int64{0, -1, 1, math.MinInt64, math.MaxInt64} {
		b := Append([]byte("x"), Zigzag(v))
		u, next := Read(b, 1)
		if Unzigzag(u) != v || next != len(b) || string(b) != string(binary.AppendVarint([]byte("x"), v)) {
			t.Errorf("%d is written % x and read %d, %d", v, b, Unzigzag(u), next)
		}
	}
}
