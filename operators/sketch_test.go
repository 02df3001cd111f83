package operators

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"leat/codecs"
)

// sketchOf is a sketch of the integers of a set from one up to another.
func sketchOf(set, from, to int) *sketch {
	s := &sketch{}
	var key []byte
	for i := from; i < to; i++ {
		key = codecs.AppendKey(key[:0], codecs.IntValue(int64(set)<<32+int64(i)))
		s.add(codecs.KeyHash(key))
	}
	return s
}

// ranks are all registers.
func (s *sketch) ranks() []byte {
	if s.dense != nil {
		return s.dense
	}
	c := sketch{sparse: s.sparse}
	c.spread()
	return c.dense
}

// TestSketchError holds the standard error that is documented, 1.04/128, over sets of
// many sizes, and that no estimate is off by more than five times that, or one.
func TestSketchError(t *testing.T) {
	t.Parallel()
	const standard = 1.04 / 128
	for _, c := range []struct{ n, sets int }{
		{0, 1}, {1, 50}, {10, 50}, {100, 50}, {1000, 40}, {3000, 40}, {20_000, 30}, {40_000, 30}, {150_000, 10}, {500_000, 3},
	} {
		squares := 0.0
		for set := range c.sets {
			got := sketchOf(set, 0, c.n).estimate()
			e := float64(got-int64(c.n)) / max(1, float64(c.n))
			squares += e * e
			if math.Abs(e) > 5*standard && math.Abs(e)*float64(c.n) > 1 {
				t.Errorf("%d values are estimated as %d", c.n, got)
			}
		}
		if rms := math.Sqrt(squares / float64(c.sets)); c.n > 10 && rms > 1.4*standard {
			t.Errorf("of %d values the error is %.4f, more than %.4f", c.n, rms, standard)
		}
	}
}

// TestSketchRegisters compares with registers filled as the definition has it.
func TestSketchRegisters(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	s, want := &sketch{}, make([]byte, registers)
	for i := range 30_000 {
		hash := r.Uint64() >> (r.IntN(2) * r.IntN(51)) << (r.IntN(2) * r.IntN(20))
		if i < 64 {
			hash = uint64(i%4*5) << 50 >> (i / 4 * 4) // bits that are all 0 but for one or two
		}
		text := fmt.Sprintf("%064b", hash)
		rank := 1
		for _, digit := range text[14:] {
			if digit == '1' {
				break
			}
			rank++
		}
		var register int
		if _, err := fmt.Sscanf(text[:14], "%b", &register); err != nil {
			t.Fatal(err)
		}
		want[register] = max(want[register], byte(rank))
		s.add(hash)
		if i%1000 == 7 && !bytes.Equal(s.ranks(), want) {
			t.Fatalf("after %d values the registers differ", i+1)
		}
	}
	if s.dense == nil {
		t.Error("a list of more than it may hold")
	}
}

// TestSketchMerge: to merge is to take all values together, in any order, however they
// are held, and what is stored says all.
func TestSketchMerge(t *testing.T) {
	t.Parallel()
	const seed = 9
	r := rand.New(rand.NewPCG(seed, seed))
	sizes := []int{0, 1, 50, 1500, 2047, 2400, 2600, 9000}
	for range 120 {
		n, m, shared := sizes[r.IntN(len(sizes))], sizes[r.IntN(len(sizes))], r.IntN(1000)
		whole := sketchOf(0, 0, n+m)
		a, b := sketchOf(0, 0, n), sketchOf(0, max(0, n-shared), n+m)
		ab := stored(t, a)
		ab.merge(b)
		b.merge(stored(t, a))
		for _, s := range []*sketch{ab, b, stored(t, ab)} {
			if !bytes.Equal(s.ranks(), whole.ranks()) || s.estimate() != whole.estimate() {
				t.Fatalf("seed %d: %d and %d values with %d of both: estimate %d, of all together %d", seed, n, m, shared, s.estimate(), whole.estimate())
			}
		}
		if !slices.IsSorted(b.sparse) || len(b.sparse) > maxSparse || b.dense != nil && b.sparse != nil {
			t.Fatalf("seed %d: a list of %d registers beside an array of %d", seed, len(b.sparse), len(b.dense))
		}
	}
}

