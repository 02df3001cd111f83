package queries

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/queries/fakebus"
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

// startSeats is a bus with two rows, the first of "one" and "two" leading, and what starts a
// manager on it.
func startSeats(t *testing.T) (b *fakebus.Bus, s *seats, on func(name string) *managed) {
	b = newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`})
	s = &seats{leader: "one", changed: make(chan struct{})}
	return b, s, func(name string) *managed {
		return startManager(t, b, name, func(c *ManagerConfig) { c.Leaders = seat{s, name} })
	}
}

// TestQueriesFollowTheLeader: a query runs on the node that leads its shard and on no
// other, goes on where it stopped when that changes, and is cleaned up after by the
// one that leads.
func TestQueriesFollowTheLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, s, on := startSeats(t)
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
		claimElsewhere(t, b, m, "two")
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

// TestFailureIsKnownEverywhere: every node tells that a query has failed and why, whoever
// runs it, until it is started again.
func TestFailureIsKnownEverywhere(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spec   string
		reason string
		do     func(t *testing.T, b *fakebus.Bus)
	}{
		"a record": {strings.Replace(liveSpec, `{`, `{"on_error":"stop",`, 1), "event time is missing", func(t *testing.T, b *fakebus.Bus) { appendRows(t, b, 0, `{"k":"a"}`) }},
		"the source": {liveSpec, `topic "in"`, func(t *testing.T, b *fakebus.Bus) {
			if err := b.DeleteTopic(t.Context(), "in"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, s, on := startSeats(t)
				one, two := on("one"), on("two")
				one.create(tt.spec)
				synctest.Wait()
				if st := two.status("q"); st.State != "running" {
					t.Fatalf("it is %s: %s", st.State, st.Error)
				}
				tt.do(t, b)
				for range 2 { // the one that runs it, then the other
					time.Sleep(time.Minute) // of the bubble
					for _, m := range []*managed{one, two} {
						if st := m.status("q"); st.State != "failed" || !strings.Contains(st.Error, tt.reason) {
							t.Errorf("it is %s: %s", st.State, st.Error)
						}
						if rows, err := m.Results("q", 0, 10); err != nil || rows.Stopped == nil {
							t.Errorf("results: %+v, %v", rows, err)
						}
					}
					s.move("two")
				}
				claimElsewhere(t, b, two, "three")
				if st := one.status("q"); st.State != "running" || st.Error != "" {
					t.Errorf("started again it is %s: %s", st.State, st.Error)
				}
				if err := one.Pause(t.Context(), "q"); err != nil {
					t.Fatal(err)
				}
				if st := one.status("q"); st.State != "paused" {
					t.Errorf("paused it is %s", st.State)
				}
				if err := one.Delete(t.Context(), "q"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // of the bubble
				if _, there := b.Topic("in"); !there {
					if err := b.CreateTopic("in", 1); err != nil {
						t.Fatal(err)
					}
				}
				checkClean(t, b)
				one.stop()
				two.stop()
			})
		})
	}
}

// claimElsewhere has the query "q" be claimed once more, as if by another node.
func claimElsewhere(t *testing.T, b *fakebus.Bus, m *managed, owner string) {
	t.Helper()
	e, err := m.lookup("q")
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := b.Doc(e.Shard, checkpointKey(e.ID))
	saved, err := decodeCheckpoint(doc)
	if err != nil {
		t.Fatal(err)
	}
	saved.Generation, saved.Owner = saved.Generation+1, owner
	value, err := saved.encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Transact(t.Context(), bus.Txn{Shard: e.Shard, Puts: []bus.Doc{{Key: doc.Key, Value: value}}}); err != nil {
		t.Fatal(err)
	}
}

// parted leads nothing but the queries, or all the rest.
type parted struct{ queries bool }

func (p parted) Leads(shard uint64) bool         { return (shard == fakebus.DataShard) == p.queries }
func (p parted) LeadersChanged() <-chan struct{} { return nil }

// slowBus takes its time to make a log, whatever becomes of who asked.
type slowBus struct {
	*fakebus.Bus
	log            string
	asked, granted chan struct{}
}

func (b *slowBus) CreateInternal(ctx context.Context, name string, shard uint64) (bus.Topic, error) {
	if name == b.log {
		close(b.asked)
		<-b.granted
	}
	return b.Bus.CreateInternal(ctx, name, shard)
}

// TestCleanedUpByWhoRanIt: nothing is left of a query that is deleted while the node that
// runs it makes its logs, though another one leads the metadata.
func TestCleanedUpByWhoRanIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`})
		slow := &slowBus{Bus: b, log: lateTopic("1"), asked: make(chan struct{}), granted: make(chan struct{})}
		one := startManager(t, b, "one", func(c *ManagerConfig) { c.Leaders = parted{} })
		two := startManager(t, b, "two", func(c *ManagerConfig) { c.Leaders, c.Topics = parted{queries: true}, slow })
		one.create(liveSpec)
		<-slow.asked
		if err := one.Delete(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		close(slow.granted)
		synctest.Wait()
		checkClean(t, b)
		one.stop()
		two.stop()
	})
}
