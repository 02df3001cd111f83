package queries

import (
	"errors"
	"fmt"

	"leat/codecs"
	"leat/dataflow"
)

// An expression runs as closures, one per term, made once. They keep nothing between
// calls and read literals, columns and their own constants only.

// valueFunc computes the value of a term for one row.
type valueFunc func(b *dataflow.Batch, row int) (codecs.Value, error)

// Eval implements dataflow.Expr.
func (f valueFunc) Eval(b *dataflow.Batch, row int) (codecs.Value, error) { return f(b, row) }

// testFunc computes a term that is true, false or null. It exists beside valueFunc
// because conditions are most of what runs per row, and a truth is one byte.
type testFunc func(b *dataflow.Batch, row int) (truth, error)

// truth is a three-valued bool.
type truth uint8

const (
	no truth = iota
	yes
	unknown
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (t truth) value() codecs.Value {
	if t == unknown {
		return codecs.NullValue()
	}
	return codecs.Value{Kind: codecs.Bool, Num: uint64(t)}
}

// filterFunc is a test as a filter: null counts as false.
type filterFunc testFunc

// Eval implements dataflow.Expr. The value is always a Bool.
func (f filterFunc) Eval(b *dataflow.Batch, row int) (codecs.Value, error) {
	t, err := f(b, row)
	if err != nil {
		return codecs.Value{}, err
	}
	return codecs.Value{Kind: codecs.Bool, Num: uint64(t & yes)}, nil
}

func compileFilter(t *term) dataflow.Expr { return filterFunc(compileTest(t)) }

func compileExpr(t *term) dataflow.Expr {
	if t.op == opField {
		return dataflow.Column(t.col)
	}
	return compileValue(t)
}

// at says in an error which part of an expression failed. It wraps only once, at the
// innermost part.
func (t *term) at(err error) error {
	var already *evalError
	if errors.As(err, &already) {
		return err
	}
	return &evalError{where: t.String(), err: err}
}

// evalError is the failure of one row.
type evalError struct {
	where string
	err   error
}

func (e *evalError) Error() string { return e.err.Error() + " in " + excerpt(e.where) }

func (e *evalError) Unwrap() error { return e.err }

func compileValue(t *term) valueFunc {
	switch t.op {
	case opLiteral:
		v := t.value
		return func(*dataflow.Batch, int) (codecs.Value, error) { return v, nil }
	case opField:
		return dataflow.Column(t.col).Eval
	case opAdd, opSub, opMul, opDiv, opMod, opPow:
		return compileArithmetic(t)
	case opNeg:
		x := compileValue(t.args[0])
		return func(b *dataflow.Batch, row int) (codecs.Value, error) {
			v, err := x(b, row)
			if err != nil || v.IsNull() {
				return v, err
			}
			if v, err = negative(v); err != nil {
				return v, t.at(err)
			}
			return v, nil
		}
	case opIf:
		test, then, otherwise := compileTest(t.args[0]), compileValue(t.args[1]), compileValue(t.args[2])
		return func(b *dataflow.Batch, row int) (codecs.Value, error) {
			switch c, err := test(b, row); {
			case err != nil:
				return codecs.Value{}, err
			case c == yes:
				return then(b, row)
			}
			return otherwise(b, row)
		}
	case opCoalesce:
		first, second := compileValue(t.args[0]), compileValue(t.args[1])
		return func(b *dataflow.Batch, row int) (codecs.Value, error) {
			if v, err := first(b, row); err != nil || !v.IsNull() {
				return v, err
			}
			return second(b, row)
		}
	case opCall:
		return compileCall(t)
	}
	test := compileTest(t)
	return func(b *dataflow.Batch, row int) (codecs.Value, error) {
		c, err := test(b, row)
		if err != nil {
			return codecs.Value{}, err
		}
		return c.value(), nil
	}
}

func compileArithmetic(t *term) valueFunc {
	op, x, y := t.op, compileValue(t.args[0]), compileValue(t.args[1])
	return func(b *dataflow.Batch, row int) (codecs.Value, error) {
		v, err := x(b, row)
		if err != nil {
			return v, err
		}
		w, err := y(b, row)
		if err != nil {
			return w, err
		}
		if v.IsNull() || w.IsNull() {
			return codecs.NullValue(), nil
		}
		if v, err = arithmetic(op, v, w); err != nil {
			return v, t.at(err)
		}
		return v, nil
	}
}

func compileCall(t *term) valueFunc {
	first, call := compileArgument(t, 0), t.prepared
	switch {
	case t.call.apply3 != nil:
		return compileCall3(t)
	case call == nil && len(t.args) > 1:
		return compileFold(t)
	case call == nil:
		apply := t.call.apply
		call = func(x codecs.Value) (codecs.Value, error) { return apply(x, codecs.Value{}) }
	}
	return func(b *dataflow.Batch, row int) (codecs.Value, error) {
		v, err := first(b, row)
		if err != nil || v.IsNull() {
			return v, err
		}
		if v, err = call(v); err != nil {
			return v, t.at(err)
		}
		return v, nil
	}
}

// compileFold compiles a call that is applied to its arguments from left to right.
func compileFold(t *term) valueFunc {
	f, first := t.call, compileArgument(t, 0)
	rest := make([]valueFunc, 0, len(t.args))
	for i := 1; i < len(t.args); i++ {
		rest = append(rest, compileArgument(t, i))
	}
	return func(b *dataflow.Batch, row int) (codecs.Value, error) {
		result, err := first(b, row)
		if err != nil {
			return result, err
		}
		for _, argument := range rest {
			v, err := argument(b, row)
			switch {
			case err != nil:
				return v, err
			case result.IsNull() || v.IsNull():
				result = codecs.NullValue()
				continue
			}
			if result, err = f.apply(result, v); err != nil {
				return result, t.at(err)
			}
		}
		return result, nil
	}
}

func compileCall3(t *term) valueFunc {
	x, y, z, apply := compileArgument(t, 0), compileArgument(t, 1), compileArgument(t, 2), t.call.apply3
	return func(b *dataflow.Batch, row int) (codecs.Value, error) {
		v, err := x(b, row)
		if err != nil {
			return v, err
		}
		w, err := y(b, row)
		if err != nil {
			return w, err
		}
		u, err := z(b, row)
		if err != nil {
			return u, err
		}
		if v.IsNull() || w.IsNull() || u.IsNull() {
			return codecs.NullValue(), nil
		}
		if v, err = apply(v, w, u); err != nil {
			return v, t.at(err)
		}
		return v, nil
	}
}

// compileArgument compiles an argument of a call to a value that is null or of a kind
// the function takes.
func compileArgument(t *term, i int) valueFunc {
	f, takes, x := t.call, t.call.kinds(i), compileValue(t.args[i])
	return func(b *dataflow.Batch, row int) (codecs.Value, error) {
		v, err := x(b, row)
		if err == nil && !v.IsNull() && setOf(v.Kind)&takes == 0 {
			return v, t.at(fmt.Errorf("%s of %s", f.title(), v.Kind))
		}
		return v, err
	}
}
