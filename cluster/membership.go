package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	"leat/internal/bus"
	"leat/internal/fault"
)

// maxMembers is the size past which more nodes make a cluster slower and no safer.
const maxMembers = 7

// AddMember has a node take part from now on, and returns it with the number and the
// state it has; the same again changes nothing. Its replicas are made voters once it
// runs and has caught up. replaces is the number of a member of that name whose place it
// takes, because it has lost its directory, or 0; then the address may be empty for that
// of the one replaced.
//
// Errors: Conflict "not_clustered", "member_exists" (elsewhere), "membership_changing"
// (another change is under way), "quorum_at_risk"; NotFound "not_found" for who is
// replaced; Exhausted "quota_exceeded"; those of a write.
func (n *Node) AddMember(ctx context.Context, m bus.Member, replaces uint64) (bus.Member, error) {
	return n.change(ctx, func(r *roster) (replica uint64, changed bool, err error) {
		if replaces != 0 {
			return n.reseat(r, &m, replaces)
		}
		if s := r.named(m.ID); s != nil {
			switch {
			case s.State == stateLeaving:
				return 0, false, errChanging(s)
			case s.RaftAddress != m.RaftAddress:
				return 0, false, fault.New(fault.Conflict, "member_exists", "Node %q is a member, at %s", s.ID, s.RaftAddress)
			}
			return s.ReplicaID, false, nil
		}
		if err := r.unchanging(""); err != nil {
			return 0, false, err
		}
		for _, s := range r.Members {
			if s.RaftAddress == m.RaftAddress {
				return 0, false, fault.New(fault.Conflict, "member_exists", "Member %q is at %s", s.ID, s.RaftAddress)
			}
		}
		if len(r.Members) >= maxMembers {
			return 0, false, fault.New(fault.Exhausted, "quota_exceeded", "The cluster has %d members, which is the most", len(r.Members))
		}
		return r.give(&m), true, nil
	})
}

// reseat gives the place of a replica that has lost its directory to a new one.
func (n *Node) reseat(r *roster, m *bus.Member, replaces uint64) (replica uint64, changed bool, err error) {
	old, present := r.seated(replaces), r.named(m.ID)
	if present != nil && present.ReplicaID > replaces && present.State != stateLeaving {
		return present.ReplicaID, false, nil // it is done already
	}
	switch {
	case old == nil || old.ID != m.ID:
		return 0, false, fault.New(fault.NotFound, "not_found", "There is no member %q with the number %d", m.ID, replaces)
	case old.State == stateLeaving:
		return 0, false, errChanging(old)
	case replaces == n.identity.ReplicaID:
		return 0, false, fault.New(fault.Conflict, "member_exists", "Node %q is the one that answers; it has its directory", m.ID)
	}
	if err := r.unchanging(m.ID); err != nil {
		return 0, false, err
	}
	if err := n.spares(r, old); err != nil {
		return 0, false, err
	}
	old.State = stateLeaving
	if m.RaftAddress == "" {
		m.RaftAddress = old.RaftAddress
	}
	if m.URL == "" {
		m.URL = old.URL
	}
	m.Priority = old.Priority
	return r.give(m), true, nil
}

// RemoveMember has a member no longer take part, and returns it with its state: leaving,
// or removed once it is in no shard; the same again changes nothing. What it leads is
// handed over first.
//
// Errors: NotFound "not_found"; Conflict "not_clustered", "membership_changing",
// "quorum_at_risk" where too few members would be left, or would answer; those of a write.
func (n *Node) RemoveMember(ctx context.Context, id string) (bus.Member, error) {
	return n.change(ctx, func(r *roster) (replica uint64, changed bool, err error) {
		s := r.named(id)
		if s == nil {
			for _, gone := range r.Removed {
				if gone.ID == id {
					replica = gone.ReplicaID
				}
			}
			if replica != 0 {
				return replica, false, nil
			}
			return 0, false, fault.New(fault.NotFound, "not_found", "There is no node %q", id)
		}
		if s.State == stateLeaving {
			return s.ReplicaID, false, nil
		}
		if err := r.unchanging(id); err != nil {
			return 0, false, err
		}
		if err := n.spares(r, s); err != nil {
			return 0, false, err
		}
		s.State = stateLeaving
		return s.ReplicaID, true, nil
	})
}

