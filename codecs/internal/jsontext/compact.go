package jsontext

import "bytes"

// Compact appends valid JSON text to dst without the white space outside strings.
// Invalid text is copied in some form, without reading beyond it.
func Compact(dst, src []byte) []byte {
	from := 0
	for i := 0; i < len(src); {
		switch src[i] {
		case '"':
			i = closingQuote(src, i+1)
		case ' ', '\n', '\r', '\t':
			dst = append(dst, src[from:i]...)
			i = SkipSpace(src, i)
			from = i
		default:
			i++
		}
	}
	return append(dst, src[from:]...)
}

// closingQuote returns the index after the quotation mark that ends the string whose
// body starts at b[i].
func closingQuote(b []byte, i int) int {
	for {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		slashes := i + n
		for slashes > i && b[slashes-1] == '\\' {
			slashes--
		}
		end := i + n + 1
		if (i+n-slashes)%2 == 0 {
			return end
		}
		i = end
	}
}
