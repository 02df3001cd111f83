package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"time"

	"leat/internal/bus"
	"leat/log"
	"leat/queries"
)

// Topics is what the log calls need of a node. Every method is safe for
// concurrent use; errors are faults.
type Topics interface {
	// CreateTopic is idempotent; another partition count is Conflict "topic_exists".
	CreateTopic(ctx context.Context, name string, partitions int32) (bus.Topic, error)
	DeleteTopic(ctx context.Context, name string) error
	Topic(name string) (bus.Topic, bool)
	ListTopics() []bus.Topic // sorted by name, no internal ones
	Partition(topic string, p int32) (bus.Partition, error)
	// Standing is Partition, and waits where this node has yet to hear of a partition that
	// was made through another one.
	Standing(ctx context.Context, topic string, p int32) (bus.Partition, error)
	// Append returns once the block is durable. When the deadline of ctx passes
	// before the outcome is known the error is Timeout "unknown_outcome"; without
	// a quorum it is Unavailable "no_quorum".
	Append(ctx context.Context, a bus.Append) (bus.Appended, error)
	Read(topic string, p int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error)
	// Wait returns a channel that is closed once the partition's next offset is
	// above after.
	Wait(topic string, p int32, after log.Offset) (<-chan struct{}, error)
	// CommitGroup moves a group's standing forward, never back, and says where it
	// stands afterwards.
	CommitGroup(ctx context.Context, g bus.GroupOffset, offset log.Offset) (committed log.Offset, err error)
	Committed(g bus.GroupOffset) (log.Offset, bool)
	// Groups lists the groups after a name that committed in any partition of a
	// topic, sorted, so many at most.
	Groups(topic, after string, limit int) []string
}

// Documents is what the key-value calls need of a node. Every method is safe for
// concurrent use; errors are faults.
type Documents interface {
	// DataShard picks the shard of a name, always the same.
	DataShard(hint string) uint64
	// Confirm returns once everything acknowledged before it, by any node, can be
	// read here.
	Confirm(ctx context.Context, shard uint64) error
	// Doc, DocExpired, DocsPage, DocChanges and DocVersion read this node's state.
	Doc(shard uint64, key string) (bus.Doc, bool)
	DocExpired(shard uint64, key string) bool
	// DocsPage lists up to limit documents with the prefix whose key is above
	// after, by key.
	DocsPage(shard uint64, prefix, after string, limit int) []bus.Doc
	// DocChanges returns what happened to documents with the prefix after a
	// version, and the version reached; ok is false where that is forgotten.
	DocChanges(shard, since uint64, prefix string) (changes []bus.DocChange, next uint64, ok bool)
	DocVersion(shard uint64) uint64
	// DocsChanged returns a channel that is closed at the next change in the shard.
	DocsChanged(shard uint64) <-chan struct{}
	// Transact is all or nothing; a fence that does not hold is Conflict "fenced".
	Transact(ctx context.Context, t bus.Txn) (bus.TxnResult, error)
}

// Trimming is what the calls that take records away need of a node.
type Trimming interface {
	// DeleteBefore answers how many records and bytes of disk it freed.
	DeleteBefore(ctx context.Context, topic string, partition int32, before log.Offset) (records, freed int64, err error)
	// SetRetention sets the policy of a topic, of one of its partitions, or of all
	// topics ("*") without their own; the zero policy takes it away.
	SetRetention(ctx context.Context, topic string, partition int32, r bus.Retention) error
}

// Cluster tells where the node and its shards stand.
type Cluster interface {
	ID() uint64
	Shards() []bus.Shard // the metadata shard first
	DocBytes(shard uint64) int64
	RaftLogBytes() int64
	// Members are the nodes of the cluster, none for a lone node.
	Members() []bus.Member
	// Transfer makes another node the leader of a shard that this one leads:
	// NotFound "not_found", NotLeader "not_leader", Unavailable "not_ready".
	Transfer(ctx context.Context, shard, replica uint64) error
	// Membership is who belongs to the cluster by all that was acknowledged before, no
	// members for a lone node.
	Membership(ctx context.Context) (bus.Membership, error)
	// AddMember has a node take part, RemoveMember no longer, and return it as it is now;
	// the same again changes nothing. replaces is the number of a member of that name
	// which has lost its data directory, or 0. NotFound "not_found"; Conflict
	// "not_clustered", "member_exists", "membership_changing", "quorum_at_risk";
	// Exhausted "quota_exceeded"; NotLeader "not_leader".
	AddMember(ctx context.Context, m bus.Member, replaces uint64) (bus.Member, error)
	RemoveMember(ctx context.Context, id string) (bus.Member, error)
}

// Readiness tells whether the node can serve: nil, or why not.
type Readiness interface{ Ready() error }

