package operators

import (
	"leat/codecs"
	"leat/dataflow"
)

// first, last, min_by and max_by keep the value of one row, in the words
//
//	time, kind, number, place
//
// and, of min_by and max_by, kind, number and place of what it was chosen by. Rows
// have the order of (event time, partition, offset). first and last keep the value of
// the first and the last row; min_by and max_by that of the row with the least and the
// greatest by, of equal ones the first. Rows whose value or by is null are passed over.
//
// The rows of a partition come in the order of their offsets and partials are merged
// in the order of the partitions, so that of equal times the one there first is first.

const keptWords = 1 + extremeWords

// keep takes the operand if it comes before what is kept.
func (a *accumulator) keep(p *panes, words []uint64, in *operand) {
	chosen := len(words) > keptWords
	if chosen && in.by.IsNull() {
		return
	}
	if words[1] != uint64(codecs.Missing) {
		old := operand{t: dataflow.Time(words[0])}
		if chosen {
			old.by = p.extremeValue(words[keptWords:])
		}
		if !a.prefers(in, &old) {
			return
		}
	}
	words[0], words[1], words[2] = uint64(in.t), uint64(in.v.Kind), in.v.Num
	words[3] = p.store(words[3], in.v.Str)
	if chosen {
		by := words[keptWords:]
		by[0], by[1] = uint64(in.by.Kind), in.by.Num
		by[2] = p.store(by[2], in.by.Str)
	}
}

// prefers tells whether next, which was met after old, is to be kept in its place.
func (a *accumulator) prefers(next, old *operand) bool {
	switch a.fn {
	case first:
		return next.t < old.t
	case last:
		return next.t >= old.t
	}
	c := codecs.Compare(next.by, old.by)
	if c == 0 {
		return next.t < old.t
	}
	return (c < 0) == (a.fn == leastBy)
}

// mergeKept is the value that is kept of all parts.
func (a *accumulator) mergeKept(parts []partial) codecs.Value {
	var best operand
	for _, part := range parts {
		words := part.words(a)
		next := operand{v: part.panes.extremeValue(words[1:]), t: dataflow.Time(words[0])}
		if next.v.Kind == codecs.Missing {
			continue
		}
		if a.words > keptWords {
			next.by = part.panes.extremeValue(words[keptWords:])
		}
		if best.v.Kind == codecs.Missing || a.prefers(&next, &best) {
			best = next
		}
	}
	if best.v.Kind == codecs.Missing {
		return codecs.NullValue()
	}
	return best.v
}
