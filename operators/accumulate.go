package operators

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"leat/codecs"
	"leat/dataflow"
)

// AggregateSpec is one aggregate: count, sum, avg, min or max of what Arg gives.
// A nil Arg is only allowed for count, and counts rows.
type AggregateSpec struct {
	Fn   string
	Arg  dataflow.Expr
	Text string // as dead letters name it: "sum(x)"
}

// An accumulator is a run of words in a row of panes.words:
//
//	count      n
//	sum, avg   n, high, low, float, floats
//	min, max   kind, number, place
//
// n counts the values that are not null. The integers among them are summed exactly
// in the 128-bit two's complement number high:low, the floats one by one in log
// order in float; floats counts those. The result of a sum over integers only is
// exact, or an error where it does not fit an int64; with a float among them it is
// float64(high:low), correctly rounded, plus the float sum. Partials of several
// partitions are merged in the order of the partitions: the integers exactly, the
// float sums by adding those that have floats one after the other.
//
// kind and number are those of the extreme value, kind Missing before the first; of
// values that compare equal the first one stays. The text of a value lies in
// panes.text, place is offset<<24 | length.

type function uint8

const (
	countRows function = iota
	countValues
	sum
	average
	least
	greatest
)

// accumulator is a compiled aggregate.
type accumulator struct {
	fn    function
	at    int // first word
	arg   dataflow.Expr
	text  string
	words int
}

func compileAccumulators(specs []AggregateSpec) ([]accumulator, int, error) {
	list := make([]accumulator, len(specs))
	width := 0
	for i, s := range specs {
		a := accumulator{arg: s.Arg, text: s.Text, at: width}
		switch {
		case s.Fn == "count" && s.Arg == nil:
			a.fn, a.words = countRows, 1
		case s.Fn == "count":
			a.fn, a.words = countValues, 1
		case s.Arg == nil:
			return nil, 0, fmt.Errorf("aggregate %q has no argument", s.Text)
		case s.Fn == "sum":
			a.fn, a.words = sum, 5
		case s.Fn == "avg":
			a.fn, a.words = average, 5
		case s.Fn == "min":
			a.fn, a.words = least, 3
		case s.Fn == "max":
			a.fn, a.words = greatest, 3
		default:
			return nil, 0, fmt.Errorf("unknown aggregate %q", s.Fn)
		}
		width += a.words
		list[i] = a
	}
	return list, width, nil
}

// accepts tells whether v can be added, "" if so.
func (a *accumulator) accepts(v codecs.Value) string {
	switch a.fn {
	case sum, average:
		if v.Kind > codecs.Null && !v.IsNumber() {
			return fmt.Sprintf("%s: %s is not a number", a.text, v.Kind)
		}
	case least, greatest:
		if len(v.Str) > MaxTextBytes {
			return fmt.Sprintf("%s: a value of %d bytes is longer than %d", a.text, len(v.Str), MaxTextBytes)
		}
	}
	return ""
}

// add adds an accepted value to the accumulator of a slot.
func (a *accumulator) add(p *panes, slot uint32, v codecs.Value) {
	words := p.words[int(slot)*p.width+a.at:]
	if a.fn == countRows {
		words[0]++
		return
	}
	if v.Kind <= codecs.Null {
		return
	}
	switch a.fn {
	case countValues:
		words[0]++
	case sum, average:
		words = words[:5]
		words[0]++
		if v.Kind == codecs.Int {
			words[1], words[2] = add128(words[1], words[2], uint64(int64(v.Num)>>63), v.Num)
			return
		}
		words[3] = addFloat(words[3], words[4], v.Num)
		words[4]++
	case least, greatest:
		a.extreme(p, words[:3], v)
	}
}

// addFloat adds the floats with the bits x, a sum of n floats, and y. The first
// one is taken as it is, so that a sum of -0 alone is -0.
func addFloat(x, n, y uint64) uint64 {
	if n == 0 {
		return y
	}
	return math.Float64bits(math.Float64frombits(x) + math.Float64frombits(y))
}

func add128(high1, low1, high2, low2 uint64) (high, low uint64) {
	low, carry := bits.Add64(low1, low2, 0)
	high, _ = bits.Add64(high1, high2, carry)
	return high, low
}