// stored is what is read of what is written.
func stored(t *testing.T, s *sketch) *sketch {
	t.Helper()
	r := reader{src: s.append(nil)}
	var again sketch
	if r.sketch(&again); r.bad || len(r.src) > 0 {
		t.Fatalf("what was written of %d registers is not read", len(s.sparse))
	}
	return &again
}

// TestSketchJoin: two groups that become one have the values of both.
func TestSketchJoin(t *testing.T) {
	t.Parallel()
	list, size, err := compileAccumulators([]AggregateSpec{{Fn: "approx_count_distinct", Arg: oneRow{}, Text: "approx_count_distinct(x)"}})
	if err != nil {
		t.Fatal(err)
	}
	p, a := newPanes(pane{}, size), &list[0]
	slots := []uint32{p.find(1, []byte("a")), p.find(2, []byte("b")), p.find(3, []byte("c"))}
	for i, values := range [][]codecs.Value{numbers(0, 20), numbers(10, 30)} {
		for _, v := range values {
			a.add(p, slots[i], &operand{v: v})
		}
	}
	for _, c := range []struct {
		into, from int
		want       int64
	}{{0, 1, 30}, {2, 0, 30}, {0, 2, 30}} {
		a.join(p, slots[c.into], slots[c.from])
		v, err := a.mergeAll([]partial{{panes: p, slot: slots[c.into]}})
		if err != nil || v != codecs.IntValue(c.want) || p.bagBytes != p.bag(0, 0).memory()+p.bag(1, 0).memory()+p.bag(2, 0).memory() {
			t.Errorf("group %d with %d has %v, %v, in %d bytes", c.into, c.from, v, err, p.bagBytes)
		}
	}
	if v, _ := a.mergeAll([]partial{{panes: p, slot: slots[1]}}); v != codecs.IntValue(20) {
		t.Errorf("a group that was joined to another has become %v", v)
	}
}

// TestSketchGolden: estimates never change, for windows are merged of sketches that
// other versions have stored.
func TestSketchGolden(t *testing.T) {
	t.Parallel()
	a, parts := parts(t, "approx_count_distinct", 0, numbers(0, 30_000), numbers(20_000, 40_000), nil)
	if v, err := a.mergeAll(parts); err != nil || v != codecs.IntValue(40_288) {
		t.Errorf("40 000 integers are estimated as %v, %v", v, err)
	}
}

func TestDamagedSketch(t *testing.T) {
	t.Parallel()
	packed := sketchOf(0, 0, 9000).append(nil)
	tooHigh := bytes.Clone(packed)
	tooHigh[2] = 63
	for name, text := range map[string][]byte{
		"nothing":              {},
		"too few":              {2, 5, 1},
		"rank 0":               {1, 5, 0},
		"rank above the most":  {1, 5, maxRank + 1},
		"a register twice":     {2, 5, 1, 0, 1},
		"distance 0 at first":  {1, 0, 1},
		"register beyond all":  {1, 0x81, 0x80, 0x01, 1},
		"distance wraps":       {2, 5, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 1},
		"too many":             {0x82, 0x10},
		"array too short":      packed[:len(packed)-1],
		"array with rank 52up": tooHigh,
	} {
		r := reader{src: text}
		if r.sketch(&sketch{}); !r.bad {
			t.Errorf("%s is read", name)
		}
	}
}

func BenchmarkSketch(b *testing.B) {
	hashes := make([]uint64, 1<<16)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range hashes {
		hashes[i] = r.Uint64()
	}
	for _, n := range []int{1000, 1 << 16} {
		b.Run(fmt.Sprintf("add/%d", n), func(b *testing.B) {
			s := &sketch{}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.add(hashes[i%n])
			}
		})
	}
	b.Run("estimate", func(b *testing.B) {
		s := sketchOf(0, 0, 50_000)
		b.ReportAllocs()
		for b.Loop() {
			s.estimate()
		}
	})
}
