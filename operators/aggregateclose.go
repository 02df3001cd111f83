package operators

import (
	"bytes"
	"cmp"
	"container/heap"
	"errors"
	"slices"

	"leat/codecs"
	"leat/dataflow"
)

// closing is a window on its way out.
type closing struct {
	end      dataflow.Time
	partials []partial // by key, then source, then pane
	at       int
}

// partial is one group of one pane of one source partition.
type partial struct {
	panes *panes
	slot  uint32
	order int32 // by source, then pane
}

func (p partial) key() []byte { return p.panes.key(p.slot) }

func (p partial) words(a *accumulator) []uint64 { return p.panes.row(p.slot)[a.at : a.at+a.words] }

func (p partial) bag(a *accumulator) *bag { return p.panes.bag(p.slot, a.bag) }

// OnWatermark implements dataflow.WatermarkHandler: each call emits at most one
// batch.
func (a *Aggregate) OnWatermark(w dataflow.Time, out dataflow.Emitter) (done bool, err error) {
	limit := chunkRows
	for {
		if a.closing == nil {
			end, ok := a.nextEnd()
			if !ok || end > w {
				return true, nil
			}
			a.begin(end)
		}
		next, last := a.fill(limit)
		if len(a.out.Selected) == 0 && len(a.dead) == 0 {
			a.advance(next, last)
			continue
		}
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

// nextEnd is the lowest end of the windows that have rows and have not left.
func (a *Aggregate) nextEnd() (end dataflow.Time, ok bool) {
	for len(a.order) > 0 {
		s := a.segments[a.order[0]]
		if s != nil && s.first > a.progress.closed {
			end, ok = s.first, true
			break
		}
		a.openNext()
	}
	if len(a.open) > 0 {
		if next := a.progress.closed.Plus(a.every); !ok || next < end {
			return next, true
		}
	}
	return end, ok
}

// openNext moves the next segment to the open ones, unless a restore has dropped it.
func (a *Aggregate) openNext() {
	if s := a.segments[heap.Pop(&a.order).(pane)]; s != nil && !s.open {
		s.open = true
		a.open = append(a.open, s)
	}
}

// begin starts to close the window with the given end.
func (a *Aggregate) begin(end dataflow.Time) {
	for len(a.order) > 0 && a.order[0].first <= end {
		a.openNext()
	}
	slices.SortFunc(a.open, func(x, y *segment) int {
		return cmp.Or(cmp.Compare(x.last, y.last), cmp.Compare(x.first, y.first))
	})
	if a.progress.end != end {
		a.progress.end, a.progress.emitted = end, nil
	}
	a.closing = &closing{end: end, partials: a.sorted()}
}

// sorted lists what is still to be emitted of the window that closes.
func (a *Aggregate) sorted() []partial {
	var list []partial
	for i, s := range a.open {
		for source, p := range s.bySource {
			if p == nil {
				continue
			}
			for slot := range uint32(p.len()) {
				if a.progress.holds(p.key(slot)) {
					list = append(list, partial{p, slot, int32(source*len(a.open) + i)})
				}
			}
		}
	}
	slices.SortFunc(list, func(x, y partial) int {
		if c := bytes.Compare(x.key(), y.key()); c != 0 {
			return c
		}
		return int(x.order - y.order)
	})
	return list
}

// holds tells whether a group has not left yet.
func (p *progress) holds(key []byte) bool {
	return p.emitted == nil || bytes.Compare(key, p.emitted) > 0
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
	for ; row < limit && size < chunkBytes && next < len(c.partials); row++ {
		first := next
		last = c.partials[first].key()
		for next++; next < len(c.partials) && bytes.Equal(c.partials[next].key(), last); next++ {
		}
		size += len(last) + a.fillRow(row, last, c.partials[first:next])
	}
	a.out.Columns.Rows, a.out.Rows = row, row
	return next, last
}

// fillRow writes the grouped row of one key and returns the size of its texts.
func (a *Aggregate) fillRow(row int, key []byte, parts []partial) int {
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
	for i := range a.list {
		v, err := a.list[i].mergeAll(parts)
		if err != nil && reason == "" {
			reason = err.Error()
		}
		size += len(v.Str)
		cols[len(a.keys)+i].Set(row, v)
	}
	end := a.closing.end
	cols[len(cols)-2].Set(row, codecs.IntValue(int64(end.Minus(a.size))))
	cols[len(cols)-1].Set(row, codecs.IntValue(int64(end)))
	keep := true
	if a.having != nil && reason == "" {
		v, err := a.having.Eval(&a.out, row)
		switch {
		case err != nil:
			reason = failed("having", err)
		default:
			keep = v.Kind == codecs.Bool && v.Num != 0
		}
	}
	switch {
	case reason != "":
		a.dead = append(a.dead, rejected{row, reason})
	case keep:
		a.out.Selected = append(a.out.Selected, int32(row))
	}
	return size
}

// mergeAll is the result of an aggregate over the partials of a group.
func (a *accumulator) mergeAll(parts []partial) (codecs.Value, error) {
	switch a.fn {
	case least, greatest:
		return a.mergeExtremes(parts), nil
	case first, last, leastBy, greatestBy:
		return a.mergeKept(parts), nil
	case spread:
		return a.mergeSpread(parts)
	case collect:
		return a.mergeItems(parts)
	case countDistinct, percentile, topK:
		return a.mergeTally(parts)
	}
	var total [5]uint64
	for _, part := range parts {
		a.merge(total[:a.words], part.words(a))
	}
	return a.result(total[:a.words])
}

func (a *accumulator) mergeExtremes(parts []partial) codecs.Value {
	var best codecs.Value
	for _, part := range parts {
		v := part.panes.extremeValue(part.words(a))
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

// advance notes that the closing window has been emitted up to partial next.
func (a *Aggregate) advance(next int, last []byte) {
	c := a.closing
	c.at = next
	if next == len(c.partials) {
		a.closed(c.end)
		return
	}
	a.progress.emitted = append(a.progress.emitted[:0], last...)
	a.progress.changed = true
}

// closed forgets the panes of which no window is left.
func (a *Aggregate) closed(end dataflow.Time) {
	a.closing = nil
	a.open = slices.DeleteFunc(a.open, func(s *segment) bool {
		if s.last <= end {
			a.drop(s)
			return true
		}
		return false
	})
	a.progress.closed, a.progress.emitted = end, nil
	a.progress.changed = len(a.open) > 0
}