// Queries is what the query calls need. Every method is safe for concurrent use;
// errors are faults: NotFound "unknown_query" for a name that is not there,
// Conflict "query_exists", and for a bad spec code "invalid_query" with members
// pointer, line, column and problems.
type Queries interface {
	// Create takes a spec as it was sent; body belongs to the caller again when it
	// returns.
	Create(ctx context.Context, body []byte) (CreatedQuery, error)
	// Validate refuses what Create would refuse and stores nothing.
	Validate(ctx context.Context, body []byte) (warnings []string, err error)
	// Preview runs a spec over the last records of its source and stores nothing. It
	// answers what there is when ctx ends.
	Preview(ctx context.Context, body []byte, records, limit int) (Preview, error)
	// Sources are the topics that a query reads.
	Sources(name string) ([]string, error)
	Get(name string) (QueryStatus, error)
	List() []QueryStatus // sorted by name
	Delete(ctx context.Context, name string) error
	// Pause and Resume change nothing where the query is in that state already;
	// Restart always starts it anew, with empty results.
	Pause(ctx context.Context, name string) error
	Resume(ctx context.Context, name string) error
	Restart(ctx context.Context, name string) error
	// Plan prints the plan in the format json, text or mermaid.
	Plan(ctx context.Context, name, format string) ([]byte, error)
	// Results returns at most limit rows from offset on, fewer where they are
	// large; none where offset is the next one or above.
	Results(ctx context.Context, name string, offset log.Offset, limit int) (Rows, error)
	// WaitResults returns a channel that is closed once there is a row at or above
	// after, or the standing of the query changed for good.
	WaitResults(name string, after log.Offset) (<-chan struct{}, error)
	// View returns the latest row of a group, and of one window if windowStart is not
	// nil: NotFound "not_found" where there is none, Unprocessable "not_grouped",
	// Invalid "invalid_parameter" for another number of keys.
	View(ctx context.Context, name string, keys []string, windowStart *int64) (json.RawMessage, error)
	Late(ctx context.Context, name string, offset log.Offset, limit int) (Rows, error)
	DeadLetters(ctx context.Context, name string, offset log.Offset, limit int) (Rows, error)
}

// CreatedQuery is the answer of Queries.Create. Existing tells that the same spec
// was there already.
type CreatedQuery struct {
	Name     string
	Warnings []string
	Existing bool
}

// Preview is what Queries.Preview found. Counts is marshalled to JSON as it is.
type Preview struct {
	Rows      []json.RawMessage
	Counts    any
	Truncated bool // the time was over
}

// QueryStatus is the standing of one query. Status is marshalled to JSON as it is.
// Topics are the source topics, which a token has to cover for the query to show.
type QueryStatus struct {
	Name    string
	Topics  []string
	Status  any
	Figures QueryFigures
}

// Rows is a run of rows of one of a query's own logs.
//
// Invariant: the logs are dense, so the last row has offset Next-1; Next is the
// offset asked for where there are no rows.
type Rows struct {
	Rows      []json.RawMessage // one JSON value each
	Next      log.Offset
	Run       string // changes where the query is started anew, from row 0
	Complete  bool   // a bounded run ended and nothing follows Next
	Watermark *int64 // epoch milliseconds, nil where there is none yet
	Stopped   error  // why the query stopped for good, nil while it runs
}

// Limits bound what one client can make the server do. A zero field means its
// default.
type Limits struct {
	BodyBytes         int           // request body, 16 MiB
	RecordBytes       int           // key and value of one record, 1 MiB
	ResponseBytes     int           // a consume answer ends at the message that reaches it, 16 MiB
	InFlightBytes     int64         // bodies above 64 KiB being received or worked on, together, 256 MiB
	DocumentBytes     int64         // memory of the documents of one shard, 1 GiB
	Questions         int           // one-shot queries and joins at a time, 4; each keeps up to 256 MiB
	Partitions        int           // of a topic, 256
	DefaultPartitions int           // of a topic whose creator does not say, 8
	Connections       int           // at once, 16384
	ReadTimeout       time.Duration // for a whole request to arrive, 30 s
	WriteTimeout      time.Duration // for an answer, or one part of a stream, to be taken, 30 s
	IdleTimeout       time.Duration // between requests of a connection, 2 min
	CallTimeout       time.Duration // for a call without timeout_ms, 5 s
	LongPoll          time.Duration // longest wait_ms and timeout_ms, 30 s
	Heartbeat         time.Duration // between heartbeats of a stream, 5 s
	Drain             time.Duration // for requests in flight at shutdown, 5 s
}

func orElse[T int | int64 | time.Duration](value *T, fallback T) {
	if *value <= 0 {
		*value = fallback
	}
}

func (l Limits) withDefaults() Limits {
	orElse(&l.BodyBytes, 16<<20)
	orElse(&l.RecordBytes, 1<<20)
	orElse(&l.ResponseBytes, 16<<20)
	orElse(&l.InFlightBytes, 256<<20)
	orElse(&l.DocumentBytes, 1<<30)
	orElse(&l.Questions, 4)
	orElse(&l.Partitions, 256)
	orElse(&l.DefaultPartitions, min(8, l.Partitions))
	orElse(&l.Connections, 16384)
	orElse(&l.ReadTimeout, 30*time.Second)
	orElse(&l.WriteTimeout, 30*time.Second)
	orElse(&l.IdleTimeout, 2*time.Minute)
	orElse(&l.CallTimeout, 5*time.Second)
	orElse(&l.LongPoll, 30*time.Second)
	orElse(&l.Heartbeat, 5*time.Second)
	orElse(&l.Drain, 5*time.Second)
	return l
}

// Config is what a Server is made of. The interfaces are required.
type Config struct {
	Topics    Topics
	Documents Documents
	Trimming  Trimming
	Cluster   Cluster
	Queries   Queries
	Schemas   Schemas
	Formats   queries.OneShotFormats // nil: one-shot forms read JSON only
	Readiness Readiness
	Tokens    Tokens // empty = open, unless Dev
	Limits    Limits
	URL       string      // under which clients reach this node; "" = the address of the listener
	TLS       *tls.Config // of the connections of clients; nil = they are not encrypted
	Version   string      // of the program, "" = not said
	NodeID    string      // the name of a lone node, or of this one among the members; "1" if empty
	Dev       bool        // token "dev" is known, and produce creates topics
	// Everywhere has a produce call that names no mode and no acks answered once every
	// node has the records.
	Everywhere bool
	Rocket     bool // a produce call that names no mode is answered once it is queued
	Clock      func() time.Time
	Logger     *slog.Logger
}
