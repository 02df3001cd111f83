package avrocodec

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	hamba "github.com/hamba/avro/v2"

	"leat/codecs"
	"leat/internal/testenv"
)

// told is an incompatibility in one line.
func told(list []codecs.Incompatibility) string {
	var lines []string
	for _, i := range list {
		lines = append(lines, i.Kind+" "+i.Path+" "+i.Detail)
	}
	return strings.Join(lines, "; ")
}

func TestIncompatibilities(t *testing.T) {
	t.Parallel()
	const (
		f1      = `{"type":"record","name":"r","fields":[{"type":"string","name":"f1"}]}`
		f1f2    = `{"type":"record","name":"r","fields":[{"type":"string","name":"f1"},{"type":"string","name":"f2"}]}`
		f1f2d   = `{"type":"record","name":"r","fields":[{"type":"string","name":"f1"},{"type":"string","name":"f2","default":"foo"}]}`
		alias   = `{"type":"record","name":"r","fields":[{"type":"string","name":"f1new","aliases":["f1"]}]}`
		other   = `{"type":"record","name":"q","fields":[{"type":"string","name":"f1"}]}`
		aliased = `{"type":"record","name":"q","aliases":["r"],"fields":[{"type":"string","name":"f1"}]}`
		union   = `{"type":"record","name":"r","fields":[{"type":["null","string"],"name":"f1"}]}`
		union3  = `{"type":"record","name":"r","fields":[{"type":["null","string","int"],"name":"f1"}]}`
		nested  = `{"type":"record","name":"o","fields":[{"name":"x","type":%s}]}`
		list    = `{"type":"record","name":"L","fields":[{"name":"v","type":"%s"},{"name":"next","type":["null","L"]}]}`
	)
	enum := func(symbols, more string) string {
		return `{"type":"enum","name":"e","symbols":[` + symbols + `]` + more + `}`
	}
	in := func(s string) string { return fmt.Sprintf(nested, s) }
	for _, c := range []struct{ reader, writer, want string }{
		{f1, f1, ""},
		{f1f2d, f1, ""},
		{f1f2, f1, "READER_FIELD_MISSING_DEFAULT_VALUE /fields/1 f2"},
		{f1, f1f2, ""},
		{alias, f1, ""},
		{f1, alias, "READER_FIELD_MISSING_DEFAULT_VALUE /fields/0 f1"},
		{other, f1, "NAME_MISMATCH /name expected: r"},
		{aliased, f1, ""},
		{union, f1, ""},
		{f1, union, "TYPE_MISMATCH /fields/0/type reader type: string not compatible with writer type: null"},
		{union3, union, ""},
		{union, union3, "MISSING_UNION_BRANCH /fields/0/type/2 reader union lacking writer type: int"},
		{in(f1f2), in(f1), "READER_FIELD_MISSING_DEFAULT_VALUE /fields/0/type/fields/1 f2"},
		{`"long"`, `"int"`, ""}, {`"float"`, `"int"`, ""}, {`"double"`, `"int"`, ""}, {`"float"`, `"long"`, ""}, {`"double"`, `"long"`, ""},
		{`"double"`, `"float"`, ""}, {`"string"`, `"bytes"`, ""}, {`"bytes"`, `"string"`, ""},
		{`"int"`, `"long"`, "TYPE_MISMATCH / reader type: int not compatible with writer type: long"},
		{`"boolean"`, `"int"`, "TYPE_MISMATCH / reader type: boolean not compatible with writer type: int"},
		{`["int","string"]`, `["string","int"]`, ""},
		{`["int","string"]`, `"long"`, "MISSING_UNION_BRANCH / reader union lacking writer type: long"},
		{`["int","double"]`, `"long"`, ""},
		{`"double"`, `["int","long","float"]`, ""},
		{enum(`"A"`, ""), enum(`"A","B","C"`, ""), "MISSING_ENUM_SYMBOLS /symbols [B, C]"},
		{enum(`"A"`, `,"default":"A"`), enum(`"A","B"`, ""), ""},
		{enum(`"A","B"`, ""), enum(`"A"`, ""), ""},
		{`{"type":"fixed","name":"x","size":4}`, `{"type":"fixed","name":"x","size":5}`, "FIXED_SIZE_MISMATCH /size expected: 5, found: 4"},
		{`{"type":"array","items":"int"}`, `{"type":"array","items":"long"}`, "TYPE_MISMATCH /items reader type: int not compatible with writer type: long"},
		{`{"type":"map","values":"int"}`, `{"type":"map","values":"long"}`, "TYPE_MISMATCH /values reader type: int not compatible with writer type: long"},
		{`{"type":"map","values":"int"}`, `{"type":"array","items":"int"}`, "TYPE_MISMATCH / reader type: map not compatible with writer type: array"},
		{fmt.Sprintf(list, "long"), fmt.Sprintf(list, "int"), ""},
		{fmt.Sprintf(list, "int"), fmt.Sprintf(list, "long"),
			"TYPE_MISMATCH /fields/0/type reader type: int not compatible with writer type: long"},
		{`{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`, `{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}`,
			"TYPE_MISMATCH /scale expected: 3, found: 2"},
	} {
		if got := told(parse(t, c.reader).Incompatibilities(parse(t, c.writer))); got != c.want {
			t.Errorf("%s reads %s:\n got %s\nwant %s", c.reader, c.writer, got, c.want)
		}
	}
}

