package oracle

import "testing"

func TestFold(t *testing.T) {
	t.Parallel()
	i, f, none := ofInt, ofFloat, value{kind: null}
	const huge = 1 << 62
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
		{[][]value{{ofText("b"), ofText("a")}, {i(7)}}, map[string]string{"min": "7", "max": `"b"`, "count": "3"}},
	} {
		var rows [][][]value
		for _, part := range c.parts {
			var partition [][]value
			for _, v := range part {
				partition = append(partition, []value{v})
			}
			rows = append(rows, partition)
		}
		for fn, want := range c.want {
			v, ok := (&Aggregate{Fn: fn}).fold(rows, 0)
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
