package jsoncodec

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/internal/testenv"
)

// decodeOne decodes one record and returns its cells and the reason if it is bad.
func decodeOne(t *testing.T, record string, paths ...string) ([]codecs.Value, string) {
	t.Helper()
	var into codecs.Columns
	bad := New(codecstest.Paths(t, paths...)).Decode([][]byte{[]byte(record)}, &into)
	cells := make([]codecs.Value, len(paths))
	for k := range cells {
		cells[k] = into.Cols[k].Value(0).Clone()
	}
	if len(bad) > 0 {
		return cells, bad[0].Reason
	}
	return cells, ""
}

func TestDecodeValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		record, path string
		want         codecs.Value
	}{
		{`{"a":1}`, "a", codecs.IntValue(1)},
		{`{"a":1}`, "b", codecs.Value{}},
		{`{"a":null}`, "a", codecs.NullValue()},
		{`{"a":true}`, "a", codecs.BoolValue(true)},
		{`{"a":false}`, "a", codecs.BoolValue(false)},
		{`{"a":-0}`, "a", codecs.IntValue(0)},
		{`{"a":-0.0}`, "a", codecs.FloatValue(math.Copysign(0, -1))},
		{`{"a":9223372036854775807}`, "a", codecs.IntValue(math.MaxInt64)},
		{`{"a":9223372036854775808}`, "a", codecs.FloatValue(1 << 63)},
		{`{"a":-9223372036854775808}`, "a", codecs.IntValue(math.MinInt64)},
		{`{"a":-9223372036854775809}`, "a", codecs.FloatValue(-1 << 63)},
		{`{"a":18446744073709551617}`, "a", codecs.FloatValue(1 << 64)},
		{`{"a":9007199254740993}`, "a", codecs.IntValue(1<<53 + 1)},
		{`{"a":9007199254740993.0}`, "a", codecs.FloatValue(1 << 53)},
		{`{"a":1.0}`, "a", codecs.FloatValue(1)},
		{`{"a":1e2}`, "a", codecs.FloatValue(100)},
		{`{"a":0.1}`, "a", codecs.FloatValue(0.1)},
		{`{"a":-12.34}`, "a", codecs.FloatValue(-12.34)},
		{`{"a":1e-400}`, "a", codecs.FloatValue(0)},
		{`{"a":4.9e-324}`, "a", codecs.FloatValue(math.SmallestNonzeroFloat64)},
		{`{"a":1.7976931348623157e308}`, "a", codecs.FloatValue(math.MaxFloat64)},
		{`{"a":0.30000000000000004}`, "a", codecs.FloatValue(0.30000000000000004)},
		{`{"a":123456789012345678901234567890.5}`, "a", codecs.FloatValue(123456789012345678901234567890.5)},
		{`{"a":"x"}`, "a", codecs.StringValue("x")},
		{`{"a":""}`, "a", codecs.StringValue("")},
		{`{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\ude00\u0000"}`, "a", codecs.StringValue("\"\\/\b\f\n\r\té😀\x00")},
		{`{"a":{"b":[1,{"c":"deep"}]}}`, "a.b[1].c", codecs.StringValue("deep")},
		{`{"a":{"b":[1,{"c":"deep"}]}}`, "a.b[2].c", codecs.Value{}},
		{`{"a":{"b":[1,{"c":"deep"}]}}`, "a.b[0].c", codecs.Value{}},
		{`{"a":{"b":[1,{"c":"deep"}]}}`, "a[0]", codecs.Value{}},
		{`{"a":[1]}`, "a.b", codecs.Value{}},
		{`{"a":[1]}`, `a["0"]`, codecs.Value{}},
		{`{"a": { "b" : [ ] } }`, "a", codecs.ObjectValue(`{ "b" : [ ] }`)},
		{`{"a": [ 1, 2 ] }`, "a", codecs.ArrayValue("[ 1, 2 ]")},
		{" {\"a\":1}\n", "", codecs.ObjectValue(`{"a":1}`)},
		{`{"odd name":1}`, `["odd name"]`, codecs.IntValue(1)},
		{`{"\u0061":1}`, "a", codecs.IntValue(1)},
		{`{"":1}`, `[""]`, codecs.IntValue(1)},
		// Of repeated members the last counts, with all that it does not have.
		{`{"a":1,"a":2}`, "a", codecs.IntValue(2)},
		{`{"a":"x","a":2}`, "a", codecs.IntValue(2)},
		{`{"a":1,"\u0061":2}`, "a", codecs.IntValue(2)},
		{`{"a":{"b":1},"a":{}}`, "a.b", codecs.Value{}},
		{`{"a":{"b":1},"a":7}`, "a.b", codecs.Value{}},
		{`{"a":{"b":1},"a":null}`, "a.b", codecs.Value{}},
		{`{"a":{"b":{"c":1},"b":{"d":2}}}`, "a.b.c", codecs.Value{}},
		{`{"a":[1,2],"a":[3]}`, "a[1]", codecs.Value{}},
		{`{"a":7,"a":{"b":1}}`, "a.b", codecs.IntValue(1)},
	} {
		cells, reason := decodeOne(t, c.record, c.path)
		if reason != "" || cells[0] != c.want {
			t.Errorf("%s at %s: %v, %q; want %v", c.record, c.path, cells[0], reason, c.want)
		}
	}
}

