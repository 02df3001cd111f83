package avrocodec

import (
	"encoding/binary"
	"fmt"
	"math"

	"leat/codecs"
	"leat/codecs/internal/utf8text"
)

// run executes a program on b from i on, and returns the index after the value, or -1
// with the fault set. depth counts the records, arrays and maps around.
func (m *machine) run(pr *program, b []byte, i, depth int) int {
	row := m.row
	steps := pr.steps
	for pc := 0; pc < len(steps); pc++ {
		st := &steps[pc]
		at := i
		switch st.op {
		case opSkip:
			if i += st.n; i > len(b) {
				i = m.fault.short(b, at, st.n)
			}
		case opLong:
			var v int64
			if v, i = readLong(b, i); i < 0 {
				i = m.fault.number(b, at, maxLongBytes)
			} else if st.col >= 0 {
				c := &m.cols[st.col]
				c.Kinds[row], c.Nums[row] = codecs.Int, uint64(v)
				if st.as != plain {
					m.convert(st, v)
				}
			}
		case opInt:
			var v int64
			if v, i = readLong(b, i); i < 0 || !isInt(v, i-at) {
				i = m.fault.number(b, at, maxIntBytes)
			} else if st.col >= 0 {
				c := &m.cols[st.col]
				c.Kinds[row], c.Nums[row] = codecs.Int, uint64(v)
				if st.as != plain {
					m.convert(st, v)
				}
			}
		case opString:
			var from int
			if from, i = findText(b, i); i < 0 {
				i = m.fault.text(b, at)
			} else if st.col >= 0 {
				c := &m.cols[st.col]
				c.Kinds[row], c.Strs[row] = codecs.String, view(b[from:i])
				if st.as == toBytes {
					c.Kinds[row] = codecs.Bytes
				}
			}
		case opDouble:
			if len(b)-i < 8 {
				i = m.fault.short(b, at, 8)
				break
			}
			if st.col >= 0 {
				c := &m.cols[st.col]
				c.Kinds[row], c.Nums[row] = codecs.Float, binary.LittleEndian.Uint64(b[i:])
			}
			i += 8
		case opNullable:
			var index int
			if i < len(b) && b[i] <= 2 && b[i] != 1 {
				index = int(b[i] >> 1)
				i++
			} else {
				index, i = m.index(b, i, 2)
			}
			if i >= 0 && index == int(st.null) {
				m.set(st.col, codecs.Null, 0, "")
				pc += st.n
			}
		default:
			i = m.rare(st, b, i, depth)
		}
		if i < 0 {
			if m.fault.field == "" {
				m.fault.field = pr.where[min(pc, len(pr.where)-1)]
			}
			return -1
		}
	}
	return i
}

// convert replaces the number that a cell was set to.
func (m *machine) convert(st *step, v int64) {
	switch st.as {
	case toFloat:
		m.set(st.col, codecs.Float, math.Float64bits(float64(v)), "")
	case toSingle:
		m.set(st.col, codecs.Float, math.Float64bits(float64(float32(v))), "")
	default:
		m.set(st.col, codecs.Int, uint64(st.as.milliseconds(v)), "")
	}
}

// milliseconds is a time in milliseconds, cut towards the past.
func (as conversion) milliseconds(v int64) int64 {
	switch as {
	case days:
		return v * 86_400_000
	case micros:
		return floorDiv(v, 1000)
	case nanos:
		return floorDiv(v, 1_000_000)
	}
	return v
}

func floorDiv(v, by int64) int64 {
	q := v / by
	if v%by < 0 {
		q--
	}
	return q
}

