package operators

import (
	"errors"
	"fmt"

	"leat/codecs"
	"leat/dataflow"
	"leat/log"
)

// The sides of a join: the inputs of the operator, and indexes of what is kept by side.
const (
	Left = iota
	Right
)

// JoinConfig says what a Join does. Who makes it sees to it that it holds together:
// nothing of it is checked.
type JoinConfig struct {
	Reach   Reach
	Keys    [2][]int     // by side: columns of its batches, the k-th of the left equal to the k-th of the right
	Columns []JoinColumn // of the joined rows
	Outer   [2]bool      // by side: rows that match nothing go out too
	// Once has each left row match at most one right row: the first in the order of
	// (event time, partition, offset).
	Once       bool
	Partitions [2]int   // source partitions by side, those of the left first
	Names      []string // of the joined rows' columns
}

// JoinColumn is one column of a joined row: a column of the batches of a side, or a
// bound of the window, which only tumbling joins have. The columns of a side that a row
// lacks are Missing, or Null where they hold the whole row of the side.
type JoinColumn struct {
	Kind   JoinColumnKind
	Side   int
	Column int
	Whole  bool
}

// JoinColumnKind tells where the cells of a JoinColumn come from.
type JoinColumnKind uint8

// The kinds of columns of a joined row.
const (
	JoinCell JoinColumnKind = iota
	JoinWindowStart
	JoinWindowEnd
	JoinBlank // Missing: filled by who comes next
)

// Reach says which rows of two sides are near enough in event time to be joined. It is
// either windows or an interval; see windowJoin and intervalJoin.
type Reach interface {
	// late tells whether a row of a side is late under the watermark it carries, and
	// what its letter gives as the window.
	late(side int, t, w dataflow.Time) (late bool, start, end dataflow.Time)
	// span is from when to when, both included, rows of the other side may be joined to
	// a row of this side at t. Both ends never fall as t rises.
	span(side int, t dataflow.Time) (from, to dataflow.Time)
	// arrived is the time before which, at watermark w, no row comes any more.
	arrived(w dataflow.Time) dataflow.Time
	// final is the time before which, at watermark w, all joined rows are known. It is at
	// most arrived(w).
	final(w dataflow.Time) dataflow.Time
	// needed is the time before which rows of a side are of no more use once all joined
	// rows before final have left.
	needed(side int, final dataflow.Time) dataflow.Time
	// window is the window of a joined row at t.
	window(t dataflow.Time) (start, end dataflow.Time)
	// bucket is the time that is dropped as a whole.
	bucket() int64
}

// Join joins the rows of two sides whose keys are equal and whose event times are in
// reach. A key with a null in it equals nothing. Joined rows leave in the order of
// (event time, left partition, left offset, right partition, right offset), where the
// event time is the larger of the two and a side that is lacking comes first. They leave
// once the watermark of all source partitions tells that no other joined row can come
// before them: so an unmatched row leaves once, after everything that it could match.
//
// Rows wait in time buckets, which are dropped whole. What is behind the watermark
// can be joined without looking back: the rows are taken in the order of (event time,
// partition, offset) into lists, one for each key and side, which grow at one end and
// are dropped at the other. Which rows match is a function of the rows that are there;
// nothing is noted on a row.
//
// Process may be called at the same time for batches of different sources. Rows count as
// used once they are in the state, or can match nothing.
type Join struct {
	reach   Reach
	keys    [2][]int
	columns []JoinColumn
	cells   [2][]int // columns that are kept of the rows of a side
	outer   [2]bool
	once    bool

	shares []*joinShare // by source partition
	sides  [2]joinSide
	index  joinIndex
	at     joinAt
	final  dataflow.Time // joined rows before it are made

	pending  []joined // made and not yet out
	progress joinProgress
	fresh    bool // restored: shares have rows that are not waiting
	out      dataflow.Batch
	key      []byte
	value    []byte
}

// joined is a joined row: the slots of its two rows, -1 for none.
type joined struct{ left, right int64 }

// NewJoin makes a Join without state, whose watermark is before all time.
func NewJoin(c JoinConfig) *Join {
	j := &Join{
		reach: c.Reach, keys: c.Keys, columns: c.Columns, outer: c.Outer, once: c.Once,
		final: dataflow.MinTime, progress: joinProgress{t: dataflow.MinTime},
	}
	j.at.t = dataflow.MinTime
	j.out.Source, j.out.Names = -1, c.Names
	for _, col := range c.Columns {
		if col.Kind == JoinCell {
			j.cells[col.Side] = append(j.cells[col.Side], col.Column)
		}
	}
	for side, n := range c.Partitions {
		j.sides[side].slabs = map[int64]*slab{}
		for number := range n {
			j.shares = append(j.shares, &joinShare{side: side, number: uint32(number), buckets: map[int64]*joinBucket{}})
		}
	}
	j.index.reset()
	return j
}