func TestDecodeReasons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ record, reason string }{
		{``, "not a JSON object"},
		{`[]`, "not a JSON object"},
		{`"a"`, "not a JSON object"},
		{`hello`, "not a JSON object"},
		{`{"a":1`, `not valid JSON at offset 6: the text ends where "," or "}" is expected`},
		{`{"a":1,}`, `not valid JSON at offset 7: '}' where a member name in double quotes is expected`},
		{`{"a":1} {}`, `not valid JSON at offset 8: '{' where the end is expected`},
		{`{"a":01}`, `not valid JSON at offset 5: a number with leading zeros`},
		{`{"a":1e400}`, `not valid JSON at offset 5: a number out of range`},
		{`{"z":-1e400}`, `not valid JSON at offset 5: a number out of range`},
		{`{"z":1` + strings.Repeat("0", 309) + `}`, `not valid JSON at offset 5: a number out of range`},
		{`{"a":-}`, `not valid JSON at offset 6: '}' where a digit is expected`},
		{`{"a":.5}`, `not valid JSON at offset 5: '.' where a value is expected`},
		{`{"a":5.}`, `not valid JSON at offset 7: '}' where a digit is expected`},
		{`{"a":nul}`, `not valid JSON at offset 5: 'n' where a value is expected`},
		{"{\"a\":\"x\ny\"}", "not valid JSON at offset 7: a control character inside a string"},
		{`{"a":"\x"}`, `not valid JSON at offset 6: an unknown escape inside a string`},
		{`{"a":"\ud800"}`, `not valid JSON at offset 6: an unpaired surrogate escape`},
		{`{"a":"\udc00\ud800"}`, `not valid JSON at offset 6: an unpaired surrogate escape`},
		{`{"a":"\u12g4"}`, `not valid JSON at offset 6: \u without four hexadecimal digits`},
		{"{\"a\":\"\xc0\x80\"}", "not valid JSON at offset 6: invalid UTF-8 inside a string"},
		{"{\"a\":\xff}", "not valid JSON at offset 5: byte 0xFF where a value is expected"},
		{`{"a":"x}`, `not valid JSON at offset 5: a string without its closing quotation mark`},
	} {
		cells, reason := decodeOne(t, c.record, "a", "")
		if reason != c.reason || cells[0] != (codecs.Value{}) || cells[1] != (codecs.Value{}) {
			t.Errorf("%q: %v, %q; want %q", c.record, cells, reason, c.reason)
		}
	}
}

