package protocodec

import "leat/codecs/internal/varint"

import "leat/codecs"

// The functions here say what a path of a record means. They look at all pieces of a
// message at once, and are right about every record that has been checked.

// evaluate sets the cells that w asks for of the message that lies in pieces.
func (m *machine) evaluate(w *want, t *message, pieces int32) {
	if w.col >= 0 {
		m.set(w.col, m.messageCell(t, pieces))
	}
	m.evaluateInside(w, t, pieces)
}

// evaluateInside sets the cells of what lies inside the message.
func (m *machine) evaluateInside(w *want, t *message, pieces int32) {
	if len(w.members) == 0 && len(w.elements) == 0 || t.special.isScalar() {
		return
	}
	mark := len(m.occurrences)
	base := m.scan(t, pieces)
	switch t.special {
	case object:
		m.evaluateMap(w, &t.fields[0], m.heads[base])
	case list:
		m.evaluateList(w, &t.fields[0], m.heads[base])
	case anyValue:
		m.evaluateValue(w, t, base)
	default:
		for k := range w.members {
			if place, known := t.byName[w.members[k].name]; known {
				m.evaluateField(w.members[k].w, &t.fields[place], m.heads[base+place])
			}
		}
	}
	m.close(base, mark)
}

// evaluateValue goes into the struct or list that a google.protobuf.Value has.
func (m *machine) evaluateValue(w *want, t *message, base int) {
	for place := range t.fields {
		f := &t.fields[place]
		if h := m.heads[base+place]; h.first >= 0 && f.msg != nil {
			m.evaluateInside(w, f.msg, h.first)
		}
	}
}

func (m *machine) evaluateField(w *want, f *field, h head) {
	switch {
	case f.list || f.isMap:
		m.evaluateMany(w, f, h)
	case h.first < 0:
		if w.col >= 0 {
			m.set(w.col, f.absent)
		}
	default:
		m.evaluateOne(w, f, h.first)
	}
}

// evaluateOne sets what w asks for of one value of f.
func (m *machine) evaluateOne(w *want, f *field, o int32) {
	switch {
	case f.msg != nil:
		m.evaluate(w, f.msg, o)
	case w.col >= 0:
		m.set(w.col, m.scalarCell(f, m.occurrences[o]))
	}
}

// scalarCell is a value that is not a message.
func (m *machine) scalarCell(f *field, o occurrence) codecs.Value {
	if f.wire == wireBytes {
		return f.bytesCell(m.record[o.from:o.to])
	}
	bits, _ := number(f.wire, m.record, int(o.from))
	return f.cell(bits)
}

func (m *machine) evaluateMany(w *want, f *field, h head) {
	if w.col >= 0 {
		from := m.begin()
		m.manyText(f, h)
		if f.list {
			m.set(w.col, codecs.ArrayValue(view(m.arena[from:])))
		} else {
			m.set(w.col, codecs.ObjectValue(view(m.arena[from:])))
		}
	}
	if f.list {
		m.evaluateList(w, f, h)
	} else {
		m.evaluateMap(w, f, h)
	}
}

func (m *machine) evaluateList(w *want, f *field, h head) {
	for k := range w.elements {
		mark := len(m.occurrences)
		if o := m.element(f, h, w.elements[k].index); o >= 0 {
			m.evaluateOne(w.elements[k].w, f, o)
		}
		m.occurrences = m.occurrences[:mark]
	}
}

// element is the value of a list at an index, or -1.
func (m *machine) element(f *field, h head, index int) int32 {
	for c := m.values(f, h); c.next(); index-- {
		if index == 0 {
			return m.piece(c.value.from, c.value.to)
		}
	}
	return -1
}

// cursor goes through the values of a list.
type cursor struct {
	m     *machine
	f     *field
	at    int32 // the occurrence that comes next, or -1
	in    occurrence
	value occurrence
}

func (m *machine) values(f *field, h head) cursor { return cursor{m: m, f: f, at: h.first} }

func (c *cursor) next() bool {
	for {
		if c.in.from < c.in.to {
			_, end := number(c.f.wire, c.m.record, int(c.in.from))
			c.value = occurrence{from: c.in.from, to: int32(end), next: -1}
			c.in.from = int32(end)
			return true
		}
		if c.at < 0 {
			return false
		}
		c.value = c.m.occurrences[c.at]
		c.at = c.value.next
		if !c.value.packed {
			return true
		}
		c.in = c.value
	}
}

// evaluateMap sets what w asks for of the entries of a map: of those with the same key the
// last one counts.
func (m *machine) evaluateMap(w *want, f *field, h head) {
	for k := range w.members {
		mark := len(m.occurrences)
		found := int32(-1)
		for o := h.first; o >= 0; o = m.occurrences[o].next {
			if m.hasKey(f.msg, o, w.members[k].name) {
				found = o
			}
		}
		if found >= 0 {
			m.evaluateEntry(w.members[k].w, f.msg, found)
		}
		m.occurrences = m.occurrences[:mark]
	}
}

// entry are the key and the value of a map's entry: the fields with numbers 1 and 2, in
// whatever order they are declared.
func (t *message) entry() (key, value int) { return t.find(1), t.find(2) }

func (m *machine) hasKey(t *message, o int32, name string) bool {
	mark := len(m.occurrences)
	key, _ := t.entry()
	base := m.scan(t, m.piece(m.occurrences[o].from, m.occurrences[o].to))
	var buffer [24]byte
	same := string(m.appendKey(buffer[:0], &t.fields[key], m.heads[base+key])) == name
	m.close(base, mark)
	return same
}

