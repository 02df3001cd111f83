package queries

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr"

	"leat/codecs"
	"leat/internal/testenv"
)

// vmRow is the environment of expr-lang's own machine for a row.
func vmRow(r exprRow) map[string]any {
	env := make(map[string]any, len(r))
	for name, v := range r {
		switch v.Kind {
		case codecs.Int:
			env[name] = int(v.Int())
		case codecs.Float:
			env[name] = v.Float()
		case codecs.String:
			env[name] = v.Str
		case codecs.Bool:
			env[name] = v.Bool()
		}
	}
	return env
}

// runVM runs text on expr-lang's machine. It fails where the types do not fit.
func runVM(text string, r exprRow) (any, error) {
	env := vmRow(r)
	program, err := expr.Compile(text, expr.Env(env), expr.Optimize(false))
	if err != nil {
		return nil, err
	}
	return expr.Run(program, env)
}

// beyondFloat reports whether a part of t is an integer that float64, in which the
// machine compares and divides, does not hold.
func beyondFloat(c *compiled, t *term, r exprRow) bool {
	if v, err := compileValue(t)(batchOf(c.paths, r), 0); err == nil && v.Kind == codecs.Int {
		if i := v.Int(); i > 1<<53 || i < -1<<53 {
			return true
		}
	}
	for _, a := range t.args {
		if beyondFloat(c, a, r) {
			return true
		}
	}
	for _, v := range t.list {
		if v.Kind == codecs.Int && (v.Int() > 1<<53 || v.Int() < -1<<53) {
			return true
		}
	}
	return false
}

func sameAsVM(v codecs.Value, want any) bool {
	switch want := want.(type) {
	case nil:
		return v.IsNull()
	case int:
		return v.IsNumber() && v.AsFloat() == float64(want)
	case float64:
		return v.IsNumber() && v.AsFloat() == want || math.IsNaN(want)
	case string:
		return v.Kind == codecs.String && v.Str == want
	case bool:
		return v.Kind == codecs.Bool && v.Bool() == want
	case []string:
		return v.Kind == codecs.Array
	case time.Time: // of date, which gives text here
		return v.Kind == codecs.String
	}
	return false
}

// countsBytes tells whether the machine may count in bytes what is counted in
// characters here.
func countsBytes(text string, r exprRow) bool {
	if !strings.Contains(text, ":") && !strings.Contains(text, "ndexOf") {
		return false
	}
	for _, v := range r {
		text += v.Str
	}
	return strings.ContainsFunc(text, func(c rune) bool { return c > 127 || c == '\\' })
}

// TestExprVM compares closures with expr-lang's own machine on well-typed
// expressions over rows without nulls.
func TestExprVM(t *testing.T) {
	t.Parallel()
	g := exprGen{testenv.Rand(t)}
	compared := 0
	for n := range 1200 {
		var text string
		switch n % 3 {
		case 0:
			text, _ = g.number(3)
		case 1:
			text, _ = g.text(3)
		default:
			text, _ = g.filter(2)
		}
		c, err := compileText(text)
		if err != nil {
			continue
		}
		r := g.sampleRow(false)
		v, err := c.eval(r)
		if err != nil {
			continue
		}
		want, err := runVM(text, r)
		if err != nil {
			continue // the machine's checker wants one type for both sides of ?: and so on
		}
		if countsBytes(text, r) {
			continue
		}
		if compared++; !sameAsVM(v, want) {
			t.Fatalf("%s = %s, expr-lang says %v, row %v", text, literalText(v), want, r)
		}
	}
	if compared < 600 {
		t.Fatalf("%d values compared: the generator has lost its point", compared)
	}
}

// FuzzExpr holds for any text: compiling and evaluating do not panic, the normal
// form reads back, and where expr-lang's own machine accepts the text over a row
// without nulls, both agree.
func FuzzExpr(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		c, err := compileText(text)
		if err != nil {
			return
		}
		if normal := c.term.String(); len(normal) <= len(text)+100 { // a < b < c writes b twice
			checkNormalForm(t, c, text)
		}
		r := exprRow{
			"i": codecs.IntValue(5), "j": codecs.IntValue(-3), "f": codecs.FloatValue(2.5), "g": codecs.FloatValue(-1),
			"s": codecs.StringValue("aBc"), "u": codecs.StringValue("x y"), "p": codecs.BoolValue(true), "q": codecs.BoolValue(false),
		}
		for _, other := range []exprRow{{}, {"i": codecs.StringValue("1"), "s": codecs.IntValue(1 << 62), "p": codecs.ObjectValue("{}"), "f": codecs.ArrayValue("[1]")}} {
			_, _ = c.eval(other)
			_, _ = compileFilter(c.term).Eval(batchOf(c.paths, other), 0)
		}
		v, err := c.eval(r)
		if err != nil || beyondFloat(c, c.term, r) || countsBytes(text, r) {
			return
		}
		if want, err := runVM(text, r); err == nil && !sameAsVM(v, want) {
			t.Fatalf("%q = %s, expr-lang says %v", text, literalText(v), want)
		}
	})
}
