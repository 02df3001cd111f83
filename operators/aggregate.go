package operators

import (
	"container/heap"
	"fmt"

	"leat/codecs"
	"leat/dataflow"
)

// AggregateConfig says what an Aggregate does.
type AggregateConfig struct {
	SizeMs, EveryMs int64 // windows [k*EveryMs, k*EveryMs+SizeMs); equal for tumbling ones
	Keys            []int // columns that form the group key
	Aggregates      []AggregateSpec
	Having          dataflow.Expr // over the grouped row; nil = every row leaves
	Partitions      int           // of the source
}

// Aggregate keeps one running partial per source partition, pane and group key, and
// emits the windows that the watermark has passed: by end, the groups of a window in
// the order of their canonical keys, partials merged in the order of the partitions
// and, in a partition, of the panes. A grouped row has a column per key, one per
// aggregate, window_start and window_end. A result that cannot be given (an integer
// overflow), or a having that fails, makes its row a dead letter.
//
// A pane holds the rows that count in the same windows. Of tumbling windows it is the
// window; of hopping ones the rows between two neighbouring boundaries of windows, and
// apart from them those that came too late for some. Panes have the order of the last
// window they count in, and then of the first. Panes are merged, nothing is ever taken
// out of a partial.
//
// All keys and arguments of a row are evaluated before any partial is touched: a row
// that fails is a dead letter and changes nothing.
type Aggregate struct {
	size, every int64
	keys        []int
	list        []accumulator
	layout      layout
	having      dataflow.Expr

	segments map[pane]*segment
	order    paneHeap   // of the segments no window of which has left
	open     []*segment // the others
	progress progress
	last     []*panes // by source: the panes of the row before
	spare    []*panes // to be used again; what was emitted of them stays readable until then
	closing  *closing
	changed  []*segment // since the last snapshot
	dropped  []pane
	written  int64 // bytes the next incremental snapshot will take

	key      []byte
	value    []byte
	operands []operand
	out      dataflow.Batch
	dead     []rejected
}

// pane is the ends of the first and of the last window that its rows count in.
type pane struct{ first, last dataflow.Time }

// segment is what is kept of one pane.
type segment struct {
	pane
	bySource  []*panes // nil where the partition has no row in it
	open      bool     // listed in Aggregate.open
	changed   bool     // listed in Aggregate.changed
	persisted bool     // something of it lies in the state log
}

// progress says what has left.
type progress struct {
	closed  dataflow.Time // windows up to this end have left
	end     dataflow.Time // of the window after that
	emitted []byte        // its groups up to this key have left; nil for none
	changed bool          // since the last snapshot
}

// NewAggregate makes an Aggregate.
func NewAggregate(c AggregateConfig) (*Aggregate, error) {
	list, size, err := compileAccumulators(c.Aggregates)
	if err != nil {
		return nil, err
	}
	return &Aggregate{
		size: c.SizeMs, every: c.EveryMs, keys: c.Keys, list: list, layout: size, having: c.Having,
		segments: map[pane]*segment{},
		progress: progress{closed: dataflow.MinTime, end: dataflow.MinTime},
		last:     make([]*panes, c.Partitions),
		operands: make([]operand, len(list)),
	}, nil
}

// Process implements dataflow.Operator.
func (a *Aggregate) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	used, missed := 0, int64(0)
	for _, row := range b.Selected {
		if reason := a.evaluate(b, int(row)); reason != "" {
			out.Dead(b, int(row), reason)
			continue
		}
		of, late := a.paneOf(b.Windows[row], b.Times[row])
		p, err := a.panesOf(b.Source, of)
		if err != nil {
			return err
		}
		slot := p.find(codecs.KeyHash(a.key), a.key)
		for i := range a.list {
			a.list[i].add(p, slot, &a.operands[i])
		}
		a.markChanged(p, slot)
		used++
		missed += late
	}
	if p := a.last[b.Source]; p != nil {
		p.compact(a.list)
	}
	out.Used(used)
	out.LateWindows(missed)
	return nil
}

