package queries

import (
	"strings"
	"unicode"

	"leat/codecs"
)

// symbol is how an operation is written: its text and how tightly it binds, in the
// scale of expr-lang's parser, which String relies on.
type symbol struct {
	text       string
	precedence int
}

// Precedences of what is not an infix operation.
const (
	precTernary = 0
	precOr      = 10
	precAnd     = 15
	precCompare = 20
	precNot     = 50
	precSum     = 30
	precProduct = 60
	precNeg     = 90
	precPow     = 100
	precAtom    = 1000
)

var symbols = [...]symbol{
	opNot: {"not", precNot}, opAnd: {"and", precAnd}, opOr: {"or", precOr},
	opEq: {"==", precCompare}, opNe: {"!=", precCompare}, opLt: {"<", precCompare},
	opLe: {"<=", precCompare}, opGt: {">", precCompare}, opGe: {">=", precCompare},
	opIsNull: {"==", precCompare}, opNotNull: {"!=", precCompare}, opIn: {"in", precCompare},
	opContains: {"contains", precCompare}, opStartsWith: {"startsWith", precCompare},
	opEndsWith: {"endsWith", precCompare}, opMatches: {"matches", precCompare},
	opAdd: {"+", precSum}, opSub: {"-", precSum}, opMul: {"*", precProduct}, opDiv: {"/", precProduct},
	opMod: {"%", precProduct}, opPow: {"**", precPow}, opNeg: {"-", precNeg},
	opIf: {"?:", precTernary}, opCoalesce: {"??", precTernary}, opCall: {"()", precAtom},
}

// String is the expression in a normal form: the same for texts that differ in
// spacing, redundant parentheses or the form of a filter, and read back as the same
// term.
func (t *term) String() string {
	var b strings.Builder
	t.write(&b, precTernary)
	return b.String()
}

func (t *term) precedence() int {
	switch t.op {
	case opLiteral:
		if t.value.IsNumber() && t.value.AsFloat() < 0 {
			return precNeg
		}
		return precAtom
	case opField, opHas:
		return precAtom
	}
	return symbols[t.op].precedence
}

// write puts parentheses around t if it binds less tightly than the place it stands
// in.
func (t *term) write(b *strings.Builder, place int) {
	if t.precedence() < place {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	s := symbol{}
	if int(t.op) < len(symbols) {
		s = symbols[t.op]
	}
	switch t.op {
	case opLiteral:
		b.WriteString(literalText(t.value))
	case opField:
		b.WriteString(t.name)
	case opHas:
		b.WriteString("has(" + t.name + ")")
	case opNot:
		b.WriteString("not ")
		t.args[0].write(b, precNot+1)
	case opNeg:
		b.WriteByte('-')
		t.args[0].write(b, precNeg+1)
	case opIsNull, opNotNull:
		t.args[0].write(b, precCompare+1)
		b.WriteString(" " + s.text + " nil")
	case opIn:
		t.args[0].write(b, precCompare+1)
		b.WriteString(" in [")
		for i, v := range t.list {
			b.WriteString(separator(i, ", ") + literalText(v))
		}
		b.WriteByte(']')
	case opMatches:
		t.args[0].write(b, precCompare+1)
		b.WriteString(" matches " + literalText(codecs.StringValue(t.re.String())))
	case opIf:
		t.args[0].write(b, precTernary+1)
		b.WriteString(" ? ")
		t.args[1].write(b, precTernary+1)
		b.WriteString(" : ")
		t.args[2].write(b, precTernary+1)
	case opCall:
		t.writeCall(b)
	default:
		t.writeInfix(b, s)
	}
}

func (t *term) writeCall(b *strings.Builder) {
	args := t.args
	switch t.call.form {
	case formSlice:
		args[0].write(b, precAtom)
		b.WriteByte('[')
		if from := args[1]; from.op != opLiteral || from.value != sliceStart {
			from.write(b, precTernary+1)
		}
		b.WriteByte(':')
		if to := args[2]; to.op != opLiteral || to.value != sliceEnd {
			to.write(b, precTernary+1)
		}
		b.WriteByte(']')
		return
	case formIndex:
		defer func() { b.WriteString("[" + literalText(t.args[2].value) + "]") }()
		args = args[:2]
	}
	b.WriteString(t.call.name + "(")
	for i, a := range args {
		b.WriteString(separator(i, ", "))
		a.write(b, precTernary)
	}
	b.WriteByte(')')
}

func (t *term) writeInfix(b *strings.Builder, s symbol) {
	left, right := s.precedence, s.precedence+1
	switch {
	case t.op == opCoalesce: // expr-lang wants parentheses around everything that meets it
		left, right = precAtom, precAtom
	case t.op == opPow:
		left, right = right, left
	case s.precedence == precCompare: // a < b < c means a < b and b < c
		left = right
	}
	for i, a := range t.args {
		b.WriteString(separator(i, " "+s.text+" "))
		if i == 0 {
			a.write(b, left)
		} else {
			a.write(b, right)
		}
	}
}

// fieldText writes path as expr-lang reads it. Its names are freer than those of
// Path.String.
func fieldText(path codecs.Path) string {
	var b strings.Builder
	for i, step := range path.Steps() {
		if step.IsIndex || !bareName(step.Member) {
			b.WriteString(codecs.NewPath(step).String())
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(step.Member)
	}
	return b.String()
}

// bareName reports whether expr-lang's lexer takes name for an identifier.
func bareName(name string) bool {
	for i, r := range name {
		if i == 0 && (r == '$' || r >= '0' && r <= '9') || r != '_' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return name != ""
}

func separator(i int, text string) string {
	if i == 0 {
		return ""
	}
	return text
}

// literalText writes v so that it is read back as the same kind.
func literalText(v codecs.Value) string {
	if v.IsNull() {
		return "nil"
	}
	text := string(codecs.AppendJSON(nil, v))
	if v.Kind == codecs.Float && !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}
