package cluster

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"leat/cluster/peer"
	"leat/internal/bus"
	"leat/internal/fault"
)

const (
	// lookEvery is how often a node asks the others where they stand.
	lookEvery = 500 * time.Millisecond
	// neverReached is how often a node is asked from the start, in vain, before that is
	// worth a warning: all may be starting.
	neverReached = 5
	// meetTimeout bounds how long a new node asks the others whether they know
	// another node of its name.
	meetTimeout = 2 * time.Second
	// handOverTimeout bounds how long a node that ends waits for others to take over
	// what it leads.
	handOverTimeout = 1500 * time.Millisecond
	// steerEvery is the time between two moves of a shard's leader to where it
	// belongs, at least.
	steerEvery = 10 * time.Second
	// closeBehind is how many entries a node may be behind and be made leader.
	closeBehind = 1000
)

// neighbour is another node of the cluster.
type neighbour struct {
	seat
	stand    atomic.Pointer[Standing] // nil = not reachable
	diverged sync.Map                 // shard → raft index, where it has another state than the majority
}

// Standing is where a node stands, as it tells others.
type Standing struct {
	Applied map[uint64]uint64 // raft index by shard
	Digests map[uint64][]Digest
	WallMs  int64 // by its wall clock, since the Unix epoch
	Short   bool  // of room on its disk: it refuses writes of what it leads

	own   map[uint64]uint64 // that of the node that asked, at the same time
	asked time.Time         // by the clock of the node that asked
}

// Stand tells where this node stands.
func (s *service) Stand(_ int, into *Standing) error {
	if !s.node.taking.Load() || s.node.ending.Load() {
		return errors.New("the node is starting or ending")
	}
	into.Applied, into.Digests = s.node.applied(), make(map[uint64][]Digest)
	into.WallMs, into.Short = s.node.config.Clock().UnixMilli(), s.node.space.short.Load()
	for id, shard := range s.node.shards {
		into.Digests[id] = shard.machine.digests.all()
	}
	return nil
}

func (n *Node) applied() map[uint64]uint64 {
	all := make(map[uint64]uint64, len(n.shards))
	for id, s := range n.shards {
		all[id] = s.machine.appliedIndex()
	}
	return all
}

// meet opens the way to the other nodes. A new node asks them first whether they
// know one of its name: then this directory is not the one it had.
func (n *Node) meet(isNew bool) error {
	if !n.config.clustered() {
		n.roster.Store(&roster{})
		return nil
	}
	var err error
	if n.book, err = openBook(n.config, n.identity.Members); err != nil {
		return err
	}
	n.adopt(n.identity.membership(&n.config), 0)
	hello := peer.Hello{
		Cluster: n.identity.Cluster, Node: n.config.NodeID, Replica: n.identity.ReplicaID, Incarnation: n.identity.Node, URL: n.config.URL,
	}
	if n.network, err = peer.New(hello, uint64(n.identity.DataShards)+bus.MetaShard, n.book, n.config.RaftListener, &service{node: n}, n.config.Credentials, n.config.Logger); err != nil || !isNew {
		return err
	}
	return n.probe(meetTimeout, nil)
}

