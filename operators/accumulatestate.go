package operators

import (
	"encoding/binary"
	"errors"

	"leat/codecs"
)

// The accumulators of a slot as they are stored, aggregate by aggregate. Numbers are
// uvarints where nothing else is said, words are 8 bytes, little endian.
//
//	count           n
//	sum, avg        n, floats; words high and low if not all values are floats; word
//	                float if some are
//	min, max        value: byte kind, then a word for Bool, Int and Float, or length
//	                and text for the others; kind Missing stands alone
//	stddev          integers, floats; if there are integers, words high and low of
//	                their sum and three of the sum of their squares; if there are
//	                floats, words mean and squares
//	first, last     value; if it is not Missing, word time
//	min_by, max_by  the same and then value
//	approx_count_distinct  byte 0, and the sketch as sketch.go says
//	others          byte 1 if the bag has given up; else byte 0, and
//	                collect: items, length and the bag's bytes
//	                others: keys, and of each length, key, count

// appendWords writes the accumulators of a slot.
func appendWords(dst []byte, list []accumulator, p *panes, slot uint32) []byte {
	row := p.row(slot)
	for i := range list {
		a := &list[i]
		w := row[a.at : a.at+a.words]
		switch a.fn {
		case countRows, countValues:
			dst = binary.AppendUvarint(dst, w[0])
		case sum, average:
			dst = binary.AppendUvarint(dst, w[0])
			dst = binary.AppendUvarint(dst, w[4])
			if w[0] > w[4] {
				dst = appendUint64s(dst, w[1:3])
			}
			if w[4] > 0 {
				dst = appendUint64s(dst, w[3:4])
			}
		case least, greatest:
			dst = appendValue(dst, p.extremeValue(w))
		case spread:
			dst = appendSpread(dst, w)
		case first, last, leastBy, greatestBy:
			v := p.extremeValue(w[1:])
			dst = appendValue(dst, v)
			if v.Kind == codecs.Missing {
				continue
			}
			dst = appendUint64s(dst, w[:1])
			if len(w) > keptWords {
				dst = appendValue(dst, p.extremeValue(w[keptWords:]))
			}
		default:
			dst = a.appendBag(dst, p.bag(slot, a.bag))
		}
	}
	return dst
}

func appendUint64s(dst []byte, words []uint64) []byte {
	for _, w := range words {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

func appendValue(dst []byte, v codecs.Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case codecs.Bool, codecs.Int, codecs.Float:
		dst = binary.LittleEndian.AppendUint64(dst, v.Num)
	case codecs.String, codecs.Bytes, codecs.Object, codecs.Array:
		dst = binary.AppendUvarint(dst, uint64(len(v.Str)))
		dst = append(dst, v.Str...)
	}
	return dst
}

// readWords reads what appendWords has written.
func readWords(src []byte, list []accumulator, p *panes, slot uint32) error {
	row := p.row(slot)
	r := reader{src: src}
	for i := range list {
		a := &list[i]
		w := row[a.at : a.at+a.words]
		switch a.fn {
		case countRows, countValues:
			w[0] = r.uvarint()
		case sum, average:
			w[0], w[4] = r.uvarint(), r.uvarint()
			w[1], w[2], w[3] = 0, 0, 0
			if w[0] > w[4] {
				w[1], w[2] = r.word(), r.word()
			}
			if w[4] > 0 {
				w[3] = r.word()
			}
		case least, greatest:
			r.extreme(p, w)
		case spread:
			r.spread(w)
		case first, last, leastBy, greatestBy:
			r.kept(p, w)
		default:
			r.bag(a, p, slot)
		}
	}
	if r.bad || len(r.src) > 0 {
		return errors.New("damaged accumulators")
	}
	return nil
}

// extreme reads a value into the words of an extreme.
func (r *reader) extreme(p *panes, w []uint64) {
	v := r.value()
	w[0], w[1] = uint64(v.Kind), v.Num
	w[2] = p.store(w[2], v.Str)
}

func (r *reader) kept(p *panes, w []uint64) {
	r.extreme(p, w[1:keptWords])
	if w[1] == uint64(codecs.Missing) {
		return
	}
	w[0] = r.word()
	if len(w) > keptWords {
		r.extreme(p, w[keptWords:])
		r.bad = r.bad || w[keptWords] == uint64(codecs.Missing)
	}
}

// value reads what appendValue has written. Its text is a view.
func (r *reader) value() (v codecs.Value) {
	kind := codecs.Kind(r.byte())
	if kind == codecs.Null || kind > codecs.Array {
		r.bad = true
	}
	if r.bad {
		return v
	}
	v.Kind = kind
	switch kind {
	case codecs.Bool, codecs.Int, codecs.Float:
		v.Num = r.word()
	case codecs.String, codecs.Bytes, codecs.Object, codecs.Array:
		v.Str = view(r.text())
	}
	return v
}

// reader takes values off src; bad is set once there are too few bytes.
type reader struct {
	src []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.src) {
		r.bad = true
		return nil
	}
	b := r.src[:n]
	r.src = r.src[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) word() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.src = r.src[n:]
	return v
}

func (r *reader) text() []byte {
	n := r.uvarint()
	if n > MaxTextBytes {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}