// mutate changes a schema in a few places.
func mutate(r *rand.Rand, text string) string {
	var tree any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		panic(err)
	}
	out, err := json.Marshal(mutated(r, tree))
	if err != nil {
		panic(err)
	}
	return string(out)
}

func mutated(r *rand.Rand, v any) any {
	change := r.IntN(8) == 0
	switch v := v.(type) {
	case string:
		if k, ok := primitive(v); ok && change && k != null {
			return kindNames[1+r.IntN(7)]
		}
	case []any:
		for i := range v {
			v[i] = mutated(r, v[i])
		}
		if change && len(v) > 1 {
			return v[1:]
		}
	case map[string]any:
		for _, member := range []string{"items", "values"} {
			if inside, ok := v[member]; ok {
				v[member] = mutated(r, inside)
			}
		}
		if size, ok := v["size"].(float64); ok && change {
			v["size"] = size + 1
		}
		if symbols, ok := v["symbols"].([]any); ok && change {
			v["symbols"] = symbols[:2]
			if r.IntN(2) == 0 {
				v["default"] = "A"
			}
		}
		if fields, ok := v["fields"].([]any); ok {
			for _, f := range fields {
				f.(map[string]any)["type"] = mutated(r, f.(map[string]any)["type"])
			}
			if change && len(fields) > 0 {
				fields = fields[1:]
			}
			if r.IntN(8) == 0 {
				added := map[string]any{"name": "zz", "type": "int"}
				if r.IntN(2) == 0 {
					added["default"] = 7
				}
				fields = append(fields, added)
			}
			v["fields"] = fields
		}
	}
	return v
}

// TestCompatibleIsReadable: what is compatible can be read, and hamba/avro has the same
// opinion of random pairs of schemas.
func TestCompatibleIsReadable(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	var good, bad int
	for range 3000 {
		wText := randomSchema(r)
		rText := mutate(r, wText)
		reader, err := ParseSchema(rText, nil)
		if err != nil {
			continue // a union with the same branch twice, a type that is gone
		}
		writer := parse(t, wText)
		list := reader.Incompatibilities(writer)
		byHamba := hamba.NewSchemaCompatibility().Compatible(
			hambaSchema(t, rText), hambaSchema(t, wText))
		if (len(list) == 0) != (byHamba == nil) {
			t.Fatalf("reader %s\nwriter %s\nours: %s\nhamba: %v", rText, wText, told(list), byHamba)
		}
		if len(list) > 0 {
			bad++
			continue
		}
		good++
		var paths []codecs.Path
		for _, f := range reader.root.fields {
			paths = append(paths, codecs.NewPath(codecs.Step{Member: f.name}))
		}
		d, err := NewDecoder(writer, reader, paths)
		if err != nil {
			t.Fatalf("reader %s\nwriter %s: %v", rText, wText, err)
		}
		records, _ := randomBatch(r, writer.root)
		var into codecs.Columns
		// Bytes that a reader takes for text may still not be text.
		if bad := d.Decode(records, &into); len(bad) > 0 && !strings.Contains(bad[0].Reason, "not UTF-8") {
			t.Fatalf("reader %s\nwriter %s: % x is refused: %v", rText, wText, records[bad[0].Row], bad[0].Reason)
		}
	}
	if good < 300 || bad < 300 {
		t.Errorf("%d pairs are compatible and %d are not", good, bad)
	}
}

func hambaSchema(t *testing.T, text string) hamba.Schema {
	t.Helper()
	s, err := hamba.ParseBytesWithCache([]byte(text), "", &hamba.SchemaCache{})
	if err != nil {
		t.Fatalf("hamba: %s: %v", text, err)
	}
	return s
}

// TestLargeSchemas: two schemas of which each pair of types has much to compare are told
// to be too large, and a name is found among however many aliases.
func TestLargeSchemas(t *testing.T) {
	t.Parallel()
	list := func(n int, format string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf(format, i)
		}
		return strings.Join(parts, ",")
	}
	writer := parse(t, "["+list(2000, `{"type":"record","name":"A%d","fields":[]}`)+"]")
	reader := func(fields string) *Schema {
		return parse(t, `{"type":"record","name":"R","aliases":[`+list(2000, `"A%d"`)+`],"fields":[`+fields+`]}`)
	}
	if got := told(reader(list(10, `{"name":"f%d","type":"null","default":null}`)).Incompatibilities(writer)); got != "" {
		t.Errorf("few fields: %s", got)
	}
	many := reader(list(10_000, `{"name":"f%d","type":"null","default":null}`))
	if got := told(many.Incompatibilities(writer)); got != "TOO_LARGE / " {
		t.Errorf("many fields: %s", got)
	}
}
