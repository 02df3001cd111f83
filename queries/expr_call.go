package queries

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"

	"leat/codecs"
)

// function is one function of the language. It is applied to arguments of the kinds
// it takes only, none of them null: a null argument makes the result null.
type function struct {
	name     string
	min, max int     // number of arguments
	takes    kindSet // the first argument, and where rest is 0 the others too
	rest     kindSet
	result   kindSet // null only where it is so without an argument that is
	form     form

	// Of one argument apply gets the zero Value for b; of more it is applied from left
	// to right, to the result so far and the next argument.
	apply func(a, b codecs.Value) (codecs.Value, error)
	// apply3 stands in the place of apply where all of three arguments are needed.
	apply3 func(a, b, c codecs.Value) (codecs.Value, error)
	// prepare stands in the place of apply where all arguments but the first have to be
	// literals, and makes of them what is applied to the first.
	prepare func(literals []codecs.Value) (prepared, error)
}

// prepared is a function all arguments of which but one are known.
type prepared func(x codecs.Value) (codecs.Value, error)

// form is how a call is written.
type form uint8

const (
	formCall  form = iota // f(a, b)
	formIndex             // split(a, b)[c]
	formSlice             // a[b:c]
)

// kinds is what argument i may be.
func (f *function) kinds(i int) kindSet {
	if i > 0 && f.rest != 0 {
		return f.rest
	}
	return f.takes
}

const maxArguments = 16

const kindTime = kindNumber | kindText // epoch milliseconds or RFC 3339 text

var functions = [...]function{
	{name: "abs", min: 1, max: 1, takes: kindNumber, result: kindNumber, apply: absolute},
	{name: "ceil", min: 1, max: 1, takes: kindNumber, result: kindNumber, apply: whole(math.Ceil)},
	{name: "floor", min: 1, max: 1, takes: kindNumber, result: kindNumber, apply: whole(math.Floor)},
	{name: "round", min: 1, max: 2, takes: kindNumber, result: kindNumber, apply: round},
	{name: "min", min: 2, max: maxArguments, takes: kindNumber, result: kindNumber, apply: extreme(-1)},
	{name: "max", min: 2, max: maxArguments, takes: kindNumber, result: kindNumber, apply: extreme(1)},
	{name: "int", min: 1, max: 1, takes: kindNumber | kindText, result: kindInt, apply: toInt},
	{name: "float", min: 1, max: 1, takes: kindNumber | kindText, result: kindFloat, apply: toFloat},
	{name: "string", min: 1, max: 1, takes: kindAny, result: kindText, apply: toText},

	{name: "len", min: 1, max: 1, takes: kindText, result: kindInt, apply: length},
	{name: "lower", min: 1, max: 1, takes: kindText, result: kindText, apply: textFunction(strings.ToLower)},
	{name: "upper", min: 1, max: 1, takes: kindText, result: kindText, apply: textFunction(strings.ToUpper)},
	{name: "trim", min: 1, max: 2, takes: kindText, result: kindText, apply: trim},
	{name: "trimPrefix", min: 2, max: 2, takes: kindText, result: kindText, apply: textFunction2(strings.TrimPrefix)},
	{name: "trimSuffix", min: 2, max: 2, takes: kindText, result: kindText, apply: textFunction2(strings.TrimSuffix)},
	{name: "replace", min: 3, max: 3, takes: kindText, result: kindText, apply3: replace},
	{name: "repeat", min: 2, max: 2, takes: kindText, rest: kindInt, result: kindText, apply: repeat},
	{name: "indexOf", min: 2, max: 2, takes: kindText, result: kindInt, apply: position(strings.Index)},
	{name: "lastIndexOf", min: 2, max: 2, takes: kindText, result: kindInt, apply: position(strings.LastIndex)},
	{name: "split", min: 2, max: 2, takes: kindText, result: kindOther, apply: split},
	{name: "regexp_extract", min: 2, max: 3, takes: kindText, rest: kindText | kindInt, result: kindText | kindNull, prepare: regexpExtract},
	{name: "regexp_count", min: 2, max: 2, takes: kindText, result: kindInt, prepare: regexpCount},

	{name: "epoch_ms", min: 1, max: 1, takes: kindTime, result: kindInt, apply: timeFunction(epochMs)},
	{name: "rfc3339", min: 1, max: 1, takes: kindTime, result: kindText, apply: timeFunction(timeText("2006-01-02T15:04:05.000Z"))},
	{name: "date", min: 1, max: 1, takes: kindTime, result: kindText, apply: timeFunction(timeText("2006-01-02"))},
	{name: "year", min: 1, max: 1, takes: kindTime, result: kindInt, apply: timeFunction(timePart(time.Time.Year))},
	{name: "month", min: 1, max: 1, takes: kindTime, result: kindInt, apply: timeFunction(timePart(month))},
	{name: "day", min: 1, max: 1, takes: kindTime, result: kindInt, apply: timeFunction(timePart(time.Time.Day))},
	{name: "weekday", min: 1, max: 1, takes: kindTime, result: kindInt, apply: timeFunction(timePart(weekday))},
	{name: "hour", min: 1, max: 1, takes: kindTime, result: kindInt, apply: timeFunction(timePart(time.Time.Hour))},
	{name: "minute", min: 1, max: 1, takes: kindTime, result: kindInt, apply: timeFunction(timePart(time.Time.Minute))},
	{name: "second", min: 1, max: 1, takes: kindTime, result: kindInt, apply: timeFunction(timePart(time.Time.Second))},
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
	if f.prepare != nil {
		return w.prepare(n, args, t)
	}
	made, err := newTerm(t)
	return w.made(n, made, err)
}

