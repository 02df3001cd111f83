package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
)

const (
	// reshapeEvery is how often a leader looks whether its shard has the members that
	// it is to have, while it has not.
	reshapeEvery = 100 * time.Millisecond
	// reshapeTimeout bounds one change of a shard's members.
	reshapeTimeout = 5 * time.Second
)

// reshape makes the replicas of the shards what the membership says. Every node does so
// for the shards that it leads, one change at a time: whoever leads next goes on from
// what raft has. The leader of the metadata notes in the membership what is done.
//
// A member that joins is first added without a vote, so that what it lacks holds nobody
// up, and gets one once it has caught up. One that leaves first leaves the data shards,
// so that it knows why as long as it can.
func (n *Node) reshape(ctx context.Context) {
	tick := time.NewTicker(reshapeEvery)
	defer tick.Stop()
	// What a shard was found in order for: the membership's version and the term.
	done := make(map[uint64][2]uint64)
	told := make(map[uint64]string) // why something has to wait, by shard; 0 for the noting
	tell := func(id uint64, err error, message string, about ...any) {
		why := ""
		if err != nil && ctx.Err() == nil {
			why = err.Error()
		}
		if why != "" && why != told[id] {
			n.config.Logger.Warn(message, append(about, "error", err)...)
		}
		told[id] = why
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r := n.roster.Load()
		if r.version == 0 || !n.ready.Load() {
			continue
		}
		for _, id := range n.shardIDs() {
			s := n.shards[id]
			lead := s.lead.Load()
			now := [2]uint64{r.version, lead.term}
			if lead.id != s.self || done[id] == now {
				continue
			}
			ordered, err := n.reshapeShard(ctx, r, s)
			tell(id, err, "the members of a shard could not be changed yet", "shard", id)
			if ordered {
				done[id] = now
			}
		}
		if !r.settled() && n.Leads(bus.MetaShard) {
			tell(0, n.settle(ctx, r), "a change of the members could not be noted yet")
		}
	}
}

// reshapeShard brings a shard that this node leads one change nearer to a membership.
// ordered tells that it is there.
func (n *Node) reshapeShard(ctx context.Context, r *roster, s *shard) (ordered bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, reshapeTimeout)
	defer cancel()
	has, err := n.replicasOf(ctx, s.id)
	if err != nil {
		return false, err
	}
	for _, replica := range slices.Sorted(maps.Keys(has)) {
		seat := r.seated(replica)
		if seat == nil {
			// It may have been seated since: who takes it out then takes it out for good.
			if latest, err := n.latestRoster(ctx); err != nil || latest != r {
				return false, err
			}
		}
		if seat == nil || seat.State == stateLeaving {
			return false, n.takeOut(ctx, r, s, has, replica)
		}
	}
	ordered = true
	for i := range r.Members {
		seat := &r.Members[i]
		if has[seat.ReplicaID] || seat.State == stateLeaving {
			continue
		}
		ordered = false
		if _, there := has[seat.ReplicaID]; !there {
			if !n.reaches(r, seat.ReplicaID) {
				continue // it does not run yet
			}
			err := n.host.SyncRequestAddNonVoting(ctx, s.id, seat.ReplicaID, seat.ID, 0)
			return false, n.changed("a member joins a shard", s, seat.ReplicaID, err)
		}
		if n.follows(seat.ReplicaID, s) && n.bears(r, has, seat.ReplicaID) {
			err := n.host.SyncRequestAddReplica(ctx, s.id, seat.ReplicaID, seat.ID, 0)
			return false, n.changed("a member has caught up and votes", s, seat.ReplicaID, err)
		}
	}
	return ordered, nil
}

// replicasOf tells which replicas a shard has, and whether they vote.
func (n *Node) replicasOf(ctx context.Context, shard uint64) (map[uint64]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, reshapeTimeout)
	defer cancel()
	m, err := n.host.SyncGetShardMembership(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("read the members of shard %d: %w", shard, fromRequest(err))
	}
	has := make(map[uint64]bool)
	for replica := range m.Nodes {
		has[replica] = true
	}
	for replica := range m.NonVotings {
		has[replica] = false
	}
	return has, nil
}

