package operators

import (
	"encoding/binary"

	"leat/codecs"
	"leat/dataflow"
)

// The state of a SessionAggregate, as entries of the state log, big endian:
//
//	session   key    +-----+--------+-------------+-----------+
//	                 | 's' | source | born        | group key |
//	                 | u8  | u32    | i64 ^ 1<<63 |           |
//	                 +-----+--------+-------------+-----------+
//	          value  +-------------+-------------+--------------+
//	                 | first       | last        | accumulators |
//	                 | i64 ^ 1<<63 | i64 ^ 1<<63 |              |
//	                 +-------------+-------------+--------------+
//	progress  key    +-----+
//	                 | 'w' |
//	                 +-----+
//	          value  +-------------+-----------+
//	                 | end         | group key |
//	                 | i64 ^ 1<<63 |           |
//	                 +-------------+-----------+
//
// A session is a partial session, named by the event time of the row that began it.
// It is deleted where it was joined to another one. Sessions that leave are not: all
// with an end and key up to those in progress have left, of the entries before it. So
// in a snapshot deletions come first, and progress comes last. Marks are as shown says.

const (
	sessionEntry      = 's'
	sessionStateBytes = 2 + 1 + 4 + 8 + 16 // with the prefix of dataflow
)

func (s *sessions) appendStateKey(dst []byte, slot uint32) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, sessionEntry), s.source)
	return append(appendTime(dst, s.slots[slot].born), s.groupKey(slot)...)
}

// Snapshot implements dataflow.Stateful.
func (a *SessionAggregate) Snapshot(w *dataflow.StateWriter) error {
	for _, s := range a.stores {
		for _, d := range s.dropped {
			if !w.Full {
				w.Delete(d.group, d.key)
			}
		}
		clear(s.dropped)
		s.dropped = s.dropped[:0]
	}
	for _, s := range a.stores {
		if w.Full {
			for slot := range uint32(len(s.slots)) {
				a.writeSession(w, s, slot)
			}
		} else {
			for _, slot := range s.cells.changed {
				a.writeSession(w, s, slot)
			}
		}
		s.cells.forgetChanges()
		s.written = 0
	}
	a.shown.snapshot(w)
	if p := &a.progress; p.changed {
		if !w.Full {
			w.Put(0, []byte{progressEntry}, append(appendTime(nil, p.end), p.key...))
		}
		p.changed = false
	}
	return nil
}

// writeSession writes a session, nothing of a slot that is unused.
func (a *SessionAggregate) writeSession(w *dataflow.StateWriter, s *sessions, slot uint32) {
	x := &s.slots[slot]
	if !x.live {
		return
	}
	x.persisted = true
	a.key = s.appendStateKey(a.key[:0], slot)
	a.value = appendTime(appendTime(a.value[:0], x.first), x.last)
	a.value = appendWords(a.value, a.list, s.cells, slot)
	w.Put(s.cells.group(slot), a.key, a.value)
}

// Restore implements dataflow.Stateful.
func (a *SessionAggregate) Restore(e dataflow.StateEntry) error {
	if len(e.Key) == 1 && e.Key[0] == progressEntry && !e.Deleted {
		return a.restoreProgress(e.Value)
	}
	if len(e.Key) > 0 && e.Key[0] == shownEntry {
		return a.restoreShown(e)
	}
	if len(e.Key) < 13 || e.Key[0] != sessionEntry {
		return errState
	}
	source, born, key := binary.BigEndian.Uint32(e.Key[1:]), readTime(e.Key[5:]), e.Key[13:]
	if uint64(source) >= uint64(len(a.stores)) || !isTime(born) || !a.isGroupKey(key) {
		return errState
	}
	s := a.stores[source]
	if e.Deleted {
		if slot, found := s.bornAt(key, born); found {
			s.release(slot)
			s.reset()
		}
		return nil
	}
	if len(e.Value) < 16 {
		return errState
	}
	first, last := readTime(e.Value), readTime(e.Value[8:])
	if first > born || born > last || !isTime(first) || !isTime(last) {
		return errState
	}
	return s.restore(key, born, first, last, e.Value[16:], a.changes)
}

// bornAt finds a session by the event time of its first row.
func (s *sessions) bornAt(key []byte, born dataflow.Time) (slot uint32, found bool) {
	_, newest, found := s.find(codecs.KeyHash(key), key)
	if !found {
		return 0, false
	}
	for slot = newest; s.slots[slot].born != born; slot = s.slots[slot].older {
		if s.slots[slot].older == newest {
			return 0, false
		}
	}
	return slot, true
}

// restore sets a session to what the state log has of it.
func (s *sessions) restore(key []byte, born, first, last dataflow.Time, words []byte, changes bool) error {
	slot, found := s.bornAt(key, born)
	if !found {
		before := s.len()
		slot = s.take(key, born)
		if s.len() != before+1 {
			return errState // it is part of another one
		}
	}
	x := &s.slots[slot]
	x.first, x.last, x.persisted = first, last, true
	gap := dataflow.Time(s.gap)
	newer, older := &s.slots[x.newer], &s.slots[x.older]
	if newer.born > born && newer.first < last+gap || older.born < born && first < older.last+gap {
		return errState
	}
	s.arm(slot)
	if err := readWords(words, s.list, s.cells, slot); err != nil {
		return err
	}
	if changes {
		s.cells.markDirty(slot)
	}
	s.settle()
	return nil
}

// restoreProgress drops the sessions that have left.
func (a *SessionAggregate) restoreProgress(value []byte) error {
	if len(value) < 8 || !a.isGroupKey(value[8:]) {
		return errState
	}
	p := &a.progress
	p.end, p.key = readTime(value), append(p.key[:0], value[8:]...)
	a.collect(p.end)
	for _, c := range a.closing {
		if p.left(c.end, a.groupKey(c)) {
			a.forget(c)
			continue
		}
		for _, part := range a.partials[c.from:c.to] {
			s := a.stores[part.order]
			s.slots[part.slot].leaving = false
			s.arm(part.slot)
		}
	}
	a.at, a.gone = len(a.closing), nil
	a.tidy()
	return nil
}
