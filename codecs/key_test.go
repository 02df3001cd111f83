package codecs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"leat/internal/testenv"
)

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func TestKeyOrderAgreesWithCompareOnEdges(t *testing.T) {
	t.Parallel()
	values := []Value{
		{}, NullValue(), BoolValue(false), BoolValue(true), StringValue(""), StringValue("\x00"), StringValue("a"),
		StringValue("a\x00"), StringValue("a\x00\x01"), StringValue("a\x01"), StringValue("ab"), StringValue("\xff"),
		BytesValue(""), BytesValue("a"), ArrayValue("[]"), ArrayValue("[1]"), ArrayValue("[1,2]"), ArrayValue("[2]"),
		ArrayValue(`["a"]`), ArrayValue("[[]]"), ObjectValue("{}"), ObjectValue(`{"a":1}`), ObjectValue(`{"a":1,"b":2}`), ObjectValue(`{"b":0}`),
	}
	for _, i := range edgeInts() {
		values = append(values, IntValue(i))
	}
	for _, f := range edgeFloats() {
		values = append(values, FloatValue(f))
	}
	for _, a := range values {
		for _, b := range values {
			byKey := bytes.Compare(AppendKey(nil, a), AppendKey(nil, b))
			if byValue := Compare(a, b); sign(byKey) != sign(byValue) {
				t.Errorf("%s against %s: keys say %d, Compare says %d", show(a), show(b), byKey, byValue)
			}
		}
	}
}

func TestCompositeKeysOrderAndRoundTrip(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 20000 {
		a, b := make([]Value, 1+r.IntN(3)), make([]Value, 1+r.IntN(3))
		for k := range a {
			a[k] = randomValue(r, 2)
		}
		for k := range b {
			b[k] = randomValue(r, 2)
			if k < len(a) && r.IntN(2) == 0 {
				b[k] = a[k] // long common prefixes
			}
		}
		keyA, keyB := compositeKey(a), compositeKey(b)
		if got, want := bytes.Compare(keyA, keyB), compareLists(a, b); sign(got) != sign(want) {
			t.Fatalf("%v against %v: keys say %d, values say %d", a, b, got, want)
		}
		rest := keyA
		for k, v := range a {
			var got Value
			var err error
			if got, rest, err = DecodeKey(rest); err != nil {
				t.Fatalf("value %d of %v: %v", k, a, err)
			}
			checkDecoded(t, v, got)
		}
		if len(rest) != 0 {
			t.Fatalf("%d bytes left of the key of %v", len(rest), a)
		}
	}
}

func compositeKey(values []Value) (key []byte) {
	for _, v := range values {
		key = AppendKey(key, v)
	}
	return key
}

func compareLists(a, b []Value) int {
	for k := range min(len(a), len(b)) {
		if c := Compare(a[k], b[k]); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

// checkDecoded checks what DecodeKey promises about got, made of the key of v.
func checkDecoded(t *testing.T, v, got Value) {
	t.Helper()
	if Compare(v, got) != 0 || !bytes.Equal(AppendKey(nil, v), AppendKey(nil, got)) {
		t.Fatalf("%s came back as %s", show(v), show(got))
	}
	want := v.Kind
	switch {
	case v.Kind == Missing:
		want = Null
	case v.Kind == Float:
		if f := v.Float(); f == math.Trunc(f) && f >= -twoTo63 && f < twoTo63 {
			want = Int
		}
	}
	if got.Kind != want {
		t.Fatalf("%s came back as %s, want kind %s", show(v), show(got), want)
	}
	if (v.Kind == Int || v.Kind == String || v.Kind == Bytes) && v != got {
		t.Fatalf("%s came back as %s", show(v), show(got))
	}
}

// The bytes are stored: a change here is a change of format.
func TestKeyGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value Value
		key   string
	}{
		{Value{}, "01"},
		{NullValue(), "01"},
		{BoolValue(false), "02"},
		{BoolValue(true), "03"},
		{IntValue(0), "048000000000000000"},
		{FloatValue(math.Copysign(0, -1)), "048000000000000000"},
		{IntValue(1), "04bff0000000000000"},
		{FloatValue(1), "04bff0000000000000"},
		{IntValue(-1), "04400fffffffffffff"},
		{FloatValue(0.5), "04bfe0000000000000"},
		{IntValue(1<<53 - 1), "04c33fffffffffffff"},
		{IntValue(1 << 53), "04c3400000000000008000"},
		{FloatValue(1 << 53), "04c3400000000000008000"},
		{IntValue(1<<53 + 1), "04c3400000000000008001"},
		{IntValue(-1<<53 - 1), "043cbfffffffffffff7fff"},
		{IntValue(math.MaxInt64), "04c3e00000000000007fff"},
		{FloatValue(1 << 63), "04c3e00000000000008000"},
		{IntValue(math.MinInt64), "043c1fffffffffffff8000"},
		{FloatValue(1 << 64), "04c3f0000000000000"},
		{FloatValue(math.Inf(1)), "04fff0000000000000"},
		{FloatValue(math.Inf(-1)), "04000fffffffffffff"},
		{FloatValue(math.NaN()), "04fff8000000000001"},
		{FloatValue(math.Float64frombits(0xFFF8000000000123)), "04fff8000000000001"},
		{StringValue(""), "050001"},
		{StringValue("a\x00b"), "056100ff620001"},
		{BytesValue("a"), "06610001"},
		{ArrayValue("[ 1.0,null ]"), "0704bff00000000000000100"},
		{ObjectValue(`{"b":true,"a":false}`), "0805610001020562000103" + "00"},
		{ObjectValue(`{"a":1,"\u0061":null}`), "08056100010100"},
		{ObjectValue(`{"a"`), "097b2261220001"},
	} {
		if got := hex.EncodeToString(AppendKey(nil, c.value)); got != c.key {
			t.Errorf("%s: %s, want %s", show(c.value), got, c.key)
		}
	}
}

