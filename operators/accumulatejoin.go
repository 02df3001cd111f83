package operators

import (
	"math"

	"leat/codecs"
	"leat/dataflow"
)

// join adds the partial in slot from to that in slot into, as if the rows of from had
// come after those of into. Both are of one source partition. Float sums and moments
// are merged as those of two partitions are.
func (a *accumulator) join(p *panes, into, from uint32) {
	x, y := p.row(into)[a.at:a.at+a.words], p.row(from)[a.at:a.at+a.words]
	switch a.fn {
	case countRows, countValues, sum, average:
		a.merge(x, y)
	case least, greatest:
		if v := p.extremeValue(y); v.Kind != codecs.Missing {
			a.extreme(p, x, v)
		}
	case spread:
		joinSpread(x, y)
	case first, last, leastBy, greatestBy:
		in := operand{v: p.extremeValue(y[1:]), t: dataflow.Time(y[0])}
		if in.v.Kind == codecs.Missing {
			return
		}
		if a.words > keptWords {
			in.by = p.extremeValue(y[keptWords:])
		}
		a.keep(p, x, &in)
	default:
		b := p.bag(into, a.bag)
		memory, size := b.memory(), b.size()
		b.join(p.bag(from, a.bag))
		p.grown(b, memory, size)
	}
}

// join adds what is in another bag, behind what is there.
func (b *bag) join(from *bag) {
	b.addAll(from)
	if b.gaveUp {
		return
	}
	b.list, b.items = append(b.list, from.list...), b.items+from.items
	if b.items > MaxBagValues || len(b.list) > MaxBagBytes {
		b.giveUp()
	}
}

func joinSpread(x, y []uint64) {
	x[0] += y[0]
	x[1], x[2] = add128(x[1], x[2], y[1], y[2])
	addSquares(x[3:6], y[3], y[4], y[5])
	if y[6] == 0 {
		return
	}
	total := momentsOf(x).merge(momentsOf(y))
	x[6] += y[6]
	x[7], x[8] = math.Float64bits(total.mean), math.Float64bits(total.squares)
}

// momentsOf are those of the floats in the words of a stddev.
func momentsOf(w []uint64) moments {
	return moments{float64(w[6]), math.Float64frombits(w[7]), math.Float64frombits(w[8])}
}
