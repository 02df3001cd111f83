package jsontext

import "encoding/binary"

// SkipSpace returns the index of the first byte at or after i that is not white
// space, or len(b).
func SkipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// Skip checks the value that starts at b[i], without white space before it. depth
// is the number of arrays and objects around it.
func Skip(b []byte, i, depth int, f *Fault) int {
	if i >= len(b) {
		return f.Unexpected(b, i, "a value")
	}
	switch c := b[i]; c {
	case '"':
		end, _ := SkipString(b, i+1, f)
		return end
	case '{':
		return skipObject(b, i+1, depth+1, f)
	case '[':
		return skipArray(b, i+1, depth+1, f)
	case 't', 'f', 'n':
		return SkipLiteral(b, i, f)
	}
	return SkipNumber(b, i, f)
}

const (
	wordTrue = 't' | 'r'<<8 | 'u'<<16 | 'e'<<24
	wordAlse = 'a' | 'l'<<8 | 's'<<16 | 'e'<<24
	wordNull = 'n' | 'u'<<8 | 'l'<<16 | 'l'<<24
)

// SkipLiteral checks true, false or null at b[i]; its first letter tells which.
func SkipLiteral(b []byte, i int, f *Fault) int {
	if len(b)-i >= 4 {
		switch binary.LittleEndian.Uint32(b[i:]) {
		case wordTrue, wordNull:
			return i + 4
		}
		if b[i] == 'f' && len(b)-i >= 5 && binary.LittleEndian.Uint32(b[i+1:]) == wordAlse {
			return i + 5
		}
	}
	return f.Unexpected(b, i, "a value")
}

func skipArray(b []byte, i, depth int, f *Fault) int {
	if depth > MaxDepth {
		return TooDeep(i-1, f)
	}
	i = SkipSpace(b, i)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		i = Skip(b, SkipSpace(b, i), depth, f)
		if i < 0 {
			return -1
		}
		i = SkipSpace(b, i)
		if i >= len(b) {
			return f.Unexpected(b, i, `"," or "]"`)
		}
		switch b[i] {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return f.Unexpected(b, i, `"," or "]"`)
		}
	}
}

func skipObject(b []byte, i, depth int, f *Fault) int {
	if depth > MaxDepth {
		return TooDeep(i-1, f)
	}
	i = SkipSpace(b, i)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		i = SkipSpace(b, i)
		if i >= len(b) || b[i] != '"' {
			return f.Unexpected(b, i, "a member name in double quotes")
		}
		if i, _ = SkipString(b, i+1, f); i < 0 {
			return -1
		}
		if i = SkipColon(b, i, f); i < 0 {
			return -1
		}
		if i = Skip(b, i, depth, f); i < 0 {
			return -1
		}
		i = SkipSpace(b, i)
		if i >= len(b) {
			return f.Unexpected(b, i, `"," or "}"`)
		}
		switch b[i] {
		case ',':
			i++
		case '}':
			return i + 1
		default:
			return f.Unexpected(b, i, `"," or "}"`)
		}
	}
}

// SkipColon passes the colon after a member name and the white space on both sides.
func SkipColon(b []byte, i int, f *Fault) int {
	i = SkipSpace(b, i)
	if i >= len(b) || b[i] != ':' {
		return f.Unexpected(b, i, `":"`)
	}
	return SkipSpace(b, i+1)
}

// TooDeep records that the array or object at offset lies too deep, and returns -1.
func TooDeep(offset int, f *Fault) int {
	return f.set(offset, "arrays and objects nested more than 512 deep")
}
