package codecs

import (
	"bytes"
	"fmt"
	"testing"
)

// The first four are vectors of the reference implementation; the rest freeze the
// hash of stored keys. A change here moves keys between groups.
func TestKeyHashGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  []byte
		want uint64
	}{
		{nil, 0xEF46DB3751D8E999},
		{[]byte("a"), 0xD24EC4F1A98C6E5B},
		{[]byte("abc"), 0x44BC2CF5AD770999},
		{[]byte("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1},
	} {
		if got := KeyHash(c.key); got != c.want {
			t.Errorf("%q: %#x, want %#x", c.key, got, c.want)
		}
	}
}

// TestKeyHashSpreads puts keys as queries have them into 256 groups and checks, with
// a chi-squared test, that no group is favoured.
func TestKeyHashSpreads(t *testing.T) {
	t.Parallel()
	const groups, keys = 256, 256 * 400
	for _, c := range []struct {
		name string
		key  func(i int) Value
	}{
		{"small ints", func(i int) Value { return IntValue(int64(i)) }},
		{"times", func(i int) Value { return IntValue(1700000000000 + int64(i)*60000) }},
		{"names", func(i int) Value { return StringValue(fmt.Sprintf("u%06d", i)) }},
		{"long names", func(i int) Value {
			return StringValue(string(bytes.Repeat([]byte("x"), 40)) + fmt.Sprint(i))
		}},
	} {
		for _, shift := range []int{0, 56} {
			var count [groups]float64
			for i := range keys {
				count[KeyHash(AppendKey(nil, c.key(i)))>>shift%groups]++
			}
			chi := 0.0
			for _, n := range count {
				chi += (n - keys/groups) * (n - keys/groups) / (keys / groups)
			}
			if chi > 377 { // 255 degrees of freedom: passed with probability 1 - 1e-6
				t.Errorf("%s, bits from %d: chi squared %.0f", c.name, shift, chi)
			}
		}
	}
}

func TestKeyHashDependsOnEveryByte(t *testing.T) {
	t.Parallel()
	for size := 1; size < 100; size++ {
		key := make([]byte, size)
		before := KeyHash(key)
		for i := range key {
			key[i] = 1
			if KeyHash(key) == before {
				t.Errorf("byte %d of %d does not count", i, size)
			}
			key[i] = 0
		}
		if KeyHash(make([]byte, size+1)) == before {
			t.Errorf("%d and %d zero bytes collide", size, size+1)
		}
	}
}

func BenchmarkKeyHash(b *testing.B) {
	for _, size := range []int{9, 16, 64} {
		key := make([]byte, size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				KeyHash(key)
			}
		})
	}
}
