package jsontext

import (
	"math"
	"strconv"
	"unsafe"
)

const outOfRange = "a number out of range"

// pow10 are the powers of ten that float64 holds exactly.
var pow10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// Number checks and reads the number at b[i]. One without fraction and exponent that
// fits in an int64 is integral, with bits its two's complement; any other is the
// nearest float64, with bits its IEEE 754 form. Numbers beyond the range of float64
// are refused; those too small for it are 0 or subnormal.
func Number(b []byte, i int, f *Fault) (end int, integral bool, bits uint64) {
	start := i
	negative := i < len(b) && b[i] == '-'
	if negative {
		i++
	}
	first := i
	var mantissa uint64 // wraps beyond 19 digits; the text is read again then
	for i < len(b) && b[i]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(b[i]-'0')
		i++
	}
	digits := i - first
	if digits == 0 || digits > 1 && b[first] == '0' {
		return badInteger(b, start, first, f), false, 0
	}
	if i == len(b) || b[i] != '.' && b[i]|0x20 != 'e' {
		if integral, bits = integer(mantissa, digits, negative); integral {
			return i, true, bits
		}
		return parseFloat(b, start, i, f)
	}
	scale := 0
	if b[i] == '.' {
		i++
		from := i
		for i < len(b) && b[i]-'0' <= 9 {
			mantissa = mantissa*10 + uint64(b[i]-'0')
			i++
		}
		scale = i - from
		if scale == 0 {
			return f.Unexpected(b, i, "a digit"), false, 0
		}
		digits += scale
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i = skipExponent(b, i, f); i < 0 {
			return -1, false, 0
		}
		return parseFloat(b, start, i, f)
	}
	if digits > 19 || mantissa >= 1<<53 || scale >= len(pow10) {
		return parseFloat(b, start, i, f)
	}
	// Both operands are exact, so the quotient is the correctly rounded one
	// (W. D. Clinger, How to Read Floating Point Numbers Accurately, 1990).
	value := float64(mantissa) / pow10[scale]
	if negative {
		value = -value
	}
	return i, false, math.Float64bits(value)
}

// integer is the int64 of the given digits, if they fit.
func integer(mantissa uint64, digits int, negative bool) (fits bool, bits uint64) {
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	if digits > 19 || mantissa > limit {
		return false, 0
	}
	if negative {
		mantissa = -mantissa
	}
	return true, mantissa
}

func badInteger(b []byte, start, first int, f *Fault) int {
	switch {
	case first < len(b) && b[first] == '0':
		return f.set(start, "a number with leading zeros")
	case first == start:
		return f.Unexpected(b, start, "a value")
	}
	return f.Unexpected(b, first, "a digit")
}

// parseFloat reads b[start:end], which obeys the grammar.
func parseFloat(b []byte, start, end int, f *Fault) (int, bool, uint64) {
	text := unsafe.String(&b[start], end-start)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return f.set(start, outOfRange), false, 0
	}
	return end, false, math.Float64bits(value)
}

// skipExponent passes e, a sign and digits.
func skipExponent(b []byte, i int, f *Fault) int {
	i++
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	from := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == from {
		return f.Unexpected(b, i, "a digit")
	}
	return i
}

// SkipNumber checks the number at b[i] like Number, without computing it.
func SkipNumber(b []byte, i int, f *Fault) int {
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	first := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == first || i-first > 1 && b[first] == '0' {
		return badInteger(b, start, first, f)
	}
	if i < len(b) && b[i] == '.' {
		i++
		from := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == from {
			return f.Unexpected(b, i, "a digit")
		}
	}
	exponent := i < len(b) && b[i]|0x20 == 'e'
	if exponent {
		if i = skipExponent(b, i, f); i < 0 {
			return -1
		}
	}
	if exponent || i-first > 300 {
		i, _, _ = parseFloat(b, start, i, f)
	}
	return i
}
