package jsoncodec

import (
	"fmt"
	"testing"

	"leat/codecs/codecstest"
)

func TestOrderMatchesWhatItLearnt(t *testing.T) {
	t.Parallel()
	nodes := []*node{{}, nil, {}, {}}
	texts := []string{`"a":`, `"thirteen_bytes": `, `"a_name_of_more_than_sixteen":`, `"":`}
	var o order
	for k, text := range texts {
		o.learn(k, []byte(text), nodes[k])
	}
	const tail = `"a value long enough"`
	for k, text := range texts {
		for at := range texts {
			child, next, after := o.match([]byte(text+tail), 0, at)
			want := at == k || at+1 == k
			if !want && (next != -1 || after != at) {
				t.Errorf("place %d matches %s", at, text)
			}
			if want && (child != nodes[k] || next != len(text) || after != k+1) {
				t.Errorf("place %d, %s: index %d, then place %d", at, text, next, after)
			}
		}
	}
	for _, text := range []string{`"b":`, `"a" :`, `"a_name_of_more_than_sixteem":`, `"a_name_of_more_than`, `"thirteen_bytes":x`} {
		for at := range texts {
			if _, next, _ := o.match([]byte(text), 0, at); next != -1 {
				t.Errorf("place %d matches %s", at, text)
			}
		}
	}
}

func TestOrderIsBounded(t *testing.T) {
	t.Parallel()
	var o order
	for k := range 1000 {
		o.learn(k, fmt.Appendf(nil, `"name_%d":`, k), nil)
	}
	if len(o.places) != maxPlaces {
		t.Errorf("%d places", len(o.places))
	}
	long := []byte(fmt.Sprintf(`"%0100d":1`, 7))
	o.learn(0, long[:103], nil)
	if _, next, _ := o.match(long, 0, 0); next != -1 {
		t.Error("a name beyond the limit is remembered")
	}
}

// Rows with and without optional members settle into an order that fits both.
func TestOrderSettles(t *testing.T) {
	t.Parallel()
	d := New(codecstest.Paths(t, "a"))
	rows := []string{
		`{"first":1,"third":3,"last":"0123456789"}`,
		`{"first":1,"second":2,"third":3,"last":"0123456789"}`,
	}
	for range 4 {
		for _, row := range rows {
			checkAgainstOracle(t, d, codecstest.Paths(t, "a"), [][]byte{[]byte(row)})
		}
	}
	var names []string
	for _, p := range d.root.order.places {
		names = append(names, string(p.text[:p.size]))
	}
	if got, want := fmt.Sprint(names), `["first": "second": "third": "last":]`; got != want {
		t.Errorf("learnt %s, want %s", got, want)
	}
}
