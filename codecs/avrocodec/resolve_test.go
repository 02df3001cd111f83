package avrocodec

import (
	"fmt"
	"math"
	"strings"
	"testing"

	twmb "github.com/twmb/avro"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/internal/testenv"
)

// TestResolve writes the member f with one schema and reads it with another.
func TestResolve(t *testing.T) {
	t.Parallel()
	const suit, suitElse = `{"type":"enum","name":"E","symbols":["A","B","C"]}`, `{"type":"enum","name":"E","symbols":["B","X"],"default":"X"}`
	for _, c := range []struct {
		writer, reader, json string
		want                 codecs.Value
	}{
		{`"int"`, `"long"`, `7`, codecs.IntValue(7)},
		{`"int"`, `"float"`, `16777217`, codecs.FloatValue(16777216)},
		{`"int"`, `"double"`, `16777217`, codecs.FloatValue(16777217)},
		{`"long"`, `"double"`, `9007199254740993`, codecs.FloatValue(1 << 53)},
		{`"long"`, `"float"`, `-3`, codecs.FloatValue(-3)},
		{`"float"`, `"double"`, `0.1`, codecs.FloatValue(float64(float32(0.1)))},
		{`"string"`, `"bytes"`, `"é"`, codecs.BytesValue("é")},
		{`"bytes"`, `"string"`, `"w6k="`, codecs.StringValue("é")},
		{`"int"`, `["null","string","double"]`, `7`, codecs.FloatValue(7)},
		{`"int"`, `["double","int"]`, `7`, codecs.IntValue(7)},
		{`["null","int"]`, `"long"`, `7`, codecs.IntValue(7)},
		{`["null","int"]`, `["long","null"]`, `null`, codecs.NullValue()},
		{suit, suitElse, `"B"`, codecs.StringValue("B")},
		{suit, suitElse, `"A"`, codecs.StringValue("X")},
		{`{"type":"array","items":"int"}`, `{"type":"array","items":"double"}`, `[1,2]`, codecs.ArrayValue("[1,2]")},
		{`{"type":"map","values":"int"}`, `{"type":"map","values":["null","long"]}`, `{"a":1}`, codecs.ObjectValue(`{"a":1}`)},
		{`{"type":"fixed","name":"x.F","size":2}`, `{"type":"fixed","name":"y.F","size":2}`, `"AP8="`, codecs.BytesValue("\x00\xff")},
		{`{"type":"record","name":"Old","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"}]}`,
			`{"type":"record","name":"New","aliases":["Old"],"fields":[{"name":"c","type":"long","default":9},{"name":"z","type":"long","aliases":["a"]}]}`,
			`{"a":1,"b":"gone"}`, codecs.ObjectValue(`{"z":1,"c":9}`)},
		{`"long"`, `{"type":"long","logicalType":"timestamp-micros"}`, `1500`, codecs.IntValue(1)},
		{`{"type":"int","logicalType":"date"}`, `{"type":"int","logicalType":"date"}`, `86400000`, codecs.IntValue(86400000)},
	} {
		record, err := NewEncoder(parse(t, fieldSchema(c.writer))).AppendJSON(nil, []byte(`{"f":`+c.json+`}`))
		if err != nil {
			t.Fatalf("%s: %s: %v", c.writer, c.json, err)
		}
		d, err := NewDecoder(parse(t, fieldSchema(c.writer)), parse(t, fieldSchema(c.reader)), codecstest.Paths(t, "f"))
		if err != nil {
			t.Errorf("%s as %s: %v", c.writer, c.reader, err)
			continue
		}
		if cells, reason := codecstest.One(d, record); reason != "" || !same(cells[0], c.want) {
			t.Errorf("%s, written as %s, is %v as %s, want %v (%s)", c.json, c.writer, cells[0], c.reader, c.want, reason)
		}
	}
}

