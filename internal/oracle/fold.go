package oracle

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
)

func (a *Aggregate) sums() bool { return a.Fn == "sum" || a.Fn == "avg" }

// numeric tells whether a value that is no number makes a row dead.
func (a *Aggregate) numeric() bool {
	return a.sums() || a.Fn == "stddev" || a.Fn == "percentile"
}

// cell is what one row gives to one aggregate.
type cell struct {
	v, by value
	t     int64
}

// fold is aggregate i over the rows of a group, given by partition. It is null and
// false where a sum of integers does not fit, or a result with floats is not finite.
func (a *Aggregate) fold(rows [][]entry, i int) (value, bool) {
	var parts []part // by partition and pane
	var all []cell
	for _, partition := range rows {
		for _, p := range panes(partition, func(p *part, e entry) {
			if !e.args[i].none() && !e.bys[i].none() {
				p.cells = append(p.cells, cell{e.args[i], e.bys[i], e.t})
			}
		}) {
			parts = append(parts, p)
			all = append(all, p.all()...)
		}
	}
	switch a.Fn {
	case "count":
		return ofInt(int64(len(all))), true
	case "count_distinct":
		return ofInt(int64(len(tally(all)))), true
	case "approx_count_distinct":
		return ofInt(estimate(all)), true
	case "top_k":
		return a.mostFrequent(all), true
	case "collect":
		var texts []string
		for _, c := range inTime(all) {
			texts = append(texts, c.v.json())
		}
		return parse([]byte("[" + strings.Join(texts, ",") + "]")), true
	}
	switch {
	case len(all) == 0:
		return value{kind: null}, true
	case a.sums():
		return a.sum(parts, len(all))
	case a.Fn == "stddev":
		return stddev(parts, len(all))
	case a.Fn == "percentile":
		return a.atRank(all), true
	}
	return a.chosen(all), true
}

// inTime orders rows by event time; they are in the order of (partition, offset) where
// that is equal.
func inTime(all []cell) []cell {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b cell) int { return cmp.Compare(a.t, b.t) })
	return all
}

// chosen is the value of the row that the aggregate chooses.
func (a *Aggregate) chosen(all []cell) value {
	sorted := inTime(all)
	best := sorted[0]
	switch a.Fn {
	case "last":
		best = sorted[len(sorted)-1]
	case "min", "max":
		best = all[0]
		for _, c := range all {
			if d := compare(c.v, best.v); d < 0 && a.Fn == "min" || d > 0 && a.Fn == "max" {
				best = c
			}
		}
	case "min_by", "max_by":
		for _, c := range sorted {
			if d := compare(c.by, best.by); d < 0 && a.Fn == "min_by" || d > 0 && a.Fn == "max_by" {
				best = c
			}
		}
	}
	return best.v
}

// tally counts the values that are equal, by their common form.
func tally(all []cell) map[string]int {
	counts := map[string]int{}
	for _, c := range all {
		counts[c.v.key()]++
	}
	return counts
}

func (a *Aggregate) mostFrequent(all []cell) value {
	counts := tally(all)
	keys := slices.SortedFunc(maps.Keys(counts), func(x, y string) int {
		return cmp.Or(counts[y]-counts[x], compare(parse([]byte(x)), parse([]byte(y))))
	})
	var texts []string
	for _, key := range keys[:min(len(keys), int(a.Param))] {
		texts = append(texts, fmt.Sprintf(`{"value":%s,"count":%d}`, key, counts[key]))
	}
	return parse([]byte("[" + strings.Join(texts, ",") + "]"))
}

// atRank is the least value with Param of 100 000 at or below it.
func (a *Aggregate) atRank(all []cell) value {
	all = slices.Clone(all)
	slices.SortFunc(all, func(x, y cell) int { return compare(x.v, y.v) })
	for i, c := range all {
		if int64(i+1)*100_000 >= a.Param*int64(len(all)) {
			return parse([]byte(c.v.key()))
		}
	}
	panic("no rank")
}

