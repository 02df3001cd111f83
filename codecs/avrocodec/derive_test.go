package avrocodec

import (
	"strings"
	"testing"

	"leat/codecs"
	"leat/internal/testenv"
)

// rowType is the type of a row whose members are those of a schema.
func rowType(t testing.TB, schema string) *codecs.Type {
	t.Helper()
	row, err := parse(t, schema).TypeAt(codecs.Path{})
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func kinds(k ...codecs.Kind) *codecs.Type { return codecs.ScalarType(codecs.Kinds(k...)) }

// TestSchemaOf has the schema of each type of value.
func TestSchemaOf(t *testing.T) {
	t.Parallel()
	inner := &codecs.Type{Kinds: codecs.Kinds(codecs.Object), Fields: []codecs.TypeField{{Name: "b", Type: kinds(codecs.Bool)}}}
	loop := &codecs.Type{Kinds: codecs.Kinds(codecs.Object), Fields: make([]codecs.TypeField, 1)}
	loop.Fields[0] = codecs.TypeField{Name: "next", Type: loop.With(codecs.Kinds(codecs.Missing))}
	for _, c := range []struct {
		name string
		t    *codecs.Type
		want string // of the field, or why there is none
	}{
		{"bool", kinds(codecs.Bool), `"boolean"`},
		{"int", kinds(codecs.Int), `"long"`},
		{"number", kinds(codecs.Int, codecs.Float), `"double"`},
		{"text or null", kinds(codecs.String, codecs.Null), `["null","string"],"default":null`},
		{"missing", kinds(codecs.Bytes, codecs.Missing), `["null","bytes"],"default":null`},
		{"null", kinds(codecs.Null), `"null","default":null`},
		{"several", kinds(codecs.String, codecs.Int, codecs.Bool), `["boolean","long","string"]`},
		{"object", inner, `{"type":"record","name":"out_v","fields":[{"name":"b","type":"boolean"}]}`},
		{"recursive", loop, `{"type":"record","name":"out_v","fields":[{"name":"next","type":["null","out_v"],"default":null}]}`},
		{"map", &codecs.Type{Kinds: codecs.Kinds(codecs.Object), Values: kinds(codecs.Int, codecs.Null)}, `{"type":"map","values":["null","long"]}`},
		{"array", &codecs.Type{Kinds: codecs.Kinds(codecs.Array, codecs.Null), Items: inner},
			`["null",{"type":"array","items":{"type":"record","name":"out_v_item","fields":[{"name":"b","type":"boolean"}]}}],"default":null`},
		{"anything", codecs.UnknownType(), `member "v": its type is not known`},
		{"any object", kinds(codecs.Object), `member "v": its type is not known`},
		{"array of anything", &codecs.Type{Kinds: codecs.Kinds(codecs.Array), Items: codecs.UnknownType()}, `member "v[0]": its type is not known`},
		{"text or bytes", kinds(codecs.String, codecs.Bytes), `member "v": it may be a string or bytes, which cannot be told apart`},
	} {
		got, err := SchemaOf("out", &codecs.Type{Fields: []codecs.TypeField{{Name: "v", Type: c.t}}}, nil)
		want := `{"type":"record","name":"out","fields":[{"name":"v","type":` + c.want + `}]}`
		if err != nil {
			got, want = err.Error(), c.want
		}
		if got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
		if err == nil {
			parse(t, got)
		}
	}
}

// TestSchemaOfAfter has what becomes of a schema when the rows change. Each result reads
// what was written with the schema before.
func TestSchemaOfAfter(t *testing.T) {
	t.Parallel()
	record := func(fields string) string {
		return `{"type":"record","name":"shop.Out","fields":[` + fields + `]}`
	}
	for _, c := range []struct{ name, before, row, want string }{
		{"a new member may be null", `{"name":"a","type":"int"}`, `{"name":"a","type":"int"},{"name":"b","type":"long"}`,
			`{"name":"a","type":"int"},{"name":"b","type":["null","long"],"default":null}`},
		{"one that is gone is left out", `{"name":"a","type":"int"},{"name":"b","type":"long"}`, `{"name":"b","type":"long"}`, `{"name":"b","type":"long"}`},
		{"what takes the values is kept", `{"name":"a","type":{"type":"long","logicalType":"local-timestamp-micros"},"aliases":["x"]},{"name":"b","type":["string","null"],"default":"-"},` +
			`{"name":"e","type":{"type":"enum","name":"shop.E","aliases":["old.E"],"symbols":["A","B"],"default":"A"}},{"name":"f","type":"shop.E","default":"B"},` +
			`{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},{"name":"m","type":{"type":"map","values":{"type":"array","items":"int"}}}`,
			`{"name":"a","type":"long"},{"name":"b","type":["null","string"]},{"name":"e","type":"string"},{"name":"f","type":"string"},{"name":"d","type":"int"},` +
				`{"name":"m","type":{"type":"map","values":{"type":"array","items":"long"}}}`, ""},
		{"null comes in", `{"name":"a","type":"string"}`, `{"name":"a","type":["null","string"]}`, `{"name":"a","type":["null","string"],"default":null}`},
		{"null stays", `{"name":"a","type":["null","long"],"default":null}`, `{"name":"a","type":"double"}`, `{"name":"a","type":["null","double"],"default":null}`},
		{"an int becomes a double", `{"name":"a","type":"int"}`, `{"name":"a","type":"double"}`, `{"name":"a","type":"double"}`},
		{"inside of a record, which keeps its name", `{"name":"a","type":["null",{"type":"record","name":"In","fields":[{"name":"x","type":"int"}]}]}`,
			`{"name":"a","type":{"type":"record","name":"Other","fields":[{"name":"x","type":"int"},{"name":"y","type":"string"}]}}`,
			`{"name":"a","type":["null",{"type":"record","name":"shop.In","fields":[{"name":"x","type":"int"},{"name":"y","type":["null","string"],"default":null}]}],"default":null}`},
		{"inside of arrays and maps", `{"name":"a","type":{"type":"array","items":"int"}},{"name":"m","type":{"type":"map","values":["null","float"]}}`,
			`{"name":"a","type":{"type":"array","items":"double"}},{"name":"m","type":{"type":"map","values":"string"}}`,
			`{"name":"a","type":{"type":"array","items":"double"}},{"name":"m","type":{"type":"map","values":["null","string"]}}`},
	} {
		before := parse(t, record(c.before))
		got, err := SchemaOf("other", rowType(t, record(c.row)), before)
		want := record(c.want)
		if c.want == "" {
			want = record(c.before)
		}
		if err != nil || got != want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.name, err, got, want)
			continue
		}
		after := parse(t, got)
		if told := after.Incompatibilities(before); len(told) > 0 && !strings.HasPrefix(c.name, "inside of arrays") {
			t.Errorf("%s: it does not read what was before: %v", c.name, told)
		}
		if err := after.Takes(rowType(t, record(c.row)), true); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestTakes has why rows have no place in a schema, if each value needs one, and if one
// of them does.
func TestTakes(t *testing.T) {
	t.Parallel()
	member := func(t *codecs.Type) *codecs.Type {
		return &codecs.Type{Kinds: codecs.Kinds(codecs.Object), Fields: []codecs.TypeField{{Name: "v", Type: t}}}
	}
	object := func(fields ...codecs.TypeField) *codecs.Type {
		return &codecs.Type{Kinds: codecs.Kinds(codecs.Object), Fields: append([]codecs.TypeField{}, fields...)}
	}
	for _, c := range []struct {
		schema      string // of v
		row         *codecs.Type
		every, some string // why not; "" = it has a place
	}{
		{`"int"`, member(kinds(codecs.Int)), "", ""},
		{`"int"`, member(codecs.UnknownType()), "", ""},
		{`"int"`, member(kinds(codecs.Float)), `member "v": float where the schema has int`, ""},
		{`"int"`, member(kinds(codecs.String)), `member "v": string where the schema has int`, `member "v": string where the schema has int`},
		{`"int"`, member(kinds(codecs.Int, codecs.Null)), `member "v": it may be null, and the schema has int there`, ""},
		{`"int"`, member(kinds(codecs.Null)), `member "v": it may be null, and the schema has int there`, `member "v": it may be null, and the schema has int there`},
		{`"int","default":1`, member(kinds(codecs.Int, codecs.Missing)), "", ""},
		{`["null","string"]`, member(kinds(codecs.String, codecs.Null)), "", ""},
		{`["null","string"]`, member(kinds(codecs.String, codecs.Bool)), `member "v": bool or string where the schema has the union [null, string]`, ""},
		{`"bytes"`, member(kinds(codecs.String)), `member "v": string where the schema has bytes`, ""},
		{`{"type":"long","logicalType":"timestamp-millis"}`, member(kinds(codecs.String)), `member "v": string where the schema has long (timestamp-millis)`, ""},
		{`{"type":"int","logicalType":"date"}`, member(kinds(codecs.Int)), `member "v": int where the schema has int (date)`, ""},
		{`"int"`, object(codecs.TypeField{Name: "w", Type: kinds(codecs.Int)}), `member "w": the schema R has no such field; did you mean "v"?`, `member "w"`},
		{`"int"`, object(), `the row: the schema R has the field "v" without a default, and the rows have no such member`, `the row: the schema R has`},
		{`["null","int"]`, object(), "", ""},
		{`{"type":"array","items":"int"}`, member(&codecs.Type{Kinds: codecs.Kinds(codecs.Array), Items: kinds(codecs.Bool)}),
			`member "v[0]": bool where the schema has int`, `member "v[0]"`},
		{`{"type":"map","values":"int"}`, member(object(codecs.TypeField{Name: "x", Type: kinds(codecs.Bool)})), `member "v.x": bool where`, `member "v.x"`},
		{`{"type":"map","values":"int"}`, member(&codecs.Type{Kinds: codecs.Kinds(codecs.Object), Values: kinds(codecs.Int)}), "", ""},
		{`{"type":"record","name":"In","fields":[]}`, member(&codecs.Type{Kinds: codecs.Kinds(codecs.Object), Values: kinds(codecs.Int)}),
			`member "v": any members where the schema has In`, ""},
	} {
		s := parse(t, `{"type":"record","name":"R","fields":[{"name":"v","type":`+c.schema+`}]}`)
		for every, want := range map[bool]string{true: c.every, false: c.some} {
			got := ""
			if err := s.Takes(c.row, every); err != nil {
				got = err.Error()
			}
			if want == "" && got != "" || !strings.HasPrefix(got, want) {
				t.Errorf("%s, every %v: %q, want %q", c.schema, every, got, want)
			}
		}
	}
}

// TestSchemaOfRandomRows: rows of random types go through the schema that is made for
// them unchanged, and the schema after that one is the same.
func TestSchemaOfRandomRows(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	made := 0
	for range 2000 {
		text := randomSchema(r)
		schema := parse(t, text)
		row, err := schema.TypeAt(codecs.Path{})
		if err != nil {
			t.Fatal(err)
		}
		derived, fault := SchemaOf("Row", row, nil)
		if fault != nil {
			if !strings.Contains(text, `"bytes"`) && !fault.Unknown {
				t.Fatalf("%s: %v", text, fault)
			}
			continue
		}
		made++
		to := parse(t, derived)
		if err := to.Takes(row, true); err != nil {
			t.Fatalf("%s\n%s: %v", text, derived, err)
		}
		if again, err := SchemaOf("Row", row, to); err != nil || again != derived {
			t.Fatalf("%s\n%s\n%s: %v", text, derived, again, err)
		}
		want := cellOf((&recordMaker{r: r}).value(schema.root, 5))
		record, err := NewEncoder(to).AppendJSON(nil, []byte(want.Str))
		if err != nil {
			t.Fatalf("%s as %s: %v", want.Str, derived, err)
		}
		cells, reason := decodeOne(t, derived, record, "")
		if reason != "" || codecs.Compare(cells[0], want) != 0 && !rounds(row, map[*codecs.Type]bool{}) {
			t.Fatalf("%s as %s: %s, %q", want.Str, derived, cells[0].Str, reason)
		}
	}
	if made < 1000 {
		t.Errorf("only %d schemas could be made", made)
	}
}

// rounds tells whether whole numbers of a type may become floats.
func rounds(t *codecs.Type, seen map[*codecs.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	found := t.Kinds.Has(codecs.Int) && t.Kinds.Has(codecs.Float) || rounds(t.Items, seen) || rounds(t.Values, seen)
	for _, f := range t.Fields {
		found = found || rounds(f.Type, seen)
	}
	return found
}
