package cluster

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"leat/internal/bus"
	"leat/internal/fault"
)

// membersKey is the document of the metadata shard that says who is to belong to the
// cluster: a membership in JSON (docs/formats/members.md). Until the first change there
// is none, and the nodes that the cluster was started with belong to it.
const membersKey = "cluster/members"

const membersFormat = 1

// What a member is at present.
const (
	stateVoting  = "voting"  // a voter of every shard
	stateJoining = "joining" // is being made one
	stateLeaving = "leaving" // is being taken out of every shard
	stateRemoved = "removed"
)

// Seat is a member with the number that its replicas have in every shard. A number
// stands for one data directory: a name may be seated again, under another number.
type Seat struct {
	ID          string `json:"id"`
	ReplicaID   uint64 `json:"replica_id"`
	RaftAddress string `json:"raft_address"`
	URL         string `json:"url,omitempty"`
	Priority    int    `json:"priority"`
	State       string `json:"state"`
	Reachable   bool   `json:"reachable,omitempty"` // as the node that was asked for an Invitation saw it
}

// membership is who is to belong to a cluster.
type membership struct {
	Format  int    `json:"format"`
	Next    uint64 `json:"next_replica_id"` // numbers are never given twice
	Members []Seat `json:"members"`         // by number
	Removed []seat `json:"removed,omitempty"`
}

func decodeMembership(value []byte) (membership, error) {
	var m membership
	if err := json.Unmarshal(value, &m); err != nil {
		return m, fault.New(fault.Corrupt, "corrupt", "document %s: %w", membersKey, err)
	}
	if m.Format != membersFormat {
		return m, fault.New(fault.Unsupported, "unknown_format", "document %s has format %d, this version reads %d", membersKey, m.Format, membersFormat)
	}
	return m, nil
}

// seated finds the member with a number, nil for none.
func (m *membership) seated(replica uint64) *Seat {
	for i := range m.Members {
		if m.Members[i].ReplicaID == replica {
			return &m.Members[i]
		}
	}
	return nil
}

// named finds a member by its name, nil for none: the one that stays, where a name is
// seated twice.
func (m *membership) named(id string) *Seat {
	var found *Seat
	for i := range m.Members {
		if s := &m.Members[i]; s.ID == id && (found == nil || found.State == stateLeaving) {
			found = s
		}
	}
	return found
}

// removed tells whether a number was a member's.
func (m *membership) wasRemoved(replica uint64) bool {
	return slices.ContainsFunc(m.Removed, func(s seat) bool { return s.ReplicaID == replica })
}

// settled tells whether nothing is left to be changed.
func (m *membership) settled() bool {
	return !slices.ContainsFunc(m.Members, func(s Seat) bool { return s.State != stateVoting })
}

// voting lists the members that take part for good.
func (m *membership) voting() []Seat {
	return slices.DeleteFunc(slices.Clone(m.Members), func(s Seat) bool { return s.State != stateVoting })
}

// names are all that ever were members.
func (m *membership) names() map[string]bool {
	all := make(map[string]bool)
	for _, s := range m.Members {
		all[s.ID] = true
	}
	for _, s := range m.Removed {
		all[s.ID] = true
	}
	return all
}

func (m *membership) clone() membership {
	out := *m
	out.Members, out.Removed = slices.Clone(m.Members), slices.Clone(m.Removed)
	return out
}

// founders is the membership of a cluster that has never changed.
func founders(c *Config, all []seat) membership {
	m := membership{Format: membersFormat}
	for _, s := range all {
		m.Next = max(m.Next, s.ReplicaID+1)
		m.Members = append(m.Members, Seat{ID: s.ID, ReplicaID: s.ReplicaID, State: stateVoting})
	}
	m.configured(c)
	return m
}

// configured lets the list that this node was started with say where the members are.
func (m *membership) configured(c *Config) {
	for i := range m.Members {
		s := &m.Members[i]
		at := slices.IndexFunc(c.Members, func(o Member) bool { return o.ID == s.ID })
		if at >= 0 {
			s.RaftAddress, s.URL, s.Priority = c.Members[at].RaftAddress, c.Members[at].URL, c.Members[at].Priority
		}
	}
}

// roster is a membership as a node works with it. It is immutable but for the standings
// of the neighbours.
type roster struct {
	membership
	version uint64                // of the document
	peers   map[uint64]*neighbour // the others, by number
}

