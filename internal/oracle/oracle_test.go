package oracle

import (
	"fmt"
	"strings"
	"testing"
)

// records are given as t=EVENT_TIME and other members.
func records(lines ...string) (log []Record) {
	for _, l := range lines {
		log = append(log, Record{Value: []byte(l)})
	}
	return log
}

func times(list ...int64) (log []Record) {
	for _, t := range list {
		log = append(log, records(fmt.Sprintf(`{"t":%d}`, t))...)
	}
	return log
}

func counting(window, outOfOrder int64, until bool) *Query {
	return &Query{
		Topic: "in", UntilEnd: until, EventTime: field("t"), Window: window, OutOfOrder: outOfOrder,
		Aggregates: []Aggregate{{Name: "n", Fn: "count"}},
	}
}

// hopping is counting over windows that begin every so often.
func hopping(window, every, outOfOrder int64) *Query {
	q := counting(window, outOfOrder, true)
	q.Every = every
	return q
}

func TestEvaluateWindows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		query *Query
		logs  [][]Record
		rows  string // start:count of each row
		late  string // partition/offset of each late row
	}{
		{"windows begin with their start and end before their end", counting(10, 0, true), [][]Record{times(0, 9, 10, 19)}, "0:2 10:2", ""},
		{"windows before the epoch", counting(10, 0, true), [][]Record{times(-11, -10, -1, 0)}, "-20:1 -10:2 0:1", ""},
		{"a row is late at the end of its window", counting(10, 0, true), [][]Record{times(10, 9)}, "10:1", "0/1"},
		{"and not one millisecond before", counting(10, 0, true), [][]Record{times(9, 8)}, "0:2", ""},
		{"the watermark stays behind", counting(10, 5, true), [][]Record{times(14, 9, 15, 9)}, "0:1 10:2", "0/3"},
		{"a row is judged by those before it", counting(10, 0, true), [][]Record{times(5, 100, 5)}, "0:1 100:1", "0/2"},
		{"and by those of its own partition", counting(10, 0, true), [][]Record{times(100), times(5)}, "0:1 100:1", ""},
		{"a late row does not move time back", counting(10, 0, true), [][]Record{times(30, 5, 15)}, "30:1", "0/1 0/2"},
		{"windows close at the minimum", counting(10, 0, false), [][]Record{times(5, 30), times(5, 20)}, "0:2", ""},
		{"a window closes at its end", counting(10, 0, false), [][]Record{times(5, 10)}, "0:1", ""},
		{"and not before", counting(10, 0, false), [][]Record{times(5, 9)}, "", ""},
		{"hopping windows hold what they reach over", hopping(10, 5, 0), [][]Record{times(0, 4, 5)}, "-5:2 0:3 5:1", ""},
		{"also where they do not fit each other", hopping(10, 4, 0), [][]Record{times(7)}, "0:1 4:1", ""},
		{"a row out of order counts in all that are not over", hopping(10, 5, 0), [][]Record{times(2, 9, 7)}, "-5:1 0:3 5:2", ""},
		{"not in windows it is late for", hopping(10, 5, 0), [][]Record{times(2, 11, 4)}, "-5:1 0:1 5:1 10:1", "0/2"},
		{"but in the others", hopping(10, 5, 0), [][]Record{times(2, 11, 7)}, "-5:1 0:1 5:2 10:1", ""},
		{"a partition without rows holds all", counting(10, 0, false), [][]Record{times(5, 30), nil}, "", ""},
	} {
		n := [2 * maxPartitions]int{}
		got := Evaluate(&Case{Query: c.query, Logs: c.logs, Trimmed: n})
		var rows, late []string
		for _, r := range got.Rows {
			var n, start, end int64
			if _, err := fmt.Sscanf(r, `{"n":%d,"window_start":%d,"window_end":%d}`, &n, &start, &end); err != nil || end != start+c.query.Window {
				t.Fatalf("%s: row %s", c.name, r)
			}
			rows = append(rows, fmt.Sprintf("%d:%d", start, n))
		}
		for _, letters := range got.Late {
			for _, l := range letters {
				var p, offset int
				if _, err := fmt.Sscanf(l, `{"topic":"in","partition":%d,"offset":%d,`, &p, &offset); err != nil {
					t.Fatalf("%s: late row %s", c.name, l)
				}
				late = append(late, fmt.Sprintf("%d/%d", p, offset))
			}
		}
		if strings.Join(rows, " ") != c.rows || strings.Join(late, " ") != c.late {
			t.Errorf("%s: rows %v, late %v, not %s and %s", c.name, rows, late, c.rows, c.late)
		}
	}
}

