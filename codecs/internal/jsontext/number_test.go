package jsontext

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"leat/internal/testenv"
)

// checkNumber compares with encoding/json for the grammar and strconv for the value.
func checkNumber(t *testing.T, text string) {
	t.Helper()
	b := []byte(text)
	var fault Fault
	end, integral, bits := Number(b, 0, &fault)
	skipped := SkipNumber(b, 0, &fault)
	if end != skipped {
		t.Fatalf("%s: Number ends at %d, SkipNumber at %d", text, end, skipped)
	}
	f, err := strconv.ParseFloat(text, 64)
	if good := json.Valid(b) && err == nil; good != (end == len(text)) {
		t.Fatalf("%s: read to %d, want acceptance %v", text, end, good)
	}
	if end != len(text) {
		return
	}
	if i, err := strconv.ParseInt(text, 10, 64); (err == nil) != integral || integral && uint64(i) != bits {
		t.Fatalf("%s: integral %v, %d", text, integral, int64(bits))
	}
	if !integral && math.Float64bits(f) != bits {
		t.Fatalf("%s: %x, want %x", text, math.Float64frombits(bits), f)
	}
}

func TestNumberEdges(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0", "-0", "0.0", "-0.0", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
		"9999999999999999999", "18446744073709551615", "18446744073709551616", "18446744073709551617", "99999999999999999999",
		"9007199254740991.0", "9007199254740992.0", "9007199254740993.0", "900719925474099.3", "0.9007199254740993",
		"0.0000000000000000000001", "0.00000000000000000000001", "1.7976931348623157e308", "1.7976931348623159e308",
		"2.2250738585072011e-308", "4.9e-324", "2e-324", "1e-400", "1e309", "-1e309", "1e", "1e+", "1.", "-", "00", "01", "-01",
		"1" + strings.Repeat("0", 308), "1" + strings.Repeat("0", 309), "0." + strings.Repeat("0", 500) + "1",
		strings.Repeat("9", 309), strings.Repeat("9", 308) + ".5", "1" + strings.Repeat("0", 400) + "e-400",
	} {
		checkNumber(t, text)
	}
}

func TestNumberRandom(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('0' + r.IntN(10))
		}
		return string(b)
	}
	for range 200000 {
		text := digits(1 + r.IntN(21))
		if r.IntN(8) > 0 {
			if text = strings.TrimLeft(text, "0"); text == "" {
				text = "0"
			}
		}
		if r.IntN(2) == 0 {
			text = "-" + text
		}
		if r.IntN(2) == 0 {
			text += "." + digits(r.IntN(24))
		}
		if r.IntN(4) == 0 {
			text += []string{"e", "E", "e+", "e-"}[r.IntN(4)] + digits(r.IntN(4))
		}
		checkNumber(t, text)
	}
}