func TestEqualValuesHaveEqualKeys(t *testing.T) {
	t.Parallel()
	for _, same := range [][]Value{
		{{}, NullValue()},
		{IntValue(7), FloatValue(7)},
		{IntValue(math.MinInt64), FloatValue(-1 << 63)},
		{ArrayValue("[1,2]"), ArrayValue("[ 1.0 ,\n2e0]")},
		{ObjectValue(`{"a":1,"b":[]}`), ObjectValue(`{"b":[ ],"a":3,"a":1.0}`), ObjectValue(`{"\u0062":[],"a":1}`)},
		{ObjectValue(`{"a":"é/"}`), ObjectValue(`{"a":"\u00e9\/"}`)},
	} {
		for _, v := range same {
			if Compare(same[0], v) != 0 || !bytes.Equal(AppendKey(nil, same[0]), AppendKey(nil, v)) {
				t.Errorf("%s and %s differ", show(same[0]), show(v))
			}
		}
	}
}

// More members than a sort keeps in order by chance.
func TestLastOfManyRepeatedMembersCounts(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, `,"%d":%d`, i*7%3, i)
	}
	got := AppendKey(nil, ObjectValue("{"+b.String()[1:]+"}"))
	if want := AppendKey(nil, ObjectValue(`{"0":297,"1":298,"2":299}`)); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestDeepTextBecomesOpaqueKey(t *testing.T) {
	t.Parallel()
	deep := func(n int) Value { return ArrayValue(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if key := AppendKey(nil, deep(512)); key[0] != tagArray {
		t.Errorf("512 deep has tag %d", key[0])
	}
	key := AppendKey([]byte{tagNull}, deep(513))
	if key[0] != tagNull || key[1] != tagOpaque {
		t.Errorf("513 deep starts with % x", key[:2])
	}
	if v, rest, err := DecodeKey(key[1:]); err != nil || len(rest) != 0 || v != deep(513) {
		t.Errorf("opaque text came back as %v, %v", v.Kind, err)
	}
	if _, _, err := DecodeKey(bytes.Repeat([]byte{tagArray}, 1<<20)); !errors.Is(err, errKey) {
		t.Errorf("a million open arrays: %v", err)
	}
}

func TestDecodeKeyRefuses(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", "00", "0a", "ff", // no tag
		"04", "0480000000000000", "04c340000000000000", "04c34000000000000080", // cut numbers
		"047fffffffffffffff", "04fff8000000000000", "0400070000000000", // -0 and NaNs
		"04c3400000000000009000", "04c3e00000000000008001", "043c1fffffffffffff7fff", // residuals beyond rounding
		"05", "0561", "056100", "05610002", "05610000", "0661ff", // texts without end
		"07", "07ff00", "0704", "0801", "080100", "0805610001", "080561000100", "09", "0961", // composites
	} {
		src, err := hex.DecodeString(key)
		if err != nil {
			t.Fatal(err)
		}
		if v, _, err := DecodeKey(src); !errors.Is(err, errKey) {
			t.Errorf("%s: %s, %v", key, show(v), err)
		}
	}
}

// FuzzDecodeKey: what decodes, compares as it came; nothing reads beyond its bytes.
func FuzzDecodeKey(f *testing.F) {
	f.Add([]byte{tagNull, tagTrue})
	f.Add(AppendKey(AppendKey(nil, IntValue(math.MaxInt64)), StringValue("a\x00b")))
	f.Add(AppendKey(nil, ObjectValue(`{"a":[1,2.5,null],"b":{"c":"x"}}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, rest, err := DecodeKey(data)
		if err != nil {
			return
		}
		if len(rest) >= len(data) || !bytes.HasSuffix(data, rest) {
			t.Fatalf("rest % x of % x", rest, data)
		}
		used := data[:len(data)-len(rest)]
		if key := AppendKey(nil, v); used[0] <= tagBytes && !bytes.Equal(key, used) {
			t.Fatalf("% x decodes as %s, which has the key % x", used, show(v), key)
		}
		again, rest2, err := DecodeKey(AppendKey(nil, v))
		if err != nil || len(rest2) != 0 || Compare(v, again) != 0 {
			t.Fatalf("%s came back as %s, %v", show(v), show(again), err)
		}
	})
}

func BenchmarkAppendKey(b *testing.B) {
	for _, c := range []struct {
		name  string
		value Value
	}{
		{"int", IntValue(1700000000000)}, {"float", FloatValue(12.5)}, {"string", StringValue("u0123")},
		{"array", ArrayValue(`["a","promo",17]`)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var key []byte
			for b.Loop() {
				key = AppendKey(key[:0], c.value)
			}
		})
	}
}