// rare executes the steps that most records have few of.
func (m *machine) rare(st *step, b []byte, i, depth int) int {
	switch st.op {
	case opBool:
		if i >= len(b) {
			return m.fault.short(b, i, 1)
		}
		if b[i] > 1 {
			return m.fault.at(i, fmt.Sprintf("a boolean of %d", b[i]))
		}
		m.set(st.col, codecs.Bool, uint64(b[i]), "")
		return i + 1
	case opFloat, opUint32:
		if len(b)-i < 4 {
			return m.fault.short(b, i, 4)
		}
		bits := binary.LittleEndian.Uint32(b[i:])
		if st.op == opUint32 {
			m.set(st.col, codecs.Int, uint64(bits), "")
		} else {
			m.set(st.col, codecs.Float, math.Float64bits(float64(math.Float32frombits(bits))), "")
		}
		return i + 4
	case opBytes:
		return m.byteString(st, b, i)
	case opFixed:
		if len(b)-i < st.n {
			return m.fault.short(b, i, st.n)
		}
		m.set(st.col, codecs.Bytes, 0, view(b[i:i+st.n]))
		return i + st.n
	case opEnum:
		index, end := m.index(b, i, st.n)
		if end < 0 {
			return -1
		}
		s := &st.x.symbols[index]
		if !s.ok {
			return m.fault.at(i, fmt.Sprintf("symbol %d of %s, which the reader's schema does not have", index, st.x.name))
		}
		m.set(st.col, codecs.String, 0, s.text)
		return end
	case opNull:
		m.set(st.col, codecs.Null, 0, "")
		return i
	case opRefuse:
		return m.fault.at(i, st.x.name)
	case opJSONNum:
		return m.decimal(st, b, i)
	case opUUID:
		return m.uuid(st, b, i)
	}
	return m.nested(st, b, i, depth)
}

// nested executes the steps that lead into other programs.
func (m *machine) nested(st *step, b []byte, i, depth int) int {
	switch st.op {
	case opUnion:
		index, end := m.index(b, i, len(st.x.branches))
		if end < 0 {
			return -1
		}
		return m.run(st.x.branches[index], b, end, depth+st.n)
	case opLoop:
		return m.loop(st, b, i, depth+st.n)
	case opEnter:
		if depth+st.n > maxDepth {
			return m.tooDeep(i)
		}
		if !m.spend(i, st.x.idle) {
			return -1
		}
	case opCall:
		return m.run(st.x.body, b, i, depth+st.n)
	case opText:
		from := len(m.arena)
		m.room = from + m.longest
		end := m.text(st.x.plan, b, i, depth+st.n)
		if end >= 0 {
			kind := codecs.Object
			if st.x.plan.wire == wireArray {
				kind = codecs.Array
			}
			m.set(st.col, kind, 0, view(m.arena[from:]))
		}
		return end
	case opPeek:
		idle := m.idle
		end := m.run(st.x.body, b, i, depth+st.n)
		m.idle = idle
		if end < 0 {
			return -1
		}
	case opConst:
		for k := range st.x.consts {
			m.cols[st.x.consts[k].col].Set(m.row, st.x.consts[k].value)
		}
	}
	return i
}

func (m *machine) tooLong(i int) int {
	return m.fault.at(i, fmt.Sprintf("more than %d bytes as JSON text", m.longest))
}

func (m *machine) tooDeep(i int) int {
	return m.fault.at(i, fmt.Sprintf("values nested more than %d deep", maxDepth))
}

// index reads the number of a branch or symbol out of so many.
func (m *machine) index(b []byte, i, of int) (index, next int) {
	n, next := readLong(b, i)
	switch {
	case next < 0 || !isInt(n, next-i):
		return 0, m.fault.number(b, i, maxIntBytes)
	case n < 0 || n >= int64(of):
		return 0, m.fault.at(i, fmt.Sprintf("index %d where there are %d", n, of))
	}
	return int(n), next
}

// byteString reads bytes with their length in front.
func (m *machine) byteString(st *step, b []byte, i int) int {
	from, end := m.span(b, i)
	switch {
	case end < 0:
		return -1
	case st.as != toText:
		m.set(st.col, codecs.Bytes, 0, view(b[from:end]))
	case !utf8text.Valid(b, from, end):
		return m.fault.at(from, "bytes that are not UTF-8, read as a string")
	default:
		m.set(st.col, codecs.String, 0, view(b[from:end]))
	}
	return end
}

// span finds bytes with their length in front.
func (m *machine) span(b []byte, i int) (from, end int) {
	n, from := readLong(b, i)
	if from < 0 || uint64(n) > uint64(len(b)-from) {
		return 0, m.fault.length(b, i)
	}
	return from, from + int(n)
}
