package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/cluster/peer"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
)

// up is a running node of the group.
func (g *group) up() *running {
	return g.nodes[slices.IndexFunc(g.nodes, func(r *running) bool { return r != nil })]
}

// change has the membership changed, by whoever leads.
func (g *group) change(what func(context.Context, *Node) (bus.Member, error)) bus.Member {
	g.t.Helper()
	var m bus.Member
	g.do(bus.MetaShard, func(n *Node) (err error) {
		m, err = what(within(g.t, 10*time.Second), n)
		return err
	})
	return m
}

// invitation is what a node tells who is to join.
func (g *group) invitation() *Invitation {
	g.t.Helper()
	m, err := g.up().Membership(within(g.t, 10*time.Second))
	if err != nil {
		g.t.Fatal(err)
	}
	out := &Invitation{Cluster: m.Cluster, DataShards: m.DataShards}
	for _, s := range m.Members {
		out.Members = append(out.Members, Seat{ID: s.ID, ReplicaID: s.ReplicaID, RaftAddress: s.RaftAddress, URL: s.URL, Priority: s.Priority, State: s.State})
	}
	return out
}

// add adds a node and opens it, and returns where it is in the group.
func (g *group) add(id string, change ...func(*Config)) int {
	g.t.Helper()
	l := listenOn(g.t, "127.0.0.1:0")
	m := g.change(func(ctx context.Context, n *Node) (bus.Member, error) {
		return n.AddMember(ctx, bus.Member{ID: id, RaftAddress: l.Addr().String(), URL: "http://" + id, Priority: 1}, 0)
	})
	if m.State != stateJoining {
		g.t.Fatalf("%+v", m)
	}
	c := Config{
		Dir: g.t.TempDir(), NodeID: id, URL: "http://" + id, RaftListener: l, Invitation: g.invitation(),
	}
	for _, f := range change {
		f(&c)
	}
	g.configs, g.nodes = append(g.configs, c), append(g.nodes, nil)
	g.open(len(g.nodes) - 1)
	return len(g.nodes) - 1
}

// settled waits until all running nodes know that these are the members, and no change
// is under way.
func (g *group) settled(want ...string) {
	g.t.Helper()
	testenv.Eventually(g.t, fmt.Sprintf("the members are %v", want), func() bool {
		for _, r := range g.nodes {
			if r == nil {
				continue
			}
			var got []string
			for _, m := range r.Members() {
				if m.State != stateVoting {
					return false
				}
				got = append(got, m.ID)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				return false
			}
		}
		return true
	})
}

// voters are the names of those who vote in a shard.
func (g *group) voters(shard uint64) []string {
	g.t.Helper()
	has, err := g.nodes[g.leader(shard)].replicasOf(within(g.t, 10*time.Second), shard)
	if err != nil {
		g.t.Fatal(err)
	}
	var all []string
	for replica, votes := range has {
		if votes {
			all = append(all, g.up().memberName(replica))
		}
	}
	slices.Sort(all)
	return all
}

