package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
)

// group is a cluster of nodes in this process, connected by TCP on loopback.
type group struct {
	t       testing.TB
	configs []Config
	nodes   []*running // nil = stopped
}

// startGroup starts n nodes.
func startGroup(t testing.TB, n int, change ...func(*Config)) *group {
	t.Helper()
	g := &group{t: t, configs: make([]Config, n), nodes: make([]*running, n)}
	listeners := make([]net.Listener, n)
	var members []Member
	for i := range n {
		listeners[i] = listenOn(t, "127.0.0.1:0")
		members = append(members, Member{
			ID: string(rune('a' + i)), RaftAddress: listeners[i].Addr().String(), URL: fmt.Sprintf("http://node-%d", i), Priority: 1,
		})
	}
	for i := range n {
		g.configs[i] = Config{
			Dir: t.TempDir(), NodeID: members[i].ID, URL: members[i].URL, Members: slices.Clone(members), RaftListener: listeners[i],
			DataShards: 3,
		}
		for _, f := range change {
			f(&g.configs[i])
		}
	}
	var opening sync.WaitGroup
	for i := range n {
		opening.Go(func() { g.open(i) })
	}
	opening.Wait()
	for _, r := range g.nodes {
		if r == nil {
			t.FailNow()
		}
		r.awaitReady(t)
	}
	return g
}

func listenOn(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// open starts a node and does not wait until it is ready.
func (g *group) open(i int) {
	g.t.Helper()
	n, err := Open(g.configs[i])
	if err != nil {
		g.t.Errorf("open node %d: %v", i, err)
		return
	}
	g.nodes[i] = run(g.t, n)
}

// stop ends a node in good order.
func (g *group) stop(i int) {
	g.t.Helper()
	if err := g.nodes[i].stop(); err != nil {
		g.t.Fatalf("stop node %d: %v", i, err)
	}
	g.nodes[i] = nil
}

// restart starts a node again where it was.
func (g *group) restart(i int) {
	g.t.Helper()
	g.configs[i].RaftListener = listenOn(g.t, g.configs[i].Members[i].RaftAddress)
	g.open(i)
	g.nodes[i].awaitReady(g.t)
}

// leader is the running node that leads a shard.
func (g *group) leader(shard uint64) int {
	g.t.Helper()
	found := -1
	testenv.Eventually(g.t, fmt.Sprintf("shard %d has a leader", shard), func() bool {
		found = slices.IndexFunc(g.nodes, func(r *running) bool { return r != nil && r.shards[shard].leads() })
		return found >= 0
	})
	return found
}

// follower is a running node that does not lead a shard.
func (g *group) follower(shard uint64) int {
	leader := g.leader(shard)
	return slices.IndexFunc(g.nodes, func(r *running) bool { return r != nil && r != g.nodes[leader] })
}

// do has the leader of a shard do something, whoever that is meanwhile.
func (g *group) do(shard uint64, what func(*Node) error) {
	g.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := what(g.nodes[g.leader(shard)].Node)
		if err == nil {
			return
		}
		switch fault.KindOf(err) {
		case fault.NotLeader, fault.Unavailable, fault.Timeout:
		default:
			g.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			g.t.Fatal(err)
		}
	}
}

// append appends one value.
func (g *group) append(topic string, partition int32, value string) {
	g.t.Helper()
	any := g.nodes[slices.IndexFunc(g.nodes, func(r *running) bool { return r != nil })]
	testenv.Eventually(g.t, "the topic is known", func() bool { _, err := any.Partition(topic, partition); return err == nil })
	p, err := any.Partition(topic, partition)
	if err != nil {
		g.t.Fatal(err)
	}
	key := fmt.Sprint(rand.Uint64()) // a leader that is lost on the way leaves one record all the same
	g.do(p.Shard, func(n *Node) error {
		_, err := n.Append(within(g.t, 10*time.Second), bus.Append{Topic: topic, Partition: partition, Block: block(value), IdempotencyKey: key})
		return err
	})
}

func (g *group) createTopic(name string, partitions int32) {
	g.t.Helper()
	g.do(bus.MetaShard, func(n *Node) error {
		_, err := n.CreateTopic(within(g.t, 10*time.Second), name, partitions)
		return err
	})
}

// wantValues waits until a node has exactly these values.
func (g *group) wantValues(i int, topic string, partition int32, want []string) {
	g.t.Helper()
	testenv.Eventually(g.t, fmt.Sprintf("node %d has %d values", i, len(want)), func() bool {
		p, err := g.nodes[i].Partition(topic, partition)
		return err == nil && int(p.Next) >= len(want)
	})
	if got := g.nodes[i].values(g.t, topic, partition); !slices.Equal(got, want) {
		g.t.Fatalf("node %d has %d values, %d were written", i, len(got), len(want))
	}
}

