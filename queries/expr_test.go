package queries

import (
	"fmt"
	"testing"

	"leat/codecs"
	"leat/dataflow"
)

// exprRow is a row of a test by path; a path that is not in it is missing.
type exprRow map[string]codecs.Value

// batchOf makes the batch that expressions over the given paths read.
func batchOf(paths []codecs.Path, rows ...exprRow) *dataflow.Batch {
	b := &dataflow.Batch{Rows: len(rows)}
	b.Columns.Reset(len(rows), len(paths))
	for c, path := range paths {
		for r := range rows {
			b.Columns.Cols[c].Set(r, rows[r][path.String()])
		}
	}
	return b
}

// compiled is an expression of a test, ready to run.
type compiled struct {
	term  *term
	expr  dataflow.Expr
	paths []codecs.Path
}

func compileText(text string) (*compiled, error) {
	names := &sourceScope{}
	t, failure := parseExpr(text, names)
	if failure != nil {
		return nil, failure
	}
	return &compiled{term: t, expr: compileExpr(t), paths: names.paths}, nil
}

func (c *compiled) eval(r exprRow) (codecs.Value, error) { return c.expr.Eval(batchOf(c.paths, r), 0) }

func mustCompile(tb testing.TB, text string) *compiled {
	tb.Helper()
	c, err := compileText(text)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return c
}

// outcome is the result of an evaluation as tests write it.
func outcome(v codecs.Value, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return literalText(v)
}

