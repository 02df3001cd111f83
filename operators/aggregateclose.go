package operators

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
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
	a.gatherAll()
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
			a.note(true)
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
		a.note(true)
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

// ranked is a partial with the first bytes of its key, which mostly tell it apart.
type ranked struct {
	prefix uint64
	partial
}

// prefixOf is the first 8 bytes of a key, in its order, with zeros behind a shorter one.
func prefixOf(key []byte) (prefix uint64) {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	for i, b := range key {
		prefix |= uint64(b) << (56 - 8*i)
	}
	return prefix
}

// sorted lists what is still to be emitted of the window that closes. The list is
// valid until the next call.
func (a *Aggregate) sorted() []partial {
	list := a.ranked[:0]
	for i, s := range a.open {
		for source, p := range s.bySource {
			if p == nil {
				continue
			}
			for slot := range uint32(p.len()) {
				if key := p.key(slot); a.progress.holds(key) {
					list = append(list, ranked{prefixOf(key), partial{p, slot, int32(source*len(a.open) + i)}})
				}
			}
		}
	}
	slices.SortFunc(list, func(x, y ranked) int {
		if x.prefix != y.prefix {
			return cmp.Compare(x.prefix, y.prefix)
		}
		if c := bytes.Compare(x.key(), y.key()); c != 0 {
			return c
		}
		return int(x.order - y.order)
	})
	partials := a.partials[:0]
	for i := range list {
		partials = append(partials, list[i].partial)
	}
	clear(list)
	a.ranked, a.partials = keptList(list), keptList(partials)
	return partials
}

// keptList is the memory of a list that is kept for the next one, none of a huge one.
func keptList[T any](list []T) []T {
	if cap(list) > 64<<10 {
		return nil
	}
	return list[:0]
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
	a.beginChunk(limit)
	next = c.at
	row, size := 0, 0
	for ; row < limit && size < chunkBytes && next < len(c.partials); row++ {
		first := next
		last = c.partials[first].key()
		for next++; next < len(c.partials) && bytes.Equal(c.partials[next].key(), last); next++ {
		}
		size += len(last) + a.fillRow(row, last, c.partials[first:next], c.end.Minus(a.size), c.end, dataflow.PutOut)
	}
	a.endChunk(row)
	return next, last
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
	case approxCountDistinct:
		return a.mergeSketch(parts), nil
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
	clear(a.closing.partials)
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
