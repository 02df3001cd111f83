package protocodec

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

func TestSchemaErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", "the Protobuf schema has no message"},
		{"syntax = \"proto3\";\nmessage M {\n  int32 a = 1\n}", "schema.proto:4:1: syntax error: expecting ';'"},
		{"syntax = \"proto3\";\nmessage M { Other a = 1; }", "schema.proto:2:13: field M.a: unknown type Other"},
		{"syntax = \"proto3\";\nmessage M { int32 a = 1; int32 b = 1; }", "schema.proto:2:36: message M: fields a and b both have the same tag 1"},
		{"syntax = \"proto3\";\nimport \"/etc/passwd\";\nmessage M {}", `schema.proto:2:8: could not resolve path "/etc/passwd": there is no reference of this name`},
		{"syntax = \"proto3\";\nimport \"other.proto\";\nmessage M {}", `schema.proto:2:8: could not resolve path "other.proto": there is no reference of this name`},
		{"import \"schema.proto\";", `schema.proto:1:8: cycle found in imports: "schema.proto" -> "schema.proto"`},
		{"message M { optional int32 a = 1; }\n" + strings.Repeat("message A {", MaxSchemaDepth+1), "schema.proto:2:540: brackets nested more than 48 deep"},
		{"message " + strings.Repeat("a", MaxNameBytes) + "{}", "schema.proto:1:1033: a name of more than 1024 bytes"},
	} {
		s, err := ParseSchema(context.Background(), c.text, nil)
		if err == nil {
			_, err = s.Message("")
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("%.60s: %v, want %s", c.text, err, c.want)
		}
	}
}

