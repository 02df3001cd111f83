package formats

import "leat/codecs"

// MaxWriters is maxWriters.
const MaxWriters = maxWriters

// Kept is how many decoders of schemas a decoder keeps.
func Kept(d codecs.FramedDecoder) int {
	return len(d.(*decoder).byID) + len(d.(*decoder).byMark)
}