// prepare makes a call of a function that takes literals.
func (w *walker) prepare(n ast.Node, args []ast.Node, t *term) *term {
	var literals []codecs.Value
	for i, a := range t.args[1:] {
		if a.op != opLiteral || setOf(a.value.Kind)&t.call.kinds(i+1) == 0 {
			return w.fail(args[i+1], "%s() takes its pattern as a literal string and a group as a literal number", t.call.name)
		}
		literals = append(literals, a.value)
	}
	var err error
	if t.prepared, err = t.call.prepare(literals); err != nil {
		return w.fail(args[1], "%v", err)
	}
	made, err := newTerm(t)
	return w.made(n, made, err)
}

// whyNot explains a function that is refused.
func whyNot(name string) string {
	if slices.Contains(aggregateNames, name) {
		return ` here: it is an aggregate and goes into "aggregate"`
	}
	switch name {
	case "now", "duration", "timezone", "random", "rand", "uuid":
		return ": results are a pure function of the log"
	case "all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "groupBy", "sortBy", "reduce":
		return ": expressions have no closures"
	}
	if instead := namesElsewhere(name); instead != "" {
		return "; write " + instead
	}
	return didYouMean(name, functionNames())
}

// namesElsewhere is how a function that other languages have is written here.
func namesElsewhere(name string) string {
	switch name {
	case "substr", "substring", "mid", "left", "right":
		return "s[from:to]"
	case "split_index", "split_part":
		return `split(s, ",")[0]`
	case "coalesce", "ifnull", "nvl":
		return "a ?? b"
	case "concat":
		return "a + b"
	case "hasPrefix", "starts_with":
		return `s startsWith "a"`
	case "hasSuffix", "ends_with":
		return `s endsWith "a"`
	case "regexp_like", "regexp_matches", "regexp_match":
		return `s matches "^a"`
	case "count_char":
		return `regexp_count(s, "c")`
	}
	return ""
}

func arity(f *function) string {
	words := [...]string{"no", "one", "two", "three"}
	switch {
	case f.max >= len(words):
		return fmt.Sprintf("%d to %d arguments", f.min, f.max)
	case f.max == 1:
		return "one argument"
	case f.min == f.max:
		return words[f.min] + " arguments"
	}
	return words[f.min] + " or " + words[f.max] + " arguments"
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
