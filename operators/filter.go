package operators

import (
	"fmt"

	"leat/codecs"
	"leat/dataflow"
)

// Filter keeps the rows for which a condition is true. Rows for which it is false
// or null are counted as filtered, unless they come from behind an exchange; where it
// fails, or gives anything else, the row is a dead letter.
type Filter struct {
	condition dataflow.Expr
}

// NewFilter makes a Filter whose condition gives a Bool or Null.
func NewFilter(condition dataflow.Expr) *Filter { return &Filter{condition: condition} }

// Process implements dataflow.Operator.
func (f *Filter) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	kept := b.Selected[:0]
	filtered := 0
	var dead []rejected
	for _, row := range b.Selected {
		v, err := f.condition.Eval(b, int(row))
		switch {
		case err != nil:
			dead = append(dead, rejected{int(row), err.Error()})
		case v.Kind == codecs.Bool && v.Num != 0:
			kept = append(kept, row)
		case v.Kind == codecs.Bool || v.IsNull():
			filtered++
		default:
			dead = append(dead, rejected{int(row), fmt.Sprintf("the filter gives %s, not true or false", v.Kind)})
		}
	}
	b.Selected = kept
	if err := out.Emit(b); err != nil {
		return err // rows from behind an exchange are offered again
	}
	if b.Source >= 0 {
		out.Filtered(filtered)
	}
	report(dead, b, out)
	return nil
}