func (a *accumulator) extreme(p *panes, words []uint64, v codecs.Value) {
	old := p.extremeValue(words)
	if old.Kind != codecs.Missing {
		c := codecs.Compare(v, old)
		if c == 0 || (c < 0) != (a.fn == least) {
			return
		}
	}
	words[0], words[1] = uint64(v.Kind), v.Num
	words[2] = p.store(words[2], v.Str)
}

// merge adds the partial from of another partition to the sums in into; extremes
// are merged by place, see mergeExtreme.
func (a *accumulator) merge(into, from []uint64) {
	switch a.fn {
	case countRows, countValues:
		into[0] += from[0]
	case sum, average:
		into[0] += from[0]
		into[1], into[2] = add128(into[1], into[2], from[1], from[2])
		if from[4] > 0 {
			into[3] = addFloat(into[3], into[4], from[3])
			into[4] += from[4]
		}
	}
}

// result is the value of a count, sum or average.
func (a *accumulator) result(words []uint64) (codecs.Value, error) {
	switch {
	case a.fn == countRows || a.fn == countValues:
		return codecs.IntValue(int64(words[0])), nil
	case words[0] == 0:
		return codecs.NullValue(), nil
	case a.fn == sum && words[4] == 0:
		if int64(words[1]) != int64(words[2])>>63 {
			return codecs.NullValue(), errors.New("integer overflow in " + a.text)
		}
		return codecs.IntValue(int64(words[2])), nil
	}
	total := math.Float64frombits(words[3])
	switch {
	case words[4] == 0:
		total = float128(words[1], words[2])
	case words[4] < words[0]:
		total = float128(words[1], words[2]) + total
	}
	if a.fn == average {
		total /= float64(words[0])
	}
	if math.IsInf(total, 0) || math.IsNaN(total) {
		return codecs.NullValue(), errors.New("float overflow in " + a.text)
	}
	return codecs.FloatValue(total), nil
}

// float128 is the float64 nearest to a two's complement number.
func float128(high, low uint64) float64 {
	negative := int64(high) < 0
	if negative {
		var borrow uint64
		low, borrow = bits.Sub64(0, low, 0)
		high, _ = bits.Sub64(0, high, borrow)
	}
	f := float64(low)
	if high != 0 {
		shift := bits.Len64(high)
		top := high<<(64-shift) | low>>shift
		if low<<(64-shift) != 0 {
			top |= 1 // a bit lost below keeps a tie from looking like one
		}
		f = math.Ldexp(float64(top), shift)
	}
	if negative {
		return -f
	}
	return f
}

// appendWords writes the accumulators of a slot, aggregate by aggregate: a count as
// uvarint; a sum as uvarint n, uvarint floats, high and low if not all values are
// floats, float if some are; an extreme as byte kind, then number for Bool, Int
// and Float or uvarint length and text for the others. Numbers are 8 bytes, little
// endian.
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
				dst = binary.LittleEndian.AppendUint64(dst, w[1])
				dst = binary.LittleEndian.AppendUint64(dst, w[2])
			}
			if w[4] > 0 {
				dst = binary.LittleEndian.AppendUint64(dst, w[3])
			}
		default:
			v := p.extremeValue(w)
			dst = append(dst, byte(v.Kind))
			switch v.Kind {
			case codecs.Bool, codecs.Int, codecs.Float:
				dst = binary.LittleEndian.AppendUint64(dst, v.Num)
			case codecs.String, codecs.Bytes, codecs.Object, codecs.Array:
				dst = binary.AppendUvarint(dst, uint64(len(v.Str)))
				dst = append(dst, v.Str...)
			}
		}
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
		default:
			kind := codecs.Kind(r.byte())
			w[0], w[1] = uint64(kind), 0
			r.bad = r.bad || kind == codecs.Null || kind > codecs.Array
			switch kind {
			case codecs.Bool, codecs.Int, codecs.Float:
				w[1] = r.word()
			case codecs.String, codecs.Bytes, codecs.Object, codecs.Array:
				w[2] = p.store(w[2], view(r.text()))
			}
		}
	}
	if r.bad || len(r.src) > 0 {
		return errors.New("damaged accumulators")
	}
	return nil
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
