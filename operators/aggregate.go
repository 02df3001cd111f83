package operators

import (
	"container/heap"
	"fmt"

	"leat/codecs"
	"leat/dataflow"
)

// AggregateConfig says what an Aggregate does. SizeMs is a multiple of EveryMs, which is
// positive; that is not checked.
type AggregateConfig struct {
	SizeMs, EveryMs int64 // windows [k*EveryMs, k*EveryMs+SizeMs); equal for tumbling ones
	Keys            []int // columns that form the group key
	Aggregates      []AggregateSpec
	Having          dataflow.Expr // over the grouped row; nil = every row leaves
	Partitions      int           // of the source, 0 behind an exchange
	Changes         bool          // the present rows of open windows are given too, see OnChanges
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
	grouping
	size, every int64

	shares   []*share // by source partition
	segments map[pane]*segment
	order    paneHeap   // of the segments no window of which has left
	open     []*segment // the others
	progress progress
	closing  *closing
	changed  []*segment // since the last snapshot
	dropped  []pane

	giving   bool          // changes are: see OnChanges
	given    dataflow.Time // end of the window whose changes are, or of the last one that has left
	pending  [][]byte      // keys of its groups that are still to be given, views
	ranked   []ranked      // memory of the sorting
	partials []partial     // of closing
	key      []byte
	value    []byte
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

// NewAggregate makes an Aggregate without state. It fails where an aggregate has a function
// that is not known, or lacks an argument.
func NewAggregate(c AggregateConfig) (*Aggregate, error) {
	g, err := newGrouping(c.Keys, c.Aggregates, c.Having)
	if err != nil {
		return nil, err
	}
	a := &Aggregate{
		grouping: g, size: c.SizeMs, every: c.EveryMs,
		segments: map[pane]*segment{},
		progress: progress{closed: dataflow.MinTime, end: dataflow.MinTime},
	}
	if a.changes = c.Changes; a.changes && a.having != nil {
		a.shown = newShown(false)
	}
	for range max(1, c.Partitions) {
		a.shares = append(a.shares, newShare(len(g.list)))
	}
	return a, nil
}

// Process implements dataflow.Operator.
func (a *Aggregate) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	if b.Source >= len(a.shares) {
		return fmt.Errorf("source %d of %d", b.Source, len(a.shares))
	}
	s := a.shares[max(b.Source, 0)]
	used, missed := 0, int64(0)
	for _, row := range b.Selected {
		if reason := a.evaluate(&s.given, b, int(row)); reason != "" {
			out.Dead(b, int(row), reason)
			continue
		}
		of, late := a.paneOf(b.Windows[row], b.Times[row])
		p := a.use(s, of)
		slot := p.find(codecs.KeyHash(s.key), s.key)
		for i := range a.list {
			a.list[i].add(p, slot, &s.operands[i])
		}
		s.markChanged(p, slot)
		if a.changes {
			s.markDirty(p, slot)
		}
		used++
		missed += late
	}
	a.settle(s)
	if b.Source >= 0 {
		out.Used(used)
		out.LateWindows(missed)
	}
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

// segment returns the segment of a pane, making it if there is none.
func (a *Aggregate) segment(of pane) *segment {
	s := a.segments[of]
	if s == nil {
		s = &segment{pane: of, bySource: make([]*panes, len(a.shares))}
		a.segments[of] = s
		heap.Push(&a.order, of)
	}
	return s
}

// drop forgets a segment.
func (a *Aggregate) drop(s *segment) {
	delete(a.segments, s.pane)
	for source, p := range s.bySource {
		if p != nil {
			a.shares[source].drop(p, maxSpareBytes/int64(maxSpare*len(a.shares)))
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
