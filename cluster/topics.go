package cluster

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"leat/cluster/internal/wire"
	"leat/cluster/state"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// internalPrefix begins the names of the queries' own topics. No name a user
// may choose begins with it.
const internalPrefix = "$"

// turnLock has changes of topics wait for each other, as long as each of them may: one
// that waits for a shard without a leader does not hold up who gives up before.
type turnLock chan struct{}

func (l turnLock) lock(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errNoQuorum(errTopicsBusy)
	}
}

func (l turnLock) unlock() { <-l }

// Topic finds a topic by name.
func (n *Node) Topic(name string) (bus.Topic, bool) {
	t := n.topic(name)
	if t == nil {
		return bus.Topic{}, false
	}
	return describe(t), true
}

func describe(t *state.Topic) bus.Topic {
	return bus.Topic{
		ID: t.ID, Name: t.Name, Partitions: int32(len(t.Shards)), Internal: t.Internal, CreatedMs: t.CreatedMs,
	}
}

func (n *Node) topic(name string) *state.Topic { return n.shards[bus.MetaShard].machine.topic(name) }

// ListTopics lists the users' topics by name.
func (n *Node) ListTopics() []bus.Topic {
	var list []bus.Topic
	for _, t := range n.shards[bus.MetaShard].machine.topics() {
		if !t.Internal {
			list = append(list, describe(t))
		}
	}
	return list
}

// CreateTopic makes a topic. The same again is no error; another number of
// partitions is a Conflict "topic_exists".
func (n *Node) CreateTopic(ctx context.Context, name string, partitions int32) (bus.Topic, error) {
	if n.topic(name) == nil {
		if err := n.admitPartitions(int(partitions)); err != nil {
			return bus.Topic{}, err
		}
	}
	first := int(xxSum(name) % uint64(len(n.data)))
	shards := make([]uint64, partitions)
	for i := range shards {
		shards[i] = n.data[(first+i)%len(n.data)]
	}
	return n.createTopic(ctx, name, false, shards)
}

// admitPartitions refuses more partitions than the node is set to hold.
func (n *Node) admitPartitions(more int) error {
	have := 0
	for _, t := range n.shards[bus.MetaShard].machine.topics() {
		have += len(t.Shards)
	}
	if have+more > n.config.MaxPartitions {
		return fault.New(fault.Exhausted, "quota_exceeded",
			"There are %d partitions, and no room for %d more: the limit is %d", have, more, n.config.MaxPartitions)
	}
	return nil
}

// CreateInternal makes a topic of one partition that only the program itself
// reaches, in a shard of the caller's choice. The same again is no error.
func (n *Node) CreateInternal(ctx context.Context, name string, shard uint64) (bus.Topic, error) {
	if !strings.HasPrefix(name, internalPrefix) {
		return bus.Topic{}, fault.New(fault.Internal, "internal", "internal topic %q lacks the prefix", name)
	}
	return n.createTopic(ctx, name, true, []uint64{shard})
}

func (n *Node) createTopic(ctx context.Context, name string, internal bool, shards []uint64) (bus.Topic, error) {
	if err := n.topicOps.lock(ctx); err != nil {
		return bus.Topic{}, fmt.Errorf("create topic %q: %w", name, err)
	}
	defer n.topicOps.unlock()
	code, body, _, err := n.add(ctx, n.shards[bus.MetaShard], len(name)+10*len(shards)+32, func(dst []byte) []byte {
		return encodeCreateTopic(dst, name, internal, shards)
	})
	if err != nil {
		return bus.Topic{}, fmt.Errorf("create topic %q: %w", name, err)
	}
	r := &wire.Reader{Rest: body}
	id, partitions := r.Uint(), int(r.Uint())
	if code == answerExists && partitions != len(shards) {
		return bus.Topic{}, fault.New(fault.Conflict, "topic_exists",
			"Topic %q exists with %d partitions, not %d", name, partitions, len(shards))
	}
	t := n.topic(name)
	switch {
	case t == nil && ctx.Err() != nil:
		// Another node has made it, and this one has not got to it in time.
		return bus.Topic{}, fmt.Errorf("create topic %q: %w", name, errUnknownOutcome(context.Cause(ctx)))
	case t == nil || t.ID != id:
		return bus.Topic{}, errUnknownTopic(name)
	}
	if err := n.openPartitions(ctx, t); err != nil {
		return bus.Topic{}, fmt.Errorf("create topic %q: %w", name, err)
	}
	return describe(t), nil
}

