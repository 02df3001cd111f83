package codecs

import (
	"slices"
	"strings"
	"testing"
)

func m(name string) Step { return Step{Member: name} }
func ix(i int) Step      { return Step{Index: i, IsIndex: true} }

func TestParsePath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		steps []Step
		canon string // empty: as text
	}{
		{"a", []Step{m("a")}, ""},
		{"a.b[0].c", []Step{m("a"), m("b"), ix(0), m("c")}, ""},
		{"a[0][12]", []Step{m("a"), ix(0), ix(12)}, ""},
		{"a[2147483647]", []Step{m("a"), ix(MaxPathIndex)}, ""},
		{"_x9.Ünï", []Step{m("_x9"), m("Ünï")}, ""},
		{`["odd name"]`, []Step{m("odd name")}, ""},
		{`["odd name"].b["x.y"][1]`, []Step{m("odd name"), m("b"), m("x.y"), ix(1)}, ""},
		{`a["b"]`, []Step{m("a"), m("b")}, "a.b"},
		{`["a"]`, []Step{m("a")}, "a"},
		{`[""]`, []Step{m("")}, ""},
		{`["a\"\\\n\u0041\ud83d\ude00]"]`, []Step{m("a\"\\\nA😀]")}, `["a\"\\\nA😀]"]`},
		{"user-id", []Step{m("user-id")}, `["user-id"]`},
		{"@timestamp.$id", []Step{m("@timestamp"), m("$id")}, `["@timestamp"]["$id"]`},
		{"2fa", []Step{m("2fa")}, `["2fa"]`},
		{"a.0", []Step{m("a"), m("0")}, `a["0"]`},
	} {
		p, err := ParsePath(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if !slices.Equal(p.Steps(), c.steps) || !p.Equal(NewPath(c.steps...)) {
			t.Errorf("%s: %v, want %v", c.text, p.Steps(), c.steps)
		}
		canon := c.canon
		if canon == "" {
			canon = c.text
		}
		if p.String() != canon {
			t.Errorf("%s is written %s, want %s", c.text, p, canon)
		}
	}
}

func TestParsePathRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", "empty"},
		{".", "byte 1"},
		{".a", "byte 1"},
		{"a.", "byte 3"},
		{"a..b", "byte 3"},
		{"a b", "byte 2"},
		{" a", "byte 1"},
		{"a.[0]", "byte 3"},
		{"[0]", "starts with a member"},
		{"[0].a", "starts with a member"},
		{"a[", `"[" without "]"`},
		{"a[]", "index from 0"},
		{"a[-1]", "index from 0"},
		{"a[+1]", "index from 0"},
		{"a[1_0]", "index from 0"},
		{"a[01]", "leading zeros"},
		{"a[2147483648]", "index from 0"},
		{"a[99999999999999999999]", "index from 0"},
		{"a[x]", "index from 0"},
		{"a['x']", "index from 0"},
		{`a["x]`, "byte 3"},
		{`a["x"`, "byte 6"},
		{`a["x" ]`, "byte 6"},
		{`a["\x"]`, "byte 4"},
		{`a["\ud800"]`, "byte 4"},
		{"a[\"\xff\"]", "byte 4"},
		{"a[0]b", "byte 5"},
		{`["a"]b`, "byte 6"},
		{"a\xff", "byte 2"},
		{"a*", "byte 2"},
		{strings.Repeat("a.", MaxPathSteps) + "a", "more than 64 steps"},
		{strings.Repeat("a", MaxPathBytes+1), "longer than 4096"},
	} {
		if p, err := ParsePath(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, %v; want an error with %q", c.text, p.Steps(), err, c.want)
		}
	}
}

// FuzzParsePath: what parses, is written in a form that parses to the same steps and
// is written the same.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"a.b[0].c", `["odd name"].x[1]["\u00e9\n"]`, "a[", "é-@$._"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePath(text)
		if err != nil {
			return
		}
		again, err := ParsePath(p.String())
		if len(p.String()) > MaxPathBytes {
			return // quotes and escapes can make the canonical form longer than the limit
		}
		if err != nil || !again.Equal(p) || again.String() != p.String() {
			t.Fatalf("%q → %q → %q, %v", text, p, again, err)
		}
	})
}
