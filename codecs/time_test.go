package codecs

import (
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		ms   int64
	}{
		{"1970-01-01T00:00:00Z", 0},
		{"1970-01-01T00:00:00.001Z", 1},
		{"1969-12-31T23:59:59.9999Z", -1},
		{"1969-12-31T23:59:59.0001Z", -1000},
		{"2024-02-29T23:59:59.25+01:00", 1709247599250},
		{"2024-02-29t23:59:59.25z", 1709251199250},
		{"2000-02-29T12:00:00.123456789-00:00", 951825600123},
		{"0000-01-01T00:00:00Z", -62167219200000},
		{"0000-02-29T00:00:00Z", -62162121600000},
		{"9999-12-31T23:59:59.999Z", 253402300799999},
		{"0000-01-01T00:00:00+23:59", -62167305540000},
		{"2013-01-01T05:15:00-05:00", 1357035300000},
	} {
		if ms, ok := ParseTime(c.text); !ok || ms != c.ms {
			t.Errorf("%s: %d, %v; want %d", c.text, ms, ok, c.ms)
		}
	}
}

func TestParseTimeRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "2024", "2024-02-29", "2024-02-29T00:00:00", "2024-02-29 00:00:00Z", "2023-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z", "2024-00-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-00T00:00:00Z",
		"2024-04-31T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2016-12-31T23:59:60Z",
		"2024-01-01T00:00:00.Z", "2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00.5", "2024-01-01T00:00:00+0100",
		"2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+01:60", "2024-01-01T00:00:00ZZ", "2024-01-01T00:00:00Z ",
		"-024-01-01T00:00:00Z", "20a4-01-01T00:00:00Z", "2024-01-01T00:00:00+1:000", "2024-01-01T00:00:0aZ",
		"2024-01-01T00:00:00\x1a", "2024-1-01T00:00:00Z0", "12024-01-01T00:00:00Z", strings.Repeat("0", 40),
	} {
		if ms, ok := ParseTime(text); ok {
			t.Errorf("%q is taken for %d", text, ms)
		}
	}
}

func TestParseTimeAgreesWithPackageTime(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	zones := []*time.Location{time.UTC, time.FixedZone("", 5*3600+30*60), time.FixedZone("", -23*3600-59*60)}
	for range 50000 {
		// From a day after year 0 to a day before 10000, so that zones keep four digits.
		at := time.UnixMilli(-62167219200000 + 86400000 + r.Int64N(315569520000000-2*86400000)).In(zones[r.IntN(3)])
		layout := []string{time.RFC3339Nano, "2006-01-02T15:04:05.000000Z07:00"}[r.IntN(2)]
		text := at.Format(layout)
		if ms, ok := ParseTime(text); !ok || ms != at.UnixMilli() {
			t.Fatalf("%s: %d, %v; want %d", text, ms, ok, at.UnixMilli())
		}
	}
}

// FuzzParseTime: text that package time also reads has the same time, and text it
// refuses is refused, apart from the letters in lower case.
func FuzzParseTime(f *testing.F) {
	f.Add("2024-02-29T23:59:59.25+01:00")
	f.Add("1969-12-31t23:59:59.9999z")
	f.Add("2024-01-01T24:00:00,5-24:60")
	f.Fuzz(func(t *testing.T, text string) {
		ms, ok := ParseTime(text)
		want, err := time.Parse(time.RFC3339, strings.ToUpper(text))
		if ok && (err != nil || want.UnixMilli() != ms) {
			t.Fatalf("%q: %d, package time says %v, %v", text, ms, want, err)
		}
		if !ok && err == nil && !lenient(text) {
			t.Fatalf("%q is refused, package time says %v", text, want)
		}
	})
}

// lenient reports whether package time may read text though RFC 3339 does not allow
// it, or text holds letters that become ASCII in upper case.
func lenient(text string) bool {
	hourOfOneDigit := len(text) > 12 && text[12] == ':'
	zone := len(text) >= 6 && (text[len(text)-5:] == "24:00" || text[len(text)-2:] >= "60" || text[len(text)-5:len(text)-3] >= "24")
	return hourOfOneDigit || zone || strings.Contains(text, ",") || !ascii(text)
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

func BenchmarkParseTime(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := ParseTime("2024-02-29T23:59:59.25+01:00"); !ok {
			b.Fatal("refused")
		}
	}
}
