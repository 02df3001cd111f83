package filerun

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"leat/internal/testenv"
)

func TestDiffer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expected, actual string
		line             int
		minus, plus      []string
	}{
		{"", "", 0, nil, nil},
		{"a b", "a b", 0, nil, nil},
		{`[1,2]`, `[1,2]`, 0, nil, nil},
		{"a b c", "a x c", 2, []string{"b"}, []string{"x"}},
		{"a b c", "a c", 2, []string{"b"}, []string{}},
		{"a c", "a b c", 2, []string{}, []string{"b"}},
		{"", "a", 1, []string{}, []string{"a"}},
		{"a a", "a", 2, []string{"a"}, []string{}},
	} {
		d := differ(lineList(c.expected), lineList(c.actual))
		if d == nil {
			d = &Difference{}
		}
		if d.Line != c.line || !slices.Equal(d.Expected, c.minus) || !slices.Equal(d.Actual, c.plus) {
			t.Errorf("%q and %q: %+v", c.expected, c.actual, d)
		}
	}
	if d := differ([][]byte{[]byte(`{ "a": 1 }`)}, [][]byte{[]byte(`{"a":1}`)}); d != nil {
		t.Errorf("space makes a difference: %+v", d)
	}
}

func lineList(text string) [][]byte { return bytes.Fields([]byte(text)) }

// TestDifferApplies: replacing what is expected by what was put out, at its place,
// makes one of the other.
func TestDifferApplies(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	some := func() (list [][]byte) {
		for range r.IntN(6) {
			list = append(list, []byte{'a' + byte(r.IntN(3))})
		}
		return list
	}
	for range 2000 {
		expected, actual := some(), some()
		made := texts(expected)
		if d := differ(expected, actual); d != nil {
			made = slices.Replace(made, d.Line-1, d.Line-1+len(d.Expected), d.Actual...)
		}
		if !slices.Equal(made, texts(actual)) {
			t.Fatalf("%q and %q give %q", expected, actual, made)
		}
	}
}

func TestWriteDifference(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	d := Difference{File: "f", Line: 3, Expected: []string{"x"}, Actual: strings.Split("1234567", "")}
	if err := d.Write(&b, "  "); err != nil {
		t.Fatal(err)
	}
	const want = "  f, line 3: 1 expected, 7 put out\n    - x\n    + 1\n    + 2\n    + 3\n    + 4\n    + 5\n    + … 2 more\n"
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
}