// TestHostileSchemas: what would take a compiler much memory or time is refused before.
func TestHostileSchemas(t *testing.T) {
	t.Parallel()
	huge := "syntax = \"proto3\";\nmessage M { string a = 1; }\n//" + strings.Repeat("x", 10<<20)
	fields := &strings.Builder{}
	for i := range 30000 {
		fmt.Fprintf(fields, "int32 a%d=%d;", i, i+1)
	}
	names := "syntax=\"proto3\";package " + strings.TrimSuffix(strings.Repeat("p.", 500), ".") + ";" +
		strings.Repeat("message "+strings.Repeat("m", 900)+"{", 20) + fields.String() + strings.Repeat("}", 20)
	ranges := &strings.Builder{}
	for i := range 20000 {
		fmt.Fprintf(ranges, "%d,", 1000+2*i)
	}
	options := "message M { extensions " + ranges.String() + "50000 [" + strings.Repeat("(o)=1,", 50000) + "(o)=1]; }"
	for name, text := range map[string]string{
		"oneofs": "message M {" + strings.Repeat("oneof o { int32 a = 1; }", MaxChoices+1) + "}", "10 MB": huge, "long names": names, "options of ranges": options, "nesting": strings.Repeat("message A {", 10001),
		"brackets": "option (a) = " + strings.Repeat("[", 10001), "hidden in a comment": "/*/ */" + strings.Repeat("message A {", 10001),
		"behind a string": "option a = \"\\\\\";" + strings.Repeat("message A {", 10001), "names and dots": "package " + strings.Repeat("a . /**/ ", 1000) + "b;",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseSchema(context.Background(), text, nil)
		runtime.ReadMemStats(&after)
		var refused *SchemaError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
			t.Errorf("%s took %d bytes", name, used)
		}
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	const main = `syntax = "proto3"; package shop; import "shop/money.proto"; import "google/protobuf/timestamp.proto";
		message Order { Money price = 1; google.protobuf.Timestamp at = 2; }`
	money := Reference{"shop/money.proto", `syntax = "proto3"; package shop; message Money { int64 units = 1; }`}
	s := compileText(t, main, money, Reference{"unused.proto", "not a schema"}, Reference{"google/protobuf/timestamp.proto", "not a schema either"})
	m, err := s.Message("")
	if err != nil || m.Name() != "shop.Order" {
		t.Fatalf("%v, %v", m, err)
	}
	kinds, err := m.TypeOf(codecstest.Paths(t, "price.units")[0])
	if err != nil || kinds != codecs.Kinds(codecs.Int, codecs.Missing) {
		t.Errorf("price.units is %v, %v", kinds, err)
	}
	_, err = ParseSchema(context.Background(), main, []Reference{{"shop/money.proto", `syntax = "proto3"; package shop; message Money { int64 units = 0; }`}})
	if want := "shop/money.proto:1:64: tag number 0 must be greater than zero"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	cycle := []Reference{{"a.proto", `import "b.proto";`}, {"b.proto", `import "c.proto";`}, {"c.proto", `import "a.proto";`}}
	if _, err := ParseSchema(context.Background(), `import "a.proto"; message M {}`, cycle); err == nil || !strings.Contains(err.Error(), "cycle found in imports") {
		t.Errorf("a cycle: %v", err)
	}
	if _, err := ParseSchema(context.Background(), main, []Reference{money, money}); err == nil || err.Error() != "shop/money.proto: two references of this name" {
		t.Errorf("two of a name: %v", err)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ParseSchema(canceled, main, []Reference{money}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestMessageNames(t *testing.T) {
	t.Parallel()
	s := compileText(t, `syntax = "proto3"; package a.b;
		message First { message Inner { message Deep {} } map<string, int32> m = 1; }
		message Second { message One {} message Two { } }`)
	for name, want := range map[string]string{
		"": "a.b.First", "First": "a.b.First", "a.b.Second": "a.b.Second", ".a.b.Second.Two": "a.b.Second.Two", "First.Inner.Deep": "a.b.First.Inner.Deep",
	} {
		m, err := s.Message(name)
		if err != nil || m.Name() != want {
			t.Errorf("%q is %v, %v", name, m, err)
			continue
		}
		same, err := s.MessageAt(m.Index())
		if err != nil || same.Name() != want {
			t.Errorf("%v is %v, %v, want %s", m.Index(), same, err, want)
		}
	}
	if _, err := s.Message("Secnd"); err == nil || err.Error() != `the Protobuf schema has no message "Secnd"; did you mean "Second"?` {
		t.Errorf("%v", err)
	}
	if _, err := s.Message("MEntry"); err == nil {
		t.Error("the entry of a map is a message")
	}
	for _, index := range [][]int{nil, {2}, {-1}, {1, 2}, {1, 1, 0}, {0, 1}} { // the last one is the entry of a map
		if m, err := s.MessageAt(index); err == nil {
			t.Errorf("%v is %v", index, m.Name())
		}
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bytes string
		index []int
	}{{"\x00", []int{0}}, {"\x04\x02\x06", []int{1, 3}}, {"\x02\x02", []int{1}}, {"\x02\x80\x02", []int{128}}} {
		got, rest, ok := CutIndex(nil, []byte(c.bytes+"rest"))
		if !ok || !slices.Equal(got, c.index) || string(rest) != "rest" {
			t.Errorf("% x: %v, %q, %v", c.bytes, got, rest, ok)
		}
		if written := AppendIndex(nil, c.index); string(written) != c.bytes {
			t.Errorf("%v is written % x, want % x", c.index, written, c.bytes)
		}
	}
	if got, _, ok := CutIndex(nil, []byte("\x02\x00")); !ok || !slices.Equal(got, []int{0}) {
		t.Errorf("the long way: %v, %v", got, ok)
	}
	for _, bad := range []string{"", "\x01", "\x04\x02", "\x02\x01", "\xFF\xFF\xFF\xFF\x0F", "\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"} {
		if got, rest, ok := CutIndex(nil, []byte(bad)); ok || string(rest) != bad {
			t.Errorf("% x: %v", bad, got)
		}
	}
}