// TestUnresolvable: schemas that can never be read as others are refused before any
// record is, with the field that is to blame.
func TestUnresolvable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ writer, reader, says string }{
		{`"long"`, `"int"`, `field "f" of R: long cannot be read as int`},
		{`"string"`, `"long"`, "string cannot be read as long"},
		{`"double"`, `"float"`, "double cannot be read as float"},
		{`"boolean"`, `"int"`, "boolean cannot be read as int"},
		{`"string"`, `["null","int"]`, "string cannot be read as any branch of [null, int]"},
		{`{"type":"array","items":"string"}`, `{"type":"array","items":"int"}`, "items: string cannot be read as int"},
		{`{"type":"fixed","name":"F","size":2}`, `{"type":"fixed","name":"F","size":3}`, "of 2 bytes cannot be read as one of 3"},
		{`{"type":"fixed","name":"F","size":2}`, `{"type":"fixed","name":"G","size":2}`, `cannot be read as "G"`},
		{`{"type":"record","name":"S","fields":[]}`, `{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}`, `has no field "x"`},
		{`{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`, `{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}`, "scale 2 cannot be read as one of scale 3"},
	} {
		for _, path := range []string{"f", ""} {
			_, err := NewDecoder(parse(t, fieldSchema(c.writer)), parse(t, fieldSchema(c.reader)), codecstest.Paths(t, path))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s as %s at %q: %v, want %q", c.writer, c.reader, path, err, c.says)
			}
		}
		if _, err := NewDecoder(parse(t, fieldSchema(c.writer)), parse(t, fieldSchema(c.reader)), nil); err != nil {
			t.Errorf("%s as %s, which nothing asks for: %v", c.writer, c.reader, err)
		}
	}
	// A branch or symbol without a place refuses only the records that have it.
	for _, c := range []struct{ writer, reader, good, bad string }{
		{`["int","string"]`, `"long"`, `5`, `"x"`},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, `{"type":"enum","name":"E","symbols":["B"]}`, `"B"`, `"A"`},
	} {
		for text, ok := range map[string]bool{c.good: true, c.bad: false} {
			record, err := NewEncoder(parse(t, fieldSchema(c.writer))).AppendJSON(nil, []byte(`{"f":`+text+`}`))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"f", ""} {
				d, err := NewDecoder(parse(t, fieldSchema(c.writer)), parse(t, fieldSchema(c.reader)), codecstest.Paths(t, path))
				if err != nil {
					t.Fatal(err)
				}
				if _, reason := codecstest.One(d, record); (reason == "") != ok {
					t.Errorf("%s, written as %s and read as %s at %q: %q", text, c.writer, c.reader, path, reason)
				}
			}
		}
	}
}

// readerOf is a random schema that can read what w has written: fields are left out,
// added with a default, moved and renamed with an alias, numbers promoted, and types put
// into unions.
func readerOf(m *schemaMaker, w *node, done map[*node]bool) string {
	grow := func(plain string) string {
		if m.r.IntN(4) == 0 {
			return `["null",` + plain + `]`
		}
		return plain
	}
	switch w.kind {
	case intType:
		return grow([]string{`"int"`, `"long"`, `"float"`, `"double"`}[m.r.IntN(4)])
	case long:
		return grow([]string{`"long"`, `"float"`, `"double"`}[m.r.IntN(3)])
	case float:
		return grow([]string{`"float"`, `"double"`}[m.r.IntN(2)])
	case array:
		return fmt.Sprintf(`{"type":"array","items":%s}`, readerOf(m, w.items, done))
	case mapType:
		return fmt.Sprintf(`{"type":"map","values":%s}`, readerOf(m, w.items, done))
	case record:
		if done[w] {
			return fmt.Sprintf("%q", w.name)
		}
		done[w] = true
		return readerOfRecord(m, w, done)
	case enum, fixed:
		if done[w] {
			return fmt.Sprintf("%q", w.name)
		}
		done[w] = true
		if w.kind == fixed {
			return fmt.Sprintf(`{"type":"fixed","name":%q,"size":%d}`, w.name, w.size)
		}
		return fmt.Sprintf(`{"type":"enum","name":%q,"symbols":["BB","A"],"default":"A"}`, w.name)
	case union:
		var branches []string
		for _, b := range w.branches {
			if b.kind == record || b.kind == enum || b.kind == fixed {
				branches = append(branches, readerOf(m, b, done))
			} else {
				branches = append(branches, string(appendCanonical(nil, b, done)))
			}
		}
		return "[" + strings.Join(branches, ",") + "]"
	}
	return fmt.Sprintf("%q", w.kind)
}

func readerOfRecord(m *schemaMaker, w *node, done map[*node]bool) string {
	var fields []string
	for i := range w.fields {
		f := &w.fields[i]
		switch m.r.IntN(6) {
		case 0: // left out; a type that it defines is defined where it is used next
		case 1:
			fields = append(fields, fmt.Sprintf(`{"name":%q,"aliases":[%q],"type":%s}`, "new_"+f.name, f.name, readerOf(m, f.node, done)))
		default:
			fields = append(fields, fmt.Sprintf(`{"name":%q,"type":%s}`, f.name, readerOf(m, f.node, done)))
		}
	}
	for range m.r.IntN(3) {
		fields = append(fields, fmt.Sprintf(`{"name":%q,%s}`, m.name("added"), []string{
			`"type":"long","default":7`, `"type":["null","string"],"default":null`, `"type":"string","default":"é"`,
			`"type":{"type":"array","items":"int"},"default":[1,2]`, `"type":{"type":"map","values":"double"},"default":{"k":0.5}`,
		}[m.r.IntN(5)]))
	}
	return fmt.Sprintf(`{"type":"record","name":%q,"fields":[%s]}`, w.name, strings.Join(fields, ","))
}

