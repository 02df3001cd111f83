package protocodec

import (
	"strings"
	"testing"

	"leat/codecs"
	"leat/internal/testenv"
)

func kinds(k ...codecs.Kind) *codecs.Type { return codecs.ScalarType(codecs.Kinds(k...)) }

func objectOf(fields ...codecs.TypeField) *codecs.Type {
	return &codecs.Type{Kinds: codecs.Kinds(codecs.Object), Fields: append([]codecs.TypeField{}, fields...)}
}

// TestSchemaOf has the schema of each type of value.
func TestSchemaOf(t *testing.T) {
	t.Parallel()
	inner := objectOf(codecs.TypeField{Name: "b", Type: kinds(codecs.Bool)})
	list := func(items *codecs.Type) *codecs.Type {
		return &codecs.Type{Kinds: codecs.Kinds(codecs.Array, codecs.Null), Items: items}
	}
	dict := func(values *codecs.Type) *codecs.Type {
		return &codecs.Type{Kinds: codecs.Kinds(codecs.Object), Values: values}
	}
	loop := objectOf(codecs.TypeField{Name: "next"})
	loop.Fields[0].Type = loop.With(codecs.Kinds(codecs.Missing))
	for _, c := range []struct {
		name string
		t    *codecs.Type
		want string // the lines of the field and behind it, or why there is none
	}{
		{"bool", kinds(codecs.Bool), "  bool v = 1;\n}\n"},
		{"int", kinds(codecs.Int), "  int64 v = 1;\n}\n"},
		{"number", kinds(codecs.Int, codecs.Float), "  double v = 1;\n}\n"},
		{"text or null", kinds(codecs.String, codecs.Null), "  optional string v = 1;\n}\n"},
		{"bytes", kinds(codecs.Bytes, codecs.Missing), "  optional bytes v = 1;\n}\n"},
		{"object", inner, "  out_v v = 1;\n}\n\nmessage out_v {\n  bool b = 1;\n}\n"},
		{"recursive", loop, "  out_v v = 1;\n}\n\nmessage out_v {\n  out_v next = 1;\n}\n"},
		{"map", dict(kinds(codecs.Int)), "  map<string, int64> v = 1;\n}\n"},
		{"array", list(inner), "  repeated out_v v = 1;\n}\n\nmessage out_v {\n  bool b = 1;\n}\n"},
		{"null", kinds(codecs.Null), `member "v": it is always null, for which Protobuf has no type`},
		{"several", kinds(codecs.String, codecs.Bool), `member "v": it may be bool or string, for which Protobuf has no type`},
		{"null inside", list(kinds(codecs.Int, codecs.Null)), `member "v[0]": it may be null, which Protobuf has not inside of lists and maps`},
		{"list of lists", list(list(kinds(codecs.Int)).Without(codecs.Kinds(codecs.Null))), `member "v[0]": a list or map right inside of a list or map, which Protobuf has not`},
		{"anything", codecs.UnknownType(), `member "v": its type is not known`},
		{"any object", kinds(codecs.Object), `member "v": its type is not known`},
		{"map of anything", dict(codecs.UnknownType()), `member "v": its type is not known`},
	} {
		got, err := SchemaOf("out", objectOf(codecs.TypeField{Name: "v", Type: c.t}), nil)
		want := "syntax = \"proto3\";\n\nmessage out {\n" + c.want
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
	clash := objectOf(codecs.TypeField{Name: "a_b", Type: kinds(codecs.Int)}, codecs.TypeField{Name: "aB", Type: kinds(codecs.Int)})
	if _, err := SchemaOf("out", clash, nil); err == nil || err.Error() != `member "aB": it is called like "a_b" in the JSON of Protobuf` {
		t.Error(err)
	}
}

// TestSchemaOfAfter has what becomes of a schema when the rows change. Each result reads
// what was written with the schema before.
func TestSchemaOfAfter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, before, row, want string }{
		{"numbers stay, new ones are new", "string a = 7; int64 b = 3;", "int64 b = 1; string c = 2; string a = 3;", "int64 b = 3; string c = 8; string a = 7;"},
		{"what is gone is reserved", "reserved 9, 20 to 22; reserved \"z\", \"c\"; string a = 1; int64 b = 2;", "int64 b = 1; string c = 2;",
			"int64 b = 2; string c = 23; reserved 9, 20 to 22, 1; reserved \"z\", \"a\";"},
		{"types that take the values are kept", "int32 a = 1; optional fixed64 b = 2; repeated sint32 l = 3; float f = 4; map<string, uint32> m = 5;",
			"int64 a = 1; int64 b = 2; repeated int64 l = 3; double f = 4; map<string, int64> m = 5; string n = 6;",
			"int32 a = 1; optional fixed64 b = 2; repeated sint32 l = 3; float f = 4; map<string, uint32> m = 5; string n = 6;"},
		{"null comes in", "string a = 1;", "optional string a = 1;", "optional string a = 1;"},
		{"inside of a message", "In a = 4; } message In { string x = 5;", "Other a = 1; } message Other { string x = 1; bool y = 2;", "In a = 4; } message In { string x = 5; bool y = 6;"},
		{"not the numbers of Protobuf", "string a = 18999;", "string a = 1; string b = 2;", "string a = 18999; string b = 20000;"},
	} {
		file := func(fields string) string { return `syntax = "proto3"; package p; message Out { ` + fields + ` }` }
		before, row := parse(t, file(c.before)), parse(t, file(c.row))
		rowType, err := row.TypeAt(codecs.Path{})
		if err != nil {
			t.Fatal(err)
		}
		got, fault := SchemaOf("other", rowType, before)
		if flat, want := strings.Join(strings.Fields(got), " "), file(c.want); fault != nil || flat != want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.name, fault, flat, want)
			continue
		}
		after := compileText(t, got)
		if told := after.Incompatibilities(compileText(t, file(c.before))); len(told) > 0 {
			t.Errorf("%s: it does not read what was before: %v", c.name, told)
		}
		if fault := parse(t, got).Takes(rowType, true); fault != nil {
			t.Errorf("%s: %v", c.name, fault)
		}
	}
}

