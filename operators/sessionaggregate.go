package operators

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"leat/dataflow"
)

// SessionAggregateConfig says what a SessionAggregate does. The gap is how far event times
// of a session may be apart; sessions never overlap.
type SessionAggregateConfig struct {
	GapMs      int64 // 1 to MaxSessionGapMs, or Endless
	Keys       []int // columns that form the group key
	Aggregates []AggregateSpec
	Having     dataflow.Expr // over the grouped row; nil = every row leaves
	Partitions int           // of the source, 0 behind an exchange
	// Running has the rows be those of groups that go on as long as the gap is not
	// exceeded: they have no window.
	Running bool
	Changes bool // the present rows of what is open are given too, see OnChanges
}

// Endless is a gap that no two event times have between them: the sessions of it all
// leave with the final watermark, by key.
const Endless = 2*MaxEventTime + 1

// SessionAggregate aggregates by session windows. A session of a key is a longest run
// of its rows, over all source partitions, each less than the gap behind the one
// before; it reaches from the first event time to the gap behind the last one, and
// leaves once the watermark has come to its end. Sessions leave by (end, canonical
// key), as grouped rows of the form that Aggregate gives, however the watermark moves.
//
// Each source partition keeps partial sessions of its own rows. A row is added to the
// one that it is less than the gap away from; it joins two of which that is true, the
// earlier one before the later one, before it is added. Partials are merged across
// partitions only where the session leaves, in the order of the partitions and, in a
// partition, of time. What is folded how is so a matter of the logs of the partitions.
//
// Process may be called for several source partitions at once. What Session has called
// late must not come here.
type SessionAggregate struct {
	grouping
	gap     int64
	running bool
	stores  []*sessions // by source partition

	closing  []closedSession // by end and key; those before at have left, or their changes been given
	at       int
	gone     []groupRow // to be withdrawn before: see withdrawStarts
	partials []partial  // of closing
	cursors  []cursor
	progress sessionProgress

	key, value []byte
}

// closedSession is a session that the watermark has come to the end of, or that has
// changed.
type closedSession struct {
	start, end dataflow.Time
	from, to   int // in SessionAggregate.partials
}

// sessionProgress is the end and the key of the session that has left last.
type sessionProgress struct {
	end     dataflow.Time
	key     []byte
	changed bool // since the last snapshot
}

// cursor goes through the sessions of a key in a source partition, from the oldest.
type cursor struct {
	*sessions
	source     int
	at, newest uint32
}

// NewSessionAggregate makes a SessionAggregate without state. It fails where the gap is out
// of its range or an aggregate has a function that is not known, or lacks
// an argument.
func NewSessionAggregate(c SessionAggregateConfig) (*SessionAggregate, error) {
	if c.GapMs < 1 || c.GapMs > MaxSessionGapMs && c.GapMs != Endless {
		return nil, fmt.Errorf("a session gap of %d ms", c.GapMs)
	}
	g, err := newGrouping(c.Keys, c.Aggregates, c.Having)
	if err != nil {
		return nil, err
	}
	a := &SessionAggregate{grouping: g, gap: c.GapMs, running: c.Running}
	a.changes = c.Changes
	if a.running {
		a.bounds = 0
	}
	if a.changes && (!a.running || a.having != nil) {
		a.shown = newShown(a.running && a.gap != Endless)
	}
	for source := range max(1, c.Partitions) {
		a.stores = append(a.stores, newSessions(source, c.GapMs, g.list, g.layout))
	}
	return a, nil
}

// Process implements dataflow.Operator.
func (a *SessionAggregate) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	if b.Source >= len(a.stores) {
		return fmt.Errorf("source %d of %d", b.Source, len(a.stores))
	}
	s := a.stores[max(b.Source, 0)]
	used := 0
	for _, row := range b.Selected {
		if reason := a.evaluate(&s.given, b, int(row)); reason != "" {
			out.Dead(b, int(row), reason)
			continue
		}
		slot := s.take(s.given.key, b.Times[row])
		for i := range a.list {
			a.list[i].add(s.cells, slot, &s.operands[i])
		}
		s.touch(slot)
		if a.changes {
			s.cells.markDirty(slot)
		}
		used++
	}
	s.settle()
	if b.Source >= 0 {
		out.Used(used)
	}
	return nil
}