func TestExprValues(t *testing.T) {
	t.Parallel()
	r := exprRow{
		"i": codecs.IntValue(7), "f": codecs.FloatValue(2.5), "s": codecs.StringValue("Hello"), "t": codecs.BoolValue(true),
		"big": codecs.IntValue(1<<63 - 1), "small": codecs.IntValue(-1 << 63), "a.b[0].c": codecs.IntValue(3),
		"odd": codecs.IntValue(1<<53 + 1), "o": codecs.ObjectValue(`{"x":1}`), "z": codecs.NullValue(),
		"even": codecs.FloatValue(1 << 53),
	}
	for _, c := range []struct{ text, want string }{
		{"i + 1", "8"}, {"i - 8", "-1"}, {"i * f", "17.5"}, {"i / 2", "3.5"}, {"i / 7", "1.0"}, {"i % 4", "3"}, {"-i % 4", "-3"},
		{"i ** 2", "49.0"}, {"-i", "-7"}, {"2 ** 3 ** 2", "512.0"}, {"i - 1 - 1", "5"}, {"a.b[0].c + a?.b[0]?.c", "6"},
		{"big + 1", `error: integer overflow in "big + 1"`}, {"small - 1", `error: integer overflow in "small - 1"`},
		{"big * 2", `error: integer overflow in "big * 2"`}, {"small * -1", `error: integer overflow in "small * -1"`},
		{"-1 * small", `error: integer overflow in "-1 * small"`}, {"small % -1", "0"}, {"-small", `error: integer overflow in "-small"`},
		{"abs(small)", `error: integer overflow in "abs(small)"`}, {"big - -1", `error: integer overflow in "big - -1"`},
		{"big + small", "-1"}, {"i / 0", `error: division by zero in "i / 0"`}, {"i % 0", `error: division by zero in "i % 0"`},
		{"f / 0", `error: division by zero in "f / 0"`}, {"f % 2", `error: % of float and int in "f % 2"`},
		{"1e308 * i", `error: result out of range in "1e+308 * i"`}, {"(0 - i) ** 0.5", `error: result out of range in "(0 - i) ** 0.5"`},
		{"odd == 9007199254740992.0", "false"}, {"odd > 9007199254740992.0", "true"}, {"odd in [9007199254740992.0]", "false"},
		{"odd in [9007199254740993, nil]", "true"}, {"even == 9007199254740993", "false"}, {"even < 9007199254740993", "true"}, {"even == 9007199254740992", "true"},
		{"i == 7.0", "true"}, {"i in [7.0, 8]", "true"}, {"f in [1, 2.5]", "true"},
		{"i == '7'", "false"}, {"i != '7'", "true"}, {"t == 1", "false"}, {"o == i", "false"}, {"o != o", "false"},
		{"s == 'Hello'", "true"}, {"s < 'a'", "true"}, {"'é' > 'z'", "true"}, {"s + '!' + s", `"Hello!Hello"`},
		{"s contains 'ell'", "true"}, {"s startsWith 'He'", "true"}, {"s endsWith 'lo'", "true"}, {"s matches '^H.*o$'", "true"},
		{"not (s matches 'x')", "true"}, {"s not in ['a']", "true"}, {"lower(s) + upper(s)", `"helloHELLO"`}, {"trim('  x ')", `"x"`},
		{"len('héllo')", "5"}, {"1 < i < 8", "true"}, {"8 < i < 1", "false"}, {"t ? i : s", "7"}, {"z ? i : s", `"Hello"`},
		{"z ?? i", "7"}, {"m ?? z ?? 'x'", `"x"`}, {"has(z)", "true"}, {"has(m)", "false"}, {"has(a.b[0].c)", "true"},
		{"z == nil", "true"}, {"m == nil", "true"}, {"nil != i", "true"}, {"(i + z) == nil", "true"}, {"z in [nil]", "true"}, {"m in [1, nil]", "true"},
		{"z == (nil + 1)", "false"}, {"m == regexp_extract('a', 'k')", "false"}, {"i != (nil ?? nil)", "false"}, {"(nil + 1) == nil", "true"},
		{"abs(-f)", "2.5"}, {"ceil(f)", "3.0"}, {"floor(-f)", "-3.0"}, {"round(f)", "3.0"}, {"round(-f)", "-3.0"}, {"round(i)", "7"},
		{"round(2.675, 2)", "2.68"}, {"round(1.005, 2)", "1.01"}, {"round(-9.99, 1)", "-10.0"}, {"round(99.96, 1)", "100.0"}, {"round(0.04, 1)", "0.0"},
		{"round(1e300, 3)", "1e+300"}, {"round(-0.00049, 3)", "-0.0"}, {"int(f)", "2"}, {"int('-12')", "-12"}, {"float('1.5e1')", "15.0"}, {"float(i)", "7.0"},
		{"int('1.5')", `error: "1.5" is not an integer`}, {"float('nan')", `error: "nan" is not a number`}, {"int(1e30)", `error: integer overflow`},
		{"string(i) + string(f) + string(t)", `"72.5true"`}, {"string(o)", `"{\"x\":1}"`}, {"min(i, f, 3)", "2.5"}, {"max(i, f)", "7"}, {"max(1, 1.0)", "1"},
		{"t and z", "nil"}, {"z and false", "false"}, {"z or true", "true"}, {"z or false", "nil"}, {"not z", "nil"}, {"t && !t", "false"},
		{"false and i", "false"}, {"true and i", `error: int where a bool is needed in "i"`}, {"t or i", "true"},
	} {
		got := ""
		if compiled, err := compileText(c.text); err != nil {
			got = "error: " + err.(*exprError).message
		} else {
			got = outcome(compiled.eval(r))
		}
		if got != c.want {
			t.Errorf("%s = %s, want %s", c.text, got, c.want)
		}
	}
}

// TestExprShortCircuit holds that and, or, ?: and ?? evaluate nothing that they do
// not need.
func TestExprShortCircuit(t *testing.T) {
	t.Parallel()
	r := exprRow{"i": codecs.IntValue(1), "s": codecs.StringValue("x")}
	for text, want := range map[string]string{
		"i == 2 and s > 1":                 "false",
		"i == 1 or s > 1":                  "true",
		"i == 2 and s > 1 and s":           "false",
		"i == 1 ? 5 : s + 1":               "5",
		"i ?? (s + 1)":                     "1",
		"i == 1 and s > 1":                 `error: > of string and int in "s > 1"`,
		"s > 1 and i == 2":                 `error: > of string and int in "s > 1"`,
		"(i == 1 and s > 1) or (i == 1)":   `error: > of string and int in "s > 1"`,
		"i == 1 and i == 1 and (s ?? 1)":   fmt.Sprintf("error: string where a bool is needed in %q", "s ?? 1"),
		"(s ? 1 : 2) == 1":                 `error: string where a bool is needed in "s"`,
		"z and (i == 2 and s > 1) and s":   "false",
		"z and i == 1 and s":               `error: string where a bool is needed in "s"`,
		"(z and i == 2 and i == 1) == nil": "false",
	} {
		if got := outcome(mustCompile(t, text).eval(r)); got != want {
			t.Errorf("%s = %s, want %s", text, got, want)
		}
	}
}
