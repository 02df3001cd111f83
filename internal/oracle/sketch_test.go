package oracle

import (
	"encoding/hex"
	"math"
	"testing"
)

// TestXXH64 has vectors of the reference implementation.
func TestXXH64(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{
		"": 0xEF46DB3751D8E999, "a": 0xD24EC4F1A98C6E5B, "abc": 0x44BC2CF5AD770999,
		"Nobody inspects the spammish repetition": 0xFBCEA83C8A378BF1,
	} {
		if got := xxh64([]byte(text)); got != want {
			t.Errorf("%q: %#x, want %#x", text, got, want)
		}
	}
}

// TestCanonical shows the bytes of values, which equal ones share.
func TestCanonical(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"null": "01", "false": "02", "true": "03", "1": "04bff0000000000000", "1.0": "04bff0000000000000", "-0.0": "048000000000000000", "0": "048000000000000000",
		"-2": "043fffffffffffffff", "9007199254740993": "04c3400000000000008001", "9007199254740992.0": "04c3400000000000008000", "9223372036854775807": "04c3e00000000000007fff",
		`"a\u0000"`: "056100ff0001", `[1,"b"]`: "0704bff000000000000005620001" + "00", `{"b":null,"a":true,"b":false}`: "0805610001030562000102" + "00",
	} {
		if got := hex.EncodeToString(parse([]byte(text)).canonical(nil)); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 50, 1000, 30_000} {
		var all []cell
		for i := range 2 * n {
			all = append(all, cell{v: ofInt(int64(i % max(1, n)))})
		}
		if e := math.Abs(float64(estimate(all) - int64(n))); e > 0.03*float64(n) {
			t.Errorf("%d values are estimated as %d", n, estimate(all))
		}
	}
}