// OnWatermark implements dataflow.WatermarkHandler: each call emits at most one batch.
func (a *SessionAggregate) OnWatermark(w dataflow.Time, out dataflow.Emitter) (done bool, err error) {
	for {
		if a.at == len(a.closing) {
			a.tidy()
			if a.collect(w); len(a.closing) == 0 {
				return true, nil
			}
		}
		if stop, err := a.give(out, true); stop {
			return false, err
		}
	}
}

// give emits the next chunk, of rows that are final or of changes. stop tells that
// nothing more is to be emitted now: one batch has been, or nothing has room.
func (a *SessionAggregate) give(out dataflow.Emitter, final bool) (stop bool, err error) {
	for limit := chunkRows; ; {
		var next int
		withdrawn := len(a.gone) > 0
		if withdrawn {
			a.fillGone(limit)
		} else {
			next = a.fill(limit)
		}
		if !final { // it is for the close to say what fails
			a.dead = a.dead[:0]
		}
		passed := func() {
			switch {
			case withdrawn:
				a.withdrawn()
			case final:
				a.note(true)
				a.advance(next)
			default:
				a.note(false)
				a.at = next
			}
		}
		if len(a.out.Selected) == 0 && len(a.dead) == 0 {
			passed()
			return false, nil
		}
		rows := a.out.Rows
		err := out.Emit(&a.out)
		switch {
		case errors.Is(err, dataflow.ErrFull) && rows == 1:
			return true, nil
		case errors.Is(err, dataflow.ErrFull):
			limit = max(1, rows/2)
			continue
		case err != nil:
			return true, err
		}
		report(a.dead, &a.out, out)
		passed()
		return true, nil
	}
}

// maxSpareClosed bounds the sessions that memory is kept for when they have left.
const maxSpareClosed = 1 << 14

// tidy ends a closing.
func (a *SessionAggregate) tidy() {
	if len(a.closing) == 0 {
		return
	}
	clear(a.partials)
	a.closing, a.partials, a.at = a.closing[:0], a.partials[:0], 0
	if cap(a.closing) > maxSpareClosed || cap(a.partials) > maxSpareClosed {
		a.closing, a.partials = nil, nil
	}
	for _, s := range a.stores {
		s.reset()
		s.shrink()
	}
}

// collect lists the sessions that end by w. Invariant: the partial session of the
// latest end in a session that does not has a timer, for those whose end w has come to
// never change again.
func (a *SessionAggregate) collect(w dataflow.Time) {
	for _, s := range a.stores {
		for slot, ok := s.goneOff(w); ok; slot, ok = s.goneOff(w) {
			if !s.slots[slot].leaving {
				a.collectGroup(s.cells.hashes[slot], s.groupKey(slot), w)
			}
		}
	}
	a.sort()
	a.withdrawStarts()
}

func (a *SessionAggregate) sort() {
	slices.SortFunc(a.closing, func(x, y closedSession) int {
		if c := cmp.Compare(x.end, y.end); c != 0 {
			return c
		}
		return bytes.Compare(a.groupKey(x), a.groupKey(y))
	})
}

func (a *SessionAggregate) groupKey(c closedSession) []byte {
	p := a.partials[c.from]
	return a.stores[p.order].groupKey(p.slot)
}

// collectGroup lists the sessions of a key that end by w.
func (a *SessionAggregate) collectGroup(hash uint64, key []byte, w dataflow.Time) {
	a.seek(hash, key)
	for c, found := a.nextSession(); found; c, found = a.nextSession() {
		if c.end > w {
			a.without(c)
			return
		}
		for _, p := range a.partials[c.from:c.to] {
			a.stores[p.order].slots[p.slot].leaving = true
		}
		a.closing = append(a.closing, c)
	}
}

