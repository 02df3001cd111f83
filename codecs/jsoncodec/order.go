package jsoncodec

import "encoding/binary"

const (
	maxPlaces    = 64 // members of one object that are remembered
	maxNameBytes = 48 // longest text of a member name that is remembered
	wordsBytes   = 16 // of the text that are compared as two words
)

// order remembers in which order the members of an object came, because the next
// record most likely has the same: a name that stands where it is expected, byte for
// byte, needs neither a check nor a search. It never changes what is decoded.
type order struct {
	places []place
}

// place is a member name as it stood in the text: from its opening quotation mark
// through the colon and the white space after it.
type place struct {
	word0, mask0 uint64 // the first 8 bytes of text, and which of them count
	word1, mask1 uint64 // the next 8
	size         int
	child        *node // what the name leads to; nil if to nothing
	text         [maxNameBytes]byte
}

// match compares b[i:] with the name at the given place and the one after it. It
// returns where the name leads, the index of the value and the place that follows, or
// -1 and the place unchanged.
func (o *order) match(b []byte, i, at int) (child *node, next, after int) {
	if len(b)-i < wordsBytes {
		return nil, -1, at
	}
	word0 := binary.LittleEndian.Uint64(b[i:])
	word1 := binary.LittleEndian.Uint64(b[i+8:])
	for k := at; k < len(o.places) && k < at+2; k++ {
		p := &o.places[k]
		if word0&p.mask0 != p.word0 || word1&p.mask1 != p.word1 {
			continue
		}
		if p.size > wordsBytes && (len(b)-i < p.size || string(b[i:i+p.size]) != string(p.text[:p.size])) {
			continue
		}
		return p.child, i + p.size, k + 1
	}
	return nil, -1, at
}

// learn remembers text, which leads to child, as the name at the given place. The
// caller has checked that text is a valid name with its colon.
func (o *order) learn(at int, text []byte, child *node) {
	if at >= maxPlaces || at > len(o.places) {
		return
	}
	if at == len(o.places) {
		o.places = append(o.places, place{})
	}
	p := &o.places[at]
	*p = place{word0: 1, size: len(text), child: child} // matches nothing: no byte of it counts
	if len(text) > maxNameBytes {
		return
	}
	var mask [wordsBytes]byte
	for k := range min(len(text), wordsBytes) {
		mask[k] = 0xFF
	}
	copy(p.text[:], text)
	p.mask0 = binary.LittleEndian.Uint64(mask[:])
	p.mask1 = binary.LittleEndian.Uint64(mask[8:])
	p.word0 = binary.LittleEndian.Uint64(p.text[:])
	p.word1 = binary.LittleEndian.Uint64(p.text[8:])
}
