package operators

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"leat/codecs"
)

// count_distinct, percentile and top_k count how often each value of a group is there.
// Values that are equal, as 1 and 1.0, are one and come out in the form that group
// keys have. All results are exact.
//
// A percentile is the value of the nearest rank: the least one with at least that
// percentage of all values at or below it; the least of all for 0. top_k is an array
// of the k most frequent values as {"value", "count"}, the most frequent first, of
// equally frequent ones the lesser first.

// thousandths of a percent make up the whole.
const allThousandths = 100_000

// mergeTally is the result over the bags of all parts.
func (a *accumulator) mergeTally(parts []partial) (codecs.Value, error) {
	total := parts[0].bag(a)
	if len(parts) > 1 {
		total = &bag{}
		for _, part := range parts {
			total.addAll(part.bag(a))
		}
	}
	if total.gaveUp {
		return codecs.NullValue(), a.tooMany("different values")
	}
	counts := total.tally
	if counts == nil {
		counts = newPanes(pane{}, layout{words: 1})
	}
	if a.fn == countDistinct {
		return codecs.IntValue(int64(counts.len())), nil
	}
	slots := make([]uint32, counts.len())
	for i := range slots {
		slots[i] = uint32(i)
	}
	slices.SortFunc(slots, func(x, y uint32) int {
		if a.fn == topK {
			if c := cmp.Compare(counts.words[y], counts.words[x]); c != 0 {
				return c
			}
		}
		return bytes.Compare(counts.key(x), counts.key(y))
	})
	if a.fn == topK {
		return a.mostFrequent(counts, slots), nil
	}
	return a.atRank(counts, slots), nil
}

func (a *accumulator) tooMany(what string) error {
	return fmt.Errorf("more than %d %s, or more than %d bytes of them, in %s", MaxBagValues, what, MaxBagBytes, a.text)
}

// addAll adds the counts and the sketch of another bag.
func (b *bag) addAll(from *bag) {
	if from.gaveUp {
		b.giveUp()
	}
	if from.sketch != nil {
		if b.sketch == nil {
			b.sketch = &sketch{}
		}
		b.sketch.merge(from.sketch)
	}
	if from.tally == nil {
		return
	}
	for slot := range uint32(from.tally.len()) {
		b.count(from.tally.key(slot), from.tally.words[slot])
	}
}

// atRank is the percentile of values in ascending order, null of none.
func (a *accumulator) atRank(counts *panes, slots []uint32) codecs.Value {
	n := uint64(0)
	for _, count := range counts.words {
		n += count
	}
	// n is far below 2^47: it counts records.
	rank := max(1, (n*uint64(a.param)+allThousandths-1)/allThousandths)
	for _, slot := range slots {
		if count := counts.words[slot]; rank > count {
			rank -= count
			continue
		}
		return keyValue(counts.key(slot))
	}
	return codecs.NullValue()
}

func (a *accumulator) mostFrequent(counts *panes, slots []uint32) codecs.Value {
	text := []byte{'['}
	for i, slot := range slots[:min(int64(len(slots)), a.param)] {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, `{"value":`...)
		text = codecs.AppendJSON(text, keyValue(counts.key(slot)))
		text = append(text, `,"count":`...)
		text = strconv.AppendUint(text, counts.words[slot], 10)
		text = append(text, '}')
	}
	return codecs.ArrayValue(string(append(text, ']')))
}

// keyValue is the value of a canonical key that AppendKey made.
func keyValue(key []byte) codecs.Value {
	v, _, err := codecs.DecodeKey(key)
	if err != nil {
		panic("undecodable key: " + err.Error())
	}
	return v
}
