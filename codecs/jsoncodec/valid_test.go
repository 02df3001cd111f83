package jsoncodec

import (
	"errors"
	"strings"
	"testing"
)

func TestValidPosition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text                 string
		offset, line, column int
		reason               string
	}{
		{"", 0, 1, 1, "the text ends where a value is expected"},
		{"{\n  \"a\": 1,\n  \"b\": x\n}", 19, 3, 8, "'x' where a value is expected"},
		{"{\"é😀\": x}", 11, 1, 8, "'x' where a value is expected"},
		{"[1]\n]", 4, 2, 1, "']' where the end is expected"},
		{"[1,\n", 4, 2, 1, "the text ends where a value is expected"},
		{"\ufeff{}", 0, 1, 1, "byte 0xEF where a value is expected"},
		{`{"a" 1}`, 5, 1, 6, `'1' where ":" is expected`},
	} {
		var e *SyntaxError
		if err := Valid([]byte(c.text)); !errors.As(err, &e) {
			t.Errorf("%q: %v", c.text, err)
		} else if want := (SyntaxError{c.offset, c.line, c.column, c.reason}); *e != want {
			t.Errorf("%q: %+v, want %+v", c.text, *e, want)
		}
	}
	const want = `invalid JSON at line 1, column 2 (offset 1): ',' where a value is expected`
	if err := Valid([]byte("[,]")); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestWhole(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		`{}`: true, " {\"a\":[]}\r\n": true, `[]`: false, `1`: false, ``: false, ` `: false, `{}{}`: false, `{"a"}`: false,
	} {
		if err := Whole([]byte(text)); (err == nil) != ok {
			t.Errorf("%q: %v, want acceptance %v", text, err, ok)
		}
	}
}

func TestCompact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"{\n  \"a b\": [1, 2.0],\r\n\t\"c\\\\\": \"d \\\" e\"\n}\n": `{"a b":[1,2.0],"c\\":"d \" e"}`,
		`{"a":1}`: `{"a":1}`,
		" ":       "",
	} {
		if got := string(Compact([]byte("> "), []byte(in))); got != "> "+want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestValidUnique(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{`{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}`, ""},
		{`[ ]`, ""},
		{`"a"`, ""},
		{`{"a":1,"a":2}`, `column 8 (offset 7): a second member named "a"`},
		{`{"x":[1,{"é":1, "\u00e9":2}]}`, `column 17 (offset 17): a second member named "é"`},
		{`{"a":1,"a":2`, `the text ends`},
	} {
		err := ValidUnique([]byte(c.text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
}
