package protocodec

import "leat/codecs/internal/varint"

// Confluent framing puts between the schema's id and the message, as zigzag varints, the
// way to the message's type: how many indexes there are, and for each level the index of
// a type among those defined there.
//
//	00             the first type of the file
//	04 02 06       two indexes: the second type of the file, and in it the fourth
//
// A type that is one index from the top may also be written as 02 and the index.

// maxIndexes is how many levels a type may be inside others, which the depth of a schema
// bounds as well.
const maxIndexes = MaxSchemaDepth

// CutIndex takes the message index off what follows the schema's id, and appends it to
// index. ok is false where there is none.
func CutIndex(index []int, framed []byte) (all []int, message []byte, ok bool) {
	count, i := varint.Read(framed, 0)
	n := varint.Unzigzag(count)
	switch {
	case i < 0 || n < 0 || n > maxIndexes:
		return index, framed, false
	case n == 0:
		return append(index, 0), framed[i:], true
	}
	for range n {
		var v uint64
		if v, i = varint.Read(framed, i); i < 0 || varint.Unzigzag(v) < 0 || varint.Unzigzag(v) > MaxSchemaBytes {
			return index, framed, false
		}
		index = append(index, int(varint.Unzigzag(v)))
	}
	return index, framed[i:], true
}

// AppendIndex appends a message index, the shortest way.
func AppendIndex(dst []byte, index []int) []byte {
	if len(index) == 1 && index[0] == 0 {
		return append(dst, 0)
	}
	dst = varint.Append(dst, varint.Zigzag(int64(len(index))))
	for _, i := range index {
		dst = varint.Append(dst, varint.Zigzag(int64(i)))
	}
	return dst
}
