package protocodec

import "leat/codecs/internal/varint"

// occurrence is a value of a field in the record, or a piece of one: where its bytes are,
// and which is next of the same field.
type occurrence struct {
	from, to int32
	next     int32 // or -1
	packed   bool  // many numbers
}

// head is the first and last occurrence of a field; -1 for none.
type head struct{ first, last int32 }

// whole is the record as the only piece of a message.
func (m *machine) whole() int32 { return m.piece(0, int32(len(m.record))) }

// piece is a new occurrence by itself.
func (m *machine) piece(from, to int32) int32 {
	m.occurrences = append(m.occurrences, occurrence{from: from, to: to, next: -1})
	return int32(len(m.occurrences) - 1)
}

// scan notes what the pieces of a message, which have been checked, have of every field:
// the last value of a single one, all pieces of a single message, all values of a list or
// map, and of a oneof only the field that came last. Its heads start at the returned
// place; close forgets them.
func (m *machine) scan(t *message, pieces int32) (base int) {
	base = len(m.heads)
	for range len(t.fields) + t.oneofs {
		m.heads = append(m.heads, head{-1, -1})
	}
	for ; pieces >= 0; pieces = m.occurrences[pieces].next {
		p := m.occurrences[pieces]
		m.scanPiece(t, base, m.record[:p.to], int(p.from))
	}
	return base
}

// close forgets a scan and the occurrences that are newer than mark.
func (m *machine) close(base, mark int) {
	m.heads, m.occurrences = m.heads[:base], m.occurrences[:mark]
}

func (m *machine) scanPiece(t *message, base int, b []byte, i int) {
	var never fault
	for i < len(b) {
		number, wire, next := never.tag(b, i)
		if next < 0 {
			return
		}
		place := t.find(number)
		end := never.skip(b, next, number, wire, 0)
		if end < 0 {
			return
		}
		i = end
		if place < 0 || m.lean && !t.fields[place].completes() {
			continue
		}
		f := &t.fields[place]
		from, to := next, end
		packed := false
		switch {
		case wire == wireBytes && (f.wire == wireBytes || f.packable()):
			from, to = span(b, next)
			packed = f.wire != wireBytes
		case wire != f.wire:
			continue // passed over, like a field that is not known
		case wire == wireGroup:
			to = endOfGroup(b, end, number)
		}
		o := occurrence{from: int32(from), to: int32(to), next: -1, packed: packed}
		if m.lean && f.msg != nil && (f.list || f.isMap) {
			m.lacking = m.lacking || !m.completeOne(f, o)
			continue
		}
		m.note(t, base, place, o)
	}
}

// endOfGroup is where the tag starts that ends a group before end: no shorter suffix of a
// tag is the same tag.
func endOfGroup(b []byte, end int, number uint32) int {
	want := uint64(number)<<3 | uint64(wireEnd)
	for i := end - 1; i >= 0 && i >= end-varint.MaxBytes; i-- {
		if v, next := varint.Read(b, i); next == end && v == want {
			return i
		}
	}
	return end
}

func (m *machine) note(t *message, base, place int, o occurrence) {
	f := &t.fields[place]
	h := &m.heads[base+place]
	if f.oneof >= 0 {
		current := &m.heads[base+len(t.fields)+f.oneof]
		if before := current.first; before >= 0 && before != int32(place) {
			m.heads[base+int(before)] = head{-1, -1}
		}
		current.first = int32(place)
	}
	switch {
	case h.first >= 0 && !f.list && f.msg == nil:
		m.occurrences[h.first] = o
		return
	case h.first < 0:
		h.first = int32(len(m.occurrences))
	default:
		m.occurrences[h.last].next = int32(len(m.occurrences))
	}
	h.last = int32(len(m.occurrences))
	m.occurrences = append(m.occurrences, o)
}
