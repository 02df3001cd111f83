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

type bubbleClock struct{}

func (bubbleClock) Now() time.Time                         { return time.Now() }
func (bubbleClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// managed is a manager that runs in a bubble of synctest.
type managed struct {
	*Manager
	t    *testing.T
	bus  *fakebus.Bus
	stop func()
}

func startManager(t *testing.T, b *fakebus.Bus, owner string, options ...func(*ManagerConfig)) *managed {
	t.Helper()
	c := ManagerConfig{Topics: b, Docs: b, Clock: bubbleClock{}, Owner: owner}
	for _, option := range options {
		option(&c)
	}
	m := NewManager(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	return &managed{Manager: m, t: t, bus: b, stop: func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}}
}

func (m *managed) create(spec string) {
	m.t.Helper()
	if _, _, _, err := m.Create(context.Background(), []byte(spec)); err != nil {
		m.t.Fatal(err)
	}
	synctest.Wait()
}

func (m *managed) status(name string) Status {
	m.t.Helper()
	synctest.Wait()
	s, err := m.Get(name)
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

func (m *managed) wantResults(want ...string) Rows {
	m.t.Helper()
	synctest.Wait()
	rows, err := m.Results("q", 0, 100)
	if err != nil {
		m.t.Fatal(err)
	}
	wantRows(m.t, "results", rows.Rows, want...)
	return rows
}

const liveSpec = `{"name":"q","source":{"topic":"in","event_time":"t"},"group_by":["k"],` +
	`"window":{"tumbling":10},"aggregate":{"n":"count()"}}`

const (
	firstRow  = `{"k":"a","n":2,"window_start":0,"window_end":10}`
	secondRow = `{"k":"a","n":1,"window_start":10,"window_end":20}`
)

func TestManagerRunsAndRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`})
		m := startManager(t, b, "one")
		m.create(liveSpec)
		m.wantResults()
		s := m.status("q")
		if s.State != "running" || s.Rows.In != 2 || len(s.Partitions) != 1 || s.Partitions[0].Offset != 2 ||
			!s.Partitions[0].Holds || *s.Partitions[0].Watermark != 2 || s.StateBytes == 0 {
			t.Errorf("status %+v", s)
		}
		appendRows(t, b, 0, `{"t":12,"k":"a"}`)
		m.wantResults(firstRow)
		m.stop()

		appendRows(t, b, 0, `{"t":3,"k":"a"}`, `{"t":22,"k":"a"}`)
		m = startManager(t, b, "two")
		m.wantResults(firstRow, secondRow)
		late, err := m.Late("q", 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		wantRows(t, "late", late.Rows, `{"topic":"in","partition":0,"offset":3,"event_time":3,"watermark":12,`+
			`"window_start":0,"window_end":10,"value_b64":"eyJ0IjozLCJrIjoiYSJ9"}`)
		if s := m.status("q"); s.Checkpoint.Generation != 2 || s.Rows.Late != 1 {
			t.Errorf("status %+v", s)
		}
		m.stop()
	})
}

func TestManagerCreateAndDelete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`})
		m := startManager(t, b, "one")
		m.create(liveSpec)
		if _, _, existing, err := m.Create(t.Context(), []byte(" "+liveSpec)); err != nil || !existing {
			t.Errorf("the same again: %v, existing %v", err, existing)
		}
		other := strings.Replace(liveSpec, "10", "20", 1)
		if _, _, _, err := m.Create(t.Context(), []byte(other)); fault.As(err) == nil || fault.As(err).Code != "query_exists" {
			t.Errorf("another spec of the same name: %v", err)
		}
		m.wantResults(firstRow)
		if err := m.Delete(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		checkClean(t, b)
		if _, err := m.Get("q"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Get of a deleted query: %v", err)
		}
		if err := m.Delete(t.Context(), "q"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Delete of a deleted query: %v", err)
		}
		m.create(liveSpec)
		m.wantResults(firstRow)
		if _, found := b.Doc(fakebus.DataShard, checkpointKey("2")); !found {
			t.Error("the id was used again")
		}
		m.stop()
		// Deleted while no manager runs: the next one cleans up.
		if err := m.Delete(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		if len(b.TopicNames()) == 1 {
			t.Error("there is nothing to clean up")
		}
		m = startManager(t, b, "two")
		synctest.Wait()
		checkClean(t, b)
		m.stop()
	})
}

func checkClean(t *testing.T, b *fakebus.Bus) {
	t.Helper()
	if names := b.TopicNames(); !slices.Equal(names, []string{"in"}) {
		t.Errorf("topics are left: %v", names)
	}
	docs := append(b.Docs(bus.MetaShard, ""), b.Docs(fakebus.DataShard, "")...)
	if len(docs) != 1 || docs[0].Key != sequenceKey {
		t.Errorf("documents are left: %v", docs)
	}
}