// paneOf is the pane of a row that counts in the window from start and all later ones
// of its event time, and how many earlier ones it is late for.
func (a *Aggregate) paneOf(start, t dataflow.Time) (of pane, late int64) {
	end := start.Plus(a.size)
	if a.every == a.size {
		return pane{end, end}, 0
	}
	earliest, latest := hoppingWindows(t, a.size, a.every)
	return pane{end, latest.Plus(a.size)}, int64(start-earliest) / a.every
}

// evaluate fills key and operands, or says why it cannot.
func (a *Aggregate) evaluate(b *dataflow.Batch, row int) (reason string) {
	a.key = a.key[:0]
	for _, c := range a.keys {
		a.key = codecs.AppendKey(a.key, b.Columns.Cols[c].Value(row))
	}
	if len(a.key) > MaxKeyBytes {
		return fmt.Sprintf("the group key has %d bytes, more than %d", len(a.key), MaxKeyBytes)
	}
	for i := range a.list {
		acc, in := &a.list[i], &a.operands[i]
		if acc.arg == nil {
			continue
		}
		var err error
		in.t = b.Times[row]
		if in.v, err = acc.arg.Eval(b, row); err != nil {
			return failed(acc.text, err)
		}
		if acc.by != nil {
			if in.by, err = acc.by.Eval(b, row); err != nil {
				return failed(acc.text, err)
			}
		}
		if reason := acc.accepts(in); reason != "" {
			return reason
		}
	}
	return ""
}

func (a *Aggregate) panesOf(source int, of pane) (*panes, error) {
	if p := a.last[source]; p != nil && p.pane == of {
		return p, nil
	}
	if source < 0 || source >= len(a.last) {
		return nil, fmt.Errorf("source %d of %d", source, len(a.last))
	}
	if p := a.last[source]; p != nil {
		p.compact(a.list)
	}
	s := a.segments[of]
	if s == nil {
		s = &segment{pane: of, bySource: make([]*panes, len(a.last))}
		a.segments[of] = s
		heap.Push(&a.order, of)
	}
	p := s.bySource[source]
	if p == nil {
		p = a.newPanes(of)
		s.bySource[source] = p
	}
	a.last[source] = p
	return p, nil
}

// What is kept of the memory of panes that are gone.
const (
	maxSpare      = 8
	maxSpareBytes = 1 << 20
)

func (a *Aggregate) newPanes(of pane) *panes {
	last := len(a.spare) - 1
	if last < 0 {
		return newPanes(of, a.layout)
	}
	p := a.spare[last]
	a.spare = a.spare[:last]
	p.pane = of
	return p
}

func (a *Aggregate) markChanged(p *panes, slot uint32) {
	if len(p.changed) == 0 {
		s := a.segments[p.pane]
		if !s.changed {
			s.changed = true
			a.changed = append(a.changed, s)
		}
	}
	a.written += p.markChanged(slot)
}

// drop forgets a segment.
func (a *Aggregate) drop(s *segment) {
	delete(a.segments, s.pane)
	for source, p := range s.bySource {
		if p == nil {
			continue
		}
		a.written -= p.changedBytes
		if a.last[source] == p {
			a.last[source] = nil
		}
		if len(a.spare) < maxSpare && p.bytes() <= maxSpareBytes {
			p.recycle()
			a.spare = append(a.spare, p)
		}
	}
	if s.persisted {
		a.dropped = append(a.dropped, s.pane)
	}
	s.bySource = nil // if listed in changed, there is nothing left to write
}

// paneHeap orders panes by their first window.
type paneHeap []pane

func (h paneHeap) Len() int           { return len(h) }
func (h paneHeap) Less(i, j int) bool { return h[i].first < h[j].first }
func (h paneHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *paneHeap) Push(x any)        { *h = append(*h, x.(pane)) }
func (h *paneHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
