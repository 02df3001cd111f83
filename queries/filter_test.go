package queries

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"leat/codecs"
	"leat/internal/testenv"
)

// listFilter makes a random condition in both forms of a filter.
func (g exprGen) listFilter(depth int) (text string, condition map[string]any) {
	switch {
	case depth > 0 && g.IntN(3) == 0:
		op := g.pick("and", "or")
		texts, nested := make([]string, 1+g.IntN(3)), []any{}
		for i := range texts {
			inner, c := g.listFilter(depth - 1)
			texts[i] = "(" + inner + ")"
			nested = append(nested, c)
		}
		return strings.Join(texts, " "+op+" "), map[string]any{op: nested}
	case depth > 0 && g.IntN(4) == 0:
		inner, c := g.listFilter(depth - 1)
		return "not (" + inner + ")", map[string]any{"not": c}
	}
	name := g.pick("i", "j", "f", "s", "u", "p")
	field := func(op string, value any) map[string]any {
		return map[string]any{"field": name, "op": op, "value": value}
	}
	switch g.IntN(6) {
	case 0:
		if g.IntN(2) == 0 {
			return "not has(" + name + ")", field("exists", false)
		}
		return "has(" + name + ")", map[string]any{"field": name, "op": "exists"}
	case 1:
		return name + " == nil", field("eq", nil)
	case 2:
		return name + ` contains "b"`, field("contains", "b")
	case 3:
		values := []any{1, 2.5, "a", nil, true, "Ab", -1}[:1+g.IntN(7)]
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = jsonLiteral(v)
		}
		return name + " in [" + strings.Join(texts, ", ") + "]", field("in", values)
	}
	value := []any{0, -3, 0.5, 7, "a", "bb"}[g.IntN(6)]
	ops := []string{"eq", "ne", "lt", "le", "gt", "ge"}
	at := g.IntN(len(ops))
	symbol := []string{"==", "!=", "<", "<=", ">", ">="}[at]
	return fmt.Sprintf("%s %s %s", name, symbol, jsonLiteral(value)), field(ops[at], value)
}

func jsonLiteral(v any) string {
	if v == nil {
		return "nil"
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// TestFilterForms holds that a filter list and the same filter as an expression
// compile to the same thing: one normal form, and the same answer or error for rows
// of any kinds.
func TestFilterForms(t *testing.T) {
	t.Parallel()
	g := exprGen{testenv.Rand(t)}
	for range 400 {
		var texts []string
		conditions := []any{}
		for range 1 + g.IntN(3) {
			text, c := g.listFilter(3)
			texts, conditions = append(texts, "("+text+")"), append(conditions, c)
		}
		text := strings.Join(texts, " and ")
		a, b := planOfFilter(t, conditions), planOfFilter(t, text)
		if a.FilterText != b.FilterText {
			t.Fatalf("%v is %s, %s is %s", conditions, a.FilterText, text, b.FilterText)
		}
		for range 20 {
			r := g.sampleRow(true)
			if g.IntN(3) == 0 {
				r[g.pick("i", "s", "p")] = []codecs.Value{codecs.ObjectValue("{}"), codecs.StringValue("b"), codecs.IntValue(0)}[g.IntN(3)]
			}
			va, ea := a.Filter.Eval(batchOf(a.Sources[0].Paths, r), 0)
			vb, eb := b.Filter.Eval(batchOf(b.Sources[0].Paths, r), 0)
			if x, y := outcome(va, ea), outcome(vb, eb); x != y {
				t.Fatalf("%v is %s, %s is %s, row %v", conditions, x, text, y, r)
			}
			if ea == nil && va.Kind != codecs.Bool {
				t.Fatalf("%s is %s", text, literalText(va))
			}
		}
	}
}

func planOfFilter(t *testing.T, filter any) *Plan {
	t.Helper()
	body, err := json.Marshal(map[string]any{"name": "q", "source": map[string]any{"topic": "flights"}, "filter": filter})
	if err != nil {
		t.Fatal(err)
	}
	_, plan, _, problems := Compile(context.Background(), body, specTopics{})
	if plan == nil {
		t.Fatalf("%s: %s", body, problems)
	}
	return plan
}

// TestFilterDropsNull holds that a filter that comes out null drops the row.
func TestFilterDropsNull(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"p", "not p", "p and true", "p or false", "p ?? (nil ?? p)"} {
		plan := planOfFilter(t, text)
		if v, err := plan.Filter.Eval(batchOf(plan.Sources[0].Paths, exprRow{}), 0); err != nil || v != codecs.BoolValue(false) {
			t.Errorf("%s of null is %s", text, outcome(v, err))
		}
	}
}
