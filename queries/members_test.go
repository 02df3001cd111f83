package queries

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/cluster"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// station is a node of a cluster in this process, with the queries that run there.
type station struct {
	id      string
	node    *cluster.Node
	manager *Manager
	halt    func()
	rested  chan struct{} // closed once the manager has ended
	ended   chan struct{} // closed once the node has
	err     error         // of the node, once it has ended
	held    gate
}

// gate holds a transaction of a query back once it is armed.
type gate struct {
	Documents
	mu      sync.Mutex
	armed   bool
	arrived chan bus.Txn
	release chan struct{}
	came    chan error // what became of it
}

// Transact waits at the gate.
func (g *gate) Transact(ctx context.Context, t bus.Txn) (bus.TxnResult, error) {
	g.mu.Lock()
	stop := g.armed && len(t.Appends) > 0
	g.armed = g.armed && !stop
	g.mu.Unlock()
	if !stop {
		return g.Documents.Transact(ctx, t)
	}
	g.arrived <- t
	<-g.release
	result, err := g.Documents.Transact(context.WithoutCancel(ctx), t)
	g.came <- err
	return result, err
}

// stations are a cluster.
type stations struct {
	t       *testing.T
	founder []cluster.Member
	all     map[string]*station // that run
	written int
}

const patience = 30 * time.Second

func startStations(t *testing.T, ids ...string) *stations {
	t.Helper()
	c := &stations{t: t, all: make(map[string]*station)}
	listeners := make(map[string]net.Listener)
	for _, id := range ids {
		listeners[id] = c.listen()
		c.founder = append(c.founder, cluster.Member{ID: id, RaftAddress: listeners[id].Addr().String(), URL: "http://" + id, Priority: 1})
	}
	var opening sync.WaitGroup
	opened := make([]*station, len(ids))
	for i, id := range ids {
		opening.Go(func() {
			opened[i] = c.open(cluster.Config{NodeID: id, Members: c.founder, RaftListener: listeners[id], DataShards: 3})
		})
	}
	opening.Wait()
	for i, id := range ids {
		if c.all[id] = opened[i]; opened[i] == nil {
			t.FailNow()
		}
	}
	for _, s := range c.all {
		c.eventually(s.id+" is ready", s.node.Ready)
	}
	return c
}

func (c *stations) listen() net.Listener {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}

// open starts a node and its queries; nil where that fails.
func (c *stations) open(config cluster.Config) *station {
	config.Dir, config.URL = c.t.TempDir(), "http://"+config.NodeID
	node, err := cluster.Open(config)
	if err != nil {
		c.t.Error(err)
		return nil
	}
	own := node.Forwarding()
	s := &station{id: config.NodeID, node: own, rested: make(chan struct{}), ended: make(chan struct{})}
	s.held = gate{Documents: own, arrived: make(chan bus.Txn, 1), release: make(chan struct{}), came: make(chan error, 1)}
	s.manager = NewManager(ManagerConfig{
		Topics: own, Docs: &s.held, Sinks: own, Clock: bubbleClock{}, Leaders: own, Owner: s.id,
		Options: RunOptions{EpochInterval: 10 * time.Millisecond},
	})
	running, end := context.WithCancel(context.Background())
	querying, rest := context.WithCancel(context.Background())
	go func() {
		defer close(s.ended)
		s.err = node.Run(running)
	}()
	go func() {
		defer close(s.rested)
		if err := s.manager.Run(querying); err != nil {
			c.t.Errorf("the queries of %s: %v", s.id, err)
		}
	}()
	s.halt = sync.OnceFunc(func() {
		rest()
		<-s.rested
		end()
		<-s.ended
	})
	c.t.Cleanup(s.halt)
	return s
}

func (c *stations) eventually(what string, check func() error) {
	c.t.Helper()
	over := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for err := check(); err != nil; err = check() {
		select {
		case <-tick.C:
		case <-over:
			c.t.Fatalf("%s: %v", what, err)
		}
	}
}

// change has whoever may change the members.
func (c *stations) change(what func(context.Context, *cluster.Node) error) {
	c.t.Helper()
	c.eventually("the members are changed", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, s := range c.all {
			if s.node.Leads(bus.MetaShard) {
				return what(ctx, s.node)
			}
		}
		return errors.New("nobody leads")
	})
}

