package queries

import (
	"errors"
	"fmt"
	"math"

	"leat/codecs"
)

var errDivision = errors.New("division by zero")

// arithmetic computes a op b for operands that are not null. Ints stay exact:
// overflow is an error, never a wrap. A division and a power are floats, and no
// result is infinite.
func arithmetic(op opcode, a, b codecs.Value) (codecs.Value, error) {
	if a.Kind == codecs.Int && b.Kind == codecs.Int {
		return integers(op, a.Int(), b.Int())
	}
	if op == opAdd && a.Kind == codecs.String && b.Kind == codecs.String {
		if len(a.Str)+len(b.Str) > maxTextBytes {
			return codecs.Value{}, fmt.Errorf("a string of more than %d bytes", maxTextBytes)
		}
		return codecs.StringValue(a.Str + b.Str), nil
	}
	if !a.IsNumber() || !b.IsNumber() || op == opMod {
		return codecs.Value{}, fmt.Errorf("%s of %s and %s", symbols[op].text, a.Kind, b.Kind)
	}
	return floats(op, a.AsFloat(), b.AsFloat())
}

func floats(op opcode, x, y float64) (codecs.Value, error) {
	switch op {
	case opAdd:
		return finite(x + y)
	case opSub:
		return finite(x - y)
	case opMul:
		return finite(x * y)
	case opDiv:
		if y == 0 {
			return codecs.Value{}, errDivision
		}
		return finite(x / y)
	}
	return finite(math.Pow(x, y))
}

func integers(op opcode, x, y int64) (codecs.Value, error) {
	result, fits := int64(0), true
	switch op {
	case opAdd:
		result = x + y
		fits = (result > x) == (y > 0)
	case opSub:
		result = x - y
		fits = (result < x) == (y > 0)
	case opMul:
		result = x * y
		fits = x == 0 || result/x == y && (x != -1 || y != math.MinInt64)
	case opMod:
		if y == 0 {
			return codecs.Value{}, errDivision
		}
		result = x % y
	default:
		return floats(op, float64(x), float64(y))
	}
	if !fits {
		return codecs.Value{}, errOverflow
	}
	return codecs.IntValue(result), nil
}

func negative(x codecs.Value) (codecs.Value, error) {
	switch x.Kind {
	case codecs.Int:
		if x.Int() == math.MinInt64 {
			return codecs.Value{}, errOverflow
		}
		return codecs.IntValue(-x.Int()), nil
	case codecs.Float:
		return codecs.FloatValue(-x.Float()), nil
	}
	return codecs.Value{}, fmt.Errorf("- of %s", x.Kind)
}