// closeNetwork gives the way to the other nodes back where raft does not.
func (n *Node) closeNetwork() error {
	if n.network != nil {
		return n.network.Close()
	}
	if l := n.config.RaftListener; l != nil {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	return nil
}

// runNeighbours looks after the other nodes until ctx ends. stop is called where
// this node must not go on, for the reason that the function returned tells.
func (n *Node) runNeighbours(ctx context.Context, stop func(), tasks *sync.WaitGroup) (reason func() error) {
	if n.network == nil {
		return func() error { return nil }
	}
	n.taking.Store(true)
	var lost error
	tasks.Go(func() {
		select {
		case lost = <-n.book.lost:
			stop()
		case <-ctx.Done():
		}
	})
	tasks.Go(func() { n.followMembers(ctx) })
	tasks.Go(func() { n.reshape(ctx) })
	tasks.Go(func() { n.steer(ctx) })
	tasks.Go(func() { n.watchLeaders(ctx) })
	tasks.Go(func() { n.tidyTopics(ctx) })
	tasks.Go(func() { n.compare(ctx) })
	return func() error { return lost }
}

// followMembers keeps up with who belongs to the cluster, and looks after each other
// node of it, until ctx ends.
func (n *Node) followMembers(ctx context.Context) {
	var looking sync.WaitGroup
	defer looking.Wait()
	ends, noted := make(map[uint64]func()), uint64(0)
	for ctx.Err() == nil {
		changed := n.DocsChanged(bus.MetaShard)
		n.catchUp()
		noted = n.note(noted)
		peers := n.roster.Load().peers
		for replica, p := range peers {
			if ends[replica] == nil {
				life, end := context.WithCancel(ctx)
				ends[replica] = end
				looking.Go(func() { n.look(life, p) })
			}
		}
		for replica, end := range ends {
			if peers[replica] == nil {
				end()
				delete(ends, replica)
			}
		}
		if n.shards[bus.MetaShard].machine.ended() {
			// Raft ends a replica by itself when it has been taken out.
			n.book.end(errRemoved(n.config.NodeID, n.identity.ReplicaID))
			changed = nil
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	for _, end := range ends {
		end()
	}
}

// look asks a node where it stands, again and again.
func (n *Node) look(ctx context.Context, p *neighbour) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	met := false
	for missed := 1; ctx.Err() == nil; missed++ {
		err := n.ask(ctx, p, 2*lookEvery)
		if met = met || err == nil; !met && missed == neverReached && ctx.Err() == nil {
			address, _ := n.book.Address(p.ID)
			n.config.Logger.Warn("a node has not been reached since the start", "node", p.ID, "address", address, "error", err)
		}
		for _, s := range n.shards {
			s.clock.catchUp()
		}
		n.judge()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// ask asks a node where it stands.
func (n *Node) ask(ctx context.Context, p *neighbour, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var stand Standing
	if err := n.network.Call(ctx, p.ID, "Stand", 0, &stand); err != nil {
		if p.stand.Swap(nil) != nil {
			n.config.Logger.Warn("a node is not reached any more", "node", p.ID, "error", err)
		}
		return err
	}
	n.book.saw(p.ReplicaID, stand.Applied)
	stand.own, stand.asked = n.applied(), n.config.Clock()
	if p.stand.Swap(&stand) == nil {
		n.config.Logger.Info("a node is reached", "node", p.ID)
	}
	return nil
}

// steer moves the leaders of shards that this node leads to where they belong.
func (n *Node) steer(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	moved := make(map[uint64]time.Time)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i, id := range n.shardIDs() {
			s, short := n.shards[id], n.space.short.Load()
			if !n.ready.Load() || !s.leads() || s.kept.Load() && !short || time.Since(moved[id]) < steerEvery {
				continue
			}
			to := n.preferred(i)
			if to == n.identity.ReplicaID || !n.follows(to, s) || !n.wants(ctx, i, to) {
				continue
			}
			if short {
				n.config.Logger.Warn("a shard goes to a node with room on its disk", "shard", id, "node", n.memberName(to))
			}
			moved[id] = time.Now()
			n.transfer(s, to)
		}
	}
}

// wants asks a node whether the i-th shard still belongs to it: what this one knows of its
// disk may be old, and it would hand the shard back.
func (n *Node) wants(ctx context.Context, i int, to uint64) bool {
	p := n.roster.Load().peers[to]
	return p != nil && n.ask(ctx, p, 2*lookEvery) == nil && n.preferred(i) == to
}

// preferred is the node that the i-th shard belongs to: of the nodes with the highest priority
// among those that can lead each has its turn. One that cannot for a while leaves its turns
// to the next, and the others theirs as they are. Where none can, nothing moves.
func (n *Node) preferred(i int) uint64 {
	r := n.roster.Load()
	all := r.voting()
	slices.SortFunc(all, byPriority)
	able := func(m Seat) bool { return n.reaches(r, m.ReplicaID) && n.hasRoom(r, m.ReplicaID) }
	first := slices.IndexFunc(all, able)
	if first < 0 {
		return n.identity.ReplicaID // or a member that leaves, and is alone
	}
	most := all[first].Priority
	equal := slices.DeleteFunc(all, func(m Seat) bool { return m.Priority != most })
	for range equal {
		// The metadata shard and the first data shard have different turns already.
		if m := equal[i%len(equal)]; able(m) {
			return m.ReplicaID
		}
		i++
	}
	return n.identity.ReplicaID // just now
}

// hasRoom tells whether a node takes writes, as far as this one has heard of its disk.
func (n *Node) hasRoom(r *roster, replica uint64) bool {
	if replica == n.identity.ReplicaID {
		return !n.space.short.Load()
	}
	p := r.peers[replica]
	if p == nil {
		return true
	}
	stand := p.stand.Load()
	return stand == nil || !stand.Short
}

// follows tells whether a node is close enough behind to lead a shard.
func (n *Node) follows(replica uint64, s *shard) bool {
	p := n.roster.Load().peers[replica]
	if p == nil {
		return false
	}
	stand := p.stand.Load()
	return stand != nil && stand.Applied[s.id]+closeBehind >= s.machine.appliedIndex()
}

func (n *Node) transfer(s *shard, to uint64) {
	if err := n.host.RequestLeaderTransfer(s.id, to); err != nil {
		n.config.Logger.Warn("a leader could not be moved", "shard", s.id, "to", n.memberName(to), "error", err)
	}
}

// Keep tells this node that it is about to be made the leader of a shard by hand.
func (s *service) Keep(shard uint64, _ *int) error {
	if !s.node.taking.Load() || s.node.ending.Load() || s.node.shards[shard] == nil {
		return errors.New("the node is starting or ending")
	}
	s.node.shards[shard].kept.Store(true)
	return nil
}

// Transfer makes another node the leader of a shard that this one leads, and returns
// once it is. It stays there until that node goes, whatever the priorities say.
func (n *Node) Transfer(ctx context.Context, shard, replica uint64) error {
	s := n.shards[shard]
	if s == nil {
		return fault.New(fault.NotFound, "not_found", "There is no shard %d", shard)
	}
	for {
		lead := s.lead.Load()
		switch {
		case lead.id == replica:
			s.kept.Store(lead.id == s.self) // asked of the one that leads already
			return nil
		case lead.id != 0 && lead.id != s.self:
			return n.errNotLeader(lead.id)
		case lead.id == s.self && (!n.follows(replica, s) || !n.mayLead(replica)):
			return fault.New(fault.Unavailable, "not_ready", "node %q is not reachable, or too far behind to lead shard %d", n.memberName(replica), shard)
		case lead.id == s.self && !n.hasRoom(n.roster.Load(), replica) && !n.space.short.Load():
			return fault.New(fault.Unavailable, "not_ready", "node %q has no room on its disk, and would refuse what is written to shard %d", n.memberName(replica), shard)
		case lead.id == s.self:
			if err := n.network.Call(ctx, n.memberName(replica), "Keep", shard, new(int)); err != nil {
				return fault.New(fault.Unavailable, "not_ready", "node %q does not answer: %w", n.memberName(replica), err)
			}
			n.transfer(s, replica)
		}
		select {
		case <-lead.changed:
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "no_quorum", "shard %d has not moved to %q in time", shard, n.memberName(replica))
		}
	}
}

// handOver gives what this node leads to others before it ends.
func (n *Node) handOver() {
	if n.network == nil {
		return
	}
	var asking sync.WaitGroup
	for _, p := range n.roster.Load().peers {
		asking.Go(func() { _ = n.ask(context.Background(), p, handOverTimeout/4) })
	}
	asking.Wait()
	over := time.After(handOverTimeout)
	for _, id := range n.shardIDs() {
		s := n.shards[id]
		lead := s.lead.Load()
		to := n.closest(s)
		if lead.id != s.self || to == 0 {
			continue
		}
		n.transfer(s, to)
		select {
		case <-lead.changed:
		case <-over:
			return
		}
	}
}

// mayLead tells whether a node is a member for good.
func (n *Node) mayLead(replica uint64) bool {
	seat := n.roster.Load().seated(replica)
	return seat != nil && seat.State == stateVoting
}

// closest is the reachable node that may lead and is least behind in a shard, 0 for
// none.
func (n *Node) closest(s *shard) (replica uint64) {
	var most uint64
	for id, p := range n.roster.Load().peers {
		if stand := p.stand.Load(); stand != nil && stand.Applied[s.id] > most && n.mayLead(id) {
			replica, most = id, stand.Applied[s.id]
		}
	}
	return replica
}

// tidyTopics finishes what a crash has left half done, whenever this node becomes
// the leader of the metadata.
func (n *Node) tidyTopics(ctx context.Context) {
	s := n.shards[bus.MetaShard]
	for ctx.Err() == nil {
		lead := s.lead.Load()
		var again <-chan time.Time
		if lead.id == s.self {
			if err := n.Forwarding().reconcile(ctx); err != nil && ctx.Err() == nil {
				n.config.Logger.Warn("topic changes not finished yet", "error", err)
				again = time.After(time.Second)
			}
		}
		select {
		case <-ctx.Done():
		case <-lead.changed:
		case <-again:
		}
	}
}
