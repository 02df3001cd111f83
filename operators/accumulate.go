package operators

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"leat/codecs"
	"leat/dataflow"
)

// AggregateSpec is one aggregate of what Arg gives: count, sum, avg, min, max, stddev,
// first, last, min_by, max_by, count_distinct, approx_count_distinct, percentile, top_k or
// collect. A nil Arg
// is only allowed for count, and counts rows.
type AggregateSpec struct {
	Fn  string
	Arg dataflow.Expr
	By  dataflow.Expr // of min_by and max_by: what the row is chosen by
	// Filter gives a Bool: only rows for which it is true are taken, and of the others
	// neither Arg nor By is evaluated. nil = every row.
	Filter dataflow.Expr
	Text   string // as dead letters name it: "sum(x)"
	// Param is the percentile in thousandths of a percent, 0 to 100 000, or the k of
	// top_k, at least 1.
	Param int64
}

// An accumulator is a run of words in a row of panes.words:
//
//	count      n
//	sum, avg   n, high, low, float, floats
//	min, max   kind, number, place
//
// and of others as keep.go and spread.go say; those of tally.go, collect.go and
// sketch.go have bags instead.
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
	spread
	first
	last
	leastBy
	greatestBy
	countDistinct
	approxCountDistinct
	percentile
	topK
	collect
)

// functionOf is the function called name, of an argument.
func functionOf(name string) (fn function, ok bool) {
	switch name {
	case "count":
		return countValues, true
	case "sum":
		return sum, true
	case "avg":
		return average, true
	case "min":
		return least, true
	case "max":
		return greatest, true
	case "stddev":
		return spread, true
	case "first":
		return first, true
	case "last":
		return last, true
	case "min_by":
		return leastBy, true
	case "max_by":
		return greatestBy, true
	case "count_distinct":
		return countDistinct, true
	case "approx_count_distinct":
		return approxCountDistinct, true
	case "percentile":
		return percentile, true
	case "top_k":
		return topK, true
	case "collect":
		return collect, true
	}
	return 0, false
}

// words is how many words an accumulator of fn has.
func (fn function) words() int {
	switch fn {
	case countRows, countValues:
		return 1
	case sum, average:
		return 5
	case least, greatest:
		return extremeWords
	case spread:
		return spreadWords
	case first, last:
		return keptWords
	case leastBy, greatestBy:
		return keptWords + extremeWords
	}
	return 0
}

const extremeWords = 3

// hasBag tells whether an accumulator of fn has a bag.
func (fn function) hasBag() bool { return fn >= countDistinct }

// accumulator is a compiled aggregate.
type accumulator struct {
	fn     function
	at     int // first word
	bag    int // which one of a slot's bags
	arg    dataflow.Expr
	by     dataflow.Expr
	filter dataflow.Expr
	param  int64
	text   string
	words  int
	places []int // words of a row that hold places
}

// operand is what a row gives to one aggregate.
type operand struct {
	v, by   codecs.Value
	t       dataflow.Time // event time of the row
	without bool          // the aggregate does not take the row
}

// evaluate fills in from a row, or says why it cannot.
func (a *accumulator) evaluate(in *operand, b *dataflow.Batch, row int) (reason string) {
	if a.filter != nil {
		v, err := a.filter.Eval(b, row)
		if err != nil {
			return failed("filter of "+a.text, err)
		}
		if in.without = v.Kind != codecs.Bool || v.Num == 0; in.without {
			return ""
		}
	}
	if a.arg == nil {
		return ""
	}
	var err error
	in.t = b.Times[row]
	if in.v, err = a.arg.Eval(b, row); err != nil {
		return failed(a.text, err)
	}
	if a.by != nil {
		if in.by, err = a.by.Eval(b, row); err != nil {
			return failed(a.text, err)
		}
	}
	return a.accepts(in)
}

// layout is what the accumulators of a slot take.
type layout struct{ words, bags int }

func compileAccumulators(specs []AggregateSpec) ([]accumulator, layout, error) {
	list := make([]accumulator, len(specs))
	var size layout
	for i, s := range specs {
		fn, ok := functionOf(s.Fn)
		switch {
		case !ok:
			return nil, size, fmt.Errorf("unknown aggregate %q", s.Fn)
		case fn == countValues && s.Arg == nil:
			fn = countRows
		case s.Arg == nil:
			return nil, size, fmt.Errorf("aggregate %q has no argument", s.Text)
		case (fn == leastBy || fn == greatestBy) && s.By == nil:
			return nil, size, fmt.Errorf("aggregate %q chooses by nothing", s.Text)
		}
		a := accumulator{
			fn: fn, at: size.words, bag: size.bags, arg: s.Arg, by: s.By, filter: s.Filter,
			param: s.Param, text: s.Text, words: fn.words(),
		}
		switch fn {
		case least, greatest:
			a.places = []int{a.at + 2}
		case first, last:
			a.places = []int{a.at + 3}
		case leastBy, greatestBy:
			a.places = []int{a.at + 3, a.at + keptWords + 2}
		}
		size.words += a.words
		if fn.hasBag() {
			size.bags++
		}
		list[i] = a
	}
	return list, size, nil
}

// accepts tells whether an operand can be added, "" if so.
func (a *accumulator) accepts(in *operand) string {
	switch a.fn {
	case countRows, countValues, approxCountDistinct:
		return ""
	case sum, average, spread, percentile:
		if in.v.Kind > codecs.Null && !in.v.IsNumber() {
			return fmt.Sprintf("%s: %s is not a number", a.text, in.v.Kind)
		}
		return ""
	}
	if n := max(len(in.v.Str), len(in.by.Str)); n > MaxTextBytes {
		return fmt.Sprintf("%s: a value of %d bytes is longer than %d", a.text, n, MaxTextBytes)
	}
	return ""
}

// add adds an accepted operand to the accumulator of a slot, unless the aggregate does
// not take the row.
func (a *accumulator) add(p *panes, slot uint32, in *operand) {
	if in.without {
		return
	}
	words := p.words[int(slot)*p.width+a.at:]
	if a.fn == countRows {
		words[0]++
		return
	}
	v := in.v
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
		a.extreme(p, words[:extremeWords], v)
	case spread:
		addSpread(words[:spreadWords], v)
	case first, last, leastBy, greatestBy:
		a.keep(p, words[:a.words], in)
	case collect:
		p.collect(slot, a.bag, in)
	case approxCountDistinct:
		p.sketch(slot, a.bag, v)
	default:
		p.tally(slot, a.bag, v)
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

// merge adds the partial from of another partition to the count or sum in into.
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