// give seats a new member.
func (m *membership) give(member *bus.Member) uint64 {
	replica := m.Next
	m.Next++
	m.Members = append(m.Members, Seat{
		ID: member.ID, ReplicaID: replica, RaftAddress: member.RaftAddress, URL: member.URL, Priority: member.Priority, State: stateJoining,
	})
	return replica
}

// unchanging refuses a change while that of another member is under way.
func (m *membership) unchanging(but string) error {
	for i := range m.Members {
		if s := &m.Members[i]; s.State != stateVoting && s.ID != but {
			return errChanging(s)
		}
	}
	return nil
}

func errChanging(s *Seat) error {
	return fault.New(fault.Conflict, "membership_changing", "Node %q is %s; one change at a time", s.ID, s.State)
}

// spares refuses to take out a member without which the others are too few, or do not
// answer in a majority.
func (n *Node) spares(r *roster, s *Seat) error {
	rest := make(map[uint64]bool)
	for _, other := range r.voting() {
		if other.ReplicaID != s.ReplicaID {
			rest[other.ReplicaID] = true
		}
	}
	if s.State != stateVoting && len(rest) > 0 {
		return nil // every shard goes on without it as well as with it
	}
	if len(rest) < 2 {
		return fault.New(fault.Conflict, "quorum_at_risk", "Without %q there would be %d members, which is no cluster", s.ID, len(rest))
	}
	if !n.majority(r, rest) {
		return fault.New(fault.Conflict, "quorum_at_risk", "Without %q there would be %d members, of which this node does not reach a majority", s.ID, len(rest))
	}
	return nil
}

// change writes the membership as decide has changed it, and returns the member that
// decide names.
func (n *Node) change(ctx context.Context, decide func(*roster) (replica uint64, changed bool, err error)) (bus.Member, error) {
	if n.network == nil {
		return bus.Member{}, fault.New(fault.Conflict, "not_clustered", "This node runs alone: a cluster is started with a list of nodes")
	}
	for {
		if err := n.Confirm(ctx, bus.MetaShard); err != nil {
			return bus.Member{}, err
		}
		m, version, err := n.members()
		if err != nil {
			return bus.Member{}, err
		}
		r := &roster{membership: m, version: version, peers: n.roster.Load().peers}
		replica, changed, err := decide(r)
		if err != nil {
			return bus.Member{}, err
		}
		if changed {
			err = n.writeMembers(ctx, &r.membership, version)
		}
		if fault.KindOf(err) == fault.Conflict {
			continue // somebody else was faster
		}
		if err != nil {
			return bus.Member{}, err
		}
		n.catchUp()
		if s := r.seated(replica); s != nil {
			return n.describe(s), nil
		}
		for _, s := range r.Removed {
			if s.ReplicaID == replica {
				return bus.Member{ReplicaID: replica, ID: s.ID, State: stateRemoved}, nil
			}
		}
		return bus.Member{}, fault.New(fault.Internal, "internal", "there is no replica %d", replica)
	}
}

// writeMembers replaces the version of the membership that was read.
func (n *Node) writeMembers(ctx context.Context, m *membership, version uint64) error {
	value, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the membership: %w", err)
	}
	// On full disks, too: a node with more room may be what is added.
	_, err = n.transact(ctx, bus.Txn{
		Shard: bus.MetaShard, Fence: &bus.Fence{Key: membersKey, Version: version}, Puts: []bus.Doc{{Key: membersKey, Value: value}},
	}, false)
	return err
}