// Process implements dataflow.Operator.
func (j *Join) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	if b.Source < 0 || b.Source >= len(j.shares) {
		return fmt.Errorf("source %d of %d", b.Source, len(j.shares))
	}
	s := j.shares[b.Source]
	used := 0
	for _, row := range b.Selected {
		t := b.Times[row]
		if late, start, end := j.reach.late(s.side, t, b.Watermarks[row]); late {
			out.Late(b, int(row), start, end)
			continue
		}
		s.key = s.key[:0]
		for _, c := range j.keys[s.side] {
			v := b.Columns.Cols[c].Value(int(row))
			if v.IsNull() {
				s.key = s.key[:0]
				break
			}
			s.key = codecs.AppendKey(s.key, v)
		}
		if len(s.key) > MaxKeyBytes {
			out.Dead(b, int(row), fmt.Sprintf("the join key has %d bytes, more than %d", len(s.key), MaxKeyBytes))
			continue
		}
		used++
		if len(s.key) == 0 && !j.outer[s.side] {
			continue // it matches nothing
		}
		s.row = s.row[:0]
		for _, c := range j.cells[s.side] {
			s.row = appendValue(s.row, b.Columns.Cols[c].Value(int(row)))
		}
		s.add(j.reach.bucket(), t, b.Offsets[row])
	}
	out.Used(used)
	return nil
}

// Behind implements dataflow.Holder: joined rows before it have left.
func (j *Join) Behind(w dataflow.Time) dataflow.Time { return j.reach.final(w) }

// OnWatermark implements dataflow.WatermarkHandler: each call emits at most one batch.
func (j *Join) OnWatermark(w dataflow.Time, out dataflow.Emitter) (done bool, err error) {
	j.gather()
	if len(j.pending) == 0 {
		j.take(j.reach.arrived(w))
		j.final = max(j.final, j.reach.final(w))
		if j.match(); len(j.pending) == 0 {
			j.forget()
			return true, nil
		}
	}
	for limit := chunkRows; ; {
		rows := j.fill(limit)
		err := out.Emit(&j.out)
		switch {
		case err == nil:
			j.left(rows)
			return false, nil
		case !errors.Is(err, dataflow.ErrFull):
			return false, err
		case rows == 1:
			return false, nil
		}
		limit = max(1, rows/2)
	}
}

// fill makes the batch of the next joined rows, at least one, and returns how many.
func (j *Join) fill(limit int) (rows int) {
	limit = min(limit, len(j.pending))
	o := &j.out
	o.Columns.Reset(limit, len(j.columns))
	o.Times, o.Watermarks = resize(o.Times, limit), resize(o.Watermarks, limit)
	o.Selected = resize(o.Selected, limit)[:0]
	for size := 0; rows < limit && size < chunkBytes; rows++ {
		p := j.pending[rows]
		t := dataflow.MinTime
		for side, slot := range [2]int64{p.left, p.right} {
			if slot < 0 {
				j.fillLacking(side, rows)
				continue
			}
			r := j.sides[side].row(slot)
			t = max(t, r.t)
			size += j.fillSide(side, r, rows)
		}
		j.fillWindow(t, rows)
		o.Times[rows], o.Watermarks[rows] = t, dataflow.MinTime
		o.Selected = append(o.Selected, int32(rows))
	}
	o.Rows, o.Columns.Rows = rows, rows
	return rows
}

// fillSide sets the columns of one side, and returns the size of what they hold.
func (j *Join) fillSide(side int, r *joinRow, row int) int {
	cells := r.bucket.cells(r.i)
	in := reader{src: cells}
	for c, col := range j.columns {
		if col.Kind == JoinCell && col.Side == side {
			j.out.Columns.Cols[c].Set(row, in.cell())
		}
	}
	return len(cells)
}

func (j *Join) fillLacking(side, row int) {
	for c, col := range j.columns {
		if col.Whole && col.Side == side {
			j.out.Columns.Cols[c].Set(row, codecs.NullValue())
		}
	}
}

func (j *Join) fillWindow(t dataflow.Time, row int) {
	for c, col := range j.columns {
		if col.Kind == JoinCell || col.Kind == JoinBlank {
			continue
		}
		start, end := j.reach.window(t)
		if col.Kind == JoinWindowEnd {
			start = end
		}
		j.out.Columns.Cols[c].Set(row, codecs.IntValue(int64(start)))
	}
}

// left notes that the first pending rows have left.
func (j *Join) left(rows int) {
	last := j.pending[rows-1]
	j.progress = joinProgress{t: j.timeOf(last), some: true, pair: j.pairOf(last), changed: true}
	j.pending = j.pending[:copy(j.pending, j.pending[rows:])]
}

func (j *Join) timeOf(p joined) dataflow.Time {
	t := dataflow.MinTime
	if p.left >= 0 {
		t = j.sides[Left].row(p.left).t
	}
	if p.right >= 0 {
		t = max(t, j.sides[Right].row(p.right).t)
	}
	return t
}

// joinPair names a joined row among those of one event time.
type joinPair struct {
	left, right joinPlace
}

// joinPlace is where a row comes from, partition -1 for none.
type joinPlace struct {
	partition int64
	offset    log.Offset
}

func (j *Join) pairOf(p joined) joinPair {
	return joinPair{j.placeOf(Left, p.left), j.placeOf(Right, p.right)}
}

func (j *Join) placeOf(side int, slot int64) joinPlace {
	if slot < 0 {
		return joinPlace{partition: -1}
	}
	r := j.sides[side].row(slot)
	return joinPlace{int64(r.number), r.bucket.offsets[r.i]}
}
