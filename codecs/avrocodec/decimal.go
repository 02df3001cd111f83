package avrocodec

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"leat/codecs"
	"leat/codecs/internal/jsontext"
)

// decimal reads a decimal as the number that its digits are in JSON.
func (m *machine) decimal(st *step, b []byte, i int) int {
	if st.col < 0 {
		_, end := m.unscaled(st.x.fixed, b, i)
		return end
	}
	from := len(m.arena)
	end := m.decimalText(st.x.scale, st.x.fixed, b, i)
	if end >= 0 {
		var never jsontext.Fault
		_, integral, bits := jsontext.Number(m.arena[from:], 0, &never)
		kind := codecs.Float
		if integral {
			kind = codecs.Int
		}
		m.set(st.col, kind, bits, "")
	}
	m.arena = m.arena[:from]
	return end
}

// unscaled finds the bytes of a decimal: fixed many, or if that is -1 with their length
// in front.
func (m *machine) unscaled(fixed int, b []byte, i int) (from, end int) {
	if fixed >= 0 {
		if len(b)-i < fixed {
			return 0, m.fault.short(b, i, fixed)
		}
		return i, i + fixed
	}
	from, end = m.span(b, i)
	if end >= 0 && end-from > maxDecimalBytes {
		return 0, m.fault.at(i, fmt.Sprintf("a decimal of %d bytes, more than %d", end-from, maxDecimalBytes))
	}
	return from, end
}

// decimalText appends a decimal to the arena with all its digits.
func (m *machine) decimalText(scale, fixed int, b []byte, i int) int {
	from, end := m.unscaled(fixed, b, i)
	if end >= 0 {
		m.arena = appendDecimal(m.arena, b[from:end], scale)
	}
	return end
}

// appendDecimal appends the number that unscaled, big-endian two's complement, stands
// for, with scale digits behind the point.
func appendDecimal(dst, unscaled []byte, scale int) []byte {
	start := len(dst)
	if len(unscaled) <= 8 {
		v := int64(0)
		if len(unscaled) > 0 && unscaled[0] >= 0x80 {
			v = -1
		}
		for _, c := range unscaled {
			v = v<<8 | int64(c)
		}
		dst = strconv.AppendInt(dst, v, 10)
	} else {
		dst = bigUnscaled(unscaled).Append(dst, 10)
	}
	if scale == 0 {
		return dst
	}
	if dst[start] == '-' {
		start++
	}
	if missing := scale + 1 - (len(dst) - start); missing > 0 { // one digit before the point
		dst = slices.Insert(dst, start, zeros[:missing]...)
	}
	return slices.Insert(dst, len(dst)-scale, '.')
}

// bigUnscaled is a two's complement number, big endian.
func bigUnscaled(unscaled []byte) *big.Int {
	v := new(big.Int).SetBytes(unscaled)
	if unscaled[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
	}
	return v
}

// zeros are as many as a decimal can lack.
var zeros = bytes.Repeat([]byte{'0'}, maxPrecision+1)

const uuidBytes = 16

// uuid reads 16 bytes as the text of a UUID.
func (m *machine) uuid(st *step, b []byte, i int) int {
	if len(b)-i < uuidBytes {
		return m.fault.short(b, i, uuidBytes)
	}
	if st.col >= 0 {
		from := len(m.arena)
		m.arena = appendUUID(m.arena, b[i:i+uuidBytes])
		m.set(st.col, codecs.String, 0, view(m.arena[from:]))
	}
	return i + uuidBytes
}

// appendUUID appends the text of RFC 9562: 8-4-4-4-12 hexadecimal digits.
func appendUUID(dst, b []byte) []byte {
	for _, part := range [...][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		if part[0] > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, b[part[0]:part[1]])
	}
	return dst
}
