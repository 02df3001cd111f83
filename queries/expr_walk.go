package queries

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"

	"leat/codecs"
)

// walker turns expr-lang's tree into terms. The tree may share nodes (of a < b < c
// the b is in two comparisons), so it counts what it visits, not what there is.
type walker struct {
	scope   scope
	nodes   int
	depth   int
	failure *exprError
}

// fail notes the first problem. It returns a term so that callers need no branch.
func (w *walker) fail(n ast.Node, format string, args ...any) *term {
	if w.failure == nil {
		w.failure = &exprError{at: n.Location().From, message: fmt.Sprintf(format, args...)}
	}
	return literal(codecs.NullValue())
}

// made passes on a term or notes why it could not be made.
func (w *walker) made(n ast.Node, t *term, err error) *term {
	if err != nil {
		return w.fail(n, "%v", err)
	}
	return t
}

func (w *walker) walk(n ast.Node) *term {
	w.nodes++
	w.depth++
	defer func() { w.depth-- }()
	switch {
	case w.failure != nil:
		return literal(codecs.NullValue())
	case w.nodes > maxExprNodes:
		return w.fail(n, "an expression of more than %d parts", maxExprNodes)
	case w.depth > maxNesting:
		return w.fail(n, "an expression nested more than %d deep", maxNesting)
	}
	switch n := n.(type) {
	case *ast.NilNode:
		return literal(codecs.NullValue())
	case *ast.BoolNode:
		return literal(codecs.BoolValue(n.Value))
	case *ast.IntegerNode:
		return literal(codecs.IntValue(int64(n.Value)))
	case *ast.FloatNode:
		return literal(codecs.FloatValue(n.Value))
	case *ast.StringNode:
		return literal(codecs.StringValue(n.Value))
	case *ast.MemberNode:
		if name, args, ok := calledFunction(n.Node); ok && name == splitPart.name && !n.Method {
			return w.part(n, args)
		}
		return w.field(n, opField)
	case *ast.ChainNode:
		if inner, ok := n.Node.(*ast.SliceNode); ok {
			return w.slice(inner)
		}
		return w.field(n, opField)
	case *ast.IdentifierNode:
		return w.field(n, opField)
	case *ast.SliceNode:
		return w.slice(n)
	case *ast.UnaryNode:
		return w.unary(n)
	case *ast.BinaryNode:
		return w.binary(n)
	case *ast.ConditionalNode:
		if !n.Ternary {
			return w.fail(n.Cond, "if is not available; write condition ? a : b")
		}
		t, err := newTerm(&term{op: opIf, args: []*term{w.walk(n.Cond), w.walk(n.Exp1), w.walk(n.Exp2)}})
		return w.made(n, t, err)
	case *ast.CallNode, *ast.BuiltinNode:
		return w.callOf(n)
	}
	return w.fail(n, "%s is not available in expressions", construct(n))
}

// construct names what the allow-list leaves out.
func construct(n ast.Node) string {
	switch n.(type) {
	case *ast.ArrayNode:
		return "a list, other than after in,"
	case *ast.MapNode, *ast.PairNode:
		return "a map"
	case *ast.VariableDeclaratorNode:
		return "let"
	case *ast.SequenceNode:
		return "a sequence with ;"
	case *ast.PredicateNode, *ast.PointerNode:
		return "a closure"
	case *ast.BytesNode:
		return "a bytes literal"
	}
	return "this"
}

// field reads a path such as a.b[0].c; a?.b is the same as a.b, for a path through
// null is null anyway.
func (w *walker) field(n ast.Node, op opcode) *term {
	steps, ok := w.steps(n, 0)
	if !ok {
		return w.fail(n, "members can be taken only of a field, by name or by an index from 0")
	}
	t, err := newField(w.scope, op, codecs.NewPath(steps...))
	return w.made(n, t, err)
}

