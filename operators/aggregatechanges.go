package operators

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"leat/codecs"
	"leat/dataflow"
)

// Where an Aggregate gives changes it also emits, when it is asked to, the present row of
// each group of an open window that has changed since it was last asked: the rows of a
// group and window replace each other, and the one that leaves with the window is the
// last. What has changed is not part of the state: after a restore every group that is
// there has. One window is listed at a time: a group of hopping windows is in many.

// markDirty remembers that a slot has changed since changes were given.
func (s *share) markDirty(p *panes, slot uint32) {
	if len(p.dirty) == 0 {
		s.dirty = append(s.dirty, p)
	}
	p.markDirty(slot)
}

func (p *panes) markDirty(slot uint32) {
	for int(slot)>>6 >= len(p.isDirty) {
		p.isDirty = append(p.isDirty, 0)
	}
	if word, bit := &p.isDirty[slot>>6], uint64(1)<<(slot&63); *word&bit == 0 {
		*word |= bit
		p.dirty = append(p.dirty, slot)
	}
}

func (p *panes) wasDirtied(slot uint32) bool {
	return int(slot)>>6 < len(p.isDirty) && p.isDirty[slot>>6]>>(slot&63)&1 != 0
}

func (p *panes) forgetDirty() {
	for _, slot := range p.dirty {
		p.isDirty[slot>>6] = 0
	}
	p.dirty = p.dirty[:0]
}

// lookup returns the slot of a key, if there is one.
func (p *panes) lookup(hash uint64, key []byte) (slot uint32, found bool) {
	mask := uint64(len(p.table) - 1)
	for i := hash & mask; p.table[i] != 0; i = (i + 1) & mask {
		if slot = p.table[i] - 1; p.hashes[slot] == hash && bytes.Equal(p.key(slot), key) {
			return slot, true
		}
	}
	return 0, false
}

// OnChanges implements dataflow.ChangeHandler: each call emits at most one batch, by end
// and key. A row that cannot be given is passed over: it is for the close of its window
// to say so.
func (a *Aggregate) OnChanges(out dataflow.Emitter) (done bool, err error) {
	if !a.changes {
		return true, nil
	}
	if !a.giving {
		a.gatherAll()
		a.giving, a.given = true, a.progress.closed
	}
	for limit := chunkRows; ; {
		if len(a.pending) == 0 && !a.collectChanges() {
			a.changesGiven()
			return true, nil
		}
		next := a.fillChanges(limit)
		if len(a.out.Selected) == 0 {
			a.note(false)
			a.pending = a.pending[next:]
			continue
		}
		rows := a.out.Rows
		err := out.Emit(&a.out)
		switch {
		case errors.Is(err, dataflow.ErrFull) && rows == 1:
			return false, nil
		case errors.Is(err, dataflow.ErrFull):
			limit = max(1, rows/2)
			continue
		case err != nil:
			return false, err
		}
		a.note(false)
		a.pending = a.pending[next:]
		return false, nil
	}
}

// endBehind is the first end behind t of the windows that the rows of a pane count in. t
// is before them all, or such an end.
func (of pane) endBehind(t dataflow.Time, every int64) (end dataflow.Time, ok bool) {
	switch {
	case t < of.first:
		return of.first, true
	case t < of.last:
		return t.Plus(every), true
	}
	return t, false
}

// collectChanges lists the groups that have changed in the next open window in which some
// have; false where there is no such window any more.
func (a *Aggregate) collectChanges() (found bool) {
	end := a.given
	for _, s := range a.shares {
		for _, p := range s.dirty {
			if next, ok := p.endBehind(a.given, a.every); ok && len(p.dirty) > 0 && (!found || next < end) {
				end, found = next, true
			}
		}
	}
	if !found {
		return false
	}
	a.given, a.pending = end, a.pending[:0]
	for _, s := range a.shares {
		for _, p := range s.dirty {
			if p.first > end || end > p.last {
				continue
			}
			for _, slot := range p.dirty {
				a.pending = append(a.pending, p.key(slot))
			}
		}
	}
	slices.SortFunc(a.pending, bytes.Compare)
	a.pending = slices.CompactFunc(a.pending, bytes.Equal)
	return true
}

// changesGiven notes that all changes have been.
func (a *Aggregate) changesGiven() {
	a.giving, a.pending = false, nil
	for _, s := range a.shares {
		for _, p := range s.dirty {
			p.forgetDirty()
		}
		clear(s.dirty)
		s.dirty = s.dirty[:0]
	}
}

// fillChanges makes the next chunk, of at most limit rows, and returns how many groups it
// is of.
func (a *Aggregate) fillChanges(limit int) (next int) {
	a.beginChunk(limit)
	over, size := a.segmentsOf(a.given), 0
	for ; next < limit && next < len(a.pending) && size < chunkBytes; next++ {
		key := a.pending[next]
		hash := codecs.KeyHash(key)
		parts := a.partials[:0]
		for source := range a.shares {
			for i, s := range over {
				if p := s.bySource[source]; p != nil {
					if slot, found := p.lookup(hash, key); found {
						parts = append(parts, partial{p, slot, int32(source*len(over) + i)})
					}
				}
			}
		}
		size += len(key) + a.fillRow(next, key, parts, a.given.Minus(a.size), a.given, dataflow.PutOut)
		clear(parts)
	}
	a.endChunk(next)
	return next
}

// segmentsOf are the segments of the panes that count in the window with the given end,
// in the order in which they are merged.
func (a *Aggregate) segmentsOf(end dataflow.Time) (list []*segment) {
	if a.every == a.size {
		if s := a.segments[pane{end, end}]; s != nil {
			list = append(list, s)
		}
		return list
	}
	for _, s := range a.segments {
		if s.first <= end && end <= s.last {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(x, y *segment) int {
		return cmp.Or(cmp.Compare(x.last, y.last), cmp.Compare(x.first, y.first))
	})
	return list
}