// seek sets the cursors to the oldest sessions of a key.
func (a *SessionAggregate) seek(hash uint64, key []byte) {
	a.cursors = a.cursors[:0]
	for source, s := range a.stores {
		if _, newest, found := s.find(hash, key); found {
			a.cursors = append(a.cursors, cursor{s, source, s.slots[newest].newer, newest})
		}
	}
}

// nextSession is the session that the cursors are at, with its partials, and moves them
// behind it.
func (a *SessionAggregate) nextSession() (c closedSession, found bool) {
	oldest := a.oldest()
	if oldest < 0 {
		return c, false
	}
	c = closedSession{start: a.cursors[oldest].first(), from: len(a.partials)}
	for c.end = c.start + 1; oldest >= 0 && a.cursors[oldest].first() < c.end; oldest = a.oldest() {
		at := &a.cursors[oldest]
		c.end = max(c.end, at.end(at.at))
		a.partials = append(a.partials, partial{at.cells, at.at, int32(at.source)})
		a.skip(oldest)
	}
	c.to = len(a.partials)
	slices.SortStableFunc(a.partials[c.from:], func(x, y partial) int { return int(x.order - y.order) })
	return c, true
}

// without takes back the partials of the session listed last.
func (a *SessionAggregate) without(c closedSession) {
	clear(a.partials[c.from:])
	a.partials = a.partials[:c.from]
}

// oldest is the cursor at the session that begins first, -1 if all are at the end.
func (a *SessionAggregate) oldest() int {
	best := -1
	for i := range a.cursors {
		for c := &a.cursors[i]; c.sessions != nil && c.slots[c.at].leaving; {
			a.skip(i)
		}
		if c := &a.cursors[i]; c.sessions != nil && (best < 0 || c.first() < a.cursors[best].first()) {
			best = i
		}
	}
	return best
}

// skip moves a cursor on.
func (a *SessionAggregate) skip(i int) {
	if c := &a.cursors[i]; c.at == c.newest {
		c.sessions = nil
	} else {
		c.at = c.slots[c.at].newer
	}
}

func (c *cursor) first() dataflow.Time { return c.slots[c.at].first }

// fill makes the next chunk of at most limit rows, and returns where the one after it
// begins.
func (a *SessionAggregate) fill(limit int) (next int) {
	a.beginChunk(limit)
	row, size := 0, 0
	for next = a.at; row < limit && size < chunkBytes && next < len(a.closing); row++ {
		c := a.closing[next]
		key := a.groupKey(c)
		act := dataflow.PutOut
		if a.replaced(c) {
			act = dataflow.OnlyTry
		}
		size += len(key) + a.fillRow(row, key, a.partials[c.from:c.to], c.start, c.end, act)
		next++
	}
	a.endChunk(row)
	return next
}

// advance forgets the sessions before next, which have left.
func (a *SessionAggregate) advance(next int) {
	last := a.closing[next-1]
	a.progress.end, a.progress.changed = last.end, true
	a.progress.key = append(a.progress.key[:0], a.groupKey(last)...)
	for ; a.at < next; a.at++ {
		a.forget(a.closing[a.at])
	}
}

func (a *SessionAggregate) forget(c closedSession) {
	for _, p := range a.partials[c.from:c.to] {
		a.stores[p.order].release(p.slot)
	}
}

// left tells whether a session that ends by progress.end has left.
func (p *sessionProgress) left(end dataflow.Time, key []byte) bool {
	return end < p.end || bytes.Compare(key, p.key) <= 0
}

// StateBytes implements dataflow.Stateful.
func (a *SessionAggregate) StateBytes() int64 {
	total := a.shown.bytes()
	for _, s := range a.stores {
		total += s.bytes()
	}
	return total
}

// ChangedBytes implements dataflow.Stateful.
func (a *SessionAggregate) ChangedBytes() int64 {
	total := a.shown.changedBytes()
	for _, s := range a.stores {
		total += s.written
	}
	return total
}

// isTime tells whether a row can have the event time t. One that is the append time may be
// beyond MaxEventTime, as far as its clock is; sums of two such times do not overflow.
func isTime(t dataflow.Time) bool { return t >= -Endless && t <= Endless }
