package datum

import (
	"slices"
	"testing"

	"leat/codecs"
)

func TestMembersAndElements(t *testing.T) {
	t.Parallel()
	row, err := Parse([]byte(" { \"a\" : 1.50 , \"b\\u0041\":[ 123456789012345678901 ,\"x\\n\", null,true ] ,\"c\":{}, \"a\":-0 } "))
	if err != nil || row.Value.Kind != codecs.Object {
		t.Fatalf("%v, %v", row, err)
	}
	members := Members(row.Value.Str)
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	if !slices.Equal(names, []string{"a", "bA", "c", "a"}) {
		t.Fatalf("members %q", names)
	}
	if m := members[0]; m.Value != codecs.FloatValue(1.5) || m.Literal != "1.50" {
		t.Errorf("a is %v", m)
	}
	elements := Elements(members[1].Value.Str)
	want := []Datum{
		{codecs.FloatValue(123456789012345678901), "123456789012345678901"}, {codecs.StringValue("x\n"), ""},
		{codecs.NullValue(), ""}, {codecs.BoolValue(true), ""},
	}
	if !slices.Equal(elements, want) {
		t.Errorf("elements %v", elements)
	}
	if len(Members(members[2].Value.Str)) != 0 || len(Elements("[ ]")) != 0 {
		t.Error("an empty object or array has something in it")
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":      "the row: not valid JSON at offset 0: the text ends where a value is expected",
		"{} {}": `the row: not valid JSON at offset 3: '{' where the end is expected`,
		`{"a"}`: `the row: not valid JSON at offset 4: '}' where ":" is expected`,
	} {
		if _, err := Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