// settled waits until all that run are the members, and vote.
func (c *stations) settled() {
	c.t.Helper()
	for _, s := range c.all {
		c.eventually(s.id+" knows the members", func() error {
			members := s.node.Members()
			if len(members) != len(c.all) || slices.ContainsFunc(members, func(m bus.Member) bool { return m.State != "voting" || c.all[m.ID] == nil }) {
				return fmt.Errorf("%+v", members)
			}
			return nil
		})
	}
}

// any is a node that runs.
func (c *stations) any() *station {
	for _, s := range c.all {
		return s
	}
	return nil
}

// write appends records, each once, of event times that grow by one.
func (c *stations) write(n int) {
	c.t.Helper()
	for range n {
		var block log.Block
		block.Add(nil, fmt.Appendf(nil, `{"t":%d}`, c.written))
		a := bus.Append{Topic: "numbers", Block: block, IdempotencyKey: fmt.Sprint("k", c.written)}
		c.eventually("a record is acknowledged", func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_, err := c.any().node.Append(ctx, a)
			return err
		})
		c.written++
	}
}

// entry waits until a node knows a query.
func (c *stations) entry(s *station, name string) (e entry) {
	c.t.Helper()
	c.eventually(s.id+" knows "+name, func() (err error) {
		e, err = s.manager.lookup(name)
		return err
	})
	return e
}

// owner is who runs a query, as its checkpoint has it on a node.
func (c *stations) owner(s *station, e entry) string {
	doc, found := s.node.Doc(e.Shard, checkpointKey(e.ID))
	if !found {
		return ""
	}
	saved, err := decodeCheckpoint(doc)
	if err != nil {
		c.t.Fatal(err)
	}
	owner, _, _ := strings.Cut(saved.Owner, "/")
	return owner
}

// placed waits until every query is run by the node that leads its shard, and nowhere
// else, and tells what each node runs.
func (c *stations) placed(names []string) map[string][]string {
	c.t.Helper()
	var by map[string][]string
	c.eventually("every query runs where its shard is led", func() error {
		by = make(map[string][]string)
		for _, name := range names {
			e, err := c.any().manager.lookup(name)
			if err != nil {
				return err
			}
			for _, s := range c.all {
				if runs := s.manager.run(e.ID) != nil; runs != s.node.Leads(e.Shard) || runs && c.owner(s, e) != s.id {
					return fmt.Errorf("%s on %s: runs %t, leads %t, by the checkpoint it is on %q", name, s.id, runs, s.node.Leads(e.Shard), c.owner(s, e))
				} else if runs {
					by[s.id] = append(by[s.id], name)
				}
			}
		}
		return nil
	})
	return by
}

// remove takes a node out while it runs, and waits until it has ended. It runs no query
// any more.
func (c *stations) remove(id string) {
	c.t.Helper()
	s := c.all[id]
	c.change(func(ctx context.Context, n *cluster.Node) error {
		_, err := n.RemoveMember(ctx, id)
		return err
	})
	delete(c.all, id)
	select {
	case <-s.ended:
		if f := fault.As(s.err); f == nil || f.Code != "member_removed" {
			c.t.Errorf("%s ended with %v", id, s.err)
		}
	case <-time.After(patience):
		c.t.Fatalf("%s still runs", id)
	}
	c.settled()
	c.eventually(id+" runs no query", func() error {
		s.manager.mu.Lock()
		defer s.manager.mu.Unlock()
		if n := len(s.manager.runs); n > 0 {
			return fmt.Errorf("%d run", n)
		}
		return nil
	})
}

// wantSums waits until a node gives what one uninterrupted run gives: every window once.
func (c *stations) wantSums(s *station, what, topic string) {
	c.t.Helper()
	var want []string
	for w := 0; w+10 < c.written; w += 10 {
		want = append(want, fmt.Sprintf(`{"n":10,"s":%d,"window_start":%d,"window_end":%d}`, 10*w+45, w, w+10))
	}
	c.eventually(fmt.Sprintf("%s on %s", what, s.id), func() error {
		rows, err := readLog(s.node, topic, 0, 1000)
		if err != nil {
			return err
		}
		var got []string
		for _, row := range rows.Rows {
			got = append(got, string(row))
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("\n%q, want\n%q", got, want)
		}
		return nil
	})
}