// TestEvaluateOrderOfWork: a row goes no further than to where it fails, and moves time
// if it has one.
func TestEvaluateOrderOfWork(t *testing.T) {
	t.Parallel()
	q := counting(10, 0, true)
	q.Filter = op("!=", field("k"), lit(ofText("drop")))
	q.Aggregates = append(q.Aggregates, Aggregate{Name: "s", Fn: "sum", Arg: field("x")})
	got := Evaluate(&Case{Query: q, Logs: [][]Record{records(
		`{"t":1,"k":"a","x":1}`,
		`not JSON`,
		`{"k":"a","x":1}`,
		`{"t":"soon","k":"a"}`,
		`{"t":20,"k":"drop","x":"y"}`, // filtered, and 20 from now on
		`{"t":2,"k":"drop"}`,          // filtered, not late
		`{"t":2,"k":"a","x":"y"}`,     // late, not dead
		`{"t":40,"k":"a","x":"y"}`,    // dead, and 40 from now on
		`{"t":25,"k":"a","x":1}`,      // late
		`{"t":41,"k":"a","x":null}`,
	)}})
	if want := (Counts{In: 10, Used: 2, Filtered: 2, Late: 2, DeadLettered: 4, Out: 2}); got.Counts != want {
		t.Errorf("counts %+v, not %+v", got.Counts, want)
	}
	var dead []string
	for _, d := range got.Dead[0] {
		dead = append(dead, d[:strings.LastIndexByte(d, ' ')])
	}
	if text := strings.Join(dead, ", "); text != "1 decode, 2 event_time, 3 event_time, 7 aggregate" {
		t.Errorf("dead: %s", text)
	}
	if text := strings.Join(got.Rows, "\n"); text != `{"n":1,"s":1,"window_start":0,"window_end":10}`+"\n"+`{"n":1,"s":null,"window_start":40,"window_end":50}` {
		t.Errorf("rows: %s", text)
	}
}

// TestEvaluateGroups: equal keys of any notation are one group, groups come in order.
func TestEvaluateGroups(t *testing.T) {
	t.Parallel()
	q := counting(10, 0, true)
	q.GroupBy = []*Expr{field("k")}
	var log []Record
	for _, k := range []string{`"b"`, `1.0`, `null`, `{"b":1,"a":2}`, `"a"`, `[2]`, `1`, `10`, `true`, `1.5`, `{"a":2.0, "b":1}`, `1e0`, `[1,2]`} {
		log = append(log, records(`{"t":1,"k":`+k+`}`)...)
	}
	log = append(log, records(`{"t":1}`)...)
	var got []string
	for _, r := range Evaluate(&Case{Query: q, Logs: [][]Record{log}}).Rows {
		got = append(got, strings.TrimSuffix(strings.TrimPrefix(r, `{"k":`), `,"window_start":0,"window_end":10}`))
	}
	want := `null,"n":2 true,"n":1 1,"n":3 1.5,"n":1 10,"n":1 "a","n":1 "b","n":1 [1,2],"n":1 [2],"n":1 {"a":2,"b":1},"n":2`
	if text := strings.Join(got, " "); text != want {
		t.Errorf("groups\n%s, not\n%s", text, want)
	}
}
