package oracle

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Expr is an expression of a query as a tree. Op is one of
//
//	lit            the literal Value
//	field, has     the field Path; Text is how a query writes it
//	not and or     three-valued
//	== != < <= > >=
//	nil, notnil    null tests
//	in             the first of Args among the others, literals all
//	contains startsWith endsWith
//	+ - * / %  neg
//	?: ??
//	abs ceil floor round int float string len lower upper trim min max
//	slice, split, part (an element of split), trimset (trim of a set), and the functions
//	of text and time that parameters knows, by their names
type Expr struct {
	Op   string
	Args []*Expr
	Path []Step
	Text string
	lit  value
}

var (
	errType     = errors.New("wrong type")
	errOverflow = errors.New("integer overflow")
	errDivision = errors.New("division by zero")
	errRange    = errors.New("result out of range")
)

// row resolves the fields of an expression.
type row func(e *Expr) value

// eval computes e. An error makes the row a dead letter.
func (e *Expr) eval(r row) (value, error) {
	switch e.Op {
	case "lit":
		return e.lit, nil
	case "field":
		return r(e), nil
	case "has":
		return ofBool(r(e).kind != missing), nil
	case "and", "or":
		return e.logic(r)
	case "?:":
		c, err := e.Args[0].condition(r)
		switch {
		case err != nil:
			return value{}, err
		case c.isTrue():
			return e.Args[1].eval(r)
		}
		return e.Args[2].eval(r)
	case "??":
		v, err := e.Args[0].eval(r)
		if err != nil || !v.none() {
			return v, err
		}
		return e.Args[1].eval(r)
	case "not":
		v, err := e.Args[0].condition(r)
		if err != nil || v.none() {
			return v, err
		}
		return ofBool(!v.b), nil
	}
	args := make([]value, len(e.Args))
	for i, a := range e.Args {
		v, err := a.eval(r)
		if err != nil {
			return value{}, err
		}
		args[i] = v
	}
	return e.apply(args)
}

// condition is the value of an expression that has to be a bool or null.
func (e *Expr) condition(r row) (value, error) {
	v, err := e.eval(r)
	if err == nil && !v.none() && v.kind != boolean {
		err = errType
	}
	return v, err
}

// logic evaluates from left to right up to the operand that decides.
func (e *Expr) logic(r row) (value, error) {
	result := ofBool(e.Op == "and")
	for _, a := range e.Args {
		v, err := a.condition(r)
		switch {
		case err != nil:
			return value{}, err
		case v.none():
			result = value{kind: null}
		case v.b == (e.Op == "or"):
			return v, nil
		}
	}
	return result, nil
}

func (e *Expr) apply(args []value) (value, error) {
	switch e.Op {
	case "nil", "notnil":
		return ofBool(args[0].none() == (e.Op == "nil")), nil
	case "in":
		return ofBool(slices.ContainsFunc(args[1:], func(v value) bool { return compare(v, args[0]) == 0 })), nil
	case "==", "!=", "<", "<=", ">", ">=":
		return compareAs(e.Op, args[0], args[1])
	case "contains", "startsWith", "endsWith":
		return textTest(e.Op, args[0], args[1])
	case "+", "-", "*", "/", "%":
		if args[0].none() || args[1].none() {
			return value{kind: null}, nil
		}
		return arithmetic(e.Op, args[0], args[1])
	}
	if parameters(e.Op) != "" {
		return callText(e.Op, args)
	}
	return call(e.Op, args)
}

// compareAs: null is in no relation to anything; values of different types differ and
// have no order, and only numbers and strings have one.
func compareAs(op string, a, b value) (value, error) {
	if a.none() || b.none() {
		return ofBool(false), nil
	}
	alike := a.rank() == b.rank()
	switch op {
	case "==":
		return ofBool(alike && compare(a, b) == 0), nil
	case "!=":
		return ofBool(!alike || compare(a, b) != 0), nil
	}
	if !alike || !a.number() && a.kind != text {
		return value{}, errType
	}
	c := compare(a, b)
	return ofBool(c < 0 && op[0] == '<' || c > 0 && op[0] == '>' || c == 0 && len(op) == 2), nil
}

func textTest(op string, a, b value) (value, error) {
	for _, v := range []value{a, b} {
		if !v.none() && v.kind != text {
			return value{}, errType
		}
	}
	if a.none() || b.none() {
		return ofBool(false), nil
	}
	switch op {
	case "startsWith":
		return ofBool(strings.HasPrefix(a.s, b.s)), nil
	case "endsWith":
		return ofBool(strings.HasSuffix(a.s, b.s)), nil
	}
	return ofBool(strings.Contains(a.s, b.s)), nil
}