// TestResolutionsAgree: twmb/avro resolves random schemas alike, and finds the same in
// records that are read through both.
func TestResolutionsAgree(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	resolved := 0
	for range 1500 {
		text := randomSchema(r)
		w := parse(t, text)
		m := &schemaMaker{r: r, count: 1000}
		readerText := readerOf(m, w.root, map[*node]bool{})
		reader, err := ParseSchema(readerText, nil)
		if err != nil {
			t.Fatalf("%s: %v", readerText, err)
		}
		d, err := NewDecoder(w, reader, []codecs.Path{{}})
		reference, other := twmb.Resolve(twmb.MustParse(text), twmb.MustParse(readerText))
		if err != nil || other != nil {
			if other == nil {
				t.Fatalf("%s as %s: %v, and twmb resolves them", text, readerText, err)
			}
			continue
		}
		resolved++
		for range 4 {
			rec := &recordMaker{r: r}
			rec.value(w.root, 5)
			cells, reason := codecstest.One(d, rec.b)
			tree, err := decodeTwmb(reference, reader.root, rec.b)
			if (reason == "") != (err == nil) {
				t.Fatalf("%s as %s: % x: %q, twmb says %v", text, readerText, rec.b, reason, err)
			}
			if want := cellOf(tree); err == nil && codecs.Compare(cells[0], want) != 0 {
				t.Fatalf("%s as %s: % x is %s, twmb reads %s", text, readerText, rec.b, cells[0].Str, want.Str)
			}
		}
	}
	if resolved < 500 {
		t.Errorf("%d of 1500 pairs resolved: too few to mean anything", resolved)
	}
}

// TestTypeOf: a cell is always of a kind that TypeOf names, and a path that it refuses
// has no cell in any record.
func TestTypeOf(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 800 {
		schema := parse(t, randomSchema(r))
		records, trees := randomBatch(r, schema.root)
		for row, tree := range trees {
			path := randomPath(r, tree)
			kinds, err := schema.TypeOf(path)
			got := lookup(tree, path)
			if err == nil && kinds.Has(got.Kind) || err != nil && got.Kind == codecs.Missing {
				continue
			}
			t.Fatalf("% x at %q is %v, its type %v, %v", records[row], path, got, kinds, err)
		}
	}
	s := parse(t, codecstest.RowsAvro)
	for _, c := range []struct {
		path string
		want codecs.KindSet
	}{
		{"ts", codecs.Kinds(codecs.Int)}, {"note", codecs.Kinds(codecs.String, codecs.Null)},
		{"lines[0].price", codecs.Kinds(codecs.Float, codecs.Missing)}, {"attributes.any", codecs.Kinds(codecs.Int, codecs.Missing)},
		{"address", codecs.Kinds(codecs.Object)}, {"", codecs.Kinds(codecs.Object)},
	} {
		if got, err := s.TypeOf(codecstest.Paths(t, c.path)[0]); err != nil || got != c.want {
			t.Errorf("%q is %v, %v, want %v", c.path, got, err, c.want)
		}
	}
	for path, says := range map[string]string{
		"amout":        `no field "amout" in the schema; did you mean "amount"?`,
		"address.citi": `"address" has no such field; did you mean "city"?`,
		"ts.x":         `"ts" is int and has no members`,
		"address[0]":   `"address" is object and has no elements`,
	} {
		if _, err := s.TypeOf(codecstest.Paths(t, path)[0]); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", path, err, says)
		}
	}
}

