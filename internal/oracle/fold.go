package oracle

import "math/big"

func (a *Aggregate) sums() bool { return a.Fn == "sum" || a.Fn == "avg" }

// fold is the aggregate over column i of the rows of a group, given by partition. It
// is null and false where a sum of integers does not fit, or one with floats is not
// finite.
func (a *Aggregate) fold(rows [][][]value, i int) (value, bool) {
	parts := make([][]value, len(rows))
	var all []value
	for p, partition := range rows {
		for _, args := range partition {
			if !args[i].none() {
				parts[p] = append(parts[p], args[i])
				all = append(all, args[i])
			}
		}
	}
	switch {
	case a.Fn == "count":
		return ofInt(int64(len(all))), true
	case len(all) == 0:
		return value{kind: null}, true
	case a.sums():
		return a.sum(parts, len(all))
	}
	best := all[0]
	for _, v := range all[1:] {
		if c := compare(v, best); c < 0 && a.Fn == "min" || c > 0 && a.Fn == "max" {
			best = v
		}
	}
	return best, true
}

// sum adds the integers exactly, the floats one after the other in each partition and
// then partition by partition.
func (a *Aggregate) sum(parts [][]value, n int) (value, bool) {
	exact := new(big.Int)
	var sums []float64 // of the partitions that have floats
	floats := 0
	for _, part := range parts {
		var seen []float64
		for _, v := range part {
			if v.kind == integer {
				exact.Add(exact, big.NewInt(v.i))
			} else {
				seen = append(seen, v.f)
			}
		}
		floats += len(seen)
		if len(seen) > 0 {
			sums = append(sums, inOrder(seen))
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

// inOrder adds from left to right; the first is taken as it is, also -0.
func inOrder(list []float64) float64 {
	total := list[0]
	for _, f := range list[1:] {
		total += f
	}
	return total
}
