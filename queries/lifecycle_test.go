package queries

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
	"leat/queries/fakebus"
)

func (m *managed) must(call func(context.Context, string) error) {
	m.t.Helper()
	if err := call(context.Background(), "q"); err != nil {
		m.t.Fatal(err)
	}
	synctest.Wait()
}

// TestPause: a paused query does nothing, also in the next process, and goes on
// where it stood.
func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`})
		m := startManager(t, b, "one")
		m.create(liveSpec)
		m.must(m.Pause)
		m.must(m.Pause)
		appendRows(t, b, 0, `{"t":22,"k":"a"}`)
		m.wantResults(firstRow)
		if s := m.status("q"); s.State != "paused" || s.Rows.In != 3 || s.Partitions[0].Lag != 1 {
			t.Errorf("status %+v", s)
		}
		m.stop()
		m = startManager(t, b, "two")
		<-time.After(time.Minute) // of the bubble
		if s := m.status("q"); s.State != "paused" || s.Rows.In != 3 || s.Checkpoint.Generation != 1 {
			t.Errorf("status after a restart %+v", s)
		}
		wait, err := m.WaitResults("q", 1)
		if err != nil {
			t.Fatal(err)
		}
		m.must(m.Resume)
		m.must(m.Resume)
		<-wait
		m.wantResults(firstRow, secondRow)
		if s := m.status("q"); s.State != "running" || s.Rows.In != 4 {
			t.Errorf("status %+v", s)
		}
		m.stop()
	})
}

func TestRestartBeginsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`})
		m := startManager(t, b, "one")
		m.create(liveSpec)
		before := m.wantResults(firstRow)
		if err := b.Trim("in", 0, 1); err != nil { // what it sees the second time
			t.Fatal(err)
		}
		m.must(m.Pause)
		m.must(m.Restart)
		after := m.wantResults(`{"k":"a","n":1,"window_start":0,"window_end":10}`)
		if after.Run == before.Run {
			t.Error("the runs cannot be told apart")
		}
		if s := m.status("q"); s.State != "running" || s.Rows.In != 2 || s.Checkpoint.Generation != 1 {
			t.Errorf("status %+v", s)
		}
		if names := b.TopicNames(); slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, "/1") }) {
			t.Errorf("logs are left: %v", names)
		}
		m.must(m.Delete)
		checkClean(t, b)
		m.stop()
	})
}

// TestPauseTriesAgain: a query that has failed for good has another chance.
func TestPauseTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`})
		m := startManager(t, b, "one")
		b.Interfere(func(int, bus.Txn) fakebus.Outcome { return fakebus.Pass })
		m.create(liveSpec)
		b.Interfere(func(_ int, txn bus.Txn) fakebus.Outcome {
			if txn.Shard == fakebus.DataShard {
				return fakebus.KillBefore
			}
			return fakebus.Pass
		})
		appendRows(t, b, 0, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`)
		<-time.After(time.Minute) // of the bubble
		if s := m.status("q"); s.State != "failed" {
			t.Fatalf("status %+v", s)
		}
		b.Interfere(nil)
		m.must(m.Pause)
		m.must(m.Resume)
		m.wantResults(firstRow)
		m.stop()
	})
}

func TestLifecycleOfUnknownQueries(t *testing.T) {
	t.Parallel()
	b := newBus(t, nil)
	m := NewManager(ManagerConfig{Topics: b, Docs: b, Clock: stillClock{}, Owner: "one"})
	for _, call := range []func(context.Context, string) error{m.Pause, m.Resume, m.Restart} {
		if err := call(t.Context(), "q"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("got %v", err)
		}
	}
}

// readCounter counts the readings of the source.
type readCounter struct {
	*fakebus.Bus
	reads atomic.Int64
}

func (b *readCounter) Read(topic string, p int32, from log.Offset, most int, buf []byte) (log.Frames, error) {
	if topic == "in" {
		b.reads.Add(1)
	}
	return b.Bus.Read(topic, p, from, most, buf)
}

// TestResultsDoNotReadTheSource: what a page of results costs does not depend on how far
// the query is behind.
func TestResultsDoNotReadTheSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &readCounter{Bus: newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`})}
		m := startManager(t, b.Bus, "one", func(c *ManagerConfig) { c.Topics = b })
		m.create(liveSpec)
		m.must(m.Pause)
		appendRows(t, b.Bus, 0, `{"t":22,"k":"a"}`)
		before := b.reads.Load()
		if topics, err := m.Sources("q"); err != nil || !slices.Equal(topics, []string{"in"}) {
			t.Errorf("it reads %q, %v", topics, err)
		}
		if rows := m.wantResults(firstRow); b.reads.Load() != before || rows.Watermark == nil || *rows.Watermark != 12 {
			t.Errorf("%d readings, %+v", b.reads.Load()-before, rows)
		}
		if s := m.status("q"); b.reads.Load() == before || s.Partitions[0].Lag != 1 || s.Partitions[0].LagMs == 0 {
			t.Errorf("%d readings, status %+v", b.reads.Load()-before, s)
		}
		m.stop()
	})
}
