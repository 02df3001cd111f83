package queries

import (
	"fmt"
	"math"
	"slices"

	"leat/codecs"
	"leat/dataflow"
)

// outcomes is a set of results of a comparison: bit 0 below, bit 1 equal, bit 2
// above. A comparison is true if its result is in the set.
type outcomes uint8

func outcomesOf(op opcode) outcomes {
	switch op {
	case opLt:
		return 0b001
	case opLe:
		return 0b011
	case opEq:
		return 0b010
	case opNe:
		return 0b101
	case opGe:
		return 0b110
	}
	return 0b100
}

func (o outcomes) has(comparison int) truth { return truth(o>>(comparison+1)) & yes }

func (op opcode) orders() bool { return op >= opLt && op <= opGe }

// compare is a op b. Null is neither equal to anything nor different from it, below
// or above. Values of different kinds are different, and have no order.
func compare(op opcode, set outcomes, a, b codecs.Value) (truth, error) {
	if a.IsNull() || b.IsNull() {
		return no, nil
	}
	alike := a.Kind == b.Kind || a.IsNumber() && b.IsNumber()
	if op.orders() && (!alike || a.Kind == codecs.Bool || a.Kind == codecs.Object || a.Kind == codecs.Array) {
		return no, fmt.Errorf("%s of %s and %s", symbols[op].text, a.Kind, b.Kind)
	}
	if !alike {
		return truthOf(op == opNe), nil
	}
	return set.has(codecs.Compare(a, b)), nil
}

// mirrored is the operation with its operands swapped.
func mirrored(op opcode) opcode {
	switch op {
	case opLt:
		return opGt
	case opLe:
		return opGe
	case opGt:
		return opLt
	case opGe:
		return opLe
	}
	return op
}

func compileComparison(t *term) testFunc {
	a, b := t.args[0], t.args[1]
	switch {
	case a.op == opField && b.op == opLiteral:
		return compareColumn(t, t.op, a.col, b.value)
	case a.op == opLiteral && b.op == opField:
		return compareColumn(t, mirrored(t.op), b.col, a.value)
	}
	op, set, x, y := t.op, outcomesOf(t.op), compileValue(a), compileValue(b)
	return func(b *dataflow.Batch, row int) (truth, error) {
		v, err := x(b, row)
		if err != nil {
			return no, err
		}
		w, err := y(b, row)
		if err != nil {
			return no, err
		}
		c, err := compare(op, set, v, w)
		if err != nil {
			return no, t.at(err)
		}
		return c, nil
	}
}

// compareColumn compares a cell with a constant, without building a Value where the
// kinds are the expected ones.
func compareColumn(t *term, op opcode, col int, constant codecs.Value) testFunc {
	set := outcomesOf(op)
	slow := func(v codecs.Value) (truth, error) {
		c, err := compare(op, set, v, constant)
		if err != nil {
			return no, t.at(err)
		}
		return c, nil
	}
	switch {
	case constant.Kind == codecs.Int && constant.Int() > -1<<53 && constant.Int() < 1<<53:
		i, f := constant.Int(), float64(constant.Int())
		return func(b *dataflow.Batch, row int) (truth, error) {
			c := &b.Columns.Cols[col]
			switch c.Kinds[row] {
			case codecs.Int:
				return set.has(order(int64(c.Nums[row]), i)), nil
			case codecs.Float:
				return set.has(order(math.Float64frombits(c.Nums[row]), f)), nil
			}
			return slow(c.Value(row))
		}
	case constant.Kind == codecs.Float:
		f := constant.Float()
		return func(b *dataflow.Batch, row int) (truth, error) {
			c := &b.Columns.Cols[col]
			if c.Kinds[row] == codecs.Float {
				return set.has(order(math.Float64frombits(c.Nums[row]), f)), nil
			}
			return slow(c.Value(row))
		}
	case constant.Kind == codecs.String && !op.orders():
		text, equal := constant.Str, truthOf(op == opEq)
		return func(b *dataflow.Batch, row int) (truth, error) {
			c := &b.Columns.Cols[col]
			if c.Kinds[row] != codecs.String {
				return slow(c.Value(row))
			}
			if c.Strs[row] == text {
				return equal, nil
			}
			return equal ^ yes, nil
		}
	}
	return func(b *dataflow.Batch, row int) (truth, error) { return slow(b.Columns.Cols[col].Value(row)) }
}

// order is -1, 0 or 1. Cells hold no NaN.
func order[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// constants is the list of an in, by kind, with numbers under their exact value.
type constants struct {
	texts   []string // few: searched one by one
	textSet map[string]struct{}
	ints    map[int64]struct{}
	floats  map[float64]struct{} // those that are no int64
	bools   [2]bool
	null    bool
}

const fewTexts = 8

func newConstants(list []codecs.Value) *constants {
	s := &constants{ints: make(map[int64]struct{}), floats: make(map[float64]struct{})}
	for _, v := range list {
		switch v.Kind {
		case codecs.Int:
			s.ints[v.Int()] = struct{}{}
		case codecs.Float:
			if i, ok := exactInt(v.Float()); ok {
				s.ints[i] = struct{}{}
			} else {
				s.floats[v.Float()] = struct{}{}
			}
		case codecs.String:
			s.texts = append(s.texts, v.Str)
		case codecs.Bool:
			s.bools[v.Num] = true
		default:
			s.null = true
		}
	}
	if len(s.texts) > fewTexts {
		s.textSet = make(map[string]struct{}, len(s.texts))
		for _, text := range s.texts {
			s.textSet[text] = struct{}{}
		}
		s.texts = nil
	}
	return s
}

// exactInt is f as an int64, where there is one.
func exactInt(f float64) (int64, bool) {
	if f < -(1<<63) || f >= 1<<63 || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

func (s *constants) has(v codecs.Value) bool {
	found := false
	switch v.Kind {
	case codecs.Missing, codecs.Null:
		return s.null
	case codecs.Bool:
		return s.bools[v.Num]
	case codecs.Int:
		_, found = s.ints[v.Int()]
	case codecs.Float:
		if i, ok := exactInt(v.Float()); ok {
			_, found = s.ints[i]
		} else {
			_, found = s.floats[v.Float()]
		}
	case codecs.String:
		if s.textSet == nil {
			return slices.Contains(s.texts, v.Str)
		}
		_, found = s.textSet[v.Str]
	}
	return found
}

// compileIn compiles x in [a, b], which is x == a or x == b, so that a nil in the
// list finds null.
func compileIn(t *term) testFunc {
	set := newConstants(t.list)
	if x := t.args[0]; x.op == opField {
		col := x.col
		return func(b *dataflow.Batch, row int) (truth, error) {
			return truthOf(set.has(b.Columns.Cols[col].Value(row))), nil
		}
	}
	x := compileValue(t.args[0])
	return func(b *dataflow.Batch, row int) (truth, error) {
		v, err := x(b, row)
		return truthOf(err == nil && set.has(v)), err
	}
}
