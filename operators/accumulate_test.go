package operators

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"leat/codecs"
	"leat/dataflow"
)

// oneRow is an argument that always is the value it points at.
type oneRow struct{ v *codecs.Value }

func (o oneRow) Eval(*dataflow.Batch, int) (codecs.Value, error) { return *o.v, nil }

func compileOne(t *testing.T, fn string) accumulator {
	t.Helper()
	list, _, err := compileAccumulators([]AggregateSpec{{Fn: fn, Arg: oneRow{}, Text: fn + "(x)"}})
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// fold adds values to a fresh accumulator.
func fold(a accumulator, values ...codecs.Value) (*panes, uint32) {
	p := newPanes(pane{}, layout{words: a.words})
	slot := p.find(1, []byte("k"))
	for _, v := range values {
		a.add(p, slot, &operand{v: v})
	}
	return p, slot
}

func TestSemantics07IntegerSumsAreExact(t *testing.T) {
	t.Parallel()
	const seed = 11
	r := rand.New(rand.NewPCG(seed, seed))
	a, avg := compileOne(t, "sum"), compileOne(t, "avg")
	for range 2000 {
		var values []codecs.Value
		want := new(big.Int)
		for range 1 + r.IntN(6) {
			i := int64(r.Uint64())
			if r.IntN(2) == 0 {
				i = []int64{math.MaxInt64, math.MinInt64, 1, -1, 0}[r.IntN(5)]
			}
			values = append(values, codecs.IntValue(i))
			want.Add(want, big.NewInt(i))
		}
		p, slot := fold(a, values...)
		got, err := a.result(p.row(slot))
		if (err == nil) != want.IsInt64() || err == nil && got != codecs.IntValue(want.Int64()) {
			t.Fatalf("seed %d: sum of %v is %v, %v, want %s", seed, values, got, err, want)
		}
		p, slot = fold(avg, values...)
		mean, err := avg.result(p.row(slot))
		nearest, _ := new(big.Float).SetInt(want).Float64()
		if err != nil || mean != codecs.FloatValue(nearest/float64(len(values))) {
			t.Fatalf("seed %d: avg of %v is %v, %v, want %v", seed, values, mean, err, nearest/float64(len(values)))
		}
	}
}

func TestFloat128IsTheNearest(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	for range 20000 {
		high, low := r.Uint64()>>r.IntN(64), r.Uint64()
		if r.IntN(3) == 0 {
			low &= 1<<r.IntN(64) - 1 // ties and near ties
		}
		if r.IntN(2) == 0 {
			high = -high
		}
		exact := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(int64(high)), 64), new(big.Int).SetUint64(low))
		want, _ := new(big.Float).SetInt(exact).Float64()
		if got := float128(high, low); got != want {
			t.Fatalf("float128(%#x, %#x) = %v, want %v", high, low, got, want)
		}
	}
}

// TestFloatSums: floats are added one by one, integers beside them exactly.
func TestFloatSums(t *testing.T) {
	t.Parallel()
	a := compileOne(t, "sum")
	f, i := codecs.FloatValue, codecs.IntValue
	x, y, z := 0.1, 0.2, 0.3
	for _, c := range []struct {
		values []codecs.Value
		want   codecs.Value
	}{
		{nil, codecs.NullValue()},
		{[]codecs.Value{codecs.NullValue(), {}}, codecs.NullValue()},
		{[]codecs.Value{f(x), f(y), f(z)}, f(x + y + z)},
		{[]codecs.Value{f(1e16), f(1), f(1), f(-1e16)}, f(math.Float64frombits(0))},
		{[]codecs.Value{f(1e16), i(1), i(1), f(-1e16)}, f(2)},
		{[]codecs.Value{f(0.5), i(2)}, f(2.5)},
		{[]codecs.Value{f(math.Copysign(0, -1))}, f(math.Copysign(0, -1))},
		{[]codecs.Value{i(math.MaxInt64), i(math.MaxInt64), f(0.5)}, f(2 * float64(math.MaxInt64))},
	} {
		p, slot := fold(a, c.values...)
		if got, err := a.result(p.row(slot)); err != nil || got != c.want {
			t.Errorf("sum of %v is %v, %v, want %v", c.values, got, err, c.want)
		}
	}
}

