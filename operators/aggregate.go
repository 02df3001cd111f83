package operators

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"slices"

	"leat/codecs"
	"leat/dataflow"
)

// Aggregate keeps one running partial per source partition, window and group key,
// and emits the windows that the watermark has passed: by end, the groups of a
// window in the order of their canonical keys, partials merged in the order of the
// partitions. A grouped row has a column per key, one per aggregate, window_start
// and window_end. A result that cannot be given (an integer overflow) makes its row
// a dead letter.
//
// All keys and arguments of a row are evaluated before any partial is touched: a row
// that fails is a dead letter and changes nothing.
type Aggregate struct {
	size  int64
	keys  []int
	list  []accumulator
	width int

	windows map[dataflow.Time]*window
	order   windowHeap
	last    []*panes // by source: the panes of the row before
	spare   []*panes // to be used again; what was emitted of them stays readable until then
	closing *closing
	changed []*window // since the last snapshot
	dropped []dataflow.Time
	written int64 // bytes the next incremental snapshot will take

	key    []byte
	value  []byte
	values []codecs.Value
	out    dataflow.Batch
	dead   []rejected
}

// window is what is kept for one window.
type window struct {
	start, end dataflow.Time
	bySource   []*panes // nil where the partition has no row in it
	emitted    []byte   // the groups up to this key have left; nil for none
	progressed bool     // emitted has changed since the last snapshot
	changed    bool     // listed in Aggregate.changed
	persisted  bool     // something of it lies in the state log
}

// NewAggregate makes an Aggregate over tumbling windows of sizeMs. keys are the
// columns that form the group key; partitions is the number of source partitions.
func NewAggregate(sizeMs int64, keys []int, specs []AggregateSpec, partitions int) (*Aggregate, error) {
	list, width, err := compileAccumulators(specs)
	if err != nil {
		return nil, err
	}
	return &Aggregate{
		size: sizeMs, keys: keys, list: list, width: width,
		windows: map[dataflow.Time]*window{},
		last:    make([]*panes, partitions),
		values:  make([]codecs.Value, len(specs)),
	}, nil
}

// Process implements dataflow.Operator.
func (a *Aggregate) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	used := 0
	for _, row := range b.Selected {
		if reason := a.evaluate(b, int(row)); reason != "" {
			out.Dead(b, int(row), reason)
			continue
		}
		p, err := a.panesOf(b.Source, b.Windows[row])
		if err != nil {
			return err
		}
		slot := p.find(codecs.KeyHash(a.key), a.key)
		for i := range a.list {
			a.list[i].add(p, slot, a.values[i])
		}
		a.markChanged(p, slot)
		used++
	}
	if p := a.last[b.Source]; p != nil {
		p.compact(a.list)
	}
	out.Used(used)
	return nil
}

// evaluate fills key and values, or says why it cannot.
func (a *Aggregate) evaluate(b *dataflow.Batch, row int) (reason string) {
	a.key = a.key[:0]
	for _, c := range a.keys {
		a.key = codecs.AppendKey(a.key, b.Columns.Cols[c].Value(row))
	}
	if len(a.key) > MaxKeyBytes {
		return fmt.Sprintf("the group key has %d bytes, more than %d", len(a.key), MaxKeyBytes)
	}
	for i := range a.list {
		acc := &a.list[i]
		if acc.arg == nil {
			continue
		}
		v, err := acc.arg.Eval(b, row)
		if err != nil {
			return failed(acc.text, err)
		}
		if reason := acc.accepts(v); reason != "" {
			return reason
		}
		a.values[i] = v
	}
	return ""
}

