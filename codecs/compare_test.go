package codecs

import (
	"math"
	"math/big"
	"testing"

	"leat/internal/testenv"
)

// exact is a finite number as a fraction, for an oracle without rounding.
func exact(v Value) *big.Rat {
	if v.Kind == Int {
		return new(big.Rat).SetInt64(v.Int())
	}
	return new(big.Rat).SetFloat64(v.Float()) // nil if not finite
}

func TestCompareNumbersExactly(t *testing.T) {
	t.Parallel()
	var numbers []Value
	for _, i := range edgeInts() {
		numbers = append(numbers, IntValue(i))
	}
	for _, f := range edgeFloats() {
		numbers = append(numbers, FloatValue(f))
	}
	r := testenv.Rand(t)
	for len(numbers) < 400 {
		if v := randomValue(r, 0); v.IsNumber() {
			numbers = append(numbers, v)
		}
	}
	for _, a := range numbers {
		for _, b := range numbers {
			x, y := exact(a), exact(b)
			if x == nil || y == nil {
				continue
			}
			if got, want := Compare(a, b), x.Cmp(y); got != want {
				t.Errorf("%s against %s: %d, want %d", show(a), show(b), got, want)
			}
		}
	}
}

// TestCompareOrder lists classes of equal values from the lowest to the highest.
func TestCompareOrder(t *testing.T) {
	t.Parallel()
	classes := [][]Value{
		{{}, NullValue()},
		{BoolValue(false)},
		{BoolValue(true)},
		{FloatValue(math.Inf(-1))},
		{FloatValue(-math.MaxFloat64)},
		{IntValue(math.MinInt64), FloatValue(-1 << 63)},
		{IntValue(-1), FloatValue(-1)},
		{FloatValue(-0.5)},
		{IntValue(0), FloatValue(0), FloatValue(math.Copysign(0, -1))},
		{FloatValue(0.5)},
		{IntValue(1 << 53), FloatValue(1 << 53)},
		{IntValue(1<<53 + 1)},
		{IntValue(math.MaxInt64)},
		{FloatValue(1 << 63)},
		{FloatValue(math.Inf(1))},
		{FloatValue(math.NaN()), FloatValue(math.Float64frombits(0xFFF8000000000000))},
		{StringValue("")},
		{StringValue("a")},
		{StringValue("a\x00")},
		{StringValue("b")},
		{BytesValue("")},
		{BytesValue("a")},
		{ArrayValue("[]"), ArrayValue(" [ ] ")},
		{ArrayValue("[null]")},
		{ArrayValue("[10]"), ArrayValue("[1e1]")},
		{ArrayValue("[10,0]")},
		{ArrayValue("[[]]")},
		{ObjectValue("{}")},
		{ObjectValue(`{"a":2}`)},
		{ObjectValue(`{"a":2,"b":1}`), ObjectValue(`{"b":1,"a":2}`)},
		{ObjectValue(`{"b":1}`)},
	}
	for i, low := range classes {
		for j, high := range classes {
			for _, a := range low {
				for _, b := range high {
					want := sign(i - j)
					if got := Compare(a, b); got != want {
						t.Errorf("%s against %s: %d, want %d", show(a), show(b), got, want)
					}
				}
			}
		}
	}
}

func BenchmarkCompare(b *testing.B) {
	x, y := IntValue(1<<53+1), FloatValue(1<<53)
	for b.Loop() {
		if Compare(x, y) != 1 {
			b.Fatal("2^53+1 is not above 2^53")
		}
	}
}
