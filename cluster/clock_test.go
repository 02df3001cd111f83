package cluster

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/testenv"
)

// TestClockOfOneNode: a node starts with a wall clock that is an hour off. Wherever the
// shard is led then, nothing expires early, neither documents nor records, and log time
// is that of the other nodes.
func TestClockOfOneNode(t *testing.T) {
	t.Parallel()
	const odd = 1
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			t.Parallel()
			var off atomic.Int64
			i := 0
			g := startGroup(t, 3, func(c *Config) {
				if c.DataShards = 1; i == odd {
					c.Clock = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
				}
				i++
			})
			const shard = firstDataShard
			g.createTopic("orders", 1)
			g.do(bus.MetaShard, func(n *Node) error { // who leads it knows the topic, the others soon
				return n.SetRetention(within(t, 10*time.Second), "orders", 0, bus.Retention{TTLMs: 10 * time.Minute.Milliseconds()})
			})
			g.append("orders", 0, "a record")
			g.do(shard, func(n *Node) error {
				_, err := n.Transact(within(t, 10*time.Second), bus.Txn{Shard: shard, Puts: []bus.Doc{{Key: "k", Value: []byte("v"), TTLMs: 10 * time.Minute.Milliseconds()}}})
				return err
			})
			lead := func(node int) {
				t.Helper()
				testenv.Eventually(t, fmt.Sprintf("node %d leads", node), func() bool {
					err := g.nodes[g.leader(shard)].Transfer(within(t, 5*time.Second), shard, g.nodes[node].ID())
					return err == nil && g.nodes[node].shards[shard].leads()
				})
			}
			check := func(when string) {
				t.Helper()
				g.append("orders", 0, when)
				leader := g.nodes[g.leader(shard)]
				must(t, leader.trimAll(within(t, 10*time.Second)))
				if ahead := time.Duration(leader.shards[shard].machine.logTimeMs()-time.Now().UnixMilli()) * time.Millisecond; ahead.Abs() > 30*time.Second {
					t.Errorf("%s: log time is %s ahead", when, ahead)
				}
				p, err := leader.Partition("orders", 0)
				if must(t, err); p.First != 0 {
					t.Errorf("%s: records before %d are gone", when, p.First)
				}
				if _, ok := leader.Doc(shard, "k"); !ok {
					t.Errorf("%s: the document is gone", when)
				}
			}
			lead(odd)
			check("before")
			g.stop(odd)
			off.Store(int64(jump))
			g.restart(odd)
			check("another one leads")
			lead(odd)
			check("it leads")
			g.stop(0)
			check("it leads with one other")
			g.restart(0)
			lead(0)
			check("in the end")
		})
	}
}
