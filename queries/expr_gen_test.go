package queries

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"leat/codecs"
)

// exprGen makes well-typed expressions over the columns i, j (ints), f, g (floats),
// s, u (strings) and p, q (bools), each as expr-lang text and as SQL.
type exprGen struct {
	*rand.Rand
}

func (g exprGen) pick(options ...string) string { return options[g.IntN(len(options))] }

// number is a numeric expression.
func (g exprGen) number(depth int) (text, sql string) {
	if depth == 0 || g.IntN(4) == 0 {
		return g.numberLeaf()
	}
	a, sqlA := g.number(depth - 1)
	b, sqlB := g.number(depth - 1)
	switch g.IntN(9) {
	case 0, 1, 2, 3:
		op := g.pick("+", "-", "*")
		return fmt.Sprintf("(%s %s %s)", a, op, b), fmt.Sprintf("(%s %s %s)", sqlA, op, sqlB)
	case 4:
		return fmt.Sprintf("(%s / %s)", a, b), fmt.Sprintf("(%s * 1.0 / %s)", sqlA, sqlB)
	case 5:
		return fmt.Sprintf("(%s ?? %s)", a, b), fmt.Sprintf("coalesce(%s, %s)", sqlA, sqlB)
	case 6:
		f := g.pick("min", "max")
		return fmt.Sprintf("%s(%s, %s)", f, a, b), fmt.Sprintf("%s(%s, %s)", f, sqlA, sqlB)
	case 7:
		return fmt.Sprintf("abs(%s)", a), fmt.Sprintf("abs(%s)", sqlA)
	}
	c, sqlC := g.logic(depth - 1)
	return fmt.Sprintf("(%s ? %s : %s)", c, a, b), fmt.Sprintf("(CASE WHEN %s THEN %s ELSE %s END)", sqlC, sqlA, sqlB)
}

func (g exprGen) numberLeaf() (text, sql string) {
	switch g.IntN(8) {
	case 0:
		text = strconv.Itoa(g.IntN(7))
		return text, text
	case 1:
		text = g.pick("0.5", "2.0", "1.25")
		return text, text
	case 2:
		a, b := g.pick("i", "j"), strconv.Itoa(2+g.IntN(3))
		return fmt.Sprintf("(%s %% %s)", a, b), fmt.Sprintf("(%s %% %s)", a, b)
	case 3:
		s, sql := g.text(1)
		if g.IntN(2) == 0 {
			return fmt.Sprintf("indexOf(%s, u)", s), fmt.Sprintf("(instr(%s, u) - 1)", sql)
		}
		return "len(" + s + ")", "length(" + sql + ")"
	}
	text = g.pick("i", "j", "f", "g")
	return text, text
}

// text is a string expression.
func (g exprGen) text(depth int) (text, sql string) {
	if depth == 0 || g.IntN(2) == 0 {
		if g.IntN(3) == 0 {
			word := g.pick("", "a", "Ab", "b", "é")
			return strconv.Quote(word), "'" + word + "'"
		}
		name := g.pick("s", "u")
		return name, name
	}
	a, sqlA := g.text(depth - 1)
	b, sqlB := g.text(depth - 1)
	switch g.IntN(7) {
	case 4:
		from, n := g.IntN(3), g.IntN(3)
		return fmt.Sprintf("%s[%d:%d]", a, from, from+n), fmt.Sprintf("substr(%s, %d, %d)", sqlA, from+1, n)
	case 5:
		from := 1 + g.IntN(2)
		return fmt.Sprintf("%s[-%d:]", a, from), fmt.Sprintf("substr(%s, max(1, length(%s) - %d))", sqlA, sqlA, from-1)
	case 6:
		return fmt.Sprintf("replace(%s, u, %s)", a, b), fmt.Sprintf("replace(%s, u, %s)", sqlA, sqlB)
	case 0:
		return fmt.Sprintf("(%s + %s)", a, b), fmt.Sprintf("(%s || %s)", sqlA, sqlB)
	case 1:
		return fmt.Sprintf("(%s ?? %s)", a, b), fmt.Sprintf("coalesce(%s, %s)", sqlA, sqlB)
	case 2:
		f := g.pick("lower", "upper", "trim")
		return fmt.Sprintf("%s(%q + u)", f, " A"), fmt.Sprintf("%s(' A' || u)", f) // SQLite knows ASCII cases only
	}
	return a, sqlA
}

