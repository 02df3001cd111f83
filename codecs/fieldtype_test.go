package codecs

import (
	"slices"
	"testing"
)

func TestKindSet(t *testing.T) {
	t.Parallel()
	s := Kinds(Int, Null, Float)
	if !s.Has(Int) || !s.Has(Null) || s.Has(Missing) || s.Has(String) || !s.Nullable() || s.Values().Nullable() {
		t.Errorf("%v does not hold what it was made of", s)
	}
	if !Kinds(Missing, String).Nullable() || Kinds(String).Nullable() {
		t.Error("a set is nullable where Missing or Null is in it, and nowhere else")
	}
	for want, s := range map[string]KindSet{
		"nothing": 0, "int": Kinds(Int), "int, float or null": s, "string or missing": Kinds(Missing, String),
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNearestNames(t *testing.T) {
	t.Parallel()
	names := []string{"amount", "amounts", "count", "user_id", "userId", "ts", "a_very_long_name_that_resembles_nothing"}
	for _, c := range []struct {
		name string
		want []string
	}{
		{"amuont", []string{"amount", "amounts"}},
		{"Amount", []string{"amount", "amounts", "count"}},
		{"userid", []string{"userId", "user_id"}},
		{"tz", []string{"ts"}},
		{"elephant", nil},
		{"", nil},
	} {
		if got := NearestNames(c.name, names); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNoFieldError(t *testing.T) {
	t.Parallel()
	path, err := ParsePath("order.lines[0].prize")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  NoFieldError
		want string
	}{
		{NoFieldError{Path: path, Step: 0}, `no field "order.lines[0].prize" in the schema`},
		{NoFieldError{Path: path, Step: 3, Nearest: []string{"price", "size"}},
			`no field "order.lines[0].prize" in the schema: "order.lines[0]" has no such field; did you mean "price", "size"?`},
		{NoFieldError{Path: path, Step: 1, Reason: `"order" is a string`}, `no field "order.lines[0].prize": "order" is a string`},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}
