package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lni/dragonboat/v4/raftio"

	"leat/internal/fault"
)

// leaderless is how often in a row, every lookEvery, a shard is seen without a leader
// before that is worth a warning: an election is over by then.
const leaderless = 5

// leaderEvents hears from raft who leads.
type leaderEvents struct{ core *core }

// LeaderUpdated notes who leads a shard.
func (e leaderEvents) LeaderUpdated(info raftio.LeaderInfo) {
	if s := e.core.shards[info.ShardID]; s != nil && s.ledBy(info.LeaderID, info.Term) {
		next := make(chan struct{})
		close(*e.core.moved.Swap(&next))
	}
}

// Leads tells whether this node leads a shard.
func (n *Node) Leads(shard uint64) bool {
	s := n.shards[shard]
	return s != nil && s.leads()
}

// LeadersChanged returns a channel that is closed at the next change of a shard's
// leader.
func (n *Node) LeadersChanged() <-chan struct{} { return *n.moved.Load() }

// Ready tells why the node cannot serve, nil when it can.
func (n *Node) Ready() error {
	if !n.ready.Load() {
		return fault.New(fault.Unavailable, "not_ready", "the node is starting or shutting down%s", n.without())
	}
	for _, id := range n.shardIDs() {
		if n.shards[id].lead.Load().id == 0 {
			return fault.New(fault.Unavailable, "not_ready", "shard %d has no leader%s", id, n.without())
		}
	}
	return nil
}

// without names the members that are not reached, with a word before them; "" for none.
func (n *Node) without() string {
	var names []string
	for _, p := range n.roster.Load().peers {
		if p.stand.Load() == nil {
			names = append(names, p.ID)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return fmt.Sprintf("; not reached: %s", strings.Join(names, ", "))
}

// watchLeaders writes into the log who leads the shards from now on, and which have no
// leader, until ctx ends.
func (n *Node) watchLeaders(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	led, missed := make(map[uint64]uint64), make(map[uint64]int)
	for {
		for _, id := range n.shardIDs() {
			switch lead := n.shards[id].lead.Load(); {
			case lead.id == 0:
				if missed[id]++; missed[id] == leaderless {
					led[id] = 0
					n.config.Logger.Warn("a shard has no leader: what is written to it waits"+n.without(), "shard", id)
				}
			case lead.id != led[id]:
				n.config.Logger.Info("a shard has a leader", "shard", id, "node", n.memberName(lead.id), "term", lead.term)
				fallthrough
			default:
				led[id], missed[id] = lead.id, 0
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
