package cluster

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
)

// count is how often something was logged.
func (p *pad) count(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Count(p.text.String(), text)
}

// TestWaitingIsToldOnce: a change that has to wait, here for a node without which no majority
// would answer, is in the log once for each shard, and not ten times a second.
func TestWaitingIsToldOnce(t *testing.T) {
	t.Parallel()
	var log pad
	g := startLed(t, func(c *Config) {
		if c.NodeID == "a" {
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}
	})
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
