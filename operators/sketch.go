package operators

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"leat/codecs"
)

// approx_count_distinct estimates how many different values a group has by HyperLogLog
// (P. Flajolet, É. Fusy, O. Gandouet, F. Meunier, AofA 2007) with 64-bit hashes and 2^14
// registers: the standard error is 1.04/sqrt(2^14), about 0.81 %, at any number of
// values. The hash h of a value is KeyHash of its canonical key; its register is the
// upper 14 bits of h, and its rank one more than the number of zeros that the other 50
// begin with, 1 to 51. A register holds the greatest rank of its values, 0 of none.
//
// Merging takes the greater of each two registers, so that the registers and with them
// the estimate depend on the set of values only, not on their order, their number or
// how they lie in partitions and panes.
//
// A sketch begins with a list of the registers that are not 0, and has an array of all
// once there are more than maxSparse of them. It is stored as
//
//	list    uvarint n, at most maxSparse, and of each register in ascending order
//	        uvarint distance from the register before, from -1 at first; u8 rank
//	array   uvarint maxSparse+1, all ranks in 6 bits each, the least significant first
//
// and nothing is gained or lost by the change from one to the other.

const (
	sketchBits   = 14
	registers    = 1 << sketchBits
	maxRank      = 64 - sketchBits + 1
	maxSparse    = 2048
	packedBytes  = registers * 6 / 8
	sparseLength = 4 // bytes of a register in the list
)

// sketch is a set of registers. The zero sketch has none that is not 0.
type sketch struct {
	sparse []uint32 // register<<6 | rank, ascending; nil once there is an array
	dense  []byte   // ranks by register
}

// add counts a value with a hash.
func (s *sketch) add(hash uint64) {
	rank := bits.LeadingZeros64(hash<<sketchBits|1<<(sketchBits-1)) + 1
	s.raise(uint32(hash>>(64-sketchBits)), byte(rank))
}

// raise makes a register at least rank.
func (s *sketch) raise(register uint32, rank byte) {
	if s.dense != nil {
		s.dense[register] = max(s.dense[register], rank)
		return
	}
	entry := register<<6 | uint32(rank)
	at, _ := slices.BinarySearch(s.sparse, register<<6)
	switch {
	case at < len(s.sparse) && s.sparse[at]>>6 == register:
		s.sparse[at] = max(s.sparse[at], entry)
	case len(s.sparse) == maxSparse:
		s.spread()
		s.dense[register] = rank
	default:
		s.sparse = slices.Insert(s.sparse, at, entry)
	}
}

// spread turns the list into the array.
func (s *sketch) spread() {
	s.dense = make([]byte, registers)
	for _, entry := range s.sparse {
		s.dense[entry>>6] = byte(entry & 63)
	}
	s.sparse = nil
}

// merge adds the values of another sketch.
func (s *sketch) merge(from *sketch) {
	for _, entry := range from.sparse {
		s.raise(entry>>6, byte(entry&63))
	}
	if from.dense == nil {
		return
	}
	if s.dense == nil {
		s.spread()
	}
	for i, rank := range from.dense {
		s.dense[i] = max(s.dense[i], rank)
	}
}

// estimate is the number of different values, by the improved raw estimator of O. Ertl,
// "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284,
// algorithm 6. Products are rounded before they are added, so that no processor fuses
// the two.
func (s *sketch) estimate() int64 {
	var count [maxRank + 1]int
	count[0] = registers - len(s.sparse)
	for _, entry := range s.sparse {
		count[entry&63]++
	}
	if s.dense != nil {
		count[0] = 0
		for _, rank := range s.dense {
			count[rank]++
		}
	}
	if count[0] == registers {
		return 0
	}
	const m = float64(registers)
	z := m * tau(1-float64(count[maxRank])/m)
	for rank := maxRank - 1; rank > 0; rank-- {
		z = 0.5 * (z + float64(count[rank]))
	}
	z += float64(m * sigma(float64(count[0])/m))
	return int64(math.Round(m / (2 * math.Ln2) * m / z))
}

