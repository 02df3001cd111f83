package operators

// share is what an Aggregate keeps of one source partition. Process touches nothing
// else, so that partitions can be processed at the same time; the panes it makes are
// handed over to the segments by gather.
type share struct {
	panes   map[pane]*panes
	last    *panes   // of the row before
	fresh   []*panes // not yet in a segment
	changed []*panes // that have had no change since the last snapshot before
	dirty   []*panes // that have had no change since changes were given before
	spare   []*panes // to be used again; what was emitted of them stays readable until then
	bytes   int64    // memory of panes
	written int64    // bytes the next incremental snapshot will take

	given
}

// What is kept of the memory of panes that are gone, by all shares together.
const (
	maxSpare      = 4 // of a share
	maxSpareBytes = 16 << 20
)

func newShare(aggregates int) *share {
	return &share{panes: map[pane]*panes{}, given: given{operands: make([]operand, aggregates)}}
}

// use returns the panes of a pane, making them if there are none.
func (a *Aggregate) use(s *share, of pane) *panes {
	if s.last != nil && s.last.pane == of {
		return s.last
	}
	a.settle(s)
	p := s.panes[of]
	if p == nil {
		p = s.newPanes(of, a.layout)
		s.panes[of] = p
		s.fresh = append(s.fresh, p)
	}
	s.last = p
	return p
}

func (s *share) newPanes(of pane, size layout) *panes {
	last := len(s.spare) - 1
	if last < 0 {
		return newPanes(of, size)
	}
	p := s.spare[last]
	s.spare = s.spare[:last]
	p.pane = of
	return p
}

// settle puts the panes used last in order after their rows have been added.
func (a *Aggregate) settle(s *share) {
	if p := s.last; p != nil {
		p.compact(a.list)
		n := p.bytes()
		s.bytes += n - p.settled
		p.settled = n
	}
}

func (s *share) markChanged(p *panes, slot uint32) {
	if len(p.changed) == 0 {
		s.changed = append(s.changed, p)
	}
	s.written += p.markChanged(slot)
}

// drop forgets panes that are in a segment.
func (s *share) drop(p *panes, spareBytes int64) {
	delete(s.panes, p.pane)
	s.written -= p.changedBytes
	s.bytes -= p.settled
	if s.last == p {
		s.last = nil
	}
	p.forgetDirty()
	if len(s.spare) < maxSpare && p.settled <= spareBytes {
		p.recycle()
		s.spare = append(s.spare, p)
	}
}

// gather takes the panes that a share has made or changed since the last call into
// the segments.
func (a *Aggregate) gather(source int) {
	s := a.shares[source]
	for _, p := range s.fresh {
		a.segment(p.pane).bySource[source] = p
	}
	for _, p := range s.changed {
		if of := a.segments[p.pane]; !of.changed {
			of.changed = true
			a.changed = append(a.changed, of)
		}
	}
	clear(s.fresh)
	clear(s.changed)
	s.fresh, s.changed = s.fresh[:0], s.changed[:0]
}

func (a *Aggregate) gatherAll() {
	for source := range a.shares {
		a.gather(source)
	}
}
