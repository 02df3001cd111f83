package codecs

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"

	"leat/codecs/internal/jsontext"
)

// AppendJSON appends v as RFC 8259 text without white space outside strings, so
// never a line feed. Missing, Null, NaN and the infinities are null; a Float has the
// shortest digits that read back as the same float64, in the notation of
// encoding/json (3, 0.1, 1e+21); Bytes are a string of standard base64 with padding;
// Object and Array text is copied without its insignificant white space.
func AppendJSON(dst []byte, v Value) []byte {
	switch v.Kind {
	case Bool:
		return strconv.AppendBool(dst, v.Num != 0)
	case Int:
		return strconv.AppendInt(dst, int64(v.Num), 10)
	case Float:
		return appendFloat(dst, math.Float64frombits(v.Num))
	case String:
		return AppendJSONString(dst, v.Str)
	case Bytes:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, viewBytes(v.Str))
		return append(dst, '"')
	case Object, Array:
		return jsontext.Compact(dst, viewBytes(v.Str))
	}
	return append(dst, "null"...)
}

// appendFloat formats as ECMAScript does, which is what encoding/json writes.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 is written e-9
		dst = dst[:n-1]
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s as a JSON string. Only the quotation mark, the
// backslash and the control characters below U+0020 are escaped; each byte of s that
// is not part of valid UTF-8 becomes U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; ; {
		if i = jsontext.SkipPlain(viewBytes(s), i); i == len(s) {
			break
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[from:i]...)
				dst = append(dst, "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = appendEscape(dst, c)
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// AppendJSONText is AppendJSONString of bytes.
func AppendJSONText(dst, text []byte) []byte { return AppendJSONString(dst, viewString(text)) }

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// viewBytes is s as bytes that must not be written to.
func viewBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// viewString is b as a string that is valid while b is not written to.
func viewString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
