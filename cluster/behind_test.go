package cluster

import (
	"fmt"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/testenv"
)

// TestFollowerBehindCompaction: a follower that was away while the others dropped the
// entries it lacks gets a snapshot, and has what they have: records, topics, groups,
// documents. It goes on from there, over a restart too.
func TestFollowerBehindCompaction(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3, func(c *Config) {
		c.DataShards, c.RaftLogBytes, c.CheckpointEvery = 1, 256<<10, 20*time.Millisecond
	})
	g.createTopic("orders", 2)
	g.append("orders", 0, "first")
	down := g.follower(2)
	g.stop(down)
	had := g.configs[down].has(t)
	want := [][]string{{"first"}, nil}
	padding := string(make([]byte, 20_000))
	for i := range 200 {
		v := fmt.Sprintf("%d%s", i, padding)
		g.append("orders", int32(i%2), v)
		want[i%2] = append(want[i%2], v)
	}
	g.createTopic("later", 1)
	g.append("later", 0, "x")
	g.do(2, func(n *Node) error {
		_, err := n.CommitGroup(within(t, 10*time.Second), bus.GroupOffset{Group: "g", Topic: "orders", Partition: 1}, 7)
		return err
	})
	g.do(2, func(n *Node) error {
		_, err := n.Transact(within(t, 10*time.Second), bus.Txn{Shard: 2, Puts: []bus.Doc{{Key: "k", Value: []byte("v")}}})
		return err
	})
	leader := g.nodes[g.leader(2)]
	testenv.Eventually(t, "the leader drops what the follower lacks", func() bool {
		reader, err := leader.host.GetLogReader(2)
		if err != nil {
			t.Fatal(err)
		}
		first, _ := reader.GetRange()
		return first > had+1
	})
	check := func() {
		t.Helper()
		for p := range want {
			g.wantValues(down, "orders", int32(p), want[p])
		}
		g.wantValues(down, "later", 0, []string{"x"})
		n := g.nodes[down]
		testenv.Eventually(t, "the group and the document are there", func() bool {
			offset, _ := n.Committed(bus.GroupOffset{Group: "g", Topic: "orders", Partition: 1})
			d, _ := n.Doc(2, "k")
			return offset == 7 && string(d.Value) == "v"
		})
	}
	// It is stopped again and again on its way.
	for i := range 6 {
		g.configs[down].RaftListener = listenOn(t, g.configs[down].Members[down].RaftAddress)
		g.open(down)
		<-time.After(time.Duration(i) * 60 * time.Millisecond)
		g.stop(down)
	}
	g.restart(down)
	check()
	g.append("orders", 0, "last")
	want[0] = append(want[0], "last")
	check()
	g.stop(down)
	g.restart(down)
	check()
}

// has is the raft index up to which a node that is stopped has applied the first data
// shard.
func (c *Config) has(t *testing.T) uint64 {
	t.Helper()
	whole := c.withDefaults()
	m := newMachine(2, c.Dir+"/shards/2", whole.FS, whole.BootID)
	index, err := m.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return index
}
