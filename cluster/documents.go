package cluster

import (
	"context"
	"fmt"
	"math"

	"leat/cluster/internal/wire"
	"leat/cluster/state"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// Doc finds a document of a shard in its local state.
func (n *Node) Doc(shard uint64, key string) (bus.Doc, bool) {
	s := n.shards[shard]
	if s == nil {
		return bus.Doc{}, false
	}
	d := s.machine.doc(key)
	return busDoc(key, d), d.Version != 0
}

func busDoc(key string, d state.Doc) bus.Doc {
	return bus.Doc{
		Key: key, Value: d.Value, Version: d.Version,
		CreatedMs: d.CreatedMs, UpdatedMs: d.UpdatedMs, ExpiresMs: d.ExpiresMs,
	}
}

// DocExpired tells whether a document that is not there expired not long ago:
// within the last five minutes of log time.
func (n *Node) DocExpired(shard uint64, key string) bool {
	s := n.shards[shard]
	return s != nil && s.machine.docExpired(key)
}

// DocsPage lists up to limit documents whose key begins with prefix and comes
// after another, by key.
func (n *Node) DocsPage(shard uint64, prefix, after string, limit int) []bus.Doc {
	s := n.shards[shard]
	if s == nil {
		return nil
	}
	return s.machine.docs(prefix, after, limit)
}

// DocChanges returns what happened to the documents whose key begins with prefix
// after a version, and the version that was reached; ok is false where the node
// no longer knows. A caller that has none asks for the present version first, by
// DocVersion.
func (n *Node) DocChanges(shard, since uint64, prefix string) (changes []bus.DocChange, next uint64, ok bool) {
	s := n.shards[shard]
	if s == nil {
		return nil, since, false
	}
	return s.machine.docChanges(since, prefix)
}

// DocVersion is the version of a shard's last change of any document.
func (n *Node) DocVersion(shard uint64) uint64 {
	s := n.shards[shard]
	if s == nil {
		return 0
	}
	return s.machine.docVersion()
}

// DocBytes is about the memory of a shard's documents, with those remembered as expired.
func (n *Node) DocBytes(shard uint64) int64 {
	s := n.shards[shard]
	if s == nil {
		return 0
	}
	return s.machine.docBytes()
}

// Docs lists the documents whose key begins with prefix, by key.
func (n *Node) Docs(shard uint64, prefix string) []bus.Doc {
	s := n.shards[shard]
	if s == nil {
		return nil
	}
	return s.machine.docs(prefix, "", math.MaxInt)
}

// DocsChanged returns a channel that is closed at the next change of any
// document of the shard, or when the shard stops.
func (n *Node) DocsChanged(shard uint64) <-chan struct{} {
	s := n.shards[shard]
	if s == nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return s.machine.docsChanged()
}

// DataShard picks the data shard for what goes by this name, always the same.
func (n *Node) DataShard(hint string) uint64 { return n.data[xxSum(hint)%uint64(len(n.data))] }

// Transact makes a set of writes of one shard durable, all or nothing. A fence
// that does not hold is a Conflict "fenced"; a Timeout may have been applied.
func (n *Node) Transact(ctx context.Context, t bus.Txn) (bus.TxnResult, error) {
	return n.transact(ctx, t, len(t.Appends)+len(t.Puts) > 0)
}

// transact is Transact; adds says whether it takes room that nodes do not keep for it.
func (n *Node) transact(ctx context.Context, t bus.Txn, adds bool) (bus.TxnResult, error) {
	s := n.shards[t.Shard]
	if s == nil {
		return bus.TxnResult{}, fault.New(fault.Internal, "internal", "there is no shard %d", t.Shard)
	}
	c, size, err := n.txnCommand(&t)
	if err != nil {
		return bus.TxnResult{}, err
	}
	code, body, _, err := n.do(ctx, s, order{size: size, encode: c.encode, adds: adds})
	if err != nil {
		return bus.TxnResult{}, fmt.Errorf("transaction in shard %d: %w", t.Shard, err)
	}
	w := &wire.Reader{Rest: body}
	switch code {
	case answerFenced:
		return bus.TxnResult{}, fault.New(fault.Conflict, "fenced",
			"document %q has version %d, not %d", t.Fence.Key, w.Uint(), t.Fence.Version)
	case answerNotOpen:
		return bus.TxnResult{}, fault.New(fault.NotFound, codeUnknownTopic, "a topic of the transaction is gone")
	}
	var result bus.TxnResult
	for range t.Appends {
		result.Bases = append(result.Bases, log.Offset(w.Uint()))
	}
	for range t.Puts {
		result.Versions = append(result.Versions, w.Uint())
	}
	for range t.Deletes {
		result.Deleted = append(result.Deleted, w.Uint() != 0)
	}
	for range t.Trims {
		result.Trimmed = append(result.Trimmed, int64(w.Uint()))
	}
	return result, w.Err
}

// txnCommand resolves the names of a transaction.
func (n *Node) txnCommand(t *bus.Txn) (c txnCommand, size int, err error) {
	size = 64
	if t.Fence != nil {
		c.fenced, c.fence, c.version = true, t.Fence.Key, t.Fence.Version
		size += len(c.fence)
	}
	for i := range t.Appends {
		a := &t.Appends[i]
		id, err := n.inShard(a.Topic, a.Partition, t.Shard)
		if err != nil {
			return c, 0, err
		}
		c.appends = append(c.appends, appendCommand{id: id, block: a.Block})
		size += c.appends[i].sizeBytes()
	}
	for _, d := range t.Puts {
		c.puts = append(c.puts, putCommand{key: d.Key, value: d.Value, ttlMs: d.TTLMs})
		size += len(d.Key) + len(d.Value) + 16
	}
	for _, key := range t.Deletes {
		c.deletes = append(c.deletes, key)
		size += len(key) + 8
	}
	for _, trim := range t.Trims {
		id, err := n.inShard(trim.Topic, trim.Partition, t.Shard)
		if err != nil {
			return c, 0, err
		}
		p, err := n.shards[t.Shard].machine.find(id)
		if err != nil {
			return c, 0, err
		}
		if p == nil {
			return c, 0, errUnknownTopic(trim.Topic)
		}
		c.trims = append(c.trims, state.Trim{ID: id, First: min(trim.Before, p.Next())})
		size += 32
	}
	return c, size, nil
}

// inShard finds a partition that has to be in one shard.
func (n *Node) inShard(topic string, partition int32, shard uint64) (state.PartitionID, error) {
	t, s, err := n.place(topic, partition)
	if err != nil {
		return state.PartitionID{}, err
	}
	if s.id != shard {
		return state.PartitionID{}, fault.New(fault.Internal, "internal",
			"%s/%d is in shard %d, not in %d", topic, partition, s.id, shard)
	}
	return state.PartitionID{Topic: t.ID, Partition: partition}, nil
}
