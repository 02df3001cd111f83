package operators

import (
	"fmt"
	"slices"
	"testing"

	"leat/codecs"
	"leat/dataflow"
)

// changelog takes the changes of an operator whose rows have one key: a line a row, with
// what is done with it, the key and the bounds of the window.
type changelog struct {
	collector
	lines []string
}

func (c *changelog) Emit(b *dataflow.Batch) error {
	for _, row := range b.Selected {
		cell := func(column int) int64 { return int64(b.Columns.Cols[column].Value(int(row)).Num) }
		act := map[dataflow.Act]string{dataflow.PutOut: "put out", dataflow.OnlyTry: "try", dataflow.Replace: "replace", dataflow.Withdraw: "withdraw"}[b.Acts[row]]
		last := len(b.Columns.Cols) - 1
		c.lines = append(c.lines, fmt.Sprintf("%s %d at %d", act, cell(0), cell(last-1)))
	}
	return nil
}

// TestSessionsWithdrawTheirStarts: the row of a session that has become part of one that
// begins before is withdrawn, before the row of that one is given.
func TestSessionsWithdrawTheirStarts(t *testing.T) {
	t.Parallel()
	a, err := NewSessionAggregate(SessionAggregateConfig{
		GapMs: 10, Keys: []int{0}, Aggregates: []AggregateSpec{{Fn: "count", Text: "count()"}}, Having: always{}, Partitions: 1, Changes: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		rows []sessionRow
		want []string
	}{
		{[]sessionRow{{key: 1, t: 20}, {key: 2, t: 20}}, []string{"put out 1 at 20", "put out 2 at 20"}},
		{nil, nil},
		{[]sessionRow{{key: 1, t: 40}}, []string{"put out 1 at 40"}},
		// It joins the sessions of key 1 that begin at 20 and at 40.
		{[]sessionRow{{key: 1, t: 11}, {key: 1, t: 29}, {key: 1, t: 35}}, []string{"withdraw 1 at 20", "withdraw 1 at 40", "put out 1 at 11"}},
		{[]sessionRow{{key: 1, t: 12}}, []string{"replace 1 at 11"}},
	} {
		for i := range step.rows {
			step.rows[i].value = codecs.IntValue(0)
		}
		var out changelog
		if len(step.rows) > 0 {
			if err := a.Process(0, batchOfSessions(0, step.rows), &out); err != nil {
				t.Fatal(err)
			}
		}
		for done := false; !done; {
			if done, err = a.OnChanges(&out); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(out.lines, step.want) {
			t.Errorf("after %v: %q, want %q", step.rows, out.lines, step.want)
		}
	}
}

// always is true.
type always struct{}

func (always) Eval(*dataflow.Batch, int) (codecs.Value, error) { return codecs.BoolValue(true), nil }
