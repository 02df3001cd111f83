package operators

import (
	"cmp"
	"slices"

	"leat/codecs"
	"leat/dataflow"
)

// collect is an array of all values of a group that are not null, by (event time,
// partition, offset). A bag has them in the order of the log, as items
//
//	+--------------------+-------+
//	| event time         | value |
//	| u64, little endian |       |
//	+--------------------+-------+
//
// with the value as accumulatestate.go says.

// collected is an item.
type collected struct {
	t dataflow.Time
	v codecs.Value
}

// mergeItems is the array of the items of all parts.
func (a *accumulator) mergeItems(parts []partial) (codecs.Value, error) {
	var items []collected
	size := 0
	for _, part := range parts {
		b := part.bag(a)
		if size += len(b.list); b.gaveUp || len(items)+b.items > MaxBagValues || size > MaxBagBytes {
			return codecs.NullValue(), a.tooMany("values")
		}
		for r := (reader{src: b.list}); len(r.src) > 0; {
			t, v := r.item()
			items = append(items, collected{t, v})
		}
	}
	slices.SortStableFunc(items, func(x, y collected) int { return cmp.Compare(x.t, y.t) })
	text := []byte{'['}
	for i, item := range items {
		if i > 0 {
			text = append(text, ',')
		}
		text = codecs.AppendJSON(text, item.v)
	}
	return codecs.ArrayValue(string(append(text, ']'))), nil
}
