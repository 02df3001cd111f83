package operators

import (
	"bytes"
	"slices"
	"unsafe"

	"leat/codecs"
	"leat/dataflow"
)

// sessions holds the partial sessions of one source partition in slots: for each its
// event times, its group key and a row of accumulators. All of it but bags lies in a
// few slices without pointers; slots of sessions that are gone are used again.
//
// The sessions of a key form a ring in the order of time, any two of them the gap or
// more apart. A hash table leads from the key to the newest of them, where a row mostly
// belongs. Each session has one timer that counts, at or before its end; it is put off
// when it goes off too early, so that a session that grows costs nothing.
type sessions struct {
	given
	source uint32
	gap    int64
	list   []accumulator
	cells  *panes // hash and accumulators of each slot; it has no keys

	slots      []session
	unused     []uint32 // slots
	table      []uint32 // slot+1 of the newest session of a key, 0 = free; open addressing, a power of two long
	groups     int      // keys in table
	keys       []byte
	unusedKeys int // bytes of keys no longer referred to
	timers     timers

	dropped []droppedSession // of which something lies in the state log
	written int64            // bytes the next incremental snapshot will take
}

// session is a partial session.
type session struct {
	key          uint64 // offset<<24 | length in sessions.keys
	first, last  dataflow.Time
	born         dataflow.Time // event time of its first row in the log; no other session of the key ever has it
	due          dataflow.Time // when its timer goes off, MinTime for none; others of the slot do not count
	newer, older uint32        // in the ring: behind the newest is the oldest
	live         bool
	leaving      bool // listed in SessionAggregate.closing
	persisted    bool // something of it lies in the state log
}

// droppedSession is one that has been joined to another.
type droppedSession struct {
	group byte
	key   []byte // in the state log
}

func newSessions(source int, gap int64, list []accumulator, size layout) *sessions {
	return &sessions{
		given:  given{operands: make([]operand, len(list))},
		source: uint32(source), gap: gap, list: list, cells: newPanes(pane{}, size), table: make([]uint32, 8),
	}
}

// groupKey is the canonical key of a slot, a view.
func (s *sessions) groupKey(slot uint32) []byte {
	at, n := s.slots[slot].key>>textLengthBits, s.slots[slot].key&textLengthMask
	return s.keys[at : at+n : at+n]
}

// end is the end of a session as it is now.
func (s *sessions) end(slot uint32) dataflow.Time {
	if s.gap == Endless {
		return dataflow.MaxTime
	}
	return s.slots[slot].last + dataflow.Time(s.gap)
}

func (s *sessions) len() int { return len(s.slots) - len(s.unused) }

// find returns the newest session of a key, or where in the table it would stand.
func (s *sessions) find(hash uint64, key []byte) (at uint64, newest uint32, found bool) {
	mask := uint64(len(s.table) - 1)
	for at = hash & mask; s.table[at] != 0; at = (at + 1) & mask {
		newest = s.table[at] - 1
		if s.cells.hashes[newest] == hash && bytes.Equal(s.groupKey(newest), key) {
			return at, newest, true
		}
	}
	return at, 0, false
}

// take returns the session that a row at t belongs to: the one that it is less than the
// gap away from, the two joined that it is less than the gap away from, or a new one.
func (s *sessions) take(key []byte, t dataflow.Time) uint32 {
	hash := codecs.KeyHash(key)
	at, newest, found := s.find(hash, key)
	if !found {
		return s.addFirst(at, hash, key, t)
	}
	gap := dataflow.Time(s.gap)
	for slot := newest; ; {
		x := &s.slots[slot]
		switch {
		case t >= x.last+gap:
			next := s.insert(slot, hash, key, t)
			if slot == newest {
				s.table[at] = next + 1
			}
			return next
		case t+gap > x.first:
			return s.extend(slot, t)
		case x.older == newest:
			return s.insert(newest, hash, key, t)
		}
		slot = x.older
	}
}

// extend has a session, and the one before it where that is near enough, take a row at
// t.
func (s *sessions) extend(slot uint32, t dataflow.Time) uint32 {
	x := &s.slots[slot]
	if o := &s.slots[x.older]; o.first < x.first && t < o.last+dataflow.Time(s.gap) {
		into := x.older
		for i := range s.list {
			s.list[i].join(s.cells, into, slot)
		}
		o.last = x.last
		if x.persisted {
			key := s.appendStateKey(nil, slot)
			s.dropped = append(s.dropped, droppedSession{s.cells.group(slot), key})
			s.written += int64(len(key))
		}
		s.release(slot)
		return into
	}
	x.first, x.last = min(x.first, t), max(x.last, t)
	return slot
}

