package operators

import (
	"errors"
	"slices"
	"testing"

	"leat/codecs"
	"leat/dataflow"
)

// boolsOnly is column 1, which has to be a bool or null.
type boolsOnly struct{}

func (boolsOnly) Eval(b *dataflow.Batch, row int) (codecs.Value, error) {
	v := b.Columns.Cols[1].Value(row)
	if !v.IsNull() && v.Kind != codecs.Bool {
		return v, errors.New("no bool")
	}
	return v, nil
}

// TestAggregateFilter: an aggregate takes the rows its filter is true for and evaluates
// nothing else of the others; a filter that fails makes the row a dead letter for all
// aggregates; a group is there even if no row of it is taken.
func TestAggregateFilter(t *testing.T) {
	t.Parallel()
	x := dataflow.Column(0)
	a, err := NewAggregate(AggregateConfig{SizeMs: 10, EveryMs: 10, Keys: []int{2}, Partitions: 1, Aggregates: []AggregateSpec{
		{Fn: "count", Text: "count()"},
		{Fn: "count", Text: "count()", Filter: boolsOnly{}},
		{Fn: "sum", Arg: x, Text: "sum(x)", Filter: boolsOnly{}},
		{Fn: "collect", Arg: x, Text: "collect(x)", Filter: boolsOnly{}},
		{Fn: "max_by", Arg: x, By: x, Text: "max_by(x, x)", Filter: boolsOnly{}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	yes, no, null, i, s := codecs.BoolValue(true), codecs.BoolValue(false), codecs.NullValue(), codecs.IntValue, codecs.StringValue
	rows := [][3]codecs.Value{ // x, filter, key
		{i(1), yes, s("a")}, {i(2), no, s("a")}, {s("text"), no, s("a")}, {s("text"), null, s("a")}, {i(3), yes, s("a")},
		{i(4), i(1), s("a")}, {s("text"), yes, s("a")}, // dead
		{i(5), {}, s("b")}, {s("text"), no, s("b")},
		{i(6), i(1), s("c")}, // dead: there is no group c
	}
	b := column(make([]codecs.Value, len(rows))...)
	b.Columns.Reset(len(rows), 3)
	b.Windows = make([]dataflow.Time, len(rows))
	for row, values := range rows {
		for c, v := range values {
			b.Columns.Cols[c].Set(row, v)
		}
	}
	var out collector
	if err := a.Process(0, b, &out); err != nil {
		t.Fatal(err)
	}
	if want := []string{"filter of count(): no bool", "sum(x): string is not a number", "filter of count(): no bool"}; !slices.Equal(out.dead, want) || out.used != 7 {
		t.Errorf("dead %q, used %d", out.dead, out.used)
	}
	want := []string{
		`{"c0":"a","c1":5,"c2":2,"c3":4,"c4":[1,3],"c5":3,"c6":0,"c7":10}`,
		`{"c0":"b","c1":2,"c2":0,"c3":null,"c4":[],"c5":null,"c6":0,"c7":10}`,
	}
	if got := drainAll(t, a, 0); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
