package operators

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"leat/codecs"
	"leat/dataflow"
)

// The state of an Aggregate, as entries of the state log, big endian:
//
//	pane      key    +-----+-------------+-------------+--------+-----------+
//	                 | 'p' | first       | last        | source | group key |
//	                 | u8  | i64 ^ 1<<63 | i64 ^ 1<<63 | u32    |           |
//	                 +-----+-------------+-------------+--------+-----------+
//	          value  accumulators, see appendWords
//	segment   key    +-----+-------------+-------------+
//	                 | 's' | first       | last        |
//	                 | u8  | i64 ^ 1<<63 | i64 ^ 1<<63 |
//	                 +-----+-------------+-------------+
//	          only ever deleted, with all panes that have its first and last
//	progress  key    +-----+
//	                 | 'w' |
//	                 +-----+
//	          value  +-------------+-------------+-----------+
//	                 | closed      | end         | group key |
//	                 | i64 ^ 1<<63 | i64 ^ 1<<63 |           |
//	                 +-------------+-------------+-----------+
//
// first and last are the ends of windows. All windows up to the end closed have left
// and, where end is beyond it, of the window with that end the groups up to the key.
// Progress is not written where no pane is left that has counted in a window that has
// left: what the log then says of it concerns no pane that is there. Marks are as shown
// says.

const (
	paneEntry     = 'p'
	segmentEntry  = 's'
	progressEntry = 'w'
	stateKeyBytes = 2 + 1 + 8 + 8 + 4 // with the prefix of dataflow
)

func appendTime(dst []byte, t dataflow.Time) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(t)^1<<63)
}

func readTime(src []byte) dataflow.Time {
	return dataflow.Time(binary.BigEndian.Uint64(src) ^ 1<<63)
}

func appendPane(dst []byte, kind byte, of pane) []byte {
	return appendTime(appendTime(append(dst, kind), of.first), of.last)
}

// Snapshot implements dataflow.Stateful.
func (a *Aggregate) Snapshot(w *dataflow.StateWriter) error {
	a.gatherAll()
	if w.Full {
		all := slices.SortedFunc(maps.Values(a.segments), func(x, y *segment) int {
			return cmp.Or(cmp.Compare(x.last, y.last), cmp.Compare(x.first, y.first))
		})
		for _, s := range all {
			a.writeSegment(w, s)
		}
	} else {
		for _, of := range a.dropped {
			w.Delete(0, appendPane(nil, segmentEntry, of))
		}
		for _, s := range a.changed {
			a.writeChanges(w, s)
		}
	}
	a.shown.snapshot(w)
	if p := &a.progress; p.changed || w.Full && (p.emitted != nil || len(a.open) > 0) {
		end := p.closed
		if p.emitted != nil {
			end = p.end
		}
		w.Put(0, []byte{progressEntry}, append(appendTime(appendTime(nil, p.closed), end), p.emitted...))
		p.changed = false
	}
	for _, s := range a.changed {
		s.changed = false
		for _, p := range s.bySource {
			if p != nil {
				p.forgetChanges()
			}
		}
	}
	clear(a.changed)
	a.changed, a.dropped = a.changed[:0], a.dropped[:0]
	for _, s := range a.shares {
		s.written = 0
	}
	return nil
}

// writeSegment writes all panes of a segment that have not left.
func (a *Aggregate) writeSegment(w *dataflow.StateWriter, from *segment) {
	from.persisted = true
	for source, p := range from.bySource {
		if p == nil {
			continue
		}
		for slot := range uint32(p.len()) {
			a.writePane(w, from, source, slot)
		}
	}
}

// writeChanges writes what has changed in a segment, nothing for a dropped one.
func (a *Aggregate) writeChanges(w *dataflow.StateWriter, from *segment) {
	if from.bySource == nil {
		return
	}
	from.persisted = true
	for source, p := range from.bySource {
		if p == nil {
			continue
		}
		for _, slot := range p.changed {
			a.writePane(w, from, source, slot)
		}
	}
}

func (a *Aggregate) writePane(w *dataflow.StateWriter, of *segment, source int, slot uint32) {
	p := of.bySource[source]
	key := p.key(slot)
	if of.last == a.progress.end && !a.progress.holds(key) {
		return
	}
	a.key = appendPane(a.key[:0], paneEntry, of.pane)
	a.key = binary.BigEndian.AppendUint32(a.key, uint32(source))
	a.key = append(a.key, key...)
	a.value = appendWords(a.value[:0], a.list, p, slot)
	w.Put(p.group(slot), a.key, a.value)
}

var errState = errors.New("damaged entry")

// Restore implements dataflow.Stateful.
func (a *Aggregate) Restore(e dataflow.StateEntry) error {
	if len(e.Key) == 1 && e.Key[0] == progressEntry && !e.Deleted {
		return a.restoreProgress(e.Value)
	}
	if len(e.Key) > 0 && e.Key[0] == shownEntry {
		return a.restoreShown(e)
	}
	if len(e.Key) < 17 {
		return errState
	}
	of, rest := pane{readTime(e.Key[1:]), readTime(e.Key[9:])}, e.Key[17:]
	if !a.isPane(of) {
		return errState
	}
	switch {
	case e.Key[0] == segmentEntry && len(rest) == 0 && e.Deleted:
		if s := a.segments[of]; s != nil {
			s.persisted = false // the deletion is already in the log
			a.drop(s)
		}
		return nil
	case e.Key[0] == paneEntry && len(rest) >= 4 && !e.Deleted:
		return a.restorePane(of, int(binary.BigEndian.Uint32(rest)), rest[4:], e.Value)
	}
	return errState
}

func (a *Aggregate) restoreProgress(value []byte) error {
	if len(value) < 16 {
		return errState
	}
	p := &a.progress
	*p = progress{closed: readTime(value), end: readTime(value[8:])}
	if p.end > p.closed {
		p.emitted = append([]byte{}, value[16:]...)
	}
	return nil
}

func (a *Aggregate) restorePane(of pane, source int, key, value []byte) error {
	if source >= len(a.shares) || !a.isGroupKey(key) {
		return errState
	}
	s := a.shares[source]
	p := a.use(s, of)
	a.gather(source)
	a.segments[of].persisted = true
	slot := p.find(codecs.KeyHash(key), key)
	if err := readWords(value, a.list, p, slot); err != nil {
		return err
	}
	a.settle(s)
	if a.changes {
		s.markDirty(p, slot)
	}
	return nil
}

// isPane tells whether there can be rows that count in the windows from of.first to
// of.last.
func (a *Aggregate) isPane(of pane) bool {
	if a.every == a.size {
		return of.first == of.last
	}
	if !isTime(of.first) || !isTime(of.last.Minus(a.size)) || of.first > of.last {
		return false
	}
	span := int64(of.last - of.first)
	return span < a.size && span%a.every == 0 && (int64(of.first)-a.size)%a.every == 0
}

// segmentBytes is the memory of a segment beside its panes: with its places in the map
// and in the heap, about.
const segmentBytes = 192

// StateBytes implements dataflow.Stateful.
func (a *Aggregate) StateBytes() int64 {
	total := a.shown.bytes() + int64(len(a.segments)*(segmentBytes+8*len(a.shares)))
	for _, s := range a.shares {
		total += s.bytes
	}
	return total
}

// ChangedBytes implements dataflow.Stateful.
func (a *Aggregate) ChangedBytes() int64 {
	total := a.shown.changedBytes()
	for _, s := range a.shares {
		total += s.written
	}
	return total
}
