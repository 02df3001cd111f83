// Package fakebus is a replicated log and document store of one process, in memory,
// for tests: it satisfies what package queries asks for, with the real segment files
// of package log, and can lose, delay and repeat the outcome of transactions.
package fakebus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// Bus is the fake. All methods may be called at any time.
type Bus struct {
	mu      sync.Mutex
	files   *memory
	topics  map[string]*topic
	lastID  uint64
	mark    log.Mark
	docs    map[docKey]bus.Doc
	version uint64
	changed map[uint64]chan struct{}
	timeMs  int64 // append time
	nowMs   int64 // log time
	asked   int   // calls of Quiet
	applied func(bus.Txn)
	calls   int
	judge   func(call int, t bus.Txn) Outcome
	delayed []bus.Txn
	biggest int
}

type docKey struct {
	shard uint64
	key   string
}

type topic struct {
	bus.Topic
	shard uint64
	parts []*log.Partition
	last  []int64 // log time of the last append to each
}

// DataShard is the shard of all queries.
const DataShard uint64 = 2

// New makes an empty bus.
func New() *Bus {
	return &Bus{
		files: newMemory(), topics: map[string]*topic{},
		docs: map[docKey]bus.Doc{}, changed: map[uint64]chan struct{}{},
	}
}

// Interfere has judge decide what happens to each transaction, numbered from 0. It
// is called with the bus locked. nil lets all of them pass.
func (b *Bus) Interfere(judge func(call int, t bus.Txn) Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.judge, b.calls = judge, 0
}

// Watch has seen be called with each transaction that is applied, with the bus locked.
func (b *Bus) Watch(seen func(bus.Txn)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applied = seen
}

// SetTime sets the append time of the records that follow, epoch ms. Log time is the
// latest there was.
func (b *Bus) SetTime(ms int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timeMs = ms
	b.nowMs = max(b.nowMs, ms)
}

// Pass has log time go on.
func (b *Bus) Pass(ms int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nowMs += ms
}

// BiggestTxn is the size of the largest transaction seen: records and documents.
func (b *Bus) BiggestTxn() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.biggest
}

// CreateTopic makes a topic, which must not exist.
func (b *Bus) CreateTopic(name string, partitions int32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.create(name, partitions, bus.MetaShard, false)
	return err
}

// CreateInternal is queries.Topics.
func (b *Bus) CreateInternal(_ context.Context, name string, shard uint64) (bus.Topic, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.topics[name]; t != nil {
		return t.Topic, nil
	}
	return b.create(name, 1, shard, true)
}

func (b *Bus) create(name string, partitions int32, shard uint64, internal bool) (bus.Topic, error) {
	if b.topics[name] != nil {
		return bus.Topic{}, fault.New(fault.Conflict, "topic_exists", "topic %q exists", name)
	}
	b.lastID++
	t := &topic{shard: shard, Topic: bus.Topic{
		ID: b.lastID, Name: name, Partitions: partitions, Internal: internal, CreatedMs: b.timeMs,
	}}
	for i := range partitions {
		p, err := log.Open(fmt.Sprintf("/%d/%d", t.ID, i), log.Options{FS: b.files})
		if err != nil {
			return bus.Topic{}, fmt.Errorf("open partition: %w", err)
		}
		t.parts, t.last = append(t.parts, p), append(t.last, b.nowMs)
	}
	b.topics[name] = t
	return t.Topic, nil
}

// DeleteTopic is queries.Topics.
func (b *Bus) DeleteTopic(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	if t == nil {
		return unknownTopic(name)
	}
	delete(b.topics, name)
	for _, p := range t.parts {
		if err := p.Close(); err != nil {
			return fmt.Errorf("delete topic: %w", err)
		}
	}
	return nil
}

func unknownTopic(name string) error {
	return fault.New(fault.NotFound, "unknown_topic", "topic %q does not exist", name)
}

