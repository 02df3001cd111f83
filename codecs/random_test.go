package codecs

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// edgeInts and edgeFloats are where rounding and sorting go wrong.
func edgeInts() []int64 {
	ints := []int64{0, 1, -1, 2, 255, 256, -256, math.MaxInt32, math.MinInt32}
	for _, base := range []int64{1 << 52, 1 << 53, 1 << 54, 1 << 62, 1<<63 - 1024, math.MaxInt64} {
		for d := int64(-3); d <= 3; d++ {
			if base != math.MaxInt64 || d <= 0 {
				ints = append(ints, base+d, -(base + d))
			}
		}
	}
	for _, d := range []int64{511, 512, 513, 1023, 1025} {
		ints = append(ints, math.MaxInt64-d, math.MinInt64+d, 1<<62+d, 1<<62-d)
	}
	return append(ints, math.MinInt64, math.MinInt64+1)
}

func edgeFloats() []float64 {
	floats := []float64{
		0, math.Copysign(0, -1), 0.5, -0.5, 1, -1, 1.5, 0.1, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64,
		0x1p-1022, math.MaxFloat64, -math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN(),
		math.Float64frombits(0xFFF8000000000000), math.Float64frombits(0x7FF0000000000001), 1e300, 1e-300,
	}
	for _, base := range []float64{1 << 52, 1 << 53, 1 << 54, 1 << 62, 1 << 63, 1 << 64} {
		for _, f := range []float64{base, math.Nextafter(base, 0), math.Nextafter(base, math.Inf(1))} {
			floats = append(floats, f, -f)
		}
	}
	return floats
}

// randomValue draws from every kind, with many near misses: equal numbers of
// different kinds, strings that share prefixes and hold zero bytes.
func randomValue(r *rand.Rand, depth int) Value {
	kinds := 11
	if depth == 0 {
		kinds = 9
	}
	switch r.IntN(kinds) {
	case 0:
		return []Value{{}, NullValue(), BoolValue(false), BoolValue(true)}[r.IntN(4)]
	case 1:
		ints := edgeInts()
		return IntValue(ints[r.IntN(len(ints))])
	case 2:
		return IntValue(int64(r.Uint64()) >> r.IntN(64))
	case 3:
		floats := edgeFloats()
		return FloatValue(floats[r.IntN(len(floats))])
	case 4:
		return FloatValue(math.Float64frombits(r.Uint64()))
	case 5:
		return FloatValue(float64(int64(r.Uint64()) >> r.IntN(64)))
	case 6:
		return FloatValue(float64(r.IntN(64)-32) / 4)
	case 7:
		return StringValue(randomText(r))
	case 8:
		return BytesValue(randomText(r))
	case 9:
		return ArrayValue(randomJSON(r, '[', depth))
	}
	return ObjectValue(randomJSON(r, '{', depth))
}

func randomText(r *rand.Rand) string {
	const alphabet = "\x00\x00\x01a\xffb"
	b := make([]byte, r.IntN(6))
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

// randomJSON writes an array or object with white space, escapes and repeated names.
func randomJSON(r *rand.Rand, open byte, depth int) string {
	space := func() string { return []string{"", "", " ", "\n\t"}[r.IntN(4)] }
	var b strings.Builder
	b.WriteByte(open)
	b.WriteString(space())
	for k := range r.IntN(4) {
		if k > 0 {
			b.WriteString(space() + "," + space())
		}
		if open == '{' {
			b.WriteString([]string{`"a"`, `"\u0061"`, `"b"`, `""`, `"a\u0000"`, `"é"`}[r.IntN(6)] + space() + ":" + space())
		}
		v := randomValue(r, depth-1)
		for v.Kind == Bytes {
			v = randomValue(r, depth-1)
		}
		b.Write(AppendJSON(nil, v))
	}
	b.WriteString(space())
	b.WriteByte(open + 2) // ] follows [ and } follows { two places on
	return b.String()
}

func show(v Value) string {
	return v.Kind.String() + " " + string(AppendJSON(nil, v)) + " " + strconv.Quote(v.Str)
}