// TestAddAndRemove: a node that is added catches up, votes in every shard, can be
// restarted, lead and be all there is of the old data; one that is removed hands over what
// it leads, ends and is refused from then on.
func TestAddAndRemove(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	g.createTopic("orders", 3)
	want := make([][]string, 3)
	write := func(from, to int) {
		for i := from; i < to; i++ {
			v := fmt.Sprintf("record %d", i)
			g.append("orders", int32(i%3), v)
			want[i%3] = append(want[i%3], v)
		}
	}
	check := func(nodes ...int) {
		t.Helper()
		for _, i := range nodes {
			for p := range want {
				g.wantValues(i, "orders", int32(p), want[p])
			}
		}
	}
	write(0, 12)
	d := g.add("d")
	g.nodes[d].awaitReady(t)
	g.settled("a", "b", "c", "d")
	for _, id := range g.up().shardIDs() {
		if got := g.voters(id); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
			t.Errorf("in shard %d vote %v", id, got)
		}
	}
	write(12, 24)
	check(0, 1, 2, d)
	for range 2 { // with its entries in the log, and once more
		g.stop(d)
		write(24, 27)
		g.reopen(d)
		g.settled("a", "b", "c", "d")
		check(d)
		write(27, 30)
		check(d)
	}
	testenv.Eventually(t, "the new node leads the metadata", func() bool {
		err := g.nodes[g.leader(bus.MetaShard)].Transfer(within(t, 10*time.Second), bus.MetaShard, g.nodes[d].ID())
		return err == nil
	})
	// The leader of the metadata goes first, then two of the old nodes are gone for good.
	for _, id := range []string{"c", "d"} {
		m := g.change(func(ctx context.Context, n *Node) (bus.Member, error) { return n.RemoveMember(ctx, id) })
		if m.State != stateLeaving {
			t.Fatalf("%+v", m)
		}
		i := int(id[0] - 'a')
		kind(t, g.ended(i), fault.Conflict, "member_removed")
		g.settled(slices.DeleteFunc([]string{"a", "b", "d"}, func(s string) bool { return s == id })...)
		write(30, 33)
		if m := g.change(func(ctx context.Context, n *Node) (bus.Member, error) { return n.RemoveMember(ctx, id) }); m.State != stateRemoved {
			t.Errorf("removed again: %+v", m)
		}
		c := g.configs[i]
		c.RaftListener = listenOn(t, c.RaftListener.Addr().String())
		n, err := Open(c)
		if err == nil { // nobody answered it in time
			err = n.Run(t.Context())
		}
		kind(t, err, fault.Conflict, "member_removed")
	}
	check(0, 1)
}

// TestLeavingStaysOut: a member that is leaving and has left a shard is not added to it again
// while that is not noted yet.
func TestLeavingStaysOut(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	g.settled("a", "b", "c")
	for _, id := range g.up().shardIDs() {
		n := g.nodes[g.leader(id)]
		r := n.roster.Load()
		next := &roster{membership: r.clone()}
		next.Members = append(next.Members, Seat{ID: "gone", ReplicaID: 99, State: stateLeaving})
		if ordered, err := n.reshapeShard(within(t, 10*time.Second), next, n.shards[id]); err != nil || !ordered {
			t.Errorf("shard %d: in order %t, %v", id, ordered, err)
		}
	}
}

// ended waits until a node has ended by itself, and returns why.
func (g *group) ended(i int) error {
	g.t.Helper()
	r := g.nodes[i]
	g.nodes[i] = nil
	select {
	case err := <-r.over:
		r.over <- nil // for the end of the test
		return err
	case <-time.After(30 * time.Second):
		g.t.Fatalf("node %d still runs", i)
		return nil
	}
}

// reopen starts a node again where it was, and waits until it is ready.
func (g *group) reopen(i int) {
	g.t.Helper()
	g.configs[i].RaftListener = listenOn(g.t, g.configs[i].RaftListener.Addr().String())
	g.open(i)
	g.nodes[i].awaitReady(g.t)
}

