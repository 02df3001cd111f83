package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"leat/cluster/state"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// Retention policies are documents of the metadata shard: "retention/*" for all
// topics, "retention/7" for topic number 7, "retention/7/0" for its partition 0.
// The nearest counts, member by member. A policy goes with its topic.
const retentionPrefix = "retention/"

// enforceEvery is how late a policy may be enforced.
const enforceEvery = time.Second

func retentionKey(t *state.Topic, partition int32) string {
	switch {
	case t == nil:
		return retentionPrefix + "*"
	case partition < 0:
		return retentionPrefix + strconv.FormatUint(t.ID, 10)
	}
	return retentionPrefix + strconv.FormatUint(t.ID, 10) + "/" + strconv.Itoa(int(partition))
}

// SetRetention makes a policy the one for a topic, for one of its partitions, or
// where topic is "*" for all topics without their own. A policy that keeps
// everything takes the one before away.
func (n *Node) SetRetention(ctx context.Context, topic string, partition int32, r bus.Retention) error {
	var t *state.Topic
	if topic != "*" {
		if t = n.topic(topic); t == nil {
			return errUnknownTopic(topic)
		}
		if partition != bus.AnyPartition && (partition < 0 || int(partition) >= len(t.Shards)) {
			return errUnknownPartition(topic, partition, int32(len(t.Shards)))
		}
	}
	txn := bus.Txn{Shard: bus.MetaShard}
	if key := retentionKey(t, partition); r == (bus.Retention{}) {
		txn.Deletes = []string{key}
	} else {
		value, err := json.Marshal(r)
		if err != nil {
			return fault.New(fault.Internal, "internal", "encode retention: %w", err)
		}
		txn.Puts = []bus.Doc{{Key: key, Value: value}}
	}
	if _, err := n.Transact(ctx, txn); err != nil {
		return fmt.Errorf("set retention of %q: %w", topic, err)
	}
	return nil
}

// Retention is the policy that holds for a partition.
func (n *Node) Retention(topic string, partition int32) (bus.Retention, error) {
	t, _, err := n.place(topic, partition)
	if err != nil {
		return bus.Retention{}, err
	}
	return n.retention(t, partition)
}

func (n *Node) retention(t *state.Topic, partition int32) (bus.Retention, error) {
	var policy bus.Retention
	for _, key := range []string{retentionKey(nil, 0), retentionKey(t, bus.AnyPartition), retentionKey(t, partition)} {
		d, ok := n.Doc(bus.MetaShard, key)
		if !ok {
			continue
		}
		var nearer bus.Retention
		if err := json.Unmarshal(d.Value, &nearer); err != nil {
			return policy, fault.New(fault.Corrupt, "corrupt", "retention document %q: %w", key, err)
		}
		if nearer.TTLMs > 0 {
			policy.TTLMs = nearer.TTLMs
		}
		if nearer.MaxBytes > 0 {
			policy.MaxBytes = nearer.MaxBytes
		}
	}
	return policy, nil
}

// enforceRetention trims what policies no longer keep, until ctx ends.
func (n *Node) enforceRetention(ctx context.Context) {
	tick := time.NewTicker(enforceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if len(n.Docs(bus.MetaShard, retentionPrefix)) == 0 {
			continue
		}
		if err := n.trimAll(ctx); err != nil && ctx.Err() == nil {
			n.config.Logger.Warn("retention not enforced in time", "error", err)
		}
	}
}

// trimAll proposes one transaction a shard with everything that is due.
func (n *Node) trimAll(ctx context.Context) error {
	if !slices.ContainsFunc(n.data, func(id uint64) bool { return n.shards[id].leads() }) {
		return nil
	}
	if err := n.Confirm(ctx, bus.MetaShard); err != nil {
		return err // the policies here may be old
	}
	due := make(map[uint64][]bus.Trim)
	for _, t := range n.shards[bus.MetaShard].machine.topics() {
		if t.Internal {
			continue
		}
		for partition, shard := range t.Shards {
			if !n.shards[shard].leads() {
				continue
			}
			trim, err := n.dueTrim(t, int32(partition), n.shards[shard])
			if err != nil {
				return err
			}
			if trim.Before > 0 {
				due[shard] = append(due[shard], trim)
			}
		}
	}
	for _, shard := range n.data {
		if len(due[shard]) == 0 {
			continue
		}
		if _, err := n.Transact(ctx, bus.Txn{Shard: shard, Trims: due[shard]}); err != nil {
			return err
		}
	}
	return nil
}

// dueTrim finds what a partition's policy no longer keeps. Before is 0 where
// that is nothing.
func (n *Node) dueTrim(t *state.Topic, partition int32, s *shard) (bus.Trim, error) {
	trim := bus.Trim{Topic: t.Name, Partition: partition}
	policy, err := n.retention(t, partition)
	p := s.machine.partition(state.PartitionID{Topic: t.ID, Partition: partition})
	if err != nil || policy == (bus.Retention{}) || p == nil {
		return trim, err
	}
	first := p.First()
	before := first
	if policy.TTLMs > 0 {
		young, err := p.OffsetAtTime(s.clock.nowMs() - policy.TTLMs)
		if err != nil {
			return trim, err
		}
		before = max(before, young)
	}
	if policy.MaxBytes > 0 {
		kept, err := p.OffsetKeeping(policy.MaxBytes)
		if err != nil {
			return trim, err
		}
		before = max(before, kept)
	}
	if before > first {
		trim.Before = before
	}
	return trim, nil
}

// DeleteBefore takes the records before an offset away for good. It answers how
// many there were and how many bytes of disk that freed: whole segments only, see
// log.Partition.DropTrimmed.
func (n *Node) DeleteBefore(ctx context.Context, topic string, partition int32, before log.Offset) (records, freed int64, err error) {
	p, s, err := n.heard(ctx, topic, partition)
	if err != nil {
		return 0, 0, err
	}
	size := p.SizeBytes()
	done, err := n.Transact(ctx, bus.Txn{Shard: s.id, Trims: []bus.Trim{{Topic: topic, Partition: partition, Before: before}}})
	if err != nil {
		return 0, 0, fmt.Errorf("delete before %d in %s/%d: %w", before, topic, partition, err)
	}
	if done.Trimmed[0] > 0 {
		if err := s.machine.Sync(); err != nil {
			return 0, 0, fault.New(fault.Internal, "internal", "free what was deleted: %w", err)
		}
	}
	return done.Trimmed[0], max(0, size-p.SizeBytes()), nil
}
