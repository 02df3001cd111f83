package avrocodec

import (
	"encoding/hex"
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

// TestApacheMustReject has the cases of Apache Avro's share/test/data/
// binary-rejections.json (AVRO-4304), which every decoder has to refuse. Each is tried as
// the whole record, read and passed by, and inside a record's field.
func TestApacheMustReject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, schema, bytes string }{
		{"long_varint_non_terminating", `"long"`, "80808080808080808080"},
		{"int_varint_non_terminating", `"int"`, "8080808080"},
		{"array_block_count_int64_min", `{"type":"array","items":"int"}`, "ffffffffffffffffff0102"},
		{"bytes_length_negative", `"bytes"`, "01"},
		{"string_length_negative", `"string"`, "01"},
		{"union_branch_index_negative", `["null","int"]`, "01"},
		{"union_branch_index_too_large", `["null","int"]`, "0a"},
		{"enum_index_negative", `{"type":"enum","name":"E","symbols":["A","B"]}`, "01"},
		{"enum_index_too_large", `{"type":"enum","name":"E","symbols":["A","B"]}`, "0a"},
	} {
		record, err := hex.DecodeString(c.bytes)
		if err != nil {
			t.Fatal(err)
		}
		inField := `{"type":"record","name":"R","fields":[{"name":"f","type":` + c.schema + `}]}`
		for _, schema := range []string{c.schema, inField} {
			for _, paths := range [][]string{nil, {""}, {"f"}, {"f[0]", "f.x"}} {
				_, reason := decodeOne(t, schema, record, paths...)
				if reason == "" {
					t.Errorf("%s: % x is accepted by %s for %q", c.name, record, schema, paths)
				}
			}
		}
	}
}

// TestHostileRecords runs alone: it counts what the process allocates.
func TestHostileRecords(t *testing.T) {
	codecstest.RunHostile(t, codecs.FormatAvro, func(schema string, paths []codecs.Path) codecs.Decoder {
		d, err := NewDecoder(parse(t, schema), nil, paths)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}, func(string) []byte { return nil })
}

// TestBlockSizes: a block that does not have the size that it says is no block, read or
// passed by.
func TestBlockSizes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, items, block string
		good               bool
	}{
		{"right", `"string"`, "\x03\x08\x02a\x02b\x00", true},
		{"two blocks", `"string"`, "\x01\x04\x02a\x01\x04\x02b\x00", true},
		{"a byte too short", `"string"`, "\x03\x06\x02a\x02b\x00", false},
		{"a byte too long", `"string"`, "\x03\x0a\x02a\x02b\x00", false},
		{"no room for two", `"string"`, "\x03\x02\x02a\x02b\x00", false},
		{"none", `"string"`, "\x03\x00\x02a\x02b\x00", false},
		{"negative", `"string"`, "\x03\x01\x02a\x02b\x00", false},
		{"beyond the record", `"string"`, "\x03\x40\x02a\x02b\x00", false},
		{"of doubles too long", `"double"`, "\x01\x12\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", false},
		{"of doubles", `"double"`, "\x01\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00", true},
		{"of nulls", `"null"`, "\x03\x00\x00", true},
		{"of nulls too long", `"null"`, "\x03\x02\x00\x00", false},
	} {
		schema := fieldSchema(`{"type":"array","items":` + c.items + `}`)
		for _, path := range []string{"", "f", "f[0]", "f[1]", "f[7]", "g"} {
			if _, reason := decodeOne(t, schema, []byte(c.block), path); (reason == "") != c.good {
				t.Errorf("a block of which the size is %s, at %q: %q", c.name, path, reason)
			}
		}
	}
}

// TestValuesWithoutBytes: a good record makes no more of nothing than it is allowed.
func TestValuesWithoutBytes(t *testing.T) {
	t.Parallel()
	nulls := fieldSchema(`{"type":"array","items":"null"}`)
	for _, c := range []struct {
		count int64
		good  bool
	}{{0, true}, {idlePerRecord, true}, {idlePerRecord + 3*idlePerByte, true}, {idlePerRecord + 5*idlePerByte, false}} {
		record := []byte{0}
		if c.count > 0 {
			record = append(appendLong(nil, c.count), 0)
		}
		for _, path := range []string{"", "f", "f[1]"} {
			if _, reason := decodeOne(t, nulls, record, path); (reason == "") != c.good {
				t.Errorf("%d nulls in %d bytes at %q: %q", c.count, len(record), path, reason)
			}
		}
	}
}

// TestHostileRecordsAllocateLittle looks at the memory that a bad record costs.
func TestHostileRecordsAllocateLittle(t *testing.T) {
	schema := parse(t, `{"type":"record","name":"T","fields":[{"name":"f","type":{"type":"array","items":"null"}}]}`)
	for _, paths := range [][]codecs.Path{{{}}, nil} {
		d, err := NewDecoder(schema, nil, paths)
		if err != nil {
			t.Fatal(err)
		}
		var into codecs.Columns
		record := [][]byte{appendLong(nil, 1<<40)}
		d.Decode(record, &into)
		if n := testing.AllocsPerRun(100, func() { d.Decode(record, &into) }); n > 8 {
			t.Errorf("%v allocations for a bad record", n)
		}
	}
}