// TestReplace: a node that has lost its directory is refused, also under its old number,
// until it has been given a new one; then it is as it was.
func TestReplace(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	g.createTopic("orders", 1)
	var want []string
	write := func(n int) {
		for range n {
			want = append(want, fmt.Sprintf("record %d", len(want)))
			g.append("orders", 0, want[len(want)-1])
		}
	}
	write(10)
	lost := g.configs[2].Dir
	g.stop(2)
	old := g.configs[2]
	write(10)
	m := g.change(func(ctx context.Context, n *Node) (bus.Member, error) {
		return n.AddMember(ctx, bus.Member{ID: "c"}, 3)
	})
	if m.State != stateJoining || m.ReplicaID != 4 || m.RaftAddress != old.Members[2].RaftAddress {
		t.Fatalf("%+v", m)
	}
	if again := g.change(func(ctx context.Context, n *Node) (bus.Member, error) {
		return n.AddMember(ctx, bus.Member{ID: "c"}, 3)
	}); again.ReplicaID != 4 {
		t.Fatalf("again: %+v", again)
	}
	invitation := g.invitation()
	aside, err := Rejoin(lost, "c", invitation)
	if err != nil || aside == "" {
		t.Fatal(aside, err)
	}
	if again, err := Rejoin(lost, "c", invitation); err != nil || again != "" {
		t.Fatal(again, err)
	}
	g.reopen(2)
	g.settled("a", "b", "c")
	write(10)
	g.wantValues(2, "orders", 0, want)
	if id := g.nodes[2].ID(); id != 4 {
		t.Errorf("it is replica %d", id)
	}
	g.stop(2)
	write(3)
	g.reopen(2)
	g.wantValues(2, "orders", 0, want)
	// The directory that was set aside, and an empty one, are refused.
	g.stop(2)
	for name, dir := range map[string]string{"old": aside, "empty": t.TempDir()} {
		old.Dir, old.RaftListener = dir, listenOn(t, old.Members[2].RaftAddress)
		n, err := Open(old)
		if err == nil {
			err = n.Run(t.Context())
		}
		if got := fault.As(err); got == nil || got.Code != "member_removed" {
			t.Errorf("%s: %v", name, err)
		}
	}
	fresh := g.configs[2]
	fresh.Dir, fresh.RaftListener, fresh.Invitation = t.TempDir(), listenOn(t, old.Members[2].RaftAddress), g.invitation()
	_, err = Open(fresh)
	kind(t, err, fault.Conflict, "identity_lost")
}

// TestRefusedChanges: changes that cannot be, or would leave too few.
func TestRefusedChanges(t *testing.T) {
	t.Parallel()
	lone := start(t, Config{Dir: t.TempDir()})
	_, err := lone.AddMember(t.Context(), bus.Member{ID: "x"}, 0)
	kind(t, err, fault.Conflict, "not_clustered")
	_, err = lone.RemoveMember(t.Context(), "x")
	kind(t, err, fault.Conflict, "not_clustered")

	g := startGroup(t, 3)
	refused := func(want string, what func(context.Context, *Node) (bus.Member, error)) {
		t.Helper()
		testenv.Eventually(t, "it is refused with "+want, func() bool {
			_, err := what(within(t, 10*time.Second), g.nodes[g.leader(bus.MetaShard)].Node)
			f := fault.As(err)
			if f == nil {
				t.Fatalf("%s: %v", want, err)
			}
			return f.Code == want
		})
	}
	add := func(m bus.Member, replaces uint64) func(context.Context, *Node) (bus.Member, error) {
		return func(ctx context.Context, n *Node) (bus.Member, error) { return n.AddMember(ctx, m, replaces) }
	}
	remove := func(id string) func(context.Context, *Node) (bus.Member, error) {
		return func(ctx context.Context, n *Node) (bus.Member, error) { return n.RemoveMember(ctx, id) }
	}
	refused("not_found", remove("x"))
	refused("not_found", add(bus.Member{ID: "a"}, 9))
	refused("member_exists", add(bus.Member{ID: "a", RaftAddress: "127.0.0.1:9"}, 0))
	refused("member_exists", add(bus.Member{ID: "x", RaftAddress: g.configs[0].Members[0].RaftAddress}, 0))
	if m := g.change(add(bus.Member{ID: "a", RaftAddress: g.configs[0].Members[0].RaftAddress}, 0)); m.State != stateVoting || m.ReplicaID != 1 {
		t.Errorf("the same again: %+v", m)
	}
	g.change(add(bus.Member{ID: "x", RaftAddress: "127.0.0.1:9"}, 0)) // it never comes
	refused("membership_changing", add(bus.Member{ID: "y", RaftAddress: "127.0.0.1:10"}, 0))
	refused("membership_changing", remove("a"))
	g.change(remove("x"))
	g.settled("a", "b", "c")
	down := g.follower(bus.MetaShard)
	g.stop(down)
	up := g.configs[(down+1)%3].NodeID
	testenv.Eventually(t, "it is noticed", func() bool {
		r := g.nodes[g.leader(bus.MetaShard)]
		return !r.reaches(r.roster.Load(), uint64(down+1))
	})
	refused("quorum_at_risk", remove(up))
	g.change(remove(g.configs[down].NodeID))
	testenv.Eventually(t, "two are left", func() bool { return len(g.up().Members()) == 2 })
	refused("quorum_at_risk", remove(up))
}