// A scan that is refused at the 513th level has not looked at the other 9,487.
func TestDecodeDepth(t *testing.T) {
	t.Parallel()
	shapes := []struct {
		nest   func(levels int) string
		offset int // of the opening bracket or brace of level 513
	}{
		{func(n int) string { return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}` }, 5 + 511},
		{func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }, 5 * 512},
	}
	for _, path := range []string{"a", "b", "a.a", "a[0][0]"} {
		for _, s := range shapes {
			if _, reason := decodeOne(t, s.nest(512), path); reason != "" {
				t.Errorf("512 deep: %s", reason)
			}
			for _, n := range []int{513, 10000, 200000} {
				want := fmt.Sprintf("not valid JSON at offset %d: arrays and objects nested more than 512 deep", s.offset)
				if _, reason := decodeOne(t, s.nest(n), path); reason != want {
					t.Errorf("%d deep: %q, want %q", n, reason, want)
				}
			}
		}
	}
}

func TestDecodeKeepsRowsApart(t *testing.T) {
	t.Parallel()
	d := New(codecstest.Paths(t, "a", "b"))
	var into codecs.Columns
	for range 2 { // the second time with memory in use and names learnt
		bad := d.Decode([][]byte{
			[]byte(`{"a":"x\n1","b":1}`), []byte(`{"a":"bad","b":tru}`), []byte(`{"b":3}`), []byte(`x`), []byte(`{"b":5,"a":"y\t2"}`),
		}, &into)
		if len(bad) != 2 || bad[0].Row != 1 || bad[1].Row != 3 {
			t.Fatalf("bad rows: %v", bad)
		}
		want := [][2]codecs.Value{
			{codecs.StringValue("x\n1"), codecs.IntValue(1)}, {}, {{}, codecs.IntValue(3)}, {}, {codecs.StringValue("y\t2"), codecs.IntValue(5)},
		}
		for row, cells := range want {
			if a, b := into.Cols[0].Value(row), into.Cols[1].Value(row); a != cells[0] || b != cells[1] {
				t.Errorf("row %d: %v, %v; want %v", row, a, b, cells)
			}
		}
	}
}

// The text of a batch's escaped strings outgrows the arena many times within it.
func TestDecodeArenaKeepsEarlierStrings(t *testing.T) {
	t.Parallel()
	const rows = 500
	records := make([][]byte, rows)
	for i := range records {
		records[i] = fmt.Appendf(nil, `{"a":"\u0041%s%d"}`, strings.Repeat("x", i), i)
	}
	d := New(codecstest.Paths(t, "a"))
	var into codecs.Columns
	for range 3 {
		if bad := d.Decode(records, &into); len(bad) > 0 {
			t.Fatal(bad)
		}
		for i := range records {
			if want := fmt.Sprintf("A%s%d", strings.Repeat("x", i), i); into.Cols[0].Strs[i] != want {
				t.Fatalf("row %d holds %q", i, into.Cols[0].Strs[i])
			}
		}
	}
}

func TestDecodeViewsDoNotCopy(t *testing.T) {
	t.Parallel()
	record := []byte(`{"a":"plain","b":[1]}`)
	var into codecs.Columns
	New(codecstest.Paths(t, "a", "b")).Decode([][]byte{record}, &into)
	if got := unsafe.StringData(into.Cols[0].Strs[0]); got != &record[6] {
		t.Error("the string is not a view of the record")
	}
	if got := unsafe.StringData(into.Cols[1].Strs[0]); got != &record[17] {
		t.Error("the array is not a view of the record")
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	records := events(256)
	for i := range records {
		if i%3 == 0 { // another order, an escape, another notation
			records[i] = []byte(`{"user":"a\u0041b", "ts" : 5, "tags":[{"x":1.5e3}], "a_long_name_that_is_learnt":null}`)
		}
	}
	d := New(codecstest.Paths(t, "ts", "user", "amount", "tags[0].x", "tags"))
	var into codecs.Columns
	d.Decode(records, &into)
	if n := testing.AllocsPerRun(10, func() { d.Decode(records, &into) }); n > 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

func TestManyPaths(t *testing.T) {
	t.Parallel()
	var texts []string
	var record bytes.Buffer
	record.WriteByte('{')
	for i := range 100 {
		texts = append(texts, fmt.Sprintf("field_%d", i), fmt.Sprintf("field_%d.x", i))
		if i > 0 {
			record.WriteByte(',')
		}
		fmt.Fprintf(&record, `"field_%d":{"x":%d}`, i, i)
	}
	record.WriteByte('}')
	paths := codecstest.Paths(t, texts...)
	checkAgainstOracle(t, New(paths), paths, [][]byte{record.Bytes(), record.Bytes(), []byte(`{"field_99":{"x":1},"field_0":2}`)})
}

// TestDecodeRandomRecords runs batches of mixed shapes, good and damaged, through one
// decoder, so that learnt orders are right, half right and wrong.
func TestDecodeRandomRecords(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 300 {
		paths := codecstest.Paths(t, "a", "b.c", "user_name_long_enough", "b", "tags[1]", "", "x.y.z", "tags[0].a")
		d := New(paths[:1+r.IntN(len(paths))])
		for range 3 {
			records := make([][]byte, 1+r.IntN(12))
			for i := range records {
				if i > 0 && r.IntN(2) == 0 {
					records[i] = bytes.Clone(records[i-1])
				} else {
					records[i] = randomObject(r, nil, 3)
				}
				if r.IntN(4) == 0 {
					records[i][r.IntN(len(records[i]))] = "\"\\{}[]:, 0ae\x00\xc3"[r.IntN(14)]
				}
			}
			checkAgainstOracle(t, d, paths[:d.width], records)
		}
	}
}

func randomObject(r *rand.Rand, dst []byte, depth int) []byte {
	names := []string{"a", "b", "c", "x", "y", "z", "tags", `\u0061`, "user_name_long_enough", "an_even_longer_name_that_is_beyond_what_is_learnt"}
	space := func() string { return []string{"", "", "", " ", "  ", "\n\t"}[r.IntN(6)] }
	dst = append(dst, '{')
	for k := range r.IntN(7) {
		if k > 0 {
			dst = append(dst, ","+space()...)
		}
		dst = append(dst, space()+`"`+names[r.IntN(len(names))]+`"`+space()+":"+space()...)
		dst = randomJSON(r, dst, depth-1)
	}
	return append(dst, space()+"}"...)
}

func randomJSON(r *rand.Rand, dst []byte, depth int) []byte {
	scalars := []string{
		"null", "true", "false", "0", "-1", "12.50", "1e3", "9223372036854775808", "1E-5", `""`, `"plain text"`, `"\n\u00e9"`, `"é😀"`,
		"1357038600000", "0.1", "-0", "123456789012345678", `"a string of more than eight bytes"`,
	}
	switch n := r.IntN(8); {
	case depth > 0 && n == 0:
		return randomObject(r, dst, depth)
	case depth > 0 && n == 1:
		dst = append(dst, '[')
		for k := range r.IntN(4) {
			if k > 0 {
				dst = append(dst, " , "...)
			}
			dst = randomJSON(r, dst, depth-1)
		}
		return append(dst, ']')
	}
	return append(dst, scalars[r.IntN(len(scalars))]...)
}