// TestTakes has why rows have no place in a schema, if each value needs one, and if one
// of them does.
func TestTakes(t *testing.T) {
	t.Parallel()
	member := func(t *codecs.Type) *codecs.Type { return objectOf(codecs.TypeField{Name: "v", Type: t}) }
	ints := &codecs.Type{Kinds: codecs.Kinds(codecs.Array), Items: kinds(codecs.Int, codecs.Null)}
	for _, c := range []struct {
		field       string
		row         *codecs.Type
		every, some string // why not; "" = it has a place
	}{
		{"optional int32 v = 1;", member(kinds(codecs.Int, codecs.Null)), "", ""},
		{"optional int32 v = 1;", member(codecs.UnknownType()), "", ""},
		{"optional int32 v = 1;", objectOf(), "", ""},
		{"required int32 v = 1;", objectOf(), `the row: the schema p.R requires the field "v", and the rows have no such member`, "the row: "},
		{"required int32 v = 1;", member(kinds(codecs.Int, codecs.Null)), `member "v": it may be null, and the schema has int32 without presence`, `member "v": it may be null`},
		{"optional int32 v = 1;", member(kinds(codecs.Float)), `member "v": float where the schema has int32`, ""},
		{"optional int32 v = 1;", member(kinds(codecs.String)), `member "v": string where the schema has int32`, `member "v": string`},
		{"optional int64 v = 1;", member(kinds(codecs.String)), `member "v": string where the schema has int64`, ""},
		{"optional bytes v = 1;", member(kinds(codecs.String)), `member "v": string where the schema has bytes`, ""},
		{"repeated int32 v = 1;", member(ints), `member "v[0]": it may be null`, ""},
		{"repeated int32 v = 1;", member(kinds(codecs.Int)), `member "v": int where the schema has a list`, `member "v": int where`},
		{"map<string, int32> v = 1;", member(objectOf(codecs.TypeField{Name: "x", Type: kinds(codecs.Bool)})), `member "v.x": bool where`, `member "v.x": bool where`},
		{"map<int32, int32> v = 1;", member(&codecs.Type{Kinds: codecs.Kinds(codecs.Object), Values: kinds(codecs.Int)}), `member "v": any members where`, ""},
		{"optional google.protobuf.Timestamp v = 1;", member(kinds(codecs.Int)), "", ""},
		{"optional google.protobuf.Timestamp v = 1;", member(kinds(codecs.String)), `member "v": string where the schema has google.protobuf.Timestamp`, ""},
		{"optional google.protobuf.Value v = 1;", member(kinds(codecs.String, codecs.Null)), "", ""},
		{"optional google.protobuf.StringValue v = 1;", member(kinds(codecs.String, codecs.Null)), "", ""},
		{"optional int32 w = 1;", member(kinds(codecs.Int)), `member "v": the schema p.R has no such field`, `member "v"`},
		{"optional R v = 1;", member(objectOf(codecs.TypeField{Name: "x", Type: kinds(codecs.Int)})), `member "v.x": the schema p.R has no such field`, `member "v.x"`},
	} {
		m := parse(t, `syntax = "proto2"; package p; import "google/protobuf/timestamp.proto"; import "google/protobuf/struct.proto";
			import "google/protobuf/wrappers.proto"; message R { `+c.field+` }`)
		for every, want := range map[bool]string{true: c.every, false: c.some} {
			got := ""
			if err := m.Takes(c.row, every); err != nil {
				got = err.Error()
			}
			if want == "" && got != "" || !strings.HasPrefix(got, want) {
				t.Errorf("%s, every %v: %q, want %q", c.field, every, got, want)
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
	for range 1500 {
		text := randomSchema(r)
		from := parse(t, text)
		row, err := from.TypeAt(codecs.Path{})
		if err != nil {
			t.Fatal(err)
		}
		derived, fault := SchemaOf("Row", row, nil)
		if fault != nil {
			continue
		}
		made++
		to := parse(t, derived)
		if fault := to.Takes(row, true); fault != nil {
			t.Fatalf("%s\n%s: %v", text, derived, fault)
		}
		if again, fault := SchemaOf("Row", row, to); fault != nil || again != derived {
			t.Fatalf("%s\n%s\n%s: %v", text, derived, again, fault)
		}
		cells, reason := decodeOne(t, from, randomRecord(t, r, from.descriptor), "")
		if reason != "" || strings.Contains(cells[0].Str, "null") { // a number that is not finite
			continue
		}
		record, err := NewEncoder(to).AppendJSON(nil, []byte(cells[0].Str))
		if err != nil {
			if strings.Contains(err.Error(), "not a whole number of 64 bits") || strings.Contains(err.Error(), "int where the schema has string") {
				continue // of a uint64, or of an enum without a name
			}
			t.Fatalf("%s as %s: %v", cells[0].Str, derived, err)
		}
		back, reason := decodeOne(t, to, record, "")
		if reason != "" || codecs.Compare(back[0], cells[0]) != 0 {
			t.Fatalf("%s\n%s as %s: %s, %q", text, cells[0].Str, derived, back[0].Str, reason)
		}
	}
	if made < 300 {
		t.Errorf("only %d schemas could be made", made)
	}
}