// ask makes the topics and so many queries that each data shard has one.
func (c *stations) ask() (names []string) {
	c.t.Helper()
	for _, topic := range []string{"numbers", "sums"} {
		c.eventually("a topic is made", func() error {
			_, err := c.any().node.CreateTopic(c.t.Context(), topic, 1)
			return err
		})
	}
	for shards := map[uint64]bool{}; len(shards) < 3; {
		name := fmt.Sprint("q", len(names))
		spec := fmt.Sprintf(`{"name":%q,"source":{"topic":"numbers","event_time":"t"},"window":{"tumbling":10},"aggregate":{"n":"count()","s":"sum(t)"}`, name)
		if len(names) == 0 {
			spec += `,"sink":{"topic":"sums"}`
		}
		c.eventually(name+" is made", func() error {
			_, _, _, err := c.any().manager.Create(c.t.Context(), []byte(spec+"}"))
			return err
		})
		shards[c.entry(c.any(), name).Shard] = true
		names = append(names, name)
	}
	return names
}

// join adds a node and starts it.
func (c *stations) join(id string) *station {
	c.t.Helper()
	l := c.listen()
	c.change(func(ctx context.Context, n *cluster.Node) error {
		_, err := n.AddMember(ctx, bus.Member{ID: id, RaftAddress: l.Addr().String(), Priority: 1}, 0)
		return err
	})
	s := c.open(cluster.Config{NodeID: id, RaftListener: l, Invitation: c.invitation()})
	if s == nil {
		c.t.FailNow()
	}
	c.all[id] = s
	c.settled()
	return s
}

// letGo lets a transaction that is held back go on once another node has taken its query
// over, as a witness sees it.
func (c *stations) letGo(s, witness *station, held bus.Txn) {
	defer close(s.held.release)
	for {
		changed := witness.node.DocsChanged(held.Shard)
		if doc, _ := witness.node.Doc(held.Shard, held.Fence.Key); doc.Version != held.Fence.Version {
			return
		}
		select {
		case <-changed:
		case <-c.t.Context().Done():
			return
		}
	}
}

// TestQueriesMoveWithTheMembers: a node that is added gets queries to run; those of one
// that is removed go on elsewhere, and it runs none any more: what it was about to commit
// is refused. Every window of every query, and of what is written to a topic, is there
// once.
func TestQueriesMoveWithTheMembers(t *testing.T) {
	t.Parallel()
	c := startStations(t, "a", "b", "c")
	names := c.ask()
	c.write(40)
	d := c.join("d")
	c.write(40)
	c.eventually("the new node runs queries", func() error {
		if by := c.placed(names); len(by["d"]) == 0 {
			return fmt.Errorf("%q", by)
		}
		return nil
	})
	d.held.mu.Lock()
	d.held.armed = true
	d.held.mu.Unlock()
	c.write(20)
	held := <-d.held.arrived // an epoch with rows
	go c.letGo(d, c.all["a"], held)
	c.remove("d")
	if err := <-d.held.came; err == nil {
		t.Error("what the removed node wrote was taken")
	}
	c.write(20)
	by := c.placed(names)
	busiest := "a"
	for id, runs := range by {
		if len(runs) > len(by[busiest]) {
			busiest = id
		}
	}
	c.remove(busiest)
	c.write(41) // the last one closes the window before it
	c.placed(names)
	for _, s := range c.all {
		for _, name := range names {
			c.wantSums(s, name, resultsTopic(c.entry(s, name).ID))
		}
		c.wantSums(s, "what was written to a topic", "sums")
	}
}

// invitation is what a node tells who is to join.
func (c *stations) invitation() *cluster.Invitation {
	c.t.Helper()
	m, err := c.any().node.Membership(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	out := &cluster.Invitation{Cluster: m.Cluster, DataShards: m.DataShards}
	for _, s := range m.Members {
		out.Members = append(out.Members, cluster.Seat{ID: s.ID, ReplicaID: s.ReplicaID, RaftAddress: s.RaftAddress, URL: s.URL, Priority: s.Priority, State: s.State})
	}
	return out
}
