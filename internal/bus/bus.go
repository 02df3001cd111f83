// Package bus holds the words that cluster, queries and api share: topics,
// appends, documents and transactions of the replicated log. It is types only:
// cluster satisfies the interfaces that api and queries declare in these words,
// and none of the three imports another.
package bus

import "leat/log"

// MetaShard is the raft group that holds the topic table and the query catalogue.
const MetaShard uint64 = 1

// AnyPartition in an Append leaves the choice to the node: by the hash of the
// key, else of the idempotency key, else round-robin.
const AnyPartition int32 = -1

// Topic is a named, partitioned log. ID is never reused: a topic that is deleted
// and created again is another topic.
type Topic struct {
	ID         uint64
	Name       string
	Partitions int32
	Internal   bool  // owned by a query; never listed, never reached over HTTP
	CreatedMs  int64 // log time
}

// Partition is the standing of one partition as this node sees it.
type Partition struct {
	Partition int32
	First     log.Offset // the first record there is
	Next      log.Offset // one past the last applied record
	Bytes     int64      // on disk, all segments
	Shard     uint64     // the raft group that replicates it
	Sealed    bool       // nothing will ever follow Next; never so in a replicated log
}

// Append asks for a block of records to become durable in one partition, all or
// nothing, with one append time.
type Append struct {
	Topic          string
	Partition      int32     // or AnyPartition
	Key            []byte    // steers AnyPartition only; the records carry their own
	Block          log.Block // owned by the callee until the call returns
	IdempotencyKey string    // "" for none
	// Async asks for an answer as soon as the append is queued on the leader. It
	// has a partition and nothing else; a crash may lose the append.
	Async bool
	// Everywhere asks for an answer once every node has the records, not only a
	// majority. Where that is not in time the error is Timeout "unknown_outcome", with
	// member committed true and the nodes that are missing.
	Everywhere bool
}

// Appended is where an append came to lie. A returned Appended is durable under
// the node's write concern.
type Appended struct {
	Partition int32
	Base      log.Offset // offset of the first record
	Count     int
	Duplicate bool   // the idempotency key was seen before; Base is the first copy's
	BatchID   uint64 // never 0: the raft index of the entry that holds the records
	QueueUs   int64  // waiting for a slot of the pipeline
	CommitUs  int64  // from the proposal to the answer
}

// GroupOffset names the standing of one consumer group in one partition.
type GroupOffset struct {
	Group     string
	Topic     string
	Partition int32
}

// Doc is a document of the replicated key space. Version is the document's cas
// number: it grows with every change of any document of the shard and is never
// reused; 0 = there is no such document. Times are log time, in ms.
type Doc struct {
	Key       string
	Value     []byte
	Version   uint64
	CreatedMs int64
	UpdatedMs int64
	ExpiresMs int64 // 0 = never
	TTLMs     int64 // in a Put: expire this long after it is applied; 0 = never
}

// DocChange is what happened to a document.
type DocChange struct {
	Key     string
	Version uint64
	Value   []byte // nil where the document is gone
	Gone    bool
	Expired bool // gone because its time had come
}

// Txn is a set of writes that become durable together, in one entry of one
// shard, or not at all. Who sees its documents can read its records, on every
// node. Every topic in Appends lives wholly in Shard.
type Txn struct {
	Shard   uint64
	Fence   *Fence   // nil = unconditional
	Appends []Append // partitions must be named, no idempotency keys
	Puts    []Doc    // Version is ignored on input
	Deletes []string // document keys
	Trims   []Trim   // logical truncations
}

// Fence refuses a whole transaction unless the document has this version
// (0 = must not exist); a refusal is a fault Conflict "fenced".
type Fence struct {
	Key     string
	Version uint64
}

// Trim moves the first offset of a partition forward.
type Trim struct {
	Topic     string
	Partition int32
	Before    log.Offset
}

// TxnResult is what an applied transaction produced: the base offset of each
// append, the version of each put, whether each delete found something, and how
// many records each trim took away, in order.
type TxnResult struct {
	Bases    []log.Offset
	Versions []uint64
	Deleted  []bool
	Trimmed  []int64
}

// Retention says what a partition keeps; 0 = no bound. Age goes by append time
// against log time, size by the bytes of the newest records on disk.
type Retention struct {
	TTLMs    int64 `json:"ttl_ms,omitempty"`
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// Shard is the standing of one raft group as this node sees it.
type Shard struct {
	ID           uint64
	LeaderID     uint64 // 0 = none known
	Term         uint64
	Applied      uint64 // raft index
	Checkpointed uint64 // raft index that a power cut cannot take the state behind
	QueuedBytes  int64  // of writes not yet proposed; asynchronous ones may be lost
	LogTimeMs    int64
	DocBytes     int64 // memory of the documents, about
	// Compared is the last raft index at which a majority of the nodes was seen to have
	// the state of this one, 0 = none yet.
	Compared uint64
}

// Membership is who belongs to a cluster.
type Membership struct {
	Cluster    string // the same on all its nodes and on no other, "" of a lone node
	DataShards int
	Members    []Member // by number; a member that is replaced by another of its name is not there
}

// Member is a node of a cluster as this node sees it.
type Member struct {
	ReplicaID uint64 // its number in every shard
	ID        string // its name
	URL       string // where clients reach it, "" = not known
	Reachable bool   // it has answered lately
	// Of a member of a cluster: where the other nodes reach it, which of the nodes are
	// preferred as leaders, and "voting", "joining", "leaving" or "removed".
	RaftAddress string
	Priority    int
	State       string
	// Lag is by how many raft entries it was behind the furthest node in each shard when
	// they were last asked; empty where it is not reachable.
	Lag map[uint64]int64
	// Diverged are the shards in which it was seen with another state than the majority.
	Diverged []uint64
}
