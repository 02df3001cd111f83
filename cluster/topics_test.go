package cluster

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
)

// startLed is a group whose first node leads all shards: the metadata and one of data.
func startLed(t *testing.T, change ...func(*Config)) *group {
	t.Helper()
	g := startGroup(t, 3, append(change, func(c *Config) { c.DataShards, c.Members[0].Priority = 1, 2 })...)
	testenv.Eventually(t, "the first node leads", func() bool { return g.leader(bus.MetaShard) == 0 && g.leader(firstDataShard) == 0 })
	return g
}

// hold keeps a node from applying anything of a shard until the function returned is called,
// or the test ends.
func (r *running) hold(t *testing.T, shard uint64) (release func()) {
	writer := &r.shards[shard].machine.writer
	writer.Lock()
	release = sync.OnceFunc(writer.Unlock)
	t.Cleanup(release)
	return release
}

// TestTopicNotHeardOf: a node that has not applied yet that a topic was made, or that its
// partitions were, does not say that there is none: it waits.
func TestTopicNotHeardOf(t *testing.T) {
	t.Parallel()
	g := startLed(t)
	behind := g.nodes[1]
	for _, id := range behind.shardIDs() {
		name := fmt.Sprint("topic-", id)
		release := behind.hold(t, id)
		g.createTopic(name, 2)
		if id != bus.MetaShard {
			testenv.Eventually(t, "the topic is in the table", func() bool { _, ok := behind.Topic(name); return ok })
		}
		_, here := behind.Partition(name, 1)
		_, waiting := behind.Standing(within(t, 300*time.Millisecond), name, 1)
		_, _, deleting := behind.Forwarding().DeleteBefore(within(t, 300*time.Millisecond), name, 1, 0)
		release()
		kind(t, here, fault.NotFound, "unknown_topic") // else this test sees nothing
		kind(t, waiting, fault.Unavailable, "no_quorum")
		kind(t, deleting, fault.Unavailable, "no_quorum")
		if p, err := behind.Standing(within(t, 20*time.Second), name, 1); err != nil || p.Shard != firstDataShard || p.Partition != 1 {
			t.Errorf("%+v, %v", p, err)
		}
	}
	_, err := behind.Standing(within(t, 20*time.Second), "none", 0)
	kind(t, err, fault.NotFound, "unknown_topic")
}

// TestTopicMadeElsewhere: a node that has another one make a topic, and does not get to it in
// time, does not say that there is none.
func TestTopicMadeElsewhere(t *testing.T) {
	t.Parallel()
	g := startLed(t)
	behind := g.nodes[1]
	release := behind.hold(t, bus.MetaShard)
	_, err := behind.Forwarding().CreateTopic(within(t, time.Second), "orders", 1)
	release()
	kind(t, err, fault.Timeout, "unknown_outcome")
}

// TestDeletedEverywhere: a topic is taken out of its shards also where the node that does it
// has not heard yet that they had it.
func TestDeletedEverywhere(t *testing.T) {
	t.Parallel()
	g := startLed(t)
	behind := g.nodes[1]
	release := behind.hold(t, firstDataShard)
	g.createTopic("orders", 1)
	testenv.Eventually(t, "the topic is in the table", func() bool { _, ok := behind.Topic("orders"); return ok })
	made, _ := behind.Topic("orders")
	deleted := make(chan error, 1)
	go func() { deleted <- behind.Forwarding().DeleteTopic(within(t, 20*time.Second), "orders") }()
	testenv.Eventually(t, "the topic is out of the table", func() bool { _, ok := g.nodes[0].Topic("orders"); return !ok })
	release()
	must(t, <-deleted)
	for i, n := range g.nodes {
		testenv.Eventually(t, fmt.Sprintf("node %d has dropped its partitions", i), func() bool {
			must(t, n.Barrier(within(t, 20*time.Second)))
			return !slices.Contains(n.shards[firstDataShard].machine.topicIDs(), made.ID)
		})
	}
}
