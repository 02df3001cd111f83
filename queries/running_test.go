package queries

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

const runningSpec = `{"name":"q","source":{"topic":"in","event_time":"t"},"group_by":["k"],"aggregate":{"n":"count()"},"emit":"changes",`

// TestRunningGroups: groups without windows go on over restarts, end when they have had
// no row for their ttl, and begin anew; the view and a namespace have the present row.
func TestRunningGroups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"b"}`, `{"t":3,"k":"a"}`}, []string{`{"t":5,"k":"a"}`})
		m := kvManager(t, b, &fakeSpaces{}, "one")
		m.create(runningSpec + `"ttl":10,"sink":{"kv":"ns","key":"k"}}`)
		row := func(k string, n int) string { return fmt.Sprintf(`{"k":"%s","n":%d}`, k, n) }
		now := func(k, want string) {
			t.Helper()
			synctest.Wait()
			if got := m.view(-1, k); got != want {
				t.Errorf("the view of %s has %s, want %s", k, got, want)
			}
			if got := space(b, "ns")[k]; got != want {
				t.Errorf("the namespace has %s for %s, want %s", got, k, want)
			}
		}
		now("a", row("a", 3))
		now("b", row("b", 1))
		if got := m.view(0, "a"); got != "invalid_parameter" {
			t.Errorf("a window of no windows: %s", got)
		}
		m.stop()

		m = kvManager(t, b, &fakeSpaces{}, "two")
		appendRows(t, b, 0, `{"t":14,"k":"a"}`) // 9 behind the row of the other partition
		now("a", row("a", 4))
		appendRows(t, b, 0, `{"t":12,"k":"b"}`, `{"t":13,"k":"b"}`) // late: partition 0 is at 14
		appendRows(t, b, 1, `{"t":12,"k":"b"}`)                     // 10 behind: b ends, and begins anew
		now("b", row("b", 1))
		if s := m.status("q"); s.Rows.Late != 2 || s.Rows.Used != 6 {
			t.Errorf("rows %+v", s.Rows)
		}
		appendRows(t, b, 1, `{"t":14,"k":"b"}`)
		now("b", row("b", 2))
		appendRows(t, b, 0, `{"t":100,"k":"c"}`) // nothing ends before the other one has come so far
		appendRows(t, b, 0, `{"t":101,"k":"a"}`) // a newer a
		now("a", row("a", 1))
		now("b", row("b", 2))
		before := m.status("q").StateBytes
		appendRows(t, b, 1, `{"t":102,"k":"d"}`)
		now("a", row("a", 1)) // the older a has ended, and is not shown again
		now("b", row("b", 2))
		appendRows(t, b, 1, `{"t":102,"k":"b"}`)
		now("b", row("b", 1))
		m.stop()

		m = kvManager(t, b, &fakeSpaces{}, "three")
		appendRows(t, b, 1, `{"t":103,"k":"a"}`)
		now("a", row("a", 2))
		if s := m.status("q"); s.StateBytes == 0 || s.StateBytes > 2*before {
			t.Errorf("%d bytes of state, before %d", s.StateBytes, before)
		}
		m.stop()
	})
}

// TestRunningGroupsLastToTheEnd: final rows come out when a group ends, those of the
// groups that are left at the end of a bounded run; without ttl no row is late.
func TestRunningGroupsLastToTheEnd(t *testing.T) {
	t.Parallel()
	rows := []string{`{"t":1,"k":"b"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`, `{"t":40,"k":"b"}`, `{"t":3,"k":"a"}`}
	final := strings.Replace(runningSpec, `"emit":"changes",`, ``, 1)
	final = strings.Replace(final, `"t"}`, `"t","until":"end"}`, 1)
	got := runTrial(t, newBus(t, rows), final+`"ttl":10}`, RunOptions{})
	wantRows(t, "results", got.Results, `{"k":"b","n":1}`, `{"k":"a","n":1}`, `{"k":"a","n":1}`, `{"k":"b","n":1}`)
	if got.Rows.Late != 1 {
		t.Errorf("rows %+v", got.Rows)
	}
	got = runTrial(t, newBus(t, rows), final+`"max_state_bytes":100000}`, RunOptions{})
	wantRows(t, "results", got.Results, `{"k":"a","n":3}`, `{"k":"b","n":2}`)
	got = runTrial(t, newBus(t, rows), strings.Replace(final, `"group_by":["k"],`, ``, 1)+`"max_state_bytes":100000}`, RunOptions{})
	wantRows(t, "results", got.Results, `{"n":5}`)
}

// TestSemantics04RunningGroups: at the limit the query fails with the figures, and with a
// ttl the state of groups that are not seen any more is given back.
func TestSemantics04RunningGroups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, nil)
		m := startManager(t, b, "one")
		m.create(runningSpec + `"max_state_bytes":300000}`)
		m.create(strings.Replace(runningSpec, `"q"`, `"ends"`, 1) + `"ttl":100,"max_state_bytes":300000}`)
		for i := range 200 {
			var rows []string
			for j := range 100 {
				rows = append(rows, fmt.Sprintf(`{"t":%d,"k":"key-%d-%d"}`, 100*i+j, i, j))
			}
			appendRows(t, b, 0, rows...)
			synctest.Wait()
		}
		if s := m.status("q"); s.State != "failed" || !strings.Contains(s.Error, "more than the 300000 it may hold") {
			t.Errorf("status %+v", s)
		}
		if s := m.status("ends"); s.State != "running" || s.Rows.Used != 20_000 || s.StateBytes > 200_000 {
			t.Errorf("with a ttl: %+v", s)
		}
		m.stop()
	})
}

// TestRunningGroupsThatFail: a row of changes that cannot be given is passed over, and
// the query goes on.
func TestRunningGroupsThatFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a","v":9223372036854775807}`, `{"t":2,"k":"a","v":1}`})
		m := startManager(t, b, "one")
		m.create(strings.Replace(runningSpec, `"count()"`, `"sum(v)"`, 1) + `"ttl":10}`)
		appendRows(t, b, 0, `{"t":50,"k":"b","v":7}`)
		m.wantResults(`{"k":"b","n":7}`)
		if s := m.status("q"); s.State != "running" || s.Rows.FailedPanes != 1 {
			t.Errorf("status %+v", s)
		}
		m.stop()
	})
}

// TestRunningGroupsDoNotWait: the state of groups that never end is there whichever
// partition is read: none waits for another, not for one that is empty either.
func TestRunningGroupsDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rows []string
		for i := range 100 {
			rows = append(rows, fmt.Sprintf(`{"t":%d,"k":"key-%d"}`, i, i))
		}
		b := newBus(t, rows, nil)
		m := startManager(t, b, "one", func(c *ManagerConfig) { c.Options = RunOptions{BatchRows: 1, LeadBytes: 1} })
		m.create(runningSpec + `"max_state_bytes":1000000}`)
		if s := m.status("q"); s.Rows.Used != 100 || s.Partitions[0].Lag != 0 {
			t.Errorf("status %+v", s)
		}
		m.stop()
	})
}
