// Package dataflow is the frame that operators work in: batches of rows, what an operator
// is, the graph that passes batches from one to the next, and the form of their state in
// the state log. The operators are in package operators, the job that drives a graph in
// package queries. It knows event time only; no wall clock is read here.
package dataflow

import (
	"math"

	"leat/codecs"
	"leat/log"
)

// Time is an event time or a watermark, in milliseconds since the Unix epoch.
type Time int64

// MinTime is the watermark before any row, MaxTime the final one of a bounded
// run.
const (
	MinTime Time = math.MinInt64
	MaxTime Time = math.MaxInt64
)

// Batch is a run of rows of one source partition, in log order, or the rows an
// operator behind an exchange produced. All slices that are not nil have Rows
// elements. Every view in it lives until the batch has been processed: an
// operator that keeps a string copies it.
type Batch struct {
	Source  int // index of the partition in the list of all source partitions of the plan, -1 behind an exchange
	Rows    int
	Columns codecs.Columns // one column per path the plan asks for, or per output of the operator before
	Values  [][]byte       // the records as stored; nil behind an exchange
	Offsets []log.Offset   // nil behind an exchange
	Keys    [][]byte       // of output rows, what a group is found by again; nil where there are no groups
	Times   []Time         // event times
	// Watermarks holds W(p,o) of each row: (highest event time of the partition
	// before this row) - max_out_of_orderness - allowed_lateness, or the idle mark of
	// the partition where that is higher; MinTime where there is neither. Lateness is
	// decided against it and nothing else.
	Watermarks []Time
	Windows    []Time   // start of the first window each row counts in; nil before a window operator
	Selected   []int32  // rows still alive, ascending
	Names      []string // of the columns, where rows are joined ones; nil for others
	Acts       []Act    // of grouped rows: what is done with each; nil = all are put out
}

// Act is what the output does with a grouped row. With "changes" the rows of a group and
// window are a changelog: each one takes the place of the one before, and a withdrawn one
// (a tombstone, a retraction) says that none counts any more.
type Act uint8

// The acts. A row cannot be put out where an expression of the select fails.
const (
	PutOut   Act = iota // a dead letter if it cannot be put out
	OnlyTry             // never put out; a dead letter if it could not be
	Replace             // put out, and withdrawn if it cannot be
	Withdraw            // withdrawn
)

// Plus adds d without wrapping: the result stays between MinTime and MaxTime.
func (t Time) Plus(d int64) Time {
	sum := t + Time(d)
	switch {
	case d > 0 && sum < t:
		return MaxTime
	case d < 0 && sum > t:
		return MinTime
	}
	return sum
}

// Minus subtracts d, which is not negative, without wrapping.
func (t Time) Minus(d int64) Time { return t.Plus(-d) }

// Expr computes one value from one row. It keeps nothing between calls and may
// be called for any row of the batch. An error sends the row to the dead letters
// with the error's text as the reason.
type Expr interface {
	Eval(b *Batch, row int) (codecs.Value, error)
}

// Column is the Expr that reads column c.
type Column int

// Eval returns the cell of the column, a view as the cell is. It never fails.
func (c Column) Eval(b *Batch, row int) (codecs.Value, error) {
	return b.Columns.Cols[c].Value(row), nil
}