func (a *Aggregate) panesOf(source int, start dataflow.Time) (*panes, error) {
	if p := a.last[source]; p != nil && p.start == start {
		return p, nil
	}
	if source < 0 || source >= len(a.last) {
		return nil, fmt.Errorf("source %d of %d", source, len(a.last))
	}
	if p := a.last[source]; p != nil {
		p.compact(a.list)
	}
	w := a.windows[start]
	if w == nil {
		w = &window{start: start, end: start.Plus(a.size), bySource: make([]*panes, len(a.last))}
		a.windows[start] = w
		heap.Push(&a.order, start)
	}
	p := w.bySource[source]
	if p == nil {
		p = a.newPanes(w.start)
		w.bySource[source] = p
	}
	a.last[source] = p
	return p, nil
}

// What is kept of the memory of windows that are gone.
const (
	maxSpare      = 8
	maxSpareBytes = 1 << 20
)

func (a *Aggregate) newPanes(start dataflow.Time) *panes {
	last := len(a.spare) - 1
	if last < 0 {
		return newPanes(start, a.width)
	}
	p := a.spare[last]
	a.spare = a.spare[:last]
	p.start = start
	return p
}

func (a *Aggregate) markChanged(p *panes, slot uint32) {
	if len(p.changed) == 0 {
		w := a.windows[p.start]
		if !w.changed {
			w.changed = true
			a.changed = append(a.changed, w)
		}
	}
	a.written += p.markChanged(slot)
}

// closing is a window on its way out.
type closing struct {
	window  *window
	entries []entry // by key, then source
	at      int
}

type entry struct {
	source int32
	slot   uint32
}

// OnWatermark implements dataflow.WatermarkHandler: each call emits at most one
// batch.
func (a *Aggregate) OnWatermark(w dataflow.Time, out dataflow.Emitter) (done bool, err error) {
	for a.closing == nil {
		next := a.firstWindow()
		if next == nil || next.end > w {
			return true, nil
		}
		a.closing = &closing{window: next, entries: a.sorted(next)}
		if len(a.closing.entries) == 0 {
			a.drop(next)
		}
	}
	limit := chunkRows
	for {
		next, last := a.fill(limit)
		rows := a.out.Rows
		err := out.Emit(&a.out)
		if errors.Is(err, dataflow.ErrFull) {
			if rows == 1 {
				return false, nil
			}
			limit = max(1, rows/2)
			continue
		}
		if err != nil {
			return false, err
		}
		report(a.dead, &a.out, out)
		a.advance(next, last)
		return false, nil
	}
}

// firstWindow is the open window with the lowest end.
func (a *Aggregate) firstWindow() *window {
	for len(a.order) > 0 {
		if w := a.windows[a.order[0]]; w != nil {
			return w
		}
		heap.Pop(&a.order) // dropped by a restore
	}
	return nil
}

// sorted lists what is still to be emitted of a window.
func (a *Aggregate) sorted(w *window) []entry {
	var list []entry
	for source, p := range w.bySource {
		if p == nil {
			continue
		}
		for slot := range uint32(p.len()) {
			if w.holds(p.key(slot)) {
				list = append(list, entry{int32(source), slot})
			}
		}
	}
	slices.SortFunc(list, func(x, y entry) int {
		c := bytes.Compare(w.bySource[x.source].key(x.slot), w.bySource[y.source].key(y.slot))
		if c != 0 {
			return c
		}
		return int(x.source - y.source)
	})
	return list
}

// holds tells whether a group has not left yet.
func (w *window) holds(key []byte) bool {
	return w.emitted == nil || bytes.Compare(key, w.emitted) > 0
}

// A chunk is what OnWatermark emits at once.
const (
	chunkRows  = 1024
	chunkBytes = 256 << 10 // of keys and texts, about
)

// fill makes the next chunk of the closing window, of at most limit rows, and
// returns where the one after it begins and the last key in it.
func (a *Aggregate) fill(limit int) (next int, last []byte) {
	c := a.closing
	a.out.Source, a.dead = -1, a.dead[:0]
	a.out.Columns.Reset(limit, len(a.keys)+len(a.list)+2)
	a.out.Selected = a.out.Selected[:0]
	next = c.at
	row, size := 0, 0
	for ; row < limit && size < chunkBytes && next < len(c.entries); row++ {
		first := next
		last = c.key(first)
		for next++; next < len(c.entries) && bytes.Equal(c.key(next), last); next++ {
		}
		size += len(last) + a.fillRow(row, last, c.entries[first:next])
	}
	a.out.Columns.Rows, a.out.Rows = row, row
	return next, last
}