// openPartitions tells the data shards of a topic's partitions. Partitions that
// are open already stay as they are.
func (n *Node) openPartitions(ctx context.Context, t *state.Topic) error {
	byShard := make(map[uint64][]int32)
	for p, shard := range t.Shards {
		byShard[shard] = append(byShard[shard], int32(p))
	}
	for _, id := range n.data {
		partitions := byShard[id]
		if len(partitions) == 0 || n.shards[id].machine.hasPartition(state.PartitionID{Topic: t.ID, Partition: partitions[len(partitions)-1]}) {
			continue
		}
		_, _, _, err := n.Forwarding().call(ctx, n.shards[id], 10*len(partitions)+32, func(dst []byte) []byte {
			return encodeOpen(dst, t.ID, partitions)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteTopic deletes a topic with its records, group offsets and keys.
func (n *Node) DeleteTopic(ctx context.Context, name string) error {
	if err := n.topicOps.lock(ctx); err != nil {
		return fmt.Errorf("delete topic %q: %w", name, err)
	}
	defer n.topicOps.unlock()
	t := n.topic(name)
	code, body, _, err := n.call(ctx, n.shards[bus.MetaShard], len(name)+16, func(dst []byte) []byte {
		return encodeDeleteTopic(dst, name)
	})
	if err != nil {
		return fmt.Errorf("delete topic %q: %w", name, err)
	}
	if code == answerNoTopic {
		return errUnknownTopic(name)
	}
	r := &wire.Reader{Rest: body}
	id := r.Uint()
	n.turns.Delete(id)
	shards := n.data
	if t != nil && t.ID == id {
		shards = shardsOf(t)
	}
	err = n.dropTopic(ctx, id, shards)
	if err == nil {
		err = n.forgetRetention(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("delete topic %q: %w", name, err)
	}
	return nil
}

// forgetRetention removes the policies of a topic that is gone.
func (n *Node) forgetRetention(ctx context.Context, topic uint64) error {
	own := retentionPrefix + strconv.FormatUint(topic, 10)
	txn := bus.Txn{Shard: bus.MetaShard}
	for _, d := range n.Docs(bus.MetaShard, own) {
		if d.Key == own || strings.HasPrefix(d.Key, own+"/") {
			txn.Deletes = append(txn.Deletes, d.Key)
		}
	}
	if len(txn.Deletes) == 0 {
		return nil
	}
	_, err := n.Transact(ctx, txn)
	return err
}

// shardsOf are the shards that have partitions of a topic.
func shardsOf(t *state.Topic) []uint64 {
	return slices.Compact(slices.Sorted(slices.Values(t.Shards)))
}

// dropTopic tells shards that a topic is gone, also those of which this node has not heard
// yet that they had it.
func (n *Node) dropTopic(ctx context.Context, id uint64, shards []uint64) error {
	for _, shard := range shards {
		_, _, _, err := n.Forwarding().call(ctx, n.shards[shard], 16, func(dst []byte) []byte { return encodeDrop(dst, id) })
		if err != nil {
			return err
		}
	}
	return nil
}

// reconcile ends topic changes that a crash interrupted between the metadata
// shard and the data shards: partitions of a topic that is in the table are
// opened, those of one that is not are dropped.
func (n *Node) reconcile(ctx context.Context) error {
	if err := n.topicOps.lock(ctx); err != nil {
		return err
	}
	defer n.topicOps.unlock()
	stored := make(map[uint64][]uint64)
	for _, shard := range n.data {
		stored[shard] = n.shards[shard].machine.topicIDs()
	}
	// What is stored was in the table first.
	if err := n.Confirm(ctx, bus.MetaShard); err != nil {
		return err
	}
	known := make(map[uint64]bool)
	for _, t := range n.shards[bus.MetaShard].machine.topics() {
		known[t.ID] = true
		if err := n.openPartitions(ctx, t); err != nil {
			return err
		}
	}
	for _, shard := range n.data {
		for _, id := range stored[shard] {
			if known[id] {
				continue
			}
			if err := n.dropTopic(ctx, id, []uint64{shard}); err != nil {
				return err
			}
			if err := n.forgetRetention(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// place finds a topic and the shard of one of its partitions.
func (n *Node) place(topic string, partition int32) (*state.Topic, *shard, error) {
	t := n.topic(topic)
	if t == nil {
		return nil, nil, errUnknownTopic(topic)
	}
	if partition < 0 || int(partition) >= len(t.Shards) {
		return nil, nil, errUnknownPartition(topic, partition, int32(len(t.Shards)))
	}
	return t, n.shards[t.Shards[partition]], nil
}

// records finds the log of a partition.
func (n *Node) records(topic string, partition int32) (*log.Partition, *shard, error) {
	t, s, err := n.place(topic, partition)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.machine.find(state.PartitionID{Topic: t.ID, Partition: partition})
	if err != nil {
		return nil, nil, err
	}
	if p == nil {
		return nil, nil, errUnknownTopic(topic)
	}
	return p, s, nil
}

// heard is records for who has not to be told that there is no such topic only because
// this node has yet to hear of it, or of its partition: it asks who leads before it says so.
func (n *Node) heard(ctx context.Context, topic string, partition int32) (*log.Partition, *shard, error) {
	p, s, err := n.records(topic, partition)
	if f := fault.As(err); f == nil || f.Code != codeUnknownTopic {
		return p, s, err
	}
	if err := n.Confirm(ctx, bus.MetaShard); err != nil {
		return nil, nil, err
	}
	if _, s, err = n.place(topic, partition); err != nil {
		return nil, nil, err
	}
	if err := s.upToDate(ctx); err != nil {
		return nil, nil, err
	}
	return n.records(topic, partition)
}

// Partition tells where a partition stands on this node. It is NotFound "unknown_topic"
// also where this node has not heard of it yet.
func (n *Node) Partition(topic string, partition int32) (bus.Partition, error) {
	p, s, err := n.records(topic, partition)
	return standing(p, s, partition, err)
}

// Standing is Partition, and waits where this node has not heard of it yet: it is
// "unknown_topic" only by all that was acknowledged before the call.
func (n *Node) Standing(ctx context.Context, topic string, partition int32) (bus.Partition, error) {
	p, s, err := n.heard(ctx, topic, partition)
	return standing(p, s, partition, err)
}

func standing(p *log.Partition, s *shard, partition int32, err error) (bus.Partition, error) {
	if err != nil {
		return bus.Partition{}, err
	}
	return bus.Partition{
		Partition: partition, First: p.First(), Next: p.Next(), Bytes: p.SizeBytes(), Shard: s.id,
	}, nil
}

// Read reads whole frames from the one that holds from on, about maxBytes and
// at least one. buf is used again if it is large enough. Below the first offset
// the error is OutOfRange.
func (n *Node) Read(topic string, partition int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error) {
	p, s, err := n.records(topic, partition)
	if err != nil {
		return log.Frames{}, err
	}
	frames, err := p.Read(from, maxBytes, buf)
	if err != nil {
		return log.Frames{}, fmt.Errorf("read %s/%d at %d: %w", topic, partition, from, n.goneOr(topic, s, err))
	}
	return frames, nil
}

// goneOr turns the failure of a log that was closed under its reader into the
// reason: the topic was deleted, the node is going down, or it puts a snapshot in.
func (n *Node) goneOr(topic string, s *shard, err error) error {
	if f := fault.As(err); f == nil || f.Code != "partition_closed" {
		return err
	}
	switch {
	case n.topic(topic) == nil:
		return errUnknownTopic(topic)
	case s.machine.ended():
		return errShuttingDown()
	}
	return errRestoring(s.id)
}

// Wait returns a channel that is closed once the partition's next offset is
// above after, or the partition is gone.
func (n *Node) Wait(topic string, partition int32, after log.Offset) (<-chan struct{}, error) {
	p, _, err := n.records(topic, partition)
	if err != nil {
		return nil, err
	}
	return p.Wait(after), nil
}

// OffsetAtTime finds the first record whose append time is at least ms.
func (n *Node) OffsetAtTime(topic string, partition int32, ms int64) (log.Offset, error) {
	p, s, err := n.records(topic, partition)
	if err != nil {
		return 0, err
	}
	offset, err := p.OffsetAtTime(ms)
	return offset, n.goneOr(topic, s, err)
}

// turn deals partitions round-robin, a round of the coalescer at a time: what is
// proposed together lies together, so that many small appends are few frames. A
// client that waits for each answer has another partition every time.
func (n *Node) turn(t *state.Topic) int32 {
	have, ok := n.turns.Load(t.ID)
	if !ok {
		have, _ = n.turns.LoadOrStore(t.ID, new(turns))
	}
	taken := have.(*turns)
	for {
		was := taken.last.Load()
		partition := uint32(was) % uint32(len(t.Shards))
		if round := n.shards[t.Shards[partition]].coalescer.next(); uint32(was>>32) == round {
			return int32(partition)
		}
		partition = uint32(was+1) % uint32(len(t.Shards))
		round := n.shards[t.Shards[partition]].coalescer.next()
		if taken.last.CompareAndSwap(was, uint64(round)<<32|uint64(uint32(was+1))) {
			return int32(partition)
		}
	}
}

// turns is where the turns of a topic stand: the round of the last one in the upper
// half, the number of turns so far in the lower.
type turns struct{ last atomic.Uint64 }

// topicIDs lists the topics whose partitions a machine stores, ascending.
func (m *machine) topicIDs() []uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var ids []uint64
	for _, id := range m.state.Partitions() {
		ids = append(ids, id.Topic)
	}
	return slices.Compact(ids)
}