// stddev is exact for integers alone. Else the floats of each part are taken one by
// one, and the parts joined one by one, behind all integers as one.
func stddev(parts []part, n int) (value, bool) {
	if n < 2 {
		return value{kind: null}, true
	}
	var integers []*big.Rat
	var moments [][3]float64 // number, mean, squared distances
	for _, p := range parts {
		for _, c := range p.all() {
			if c.v.kind == integer {
				integers = append(integers, new(big.Rat).SetInt64(c.v.i))
			}
		}
		if m := p.moments(); m[0] > 0 {
			moments = append(moments, m)
		}
	}
	mean, squares := new(big.Rat), new(big.Rat)
	count := big.NewRat(max(1, int64(len(integers))), 1)
	for _, x := range integers {
		mean.Add(mean, x)
	}
	mean.Quo(mean, count)
	for _, x := range integers {
		d := new(big.Rat).Sub(x, mean)
		squares.Add(squares, d.Mul(d, d))
	}
	var variance float64
	if len(moments) == 0 {
		variance, _ = squares.Quo(squares, big.NewRat(int64(n-1), 1)).Float64()
	} else {
		if len(integers) > 0 {
			m, _ := mean.Float64()
			s, _ := squares.Float64()
			moments = slices.Insert(moments, 0, [3]float64{float64(len(integers)), m, s})
		}
		total := joinMoments(moments)
		variance = total[2] / float64(n-1)
	}
	v, err := finite(variance)
	if err != nil {
		return value{kind: null}, false
	}
	return ofFloat(math.Sqrt(v.f)), true
}

// moments are number, mean and squared distances of the floats of a part.
func (p part) moments() [3]float64 {
	var list [][3]float64
	for _, j := range p.joined {
		if m := j.moments(); m[0] > 0 {
			list = append(list, m)
		}
	}
	m := joinMoments(list)
	for _, c := range p.cells {
		if c.v.kind != integer {
			m[0]++
			d := c.v.f - m[1]
			m[1] += d / m[0]
			m[2] += float64(d * (c.v.f - m[1]))
		}
	}
	return m
}

func joinMoments(list [][3]float64) (total [3]float64) {
	for i, m := range list {
		if i == 0 {
			total = m
			continue
		}
		sum, d := total[0]+m[0], m[1]-total[1]
		total[1] += float64(d * float64(m[0]/sum))
		total[2] = total[2] + m[2] + float64(float64(d*d)*float64(float64(total[0]*m[0])/sum))
		total[0] = sum
	}
	return total
}

// sum adds the integers exactly, the floats one after the other in each partition and
// then partition by partition and pane by pane.
func (a *Aggregate) sum(parts []part, n int) (value, bool) {
	exact := new(big.Int)
	var sums []float64 // of the parts that have floats
	floats := 0
	for _, p := range parts {
		for _, c := range p.all() {
			if v := c.v; v.kind == integer {
				exact.Add(exact, big.NewInt(v.i))
			}
		}
		s, seen := p.floats()
		floats += seen
		if seen > 0 {
			sums = append(sums, s)
		}
	}
	if a.Fn == "sum" && floats == 0 {
		if !exact.IsInt64() {
			return value{kind: null}, false
		}
		return ofInt(exact.Int64()), true
	}
	total, _ := new(big.Float).SetInt(exact).Float64()
	switch {
	case floats == n:
		total = inOrder(sums)
	case floats > 0:
		total += inOrder(sums)
	}
	if a.Fn == "avg" {
		total /= float64(n)
	}
	v, err := finite(total)
	if err != nil {
		return value{kind: null}, false
	}
	return v, true
}

// floats are the sum of the floats of a part, and their number.
func (p part) floats() (sum float64, n int) {
	var list []float64
	for _, j := range p.joined {
		if s, more := j.floats(); more > 0 {
			list, n = append(list, s), n+more
		}
	}
	for _, c := range p.cells {
		if c.v.kind != integer {
			list, n = append(list, c.v.f), n+1
		}
	}
	if n == 0 {
		return 0, 0
	}
	return inOrder(list), n
}

// inOrder adds from left to right; the first is taken as it is, also -0.
func inOrder(list []float64) float64 {
	total := list[0]
	for _, f := range list[1:] {
		total += f
	}
	return total
}