// appendKey appends the key of an entry as the text that it is as a member.
func (m *machine) appendKey(dst []byte, f *field, h head) []byte {
	switch {
	case h.first < 0 && f.absent.Kind == codecs.String:
		return dst
	case h.first < 0:
		return append(dst, f.text...)
	case f.wire == wireBytes:
		o := m.occurrences[h.first]
		return append(dst, m.record[o.from:o.to]...)
	}
	bits, _ := number(f.wire, m.record, int(m.occurrences[h.first].from))
	return appendScalar(dst, f, bits)
}

func (m *machine) evaluateEntry(w *want, t *message, o int32) {
	mark := len(m.occurrences)
	_, value := t.entry()
	f := &t.fields[value]
	base := m.scan(t, m.piece(m.occurrences[o].from, m.occurrences[o].to))
	switch h := m.heads[base+value]; {
	case h.first < 0 && f.msg == nil:
		if w.col >= 0 {
			m.set(w.col, f.absent)
		}
	default:
		m.evaluateOne(w, f, h.first)
	}
	m.close(base, mark)
}

// messageCell is a message as a cell.
func (m *machine) messageCell(t *message, pieces int32) codecs.Value {
	if t.special.isScalar() {
		return m.scalarMessage(t, pieces)
	}
	if t.special == anyValue {
		return m.valueCell(t, pieces)
	}
	from := m.begin()
	m.messageText(t, pieces)
	if t.special == list {
		return codecs.ArrayValue(view(m.arena[from:]))
	}
	return codecs.ObjectValue(view(m.arena[from:]))
}

// valueCell is what a google.protobuf.Value has; one that has nothing is null.
func (m *machine) valueCell(t *message, pieces int32) codecs.Value {
	mark := len(m.occurrences)
	base := m.scan(t, pieces)
	v := codecs.NullValue()
	for place := range t.fields {
		f := &t.fields[place]
		switch h := m.heads[base+place]; {
		case h.first < 0:
		case f.msg != nil:
			v = m.messageCell(f.msg, h.first)
		default:
			v = m.scalarCell(f, m.occurrences[h.first])
		}
	}
	m.close(base, mark)
	return v
}

// scalarMessage is a time or a wrapper as a cell.
func (m *machine) scalarMessage(t *message, pieces int32) codecs.Value {
	mark := len(m.occurrences)
	base := m.scan(t, pieces)
	v := codecs.Value{}
	if t.special == wrapper {
		f := &t.fields[0]
		if v = f.absent; m.heads[base].first >= 0 {
			v = m.scalarCell(f, m.occurrences[m.heads[base].first])
		}
	} else {
		var parts [2]int64
		for place := range parts {
			if h := m.heads[base+place]; h.first >= 0 {
				parts[place] = m.scalarCell(&t.fields[place], m.occurrences[h.first]).Int()
			}
		}
		v = codecs.IntValue(milliseconds(parts[0], parts[1]))
	}
	m.close(base, mark)
	return v
}

// milliseconds is a time in seconds and nanoseconds, cut towards the past. What 64 bits
// cannot hold is the nearest that they can.
func milliseconds(seconds, nanos int64) int64 {
	const most = 1<<63 - 1
	const least = -1 << 63
	ms := nanos / 1_000_000
	if nanos%1_000_000 < 0 {
		ms--
	}
	switch {
	case seconds > most/1000-3000:
		return most
	case seconds < least/1000+3000:
		return least
	}
	return seconds*1000 + ms
}

// appendKeyText appends the key of an entry as a JSON member name with its colon.
func (m *machine) appendKeyText(f *field, h head) {
	switch {
	case h.first >= 0 && f.wire == wireBytes:
		o := m.occurrences[h.first]
		m.arena = codecs.AppendJSONString(m.arena, view(m.record[o.from:o.to]))
	default:
		m.arena = append(m.arena, '"')
		m.arena = append(m.appendKey(m.arena, f, h), '"')
	}
	m.arena = append(m.arena, ':')
}

// specialCell is a time or a wrapper that lies in one piece, and has been checked.
func specialCell(t *message, b []byte) codecs.Value {
	if t.special == wrapper {
		return wrapperCell(&t.fields[0], b)
	}
	var parts [2]int64
	var never fault
	for i := 0; i < len(b); {
		number, wire, next := never.tag(b, i)
		if number <= 2 && wire == wireVarint {
			var v uint64
			v, next = varint.Read(b, next)
			parts[number-1] = int64(v)
		} else {
			next = never.skip(b, next, number, wire, 0)
		}
		if i = next; i < 0 {
			break
		}
	}
	return codecs.IntValue(milliseconds(parts[0], int64(int32(parts[1]))))
}

func wrapperCell(f *field, b []byte) codecs.Value {
	v := f.absent
	var never fault
	for i := 0; i < len(b); {
		tag, wire, next := never.tag(b, i)
		end := never.skip(b, next, tag, wire, 0)
		switch {
		case end < 0:
			return v
		case tag != f.number || wire != f.wire:
		case wire == wireBytes:
			from, to := span(b, next)
			v = f.bytesCell(b[from:to])
		default:
			bits, _ := number(wire, b, next)
			v = f.cell(bits)
		}
		i = end
	}
	return v
}
