package queries

import (
	"testing"

	"leat/internal/testenv"
)

// TestExprNormalForm holds that the normal form of an expression reads back as
// itself, and so means the same.
func TestExprNormalForm(t *testing.T) {
	t.Parallel()
	g := exprGen{testenv.Rand(t)}
	for n := range 2000 {
		var text string
		switch n % 4 {
		case 0:
			text, _ = g.number(4)
		case 1:
			text, _ = g.text(4)
		case 2:
			text, _ = g.logic(5)
		default:
			text, _ = g.filter(4)
		}
		c, err := compileText(text)
		if err != nil {
			continue
		}
		checkNormalForm(t, c, text)
		r := g.sampleRow(true)
		again := mustCompile(t, c.term.String())
		if a, b := outcome(c.eval(r)), outcome(again.eval(r)); a != b {
			t.Fatalf("%s = %s, its normal form %s = %s", text, a, c.term, b)
		}
	}
}

func checkNormalForm(t *testing.T, c *compiled, text string) {
	t.Helper()
	normal := c.term.String()
	again, err := compileText(normal)
	if err != nil {
		t.Fatalf("%s: its normal form %s: %v", text, normal, err)
	}
	if s := again.term.String(); s != normal {
		t.Fatalf("%s: its normal form %s reads back as %s", text, normal, s)
	}
}

func TestExprText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a  and(b and c)&&d":       "a and b and c and d",
		"(a||b) and !c":            "(a or b) and not c",
		"not(a == 1)":              "not (a == 1)",
		"a not in ['x']":           "not (a == \"x\")",
		"x in [1,2.0,nil,true]":    "x in [1, 2.0, nil, true]",
		"1+2*a-(b-c)":              "1 + 2 * a - (b - c)",
		"(a+b)*c/d":                "(a + b) * c / d",
		"-(-a) ** 2":               "-(-a) ** 2",
		"(-a)**2":                  "(-a) ** 2",
		"2**-1*a":                  "0.5 * a",
		"a?.b?.c ?? 3":             "a.b.c ?? 3",
		"(a ?? b) > 1":             "(a ?? b) > 1",
		"a ? b : c ? d : e":        "a ? b : (c ? d : e)",
		"a < b < c":                "a < b and b < c",
		"(a == b) != c":            "(a == b) != c",
		"a == (b != c)":            "a == (b != c)",
		"a$.b$c + d['$e']":         `a$.b$c + d["$e"]`,
		"nil == a":                 "a == nil",
		"a['odd name'].b[2]":       `a["odd name"].b[2]`,
		"round(a,2) > min(b, c,1)": "round(a, 2) > min(b, c, 1)",
		"1 + 1 == 2 ? a : b":       "true ? a : b",
		`s matches "^a.b\\d"`:      `s matches "^a.b\\d"`,
		"has(a.b) and a.b == nil":  "has(a.b) and a.b == nil",
	} {
		c := mustCompile(t, text)
		if got := c.term.String(); got != want {
			t.Errorf("%s is written %s, want %s", text, got, want)
		}
		checkNormalForm(t, c, text)
	}
}
