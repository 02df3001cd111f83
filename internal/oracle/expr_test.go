package oracle

import "testing"

func TestEval(t *testing.T) {
	t.Parallel()
	record, _ := parseRecord([]byte(`{"i":7,"f":2.5,"s":"Ab","yes":true,"no":false,"nul":null,"o":{},"max":9223372036854775807}`))
	name := func(s string) *Expr { return field(s) }
	i, f, s := func(n int64) *Expr { return lit(ofInt(n)) }, func(n float64) *Expr { return lit(ofFloat(n)) }, func(s string) *Expr { return lit(ofText(s)) }
	for _, c := range []struct {
		e    *Expr
		want string // JSON, "!" = an error
	}{
		{op("<", name("nul"), i(1)), "false"},
		{op("!=", name("gone"), i(1)), "false"},
		{op("not", op("==", name("nul"), i(1))), "true"},
		{op("nil", name("gone")), "true"},
		{op("notnil", name("nul")), "false"},
		{&Expr{Op: "has", Path: field("nul").Path}, "true"},
		{&Expr{Op: "has", Path: field("gone").Path}, "false"},
		{op("<", name("s"), i(1)), "!"},
		{op("<", name("yes"), name("no")), "!"},
		{op("==", name("s"), i(1)), "false"},
		{op("!=", name("s"), i(1)), "true"},
		{op("==", i(2), f(2)), "true"},
		{op("in", name("nul"), i(1), lit(value{kind: null})), "true"},
		{op("in", name("o"), i(1)), "false"},
		{op("and", name("nul"), name("no")), "false"},
		{op("and", name("nul"), name("yes")), "null"},
		{op("or", name("nul"), name("yes")), "true"},
		{op("or", name("nul"), name("no")), "null"},
		{op("and", name("no"), name("i")), "false"},
		{op("and", name("nul"), name("i")), "!"},
		{op("not", name("nul")), "null"},
		{op("+", name("nul"), name("i")), "null"},
		{op("+", name("nul"), name("o")), "null"},
		{op("+", name("s"), s("x")), `"Abx"`},
		{op("+", name("s"), i(1)), "!"},
		{op("+", name("max"), i(1)), "!"},
		{op("/", name("i"), i(2)), "3.5"},
		{op("/", name("i"), i(0)), "!"},
		{op("%", op("neg", name("i")), i(4)), "-3"},
		{op("%", name("f"), i(4)), "!"},
		{op("*", f(1e200), f(1e200)), "!"},
		{op("??", name("gone"), i(3)), "3"},
		{op("?:", name("nul"), i(1), i(2)), "2"},
		{op("contains", name("nul"), s("x")), "false"},
		{op("contains", name("i"), s("x")), "!"},
		{op("startsWith", name("s"), s("A")), "true"},
		{op("round", f(2.675), i(2)), "2.68"},
		{op("round", f(-0.3)), "-0"},
		{op("round", f(-2.5)), "-3"},
		{op("int", f(-2.9)), "-2"},
		{op("int", f(1e19)), "!"},
		{op("float", s("1e3")), "1000"},
		{op("float", s("0x1p3")), "!"},
		{op("string", name("o")), `"{}"`},
		{op("string", name("nul")), "null"},
		{op("len", s("é日")), "2"},
		{op("max", i(2), f(2), f(1.5)), "2"},
		{op("slice", s("héllo"), i(1), i(-1)), `"éll"`},
		{op("slice", s("héllo"), i(3), i(1)), `""`},
		{op("slice", name("i"), i(0), i(1)), "!"},
		{op("part", s("a/b"), s("/"), i(1)), `"b"`},
		{op("part", s("a/b"), s("/"), i(-2)), `"a"`},
		{op("part", s("a/b"), s("/"), i(2)), "null"},
		{op("part", s("é"), s(""), i(0)), `"é"`},
		{op("split", s("a/\"b"), s("/")), `["a","\"b"]`},
		{op("split", name("nul"), s("/")), "null"},
		{op("replace", s("abab"), s("b"), s("-")), `"a-a-"`},
		{op("replace", s("éb"), s(""), s("-")), `"-é-b-"`},
		{op("repeat", s("ab"), i(2)), `"abab"`},
		{op("repeat", s("ab"), i(-1)), "!"},
		{op("indexOf", s("éab"), s("b")), "2"},
		{op("lastIndexOf", s("éab"), s("")), "3"},
		{op("indexOf", s("éab"), s("x")), "-1"},
		{op("trimPrefix", s("abc"), s("ab")), `"c"`},
		{op("trimSuffix", s("abc"), s("bc")), `"a"`},
		{op("trimset", s("abca"), s("ab")), `"c"`},
		{op("regexp_extract", s("k7k8"), s(`k(\d)`), i(1)), `"7"`},
		{op("regexp_extract", s("k7"), s(`(x)|k`), i(1)), "null"},
		{op("regexp_count", s("k7k88"), s(`\d+`)), "2"},
		{op("rfc3339", i(1357035300123)), `"2013-01-01T10:15:00.123Z"`},
		{op("date", i(-1)), `"1969-12-31"`},
		{op("date", s("2000-02-29T23:00:00-02:00")), `"2000-03-01"`},
		{op("year", i(8_640_000_000_000_000)), "275760"},
		{op("date", i(8_640_000_000_000_000)), "!"},
		{op("weekday", i(0)), "4"},
		{op("second", i(-1)), "59"},
		{op("hour", f(0.5)), "!"},
		{op("hour", name("yes")), "!"},
		{op("abs", i(-9223372036854775808)), "!"},
	} {
		v, err := c.e.eval(record.field)
		got := v.json()
		if err != nil {
			got = "!"
		}
		if got != c.want {
			t.Errorf("%s is %s, not %s", c.e, got, c.want)
		}
	}
}