// TestClusters: in clusters of three, five and seven, what is written while a
// follower is down is on it once it is back, and every node has the same.
func TestClusters(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 5, 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			g := startGroup(t, n)
			g.createTopic("orders", 4)
			want := make([][]string, 4)
			write := func(from, to int) {
				for i := from; i < to; i++ {
					v := fmt.Sprintf("record %d", i)
					g.append("orders", int32(i%4), v)
					want[i%4] = append(want[i%4], v)
				}
			}
			write(0, 20)
			down := g.follower(bus.MetaShard)
			g.stop(down)
			write(20, 40)
			g.restart(down)
			write(40, 44)
			for i := range g.nodes {
				for p := range want {
					g.wantValues(i, "orders", int32(p), want[p])
				}
			}
		})
	}
}

// TestWritesOfFollowers: a follower names the leader, and a forwarding one has it do
// the write, which can be read there afterwards.
func TestWritesOfFollowers(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	ctx := within(t, 60*time.Second)
	f := g.nodes[g.follower(bus.MetaShard)]
	_, err := f.CreateTopic(ctx, "orders", 3)
	kind(t, err, fault.NotLeader, "not_leader")
	leader := g.leader(bus.MetaShard)
	if got := fault.As(err).Detail["leader"]; got != g.configs[leader].URL {
		t.Errorf("the leader is at %v, not at %s", got, g.configs[leader].URL)
	}
	through := f.Forwarding()
	if _, err := through.CreateTopic(ctx, "orders", 3); err != nil {
		t.Fatal(err)
	}
	for p := range int32(3) {
		for i := range 5 {
			a, err := through.Append(ctx, bus.Append{Topic: "orders", Partition: p, Block: block("x"), IdempotencyKey: fmt.Sprint(i)})
			if err != nil || int(a.Base) != i || a.BatchID == 0 {
				t.Fatalf("append %d to %d: %+v, %v", i, p, a, err)
			}
			if got := f.values(t, "orders", p); len(got) != i+1 {
				t.Fatalf("after append %d to %d the node has %d records", i, p, len(got))
			}
		}
	}
	g.do(bus.MetaShard, func(n *Node) error {
		_, err := n.Transact(ctx, bus.Txn{Shard: bus.MetaShard, Puts: []bus.Doc{{Key: "k", Value: []byte("v")}}})
		return err
	})
	if err := f.Confirm(ctx, bus.MetaShard); err != nil {
		t.Fatal(err)
	}
	if d, ok := f.Doc(bus.MetaShard, "k"); !ok || string(d.Value) != "v" {
		t.Errorf("after a confirmation the node has %+v", d)
	}
}

