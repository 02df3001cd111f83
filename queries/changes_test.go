package queries

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"leat/internal/bus"
	"leat/queries/fakebus"
)

// TestChanges: the present row of a group and window comes out with each epoch in which
// it has changed, and the last one when the window closes; the view has the latest.
func TestChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"b"}`})
		m := startManager(t, b, "one")
		m.create(strings.Replace(liveSpec, `"group_by"`, `"emit":"changes","group_by"`, 1))
		row := func(k string, n, start int) string {
			return fmt.Sprintf(`{"k":"%s","n":%d,"window_start":%d,"window_end":%d}`, k, n, start, start+10)
		}
		want := []string{row("a", 1, 0), row("b", 1, 0)}
		m.wantResults(want...)
		appendRows(t, b, 0, `{"t":3,"k":"b"}`)
		want = append(want, row("b", 2, 0))
		m.wantResults(want...)
		if got, err := m.View(t.Context(), "q", []string{"b"}, nil); err != nil || string(got) != row("b", 2, 0) {
			t.Errorf("the view has %s, %v", got, err)
		}
		appendRows(t, b, 0, `{"t":12,"k":"b"}`)
		want = append(want, row("a", 1, 0), row("b", 2, 0), row("b", 1, 10)) // the window closes
		m.wantResults(want...)
		m.stop()

		m = startManager(t, b, "two") // what is there comes out again
		want = append(want, row("b", 1, 10))
		m.wantResults(want...)
		appendRows(t, b, 0, `{"t":4,"k":"a"}`)
		m.wantResults(want...)
		if s := m.status("q"); s.Rows != (RowCounts{In: 5, Used: 4, Late: 1, Out: int64(len(want))}) {
			t.Errorf("rows %+v", s.Rows)
		}
		m.stop()
	})
}

// TestChangesEvery: changes are so far apart, and the last one is not forgotten.
func TestChangesEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, nil)
		m := startManager(t, b, "one")
		m.create(strings.Replace(liveSpec, `"group_by"`, `"emit":{"changes":{"every":"10s"}},"group_by"`, 1))
		for range 35 {
			appendRows(t, b, 0, `{"t":1,"k":"a"}`)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		rows, err := m.Results("q", 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(rows.Rows); n < 3 || n > 5 || string(rows.Rows[n-1]) != `{"k":"a","n":35,"window_start":0,"window_end":10}` {
			t.Errorf("in 35 seconds and after them: %s", rows.Rows)
		}
		m.stop()
	})
}

// TestChangesBeyondAnEpoch: changes that take several epochs all come out, each once.
func TestChangesBeyondAnEpoch(t *testing.T) {
	t.Parallel()
	var rows []string
	for i := range 9000 {
		rows = append(rows, fmt.Sprintf(`{"t":1,"k":"key-%d"}`, i))
	}
	b := newBus(t, rows)
	epochs := 0
	b.Interfere(func(int, bus.Txn) fakebus.Outcome { epochs++; return fakebus.Pass })
	spec := strings.Replace(countSpec, `"group_by"`, `"emit":"changes","group_by"`, 1)
	got := runTrial(t, b, spec, RunOptions{EpochRows: 3000, EpochBytes: 100_000, FixedEpochs: true})
	last := map[string]int{}
	for _, r := range got.Results {
		last[string(r)]++
	}
	if len(last) != 9000 || got.Rows.Out < 15_000 || b.BiggestTxn() > 600_000 {
		t.Errorf("%d rows of %d groups in %d epochs, up to %d bytes", got.Rows.Out, len(last), epochs, b.BiggestTxn())
	}
}

// TestSemantics04MaxStateBytes: at the limit the query fails and says why; others go on, and
// resumed it goes on from the last epoch.
func TestSemantics04MaxStateBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`})
		m := startManager(t, b, "one")
		m.create(strings.Replace(liveSpec, `"group_by"`, `"max_state_bytes":100000,"group_by"`, 1))
		m.create(strings.Replace(liveSpec, `"q"`, `"other"`, 1))
		if s := m.status("q"); s.State != "running" || s.StateBytes == 0 || s.StateBytes > 100_000 {
			t.Fatalf("status %+v", s)
		}
		for i := range 5 {
			var rows []string
			for j := range 1000 {
				rows = append(rows, fmt.Sprintf(`{"t":2,"k":"key-%d-%d"}`, i, j))
			}
			appendRows(t, b, 0, rows...)
			synctest.Wait()
		}
		s := m.status("q")
		if s.State != "failed" || !strings.Contains(s.Error, "more than the 100000 it may hold") || s.StateBytes > 100_000 || s.Rows.In != s.Rows.Used {
			t.Errorf("status %+v", s)
		}
		if other := m.status("other"); other.State != "running" || other.Rows.In != 5001 {
			t.Errorf("the other query: %+v", other)
		}
		m.stop()
	})
}

// TestSemantics04MaxStateBytesOfJoin: the state of a join without windows behind it is
// bounded by the query too.
func TestSemantics04MaxStateBytesOfJoin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`})
		m := startManager(t, b, "one")
		m.create(`{"name":"q","join":{"on":[["k","k"]],"window":{"within":10},
			"left":{"topic":"in","event_time":"t"},"right":{"topic":"in","event_time":"t"}},"max_state_bytes":100000}`)
		synctest.Wait()
		if s := m.status("q"); s.State != "running" || s.StateBytes == 0 || s.StateBytes > 100_000 {
			t.Fatalf("status %+v", s)
		}
		var rows []string
		for i := range 3000 {
			rows = append(rows, fmt.Sprintf(`{"t":2,"k":"key-%d"}`, i))
		}
		appendRows(t, b, 0, rows...)
		synctest.Wait()
		if s := m.status("q"); s.State != "failed" || !strings.Contains(s.Error, "more than the 100000 it may hold") {
			t.Errorf("status %+v", s)
		}
		m.stop()
	})
}
