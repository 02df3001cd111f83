package operators

import (
	"bytes"
	"slices"

	"leat/codecs"
	"leat/dataflow"
)

// Where a SessionAggregate gives changes it also emits, when it is asked to, the present
// row of each open session that has changed since it was last asked. Of running groups
// that is the session of the group that is the newest: the rows of a group replace each
// other, and one whose session leaves after a newer one has begun would take the place
// of a later one, so it is not put out. What has changed is not part of the state: after a
// restore every session that is there has.

// OnChanges implements dataflow.ChangeHandler: each call emits at most one batch, by end
// and key. A row that cannot be given is passed over: it is for the close of its session
// to say so.
func (a *SessionAggregate) OnChanges(out dataflow.Emitter) (done bool, err error) {
	if !a.changes {
		return true, nil
	}
	if len(a.closing) == 0 {
		a.collectChanges()
	}
	for a.at < len(a.closing) {
		if stop, err := a.give(out, false); stop {
			return false, err
		}
	}
	for _, s := range a.stores {
		s.cells.forgetDirty()
	}
	a.tidy()
	return true, nil
}

// collectChanges lists the sessions of which there are changes to be given.
func (a *SessionAggregate) collectChanges() {
	var groups []partial // one of each group
	for source, s := range a.stores {
		for _, slot := range s.cells.dirty {
			if s.slots[slot].live {
				groups = append(groups, partial{s.cells, slot, int32(source)})
			}
		}
	}
	keyOf := func(p partial) []byte { return a.stores[p.order].groupKey(p.slot) }
	slices.SortFunc(groups, func(x, y partial) int { return bytes.Compare(keyOf(x), keyOf(y)) })
	groups = slices.CompactFunc(groups, func(x, y partial) bool { return bytes.Equal(keyOf(x), keyOf(y)) })
	for _, g := range groups {
		a.seek(g.panes.hashes[g.slot], keyOf(g))
		for c, found := a.nextSession(); found; c, found = a.nextSession() {
			if a.running && a.oldest() >= 0 || !a.hasChanged(c) {
				a.without(c)
				continue
			}
			a.closing = append(a.closing, c)
		}
	}
	a.sort()
	a.withdrawStarts()
}

// withdrawStarts lists the rows of sessions that are not any more, because they have
// become part of one of those listed that begins before: each has its start within it.
func (a *SessionAggregate) withdrawStarts() {
	if a.shown == nil || a.running {
		return
	}
	for _, c := range a.closing {
		key := a.groupKey(c)
		for _, start := range a.shown.within(key, c.start+1, c.end) {
			a.gone = append(a.gone, groupRow{key, start})
		}
	}
}

// fillGone makes a chunk of at most limit rows that are withdrawn.
func (a *SessionAggregate) fillGone(limit int) {
	a.beginChunk(limit)
	row, size := 0, 0
	for ; row < limit && row < len(a.gone) && size < chunkBytes; row++ {
		g := a.gone[row]
		a.fillKey(row, g.key)
		cols := a.out.Columns.Cols
		cols[len(cols)-2].Set(row, codecs.IntValue(int64(g.start)))
		a.out.Acts[row] = dataflow.Withdraw
		a.out.Selected = append(a.out.Selected, int32(row))
		size += len(g.key)
	}
	a.endChunk(row)
}

// withdrawn notes that the rows of fillGone are.
func (a *SessionAggregate) withdrawn() {
	for _, g := range a.gone[:a.out.Rows] {
		a.shown.forget(g.key, g.start)
	}
	if a.gone = a.gone[a.out.Rows:]; len(a.gone) == 0 {
		a.gone = nil
	}
}

func (a *SessionAggregate) hasChanged(c closedSession) bool {
	return slices.ContainsFunc(a.partials[c.from:c.to], func(p partial) bool { return p.panes.wasDirtied(p.slot) })
}

// replaced tells whether the row of a session is not to be given because that of a newer
// one is, or has been.
func (a *SessionAggregate) replaced(c closedSession) bool {
	if !a.running || !a.changes {
		return false
	}
	p := a.partials[c.from]
	hash, key := p.panes.hashes[p.slot], a.groupKey(c)
	return slices.ContainsFunc(a.stores, func(s *sessions) bool {
		_, newest, found := s.find(hash, key)
		return found && s.slots[newest].first >= c.end
	})
}
