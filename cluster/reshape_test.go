package cluster

import (
	"slices"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
)

// TestWaitingIsToldOnce: a change that has to wait, here for a node without which no majority
// would answer, is in the log once for each shard, and not ten times a second.
func TestWaitingIsToldOnce(t *testing.T) {
	t.Parallel()
	var log pad
	g := startLed(t, log.of("a"))
	g.stop(1)
	leader := g.nodes[0]
	testenv.Eventually(t, "it is noticed", func() bool { return !leader.reaches(leader.roster.Load(), 2) })
	g.do(bus.MetaShard, func(n *Node) error {
		m, version, err := n.members()
		if err != nil {
			return err
		}
		m.named("c").State = stateLeaving
		return n.writeMembers(within(t, 10*time.Second), &m, version)
	})
	const waits = "could not be changed yet"
	testenv.Eventually(t, "the change waits", func() bool { return log.count(waits) > 0 })
	g.restart(1)
	kind(t, g.ended(2), fault.Conflict, "member_removed")
	if n := log.count(waits); n > 3*len(leader.shardIDs()) {
		t.Errorf("%d lines", n)
	}
}

// TestReshapeByAnOldRoster: who has yet to hear of a member does not take it out of a shard
// that it leads: raft never lets the same replica in again.
func TestReshapeByAnOldRoster(t *testing.T) {
	t.Parallel()
	g := startLed(t)
	leader := g.nodes[0]
	old := leader.roster.Load()
	g.add("d")
	g.settled("a", "b", "c", "d")
	for _, id := range leader.shardIDs() {
		if _, err := leader.reshapeShard(within(t, 10*time.Second), old, leader.shards[id]); err != nil {
			t.Errorf("shard %d: %v", id, err)
		}
		if got := g.voters(id); !slices.Contains(got, "d") {
			t.Errorf("shard %d has %v", id, got)
		}
	}
}