func (c *closing) key(at int) []byte {
	e := c.entries[at]
	return c.window.bySource[e.source].key(e.slot)
}

// fillRow writes the grouped row of one key and returns the size of its texts.
func (a *Aggregate) fillRow(row int, key []byte, parts []entry) int {
	cols := a.out.Columns.Cols
	for k := range a.keys {
		v, rest, err := codecs.DecodeKey(key)
		if err != nil { // the key was made by AppendKey
			panic("undecodable group key: " + err.Error())
		}
		cols[k].Set(row, v)
		key = rest
	}
	size, reason := 0, ""
	w := a.closing.window
	for i := range a.list {
		acc := &a.list[i]
		var v codecs.Value
		var err error
		if acc.fn == least || acc.fn == greatest {
			v = acc.mergeExtremes(w, parts)
		} else {
			v, err = acc.mergeSums(w, parts)
		}
		if err != nil && reason == "" {
			reason = err.Error()
		}
		size += len(v.Str)
		cols[len(a.keys)+i].Set(row, v)
	}
	cols[len(cols)-2].Set(row, codecs.IntValue(int64(w.start)))
	cols[len(cols)-1].Set(row, codecs.IntValue(int64(w.end)))
	if reason != "" {
		a.dead = append(a.dead, rejected{row, reason})
	} else {
		a.out.Selected = append(a.out.Selected, int32(row))
	}
	return size
}

func (a *accumulator) wordsOf(w *window, e entry) (*panes, []uint64) {
	p := w.bySource[e.source]
	return p, p.row(e.slot)[a.at : a.at+a.words]
}

func (a *accumulator) mergeSums(w *window, parts []entry) (codecs.Value, error) {
	var total [5]uint64
	for _, e := range parts {
		_, words := a.wordsOf(w, e)
		a.merge(total[:a.words], words)
	}
	return a.result(total[:a.words])
}

func (a *accumulator) mergeExtremes(w *window, parts []entry) codecs.Value {
	var best codecs.Value
	for _, e := range parts {
		p, words := a.wordsOf(w, e)
		v := p.extremeValue(words)
		if v.Kind == codecs.Missing {
			continue
		}
		c := codecs.Compare(v, best)
		if best.Kind == codecs.Missing || c != 0 && (c < 0) == (a.fn == least) {
			best = v
		}
	}
	if best.Kind == codecs.Missing {
		return codecs.NullValue()
	}
	return best
}

// advance notes that the closing window has been emitted up to entry next.
func (a *Aggregate) advance(next int, last []byte) {
	c := a.closing
	c.at = next
	if next == len(c.entries) {
		a.drop(c.window)
		return
	}
	w := c.window
	w.emitted = append(w.emitted[:0], last...)
	w.progressed = true
	if !w.changed {
		w.changed = true
		a.changed = append(a.changed, w)
	}
}

// drop forgets a window.
func (a *Aggregate) drop(w *window) {
	if a.closing != nil && a.closing.window == w {
		a.closing = nil
	}
	delete(a.windows, w.start)
	for source, p := range w.bySource {
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
	if w.persisted {
		a.dropped = append(a.dropped, w.start)
	}
	w.bySource = nil // if listed in changed, there is nothing left to write
	if len(a.order) > 0 && a.order[0] == w.start {
		heap.Pop(&a.order)
	}
}

// windowHeap orders windows by start, which for one size is by end.
type windowHeap []dataflow.Time

func (h windowHeap) Len() int           { return len(h) }
func (h windowHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h windowHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *windowHeap) Push(x any)        { *h = append(*h, x.(dataflow.Time)) }
func (h *windowHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
