package oracle

import "testing"

func TestFold(t *testing.T) {
	t.Parallel()
	i, f, none := ofInt, ofFloat, value{kind: null}
	const huge = 1 << 62
	params := map[string]int64{"top_k": 2, "percentile": 50_000}
	for _, c := range []struct {
		parts [][]value
		want  map[string]string // "!" = no result
	}{
		{nil, map[string]string{"count": "0", "sum": "null", "avg": "null", "min": "null", "max": "null"}},
		{[][]value{{none, i(1)}, {i(2), none}}, map[string]string{"count": "2", "sum": "3", "avg": "1.5", "min": "1", "max": "2"}},
		{[][]value{{f(0.1), f(0.2)}, {f(0.3)}}, map[string]string{"sum": "0.6000000000000001", "min": "0.1"}},
		{[][]value{{f(0.1)}, {f(0.2), f(0.3)}}, map[string]string{"sum": "0.6"}},
		{[][]value{{i(1), f(0.5)}, {i(2)}}, map[string]string{"sum": "3.5", "max": "2"}},
		{[][]value{{i(huge), i(huge)}}, map[string]string{"sum": "!", "avg": "4611686018427388000"}},
		{[][]value{{i(huge), i(huge)}, {i(-huge)}}, map[string]string{"sum": "4611686018427387904"}},
		{[][]value{{f(1e308), f(1e308)}}, map[string]string{"sum": "!", "avg": "!", "max": "1e+308"}},
		{[][]value{{f(1), i(1)}, {f(1)}}, map[string]string{"min": "1", "max": "1", "sum": "3"}},
		{[][]value{{i(1), f(1), i(2)}, {ofText("a"), none}}, map[string]string{"count_distinct": "3", "approx_count_distinct": "3", "collect": `[1,1,2,"a"]`, "first": "1", "last": `"a"`,
			"min_by": "1", "max_by": `"a"`, "top_k": `[{"value":1,"count":2},{"value":2,"count":1}]`}},
		{[][]value{{i(2), i(4), i(4), i(4)}, {i(5), i(5), i(7), i(9)}}, map[string]string{"stddev": "2.138089935299395", "percentile": "4"}},
		{[][]value{{f(0.5), i(1)}, {f(1.5), f(2)}}, map[string]string{"stddev": "0.6454972243679028", "percentile": "1"}},
		{[][]value{{i(5)}}, map[string]string{"stddev": "null", "percentile": "5"}},
		{[][]value{{ofText("b"), ofText("a")}, {i(7)}}, map[string]string{"min": "7", "max": `"b"`, "count": "3"}},
	} {
		var rows [][]entry
		for _, part := range c.parts {
			var partition []entry
			for _, v := range part {
				partition = append(partition, entry{args: []value{v}, bys: []value{v}})
			}
			rows = append(rows, partition)
		}
		for fn, want := range c.want {
			v, ok := (&Aggregate{Fn: fn, Param: params[fn]}).fold(rows, 0)
			got := v.json()
			if !ok {
				got = "!"
			}
			if got != want {
				t.Errorf("%s of %v is %s, not %s", fn, c.parts, got, want)
			}
		}
	}
}
