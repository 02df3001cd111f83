package cluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"leat/cluster/internal/wire"
	"leat/cluster/state"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

func xxSum(s string) uint64 { return xxhash.Sum64String(s) }

// Append makes a block of records durable: it returns once the records have been
// synced with the raft log and applied. Errors: NotFound "unknown_topic",
// Invalid "invalid_partition", Unprocessable "idempotency_conflict", Exhausted
// "quota_exceeded" where a new idempotency key would have a young one forgotten,
// DiskFull "disk_full" where the leader has no room, Unavailable when nothing was written, Timeout "unknown_outcome" when it may
// have been.
func (n *Node) Append(ctx context.Context, a bus.Append) (bus.Appended, error) {
	t := n.topic(a.Topic)
	if t == nil {
		return bus.Appended{}, errUnknownTopic(a.Topic)
	}
	partition := n.choose(t, &a)
	if partition < 0 || int(partition) >= len(t.Shards) {
		return bus.Appended{}, errUnknownPartition(a.Topic, partition, int32(len(t.Shards)))
	}
	c := appendCommand{id: state.PartitionID{Topic: t.ID, Partition: partition}, block: a.Block}
	if a.IdempotencyKey != "" {
		c.keyed, c.key, c.body = true, state.HashKey(a.IdempotencyKey), state.BodyHash(a.Block.Bytes)
	}
	s := n.shards[t.Shards[partition]]
	if c.keyed && (s.leads() || n.forwards) {
		if err := s.keys.admit(s, c.id, c.key); err != nil {
			return bus.Appended{}, err
		}
	}
	if a.Async && s.leads() {
		if err := n.space.admit(c.sizeBytes()); err != nil {
			return bus.Appended{}, err
		}
		_, err := s.coalescer.submit(ctx, c.sizeBytes(), c.encode)
		return bus.Appended{Partition: partition, Count: a.Block.Count}, err
	}
	code, body, o, err := n.add(ctx, s, c.sizeBytes(), c.encode)
	if err == nil && code == answerNotOpen {
		// A crash came between the topic table and the data shard.
		if err = n.openAgain(ctx, a.Topic); err == nil {
			code, body, o, err = n.add(ctx, s, c.sizeBytes(), c.encode)
		}
	}
	if err != nil {
		return bus.Appended{}, fmt.Errorf("append to %s/%d: %w", a.Topic, partition, err)
	}
	switch code {
	case answerNotOpen:
		return bus.Appended{}, errUnknownTopic(a.Topic)
	case answerKeyOther:
		return bus.Appended{}, fault.New(fault.Unprocessable, "idempotency_conflict",
			"Idempotency key %q was used with another body", a.IdempotencyKey)
	}
	if a.Everywhere {
		if err := n.awaitEverywhere(ctx, s, o.Index); err != nil {
			return bus.Appended{}, err
		}
	}
	w := &wire.Reader{Rest: body}
	return bus.Appended{
		Partition: partition,
		Base:      log.Offset(w.Uint()),
		Duplicate: w.Byte() == 1,
		Count:     int(w.Uint()),
		BatchID:   o.Index,
		QueueUs:   o.QueueUs,
		CommitUs:  o.CommitUs,
	}, w.Err
}

// choose finds the partition an append goes to.
func (n *Node) choose(t *state.Topic, a *bus.Append) int32 {
	switch {
	case a.Partition != bus.AnyPartition:
		return a.Partition
	case len(a.Key) > 0:
		return n.KeyPartition(a.Key, int32(len(t.Shards)))
	case a.IdempotencyKey != "":
		return int32(xxSum(a.IdempotencyKey) % uint64(len(t.Shards)))
	}
	return n.led(t, n.turn(t))
}

// led is the partition itself, or the next one that this node leads where there is
// one.
func (n *Node) led(t *state.Topic, partition int32) int32 {
	for i := range int32(len(t.Shards)) {
		if next := (partition + i) % int32(len(t.Shards)); n.shards[t.Shards[next]].leads() {
			return next
		}
	}
	return partition
}

// KeyPartition is the partition that an append with this key goes to in a topic of so
// many partitions, always the same.
func (n *Node) KeyPartition(key []byte, partitions int32) int32 {
	return int32(xxhash.Sum64(key) % uint64(partitions))
}

func (n *Node) openAgain(ctx context.Context, topic string) error {
	if err := n.topicOps.lock(ctx); err != nil {
		return err
	}
	defer n.topicOps.unlock()
	t := n.topic(topic)
	if t == nil {
		return errUnknownTopic(topic)
	}
	return n.openPartitions(ctx, t)
}

// CommitGroup sets a group's committed offset, the last one processed, and
// answers where the group stands: going back is ignored.
func (n *Node) CommitGroup(ctx context.Context, g bus.GroupOffset, offset log.Offset) (log.Offset, error) {
	t, s, err := n.place(g.Topic, g.Partition)
	if err != nil {
		return 0, err
	}
	id := groupID(t, g)
	if err := n.admitGroup(s, id); err != nil {
		return 0, err
	}
	code, body, _, err := n.add(ctx, s, len(g.Group)+64, func(dst []byte) []byte { return encodeCommit(dst, id, offset) })
	if err != nil {
		return 0, fmt.Errorf("commit group %q in %s/%d: %w", g.Group, g.Topic, g.Partition, err)
	}
	if code == answerNotOpen {
		return 0, errUnknownTopic(g.Topic)
	}
	w := &wire.Reader{Rest: body}
	return log.Offset(w.Uint()), w.Err
}

// admitGroup refuses the first commit of a group where there are too many.
func (n *Node) admitGroup(s *shard, id state.GroupID) error {
	if _, known := s.machine.group(id); known || s.machine.groupCount() < n.config.MaxGroups {
		return nil
	}
	return fault.New(fault.Exhausted, "quota_exceeded",
		"There are %d group offsets in this shard, which is the limit", n.config.MaxGroups)
}

// Committed answers a group's committed offset; ok is false before its first
// commit, or where there is no such partition.
func (n *Node) Committed(g bus.GroupOffset) (offset log.Offset, ok bool) {
	t, s, err := n.place(g.Topic, g.Partition)
	if err != nil {
		return 0, false
	}
	return s.machine.group(groupID(t, g))
}

// Groups lists the groups after a name that committed in any partition of a topic,
// sorted, so many at most. A topic that does not exist has none.
func (n *Node) Groups(topic, after string, limit int) []string {
	t := n.topic(topic)
	if t == nil {
		return nil
	}
	var names []string
	for _, shard := range shardsOf(t) {
		names = append(names, n.shards[shard].machine.groupNames(t.ID, after, limit)...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), limit)]
}

func groupID(t *state.Topic, g bus.GroupOffset) state.GroupID {
	return state.GroupID{PartitionID: state.PartitionID{Topic: t.ID, Partition: g.Partition}, Group: g.Group}
}
