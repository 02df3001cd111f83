package codecs

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"leat/internal/testenv"
)

func TestAppendJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value Value
		want  string
	}{
		{Value{}, "null"},
		{NullValue(), "null"},
		{BoolValue(true), "true"},
		{BoolValue(false), "false"},
		{IntValue(math.MinInt64), "-9223372036854775808"},
		{IntValue(math.MaxInt64), "9223372036854775807"},
		{FloatValue(3), "3"},
		{FloatValue(math.Copysign(0, -1)), "-0"},
		{FloatValue(0.1), "0.1"},
		{FloatValue(1e20), "100000000000000000000"},
		{FloatValue(1e21), "1e+21"},
		{FloatValue(1e-6), "0.000001"},
		{FloatValue(1e-7), "1e-7"},
		{FloatValue(1e-100), "1e-100"},
		{FloatValue(math.NaN()), "null"},
		{FloatValue(math.Inf(1)), "null"},
		{FloatValue(math.Inf(-1)), "null"},
		{StringValue(""), `""`},
		{StringValue("a\"\\/\b\f\n\r\t\x00\x1f\x7f<>&é\u2028😀"), `"a\"\\/\b\f\n\r\t\u0000\u001f` + "\x7f<>&é\u2028😀\""},
		{StringValue("a\xffb\xc3"), "\"a\uFFFDb\uFFFD\""},
		{StringValue("\xed\xa0\x80"), "\"\uFFFD\uFFFD\uFFFD\""},
		{BytesValue("\x00\xff~"), `"AP9+"`},
		{BytesValue("a"), `"YQ=="`},
		{ArrayValue("[ 1,\n\"a \\\" b\" , [ ] ]"), `[1,"a \" b",[]]`},
		{ObjectValue("{\r\n\t\"a \" : 1.0e0 }"), `{"a ":1.0e0}`},
		{Value{Kind: 200}, "null"},
	} {
		if got := string(AppendJSON([]byte("x"), c.value)); got != "x"+c.want {
			t.Errorf("%v: %s, want %s", c.value, got[1:], c.want)
		}
	}
}

// FuzzAppendJSONString: the text is what encoding/json writes without HTML escapes,
// apart from U+2028 and U+2029, and reads back as the string.
func FuzzAppendJSONString(f *testing.F) {
	f.Add("plain")
	f.Add("a\"\\\x00\x1f\x7f\u2028é😀\xff\xed\xa0\x80\xf0\x9f\x98")
	f.Fuzz(func(t *testing.T, s string) {
		text := AppendJSONString(nil, s)
		if !json.Valid(text) || !utf8.Valid(text) {
			t.Fatalf("%q: %q is not JSON", s, text)
		}
		var back string
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(s) && back != s {
			t.Fatalf("%q came back as %q", s, back)
		}
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		want := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
		for _, c := range []struct{ escaped, raw string }{{`\u2028`, "\u2028"}, {`\u2029`, "\u2029"}, {`\ufffd`, "\uFFFD"}} {
			want = replaceEscape(want, c.escaped, c.raw)
		}
		if !bytes.Equal(text, want) {
			t.Fatalf("%q: %s, want %s", s, text, want)
		}
	})
}

// replaceEscape replaces an escape in JSON text, leaving escaped backslashes alone.
func replaceEscape(text []byte, escaped, raw string) []byte {
	var out []byte
	for i := 0; i < len(text); i++ {
		switch {
		case bytes.HasPrefix(text[i:], []byte(escaped)):
			out = append(out, raw...)
			i += len(escaped) - 1
		case text[i] == '\\':
			out = append(out, text[i], text[i+1])
			i++
		default:
			out = append(out, text[i])
		}
	}
	return out
}

func TestAppendJSONFloatsAsEncodingJSON(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	floats := edgeFloats()
	for range 20000 {
		floats = append(floats, math.Float64frombits(r.Uint64()), math.Pow(10, float64(r.IntN(60)-30)))
	}
	for _, f := range floats {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		want, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendJSON(nil, FloatValue(f)); !bytes.Equal(got, want) {
			t.Fatalf("%x: %s, want %s", f, got, want)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	for _, v := range []Value{IntValue(1700000000000), FloatValue(12.34), StringValue("https://shop.example.com/item/1234")} {
		b.Run(v.Kind.String(), func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = AppendJSON(dst[:0], v)
			}
		})
	}
}

// TestAppendJSONString: any bytes become JSON of their characters.
func TestAppendJSONString(t *testing.T) {
	t.Parallel()
	rng := testenv.Rand(t)
	alphabet := []string{"a", "\"", "\\", "\n", "\x00", "\x1f", "\x7f", "é", "😀", "\xff", "\xed\xa0\x80", "\xe2\x80\xa8", "\xf0\x9f", "<"}
	for range 5000 {
		var b strings.Builder
		for range rng.IntN(12) {
			b.WriteString(alphabet[rng.IntN(len(alphabet))])
		}
		in := b.String()
		var out string
		if err := json.Unmarshal(AppendJSONString(nil, in), &out); err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		// Converting to runes and back is the definition of the replacement.
		if want := string([]rune(in)); out != want {
			t.Fatalf("%q: got %q, want %q", in, out, want)
		}
		if !utf8.Valid(AppendJSONString(nil, in)) {
			t.Fatalf("%q: the result is not UTF-8", in)
		}
		if string(AppendJSONText(nil, []byte(in))) != string(AppendJSONString(nil, in)) {
			t.Fatalf("%q: bytes and string differ", in)
		}
	}
}
