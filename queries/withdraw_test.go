package queries

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// TestChangesOfSessions: a session that becomes part of another one withdraws its row,
// also after a restart, from the view, a namespace and a topic.
func TestChangesOfSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":20,"k":"a"}`, `{"t":28,"k":"a"}`})
		spec := `{"name":"q","source":{"topic":"in","event_time":"t","max_out_of_orderness":100},"group_by":["k"],"emit":"changes",
			"window":{"session":5},"aggregate":{"n":"count()"},"sink":{"kv":"ns","key":["k","window_start"]}}`
		m := kvManager(t, b, &fakeSpaces{}, "one")
		m.create(spec)
		row := func(n, start, end int) string {
			return fmt.Sprintf(`{"k":"a","n":%d,"window_start":%d,"window_end":%d}`, n, start, end)
		}
		gone := func(start int) string {
			return fmt.Sprintf(`{"k":"a","n":null,"window_start":%d,"window_end":null,"withdrawn":true}`, start)
		}
		want := []string{row(1, 20, 25), row(1, 28, 33)}
		m.wantResults(want...)
		m.stop()

		appendRows(t, b, 0, `{"t":24,"k":"a"}`) // joins both
		m = kvManager(t, b, &fakeSpaces{}, "two")
		want = append(want, gone(28), row(3, 20, 33))
		m.wantResults(want...)
		appendRows(t, b, 0, `{"t":17,"k":"a"}`) // begins before
		want = append(want, gone(20), row(4, 17, 33))
		m.wantResults(want...)
		synctest.Wait()
		if got := space(b, "ns"); len(got) != 1 || got["a/17"] != row(4, 17, 33) {
			t.Errorf("the namespace has %v", got)
		}
		for start, has := range map[int64]string{28: "not_found", 20: "not_found", 17: row(4, 17, 33), -1: row(4, 17, 33)} {
			if got := m.view(start, "a"); got != has {
				t.Errorf("the view of %d has %s, want %s", start, got, has)
			}
		}
		appendRows(t, b, 0, `{"t":133,"k":"b"}`) // the session closes
		want = append(want, row(4, 17, 33), `{"k":"b","n":1,"window_start":133,"window_end":138}`)
		m.wantResults(want...)
		if s := m.status("q"); s.Rows.Out != int64(len(want)) || s.Rows.Used != 5 {
			t.Errorf("rows %+v", s.Rows)
		}
		m.stop()
	})
}

// TestChangesWithHaving: a row that having does not keep any more is withdrawn, once, also
// where the query was not running in between; the row of the window before counts again.
func TestChangesWithHaving(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"b"}`, `{"t":2,"k":"b"}`, `{"t":2,"k":"b"}`, `{"t":11,"k":"a"}`})
		spec := strings.Replace(liveSpec, `"group_by"`, `"emit":"changes","having":"n < 3","select":{"who":"upper(k)","n":"n","at":"window_start"},
			"sink":{"kv":"ns","key":["who","at"]},"group_by"`, 1)
		m := kvManager(t, b, &fakeSpaces{}, "one")
		m.create(spec)
		first, second := `{"who":"A","n":1,"at":0}`, `{"who":"A","n":1,"at":10}`
		want := []string{first, second} // window 0 has closed, and b in it is not kept
		m.wantResults(want...)
		if got := m.view(-1, "a"); got != second {
			t.Errorf("the view has %s", got)
		}
		m.stop()

		appendRows(t, b, 0, `{"t":12,"k":"a"}`, `{"t":13,"k":"a"}`)
		m = kvManager(t, b, &fakeSpaces{}, "two")
		want = append(want, `{"who":"A","n":null,"at":10,"withdrawn":true}`)
		m.wantResults(want...)
		appendRows(t, b, 0, `{"t":14,"k":"a"}`, `{"t":25,"k":"c"}`)
		want = append(want, `{"who":"C","n":1,"at":20}`)
		m.wantResults(want...)
		synctest.Wait()
		if got := space(b, "ns"); len(got) != 2 || got["A/0"] != first || got["C/20"] == "" {
			t.Errorf("the namespace has %v", got)
		}
		if got := m.view(10, "a"); got != "not_found" {
			t.Errorf("the view of the window that was withdrawn has %s", got)
		}
		if got := m.view(-1, "a"); got != first {
			t.Errorf("the view has %s", got)
		}
		m.stop()
	})
}

// TestWithdrawnInATopic: a row is withdrawn by a record of its key without a value.
func TestWithdrawnInATopic(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`})
	spec := strings.Replace(countSpec, `"group_by"`, `"emit":"changes","having":"n < 2","sink":{"topic":"out","key":"k"},"group_by"`, 1)
	got := runTrial(t, b, spec, RunOptions{EpochRows: 1, BatchRows: 1, FixedEpochs: true})
	wantRows(t, "results", got.Results, `{"k":"a","n":1,"s":null,"window_start":0,"window_end":10}`,
		`{"k":"a","n":null,"s":null,"window_start":0,"window_end":10,"withdrawn":true}`)
	pumpAll(t, b, b.Sinks(), compilePlan(t, b, spec).Sinks[0])
	if got := records(t, b, "out", 0); len(got) != 2 || got[0] != `a={"k":"a","n":1,"s":null,"window_start":0,"window_end":10}` || got[1] != "a=" {
		t.Errorf("the topic has %q", got)
	}
}

