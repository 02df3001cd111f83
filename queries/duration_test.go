package queries

import "testing"

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"90s": 90_000, "1h30m": 5_400_000, "24h": 86_400_000, "500ms": 500, "2d": 172_800_000, "0s": 0, "1d2h3m4s5ms": 93_784_005,
		"1.5s": 1500, "0.001s": 1, "1.50m": 90_000, "0.25d": 21_600_000, "1.000000s": 1000, "00090s": 90_000, "3660000d": maxDurationMs,
		"": -1, "s": -1, "90": -1, "1h30": -1, "-1s": -1, "+1s": -1, "1 s": -1, " 1s": -1, "1s ": -1, "1S": -1, "1w": -1, "1us": -1, "1e3s": -1,
		"30m1h": -1, "1s1s": -1, "1.s": -1, ".5s": -1, "1..5s": -1, "1.2.3s": -1, "0.0001s": -1, "1.5ms": -1, "1.00000000009d": -1,
		"9223372036854775807ms": -1, "9223372036854775808ms": -1, "99999999999999999999d": -1, "106751991168d": -1, "3660001d": -1, "106751991167d2000000000000h": -1, "1h٣m": -1,
	} {
		ms, err := ParseDuration(text)
		if err != nil {
			ms = -1
		}
		if ms != want {
			t.Errorf("%q is %d ms (%v), want %d", text, ms, err, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	t.Parallel()
	for _, ms := range []int64{0, 1, 999, 1000, 61_001, 3_600_000, 86_400_000, 93_784_005, maxDurationMs} {
		text := FormatDuration(ms)
		if back, err := ParseDuration(text); back != ms || err != nil {
			t.Errorf("%d ms is written %q, which is %d (%v)", ms, text, back, err)
		}
	}
}
