package queries

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"leat/codecs"
)

// Functions of text count in characters, which are Unicode code points.

// splitPart is split(s, separator)[i], which does not make the array.
var splitPart = function{
	name: "split", form: formIndex, min: 3, max: 3, takes: kindText, rest: kindText | kindInt,
	result: kindText | kindNull, apply3: part,
}

// slicing is s[from:to].
var slicing = function{
	name: "[:]", form: formSlice, min: 3, max: 3, takes: kindText, rest: kindInt,
	result: kindText, apply3: slice,
}

// What stands in a slice where a bound is left out.
var (
	sliceStart = codecs.IntValue(0)
	sliceEnd   = codecs.IntValue(math.MaxInt64)
)

// title names the function in messages.
func (f *function) title() string {
	if f.form == formSlice {
		return f.name
	}
	return f.name + "()"
}

// part walks split(s, separator)[i] with a literal i.
func (w *walker) part(n *ast.MemberNode, args []ast.Node) *term {
	if len(args) != 2 {
		return w.fail(n.Node, "split() takes two arguments, not %d", len(args))
	}
	s, separator, index := w.walk(args[0]), w.walk(args[1]), w.walk(n.Property)
	switch {
	case w.failure != nil:
		return s
	case index.op != opLiteral || index.value.Kind != codecs.Int:
		return w.fail(n.Property, "a part of split() is taken by a literal index, from 0 or, backwards, from -1")
	case separator.kinds.outside(kindText):
		return w.fail(args[1], "split() takes string, not %s", separator.kinds)
	}
	t, err := newTerm(&term{op: opCall, call: &splitPart, args: []*term{s, separator, index}})
	return w.made(n, t, err)
}

// slice walks s[from:to].
func (w *walker) slice(n *ast.SliceNode) *term {
	args := []*term{w.walk(n.Node), literal(sliceStart), literal(sliceEnd)}
	if n.From != nil {
		args[1] = w.walk(n.From)
	}
	if n.To != nil {
		args[2] = w.walk(n.To)
	}
	if w.failure != nil {
		return args[0]
	}
	t, err := newTerm(&term{op: opCall, call: &slicing, args: args})
	return w.made(n, t, err)
}

func length(x, _ codecs.Value) (codecs.Value, error) {
	return codecs.IntValue(int64(utf8.RuneCountInString(x.Str))), nil
}

func textFunction(f func(string) string) func(x, _ codecs.Value) (codecs.Value, error) {
	return func(x, _ codecs.Value) (codecs.Value, error) {
		return codecs.StringValue(f(x.Str)), nil
	}
}

func textFunction2(f func(s, t string) string) func(x, y codecs.Value) (codecs.Value, error) {
	return func(x, y codecs.Value) (codecs.Value, error) {
		return codecs.StringValue(f(x.Str, y.Str)), nil
	}
}

// trim cuts white space, or all characters of the set, off both ends.
func trim(x, set codecs.Value) (codecs.Value, error) {
	if set.Kind == codecs.Missing {
		return codecs.StringValue(strings.TrimSpace(x.Str)), nil
	}
	return codecs.StringValue(strings.Trim(x.Str, set.Str)), nil
}

func errTooLong() error { return fmt.Errorf("a string of more than %d bytes", maxTextBytes) }

func replace(x, old, instead codecs.Value) (codecs.Value, error) {
	n := strings.Count(x.Str, old.Str)
	if n == 0 {
		return x, nil
	}
	if len(x.Str)+n*(len(instead.Str)-len(old.Str)) > maxTextBytes {
		return codecs.Value{}, errTooLong()
	}
	return codecs.StringValue(strings.ReplaceAll(x.Str, old.Str, instead.Str)), nil
}

func repeat(x, times codecs.Value) (codecs.Value, error) {
	n := times.Int()
	switch {
	case n < 0:
		return codecs.Value{}, fmt.Errorf("repeat() %d times", n)
	case x.Str == "" || n == 0:
		return codecs.StringValue(""), nil
	case int64(len(x.Str)) > maxTextBytes/n:
		return codecs.Value{}, errTooLong()
	}
	return codecs.StringValue(strings.Repeat(x.Str, int(n))), nil
}

// position is where the second string begins in the first, -1 where it does not.
func position(find func(s, t string) int) func(x, y codecs.Value) (codecs.Value, error) {
	return func(x, y codecs.Value) (codecs.Value, error) {
		at := find(x.Str, y.Str)
		if at > 0 {
			at = utf8.RuneCountInString(x.Str[:at])
		}
		return codecs.IntValue(int64(at)), nil
	}
}

// split is the array of all parts; an empty separator splits into characters.
func split(x, separator codecs.Value) (codecs.Value, error) {
	text := []byte{'['}
	for s := range strings.SplitSeq(x.Str, separator.Str) {
		if len(text) > 1 {
			text = append(text, ',')
		}
		if text = codecs.AppendJSON(text, codecs.StringValue(s)); len(text) > maxTextBytes {
			return codecs.Value{}, fmt.Errorf("an array of more than %d bytes", maxTextBytes)
		}
	}
	return codecs.ArrayValue(string(append(text, ']'))), nil
}

// part is element i of split, backwards from -1, or null where there is none.
func part(x, separator, index codecs.Value) (codecs.Value, error) {
	s, sep, i := x.Str, separator.Str, index.Int()
	if i < 0 {
		n := strings.Count(s, sep) + 1
		if sep == "" {
			n = utf8.RuneCountInString(s)
		}
		if i += int64(n); i < 0 {
			return codecs.NullValue(), nil
		}
	}
	if sep == "" {
		if s = characters(s, i, i+1); s == "" {
			return codecs.NullValue(), nil
		}
		return codecs.StringValue(s), nil
	}
	for ; i > 0; i-- {
		var found bool
		if _, s, found = strings.Cut(s, sep); !found {
			return codecs.NullValue(), nil
		}
	}
	s, _, _ = strings.Cut(s, sep)
	return codecs.StringValue(s), nil
}

// slice is the characters from from up to to. A negative bound counts from the end;
// one beyond an end is that end.
func slice(x, from, to codecs.Value) (codecs.Value, error) {
	a, b := from.Int(), to.Int()
	if a < 0 || b < 0 {
		n := int64(utf8.RuneCountInString(x.Str))
		if a < 0 {
			a = max(0, a+n)
		}
		if b < 0 {
			b = max(0, b+n)
		}
	}
	return codecs.StringValue(characters(x.Str, a, b)), nil
}

// characters are those from index a up to b of s, neither negative, as far as there
// are any.
func characters(s string, a, b int64) string {
	if a >= b {
		return ""
	}
	s = s[offsetOf(s, a):]
	return s[:offsetOf(s, b-a)]
}

// offsetOf is where character n of s begins, the end where there are no more than n.
func offsetOf(s string, n int64) int {
	if n >= int64(len(s)) {
		return len(s)
	}
	for at := range s {
		if n == 0 {
			return at
		}
		n--
	}
	return len(s)
}
