package cluster

import (
	"fmt"
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

// TestTopicNotHeardOf: a node that has not applied yet that a topic was made, or that its
// partitions were, does not say that there is none: it waits.
func TestTopicNotHeardOf(t *testing.T) {
	t.Parallel()
	g := startLed(t)
	behind := g.nodes[1]
	for _, id := range behind.shardIDs() {
		name := fmt.Sprint("topic-", id)
		held := &behind.shards[id].machine.writer
		held.Lock()
		g.createTopic(name, 2)
		if id != bus.MetaShard {
			testenv.Eventually(t, "the topic is in the table", func() bool { _, ok := behind.Topic(name); return ok })
		}
		_, here := behind.Partition(name, 1)
		_, waiting := behind.Standing(within(t, 300*time.Millisecond), name, 1)
		_, _, deleting := behind.Forwarding().DeleteBefore(within(t, 300*time.Millisecond), name, 1, 0)
		held.Unlock()
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
