package queries

import (
	"context"
	"time"

	"leat/internal/bus"
	"leat/log"
)

// Topics is what queries need of the replicated log. Errors are faults.
type Topics interface {
	Topic(name string) (bus.Topic, bool)
	Partition(topic string, p int32) (bus.Partition, error)
	// Read is log.Partition.Read.
	Read(topic string, p int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error)
	// Wait returns a channel that is closed once Next is above after, and also when
	// the topic is deleted.
	Wait(topic string, p int32, after log.Offset) (<-chan struct{}, error)
	// Quiet tells how much is missing, in ms, until the partition has had no append for
	// a span of log time, 0 or less if it has had none, and the end of the partition,
	// which is not behind what the answer speaks of. A partition that never had a record
	// is quiet since its topic was created. Where nothing else does, it moves log time
	// up to the present.
	Quiet(ctx context.Context, topic string, p int32, spanMs int64) (leftMs int64, end log.Offset, err error)
	OffsetAtTime(topic string, p int32, ms int64) (log.Offset, error)
	// CreateInternal makes a topic of one partition that lies wholly in a shard. It is
	// idempotent.
	CreateInternal(ctx context.Context, name string, shard uint64) (bus.Topic, error)
	DeleteTopic(ctx context.Context, name string) error
	// Barrier returns once everything acknowledged before the call is visible to
	// local reads, in all shards.
	Barrier(ctx context.Context) error
}

// Documents is what queries need of the replicated documents. Errors are faults: a
// refused fence is Conflict "fenced"; after Unavailable and Timeout the transaction
// may have been applied, or may still be.
type Documents interface {
	Doc(shard uint64, key string) (bus.Doc, bool)
	// Docs lists the documents below a prefix, sorted by key.
	Docs(shard uint64, prefix string) []bus.Doc
	// DocsChanged is closed at the next change of any document of the shard.
	DocsChanged(shard uint64) <-chan struct{}
	Transact(ctx context.Context, t bus.Txn) (bus.TxnResult, error)
	// DataShard is the shard in which a new query's logs and checkpoint live.
	DataShard(hint string) uint64
}

// Values are the key-value namespaces that queries look things up in. Errors are faults.
type Values interface {
	// Fresh returns once Value gives everything that was acknowledged before the call. It
	// waits some seconds at most: Unavailable is a namespace that has no leader.
	Fresh(ctx context.Context, namespace string) error
	// Value is what a key holds, which nobody changes; ok is false where it holds nothing
	// or has expired. version is another one for each value that a key ever had.
	Value(namespace, key string) (value []byte, version uint64, ok bool)
}

// Leaders tells which shards this node leads. A query runs on the node that leads its
// shard.
type Leaders interface {
	Leads(shard uint64) bool
	// LeadersChanged is closed at the next change of what Leads answers.
	LeadersChanged() <-chan struct{}
}

// Clock is where a manager gets its time from. It paces epochs, retries and lag
// figures, never results.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}
