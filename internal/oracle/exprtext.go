package oracle

import (
	"fmt"
	"strings"
)

// String writes an expression as a query does, with more parentheses than it needs.
func (e *Expr) String() string {
	args := make([]string, len(e.Args))
	for i, a := range e.Args {
		args[i] = a.String()
	}
	switch e.Op {
	case "lit":
		return e.lit.literal()
	case "field":
		return e.Text
	case "has":
		return "has(" + e.Text + ")"
	case "not":
		return "(not " + args[0] + ")"
	case "neg":
		return "(-" + args[0] + ")"
	case "nil":
		return "(" + args[0] + " == nil)"
	case "notnil":
		return "(" + args[0] + " != nil)"
	case "in":
		return fmt.Sprintf("(%s in [%s])", args[0], strings.Join(args[1:], ", "))
	case "?:":
		return fmt.Sprintf("(%s ? %s : %s)", args[0], args[1], args[2])
	case "and", "or", "==", "!=", "<", "<=", ">", ">=", "contains", "startsWith", "endsWith", "+", "-", "*", "/", "%", "??":
		return "(" + strings.Join(args, " "+e.Op+" ") + ")"
	}
	switch e.Op {
	case "slice":
		return fmt.Sprintf("%s[%s:%s]", args[0], args[1], args[2])
	case "part":
		return fmt.Sprintf("split(%s, %s)[%s]", args[0], args[1], args[2])
	case "trimset":
		return fmt.Sprintf("trim(%s, %s)", args[0], args[1])
	}
	return e.Op + "(" + strings.Join(args, ", ") + ")"
}

// literal writes a value so that it keeps its type.
func (v value) literal() string {
	switch v.kind {
	case null:
		return "nil"
	case float:
		if s := v.json(); !strings.ContainsAny(s, ".e") {
			return s + ".0"
		}
	}
	return v.json()
}

// list writes a condition, the outermost and as a list, in the form of filter lists.
// It is made of not, and, or, has and comparisons of a field with a literal only.
func (e *Expr) list() string {
	operands := []*Expr{e}
	if e.Op == "and" {
		operands = e.Args
	}
	return conditions(operands)
}

func conditions(operands []*Expr) string {
	var parts []string
	for _, a := range operands {
		parts = append(parts, a.conditionJSON())
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func (e *Expr) conditionJSON() string {
	ops := map[string]string{"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "contains": "contains"}
	switch e.Op {
	case "and", "or":
		return fmt.Sprintf(`{%q:%s}`, e.Op, conditions(e.Args))
	case "not":
		return `{"not":` + e.Args[0].conditionJSON() + "}"
	case "has":
		return fmt.Sprintf(`{"field":%s,"op":"exists"}`, quote(e.Text))
	case "nil":
		return fmt.Sprintf(`{"field":%s,"op":"eq","value":null}`, quote(e.Args[0].Text))
	case "notnil":
		return fmt.Sprintf(`{"field":%s,"op":"ne","value":null}`, quote(e.Args[0].Text))
	case "in":
		var values []string
		for _, a := range e.Args[1:] {
			values = append(values, a.lit.literalJSON())
		}
		return fmt.Sprintf(`{"field":%s,"op":"in","value":[%s]}`, quote(e.Args[0].Text), strings.Join(values, ","))
	}
	return fmt.Sprintf(`{"field":%s,"op":%q,"value":%s}`, quote(e.Args[0].Text), ops[e.Op], e.Args[1].lit.literalJSON())
}

// literalJSON is literal in JSON.
func (v value) literalJSON() string {
	if v.kind == null {
		return "null"
	}
	return v.literal()
}
