package queries

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// parseExpr reads an expression over the names of scope. Of the language only what
// walk knows is accepted, whatever the parser knows.
func parseExpr(text string, names scope) (*term, *exprError) {
	w, root, failure := newWalker(text, names)
	if failure != nil {
		return nil, failure
	}
	t := w.walk(root)
	if w.failure != nil {
		return nil, w.failure
	}
	return t, nil
}

// parseAggregate reads fn(expr), fn(expr, x) or fn(). Of an unknown function nothing
// but the name is there.
func parseAggregate(text string, names scope) (a boundAggregate, failure *exprError) {
	w, root, failure := newWalker(text, names)
	if failure != nil {
		return a, failure
	}
	fn, args, ok := calledFunction(root)
	if !ok {
		return a, &exprError{at: -1, message: `an aggregate is written like "count()" or "avg(dep_delay)"`}
	}
	a.fn = fn
	extra := extraMember(fn)
	switch {
	case !slices.Contains(aggregateNames, fn), len(args) == 0 && fn == "count":
		return a, nil
	case extra == "" && len(args) != 1:
		return a, &exprError{at: -1, message: fmt.Sprintf("%s() takes one argument, not %d", fn, len(args))}
	case extra != "" && len(args) != 2:
		return a, &exprError{at: -1, message: fmt.Sprintf("%s() takes two arguments, not %d", fn, len(args))}
	}
	a.arg = w.walk(args[0])
	if extra != "" {
		a.second(w, args[1])
	}
	return a, w.failure
}

// second reads the second argument.
func (a *boundAggregate) second(w *walker, n ast.Node) {
	t := w.walk(n)
	if extraMember(a.fn) == "by" {
		a.by = t
		return
	}
	var fits bool
	if a.param, fits = aggregateParam(a.fn, t.value); (t.op != opLiteral || !fits) && w.failure == nil {
		w.fail(n, "%s", paramMeaning(a.fn))
	}
}

// calledFunction is the name and the arguments of a call of a plain function.
func calledFunction(n ast.Node) (name string, args []ast.Node, ok bool) {
	switch n := n.(type) {
	case *ast.CallNode:
		if callee, isName := n.Callee.(*ast.IdentifierNode); isName {
			return callee.Value, n.Arguments, true
		}
	case *ast.BuiltinNode:
		return n.Name, n.Arguments, true
	}
	return "", nil, false
}

func newWalker(text string, names scope) (*walker, ast.Node, *exprError) {
	if len(text) > MaxExprBytes {
		return nil, nil, &exprError{at: -1, message: fmt.Sprintf("an expression of more than %d bytes", MaxExprBytes)}
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil, &exprError{at: -1, message: "an empty expression"}
	}
	config := conf.CreateNew()
	config.MaxNodes = maxExprNodes
	for _, name := range aggregateNames {
		// A function of one's own is parsed as a plain call; sum, say, would
		// otherwise be one that takes a closure.
		config.Functions[name] = nil
	}
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		failure := &exprError{at: -1, message: err.Error()}
		var at *file.Error
		if errors.As(err, &at) {
			failure.at = at.From
			failure.message = strings.Replace(at.Message, "unexpected token EOF", "the expression ends too early", 1)
		}
		return nil, nil, failure
	}
	return &walker{scope: names}, tree.Node, nil
}
