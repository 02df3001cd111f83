package operators

import (
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"math/bits"

	"leat/codecs"
)

// stddev is the standard deviation of a sample: the root of the sum of the squared
// distances from the mean, divided by one less than the number of values. Its words:
//
//	integers, high, low, square2, square1, square0, floats, mean, squares
//
// high:low is the sum of the integers in 128 bits, square2:square1:square0 that of
// their squares in 192. Of integers alone the variance is exact and rounded once:
//
//	(n * sum of squares - sum * sum) / (n * (n-1))
//
// Floats x are taken one by one in log order (B. P. Welford, Technometrics 4, 1962):
//
//	n += 1; d = x - mean; mean += d / n; squares += d * (x - mean)
//
// Partials are merged one after the other (T. F. Chan, G. H. Golub, R. J. LeVeque,
// STAN-CS-79-773, 1979), all integers together as the first one, with their exact mean
// and sum of squared distances, each rounded once, then the floats in the order of the
// partitions:
//
//	n = n1 + n2; d = mean2 - mean1
//	squares = squares1 + squares2 + d*d * n1*n2/n; mean = mean1 + d * n2/n
//
// Products are rounded before they are added, so that no processor fuses the two.

const spreadWords = 9

func addSpread(w []uint64, v codecs.Value) {
	if v.Kind == codecs.Int {
		w[0]++
		w[1], w[2] = add128(w[1], w[2], uint64(int64(v.Num)>>63), v.Num)
		size := v.Num
		if int64(size) < 0 {
			size = -size
		}
		high, low := bits.Mul64(size, size)
		addSquares(w[3:6], 0, high, low)
		return
	}
	w[6]++
	x, mean := v.Float(), math.Float64frombits(w[7])
	d := x - mean
	mean += d / float64(w[6])
	squares := math.Float64frombits(w[8]) + float64(d*(x-mean))
	w[7], w[8] = math.Float64bits(mean), math.Float64bits(squares)
}

func addSquares(w []uint64, high, middle, low uint64) {
	var carry uint64
	w[2], carry = bits.Add64(w[2], low, 0)
	w[1], carry = bits.Add64(w[1], middle, carry)
	w[0], _ = bits.Add64(w[0], high, carry)
}

// moments are number, mean and sum of squared distances of some values.
type moments struct{ n, mean, squares float64 }

func (m moments) merge(o moments) moments {
	if m.n == 0 {
		return o
	}
	n := m.n + o.n
	d := o.mean - m.mean
	return moments{
		n:       n,
		mean:    m.mean + float64(d*float64(o.n/n)),
		squares: m.squares + o.squares + float64(float64(d*d)*float64(float64(m.n*o.n)/n)),
	}
}

// mergeSpread is the standard deviation over all parts, null of less than two values.
func (a *accumulator) mergeSpread(parts []partial) (codecs.Value, error) {
	var integers [6]uint64
	floats := uint64(0)
	for _, part := range parts {
		w := part.words(a)
		integers[0] += w[0]
		integers[1], integers[2] = add128(integers[1], integers[2], w[1], w[2])
		addSquares(integers[3:], w[3], w[4], w[5])
		floats += w[6]
	}
	n := integers[0]
	if n+floats < 2 {
		return codecs.NullValue(), nil
	}
	var variance float64
	if floats == 0 {
		variance = nearest(scaledDistances(integers), new(big.Int).Mul(unsigned(n), unsigned(n-1)))
	} else {
		var total moments
		if n > 0 {
			total = moments{float64(n), nearest(signed128(integers[1], integers[2]), unsigned(n)), nearest(scaledDistances(integers), unsigned(n))}
		}
		for _, part := range parts {
			if w := part.words(a); w[6] > 0 {
				total = total.merge(moments{float64(w[6]), math.Float64frombits(w[7]), math.Float64frombits(w[8])})
			}
		}
		variance = total.squares / (total.n - 1)
	}
	if math.IsInf(variance, 0) || math.IsNaN(variance) {
		return codecs.NullValue(), errors.New("float overflow in " + a.text)
	}
	return codecs.FloatValue(math.Sqrt(variance)), nil
}

// scaledDistances is n times the sum of the squared distances of integers from their
// mean.
func scaledDistances(w [6]uint64) *big.Int {
	squares := new(big.Int)
	for _, word := range w[3:] {
		squares.Or(squares.Lsh(squares, 64), unsigned(word))
	}
	sum := signed128(w[1], w[2])
	return squares.Sub(squares.Mul(squares, unsigned(w[0])), sum.Mul(sum, sum))
}

func unsigned(w uint64) *big.Int { return new(big.Int).SetUint64(w) }

func signed128(high, low uint64) *big.Int {
	n := big.NewInt(int64(high))
	return n.Add(n.Lsh(n, 64), unsigned(low))
}

// nearest is the float64 nearest to a/b.
func nearest(a, b *big.Int) float64 {
	f, _ := new(big.Rat).SetFrac(a, b).Float64()
	return f
}

func appendSpread(dst []byte, w []uint64) []byte {
	dst = binary.AppendUvarint(dst, w[0])
	dst = binary.AppendUvarint(dst, w[6])
	if w[0] > 0 {
		dst = appendUint64s(dst, w[1:6])
	}
	if w[6] > 0 {
		dst = appendUint64s(dst, w[7:])
	}
	return dst
}

func (r *reader) spread(w []uint64) {
	clear(w)
	w[0], w[6] = r.uvarint(), r.uvarint()
	if w[0] > 0 {
		for i := 1; i < 6; i++ {
			w[i] = r.word()
		}
	}
	if w[6] > 0 {
		w[7], w[8] = r.word(), r.word()
	}
}