// TestMembersFormat: the document is as docs/formats/members.md has it.
func TestMembersFormat(t *testing.T) {
	t.Parallel()
	const golden = `{"format":1,"next_replica_id":6,"members":[{"id":"a","replica_id":1,"raft_address":"10.0.0.1:7001","url":"http://10.0.0.1:1109","priority":1,"state":"voting"},{"id":"d","replica_id":5,"raft_address":"10.0.0.4:7001","priority":0,"state":"joining"}],"removed":[{"id":"b","replica_id":2}]}`
	m := membership{Format: 1, Next: 6, Members: []Seat{
		{ID: "a", ReplicaID: 1, RaftAddress: "10.0.0.1:7001", URL: "http://10.0.0.1:1109", Priority: 1, State: stateVoting},
		{ID: "d", ReplicaID: 5, RaftAddress: "10.0.0.4:7001", State: stateJoining},
	}, Removed: []seat{{ID: "b", ReplicaID: 2}}}
	got, err := json.Marshal(&m)
	if err != nil || string(got) != golden {
		t.Errorf("%s, %v", got, err)
	}
	doc, err := os.ReadFile("../docs/formats/members.md")
	if err != nil || !strings.Contains(string(doc), golden) {
		t.Errorf("docs/formats/members.md has another example: %v", err)
	}
	if again, err := decodeMembership([]byte(golden)); err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("%+v, %v", again, err)
	}
	_, err = decodeMembership([]byte(`{"format":2}`))
	kind(t, err, fault.Unsupported, "unknown_format")
}

// TestSecureMembers: with certificates a new member is let in by its own, from when it is
// added until it is removed.
func TestSecureMembers(t *testing.T) {
	t.Parallel()
	ca := newPKI(t)
	g := startGroup(t, 3, func(c *Config) { c.Credentials = ca.issue(t, c.NodeID) })
	g.createTopic("orders", 1)
	g.append("orders", 0, "x")
	knock := func(name string, replica uint64) string {
		c := Config{Dir: t.TempDir(), NodeID: name, Members: g.configs[0].Members, RaftListener: listenOn(t, "127.0.0.1:0")}
		book, err := openBook(c.withDefaults(), seats(c.Members))
		if err != nil {
			t.Fatal(err)
		}
		self := peer.Hello{Cluster: g.nodes[0].identity.Cluster, Node: name, Replica: replica, Incarnation: "new"}
		network, err := peer.New(self, 4, book, c.RaftListener, &service{}, ca.issue(t, name), c.withDefaults().Logger)
		if err != nil {
			t.Fatal(err)
		}
		defer network.Close()
		f := fault.As(network.Probe(within(t, 10*time.Second), "a", nil))
		if f == nil {
			return ""
		}
		return f.Code
	}
	if got := knock("d", 4); got != "not_a_member" {
		t.Errorf("before it is added: %q", got)
	}
	d := g.add("d", func(c *Config) { c.Credentials = ca.issue(t, "d") })
	g.nodes[d].awaitReady(t)
	g.settled("a", "b", "c", "d")
	g.wantValues(d, "orders", 0, []string{"x"})
	if got := knock("d", 4); got != "identity_lost" {
		t.Errorf("with another directory: %q", got)
	}
	g.change(func(ctx context.Context, n *Node) (bus.Member, error) { return n.RemoveMember(ctx, "d") })
	kind(t, g.ended(d), fault.Conflict, "member_removed")
	g.settled("a", "b", "c")
	if got := knock("d", 4); got != "member_removed" {
		t.Errorf("once it is removed: %q", got)
	}
}
