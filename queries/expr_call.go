package queries

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"leat/codecs"
)

// function is one function of the language. It is applied to arguments of the kinds
// in takes only, none of them null: a null argument makes the result null. A function
// of one argument gets the zero Value for b; one of more is applied from left to
// right, to the result so far and the next argument.
type function struct {
	name     string
	min, max int // number of arguments
	takes    kindSet
	result   kindSet
	apply    func(a, b codecs.Value) (codecs.Value, error)
}

const maxArguments = 16

var functions = [...]function{
	{"abs", 1, 1, kindNumber, kindNumber, absolute},
	{"ceil", 1, 1, kindNumber, kindNumber, whole(math.Ceil)},
	{"floor", 1, 1, kindNumber, kindNumber, whole(math.Floor)},
	{"round", 1, 2, kindNumber, kindNumber, round},
	{"int", 1, 1, kindNumber | kindText, kindInt, toInt},
	{"float", 1, 1, kindNumber | kindText, kindFloat, toFloat},
	{"string", 1, 1, kindAny, kindText, toText},
	{"len", 1, 1, kindText, kindInt, length},
	{"lower", 1, 1, kindText, kindText, textFunction(strings.ToLower)},
	{"upper", 1, 1, kindText, kindText, textFunction(strings.ToUpper)},
	{"trim", 1, 1, kindText, kindText, textFunction(strings.TrimSpace)},
	{"min", 2, maxArguments, kindNumber, kindNumber, extreme(-1)},
	{"max", 2, maxArguments, kindNumber, kindNumber, extreme(1)},
}

func functionNamed(name string) *function {
	for i := range functions {
		if functions[i].name == name {
			return &functions[i]
		}
	}
	return nil
}

func functionNames() []string {
	names := []string{"has"}
	for _, f := range functions {
		names = append(names, f.name)
	}
	return names
}

// callOf walks a call, of has too, which takes a path and not a value.
func (w *walker) callOf(n ast.Node) *term {
	name, args, ok := calledFunction(n)
	if !ok {
		return w.fail(n, "methods are not available in expressions")
	}
	if name == "has" {
		if len(args) != 1 {
			return w.fail(n, "has() takes one field path")
		}
		return w.field(args[0], opHas)
	}
	f := functionNamed(name)
	if f == nil {
		return w.fail(n, "%s() is not available%s", name, whyNot(name))
	}
	if len(args) < f.min || len(args) > f.max {
		return w.fail(n, "%s() takes %s, not %d", name, arity(f), len(args))
	}
	t := &term{op: opCall, call: f}
	for _, a := range args {
		t.args = append(t.args, w.walk(a))
	}
	if w.failure != nil {
		return t
	}
	if name == "round" && len(args) == 2 {
		if d := t.args[1]; d.op != opLiteral || d.value.Kind != codecs.Int || d.value.Int() < 0 || d.value.Int() > 15 {
			return w.fail(args[1], "round() takes the number of digits as a literal from 0 to 15")
		}
	}
	made, err := newTerm(t)
	return w.made(n, made, err)
}

// whyNot explains a function that is refused.
func whyNot(name string) string {
	switch name {
	case "now", "date", "duration", "timezone", "random", "rand", "uuid":
		return ": results are a pure function of the log"
	case "count", "sum", "avg", "count_distinct", "first", "last", "stddev", "percentile", "top_k", "max_by", "min_by", "collect":
		return ` here: it is an aggregate and goes into "aggregate"`
	case "all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "groupBy", "sortBy", "reduce":
		return ": expressions have no closures"
	}
	return didYouMean(name, functionNames())
}

func arity(f *function) string {
	switch {
	case f.min == 1 && f.max == 1:
		return "one argument"
	case f.max == 2:
		return "one or two arguments"
	}
	return fmt.Sprintf("%d to %d arguments", f.min, f.max)
}

var (
	errOverflow = errors.New("integer overflow")
	errRange    = errors.New("result out of range")
)

// finite makes a Float, of which none is infinite or NaN.
func finite(f float64) (codecs.Value, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return codecs.Value{}, errRange
	}
	return codecs.FloatValue(f), nil
}

func absolute(x, _ codecs.Value) (codecs.Value, error) {
	if x.Kind == codecs.Float {
		return codecs.FloatValue(math.Abs(x.Float())), nil
	}
	i := x.Int()
	switch {
	case i == math.MinInt64:
		return codecs.Value{}, errOverflow
	case i < 0:
		i = -i
	}
	return codecs.IntValue(i), nil
}