// TestManagerCrashInDelete has every transaction of the clean-up fail once.
func TestManagerCrashInDelete(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		synctest.Test(t, func(t *testing.T) {
			b := newBus(t, []string{`{"t":1,"k":"a"}`})
			m := startManager(t, b, "one")
			m.create(liveSpec)
			m.stop()
			b.Interfere(func(call int, _ bus.Txn) fakebus.Outcome {
				if call == n {
					return fakebus.LostUnknown
				}
				return fakebus.Pass
			})
			m = startManager(t, b, "two")
			synctest.Wait()
			if err := m.Delete(t.Context(), "q"); err != nil && !passing(err) {
				t.Fatal(err)
			}
			if _, err := m.Get("q"); err == nil {
				if err := m.Delete(t.Context(), "q"); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(time.Minute) // of the bubble
			checkClean(t, b)
			m.stop()
		})
	}
}

func TestManagerFailsWithItsSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`})
		m := startManager(t, b, "one")
		m.create(liveSpec)
		if err := b.DeleteTopic(t.Context(), "in"); err != nil {
			t.Fatal(err)
		}
		s := m.status("q")
		if s.State != "failed" || !strings.Contains(s.Error, `source topic "in" does not exist`) {
			t.Errorf("status %+v", s)
		}
		rows, err := m.Results("q", 0, 10)
		if err != nil || rows.Stopped == nil {
			t.Errorf("results of a failed query: %+v, %v", rows, err)
		}
		if err := b.CreateTopic("in", 1); err != nil {
			t.Fatal(err)
		}
		m.stop()
		m = startManager(t, b, "two")
		if s := m.status("q"); s.State != "failed" || !strings.Contains(s.Error, "another one") {
			t.Errorf("status with a new topic of the name: %+v", s)
		}
		m.stop()
	})
}

func TestManagerTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`})
		m := startManager(t, b, "one")
		down := true
		b.Interfere(func(_ int, txn bus.Txn) fakebus.Outcome {
			if down && txn.Shard == fakebus.DataShard {
				return fakebus.Refused
			}
			return fakebus.Pass
		})
		m.create(liveSpec)
		<-time.After(10 * time.Minute) // of the bubble
		s := m.status("q")
		if s.State != "running" {
			t.Errorf("status %+v", s)
		}
		b.Interfere(nil)
		<-time.After(time.Minute) // of the bubble
		m.wantResults(firstRow)
		if s := m.status("q"); s.Error != "" {
			t.Errorf("an error is left: %q", s.Error)
		}
		m.stop()
	})
}

// TestSemantics10Complete: a bounded run closes its last window, and whoever waits
// for results learns that nothing follows.
func TestSemantics10Complete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`}, nil)
		m := startManager(t, b, "one")
		m.create(strings.Replace(liveSpec, `"event_time"`, `"until":"end","event_time"`, 1))
		appendRows(t, b, 0, `{"t":3,"k":"a"}`) // after the barrier
		if rows := m.wantResults(firstRow); !rows.Complete {
			t.Error("not complete")
		}
		wait, err := m.WaitResults("q", 1)
		if err != nil {
			t.Fatal(err)
		}
		<-wait
		if s := m.status("q"); s.State != "completed" || s.Rows.In != 2 || s.Partitions[0].Lag != 0 {
			t.Errorf("status %+v", s)
		}
		if rows, err := m.Results("q", 0, 0); err != nil || rows.Complete {
			t.Errorf("complete before the last row has been read: %+v, %v", rows, err)
		}
		m.stop()
		if err := b.DeleteTopic(t.Context(), "in"); err != nil {
			t.Fatal(err)
		}
		m = startManager(t, b, "two")
		if s := m.status("q"); s.State != "completed" || s.Error != "" {
			t.Errorf("status after a restart without the source %+v", s)
		}
		m.stop()
	})
}

// TestWaitResults: one goroutine serves all who wait, and none is left behind.
func TestWaitResults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`})
		m := startManager(t, b, "one")
		m.create(liveSpec)
		first, err := m.WaitResults("q", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, after := range []int{0, 5, 1000} {
			if other, err := m.WaitResults("q", log.Offset(after)); err != nil || other != first {
				t.Errorf("another channel for offset %d, %v", after, err)
			}
		}
		select {
		case <-first:
			t.Error("closed without a row")
		default:
		}
		appendRows(t, b, 0, `{"t":12,"k":"a"}`)
		<-first
		m.wantResults(firstRow)
		m.stop()
	})
}

// stuckBus is a bus on which no topic can be deleted for now.
type stuckBus struct {
	*fakebus.Bus
	stuck atomic.Bool
}

func (b *stuckBus) DeleteTopic(ctx context.Context, name string) error {
	if b.stuck.Load() {
		<-ctx.Done()
		return fault.New(fault.Unavailable, "no_quorum", "no majority answers")
	}
	return b.Bus.DeleteTopic(ctx, name)
}

// TestCleaningDoesNotHoldUpOthers: while a deleted query cannot be cleaned up after, others
// are started; it is once it can be.
func TestCleaningDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &stuckBus{Bus: newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`})}
		m := startManager(t, b.Bus, "one", func(c *ManagerConfig) { c.Topics = b })
		m.create(strings.Replace(liveSpec, `"q"`, `"other"`, 1))
		b.stuck.Store(true)
		if err := m.Delete(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		m.create(liveSpec)
		time.Sleep(time.Minute) // of the bubble
		m.wantResults(firstRow)
		b.stuck.Store(false)
		m.must(m.Delete)
		time.Sleep(time.Minute)
		checkClean(t, b.Bus)
		m.stop()
	})
}