// addFirst makes the first session of a key, which will stand at a place of the table.
func (s *sessions) addFirst(at, hash uint64, key []byte, t dataflow.Time) uint32 {
	slot := s.add(hash, key, t)
	s.slots[slot].newer, s.slots[slot].older = slot, slot
	s.table[at] = slot + 1
	if s.groups++; 3*s.groups > 2*len(s.table) {
		s.rehash(2 * len(s.table))
	}
	return slot
}

// insert makes a session on the newer side of another one in its ring.
func (s *sessions) insert(beside uint32, hash uint64, key []byte, t dataflow.Time) uint32 {
	slot := s.add(hash, key, t)
	newer := s.slots[beside].newer
	s.slots[slot].newer, s.slots[slot].older = newer, beside
	s.slots[newer].older, s.slots[beside].newer = slot, slot
	return slot
}

func (s *sessions) add(hash uint64, key []byte, t dataflow.Time) uint32 {
	var slot uint32
	if last := len(s.unused) - 1; last >= 0 {
		slot = s.unused[last]
		s.unused = s.unused[:last]
		s.cells.hashes[slot] = hash
	} else {
		slot = s.cells.addSlot(hash)
		s.slots = append(s.slots, session{})
	}
	s.slots[slot] = session{key: uint64(len(s.keys))<<textLengthBits | uint64(len(key)), first: t, last: t, born: t, live: true}
	s.keys = append(s.keys, key...)
	s.arm(slot)
	return slot
}

// arm sets the timer of a session to its end.
func (s *sessions) arm(slot uint32) {
	s.slots[slot].due = s.end(slot)
	s.timers.push(timer{s.slots[slot].due, slot})
}

// goneOff returns a session that w has come to the end of, each one once.
func (s *sessions) goneOff(w dataflow.Time) (slot uint32, ok bool) {
	for len(s.timers) > 0 && s.timers[0].at <= w {
		t := s.timers.pop()
		x := &s.slots[t.slot]
		switch {
		case !x.live || x.due != t.at:
		case s.end(t.slot) > w:
			s.arm(t.slot)
		default:
			x.due = dataflow.MinTime
			return t.slot, true
		}
	}
	return 0, false
}

// release frees the slot of a session.
func (s *sessions) release(slot uint32) {
	x := &s.slots[slot]
	at, newest, _ := s.find(s.cells.hashes[slot], s.groupKey(slot))
	switch {
	case x.older == slot:
		s.removeGroup(at)
	case newest == slot:
		s.table[at] = x.older + 1
	}
	s.slots[x.newer].older, s.slots[x.older].newer = x.older, x.newer
	s.unusedKeys += int(x.key & textLengthMask)
	*x = session{}
	s.unused = append(s.unused, slot)
	s.cells.clearSlot(slot, s.list)
}

// removeGroup frees a place of the table and moves up what would not be found any more.
func (s *sessions) removeGroup(at uint64) {
	mask := uint64(len(s.table) - 1)
	for next := (at + 1) & mask; s.table[next] != 0; next = (next + 1) & mask {
		home := s.cells.hashes[s.table[next]-1] & mask
		if (next-home)&mask >= (next-at)&mask {
			s.table[at] = s.table[next]
			at = next
		}
	}
	s.table[at] = 0
	s.groups--
}

func (s *sessions) rehash(size int) {
	old := s.table
	s.table = make([]uint32, size)
	mask := uint64(size - 1)
	for _, entry := range old {
		if entry == 0 {
			continue
		}
		at := s.cells.hashes[entry-1] & mask
		for s.table[at] != 0 {
			at = (at + 1) & mask
		}
		s.table[at] = entry
	}
}

// touch remembers that a session has to be written.
func (s *sessions) touch(slot uint32) {
	p := s.cells
	word, bit := &p.isChanged[slot>>6], uint64(1)<<(slot&63)
	s.written += p.growth
	p.growth = 0
	if *word&bit != 0 {
		return
	}
	*word |= bit
	p.changed = append(p.changed, slot)
	size := int(s.slots[slot].key&textLengthMask) + sessionStateBytes + 8*p.width
	for i := range p.bagWidth {
		size += p.bag(slot, i).size()
	}
	s.written += int64(size)
}

