package queries

import (
	"math"
	"math/bits"

	"leat/codecs"
)

// shotSum is one aggregate of one group. Values that are null are passed over, by
// sum and avg also those that are no numbers.
//
// Integers are summed exactly, in 128 bits; a sum that is no int64 reads as the
// nearest Float. Floats are summed in the order of the log.
type shotSum struct {
	count    int64
	high     int64 // of the sum of integers, with low
	low      uint64
	floats   float64
	isFloat  bool
	extreme  codecs.Value
	anything bool
}

// add takes a value, and returns the bytes of memory that it keeps of it.
func (s *shotSum) add(fn string, v codecs.Value) (kept int) {
	if v.IsNull() {
		return 0
	}
	switch fn {
	case "sum", "avg":
		switch v.Kind {
		case codecs.Int:
			var carry uint64
			s.low, carry = bits.Add64(s.low, uint64(v.Int()), 0)
			s.high += v.Int()>>63 + int64(carry)
		case codecs.Float:
			s.floats += v.Float()
			s.isFloat = true
		default:
			return 0
		}
	case "min", "max":
		order := 0
		if s.anything {
			order = codecs.Compare(v, s.extreme)
		}
		if !s.anything || fn == "min" && order < 0 || fn == "max" && order > 0 {
			s.extreme = v.Clone()
			kept = len(v.Str)
		}
	}
	s.anything = true
	s.count++
	return kept
}

// value is the result: null of nothing, but for count.
func (s *shotSum) value(fn string) codecs.Value {
	switch {
	case fn == "count":
		return codecs.IntValue(s.count)
	case !s.anything:
		return codecs.NullValue()
	case fn == "min", fn == "max":
		return s.extreme
	case fn == "avg":
		return codecs.FloatValue(s.total() / float64(s.count))
	case !s.isFloat && s.high == int64(s.low)>>63:
		return codecs.IntValue(int64(s.low))
	}
	return codecs.FloatValue(s.total())
}

// total is the sum as the nearest float, of the two parts each.
func (s *shotSum) total() float64 {
	if s.high == int64(s.low)>>63 {
		return float64(int64(s.low)) + s.floats
	}
	return math.Ldexp(float64(s.high), 64) + float64(s.low) + s.floats
}