// TestChangesBehindAJoin: groups of joined rows give changes when the join gives rows,
// which it may do long after they were read.
func TestChangesBehindAJoin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`})
		m := startManager(t, b, "one")
		m.create(`{"name":"q","join":{"on":[["k","k"]],"window":{"within":5},"left":{"topic":"in","event_time":"t"},"right":{"topic":"in","event_time":"t"}},
			"group_by":["left.k"],"aggregate":{"n":"count()"},"max_state_bytes":1000000,"emit":"changes"}`)
		m.wantResults()
		appendRows(t, b, 0, `{"t":3,"k":"b"}`)
		want := []string{`{"left.k":"a","n":1}`}
		m.wantResults(want...)
		appendRows(t, b, 0, `{"t":4,"k":"a"}`)
		want = append(want, `{"left.k":"b","n":1}`)
		m.wantResults(want...)
		appendRows(t, b, 0, `{"t":20,"k":"`+strings.Repeat("x", 70_000)+`"}`) // too long a key: only time moves
		want = append(want, `{"left.k":"a","n":4}`)
		m.wantResults(want...)
		m.stop()
		m = startManager(t, b, "two")
		m.wantResults(append(want, `{"left.k":"a","n":4}`, `{"left.k":"b","n":1}`)...)
		m.stop()
	})
}

// TestChangesOfGroupsThatLivedBefore: what a group has put out before it ended is not
// remembered, and is withdrawn when a new group of its key is not kept: once.
func TestChangesOfGroupsThatLivedBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`})
		m := kvManager(t, b, &fakeSpaces{}, "one")
		m.create(runningSpec + `"ttl":10,"having":"n < 2","sink":{"kv":"ns","key":"k"}}`)
		row := func(k string) string { return fmt.Sprintf(`{"k":"%s","n":1}`, k) }
		gone := func(k string) string { return fmt.Sprintf(`{"k":"%s","n":null,"withdrawn":true}`, k) }
		want := []string{row("a")}
		m.wantResults(want...)
		appendRows(t, b, 0, `{"t":50,"k":"b"}`) // a ends, and its row stays
		want = append(want, row("a"), row("b"))
		m.wantResults(want...)
		appendRows(t, b, 0, `{"t":51,"k":"a"}`, `{"t":51,"k":"a"}`)
		want = append(want, gone("a"))
		m.wantResults(want...)
		if got := m.view(-1, "a"); got != "not_found" {
			t.Errorf("the view has %s", got)
		}
		m.stop()
		m = kvManager(t, b, &fakeSpaces{}, "two")
		appendRows(t, b, 0, `{"t":52,"k":"a"}`)
		want = append(want, row("b")) // what is there comes out again, what is not does not
		m.wantResults(want...)
		synctest.Wait()
		if got := space(b, "ns"); len(got) != 1 || got["b"] != row("b") {
			t.Errorf("the namespace has %v", got)
		}
		m.stop()
	})
}

// TestChangesOfWhichNoneCanBeGiven: a group that is to be withdrawn and cannot even be
// named is no row, and the query goes on.
func TestChangesOfWhichNoneCanBeGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":7}`})
		m := startManager(t, b, "one")
		m.create(runningSpec + `"ttl":10,"having":"n > 1","select":{"k":"upper(k)"}}`)
		appendRows(t, b, 0, `{"t":2,"k":7}`, `{"t":3,"k":"a"}`, `{"t":3,"k":"a"}`)
		m.wantResults(`{"k":"A"}`)
		if s := m.status("q"); s.State != stateRunning || s.Rows.Used != 4 {
			t.Errorf("status %+v", s)
		}
		m.stop()
	})
}