// sigma is x + the sum of x^(2^k) * 2^(k-1) over k from 1, for 0 <= x < 1.
func sigma(x float64) float64 {
	z, weight := x, 0.5
	for {
		x *= x
		weight *= 2
		next := z + float64(x*weight)
		if next == z {
			return z
		}
		z = next
	}
}

// tau is a third of 1 - x - the sum of (1 - x^(2^-k))^2 * 2^-k over k from 1, for
// 0 <= x <= 1.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	z, weight := 1-x, 1.0
	for {
		x = math.Sqrt(x)
		weight *= 0.5
		d := 1 - x
		next := z - float64(float64(d*d)*weight)
		if next == z {
			return z / 3
		}
		z = next
	}
}

// size is about what a snapshot takes.
func (s *sketch) size() int {
	if s.dense != nil {
		return packedBytes
	}
	return 3 * len(s.sparse)
}

// memory is what the sketch holds.
func (s *sketch) memory() int { return sparseLength*cap(s.sparse) + cap(s.dense) }

func (s *sketch) append(dst []byte) []byte {
	if s.dense == nil {
		dst = binary.AppendUvarint(dst, uint64(len(s.sparse)))
		before := -1
		for _, entry := range s.sparse {
			register := int(entry >> 6)
			dst = binary.AppendUvarint(dst, uint64(register-before))
			dst = append(dst, byte(entry&63))
			before = register
		}
		return dst
	}
	dst = binary.AppendUvarint(dst, maxSparse+1)
	for i := 0; i < registers; i += 4 {
		r := s.dense[i : i+4]
		word := uint32(r[0]) | uint32(r[1])<<6 | uint32(r[2])<<12 | uint32(r[3])<<18
		dst = append(dst, byte(word), byte(word>>8), byte(word>>16))
	}
	return dst
}

// sketch reads what append has written.
func (r *reader) sketch(s *sketch) {
	*s = sketch{}
	n := r.uvarint()
	switch {
	case n > maxSparse+1:
		r.bad = true
	case n == maxSparse+1:
		packed := r.take(packedBytes)
		if r.bad {
			return
		}
		s.dense = make([]byte, registers)
		for i := range s.dense {
			at := i / 4 * 3
			word := uint32(packed[at]) | uint32(packed[at+1])<<8 | uint32(packed[at+2])<<16
			s.dense[i] = byte(word >> (i % 4 * 6) & 63)
			r.bad = r.bad || s.dense[i] > maxRank
		}
	default:
		register := uint64(0)
		for i := range n {
			step, rank := r.uvarint(), r.byte()
			if i == 0 {
				step-- // from -1
			}
			if register += step; r.bad || step > registers || i > 0 && step == 0 || register >= registers || rank == 0 || rank > maxRank {
				r.bad = true
				return
			}
			s.sparse = append(s.sparse, uint32(register)<<6|uint32(rank))
		}
	}
}

// sketch counts a value.
func (p *panes) sketch(slot uint32, i int, v codecs.Value) {
	b := p.bag(slot, i)
	if b.sketch == nil {
		b.sketch = &sketch{}
	}
	memory, size := b.memory(), b.size()
	p.scratch = codecs.AppendKey(p.scratch[:0], v)
	b.sketch.add(codecs.KeyHash(p.scratch))
	p.grown(b, memory, size)
}

// mergeSketch is the estimate over the sketches of all parts.
func (a *accumulator) mergeSketch(parts []partial) codecs.Value {
	total := sketch{}
	for i, part := range parts {
		s := part.bag(a).sketch
		switch {
		case s == nil:
		case len(parts) == 1:
			return codecs.IntValue(s.estimate())
		case i == 0:
			total = sketch{sparse: slices.Clone(s.sparse), dense: slices.Clone(s.dense)}
		default:
			total.merge(s)
		}
	}
	return codecs.IntValue(total.estimate())
}
