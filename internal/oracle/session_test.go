package oracle

import (
	"fmt"
	"strings"
	"testing"
)

// sessions is counting over sessions.
func sessions(gap, outOfOrder int64, until bool) *Query {
	q := counting(gap, outOfOrder, until)
	q.Session = true
	return q
}

func TestEvaluateSessions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		query *Query
		logs  [][]Record
		rows  string // start-end:count of each row
		late  string // partition/offset:start-end of each late row
	}{
		{"rows closer than the gap share a session", sessions(10, 0, true), [][]Record{times(0, 9, 18)}, "0-28:3", ""},
		{"rows the gap apart do not", sessions(10, 0, true), [][]Record{times(0, 10)}, "0-10:1 10-20:1", ""},
		{"a session of one row", sessions(10, 0, true), [][]Record{times(5)}, "5-15:1", ""},
		{"a row joins two sessions", sessions(10, 20, true), [][]Record{times(0, 18, 9)}, "0-28:3", ""},
		{"and not one that is the gap away", sessions(10, 20, true), [][]Record{times(0, 18, 8)}, "0-18:2 18-28:1", ""},
		{"rows of other partitions join sessions", sessions(10, 20, true), [][]Record{times(0, 18), times(9)}, "0-28:3", ""},
		{"a row is late below the watermark", sessions(10, 5, true), [][]Record{times(20, 15, 14)}, "15-30:2", "0/2:14-24"},
		{"also if its session is not over", sessions(10, 0, true), [][]Record{times(20, 19)}, "20-30:1", "0/1:19-29"},
		{"sessions close at the minimum", sessions(10, 0, false), [][]Record{times(5, 30), times(5, 20)}, "5-15:2", ""},
		{"a session closes at its end", sessions(10, 0, false), [][]Record{times(5, 15)}, "5-15:1", ""},
		{"and not before", sessions(10, 0, false), [][]Record{times(5, 14)}, "", ""},
		{"sessions leave by their ends", sessions(10, 100, true), [][]Record{times(30, 0, 15, 39, 48)}, "0-10:1 15-25:1 30-58:3", ""},
	} {
		got := Evaluate(&Case{Query: c.query, Logs: c.logs})
		var rows, late []string
		for _, r := range got.Rows {
			var n, start, end int64
			if _, err := fmt.Sscanf(r, `{"n":%d,"window_start":%d,"window_end":%d}`, &n, &start, &end); err != nil {
				t.Fatalf("%s: row %s", c.name, r)
			}
			rows = append(rows, fmt.Sprintf("%d-%d:%d", start, end, n))
		}
		for _, letters := range got.Late {
			for _, l := range letters {
				var p, offset, at, w, start, end int64
				if _, err := fmt.Sscanf(l, `{"topic":"in","partition":%d,"offset":%d,"event_time":%d,"watermark":%d,"window_start":%d,"window_end":%d,`, &p, &offset, &at, &w, &start, &end); err != nil {
					t.Fatalf("%s: late row %s", c.name, l)
				}
				late = append(late, fmt.Sprintf("%d/%d:%d-%d", p, offset, start, end))
			}
		}
		if strings.Join(rows, " ") != c.rows || strings.Join(late, " ") != c.late {
			t.Errorf("%s: rows %v, late %v, not %s and %s", c.name, rows, late, c.rows, c.late)
		}
	}
}

// TestEvaluateRunning: of running groups sessions leave without their window, and where
// they give changes the newest row of a group is what counts.
func TestEvaluateRunning(t *testing.T) {
	t.Parallel()
	running := func(gap int64, until, changes bool) *Query {
		q := sessions(gap, 0, until)
		q.Running, q.Changes = true, changes
		return q
	}
	for _, c := range []struct {
		name          string
		query         *Query
		logs          [][]Record
		rows, present string // counts
		late          int64
	}{
		{"a group ends when it is not seen", running(10, true, false), [][]Record{times(0, 9, 19, 20)}, "2 2", "", 0},
		{"rows below the watermark are late", running(10, true, false), [][]Record{times(0, 9, 8)}, "2", "", 1},
		{"without end none is", running(endless, true, false), [][]Record{times(0, maxTime, -maxTime)}, "3", "", 0},
		{"and nothing comes before the end", running(endless, false, true), [][]Record{times(0, 100), times(200)}, "", "3", 0},
		{"the newest counts", running(10, true, true), [][]Record{times(0, 1, 50)}, "1", "", 0},
		{"also if it has not ended", running(10, false, true), [][]Record{times(0, 1, 50)}, "", "1", 0},
		{"also if no other has", running(10, false, true), [][]Record{times(0, 1, 50), times(2)}, "", "1", 0},
	} {
		got := Evaluate(&Case{Query: c.query, Logs: c.logs})
		counts := func(rows []string) string {
			text := strings.ReplaceAll(strings.Join(rows, " "), `{"n":`, "")
			return strings.ReplaceAll(text, "}", "")
		}
		if rows, present := counts(got.Rows), counts(got.Present); rows != c.rows || present != c.present || got.Counts.Late != c.late {
			t.Errorf("%s: rows %s, present %s, late %d, want %s, %s, %d", c.name, rows, present, got.Counts.Late, c.rows, c.present, c.late)
		}
	}
}

// TestFoldSessions: floats are added in partial sessions, which are joined in the order
// of time before the row that joins them.
func TestFoldSessions(t *testing.T) {
	t.Parallel()
	type row struct {
		t int64
		x float64
	}
	for _, c := range []struct {
		name  string
		parts [][]row
		want  string
	}{
		{"in log order", [][]row{{{0, 1}, {1, 1e16}, {2, -1e16}}}, "0"},
		{"the earlier one first, then what joins", [][]row{{{18, -1e16}, {0, 1e16}, {9, 1}}}, "1"},
		{"not the other way round", [][]row{{{18, 1}, {0, 1e16}, {9, -1e16}}}, "0"},
		{"a partial for itself", [][]row{{{18, 1}, {0, 1}, {18, 1e16}, {9, -1e16}, {18, 1}}}, "1"},
		{"partitions after all of the one before", [][]row{{{0, 1e16}, {18, 1}}, {{9, -1e16}}}, "0"},
		{"partials of a partition by time", [][]row{{{18, -1e16}, {0, 1e16}}, {{9, 1}}}, "1"},
	} {
		var rows [][]entry
		for _, part := range c.parts {
			var list []entry
			for _, r := range part {
				list = append(list, entry{args: []value{ofFloat(r.x)}, bys: []value{ofBool(true)}, t: r.t, gap: 10})
			}
			rows = append(rows, list)
		}
		if v, _ := (&Aggregate{Fn: "sum"}).fold(rows, 0); v.json() != c.want {
			t.Errorf("%s: %s, not %s", c.name, v.json(), c.want)
		}
	}
}