// adopt has the node work with a membership that is newer than the one it has.
func (n *Node) adopt(m membership, version uint64) {
	n.adopting.Lock()
	defer n.adopting.Unlock()
	was := n.roster.Load()
	if was != nil && version <= was.version {
		return
	}
	m = m.clone()
	m.configured(&n.config)
	r := &roster{membership: m, version: version, peers: make(map[uint64]*neighbour)}
	for _, s := range m.Members {
		if s.ReplicaID == n.identity.ReplicaID {
			continue
		}
		r.peers[s.ReplicaID] = &neighbour{seat: seat{ID: s.ID, ReplicaID: s.ReplicaID}}
		if was != nil && was.peers[s.ReplicaID] != nil {
			r.peers[s.ReplicaID] = was.peers[s.ReplicaID]
		}
	}
	if n.book != nil {
		n.book.know(&r.membership)
	}
	n.roster.Store(r)
	if was == nil || n.network == nil {
		return
	}
	for replica, p := range was.peers {
		if r.peers[replica] == nil {
			n.network.Drop(p.ID) // what it is then told is why
		}
	}
}

// members is the membership that the metadata shard has here, and its version.
func (n *Node) members() (membership, uint64, error) {
	d, ok := n.Doc(bus.MetaShard, membersKey)
	if !ok {
		r := n.roster.Load()
		return r.clone(), 0, nil
	}
	m, err := decodeMembership(d.Value)
	return m, d.Version, err
}

// catchUp adopts the membership of the metadata shard.
func (n *Node) catchUp() {
	m, version, err := n.members()
	if err != nil {
		n.config.Logger.Error("who belongs to the cluster is not known", "error", err)
		return
	}
	n.adopt(m, version)
}

// note keeps the membership of the metadata shard for the next start, unless that is of the
// version noted, and returns its version. One goroutine calls it: there is one temporary file
// for what is written.
func (n *Node) note(noted uint64) uint64 {
	m, version, err := n.members()
	if err != nil || version <= noted {
		return noted
	}
	id := n.identity
	id.Roster = &m
	if err := id.write(n.config, identityName(n.config)); err != nil {
		n.config.Logger.Warn("who belongs to the cluster was not noted for the next start", "error", err)
	}
	return version
}

// memberName is the name of a member, "" for who is none.
func (n *Node) memberName(replica uint64) string {
	if s := n.roster.Load().seated(replica); s != nil {
		return s.ID
	}
	return ""
}

// memberURL is where clients reach a member, "" where that is not known.
func (n *Node) memberURL(replica uint64) string {
	if replica == n.identity.ReplicaID {
		return n.config.URL
	}
	if n.book == nil {
		return ""
	}
	return n.book.url(n.memberName(replica))
}

// Membership is who belongs to the cluster by all that was acknowledged before the call.
func (n *Node) Membership(ctx context.Context) (bus.Membership, error) {
	if n.network != nil {
		if err := n.Confirm(ctx, bus.MetaShard); err != nil {
			return bus.Membership{}, err
		}
		n.catchUp()
	}
	return bus.Membership{Cluster: n.identity.Cluster, DataShards: n.identity.DataShards, Members: n.Members()}, nil
}

// Members lists the nodes of the cluster as this one sees them, by number; none for
// a lone node. One that is replaced by another of its name is not in it.
func (n *Node) Members() []bus.Member {
	r := n.roster.Load()
	var all []bus.Member
	for _, s := range r.Members {
		if r.named(s.ID).ReplicaID == s.ReplicaID {
			all = append(all, n.describe(&s))
		}
	}
	for _, id := range n.shardIDs() {
		r.addLag(all, id)
	}
	return all
}

func (n *Node) describe(s *Seat) bus.Member {
	m := bus.Member{
		ReplicaID: s.ReplicaID, ID: s.ID, URL: n.memberURL(s.ReplicaID),
		RaftAddress: s.RaftAddress, Priority: s.Priority, State: s.State,
	}
	if p := n.roster.Load().peers[s.ReplicaID]; p != nil {
		m.Diverged = p.divergedShards()
	}
	return m
}

// addLag says how far the members are behind in a shard: how far this one was behind
// another when it last asked, and by how much less that is with yet others.
func (r *roster) addLag(all []bus.Member, shard uint64) {
	// Relative to this node; positive is ahead.
	ahead, most := make([]int64, len(all)), int64(0)
	for i := range all {
		m := &all[i]
		if p := r.peers[m.ReplicaID]; p == nil {
			m.Reachable = true
		} else if stand := p.stand.Load(); stand != nil {
			m.Reachable = true
			ahead[i] = int64(stand.Applied[shard]) - int64(stand.own[shard])
			most = max(most, ahead[i])
		}
	}
	for i := range all {
		if all[i].Lag == nil {
			all[i].Lag = make(map[uint64]int64)
		}
		if all[i].Reachable {
			all[i].Lag[shard] = most - ahead[i]
		}
	}
}

// reaches tells whether a member answers this node, which itself always does.
func (n *Node) reaches(r *roster, replica uint64) bool {
	p := r.peers[replica]
	return replica == n.identity.ReplicaID || p != nil && p.stand.Load() != nil
}

// majority tells whether enough of these voters answer.
func (n *Node) majority(r *roster, voters map[uint64]bool) bool {
	there := 0
	for replica := range maps.Keys(voters) {
		if n.reaches(r, replica) {
			there++
		}
	}
	return there > len(voters)/2
}
