package avrocodec

import (
	"strconv"

	"leat/codecs"
)

// appendCanonical appends the Parsing Canonical Form of n (Avro specification 1.12,
// "Transforming into Parsing Canonical Form"). A named type is written out where it
// comes first; written holds those.
func appendCanonical(dst []byte, n *node, written map[*node]bool) []byte {
	if n.name != "" {
		if written[n] {
			return codecs.AppendJSONString(dst, n.name)
		}
		written[n] = true
		dst = append(dst, `{"name":`...)
		dst = codecs.AppendJSONString(dst, n.name)
		dst = append(dst, `,"type":"`...)
		if n.isError {
			dst = append(dst, "error"...)
		} else {
			dst = append(dst, n.kind.String()...)
		}
		dst = append(dst, '"')
	}
	switch n.kind {
	case record:
		dst = append(dst, `,"fields":[`...)
		for i := range n.fields {
			dst = append(comma(dst, i), `{"name":`...)
			dst = codecs.AppendJSONString(dst, n.fields[i].name)
			dst = append(dst, `,"type":`...)
			dst = append(appendCanonical(dst, n.fields[i].node, written), '}')
		}
		return append(dst, "]}"...)
	case enum:
		dst = append(dst, `,"symbols":[`...)
		for i, symbol := range n.symbols {
			dst = codecs.AppendJSONString(comma(dst, i), symbol)
		}
		return append(dst, "]}"...)
	case fixed:
		dst = append(dst, `,"size":`...)
		return append(strconv.AppendInt(dst, int64(n.size), 10), '}')
	case array:
		return append(appendCanonical(append(dst, `{"type":"array","items":`...), n.items, written), '}')
	case mapType:
		return append(appendCanonical(append(dst, `{"type":"map","values":`...), n.items, written), '}')
	case union:
		dst = append(dst, '[')
		for i, b := range n.branches {
			dst = appendCanonical(comma(dst, i), b, written)
		}
		return append(dst, ']')
	}
	return codecs.AppendJSONString(dst, n.kind.String())
}

// comma appends a comma in front of all but the first.
func comma(dst []byte, i int) []byte {
	if i == 0 {
		return dst
	}
	return append(dst, ',')
}

// emptyFingerprint is the CRC-64-AVRO of no text, and its polynomial.
const emptyFingerprint uint64 = 0xC15D213AA4D7A795

// fingerprint is the CRC-64-AVRO of text (Avro specification 1.12, "Schema
// Fingerprints"), bit by bit: it is made once per schema.
func fingerprint(text string) uint64 {
	f := emptyFingerprint
	for i := range len(text) {
		f ^= uint64(text[i])
		for range 8 {
			f = f>>1 ^ emptyFingerprint&-(f&1)
		}
	}
	return f
}