func (w *walker) steps(n ast.Node, depth int) ([]codecs.Step, bool) {
	if depth > codecs.MaxPathSteps {
		return nil, false
	}
	switch n := n.(type) {
	case *ast.IdentifierNode:
		if strings.HasPrefix(n.Value, "$") {
			return nil, false
		}
		return []codecs.Step{{Member: n.Value}}, true
	case *ast.ChainNode:
		return w.steps(n.Node, depth+1)
	case *ast.MemberNode:
		steps, ok := w.steps(n.Node, depth+1)
		if !ok || n.Method {
			return nil, false
		}
		switch property := n.Property.(type) {
		case *ast.StringNode:
			return append(steps, codecs.Step{Member: property.Value}), true
		case *ast.IntegerNode:
			return append(steps, codecs.Step{Index: property.Value, IsIndex: true}), property.Value <= codecs.MaxPathIndex
		}
	}
	return nil, false
}

func (w *walker) unary(n *ast.UnaryNode) *term {
	op := opNot
	switch n.Operator {
	case "not", "!":
	case "-":
		op = opNeg
	default:
		return w.fail(n, "unary %s is not available in expressions", n.Operator)
	}
	t, err := newTerm(&term{op: op, args: []*term{w.walk(n.Node)}})
	return w.made(n, t, err)
}

// binaryOp finds the operation expr-lang writes as text.
func binaryOp(text string) (opcode, bool) {
	switch text {
	case "&&":
		return opAnd, true
	case "||":
		return opOr, true
	}
	for op := range symbols {
		switch opcode(op) {
		case opNot, opNeg, opIsNull, opNotNull, opIf, opCall:
			continue
		}
		if symbols[op].text == text && text != "" {
			return opcode(op), true
		}
	}
	return 0, false
}

func (w *walker) binary(n *ast.BinaryNode) *term {
	op, ok := binaryOp(n.Operator)
	if !ok {
		hint := ""
		if n.Operator == "^" {
			hint = "; a power is written **"
		}
		return w.fail(n, "%s is not available in expressions%s", n.Operator, hint)
	}
	switch op {
	case opAnd, opOr:
		return w.logic(n, op)
	case opIn:
		return w.in(n)
	case opMatches:
		return w.matches(n)
	}
	a, b := w.walk(n.Left), w.walk(n.Right)
	if w.failure != nil {
		return a
	}
	var t *term
	var err error
	if op >= opEq && op <= opGe {
		t, err = newComparison(op, a, b)
	} else {
		t, err = newTerm(&term{op: op, args: []*term{a, b}})
	}
	return w.made(n, t, err)
}

// logic walks a run of the same operator as one list, so that its length does not
// count as nesting.
func (w *walker) logic(n *ast.BinaryNode, op opcode) *term {
	var nodes []ast.Node
	var left ast.Node = n
	for {
		b, ok := left.(*ast.BinaryNode)
		if !ok || w.nodes+len(nodes) > maxExprNodes {
			break
		}
		if same, known := binaryOp(b.Operator); !known || same != op {
			break
		}
		nodes = append(nodes, b.Right)
		left = b.Left
	}
	operands := []*term{w.walk(left)}
	for i := len(nodes) - 1; i >= 0; i-- {
		operands = append(operands, w.walk(nodes[i]))
	}
	if w.failure != nil {
		return operands[0]
	}
	t, err := newLogic(op, operands...)
	return w.made(n, t, err)
}

func (w *walker) in(n *ast.BinaryNode) *term {
	array, ok := n.Right.(*ast.ArrayNode)
	if !ok {
		return w.fail(n.Right, `in needs a list of literals, like ["JFK", "EWR"]`)
	}
	x := w.walk(n.Left)
	list := make([]codecs.Value, 0, len(array.Nodes))
	for _, e := range array.Nodes {
		t := w.walk(e)
		if t.op != opLiteral && w.failure == nil {
			return w.fail(e, `in needs a list of literals, like ["JFK", "EWR"]`)
		}
		list = append(list, t.value)
	}
	if w.failure != nil {
		return x
	}
	t, err := newIn(x, list)
	return w.made(n, t, err)
}

func (w *walker) matches(n *ast.BinaryNode) *term {
	pattern, ok := n.Right.(*ast.StringNode)
	if !ok {
		return w.fail(n.Right, "matches needs its pattern as a literal string")
	}
	re, err := regexp.Compile(pattern.Value)
	if err != nil {
		return w.fail(n.Right, "%v", err)
	}
	x := w.walk(n.Left)
	if w.failure != nil {
		return x
	}
	t, err := newTerm(&term{op: opMatches, args: []*term{x}, re: re})
	return w.made(n, t, err)
}
