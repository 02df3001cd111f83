package protocodec

import (
	"fmt"

	"leat/codecs"
)

// messageText appends the message that lies in pieces as JSON.
func (m *machine) messageText(t *message, pieces int32) {
	switch {
	case t.special == anyValue:
		m.valueText(t, pieces)
		return
	case t.special == wrapper:
		m.wrapperText(t, pieces)
		return
	case t.special.isScalar():
		m.arena = codecs.AppendJSON(m.arena, m.scalarMessage(t, pieces))
		return
	}
	mark := len(m.occurrences)
	base := m.scan(t, pieces)
	if t.special != general {
		m.manyText(&t.fields[0], m.heads[base])
		m.close(base, mark)
		return
	}
	m.arena = append(m.arena, '{')
	open := len(m.arena)
	for place := 0; place < len(t.fields) && !m.full(); place++ {
		f := &t.fields[place]
		h := m.heads[base+place]
		if h.first < 0 && f.text == nil {
			continue
		}
		if len(m.arena) > open {
			m.arena = append(m.arena, ',')
		}
		m.arena = append(m.arena, f.key...)
		m.fieldText(f, h)
	}
	m.arena = append(m.arena, '}')
	m.close(base, mark)
}

func (m *machine) fieldText(f *field, h head) {
	switch {
	case h.first < 0:
		m.arena = append(m.arena, f.text...)
	case f.list || f.isMap:
		m.manyText(f, h)
	default:
		m.oneText(f, m.occurrences[h.first], h.first)
	}
}

// oneText appends one value of f; pieces is where it starts if it is a message.
func (m *machine) oneText(f *field, o occurrence, pieces int32) {
	switch {
	case f.msg != nil:
		m.messageText(f.msg, pieces)
	case f.wire == wireBytes:
		m.arena = appendBytes(m.arena, f, m.record[o.from:o.to])
	default:
		bits, _ := number(f.wire, m.record, int(o.from))
		m.arena = appendScalar(m.arena, f, bits)
	}
}

// manyText appends a list or a map.
func (m *machine) manyText(f *field, h head) {
	if f.isMap {
		m.mapText(f.msg, h)
		return
	}
	m.arena = append(m.arena, '[')
	open := len(m.arena)
	for c := m.values(f, h); !m.full() && c.next(); {
		if len(m.arena) > open {
			m.arena = append(m.arena, ',')
		}
		if f.msg == nil {
			m.oneText(f, c.value, -1)
			continue
		}
		mark := len(m.occurrences)
		m.messageText(f.msg, m.piece(c.value.from, c.value.to))
		m.occurrences = m.occurrences[:mark]
	}
	m.arena = append(m.arena, ']')
}

// mapText appends the entries in the record's order; of those with the same key the last
// one counts, as in all JSON here.
func (m *machine) mapText(t *message, h head) {
	key, value := t.entry()
	f := &t.fields[value]
	m.arena = append(m.arena, '{')
	for o := h.first; o >= 0 && !m.full(); o = m.occurrences[o].next {
		if o != h.first {
			m.arena = append(m.arena, ',')
		}
		mark := len(m.occurrences)
		base := m.scan(t, m.piece(m.occurrences[o].from, m.occurrences[o].to))
		m.appendKeyText(&t.fields[key], m.heads[base+key])
		switch v := m.heads[base+value]; {
		case f.msg != nil:
			m.messageText(f.msg, v.first)
		default:
			m.fieldText(f, v)
		}
		m.close(base, mark)
	}
	m.arena = append(m.arena, '}')
}

// valueText appends a google.protobuf.Value.
func (m *machine) valueText(t *message, pieces int32) {
	mark := len(m.occurrences)
	base := m.scan(t, pieces)
	set := -1
	for place := range t.fields {
		if m.heads[base+place].first >= 0 {
			set = place
		}
	}
	if set < 0 {
		m.arena = append(m.arena, "null"...)
	} else {
		m.fieldText(&t.fields[set], m.heads[base+set])
	}
	m.close(base, mark)
}

// wrapperText appends the value of a wrapper, with all its digits.
func (m *machine) wrapperText(t *message, pieces int32) {
	mark := len(m.occurrences)
	base := m.scan(t, pieces)
	m.fieldText(&t.fields[0], m.heads[base])
	m.close(base, mark)
}

// completes tells whether complete looks at a field.
func (f *field) completes() bool { return f.required || f.oneof >= 0 || f.msg != nil && f.msg.needs }

// complete reports whether the message that lies in pieces has its required fields, and
// all messages inside have theirs. Those of lists and maps are looked at while the pieces
// are scanned, and are not noted.
func (m *machine) complete(t *message, pieces int32) bool {
	mark := len(m.occurrences)
	base := m.scan(t, pieces)
	ok := !m.lacking
	for place := 0; ok && place < len(t.fields); place++ {
		f := &t.fields[place]
		switch h := m.heads[base+place]; {
		case f.required && h.first < 0:
			m.fault.at(len(m.record), fmt.Sprintf("%s has no field %q, which is required", t.name, f.name))
			ok = false
		case f.msg != nil && f.msg.needs && h.first >= 0:
			ok = m.complete(f.msg, h.first)
		}
	}
	m.close(base, mark)
	return ok
}

// completeOne is complete for a message of a list, or the entry of a map.
func (m *machine) completeOne(f *field, o occurrence) bool {
	mark := len(m.occurrences)
	piece := m.piece(o.from, o.to)
	ok := true
	if f.isMap {
		_, value := f.msg.entry()
		base := m.scan(f.msg, piece)
		ok = !m.lacking && m.complete(f.msg.fields[value].msg, m.heads[base+value].first)
		m.close(base, mark)
	} else {
		ok = m.complete(f.msg, piece)
	}
	m.occurrences = m.occurrences[:mark]
	return ok
}
