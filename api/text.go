package api

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// marshal is json.Marshal that leaves < and > readable: nothing here is HTML.
func marshal(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// unquote appends the text of b if b is exactly one JSON string, white space
// around it allowed. An escaped lone surrogate and bytes that are not UTF-8 have
// no text: ok is false, as for anything else that is not a JSON string.
func unquote(dst, b []byte) (text []byte, ok bool) {
	b = trimSpace(b)
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return dst, false
	}
	b = b[1 : len(b)-1]
	if !utf8.Valid(b) {
		return dst, false
	}
	mark := len(dst)
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c < 0x20 || c == '"':
			return dst[:mark], false
		case c != '\\':
			dst = append(dst, c)
			i++
		default:
			r, size := unescape(b[i:])
			if size == 0 {
				return dst[:mark], false
			}
			dst = utf8.AppendRune(dst, r)
			i += size
		}
	}
	return dst, true
}

// unescape reads the escape at the start of b; size 0 = there is none.
func unescape(b []byte) (r rune, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return 0, 0
	}
	high, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if high < 0xD800 || high > 0xDFFF {
		return high, 6
	}
	low, ok := hex4(b[6:])
	if high > 0xDBFF || !ok || low < 0xDC00 || low > 0xDFFF {
		return 0, 0
	}
	return (high-0xD800)<<10 + (low - 0xDC00) + 0x10000, 12
}

// hex4 reads \uXXXX.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// validName tells whether a name of a topic, group or query is
// [A-Za-z0-9][A-Za-z0-9._-]* of at most maxBytes.
func validName(name string, maxBytes int) bool {
	if name == "" || len(name) > maxBytes {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// nearest returns the known name with the least edit distance from name, "" when
// none is near enough to be meant.
func nearest(name string, known []string) string {
	if len(name) > 64 {
		return ""
	}
	best, bestDistance := "", 1+max(len(name)/2, 1)
	for _, k := range known {
		if d := editDistance(name, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next := min(row[j]+1, row[j-1]+1, diagonal+cost)
			diagonal, row[j] = row[j], next
		}
	}
	return row[len(b)]
}