// whole makes a rounding function: ints are whole already, floats stay floats.
func whole(f func(float64) float64) func(x, _ codecs.Value) (codecs.Value, error) {
	return func(x, _ codecs.Value) (codecs.Value, error) {
		if x.Kind == codecs.Int {
			return x, nil
		}
		return codecs.FloatValue(f(x.Float())), nil
	}
}

// round rounds half away from zero. With digits it is the shortest decimal that
// reads back as the number that is rounded, so that round(2.675, 2) is 2.68.
func round(x, digits codecs.Value) (codecs.Value, error) {
	if x.Kind == codecs.Int {
		return x, nil
	}
	if digits.Int() == 0 {
		return codecs.FloatValue(math.Round(x.Float())), nil
	}
	return codecs.FloatValue(roundDecimal(x.Float(), int(digits.Int()))), nil
}

func roundDecimal(f float64, digits int) float64 {
	if math.Abs(f) >= 1<<52 {
		return f // has no fraction
	}
	var memory [400]byte
	text := strconv.AppendFloat(memory[:0], f, 'f', -1, 64)
	point := bytes.IndexByte(text, '.')
	if point < 0 || len(text)-point-1 <= digits {
		return f
	}
	up := text[point+1+digits] >= '5'
	text = text[:point+1+digits]
	for i := len(text) - 1; up && i >= 0; i-- {
		switch text[i] {
		case '.':
		case '-':
			i = 0
		case '9':
			text[i] = '0'
		default:
			text[i]++
			up = false
		}
	}
	rounded, _ := strconv.ParseFloat(string(text), 64) // made of digits, and not longer
	if up {
		carry := math.Pow10(point)
		if f < 0 {
			carry = -math.Pow10(point - 1)
		}
		rounded += carry
	}
	return rounded
}

func toInt(x, _ codecs.Value) (codecs.Value, error) {
	switch x.Kind {
	case codecs.Int:
		return x, nil
	case codecs.Float:
		f := math.Trunc(x.Float())
		if f < -(1<<63) || f >= 1<<63 {
			return codecs.Value{}, errOverflow
		}
		return codecs.IntValue(int64(f)), nil
	}
	i, err := strconv.ParseInt(x.Str, 10, 64)
	if err != nil {
		return codecs.Value{}, fmt.Errorf("%s is not an integer", excerpt(x.Str))
	}
	return codecs.IntValue(i), nil
}

func toFloat(x, _ codecs.Value) (codecs.Value, error) {
	if x.Kind != codecs.String {
		return codecs.FloatValue(x.AsFloat()), nil
	}
	f, err := strconv.ParseFloat(x.Str, 64)
	if err != nil || strings.Trim(x.Str, "+-.0123456789eE") != "" || math.IsInf(f, 0) {
		return codecs.Value{}, fmt.Errorf("%s is not a number", excerpt(x.Str))
	}
	return codecs.FloatValue(f), nil
}

// excerpt quotes a value for a message without repeating all of it.
func excerpt(s string) string {
	const most = 40
	count := 0
	for at := range s {
		if count++; count > most {
			return strconv.Quote(s[:at]) + "…"
		}
	}
	return strconv.Quote(s)
}

func toText(x, _ codecs.Value) (codecs.Value, error) {
	if x.Kind == codecs.String {
		return x, nil
	}
	return codecs.StringValue(string(codecs.AppendJSON(nil, x))), nil
}

func length(x, _ codecs.Value) (codecs.Value, error) {
	return codecs.IntValue(int64(utf8.RuneCountInString(x.Str))), nil
}

func textFunction(f func(string) string) func(x, _ codecs.Value) (codecs.Value, error) {
	return func(x, _ codecs.Value) (codecs.Value, error) {
		return codecs.StringValue(f(x.Str)), nil
	}
}

// extreme is the smaller (sign -1) or larger (sign 1) of two numbers, the first of
// equal ones.
func extreme(sign int) func(a, b codecs.Value) (codecs.Value, error) {
	return func(a, b codecs.Value) (codecs.Value, error) {
		if codecs.Compare(b, a) == sign {
			return b, nil
		}
		return a, nil
	}
}