func arithmetic(op string, a, b value) (value, error) {
	switch {
	case op == "+" && a.kind == text && b.kind == text:
		return ofText(a.s + b.s), nil
	case !a.number() || !b.number():
		return value{}, errType
	case op == "/":
		if b.float() == 0 {
			return value{}, errDivision
		}
		return finite(a.float() / b.float())
	case a.kind == integer && b.kind == integer:
		return integers(op, big.NewInt(a.i), big.NewInt(b.i))
	}
	switch x, y := a.float(), b.float(); op {
	case "+":
		return finite(x + y)
	case "-":
		return finite(x - y)
	case "*":
		return finite(x * y)
	}
	return value{}, errType
}

func integers(op string, x, y *big.Int) (value, error) {
	z := new(big.Int)
	switch op {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	case "*":
		z.Mul(x, y)
	default:
		if y.Sign() == 0 {
			return value{}, errDivision
		}
		z.Rem(x, y)
	}
	if !z.IsInt64() {
		return value{}, errOverflow
	}
	return ofInt(z.Int64()), nil
}

func finite(f float64) (value, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return value{}, errRange
	}
	return ofFloat(f), nil
}

// call applies a function, or neg. Null in gives null out.
func call(fn string, args []value) (value, error) {
	none := false
	for i, v := range args {
		none = none || v.none()
		number := v.number() && !slices.Contains([]string{"len", "lower", "upper", "trim"}, fn)
		str := v.kind == text && slices.Contains([]string{"len", "lower", "upper", "trim", "int", "float"}, fn)
		if !v.none() && !number && !str && fn != "string" {
			return value{}, fmt.Errorf("argument %d: %w", i, errType)
		}
	}
	if none {
		return value{kind: null}, nil
	}
	v := args[0]
	switch fn {
	case "string":
		if v.kind != text {
			v = ofText(v.json())
		}
		return v, nil
	case "len":
		return ofInt(int64(utf8.RuneCountInString(v.s))), nil
	case "lower":
		return ofText(strings.ToLower(v.s)), nil
	case "upper":
		return ofText(strings.ToUpper(v.s)), nil
	case "trim":
		return ofText(strings.TrimSpace(v.s)), nil
	case "int", "float":
		return convert(fn, v)
	case "min", "max":
		for _, w := range args[1:] {
			if c := compare(w, v); c < 0 && fn == "min" || c > 0 && fn == "max" {
				v = w
			}
		}
		return v, nil
	}
	return numeric(fn, args)
}

func convert(fn string, v value) (value, error) {
	switch {
	case fn == "float" && v.kind == text:
		f, err := strconv.ParseFloat(v.s, 64)
		if err != nil || strings.Trim(v.s, "+-.0123456789eE") != "" {
			return value{}, errType
		}
		return finite(f)
	case fn == "float":
		return ofFloat(v.float()), nil
	case v.kind == text:
		i, err := strconv.ParseInt(v.s, 10, 64)
		return ofInt(i), err
	case v.kind == integer:
		return v, nil
	case v.f < -(1<<63) || v.f >= 1<<63:
		return value{}, errOverflow
	}
	return ofInt(int64(v.f)), nil
}

// numeric is neg, or a function from a number to a number of the same type.
func numeric(fn string, args []value) (value, error) {
	v := args[0]
	if v.kind == integer {
		switch {
		case fn == "neg" || fn == "abs" && v.i < 0:
			return integers("-", new(big.Int), big.NewInt(v.i))
		}
		return v, nil
	}
	switch fn {
	case "neg":
		return ofFloat(-v.f), nil
	case "abs":
		return ofFloat(math.Abs(v.f)), nil
	case "ceil":
		return ofFloat(math.Ceil(v.f)), nil
	case "floor":
		return ofFloat(math.Floor(v.f)), nil
	case "round":
		if len(args) == 1 || args[1].i == 0 {
			return ofFloat(math.Round(v.f)), nil
		}
		return ofFloat(roundDecimal(v.f, int(args[1].i))), nil
	}
	panic("no function " + fn)
}

// roundDecimal rounds the shortest decimal that reads back as f, half away from zero.
func roundDecimal(f float64, digits int) float64 {
	exact, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok || f == 0 {
		return f
	}
	rounded, err := strconv.ParseFloat(exact.FloatString(digits), 64)
	must(err)
	return math.Copysign(rounded, f)
}
