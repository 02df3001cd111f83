package cluster

import (
	"slices"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
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