// TestApacheCanonicalForms has the cases of Apache Avro's share/test/data/
// schema-tests.txt: canonical forms and CRC-64-AVRO fingerprints. Case 26 has a default
// that does not fit its type, which the file leaves to the parser: it is refused, but
// its form is what the file says.
func TestApacheCanonicalForms(t *testing.T) {
	t.Parallel()
	for i, c := range apacheSchemas {
		p := newParser()
		root, err := p.schema(c.input)
		if err != nil {
			t.Errorf("case %d: %v", i, err)
			continue
		}
		form := string(appendCanonical(nil, root, map[*node]bool{}))
		if form != c.canonical {
			t.Errorf("case %d: canonical form %s, want %s", i, form, c.canonical)
		}
		if got := int64(fingerprint(form)); c.fingerprint != 0 && got != c.fingerprint {
			t.Errorf("case %d: fingerprint %d, want %d", i, got, c.fingerprint)
		}
		s, err := ParseSchema(c.input, nil)
		if refused := err != nil; refused != (i == 26) {
			t.Errorf("case %d: %v", i, err)
		} else if !refused && (s.Canonical() != c.canonical || s.Fingerprint() != fingerprint(form)) {
			t.Errorf("case %d: %s, %d", i, s.Canonical(), s.Fingerprint())
		}
	}
}

var apacheSchemas = []struct {
	input, canonical string
	fingerprint      int64 // 0 where the file has none
}{
	{`"null"`, `"null"`, 7195948357588979594},
	{`{"type":"null"}`, `"null"`, 0},
	{`"boolean"`, `"boolean"`, -6970731678124411036},
	{`{"type":"boolean"}`, `"boolean"`, 0},
	{`"int"`, `"int"`, 8247732601305521295},
	{`{"type":"int"}`, `"int"`, 0},
	{`"long"`, `"long"`, -3434872931120570953},
	{`{"type":"long"}`, `"long"`, 0},
	{`"float"`, `"float"`, 5583340709985441680},
	{`{"type":"float"}`, `"float"`, 0},
	{`"double"`, `"double"`, -8181574048448539266},
	{`{"type":"double"}`, `"double"`, 0},
	{`"bytes"`, `"bytes"`, 5746618253357095269},
	{`{"type":"bytes"}`, `"bytes"`, 0},
	{`"string"`, `"string"`, -8142146995180207161},
	{`{"type":"string"}`, `"string"`, 0},
	{`[  ]`, `[]`, -1241056759729112623},
	{`[ "int"  ]`, `["int"]`, -5232228896498058493},
	{`[ "int" , {"type":"boolean"} ]`, `["int","boolean"]`, 5392556393470105090},
	{`{"fields":[], "type":"record", "name":"foo"}`, `{"name":"foo","type":"record","fields":[]}`, -4824392279771201922},
	{`{"fields":[], "type":"record", "name":"foo", "namespace":"x.y"}`, `{"name":"x.y.foo","type":"record","fields":[]}`, 5916914534497305771},
	{`{"fields":[], "type":"record", "name":"a.b.foo", "namespace":"x.y"}`, `{"name":"a.b.foo","type":"record","fields":[]}`, -4616218487480524110},
	{`{"fields":[], "type":"record", "name":"foo", "doc":"Useful info"}`, `{"name":"foo","type":"record","fields":[]}`, -4824392279771201922},
	{`{"fields":[], "type":"record", "name":"foo", "aliases":["foo","bar"]}`, `{"name":"foo","type":"record","fields":[]}`, -4824392279771201922},
	{`{"fields":[], "type":"record", "name":"foo", "doc":"foo", "aliases":["foo","bar"]}`, `{"name":"foo","type":"record","fields":[]}`, -4824392279771201922},
	{`{"fields":[{"type":{"type":"boolean"}, "name":"f1"}], "type":"record", "name":"foo"}`,
		`{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"}]}`, 7843277075252814651},
	{`{ "fields":[{"type":"boolean", "aliases":[], "name":"f1", "default":"true"},
            {"order":"descending","name":"f2","doc":"Hello","type":"int"}],
  "type":"record", "name":"foo"
}`, `{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"},{"name":"f2","type":"int"}]}`, -4860222112080293046},
	{`{"type":"enum", "name":"foo", "symbols":["A1"]}`, `{"name":"foo","type":"enum","symbols":["A1"]}`, -6342190197741309591},
	{`{"namespace":"x.y.z", "type":"enum", "name":"foo", "doc":"foo bar", "symbols":["A1", "A2"]}`,
		`{"name":"x.y.z.foo","type":"enum","symbols":["A1","A2"]}`, -4448647247586288245},
	{`{"name":"foo","type":"fixed","size":15}`, `{"name":"foo","type":"fixed","size":15}`, 1756455273707447556},
	{`{"namespace":"x.y.z", "type":"fixed", "name":"foo", "doc":"foo bar", "size":32}`,
		`{"name":"x.y.z.foo","type":"fixed","size":32}`, -3064184465700546786},
	{`{ "items":{"type":"null"}, "type":"array"}`, `{"type":"array","items":"null"}`, -589620603366471059},
	{`{ "values":"string", "type":"map"}`, `{"type":"map","values":"string"}`, -8732877298790414990},
	{`  {"name":"PigValue","type":"record",
   "fields":[{"name":"value", "type":["null", "int", "long", "PigValue"]}]}`,
		`{"name":"PigValue","type":"record","fields":[{"name":"value","type":["null","int","long","PigValue"]}]}`, -1759257747318642341},
}
