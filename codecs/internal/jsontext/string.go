package jsontext

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stops has the high bit set in the lowest byte of w (little endian) that ends a run of
// plain string characters: a quotation mark, a backslash, a control character or a
// byte outside ASCII. Bytes above the lowest may be set wrongly, and it is 0 only if
// no byte stops.
func stops(w uint64) uint64 {
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	return ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w | w) & highs
}

// SkipPlain returns the index of the first byte at or after i that may not stand in a
// string as it is, or starts a character outside ASCII; len(b) if there is none.
func SkipPlain(b []byte, i int) int {
	for ; len(b)-i >= 8; i += 8 {
		if stop := stops(binary.LittleEndian.Uint64(b[i:])); stop != 0 {
			return i + bits.TrailingZeros64(stop)>>3
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// SkipString checks the string whose opening quotation mark is b[i-1] and returns the
// index after the closing one, and whether there is an escape inside.
func SkipString(b []byte, i int, f *Fault) (end int, escaped bool) {
	start := i - 1
	for {
		for len(b)-i >= 8 {
			stop := stops(binary.LittleEndian.Uint64(b[i:]))
			if stop != 0 {
				i += bits.TrailingZeros64(stop) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			return f.set(start, "a string without its closing quotation mark"), false
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			escaped = true
			if i = skipEscape(b, i, f); i < 0 {
				return -1, false
			}
		case c < ' ':
			return f.set(i, "a control character inside a string"), false
		case c < utf8.RuneSelf:
			i++
		default:
			if i = skipRunes(b, i, f); i < 0 {
				return -1, false
			}
		}
	}
}

// skipRunes passes a run of characters outside ASCII.
func skipRunes(b []byte, i int, f *Fault) int {
	for i < len(b) && b[i] >= utf8.RuneSelf {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return f.set(i, "invalid UTF-8 inside a string")
		}
		i += n
	}
	return i
}

// skipEscape passes the escape that starts with the backslash b[i], both halves of a
// surrogate pair at once.
func skipEscape(b []byte, i int, f *Fault) int {
	if i+1 >= len(b) {
		return f.set(i, "an escape that is cut off")
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return f.set(i, "an unknown escape inside a string")
	}
	unit := hex4(b, i+2)
	switch {
	case unit < 0:
		return f.set(i, `\u without four hexadecimal digits`)
	case unit < 0xD800 || unit > 0xDFFF:
		return i + 6
	case unit <= 0xDBFF && i+7 < len(b) && b[i+6] == '\\' && b[i+7] == 'u':
		if low := hex4(b, i+8); low >= 0xDC00 && low <= 0xDFFF {
			return i + 12
		}
	}
	return f.set(i, "an unpaired surrogate escape")
}

// hex4 is the number of the four hexadecimal digits at b[i], or -1.
func hex4(b []byte, i int) int {
	if len(b)-i < 4 {
		return -1
	}
	n := 0
	for _, c := range b[i : i+4] {
		switch {
		case c-'0' <= 9:
			n = n<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | int(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}

// AppendUnescaped appends the characters of a string whose body, the text between
// its quotation marks, SkipString has accepted.
func AppendUnescaped(dst, body []byte) []byte {
	for i := 0; i < len(body); {
		if body[i] != '\\' {
			from := i
			for i < len(body) && body[i] != '\\' {
				i++
			}
			dst = append(dst, body[from:i]...)
			continue
		}
		c := body[i+1]
		i += 2
		if c != 'u' {
			dst = append(dst, unescapeByte(c))
			continue
		}
		r := rune(hex4(body, i))
		i += 4
		if utf16.IsSurrogate(r) {
			r = utf16.DecodeRune(r, rune(hex4(body, i+2)))
			i += 6
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

func unescapeByte(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