func TestExtremes(t *testing.T) {
	t.Parallel()
	const seed = 17
	r := rand.New(rand.NewPCG(seed, seed))
	for _, fn := range []string{"min", "max"} {
		a := compileOne(t, fn)
		p := newPanes(pane{}, layout{words: a.words})
		want := map[uint32]codecs.Value{}
		for range 20000 {
			slot := p.find(uint64(r.IntN(3)), []byte{byte(r.IntN(3))})
			v := randomValue(r)
			old := want[slot]
			c := codecs.Compare(v, old)
			if !v.IsNull() && (old.Kind == codecs.Missing || fn == "min" && c < 0 || fn == "max" && c > 0) {
				want[slot] = v
			}
			a.add(p, slot, &operand{v: v})
			p.compact([]accumulator{a})
		}
		for slot, v := range want {
			if got := p.extremeValue(p.row(slot)); got != v {
				t.Errorf("seed %d: %s of slot %d is %v, want %v", seed, fn, slot, got, v)
			}
		}
		if len(p.text) > 1<<20 {
			t.Errorf("%d bytes of text for %d slots", len(p.text), p.len())
		}
	}
}

func randomValue(r *rand.Rand) codecs.Value {
	switch r.IntN(6) {
	case 0:
		return codecs.NullValue()
	case 1:
		return codecs.IntValue(int64(r.IntN(100)))
	case 2:
		return codecs.FloatValue(float64(r.IntN(200)) / 2)
	case 3:
		return codecs.BoolValue(r.IntN(2) == 0)
	}
	text := make([]byte, r.IntN(300))
	for i := range text {
		text[i] = 'a' + byte(r.IntN(26))
	}
	return codecs.StringValue(string(text))
}

func TestWrongAggregates(t *testing.T) {
	t.Parallel()
	for _, s := range []AggregateSpec{{Fn: "median", Arg: oneRow{}}, {Fn: "sum"}, {Fn: "min"}} {
		if _, _, err := compileAccumulators([]AggregateSpec{s}); err == nil {
			t.Errorf("%v was accepted", s)
		}
	}
	sum, least := compileOne(t, "sum"), compileOne(t, "min")
	if sum.accepts(&operand{v: codecs.StringValue("1")}) == "" || sum.accepts(&operand{v: codecs.BoolValue(true)}) == "" {
		t.Error("a sum takes what is not a number")
	}
	if least.accepts(&operand{v: codecs.StringValue(string(make([]byte, MaxTextBytes+1)))}) == "" {
		t.Error("min takes a text without bound")
	}
}

// TestPanesFind: as many slots as keys, each found again.
func TestPanesFind(t *testing.T) {
	t.Parallel()
	p := newPanes(pane{}, layout{words: 1})
	for round := range 3 {
		slots := map[uint32]bool{}
		for i := range 5000 {
			key := fmt.Appendf(nil, "key-%d-%d", round, i)
			slot := p.find(codecs.KeyHash(key)&0xFF, key) // many collisions
			slots[slot] = true
			if again := p.find(codecs.KeyHash(key)&0xFF, key); again != slot || string(p.key(slot)) != string(key) {
				t.Fatalf("round %d: %s has slots %d and %d", round, key, slot, again)
			}
			if p.row(slot)[0] != 0 {
				t.Fatalf("round %d: a new slot is not empty", round)
			}
			p.row(slot)[0] = 1
		}
		if len(slots) != 5000 || p.len() != 5000 {
			t.Fatalf("round %d: %d slots", round, p.len())
		}
		p.recycle()
	}
}
