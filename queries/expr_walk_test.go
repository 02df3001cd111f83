package queries

import (
	"strings"
	"testing"

	"leat/codecs"
)

// TestExprRefused shows what the language leaves out, with the reason and the place.
func TestExprRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "an empty expression",
		" \n":                       "an empty expression",
		"a +":                       "the expression ends too early (column 3 of the expression)",
		"a b":                       `unexpected token Identifier("b") (column 3 of the expression)`,
		"é + ünknown(1)":            "ünknown() is not available (column 5 of the expression)",
		"now()":                     "now() is not available: results are a pure function of the log (column 1 of the expression)",
		"a > duration('1h')":        "duration() is not available: results are a pure function of the log (column 5 of the expression)",
		"a + random()":              "random() is not available: results are a pure function of the log (column 5 of the expression)",
		"any(a, true)":              "any() is not available: expressions have no closures (column 1 of the expression)",
		"map(a, # + 1)":             "map() is not available: expressions have no closures (column 1 of the expression)",
		"a | lower() | foo()":       "foo() is not available (column 15 of the expression)",
		"let x = 1; x":              "let is not available in expressions (column 5 of the expression)",
		"a; b":                      "a sequence with ; is not available in expressions (column 1 of the expression)",
		"if a { 1 } else { 2 }":     "if is not available; write condition ? a : b (column 4 of the expression)",
		"{'a': 1}":                  "a map is not available in expressions (column 1 of the expression)",
		"[1, 2]":                    "a list, other than after in, is not available in expressions (column 1 of the expression)",
		"a['x':2]":                  "[:] takes int, not string (column 2 of the expression)",
		"split(a)[0]":               "split() takes two arguments, not 1 (column 1 of the expression)",
		"split(a, ',')[b]":          "a part of split() is taken by a literal index, from 0 or, backwards, from -1 (column 15 of the expression)",
		"split(a, ',')[1.5]":        "a part of split() is taken by a literal index, from 0 or, backwards, from -1 (column 15 of the expression)",
		"split(a, 1)[0]":            "split() takes string, not int (column 10 of the expression)",
		"replace(a, 'b')":           "replace() takes three arguments, not 2 (column 1 of the expression)",
		"repeat(a, 'b')":            "repeat() takes int, not string (column 1 of the expression)",
		"substr(a, 1)":              "substr() is not available; write s[from:to] (column 1 of the expression)",
		"regexp_extract(a, b)":      "regexp_extract() takes its pattern as a literal string and a group as a literal number (column 19 of the expression)",
		"regexp_extract(a, '(')":    "error parsing regexp: missing closing ): `(` (column 19 of the expression)",
		"regexp_count(a, 1)":        "regexp_count() takes its pattern as a literal string and a group as a literal number (column 17 of the expression)",
		"regexp_extract(a, 'b', 1)": "regexp_extract() takes a group from 0 to 0, as many as the pattern has (column 19 of the expression)",
		"hour(true)":                "hour() takes number or string, not bool (column 1 of the expression)",
		"1..3":                      ".. is not available in expressions (column 2 of the expression)",
		"a ^ 2":                     "^ is not available in expressions; a power is written ** (column 3 of the expression)",
		"+a":                        "unary + is not available in expressions (column 1 of the expression)",
		"b'xy' == a":                "a bytes literal is not available in expressions (column 1 of the expression)",
		"$env.a":                    "members can be taken only of a field, by name or by an index from 0 (column 6 of the expression)",
		"a.b()":                     "methods are not available in expressions (column 3 of the expression)",
		"a[b]":                      "members can be taken only of a field, by name or by an index from 0 (column 2 of the expression)",
		"a[-1]":                     "members can be taken only of a field, by name or by an index from 0 (column 2 of the expression)",
		"lower(a).b":                "members can be taken only of a field, by name or by an index from 0 (column 10 of the expression)",
		"a in b":                    `in needs a list of literals, like ["JFK", "EWR"] (column 6 of the expression)`,
		"a in [1, b]":               `in needs a list of literals, like ["JFK", "EWR"] (column 10 of the expression)`,
		"a in 1..3":                 `in needs a list of literals, like ["JFK", "EWR"] (column 7 of the expression)`,
		"a matches b":               "matches needs its pattern as a literal string (column 11 of the expression)",
		"a matches '('":             "error parsing regexp: missing closing ): `(` (column 11 of the expression)",
		"a matches '(a{999}){9}'":   "error parsing regexp: invalid repeat count: `{9}` (column 11 of the expression)",
		"has(1)":                    "members can be taken only of a field, by name or by an index from 0 (column 5 of the expression)",
		"has(a, b)":                 "has() takes one field path (column 1 of the expression)",
		"lower()":                   "lower() takes one argument, not 0 (column 1 of the expression)",
		"round(a, 1, 2)":            "round() takes one or two arguments, not 3 (column 1 of the expression)",
		"round(a, b)":               "round() takes the number of digits as a literal from 0 to 15 (column 10 of the expression)",
		"round(a, -1)":              "round() takes the number of digits as a literal from 0 to 15 (column 10 of the expression)",
		"min(a)":                    "min() takes 2 to 16 arguments, not 1 (column 1 of the expression)",
		"a > 99999999999999999999": `invalid integer literal: strconv.ParseInt: parsing "99999999999999999999": value out of range` +
			" (column 24 of the expression)",
		"9223372036854775807 + 1": "integer overflow (column 21 of the expression)",
		"a or 1 % 0 == 1":         "division by zero (column 8 of the expression)",
		"'a' + 1":                 "+ cannot add string and int (column 5 of the expression)",
		"lower(a) * 2":            "* needs number, not string (column 10 of the expression)",
		"1.5 % 2":                 "% needs int, not float (column 5 of the expression)",
		"-'a'":                    "- needs number, not string (column 1 of the expression)",
		"'a' and b":               "and needs bools, not string (column 5 of the expression)",
		"1 ? a : b":               "the condition of ?: is int, not a bool (column 9 of the expression)",
		"1 contains 'a'":          "contains needs strings, not int (column 3 of the expression)",
		"len(1)":                  "len() takes string, not int (column 1 of the expression)",
		"(a == 1) < (b == 2)":     "< orders numbers and strings, not bool (column 10 of the expression)",
	} {
		_, err := compileText(text)
		got := "accepted"
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

// TestExprLimits holds the limits on both sides, and that an expression whose tree
// shares nodes, so that a walk of it would double at every level, is refused and not
// walked.
func TestExprLimits(t *testing.T) {
	t.Parallel()
	chain := func(n int) string {
		return "a < " + strings.Repeat("(b < (", n) + "c" + strings.Repeat(") < d ? 1 : 2)", n) + " < e"
	}
	for _, c := range []struct{ name, text, want string }{
		{"length", strings.Repeat(" ", MaxExprBytes-1) + "a", ""},
		{"length", strings.Repeat(" ", MaxExprBytes) + "a", "an expression of more than 4096 bytes"},
		{"list", "a in [0" + strings.Repeat(",1", 490) + "]", ""},
		{"list", "a in [0" + strings.Repeat(",1", 500) + "]", "compilation failed: expression exceeds maximum allowed nodes"},
		{"run of or", "a" + strings.Repeat(" or b", 240), ""},
		{"run of or", "a" + strings.Repeat(" or b", 260), "compilation failed: expression exceeds maximum allowed nodes"},
		{"sum", "a" + strings.Repeat(" + b", 60), ""},
		{"sum", "a" + strings.Repeat(" + b", 70), "an expression nested more than 64 deep"},
		{"nesting", strings.Repeat("-(", 60) + "a" + strings.Repeat(")", 60), ""},
		{"nesting", strings.Repeat("-(", 70) + "a" + strings.Repeat(")", 70), "an expression nested more than 64 deep"},
		{"parentheses", strings.Repeat("(", 2000) + "a" + strings.Repeat(")", 2000), ""},
		{"path", "a" + strings.Repeat(".b", codecs.MaxPathSteps-1), ""},
		{"path", "a" + strings.Repeat(".b", codecs.MaxPathSteps+1), "members can be taken only of a field"},
		{"shared", chain(12), "an expression of more than 500 parts"},
	} {
		_, err := compileText(c.text)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// TestExprTextBound holds that no expression builds a string without bound.
func TestExprTextBound(t *testing.T) {
	t.Parallel()
	r := exprRow{"s": codecs.StringValue(strings.Repeat("x", maxTextBytes/2+1))}
	const want = `error: a string of more than 1048576 bytes in "s + s"`
	if got := outcome(mustCompile(t, "s + s").eval(r)); got != want {
		t.Errorf("got %.80s, want %s", got, want)
	}
}
