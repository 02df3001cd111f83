package operators

import (
	"fmt"
	"strings"
	"testing"

	"leat/codecs"
	"leat/dataflow"
)

// parts makes an accumulator of fn and folds a list of values a partition, the
// i-th with the event time i%100.
func parts(t *testing.T, fn string, param int64, lists ...[]codecs.Value) (accumulator, []partial) {
	t.Helper()
	list, size, err := compileAccumulators([]AggregateSpec{{Fn: fn, Arg: oneRow{}, By: oneRow{}, Param: param, Text: fn + "(x)"}})
	if err != nil {
		t.Fatal(err)
	}
	var all []partial
	for i, values := range lists {
		p := newPanes(pane{}, size)
		slot := p.find(1, []byte("k"))
		for n, v := range values {
			list[0].add(p, slot, &operand{v: v, by: v, t: dataflow.Time(n % 100)})
		}
		restored := newPanes(pane{}, size) // what is stored says all
		restored.find(1, []byte("k"))
		if err := readWords(appendWords(nil, list, p, slot), list, restored, 0); err != nil {
			t.Fatal(err)
		}
		all = append(all, partial{restored, 0, int32(i)})
	}
	return list[0], all
}

func numbers(from, to int) (list []codecs.Value) {
	for i := from; i < to; i++ {
		list = append(list, codecs.IntValue(int64(i)))
	}
	return list
}

// TestBagBounds holds the bounds on both sides, of one partition and of several.
func TestBagBounds(t *testing.T) {
	t.Parallel()
	long := func(n int) (list []codecs.Value) {
		for i := range n {
			list = append(list, codecs.StringValue(fmt.Sprint(i, strings.Repeat("x", MaxTextBytes-30))))
		}
		return list
	}
	twice := append(numbers(0, MaxBagValues), numbers(0, MaxBagValues)...)
	for _, c := range []struct {
		name  string
		fns   []string
		lists [][]codecs.Value
		fits  bool
	}{
		{"as many as fit", []string{"count_distinct", "percentile", "top_k", "collect"}, [][]codecs.Value{numbers(0, MaxBagValues)}, true},
		{"one more", []string{"count_distinct", "percentile", "top_k", "collect"}, [][]codecs.Value{numbers(0, MaxBagValues+1)}, false},
		{"as many of two partitions", []string{"count_distinct", "percentile", "top_k", "collect"}, [][]codecs.Value{numbers(0, 5000), numbers(5000, MaxBagValues)}, true},
		{"one more of two partitions", []string{"count_distinct", "percentile", "top_k", "collect"}, [][]codecs.Value{numbers(0, 5000), numbers(5000, MaxBagValues+1)}, false},
		{"beyond in the first", []string{"count_distinct", "collect"}, [][]codecs.Value{numbers(0, MaxBagValues+1), nil}, false},
		{"beyond in the last", []string{"count_distinct", "collect"}, [][]codecs.Value{nil, numbers(0, MaxBagValues+1)}, false},
		{"the same ones again", []string{"count_distinct", "percentile", "top_k"}, [][]codecs.Value{twice, twice}, true},
		{"the same ones again", []string{"collect"}, [][]codecs.Value{twice}, false},
		{"long ones", []string{"count_distinct", "top_k", "collect"}, [][]codecs.Value{long(4)}, true},
		{"too long ones", []string{"count_distinct", "top_k", "collect"}, [][]codecs.Value{long(5)}, false},
		{"too long ones of two partitions", []string{"collect"}, [][]codecs.Value{long(3), long(2)}, false},
	} {
		for _, fn := range c.fns {
			a, parts := parts(t, fn, 2, c.lists...)
			if v, err := a.mergeAll(parts); (err == nil) != c.fits {
				t.Errorf("%s of %s: kind %s, %v", fn, c.name, v.Kind, err)
			}
		}
	}
}

// TestResults shows what the aggregates give that keep more than numbers.
func TestResults(t *testing.T) {
	t.Parallel()
	i, f, s := codecs.IntValue, codecs.FloatValue, codecs.StringValue
	two := [][]codecs.Value{{i(3), s("a"), codecs.NullValue(), i(1)}, {f(3), s("b"), i(2), s("b")}}
	count := [][]codecs.Value{numbers(1, 11)}
	for _, c := range []struct {
		fn    string
		param int64
		lists [][]codecs.Value
		want  string
	}{
		{"first", 0, two, "3"},
		{"last", 0, two, `"b"`},
		{"min_by", 0, two, "1"},
		{"max_by", 0, two, `"b"`},
		{"count_distinct", 0, two, "5"},
		{"approx_count_distinct", 0, two, "5"},
		{"approx_count_distinct", 0, nil, "0"},
		{"top_k", 2, two, `[{"value":3,"count":2},{"value":"b","count":2}]`},
		{"top_k", 9, nil, "[]"},
		{"collect", 0, two, `[3,3,"a","b",2,1,"b"]`},
		{"percentile", 0, count, "1"},
		{"percentile", 10_000, count, "1"},
		{"percentile", 10_001, count, "2"},
		{"percentile", 50_000, count, "5"},
		{"percentile", 99_900, count, "10"},
		{"percentile", 100_000, count, "10"},
		{"stddev", 0, [][]codecs.Value{{i(2), i(4), i(4), i(4)}, {i(5), i(5), i(7), i(9)}}, "2.138089935299395"},
		{"stddev", 0, [][]codecs.Value{{i(1 << 62), i(-1 << 62)}}, "6521908912666392000"},
		{"stddev", 0, [][]codecs.Value{{f(0.5), i(1)}, {f(1.5), f(2)}}, "0.6454972243679028"},
		{"stddev", 0, [][]codecs.Value{{i(5)}, nil}, "null"},
		{"stddev", 0, [][]codecs.Value{{f(1e308), f(-1e308)}}, "float overflow in stddev(x)"},
	} {
		a, parts := parts(t, c.fn, c.param, append(c.lists, nil)...)
		v, err := a.mergeAll(parts)
		got := string(codecs.AppendJSON(nil, v))
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s of %v is %s, want %s", c.fn, c.lists, got, c.want)
		}
	}
}
