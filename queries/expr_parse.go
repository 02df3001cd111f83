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

// parseAggregate reads fn(expr) or fn(). The argument is nil for the latter.
func parseAggregate(text string, names scope) (fn string, arg *term, failure *exprError) {
	w, root, failure := newWalker(text, names)
	if failure != nil {
		return "", nil, failure
	}
	fn, args, ok := calledFunction(root)
	if !ok {
		return "", nil, &exprError{at: -1, message: `an aggregate is written like "count()" or "avg(dep_delay)"`}
	}
	if !slices.Contains(aggregateNames, fn) {
		return fn, nil, nil
	}
	switch {
	case len(args) == 0 && fn == "count":
		return fn, nil, nil
	case len(args) != 1:
		return "", nil, &exprError{at: -1, message: fmt.Sprintf("%s() takes one argument, not %d", fn, len(args))}
	}
	arg = w.walk(args[0])
	if w.failure != nil {
		return "", nil, w.failure
	}
	return fn, arg, nil
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
