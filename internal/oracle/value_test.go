package oracle

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseRecord(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		`{}`: true, ` {"a":1} `: true, `{"a":1,"a":2}`: true, `{"s":"\ud83d\ude00\\ud800"}`: true, "{\"s\":\"\x7f\u2028\"}": true,
		`{"x":1e308,"y":1e-999}`: true, `{"x":` + strings.Repeat("[", 511) + strings.Repeat("]", 511) + "}": true,
		``: false, `[]`: false, `1`: false, `null`: false, `{} x`: false, `{"a":01}`: false, "{\"s\":\"\xff\"}": false,
		`{"s":"\ud83d"}`: false, `{"s":"\ude00\ud83d"}`: false, `{"x":[1e309]}`: false,
		`{"x":` + strings.Repeat("[", 512) + strings.Repeat("]", 512) + "}": false,
	} {
		if _, ok := parseRecord([]byte(text)); ok != good {
			t.Errorf("%.60q is decodable: %v", text, ok)
		}
	}
}

// TestCompare: the values stand in order, those of one line are equal.
func TestCompare(t *testing.T) {
	t.Parallel()
	order := []string{
		"null", "false", "true", "-9223372036854775809 -9223372036854775808", "-1.5", "-1", "0 -0 0.0 -0.0", "5e-324", "0.5", "1 1.0 1e0",
		"9007199254740992 9007199254740992.0 9007199254740993.0", "9007199254740993", "9223372036854775807", "9223372036854775808", `""`, `"\u0000"`, `"a" "\u0061"`, `"aa"`, `"b"`, `"é"`,
		"[]", "[null]", "[1] [1.0]", "[1,0]", `["a"]`, "[[]]", "{}", `{"a":1} {"a":2,"a":1.0}`, `{"a":1,"b":2} {"b":2,"a":1}`, `{"a":2}`, `{"b":0}`,
	}
	var list []value
	var place []int
	for i, line := range order {
		for _, text := range strings.Fields(line) {
			list = append(list, parse([]byte(text)))
			place = append(place, i)
		}
	}
	for i, a := range list {
		for j, b := range list {
			want := 0
			if place[i] != place[j] {
				want = 1
				if place[i] < place[j] {
					want = -1
				}
			}
			if got := compare(a, b); got != want {
				t.Errorf("compare(%s, %s) = %d, not %d", a.json(), b.json(), got, want)
			}
			if same := a.key() == b.key(); same != (want == 0) {
				t.Errorf("keys %s and %s", a.key(), b.key())
			}
		}
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	v, _ := parseRecord([]byte(`{"n":{"y":[1,{"z":"deep"}],"odd name":null},"a":7,"a":8}`))
	for _, c := range []struct {
		e    *Expr
		text string
		want value
	}{
		{field("a"), "a", ofInt(8)},
		{field("n", "y", 1, "z"), "n.y[1].z", ofText("deep")},
		{field("n", "odd name"), `n["odd name"]`, value{kind: null}},
		{field("n", "y", 2), "n.y[2]", value{}},
		{field("a", "b"), "a.b", value{}},
		{field("n", 0), "n[0]", value{}},
		{field("b"), "b", value{}},
	} {
		if got := v.field(c.e); got.kind != c.want.kind || got.json() != c.want.json() || c.e.Text != c.text {
			t.Errorf("%s (%s) is %s", c.e.Text, c.text, fmt.Sprint(got))
		}
	}
}
