package oracle

import (
	"fmt"
	"regexp"
	"strings"
)

// leaves are the fields that an expression may use, by the type of most of their
// values.
type leaves struct {
	numbers, texts, bools, times, all []*Expr
}

// plainName is what a path may name without quotes.
var plainName = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// field is the field at a path of members; a number is an element.
func field(steps ...any) *Expr {
	e := &Expr{Op: "field"}
	for i, s := range steps {
		switch s := s.(type) {
		case int:
			e.Path = append(e.Path, Step{Index: s})
			e.Text += fmt.Sprintf("[%d]", s)
		case string:
			e.Path = append(e.Path, Step{Member: s})
			switch {
			case !plainName.MatchString(s):
				e.Text += "[" + quote(s) + "]"
			case i > 0:
				e.Text += "." + s
			default:
				e.Text += s
			}
		}
	}
	return e
}

func sourceLeaves() leaves {
	l := leaves{
		numbers: []*Expr{field("a"), field("b"), field("n", "x"), field("n", "y", 1), field("a"), field("b")},
		texts:   []*Expr{field("s"), field("k"), field("n", "odd name")},
		bools:   []*Expr{field("flag")},
		times:   []*Expr{field("t"), field("t"), field("e", "t"), field("a")},
	}
	l.all = append(l.all, field("obj"), field("arr"), field("u"), field("n"), field("n", "y"))
	l.all = append(append(append(l.all, l.numbers...), l.texts...), l.bools...)
	return l
}

// of is the field of the joined row in which that side has the field.
func (e *Expr) of(side string) *Expr {
	return &Expr{Op: "field", Path: append([]Step{{Member: side}}, e.Path...), Text: side + "." + e.Text}
}

// joinedLeaves are the fields of both sides, and what only joined rows have.
func joinedLeaves(j *Join) (l leaves) {
	from := sourceLeaves()
	for _, side := range sideNames {
		for _, list := range []struct {
			from []*Expr
			to   *[]*Expr
		}{{from.numbers, &l.numbers}, {from.texts, &l.texts}, {from.bools, &l.bools}, {from.times, &l.times}, {from.all, &l.all}} {
			for _, e := range list.from {
				*list.to = append(*list.to, e.of(side))
			}
		}
		l.all = append(l.all, field(side))
	}
	if j.Window > 0 {
		l.numbers = append(l.numbers, field("window_start"), field("window_end"))
	}
	return l
}

func groupedLeaves(q *Query) leaves {
	l := leaves{}
	named := func(name string) *Expr { return &Expr{Op: "field", Text: name} }
	l.times = []*Expr{lit(ofInt(1_357_016_400_000))}
	if !q.Running {
		l.numbers = []*Expr{named("window_start"), named("window_end")}
		l.times = l.numbers
	}
	for _, k := range q.GroupBy {
		l.all = append(l.all, k)
		l.texts = append(l.texts, k)
		l.bools = append(l.bools, k)
	}
	for _, a := range q.Aggregates {
		if strings.Contains(a.Name, " ") {
			continue // stands alone only
		}
		if a.numeric() || a.Fn == "count" || a.Fn == "count_distinct" || a.Fn == "approx_count_distinct" {
			l.numbers = append(l.numbers, named(a.Name))
		}
		l.all = append(l.all, named(a.Name))
	}
	l.all = append(l.all, l.numbers...)
	if len(l.numbers) == 0 {
		l.numbers = l.times
	}
	return l
}

func lit(v value) *Expr { return &Expr{Op: "lit", lit: v} }

func op(name string, args ...*Expr) *Expr { return &Expr{Op: name, Args: args} }

func (g *generator) numberLiteral() *Expr {
	if g.chance(0.3) {
		return lit(ofFloat(pick(g, 0.5, 0.1, 2.0, 1.25, -3.5, 1e6)))
	}
	return lit(ofInt(pick[int64](g, 0, 1, 2, 3, 5, 7, -1, -4, 100, 9007199254740993, 9223372036854775807)))
}

func (g *generator) textLiteral() *Expr {
	return lit(ofText(pick(g, "", "a", "k1", "k0", "key", "é", "ß", "1", "a\"b\\", "日本", "k")))
}

func (g *generator) numberField() *Expr { return g.leaf.numbers[g.IntN(len(g.leaf.numbers))] }

func (g *generator) number(depth int) *Expr {
	if depth == 0 || g.chance(0.2) {
		if g.chance(0.25) {
			return g.numberLiteral()
		}
		return g.numberField()
	}
	switch g.IntN(14) {
	case 12:
		return op(pick(g, "year", "month", "day", "weekday", "hour", "minute", "second", "epoch_ms"), g.leaf.times[g.IntN(len(g.leaf.times))])
	case 13:
		if len(g.leaf.texts) == 0 {
			break
		}
		if g.chance(0.5) {
			return op("regexp_count", g.text(depth-1), lit(ofText(pick(g, "k", "[a-z]", "\\d+", "", "k|é", "(?i)A"))))
		}
		return op(pick(g, "indexOf", "lastIndexOf"), g.text(depth-1), g.textLiteral())
	case 0, 1, 2, 3:
		return op(pick(g, "+", "-", "*"), g.number(depth-1), g.number(depth-1))
	case 4:
		return op("/", g.number(depth-1), g.number(depth-1))
	case 5:
		return op("%", g.numberField(), lit(ofInt(1+g.Int64N(5))))
	case 6:
		return op(pick(g, "min", "max"), g.number(depth-1), g.number(depth-1))
	case 7:
		return op(pick(g, "abs", "ceil", "floor", "round", "neg", "int", "float"), g.number(depth-1))
	case 8:
		return op("round", g.number(depth-1), lit(ofInt(g.Int64N(4))))
	case 9:
		return op("??", g.number(depth-1), g.number(depth-1))
	case 10:
		if len(g.leaf.texts) > 0 {
			return op("len", g.text(depth-1))
		}
	}
	return op("?:", g.condition(depth-1), g.number(depth-1), g.number(depth-1))
}

