package protocodec

import (
	"context"
	"strings"
	"testing"
)

func compiled(t *testing.T, text string, references ...Reference) *Schema {
	t.Helper()
	s, err := ParseSchema(context.Background(), text, references)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func TestIncompatibilities(t *testing.T) {
	t.Parallel()
	p3 := func(body string) string { return "syntax = \"proto3\"; package p; " + body }
	p2 := func(body string) string { return "syntax = \"proto2\"; " + body }
	const ab = `message M { string a = 1; int32 b = 2; }`
	for _, c := range []struct{ reader, writer, want string }{
		{p3(ab), p3(ab), ""},
		{p3(`message M { string a = 1; }`), p3(ab), ""}, // removed
		{p3(`message M { string a = 1; int32 b = 2; Inner c = 3; message Inner {} }`), p3(ab), ""},
		{p3(`message M { string z = 1; int32 y = 2; }`), p3(ab), ""}, // renamed
		{strings.Replace(p3(ab), "package p", "package q", 1), p3(ab), ""},
		{p3(`message N { string a = 1; }`), p3(ab), "MESSAGE_REMOVED #/M"},
		{p3(`message M { string a = 1; message I {} }`), p3(`message M { string a = 1; message I {} message J {} }`), "MESSAGE_REMOVED #/M/J"},
		{p3(`message M { bytes a = 1; int64 b = 2; }`), p3(ab), ""},
		{p3(`message M { bytes a = 1; bool b = 2; }`), p3(ab), ""},
		{p3(`message M { string a = 1; E b = 2; } enum E { X = 0; }`), p3(ab), ""},
		{p3(`message M { string a = 1; sint32 b = 2; }`), p3(ab), "FIELD_SCALAR_KIND_CHANGED #/M/2"},
		{p3(`message M { string a = 1; float b = 2; }`), p3(ab), "FIELD_SCALAR_KIND_CHANGED #/M/2"},
		{p3(`message M { int32 a = 1; int32 b = 2; }`), p3(ab), "FIELD_SCALAR_KIND_CHANGED #/M/1"},
		{p3(`message M { string a = 1; M b = 2; }`), p3(ab), "FIELD_KIND_CHANGED #/M/2"},
		{p3(`message M { repeated string a = 1; int32 b = 2; }`), p3(ab), ""},
		{p3(`message M { string a = 1; repeated int32 b = 2; }`), p3(ab), "FIELD_NUMERIC_LABEL_CHANGED #/M/2"},
		{p3(`message M { map<string, int64> a = 1; }`), p3(`message M { map<string, int32> a = 1; }`), ""},
		{p3(`message M { map<string, string> a = 1; }`), p3(`message M { map<string, int32> a = 1; }`), "FIELD_SCALAR_KIND_CHANGED #/M/1/value"},
		{p3(`message M { map<string, int32> a = 1; }`), p3(`message M { string a = 1; }`), "FIELD_KIND_CHANGED #/M/1"},
		{p3(`message M { A a = 1; } message A {} message B {}`), p3(`message M { B a = 1; } message A {} message B {}`), "FIELD_NAMED_TYPE_CHANGED #/M/1"},
		{p3(`message M { M m = 1; string a = 2; }`), p3(`message M { M m = 1; int32 a = 2; }`), "FIELD_SCALAR_KIND_CHANGED #/M/2"},
		{p2(`message M { required int32 a = 1; }`), p2(`message M { optional int32 a = 1; }`), "REQUIRED_FIELD_ADDED #/M/1"},
		{p2(`message M { required int32 a = 1; }`), p2(`message M {}`), "REQUIRED_FIELD_ADDED #/M/1"},
		{p2(`message M {}`), p2(`message M { required int32 a = 1; }`), "REQUIRED_FIELD_REMOVED #/M/1"},
		{p2(`message M { optional group G = 1 {} }`), p2(`message M { optional G g = 1; message G {} }`), "FIELD_KIND_CHANGED #/M/1"},
		{p3(`message M { oneof o { int32 a = 1; int32 b = 2; } }`), p3(`message M { oneof o { int32 a = 1; } }`), ""},
		{p3(`message M { oneof o { int32 a = 1; } }`), p3(`message M { oneof o { int32 a = 1; int32 b = 2; } }`), "ONEOF_FIELD_REMOVED #/M/o/2"},
		{p3(`message M { oneof o { int32 a = 1; } }`), p3(`message M { int32 a = 1; }`), ""},
		{p3(`message M { oneof o { int32 a = 1; int32 b = 2; } }`), p3(`message M { int32 a = 1; int32 b = 2; }`), "MULTIPLE_FIELDS_MOVED_TO_ONEOF #/M/o"},
		{p3(`message M { oneof o { int32 a = 1; int32 b = 2; } }`), p3(`message M { oneof o { int32 a = 1; } int32 b = 2; }`), "FIELD_MOVED_TO_EXISTING_ONEOF #/M/o"},
		{p3(`message M { optional int32 a = 1; }`), p3(`message M { int32 a = 1; }`), ""},
		{p3(`message M { int32 a = 1; }`), p3(`message M { optional int32 a = 1; }`), ""},
	} {
		var got []string
		for _, i := range compiled(t, c.reader).Incompatibilities(compiled(t, c.writer)) {
			got = append(got, i.Kind+" "+i.Path)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s reads %s:\n got %v\nwant %s", c.reader, c.writer, got, c.want)
		}
	}
}

// What is imported is compared where it is used.
func TestIncompatibleImports(t *testing.T) {
	t.Parallel()
	const user = `syntax = "proto3"; import "common.proto"; message M { c.Money m = 1; }`
	money := func(kind string) Reference {
		return Reference{Name: "common.proto", Text: `syntax = "proto3"; package c; message Money { ` + kind + ` cents = 1; }`}
	}
	list := compiled(t, user, money("int64")).Incompatibilities(compiled(t, user, money("double")))
	if len(list) != 1 || list[0].Path != "#/M/1/1" || list[0].Kind != scalarKindChanged {
		t.Errorf("%+v", list)
	}
}

func TestCanonicalDescriptor(t *testing.T) {
	t.Parallel()
	text := func(s string) string {
		c, err := compiled(t, s).Canonical()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const a = `syntax = "proto3"; message M { string a = 1; }`
	if text(a) != text("// told\nsyntax = 'proto3';\n\nmessage M {\n  string a = 1; // here\n}\n") {
		t.Error("comments and space make a difference")
	}
	for _, other := range []string{`syntax = "proto3"; message M { string b = 1; }`, `syntax = "proto2"; message M { optional string a = 1; }`,
		`syntax = "proto3"; message M { string a = 1 [deprecated = true]; }`} {
		if text(a) == text(other) {
			t.Errorf("%s is the same as %s", other, a)
		}
	}
}
