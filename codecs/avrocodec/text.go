package avrocodec

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"leat/codecs"
	"leat/codecs/internal/utf8text"
)

// textOf is a checked record of p as JSON, and how deep that nests.
func textOf(p *plan, record []byte) (text []byte, depth int) {
	m := machine{idle: beyond, room: beyond}
	if m.text(p, record, 0, 0) < 0 {
		return []byte("null"), 0
	}
	return m.arena, m.deepest
}

// text appends the value of p at b[i] to the arena as JSON, and returns the index after
// it, or -1. It accepts the same bytes as the programs do.
func (m *machine) text(p *plan, b []byte, i, depth int) int {
	switch p.wire {
	case wireRecord:
		return m.recordText(p, b, i, depth+1)
	case wireArray, wireMap:
		return m.loopText(p, b, i, depth+1)
	case wireUnion:
		index, next := m.index(b, i, len(p.branches))
		if next < 0 {
			return -1
		}
		return m.text(p.branches[index], b, next, depth)
	case wireRefuse:
		return m.fault.at(i, p.reason)
	case wireNull:
		m.arena = append(m.arena, "null"...)
		return i
	case wireString, wireBytes, wireFixed, wireEnum:
		return m.stringText(p, b, i)
	}
	return m.numberText(p, b, i)
}

func (m *machine) recordText(p *plan, b []byte, i, depth int) int {
	if m.deepest = max(m.deepest, depth); depth+p.filled > maxDepth {
		return m.tooDeep(i)
	}
	if p.recursive && !m.spend(i, p.idle) {
		return -1
	}
	open := len(m.arena)
	m.arena = append(m.arena, '{')
	for k := range p.fields {
		f := &p.fields[k]
		if len(m.arena) > m.room {
			return m.tooLong(i)
		}
		if f.unread {
			from := len(m.arena)
			i = m.text(f.p, b, i, depth)
			m.arena = m.arena[:from]
		} else {
			if len(m.arena) > open+1 {
				m.arena = append(m.arena, ',')
			}
			m.arena = append(m.arena, f.key...)
			if f.absent {
				m.arena = append(m.arena, f.text...)
				continue
			}
			i = m.text(f.p, b, i, depth)
		}
		if i < 0 {
			return -1
		}
	}
	m.arena = append(m.arena, '}')
	return i
}

func (m *machine) loopText(p *plan, b []byte, i, depth int) int {
	if m.deepest = max(m.deepest, depth); depth > maxDepth {
		return m.tooDeep(i)
	}
	isMap := p.wire == wireMap
	fewest, brackets := p.items.min, "[]"
	if isMap {
		fewest, brackets = p.items.min+1, "{}"
	}
	open := len(m.arena)
	m.arena = append(m.arena, brackets[0])
	for {
		count, from, end := m.block(b, i, fewest, p.items.itemIdle())
		if from < 0 {
			return -1
		}
		i = from
		for range count {
			if len(m.arena) > m.room {
				return m.tooLong(i)
			}
			if len(m.arena) > open+1 {
				m.arena = append(m.arena, ',')
			}
			if isMap {
				if i = m.keyText(b, i); i < 0 {
					return -1
				}
			}
			if i = m.text(p.items, b, i, depth); i < 0 {
				return -1
			}
		}
		if i = m.closeBlock(i, end); i < 0 {
			return -1
		}
		if count == 0 {
			m.arena = append(m.arena, brackets[1])
			return i
		}
	}
}

func (m *machine) keyText(b []byte, i int) int {
	from, end := m.span(b, i)
	if end < 0 {
		return -1
	}
	if !utf8text.Valid(b, from, end) {
		return m.fault.at(from, "a key that is not UTF-8")
	}
	m.arena = append(codecs.AppendJSONString(m.arena, view(b[from:end])), ':')
	return end
}

func (m *machine) stringText(p *plan, b []byte, i int) int {
	if p.as == toDecimal {
		return m.decimalText(p.scale, p.fixedSize(), b, i)
	}
	if p.wire == wireEnum {
		index, end := m.index(b, i, len(p.symbols))
		if end < 0 {
			return -1
		}
		if !p.symbols[index].ok {
			return m.fault.at(i, fmt.Sprintf("symbol %d of %s, which the reader's schema does not have", index, p.name))
		}
		m.arena = codecs.AppendJSONString(m.arena, p.symbols[index].text)
		return end
	}
	from, end := i, i+p.size
	if p.wire != wireFixed {
		if from, end = m.span(b, i); end < 0 {
			return -1
		}
	} else if end > len(b) {
		return m.fault.short(b, i, p.size)
	}
	isText := p.wire == wireString || p.as == toText
	switch {
	case p.as == toUUID:
		m.arena = append(m.arena, '"')
		m.arena = append(appendUUID(m.arena, b[from:end]), '"')
	case isText && !utf8text.Valid(b, from, end):
		if p.wire == wireBytes {
			return m.fault.at(from, "bytes that are not UTF-8, read as a string")
		}
		return m.fault.at(from, "a string that is not UTF-8")
	case isText && p.as != toBytes:
		m.arena = codecs.AppendJSONString(m.arena, view(b[from:end]))
	default:
		m.arena = append(m.arena, '"')
		m.arena = append(base64.StdEncoding.AppendEncode(m.arena, b[from:end]), '"')
	}
	return end
}

// fixedSize is the size of a fixed, or -1.
func (p *plan) fixedSize() int {
	if p.wire == wireFixed {
		return p.size
	}
	return -1
}

func (m *machine) numberText(p *plan, b []byte, i int) int {
	size := 0
	switch p.wire {
	case wireInt, wireLong:
		return m.integerText(p, b, i)
	case wireBool:
		size = 1
	case wireFloat, wireUint32:
		size = 4
	case wireDouble:
		size = 8
	}
	if len(b)-i < size {
		return m.fault.short(b, i, size)
	}
	switch p.wire {
	case wireBool:
		if b[i] > 1 {
			return m.fault.at(i, fmt.Sprintf("a boolean of %d", b[i]))
		}
		m.arena = strconv.AppendBool(m.arena, b[i] == 1)
	case wireUint32:
		m.arena = strconv.AppendUint(m.arena, uint64(binary.LittleEndian.Uint32(b[i:])), 10)
	case wireFloat:
		f := math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))
		m.arena = codecs.AppendJSON(m.arena, codecs.FloatValue(float64(f)))
	default:
		f := math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
		m.arena = codecs.AppendJSON(m.arena, codecs.FloatValue(f))
	}
	return i + size
}

func (m *machine) integerText(p *plan, b []byte, i int) int {
	v, end := readLong(b, i)
	if end < 0 || p.wire == wireInt && !isInt(v, end-i) {
		limit := maxLongBytes
		if p.wire == wireInt {
			limit = maxIntBytes
		}
		return m.fault.number(b, i, limit)
	}
	switch p.as {
	case toFloat:
		m.arena = codecs.AppendJSON(m.arena, codecs.FloatValue(float64(v)))
	case toSingle:
		m.arena = codecs.AppendJSON(m.arena, codecs.FloatValue(float64(float32(v))))
	default:
		m.arena = strconv.AppendInt(m.arena, p.as.milliseconds(v), 10)
	}
	return end
}
