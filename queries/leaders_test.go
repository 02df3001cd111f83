package queries

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
)

// seats says which of two nodes leads everything.
type seats struct {
	mu      sync.Mutex
	leader  string
	changed chan struct{}
}

func (s *seats) move(to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = to
	close(s.changed)
	s.changed = make(chan struct{})
}

// seat is the view of one node.
type seat struct {
	*seats
	name string
}

func (s seat) Leads(uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leader == s.name
}

func (s seat) LeadersChanged() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// TestQueriesFollowTheLeader: a query runs on the node that leads its shard and on no
// other, goes on where it stopped when that changes, and is cleaned up after by the
// one that leads.
func TestQueriesFollowTheLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`})
		s := &seats{leader: "one", changed: make(chan struct{})}
		on := func(name string) *managed {
			return startManager(t, b, name, func(c *ManagerConfig) { c.Leaders = seat{s, name} })
		}
		one, two := on("one"), on("two")
		two.create(liveSpec) // any node takes it
		runs := func(m *managed) bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.runs) > 0 }
		if !runs(one) || runs(two) {
			t.Fatal("the query does not run where its shard is led")
		}
		appendRows(t, b, 0, `{"t":12,"k":"a"}`)
		one.wantResults(firstRow)
		two.wantResults(firstRow)
		s.move("two")
		synctest.Wait()
		if runs(one) || !runs(two) {
			t.Fatal("the query has not moved")
		}
		appendRows(t, b, 0, `{"t":22,"k":"a"}`)
		one.wantResults(firstRow, secondRow)
		if st := one.status("q"); st.State != "running" || st.Checkpoint.Generation != 2 {
			t.Errorf("status %+v", st)
		}
		if err := one.Delete(context.Background(), "q"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if left := b.Docs(bus.MetaShard, leavingsPrefix); len(left) != 0 || runs(two) {
			t.Errorf("%d are left, runs: %t", len(left), runs(two))
		}
		one.stop()
		two.stop()
	})
}

// TestOvertakenQueryIsClaimedBack: a node that took itself for the leader for a moment
// and claimed the query does not stop it on the one that leads.
func TestOvertakenQueryIsClaimedBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`})
		s := &seats{leader: "one", changed: make(chan struct{})}
		m := startManager(t, b, "one", func(c *ManagerConfig) { c.Leaders = seat{s, "one"} })
		m.create(liveSpec)
		synctest.Wait()
		m.mu.Lock()
		var e entry
		for _, r := range m.runs {
			e = r.entry
		}
		m.mu.Unlock()
		doc, _ := b.Doc(e.Shard, checkpointKey(e.ID))
		saved, err := decodeCheckpoint(doc)
		if err != nil {
			t.Fatal(err)
		}
		saved.Generation, saved.Owner = saved.Generation+1, "two"
		value, err := saved.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Transact(context.Background(), bus.Txn{Shard: e.Shard, Puts: []bus.Doc{{Key: doc.Key, Value: value}}}); err != nil {
			t.Fatal(err)
		}
		appendRows(t, b, 0, `{"t":12,"k":"a"}`)
		time.Sleep(time.Second) // of the bubble: longer than the first pause between tries
		m.wantResults(firstRow)
		if st := m.status("q"); st.State != "running" || st.Checkpoint.Generation != 3 {
			t.Errorf("status %+v", st)
		}
		m.stop()
		if !m.overtaken(fault.New(fault.Conflict, "fenced", "")) || (&Manager{}).overtaken(fault.New(fault.Conflict, "fenced", "")) {
			t.Error("who is overtaken")
		}
	})
}
