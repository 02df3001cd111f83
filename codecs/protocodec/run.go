package protocodec

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
	"leat/codecs/internal/utf8text"
	"leat/codecs/internal/varint"
)

func (f *field) isString() bool { return f.kind == protoreflect.StringKind }

// run executes a program on the message that is b from i on: all of it, or as far as the
// end of the group with the given number. It returns the index after the message, or -1
// with the fault set. depth counts the message and those around it.
func (m *machine) run(pr *program, b []byte, i int, group uint32, depth int) int {
	for i < len(b) {
		var a *action
		if c := b[i]; c < 0x80 && pr.byByte[c] > 0 {
			a = &pr.actions[pr.byByte[c]-1]
			i++
		} else {
			number, wire, next := m.fault.tag(b, i)
			if next < 0 {
				return -1
			}
			if wire == wireEnd && number == group {
				return next
			}
			n := pr.action(number<<3 | uint32(wire))
			if n == 0 {
				if i = m.fault.skip(b, next, number, wire, depth); i < 0 {
					return -1
				}
				continue
			}
			a, i = &pr.actions[n-1], next
		}
		if a.once >= 0 {
			m.twice = m.twice || m.once[a.once] == m.stamp
			m.once[a.once] = m.stamp
		}
		start := i
		switch a.op {
		case opVarint:
			var v uint64
			if v, i = varint.Read(b, i); i < 0 {
				i = m.fault.varint(b, start)
			} else if a.col >= 0 {
				m.set(a.col, a.field.cell(v))
			}
		case opString:
			i = m.text(a, b, i)
		case opFixed:
			if size := fixedSize(a.wire); len(b)-i < size {
				i = m.fault.short(b, i, size)
			} else {
				var v uint64
				if v, i = number(a.wire, b, i); a.col >= 0 {
					m.set(a.col, a.field.cell(v))
				}
			}
		default:
			i = m.rare(a, b, i, depth)
		}
		if i < 0 {
			if m.fault.field == "" {
				m.fault.field = a.field.name
			}
			return -1
		}
	}
	if group != 0 {
		return m.fault.at(i, fmt.Sprintf("the message ends inside group %d", group))
	}
	return i
}

// text reads a string.
func (m *machine) text(a *action, b []byte, i int) int {
	from, end := i+1, -1
	if i < len(b) && b[i] < 0x80 {
		end = from + int(b[i])
	} else {
		from, end = span(b, i)
	}
	switch {
	case uint(end) > uint(len(b)): // also -1
		return m.fault.length(b, i)
	case !utf8text.Short(b, end, end-from) && !utf8text.Valid(b, from, end):
		return m.fault.at(from, "a string that is not UTF-8")
	case a.col >= 0:
		c := &m.cols[a.col]
		c.Kinds[m.row], c.Nums[m.row], c.Strs[m.row] = codecs.String, 0, view(b[from:end])
	}
	return end
}

// rare executes what has bytes or messages in it.
func (m *machine) rare(a *action, b []byte, i, depth int) int {
	if a.op == opGroup {
		return m.message(a, b, i, a.field.number, depth+groupLevels)
	}
	from, end := span(b, i)
	if end < 0 {
		return m.fault.length(b, i)
	}
	switch a.op {
	case opBytes:
		if a.col >= 0 {
			m.set(a.col, codecs.BytesValue(view(b[from:end])))
		}
	case opMessage:
		return m.message(a, b[:end], from, 0, depth+1)
	case opPackedVarint:
		for i = from; i < end; {
			at := i
			if _, i = varint.Read(b[:end], i); i < 0 {
				return m.fault.varint(b[:end], at)
			}
		}
	case opPackedFixed:
		if size := fixedSize(a.wire); (end-from)%size != 0 {
			return m.fault.at(from, fmt.Sprintf("%d bytes of numbers of %d bytes each", end-from, size))
		}
	}
	return end
}

// message runs the program of a message inside.
func (m *machine) message(a *action, b []byte, i int, group uint32, depth int) int {
	if depth > maxDepth {
		return m.fault.tooDeep(i)
	}
	if m.fill -= a.sub.msg.fill; m.fill < 0 {
		return m.fault.at(i, "messages that stand for too many defaults")
	}
	a.sub.setDefaults(m)
	end := m.run(a.sub, b, i, group, depth)
	if end >= 0 && a.col >= 0 && group == 0 {
		m.set(a.col, specialCell(a.sub.msg, b[i:end]))
	} else if end >= 0 && a.col >= 0 {
		m.twice = true // a group that stands for a single value
	}
	return end
}
