// Package cluster makes the log durable and replicated: it runs raft groups
// (dragonboat), the state machines that keep partitions and documents, and the
// coalescers that turn many small writes into few raft entries. It replicates
// bytes and documents and knows no query.
//
// Node is what the rest of the program sees. It serves the metadata shard (the
// topic table, the query catalogue) and the data shards (records, group offsets,
// idempotency keys, the queries' own logs and checkpoints).
package cluster

import (
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"leat/cluster/peer"
	"leat/internal/bus"
	"leat/log"
)

// Config says how a node runs. The zero value of a field stands for its default
// but for Dir.
type Config struct {
	// Dir holds everything the node keeps. It is locked while the node runs.
	Dir string
	// FS is the file system under segments, state and raft log.
	FS log.FS
	// BootID tells one run of the kernel, and so one page cache, from another.
	// The kernel's own by default; where there is none, every start is taken to
	// follow a power cut.
	BootID string
	// NodeID is the name of this node among Members.
	NodeID string
	// Members are all nodes of the cluster, this one too; with fewer than two the
	// node runs alone, and NodeID, URL and RaftListener mean nothing.
	Members []Member
	// Invitation has a new directory join a cluster that runs already. A directory that
	// has joined one remembers it, and Members then only say where nodes are.
	Invitation *Invitation
	// URL is where clients reach this node.
	URL string
	// RaftListener is where the other nodes reach this one. Open owns it.
	RaftListener net.Listener
	// Credentials secure the connections between the nodes, nil = none do.
	Credentials *peer.Credentials
	// DataShards is the number of raft groups that new topics are spread over, by
	// default 1 alone and in a cluster one for each member with the highest priority, so
	// that each of them leads some. More do not make one node faster: they split its
	// group commit. It counts at the first start of a directory only, and is the same on
	// all nodes.
	DataShards int
	// Depth is how many proposals of a shard are under way at once, by default 4
	// alone and 2 in a cluster.
	Depth int
	// RaftLogBytes is how much is written to the raft log until shards take a snapshot
	// and compact, by default 16 MiB alone and 192 in a cluster, where a node that
	// is behind by more needs a snapshot. A start reads what came after it again.
	RaftLogBytes int64
	// MaxPartitions bounds the partitions of all topics together, 20,000 by
	// default: one costs two descriptors and about 4 KiB of memory.
	MaxPartitions int
	// MaxGroups bounds the group offsets of a shard, a million by default: one
	// costs about 150 bytes of memory besides the group's name.
	MaxGroups int
	// CheckpointEvery is how often the node makes its state durable in the
	// background, 2 s by default. It bounds what a start after a power cut has
	// to apply again, not what is safe.
	CheckpointEvery time.Duration
	// CompareEvery is how often the leader of a shard of a cluster has the state of the
	// replicas compared, 30 s by default.
	CompareEvery time.Duration
	// Clock is the wall clock. Log time is anchored to it alone, and in a cluster to what
	// the clocks of the nodes agree on, when the node is elected.
	Clock func() time.Time
	// Logger receives the node's own messages and dragonboat's errors; the rest of
	// what dragonboat says is at the debug level.
	Logger *slog.Logger
}

const (
	firstDataShard = bus.MetaShard + 1
	maxDataShards  = 64
	defaultDepth   = 4
	clusterDepth   = 2
	defaultRaftLog = 16 << 20
	clusterRaftLog = 192 << 20
	// indexBytes is how much is written to the raft log before its index is saved anew:
	// reading that much takes a millisecond.
	indexBytes = 1 << 20
	// verifyBytes is how much of the raft log that a start took on trust is verified
	// with each checkpoint.
	verifyBytes     = 16 << 20
	maxPartitions   = 20_000
	maxGroups       = 1_000_000
	checkpointEvery = 2 * time.Second
	compareEvery    = 30 * time.Second
	// expireEvery is how late a document may expire by the leader's clock.
	expireEvery = 50 * time.Millisecond
	// proposeTimeout bounds how long a proposal is waited for. Callers give up
	// earlier by their context; this is when the pipeline's place is freed.
	proposeTimeout = 30 * time.Second
	// confirmTimeout is when a confirmation of reads is asked for anew.
	confirmTimeout = 2 * time.Second
	// handOver is how long a proposal is waited for after its leader has ceased to lead.
	handOver = 500 * time.Millisecond
	// retryEvery is how often what may yet succeed is tried while nothing changes.
	retryEvery = 10 * time.Millisecond
	// queueBytes bounds what waits to be sent to a node, and what came from one.
	queueBytes = 256 << 20
)

// clustered tells whether the node has peers.
func (c *Config) clustered() bool { return len(c.Members) > 1 || c.Invitation != nil }

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = log.OS()
	}
	if c.BootID == "" {
		c.BootID = kernelBootID(c.Clock)
	}
	if c.DataShards <= 0 {
		c.DataShards = max(1, foremost(c.Members))
	}
	c.DataShards = min(c.DataShards, maxDataShards)
	if c.Depth <= 0 {
		c.Depth = defaultDepth
		if c.clustered() {
			c.Depth = clusterDepth
		}
	}
	if c.RaftLogBytes <= 0 {
		c.RaftLogBytes = defaultRaftLog
		if c.clustered() {
			c.RaftLogBytes = clusterRaftLog
		}
	}
	if c.MaxPartitions <= 0 {
		c.MaxPartitions = maxPartitions
	}
	if c.MaxGroups <= 0 {
		c.MaxGroups = maxGroups
	}
	if c.CheckpointEvery <= 0 {
		c.CheckpointEvery = checkpointEvery
	}
	if c.CompareEvery <= 0 {
		c.CompareEvery = compareEvery
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// kernelBootID reads the id Linux gives each boot. Without one the time stands
// in, which no later start repeats.
func kernelBootID(clock func() time.Time) string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err == nil {
		return strings.TrimSpace(string(id))
	}
	if clock == nil {
		clock = time.Now
	}
	return clock().UTC().Format(time.RFC3339Nano)
}
