package queries

import (
	"fmt"
	"strings"

	"leat/codecs"
	"leat/dataflow"
)

// compileTest compiles a term for its truth.
func compileTest(t *term) testFunc {
	switch t.op {
	case opLiteral:
		if t.value.Kind == codecs.Bool || t.value.IsNull() {
			c := unknown
			if !t.value.IsNull() {
				c = truthOf(t.value.Bool())
			}
			return func(*dataflow.Batch, int) (truth, error) { return c, nil }
		}
	case opHas:
		col := t.col
		return func(b *dataflow.Batch, row int) (truth, error) {
			return truthOf(b.Columns.Cols[col].Kinds[row] != codecs.Missing), nil
		}
	case opNot:
		x := compileTest(t.args[0])
		return func(b *dataflow.Batch, row int) (truth, error) {
			switch c, err := x(b, row); {
			case err != nil:
				return no, err
			case c == unknown:
				return unknown, nil
			default:
				return c ^ yes, nil
			}
		}
	case opAnd:
		return compileLogic(t, no)
	case opOr:
		return compileLogic(t, yes)
	case opEq, opNe, opLt, opLe, opGt, opGe:
		return compileComparison(t)
	case opIsNull, opNotNull:
		return compileNullTest(t)
	case opIn:
		return compileIn(t)
	case opContains, opStartsWith, opEndsWith:
		return compileTextTest(t)
	case opMatches:
		match := t.re.MatchString
		return textTest(t, compileValue(t.args[0]), func(s string) bool { return match(s) })
	}
	return testOf(t)
}

// testOf takes the value of a term of any kind for a truth.
func testOf(t *term) testFunc {
	x := compileValue(t)
	return func(b *dataflow.Batch, row int) (truth, error) {
		v, err := x(b, row)
		switch {
		case err != nil:
			return no, err
		case v.Kind == codecs.Bool:
			return truth(v.Num), nil
		case v.IsNull():
			return unknown, nil
		}
		return no, t.at(fmt.Errorf("%s where a bool is needed", v.Kind))
	}
}

// compileLogic compiles and (decisive no) and or (decisive yes): operands are
// evaluated in order up to the first decisive one; without one the result is null if
// any operand is.
func compileLogic(t *term, decisive truth) testFunc {
	operands := make([]testFunc, len(t.args))
	for i, a := range t.args {
		operands[i] = compileTest(a)
	}
	other := decisive ^ yes
	if len(operands) == 2 {
		x, y := operands[0], operands[1]
		return func(b *dataflow.Batch, row int) (truth, error) {
			c, err := x(b, row)
			if err != nil || c == decisive {
				return c, err
			}
			d, err := y(b, row)
			if err != nil || d == decisive || c == other {
				return d, err
			}
			return unknown, nil
		}
	}
	return func(b *dataflow.Batch, row int) (truth, error) {
		result := other
		for _, x := range operands {
			c, err := x(b, row)
			if err != nil || c == decisive {
				return c, err
			}
			if c == unknown {
				result = unknown
			}
		}
		return result, nil
	}
}

func compileNullTest(t *term) testFunc {
	want := t.op == opIsNull
	if x := t.args[0]; x.op == opField {
		col := x.col
		return func(b *dataflow.Batch, row int) (truth, error) {
			return truthOf((b.Columns.Cols[col].Kinds[row] <= codecs.Null) == want), nil
		}
	}
	x := compileValue(t.args[0])
	return func(b *dataflow.Batch, row int) (truth, error) {
		v, err := x(b, row)
		return truthOf(v.IsNull() == want), err
	}
}

func compileTextTest(t *term) testFunc {
	test := strings.Contains
	switch t.op {
	case opStartsWith:
		test = strings.HasPrefix
	case opEndsWith:
		test = strings.HasSuffix
	}
	x := compileValue(t.args[0])
	if lit := t.args[1]; lit.op == opLiteral && lit.value.Kind == codecs.String {
		part := lit.value.Str
		return textTest(t, x, func(s string) bool { return test(s, part) })
	}
	y := compileValue(t.args[1])
	return func(b *dataflow.Batch, row int) (truth, error) {
		v, err := x(b, row)
		if err != nil {
			return no, err
		}
		w, err := y(b, row)
		if err != nil {
			return no, err
		}
		for _, operand := range [...]codecs.Value{v, w} {
			if !operand.IsNull() && operand.Kind != codecs.String {
				return no, t.at(fmt.Errorf("%s of %s", symbols[t.op].text, operand.Kind))
			}
		}
		return truthOf(!v.IsNull() && !w.IsNull() && test(v.Str, w.Str)), nil
	}
}

// textTest is a test of one string; null does not pass it.
func textTest(t *term, x valueFunc, test func(string) bool) testFunc {
	return func(b *dataflow.Batch, row int) (truth, error) {
		v, err := x(b, row)
		switch {
		case err != nil || v.IsNull():
			return no, err
		case v.Kind != codecs.String:
			return no, t.at(fmt.Errorf("%s of %s", symbols[t.op].text, v.Kind))
		}
		return truthOf(test(v.Str)), nil
	}
}