// bears tells whether a shard still has a majority that answers once a replica that
// answers votes too.
func (n *Node) bears(r *roster, has map[uint64]bool, replica uint64) bool {
	voters := voters(has)
	voters[replica] = true
	return n.majority(r, voters)
}

func voters(has map[uint64]bool) map[uint64]bool {
	out := maps.Clone(has)
	maps.DeleteFunc(out, func(_ uint64, votes bool) bool { return !votes })
	return out
}

// takeOut takes a replica out of a shard that this node leads. Where that is its own, it
// has another one lead first.
func (n *Node) takeOut(ctx context.Context, r *roster, s *shard, has map[uint64]bool, replica uint64) error {
	rest := voters(has)
	delete(rest, replica)
	if has[replica] && !n.majority(r, rest) {
		return fault.New(fault.Unavailable, "no_quorum", "without replica %d of shard %d no majority would answer", replica, s.id)
	}
	if replica == s.self {
		if to := n.closest(s); to != 0 {
			n.transfer(s, to)
		}
		return nil
	}
	if s.id == bus.MetaShard {
		if last, err := n.only(ctx, replica); err != nil || !last {
			return err
		}
	}
	return n.changed("a member leaves a shard", s, replica, n.host.SyncRequestDeleteReplica(ctx, s.id, replica, 0))
}

// changed has the operator know of a change that raft has made, and classifies the error
// with which it refused one.
func (n *Node) changed(what string, s *shard, replica uint64, err error) error {
	if err != nil {
		return fromRequest(err)
	}
	n.config.Logger.Info(what, "shard", s.id, "node", n.memberName(replica), "replica", replica)
	return nil
}

// latestRoster is the roster of everything acknowledged before the call.
func (n *Node) latestRoster(ctx context.Context) (*roster, error) {
	if err := n.Confirm(ctx, bus.MetaShard); err != nil {
		return nil, fmt.Errorf("read who belongs to the cluster: %w", err)
	}
	n.catchUp()
	return n.roster.Load(), nil
}

// only tells whether a replica is in no data shard any more.
func (n *Node) only(ctx context.Context, replica uint64) (bool, error) {
	for _, id := range n.data {
		has, err := n.replicasOf(ctx, id)
		if err != nil {
			return false, err
		}
		if _, there := has[replica]; there {
			return false, nil
		}
	}
	return true, nil
}

// settle notes in the membership who has joined every shard or left it.
func (n *Node) settle(ctx context.Context, r *roster) error {
	next := r.clone()
	joined, gone := make(map[uint64]bool), make(map[uint64]bool)
	for _, s := range r.Members {
		joined[s.ReplicaID], gone[s.ReplicaID] = s.State == stateJoining, s.State == stateLeaving
	}
	for _, id := range n.shardIDs() {
		has, err := n.replicasOf(ctx, id)
		if err != nil {
			return err
		}
		for _, s := range r.Members {
			_, there := has[s.ReplicaID]
			joined[s.ReplicaID] = joined[s.ReplicaID] && has[s.ReplicaID]
			gone[s.ReplicaID] = gone[s.ReplicaID] && !there
		}
	}
	changed := false
	next.Members = nil
	for _, s := range r.Members {
		switch {
		case joined[s.ReplicaID]:
			s.State, changed = stateVoting, true
		case gone[s.ReplicaID]:
			next.Removed, changed = append(next.Removed, seat{ID: s.ID, ReplicaID: s.ReplicaID}), true
			continue
		}
		next.Members = append(next.Members, s)
	}
	if !changed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reshapeTimeout)
	defer cancel()
	err := n.writeMembers(ctx, &next, r.version)
	if fault.KindOf(err) == fault.Conflict {
		return nil // it has changed meanwhile
	}
	return err
}

// votesAlready tells whether the newest snapshot of a shard has this replica among its
// voters: otherwise what makes it one is in the raft log yet to be applied, and raft has
// to be started as a replica without a vote.
func (n *Node) votesAlready(shard uint64) (bool, error) {
	snapshot, err := n.raftLog.db.Load().GetSnapshot(shard, n.identity.ReplicaID)
	if err != nil {
		return false, err
	}
	_, votes := snapshot.Membership.Addresses[n.identity.ReplicaID]
	return votes, nil
}