// comparison is a comparison of operands that may be null, which is false here and
// null in SQL: the same to a filter, and not under a not.
func (g exprGen) comparison(depth int) (text, sql string) {
	ops := []string{"==", "!=", "<", "<=", ">", ">="}
	op := ops[g.IntN(len(ops))]
	sqlOp := strings.NewReplacer("==", "=", "!=", "<>").Replace(op)
	if g.IntN(3) == 0 {
		a, sqlA := g.text(depth)
		b, sqlB := g.text(depth)
		switch g.IntN(4) {
		case 0:
			return fmt.Sprintf("%s in [%q, %q, %q]", a, "a", "Ab", "bb"), fmt.Sprintf("%s IN ('a', 'Ab', 'bb')", sqlA)
		case 1:
			return fmt.Sprintf("%s contains %s", a, b), fmt.Sprintf("instr(%s, %s) > 0", sqlA, sqlB)
		}
		return fmt.Sprintf("%s %s %s", a, op, b), fmt.Sprintf("%s %s %s", sqlA, sqlOp, sqlB)
	}
	a, sqlA := g.number(depth)
	b, sqlB := g.number(depth)
	if g.IntN(5) == 0 {
		return fmt.Sprintf("%s in [0, 1.0, 2.5, 7]", a), fmt.Sprintf("%s IN (0, 1.0, 2.5, 7)", sqlA)
	}
	return fmt.Sprintf("%s %s %s", a, op, b), fmt.Sprintf("%s %s %s", sqlA, sqlOp, sqlB)
}

// logic is a condition of bools and null tests, which means the same under a not.
func (g exprGen) logic(depth int) (text, sql string) {
	if depth <= 0 || g.IntN(4) == 0 {
		if g.IntN(3) == 0 {
			name := g.pick("i", "f", "s", "p")
			if g.IntN(2) == 0 {
				return name + " == nil", name + " IS NULL"
			}
			return name + " != nil", name + " IS NOT NULL"
		}
		name := g.pick("p", "q", "true", "false")
		return name, name
	}
	a, sqlA := g.logic(depth - 1)
	b, sqlB := g.logic(depth - 1)
	switch g.IntN(3) {
	case 0:
		return "not (" + a + ")", "NOT (" + sqlA + ")"
	case 1:
		return fmt.Sprintf("(%s and %s)", a, b), fmt.Sprintf("(%s AND %s)", sqlA, sqlB)
	}
	return fmt.Sprintf("(%s or %s)", a, b), fmt.Sprintf("(%s OR %s)", sqlA, sqlB)
}

// filter is a condition that keeps the same rows here and in SQL.
func (g exprGen) filter(depth int) (text, sql string) {
	if depth == 0 || g.IntN(5) == 0 {
		if g.IntN(4) == 0 {
			return g.logic(2)
		}
		return g.comparison(2)
	}
	a, sqlA := g.filter(depth - 1)
	b, sqlB := g.filter(depth - 1)
	if g.IntN(2) == 0 {
		return fmt.Sprintf("(%s and %s)", a, b), fmt.Sprintf("(%s AND %s)", sqlA, sqlB)
	}
	return fmt.Sprintf("(%s or %s)", a, b), fmt.Sprintf("(%s OR %s)", sqlA, sqlB)
}

// sampleRow fills the columns with values of their types; with nulls, some are null
// or missing.
func (g exprGen) sampleRow(nulls bool) exprRow {
	r := exprRow{
		"i": codecs.IntValue(g.Int64N(9) - 2), "j": codecs.IntValue(g.Int64N(100) - 50),
		"f": codecs.FloatValue(float64(g.IntN(20))/4 - 1), "g": codecs.FloatValue(float64(g.IntN(8))),
		"s": codecs.StringValue(g.pick("", "a", "Ab", "bb", "é", "abc")), "u": codecs.StringValue(g.pick("a", "b", "B")),
		"p": codecs.BoolValue(g.IntN(2) == 0), "q": codecs.BoolValue(g.IntN(2) == 0),
	}
	for _, name := range []string{"i", "j", "f", "g", "s", "u", "p", "q"} {
		switch {
		case !nulls:
		case g.IntN(6) == 0:
			r[name] = codecs.NullValue()
		case g.IntN(8) == 0:
			delete(r, name)
		}
	}
	return r
}