// TestLogicalTypes decodes what each logical type becomes from bytes written down here.
func TestLogicalTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		schema, bytes string
		want          codecs.Value
	}{
		{`{"type":"int","logicalType":"date"}`, "\x01", codecs.IntValue(-86_400_000)},
		{`{"type":"int","logicalType":"time-millis"}`, "\x04", codecs.IntValue(2)},
		{`{"type":"long","logicalType":"time-micros"}`, "\xA0\x1F", codecs.IntValue(2)},
		{`{"type":"long","logicalType":"timestamp-micros"}`, "\x01", codecs.IntValue(-1)},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, "\x01", codecs.IntValue(-1)},
		{`{"type":"long","logicalType":"timestamp-millis"}`, "\x01", codecs.IntValue(-1)},
		{`{"type":"long","logicalType":"none-such"}`, "\x01", codecs.IntValue(-1)},
		{`{"type":"string","logicalType":"date"}`, "\x02x", codecs.StringValue("x")},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, "\x04\xFF\x85", codecs.FloatValue(-1.23)},
		{`{"type":"bytes","logicalType":"decimal","precision":4}`, "\x04\xFF\x85", codecs.IntValue(-123)},
		{`{"type":"bytes","logicalType":"decimal","precision":4}`, "\x00", codecs.IntValue(0)},
		{`{"type":"bytes","logicalType":"decimal","precision":30}`, "\x12\x00\x80\x00\x00\x00\x00\x00\x00\x00", codecs.FloatValue(math.Exp2(63))},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":5}`, "\x02\x01", codecs.BytesValue("\x01")},
		{`{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":4,"scale":1}`, "\x00\x0F", codecs.FloatValue(1.5)},
		{`{"type":"fixed","name":"F","size":16,"logicalType":"uuid"}`, "\xF8\x1D\x4F\xAE\x7D\xEC\x11\xD0\xA7\x65\x00\xA0\xC9\x1E\x6B\xF6",
			codecs.StringValue("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")},
		{`{"type":"fixed","name":"F","size":12,"logicalType":"duration"}`, "\x01\x00\x00\x00\x02\x00\x00\x00\xFF\xFF\xFF\xFF",
			codecs.ObjectValue(`{"months":1,"days":2,"milliseconds":4294967295}`)},
	} {
		for _, path := range []string{"f", ""} {
			cells, reason := decodeOne(t, fieldSchema(c.schema), []byte(c.bytes), path)
			want := c.want
			if path == "" {
				want = codecs.ObjectValue(string(append(codecs.AppendJSON([]byte(`{"f":`), want), '}')))
			}
			if reason != "" || !same(cells[0], want) {
				t.Errorf("%s: % x at %q is %v, want %v (%s)", c.schema, c.bytes, path, cells[0], want, reason)
			}
		}
	}
}

// TestDepthOfDefaults: what only the reader has counts where it stands: the text of a
// record is never deeper than text may be.
func TestDepthOfDefaults(t *testing.T) {
	t.Parallel()
	const levels, inDefault = 512, 50
	nested := func(open, inside, end string) string {
		return strings.Repeat(open, inDefault) + inside + strings.Repeat(end, inDefault)
	}
	writer := parse(t, `{"type":"record","name":"N","fields":[{"name":"next","type":["null","N"]}]}`)
	reader := parse(t, `{"type":"record","name":"N","fields":[{"name":"next","type":["null","N"]},
		{"name":"d","type":`+nested(`{"type":"array","items":`, `"int"`, "}")+`,"default":`+nested("[", "", "]")+`}]}`)
	for _, c := range []struct {
		records int
		good    bool
	}{{levels - inDefault, true}, {levels - inDefault + 1, false}, {levels, false}} {
		record := append([]byte(strings.Repeat("\x02", c.records-1)), 0)
		for _, path := range []string{"", "d", "next"} {
			d, err := NewDecoder(writer, reader, codecstest.Paths(t, path))
			if err != nil {
				t.Fatal(err)
			}
			cells, reason := codecstest.One(d, record)
			if path == "" && (reason == "") != c.good {
				t.Errorf("%d records inside each other: %q", c.records, reason)
			}
			if reason != "" && !strings.Contains(reason, "nested more than 512 deep") {
				t.Errorf("%d records inside each other at %q: %s", c.records, path, reason)
			}
			if v := cells[0]; v.Kind == codecs.Object { // which has to be JSON
				codecs.AppendJSONWith(nil, v, "more", codecs.NullValue())
			}
		}
	}
}

// TestLongTexts: a record is refused where an object or array of it would be far more text
// than it has bytes.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 1000)
	const items = 20_000
	for _, c := range []struct{ schema, record string }{
		{`{"type":"array","items":{"type":"enum","name":"E","symbols":["` + long + `"]}}`, strings.Repeat("\x00", items)},
		{`{"type":"array","items":{"type":"record","name":"In","fields":[{"name":"` + long + `","type":"boolean"}]}}`, strings.Repeat("\x01", items)},
		{`{"type":"map","values":{"type":"record","name":"In","fields":[{"name":"` + long + `","type":"null"}]}}`, strings.Repeat("\x02k", items)},
	} {
		few, many := items/50, items
		for n, good := range map[int]bool{few: true, many: false} {
			record := append(append(appendLong(nil, int64(n)), c.record[:n*len(c.record)/items]...), 0)
			for path, refused := range map[string]bool{"": !good, "f": !good, "f[7]": false, "none": false} {
				d, err := NewDecoder(parse(t, fieldSchema(c.schema)), nil, codecstest.Paths(t, path))
				if err != nil {
					t.Fatal(err)
				}
				if _, reason := codecstest.One(d, record); (reason != "") != refused || refused && !strings.Contains(reason, "bytes as JSON text") {
					t.Errorf("%.60s: %d at %q: %q", c.schema, n, path, reason)
				}
				if size := cap(d.arena); size > 16<<20 {
					t.Errorf("%.60s: %d at %q take %d bytes", c.schema, n, path, size)
				}
			}
		}
	}
}