// settle gives back memory after rows have been added.
func (s *sessions) settle() {
	s.cells.compact(s.list)
	if len(s.timers) > minSlots && len(s.timers) > 2*s.len() {
		s.retime()
	}
	if s.unusedKeys < 64<<10 || 2*s.unusedKeys < len(s.keys) {
		return
	}
	keys := make([]byte, 0, 2*(len(s.keys)-s.unusedKeys))
	for slot := range s.slots {
		if x := &s.slots[slot]; x.live {
			key := s.groupKey(uint32(slot))
			x.key = uint64(len(keys))<<textLengthBits | uint64(len(key))
			keys = append(keys, key...)
		}
	}
	s.keys, s.unusedKeys = keys, 0
}

// Memory of slots beyond these is given back once three quarters of them are unused.
const minSlots = 1024

// shrink gives back the memory of many unused slots. None may be leaving.
func (s *sessions) shrink() {
	if len(s.slots) <= minSlots || 4*s.len() > len(s.slots) {
		return
	}
	p := s.cells
	unused := func(slot uint32) bool { return !s.slots[slot].live }
	p.changed, p.dirty = slices.DeleteFunc(p.changed, unused), slices.DeleteFunc(p.dirty, unused)
	moved := make([]uint32, len(s.slots))
	to := uint32(0)
	for from := range s.slots {
		if !s.slots[from].live {
			continue
		}
		moved[from] = to
		s.slots[to], p.hashes[to] = s.slots[from], p.hashes[from]
		copy(p.row(to), p.row(uint32(from)))
		copy(p.bags[int(to)*p.bagWidth:], p.bags[from*p.bagWidth:(from+1)*p.bagWidth])
		to++
	}
	s.slots, p.hashes, s.unused = slices.Clone(s.slots[:to]), slices.Clone(p.hashes[:to]), nil
	p.words, p.bags = slices.Clone(p.words[:int(to)*p.width]), slices.Clone(p.bags[:int(to)*p.bagWidth])
	for slot := range s.slots {
		x := &s.slots[slot]
		x.newer, x.older = moved[x.newer], moved[x.older]
	}
	for i, entry := range s.table {
		if entry != 0 {
			s.table[i] = moved[entry-1] + 1
		}
	}
	size := 8
	for 3*s.groups > size {
		size *= 2
	}
	s.rehash(size)
	s.timers = nil
	s.retime()
	p.isChanged, p.isDirty = make([]uint64, (to+63)/64), make([]uint64, (to+63)/64)
	renumber(p.changed, p.isChanged, moved)
	renumber(p.dirty, p.isDirty, moved)
}

// renumber has a list of slots, and the bit set of the same, tell where they have moved.
func renumber(list []uint32, bits []uint64, moved []uint32) {
	for i, slot := range list {
		slot = moved[slot]
		list[i] = slot
		bits[slot>>6] |= 1 << (slot & 63)
	}
}

// retime leaves one timer to each session that has one.
func (s *sessions) retime() {
	s.timers = s.timers[:0]
	for slot := range s.slots {
		if x := &s.slots[slot]; x.live && x.due != dataflow.MinTime {
			s.timers.push(timer{x.due, uint32(slot)})
		}
	}
}

// reset forgets all that is known of sessions that are gone, once all are. Memory worth
// keeping is kept.
func (s *sessions) reset() {
	if s.len() > 0 || len(s.slots) == 0 {
		return
	}
	s.written = 0
	for _, d := range s.dropped {
		s.written += int64(len(d.key))
	}
	if s.memory() > maxSpareSessions {
		size := layout{s.cells.width, s.cells.bagWidth}
		s.cells, s.slots, s.unused, s.table, s.keys, s.timers = newPanes(pane{}, size), nil, nil, make([]uint32, 8), nil, nil
	} else {
		s.cells.forgetDirty()
		s.cells.recycle()
		s.slots, s.unused, s.keys, s.timers = s.slots[:0], s.unused[:0], s.keys[:0], s.timers[:0]
	}
	s.unusedKeys = 0
}

// maxSpareSessions bounds the memory that a partition without sessions keeps.
const maxSpareSessions = 1 << 20

// bytes is the memory held by sessions, none where there are none.
func (s *sessions) bytes() int64 {
	if s.len() == 0 {
		return 0
	}
	return s.memory()
}

func (s *sessions) memory() int64 {
	return s.cells.bytes() + int64(int(unsafe.Sizeof(session{}))*cap(s.slots)+4*cap(s.unused)+4*cap(s.table)+cap(s.keys)+
		int(unsafe.Sizeof(timer{}))*cap(s.timers))
}
