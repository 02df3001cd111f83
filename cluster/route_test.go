package cluster

import (
	"slices"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
)

// TestLeaderNotHeardOf: a node that has yet to hear who the node is that leads, as of one that
// has just joined, waits; it neither sends clients to nowhere nor says that there is no member.
func TestLeaderNotHeardOf(t *testing.T) {
	t.Parallel()
	g := startLed(t)
	g.createTopic("orders", 1)
	n := g.nodes[1]
	if _, err := n.Standing(within(t, 20*time.Second), "orders", 0); err != nil {
		t.Fatal(err)
	}
	write := func(n *Node, d time.Duration) error {
		_, err := n.Append(within(t, d), bus.Append{Topic: "orders", Block: block("x")})
		return err
	}
	known := n.roster.Load()
	unknown := &roster{membership: known.clone(), version: known.version, peers: known.peers}
	unknown.Members = slices.DeleteFunc(unknown.Members, func(s Seat) bool { return s.ReplicaID == 1 })
	n.roster.Store(unknown)
	n.book.know(&unknown.membership)
	kind(t, write(n.Node, 200*time.Millisecond), fault.Unavailable, "no_quorum")
	kind(t, write(n.Forwarding(), 200*time.Millisecond), fault.Unavailable, "no_quorum")
	n.book.know(&known.membership)
	n.roster.Store(known)
	kind(t, write(n.Node, 20*time.Second), fault.NotLeader, "not_leader")
	if err := write(n.Forwarding(), 20*time.Second); err != nil {
		t.Error(err)
	}
}

// TestLeaderThatEnds: what another node did not do because it ends is done by the next
// leader, and the client is not told of the end.
func TestLeaderThatEnds(t *testing.T) {
	t.Parallel()
	g := startLed(t)
	g.createTopic("orders", 1)
	ending, next := g.nodes[0], g.nodes[1]
	if _, err := next.Standing(within(t, 20*time.Second), "orders", 0); err != nil {
		t.Fatal(err)
	}
	c := ending.shards[firstDataShard].coalescer
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	write := func(n *running, d time.Duration) error {
		_, err := n.Forwarding().Append(within(t, d), bus.Append{Topic: "orders", Block: block("x")})
		return err
	}
	kind(t, write(next, 200*time.Millisecond), fault.Unavailable, "no_quorum")
	must(t, ending.Transfer(within(t, 20*time.Second), firstDataShard, next.ID()))
	for _, n := range g.nodes[1:] {
		if err := write(n, 20*time.Second); err != nil {
			t.Error(err)
		}
	}
}

// TestNothingIsHandedBack: a node that ends is given nothing to lead any more, not even what
// belongs to it by its turn and what is known of it.
func TestNothingIsHandedBack(t *testing.T) {
	t.Parallel()
	g := startLed(t)
	ending, other := g.nodes[0], g.nodes[1]
	testenv.Eventually(t, "the node that leads is reached", func() bool { return other.preferred(0) == ending.ID() })
	if !other.wants(within(t, 20*time.Second), 0, ending.ID()) {
		t.Error("it does not want what belongs to it")
	}
	ending.ending.Store(true)
	if other.wants(within(t, 20*time.Second), 0, ending.ID()) {
		t.Error("it wants it while it ends")
	}
	ending.ending.Store(false)
	g.stop(0)
	if !ending.ending.Load() {
		t.Error("it has ended, and has not told the others")
	}
}