func (g *generator) text(depth int) *Expr {
	if depth == 0 || g.chance(0.4) {
		if len(g.leaf.texts) == 0 || g.chance(0.2) {
			return g.textLiteral()
		}
		return g.leaf.texts[g.IntN(len(g.leaf.texts))]
	}
	switch g.IntN(8) {
	case 5:
		return op(pick(g, "date", "rfc3339"), g.leaf.times[g.IntN(len(g.leaf.times))])
	case 6, 7:
		return g.partOfText(depth - 1)
	case 0:
		return op("+", g.text(depth-1), g.text(depth-1))
	case 1:
		return op(pick(g, "lower", "upper", "trim"), g.text(depth-1))
	case 2:
		return op("string", g.anything(depth-1))
	case 3:
		return op("??", g.text(depth-1), g.textLiteral())
	}
	return op("?:", g.condition(depth-1), g.text(depth-1), g.text(depth-1))
}

// partOfText is what a function makes of a text.
func (g *generator) partOfText(depth int) *Expr {
	small := func() *Expr { return lit(ofInt(g.Int64N(9) - 3)) }
	switch s := g.text(depth); g.IntN(6) {
	case 0, 1:
		return op("slice", s, small(), small())
	case 2:
		return op("part", s, g.textLiteral(), small())
	case 3:
		return op("regexp_extract", s, lit(ofText(pick(g, "k(\\d)", "(.)(.)?", "([a-z]+)|(\\d+)"))), lit(ofInt(g.Int64N(2))))
	case 4:
		return op("replace", s, g.textLiteral(), g.text(depth))
	}
	switch g.IntN(3) {
	case 0:
		return op("repeat", g.text(depth), small())
	case 1:
		return op("string", op("split", g.text(depth), g.textLiteral()))
	}
	return op(pick(g, "trimPrefix", "trimSuffix", "trimset"), g.text(depth), g.textLiteral())
}

func (g *generator) anything(depth int) *Expr {
	switch g.IntN(6) {
	case 0:
		return g.text(depth)
	case 1:
		return g.condition(depth)
	case 2, 3:
		return g.number(depth)
	}
	return g.leaf.all[g.IntN(len(g.leaf.all))]
}

func (g *generator) condition(depth int) *Expr {
	if depth > 0 && g.chance(0.5) {
		switch g.IntN(5) {
		case 0:
			return op("not", g.condition(depth-1))
		case 1, 2:
			return op("and", g.condition(depth-1), g.condition(depth-1), g.condition(depth-1))
		}
		return op("or", g.condition(depth-1), g.condition(depth-1))
	}
	depth = max(0, depth-1)
	switch g.IntN(9) {
	case 0:
		if len(g.leaf.bools) > 0 {
			return g.leaf.bools[g.IntN(len(g.leaf.bools))]
		}
	case 1:
		e := *g.leaf.all[g.IntN(len(g.leaf.all))]
		e.Op = "has"
		return &e
	case 2:
		return op(pick(g, "nil", "notnil"), g.leaf.all[g.IntN(len(g.leaf.all))])
	case 3:
		return op("in", g.anything(depth), g.textLiteral(), g.numberLiteral(), pick(g, lit(ofBool(true)), lit(value{kind: null}), lit(ofFloat(1.0))))
	case 4:
		return op(pick(g, "contains", "startsWith", "endsWith"), g.text(depth), g.textLiteral())
	case 5:
		return op(pick(g, "==", "!=", "<", "<=", ">", ">="), g.text(depth), g.text(depth))
	case 6:
		all := g.leaf.all
		return op(pick(g, "==", "!="), all[g.IntN(len(all))], all[g.IntN(len(all))])
	}
	return op(pick(g, "==", "!=", "<", "<=", ">", ">="), g.number(depth), g.number(depth))
}

// listCondition is a condition that a filter list can hold.
func (g *generator) listCondition(depth int) *Expr {
	if depth > 0 {
		switch g.IntN(4) {
		case 0:
			return op("not", g.listCondition(depth-1))
		case 1:
			return op("or", g.listCondition(depth-1), g.listCondition(depth-1))
		}
		return op("and", g.listCondition(depth-1), g.listCondition(depth-1))
	}
	any := g.leaf.all[g.IntN(len(g.leaf.all))]
	switch g.IntN(6) {
	case 0:
		e := *any
		e.Op = "has"
		return &e
	case 1:
		return op(pick(g, "nil", "notnil"), any)
	case 2:
		return op("in", any, g.textLiteral(), g.numberLiteral(), lit(value{kind: null}))
	case 3:
		if n := len(g.leaf.texts); n > 0 {
			return op(pick(g, "contains", "==", "!=", "<", ">="), g.leaf.texts[g.IntN(n)], g.textLiteral())
		}
	}
	return op(pick(g, "==", "!=", "<", "<=", ">", ">="), g.numberField(), g.numberLiteral())
}