// TestMinority: a node that is left alone refuses writes and linearizable reads in
// time, and is ready again with the others.
func TestMinority(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	g.createTopic("orders", 1)
	g.append("orders", 0, "x")
	g.stop(1)
	g.stop(2)
	alone := g.nodes[0]
	testenv.Eventually(t, "the node knows that it is alone", func() bool {
		return !slices.ContainsFunc(alone.shardIDs(), func(id uint64) bool { return alone.shards[id].lead.Load().id != 0 })
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := alone.Append(ctx, bus.Append{Topic: "orders", Block: block("y")})
	kind(t, err, fault.Unavailable, "no_quorum")
	kind(t, alone.Confirm(ctx, bus.MetaShard), fault.Unavailable, "no_quorum")
	if got := alone.values(t, "orders", 0); len(got) != 1 {
		t.Errorf("the node has %d records", len(got))
	}
	g.restart(1)
	alone.awaitReady(t)
	g.append("orders", 0, "z")
	g.wantValues(0, "orders", 0, []string{"x", "z"})
	g.wantValues(1, "orders", 0, []string{"x", "z"})
}

// TestPriorities: leaders go to the nodes with the highest priority, which share
// them; when one ends in good order another takes over.
func TestPriorities(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	leaders := func() map[int]int {
		found := make(map[int]int)
		for _, id := range g.nodes[0].shardIDs() {
			found[g.leader(id)]++
		}
		return found
	}
	testenv.Eventually(t, "every node leads", func() bool { return len(leaders()) == 3 })
	g.do(bus.MetaShard, func(n *Node) error { return n.Transfer(within(t, 10*time.Second), bus.MetaShard, 3) })
	if g.leader(bus.MetaShard) != 2 || !g.nodes[2].shards[bus.MetaShard].kept.Load() {
		t.Error("the leader has not moved, or not to stay")
	}
	g.stop(2)
	if g.leader(bus.MetaShard) == 2 {
		t.Error("a node that is gone leads")
	}
}

// TestLostIdentity: a node that comes back with an empty directory is refused.
func TestLostIdentity(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	g.createTopic("orders", 1)
	g.stop(1)
	g.configs[1].Dir = t.TempDir()
	g.configs[1].RaftListener = listenOn(t, g.configs[1].Members[1].RaftAddress)
	_, err := Open(g.configs[1])
	kind(t, err, fault.Conflict, "identity_lost")
}

// TestEverywhere: with Everywhere an append waits for all nodes, also for one that is
// starting; where one stays down it says that it is done all the same, and who lacks it.
func TestEverywhere(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	g.createTopic("orders", 1)
	g.append("orders", 0, "x")
	p, err := g.nodes[0].Partition("orders", 0)
	if err != nil {
		t.Fatal(err)
	}
	// A leader may be lost on the way: the key makes one record of it all the same.
	everywhere := func(value string, patience time.Duration) (err error) {
		testenv.Eventually(t, value+" is committed", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err = g.nodes[g.leader(p.Shard)].Append(ctx, bus.Append{Topic: "orders", Block: block(value), IdempotencyKey: value, Everywhere: true})
			return err == nil || fault.As(err).Detail["committed"] == true
		})
		return err
	}
	if err := everywhere("y", 20*time.Second); err != nil {
		t.Fatal(err)
	}
	for i, n := range g.nodes {
		if got := n.values(t, "orders", 0); !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("node %d has %v", i, got)
		}
	}
	down := g.follower(p.Shard)
	g.stop(down)
	err = everywhere("z", time.Second)
	kind(t, err, fault.Timeout, "unknown_outcome")
	if f := fault.As(err); f.Detail["committed"] != true || fmt.Sprint(f.Detail["missing"]) != "["+g.configs[down].NodeID+"]" {
		t.Errorf("%v", f.Detail)
	}
	g.wantValues(g.leader(p.Shard), "orders", 0, []string{"x", "y", "z"})
	answered := make(chan error, 1)
	leader := g.nodes[g.leader(p.Shard)]
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		_, err := leader.Append(ctx, bus.Append{Topic: "orders", Block: block("v"), IdempotencyKey: "v", Everywhere: true})
		answered <- err
	}()
	testenv.Eventually(t, "the record is committed", func() bool { return len(leader.values(t, "orders", 0)) == 4 })
	g.restart(down)
	if err := <-answered; err != nil {
		t.Errorf("a node that was starting is not waited for: %v", err)
	}
	g.wantValues(down, "orders", 0, []string{"x", "y", "z", "v"})
}

// TestOtherDirectory: a directory is good for the node and the cluster it was made for.
func TestOtherDirectory(t *testing.T) {
	t.Parallel()
	members := []Member{{ID: "a", RaftAddress: "127.0.0.1:1"}, {ID: "b", RaftAddress: "127.0.0.1:2"}, {ID: "c", RaftAddress: "127.0.0.1:3"}}
	other := slices.Clone(members)
	other[2].ID = "d"
	lone, clustered := t.TempDir(), t.TempDir()
	for dir, c := range map[string]Config{lone: {}, clustered: {NodeID: "a", Members: members}} {
		c.Dir = dir
		c = c.withDefaults()
		id, isNew, err := loadIdentity(c)
		if err != nil || !isNew || id.write(c, identityName(c)) != nil {
			t.Fatalf("%+v, %t, %v", id, isNew, err)
		}
	}
	for name, c := range map[string]struct {
		config Config
		code   string
	}{
		"the same":        {Config{Dir: clustered, NodeID: "a", Members: members}, ""},
		"in other order":  {Config{Dir: clustered, NodeID: "a", Members: []Member{members[2], members[0], members[1]}}, ""},
		"another node":    {Config{Dir: clustered, NodeID: "b", Members: members}, "other_node"},
		"other members":   {Config{Dir: clustered, NodeID: "a", Members: other}, "other_members"},
		"alone":           {Config{Dir: clustered}, "other_node"},
		"no longer alone": {Config{Dir: lone, NodeID: "a", Members: members}, "other_node"},
		"still alone":     {Config{Dir: lone}, ""},
	} {
		_, _, err := loadIdentity(c.config.withDefaults())
		if got := fault.As(err); (got == nil) != (c.code == "") || got != nil && got.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestForemost(t *testing.T) {
	t.Parallel()
	for want, priorities := range map[int][]int{0: nil, 1: {1, 9, 3}, 2: {4, 1, 4}, 3: {0, 0, 0}} {
		var members []Member
		for _, p := range priorities {
			members = append(members, Member{Priority: p})
		}
		if got := foremost(members); got != want {
			t.Errorf("%v: %d", priorities, got)
		}
	}
}