// Append adds records without keys to a partition, as one batch.
func (b *Bus) Append(topic string, p int32, values ...[]byte) error {
	var block log.Block
	for _, v := range values {
		block.Add(nil, v)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.append(bus.Append{Topic: topic, Partition: p, Block: block})
	return err
}

func (b *Bus) append(a bus.Append) (log.Offset, error) {
	t := b.topics[a.Topic]
	if t == nil {
		return 0, unknownTopic(a.Topic)
	}
	if a.Block.Count == 0 {
		return 0, fault.New(fault.Invalid, "empty_body", "an append without records")
	}
	b.mark++
	t.last[a.Partition] = b.nowMs
	return t.parts[a.Partition].Append(log.Batch{Mark: b.mark, TimeMs: b.timeMs, Blocks: []log.Block{a.Block}})
}

// Topic is queries.Topics.
func (b *Bus) Topic(name string) (bus.Topic, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.topics[name]; t != nil {
		return t.Topic, true
	}
	return bus.Topic{}, false
}

// TopicNames lists all topics, internal ones too.
func (b *Bus) TopicNames() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for name := range b.topics {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (b *Bus) partition(name string, p int32) (*topic, *log.Partition, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	if t == nil || int(p) >= len(t.parts) || p < 0 {
		return nil, nil, unknownTopic(name)
	}
	return t, t.parts[p], nil
}

// Partition is queries.Topics.
func (b *Bus) Partition(name string, p int32) (bus.Partition, error) {
	t, part, err := b.partition(name, p)
	if err != nil {
		return bus.Partition{}, err
	}
	return bus.Partition{
		Partition: p, First: part.First(), Next: part.Next(), Bytes: part.SizeBytes(), Shard: t.shard,
	}, nil
}

// Trim moves the first offset of a partition forward.
func (b *Bus) Trim(name string, p int32, before log.Offset) error {
	_, part, err := b.partition(name, p)
	if err != nil {
		return err
	}
	part.Trim(before)
	return nil
}

// Read is queries.Topics.
func (b *Bus) Read(name string, p int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error) {
	_, part, err := b.partition(name, p)
	if err != nil {
		return log.Frames{}, err
	}
	return part.Read(from, maxBytes, buf)
}

// Wait is queries.Topics.
func (b *Bus) Wait(name string, p int32, after log.Offset) (<-chan struct{}, error) {
	_, part, err := b.partition(name, p)
	if err != nil {
		return nil, err
	}
	return part.Wait(after), nil
}

// AskedQuiet is how often Quiet was called.
func (b *Bus) AskedQuiet() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// Quiet is queries.Topics.
func (b *Bus) Quiet(ctx context.Context, name string, p int32, spanMs int64) (leftMs int64, end log.Offset, err error) {
	t, part, err := b.partition(name, p)
	if err != nil {
		return 0, 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return spanMs - (b.nowMs - t.last[p]), part.Next(), ctx.Err()
}

// OffsetAtTime is queries.Topics.
func (b *Bus) OffsetAtTime(name string, p int32, ms int64) (log.Offset, error) {
	_, part, err := b.partition(name, p)
	if err != nil {
		return 0, err
	}
	return part.OffsetAtTime(ms)
}

// Barrier is queries.Topics: everything is visible at once.
func (b *Bus) Barrier(ctx context.Context) error { return ctx.Err() }

// Doc is queries.Documents.
func (b *Bus) Doc(shard uint64, key string) (bus.Doc, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.docs[docKey{shard, key}]
	return d, ok
}

// Docs is queries.Documents.
func (b *Bus) Docs(shard uint64, prefix string) []bus.Doc {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []bus.Doc
	for k, d := range b.docs {
		if k.shard == shard && strings.HasPrefix(k.key, prefix) {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(x, y bus.Doc) int { return strings.Compare(x.Key, y.Key) })
	return list
}

// DocsChanged is queries.Documents.
func (b *Bus) DocsChanged(shard uint64) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed[shard] == nil {
		b.changed[shard] = make(chan struct{})
	}
	return b.changed[shard]
}

// DataShard is queries.Documents.
func (b *Bus) DataShard(string) uint64 { return DataShard }
