package queries

import (
	"errors"
	"fmt"
	"regexp"

	"leat/codecs"
)

// The limits of one expression, far above real use: an expression is evaluated for
// every record, and its author may be hostile.
const (
	MaxExprBytes = 4096
	maxExprNodes = 500
	maxTextBytes = 1 << 20 // of a string that an expression builds
)

// term is an expression after names and functions have been checked, the one form
// that expressions and filter lists share. It is immutable.
type term struct {
	op    opcode
	args  []*term
	value codecs.Value   // opLiteral
	path  codecs.Path    // opField, opHas
	name  string         // opField, opHas: as it is printed
	col   int            // opField, opHas
	list  []codecs.Value // opIn
	call  *function      // opCall
	// prepared is what opCall applies to its first argument, the others being literals;
	// nil for most functions.
	prepared prepared
	re       *regexp.Regexp // opMatches
	kinds    kindSet        // what it can evaluate to
}

// opcode is the kind of a term.
type opcode uint8

const (
	opLiteral opcode = iota
	opField
	opHas
	opNot
	opAnd
	opOr
	opEq
	opNe
	opLt
	opLe
	opGt
	opGe
	opIsNull
	opNotNull
	opIn
	opContains
	opStartsWith
	opEndsWith
	opMatches
	opAdd
	opSub
	opMul
	opDiv
	opMod
	opPow
	opNeg
	opIf
	opCoalesce
	opCall
)

// kindSet is a set of kinds of values.
type kindSet uint8

const (
	kindNull kindSet = 1 << iota // missing or null
	kindBool
	kindInt
	kindFloat
	kindText
	kindOther // bytes, objects, arrays

	kindNumber = kindInt | kindFloat
	kindAny    = kindNull | kindBool | kindNumber | kindText | kindOther
)

func setOf(k codecs.Kind) kindSet {
	switch k {
	case codecs.Missing, codecs.Null:
		return kindNull
	case codecs.Bool:
		return kindBool
	case codecs.Int:
		return kindInt
	case codecs.Float:
		return kindFloat
	case codecs.String:
		return kindText
	}
	return kindOther
}

// String names the kinds other than null.
func (k kindSet) String() string {
	switch k &^ kindNull {
	case 0:
		return "null"
	case kindBool:
		return "bool"
	case kindInt:
		return "int"
	case kindFloat:
		return "float"
	case kindNumber:
		return "number"
	case kindText:
		return "string"
	case kindTime:
		return "number or string"
	}
	return "value"
}

// outside reports whether every value of the set that is not null lies outside
// wanted, so that the only way to succeed is null.
func (k kindSet) outside(wanted kindSet) bool {
	k &^= kindNull
	return k != 0 && k&wanted == 0
}

// exprError is a problem at a place inside an expression.
type exprError struct {
	at      int // in characters, from 0; -1 = the whole expression
	message string
}

func (e *exprError) Error() string {
	if e.at < 0 {
		return e.message
	}
	return fmt.Sprintf("%s (column %d of the expression)", e.message, e.at+1)
}

func literal(v codecs.Value) *term {
	return &term{op: opLiteral, value: v, kinds: setOf(v.Kind)}
}

// newField resolves path. op is opField or opHas.
func newField(s scope, op opcode, path codecs.Path) (*term, error) {
	col, kinds, err := s.field(path)
	if err != nil {
		return nil, err
	}
	t := &term{op: op, path: path, name: fieldText(path), col: col, kinds: kinds}
	if op == opHas {
		t.kinds = kindBool
	}
	return t, nil
}

// newTerm makes an operation, checks what is certain about the kinds of its operands
// and folds it if all of them are literals. What gives null is not folded: beside == and
// != it would be taken for the literal nil, which asks whether the other side is null.
func newTerm(t *term) (*term, error) {
	kinds, err := checkKinds(t)
	if err != nil {
		return nil, err
	}
	t.kinds = kinds
	for _, a := range t.args {
		if a.op != opLiteral {
			return t, nil
		}
	}
	v, err := compileValue(t)(nil, 0)
	if failed := (*evalError)(nil); errors.As(err, &failed) {
		err = failed.err // whoever asked for the term knows where it is
	}
	if err != nil {
		return nil, err
	}
	if v.IsNull() || setOf(v.Kind) == kindOther {
		return t, nil // of the other kinds there are no literals
	}
	return literal(v), nil
}

// newLogic joins operands with opAnd or opOr, as one flat list in order of
// evaluation.
func newLogic(op opcode, operands ...*term) (*term, error) {
	if len(operands) == 1 {
		return operands[0], nil
	}
	t := &term{op: op}
	for _, a := range operands {
		if a.op == op {
			t.args = append(t.args, a.args...)
		} else {
			t.args = append(t.args, a)
		}
	}
	return newTerm(t)
}

// newComparison makes one of opEq … opGe; == and != with a null literal are null
// tests.
func newComparison(op opcode, a, b *term) (*term, error) {
	switch {
	case op != opEq && op != opNe:
	case b.isNullLiteral():
		return newTerm(&term{op: nullTest(op), args: []*term{a}})
	case a.isNullLiteral():
		return newTerm(&term{op: nullTest(op), args: []*term{b}})
	}
	return newTerm(&term{op: op, args: []*term{a, b}})
}

func (t *term) isNullLiteral() bool { return t.op == opLiteral && t.value.IsNull() }

func nullTest(op opcode) opcode {
	if op == opEq {
		return opIsNull
	}
	return opNotNull
}

// newIn makes x in list. A list of one is the comparison.
func newIn(x *term, list []codecs.Value) (*term, error) {
	if len(list) == 1 {
		return newComparison(opEq, x, literal(list[0]))
	}
	return newTerm(&term{op: opIn, args: []*term{x}, list: list})
}
