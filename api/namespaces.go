package api

import (
	"context"

	"leat/internal/bus"
	"leat/internal/fault"
)

// Namespaces are the rules of the key-value calls for those who read and write
// namespaces by another way, as queries do. It is safe for concurrent use.
type Namespaces struct {
	documents spaces
	cluster   Cluster
	limits    Limits
}

// spaces is what Namespaces need of Documents.
type spaces interface {
	DataShard(hint string) uint64
	Confirm(ctx context.Context, shard uint64) error
	Doc(shard uint64, key string) (bus.Doc, bool)
}

// NewNamespaces makes them. limits are those of the server.
func NewNamespaces(documents Documents, cluster Cluster, limits Limits) *Namespaces {
	return &Namespaces{documents: documents, cluster: cluster, limits: limits.withDefaults()}
}

// Space is where a namespace lies: its shard, and what the keys of its documents begin
// with.
func (n *Namespaces) Space(namespace string) (shard uint64, prefix string) {
	prefix = spacePrefix(namespace)
	return n.documents.DataShard(spaceName(prefix)), prefix
}

// Fresh returns once Value gives what had been acknowledged before the call, by any
// node. It waits as long as a call without timeout_ms does: then it is Unavailable
// "no_quorum".
func (n *Namespaces) Fresh(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, n.limits.CallTimeout)
	defer cancel()
	shard, _ := n.Space(namespace)
	return n.documents.Confirm(ctx, shard)
}

// Value is what a key holds in this node's state, and its version, which no other value
// of the key ever has; ok is false where it holds nothing or has expired.
func (n *Namespaces) Value(namespace, key string) (value []byte, version uint64, ok bool) {
	shard, prefix := n.Space(namespace)
	doc, ok := n.documents.Doc(shard, prefix+key)
	return doc.Value, doc.Version, ok
}

// spacePrefix begins the keys of a namespace's documents: "kv/", the namespace and a
// zero byte.
func spacePrefix(namespace string) string { return "kv/" + namespace + "\x00" }

// spaceName is what picks the shard of a namespace, given its prefix.
func spaceName(prefix string) string { return prefix[:len(prefix)-1] }

// Check refuses what a call would refuse: Invalid "invalid_key", TooLarge
// "value_too_large".
func (n *Namespaces) Check(key string, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(value) > n.limits.RecordBytes {
		return fault.New(fault.TooLarge, "value_too_large", "The value has %d bytes, and %d is the limit", len(value), n.limits.RecordBytes)
	}
	return nil
}

// Room is Exhausted "quota_exceeded" where the shard has as many documents as it may.
func (n *Namespaces) Room(shard uint64) error { return roomForDocuments(n.cluster, n.limits, shard) }

func roomForDocuments(cluster Cluster, limits Limits, shard uint64) error {
	if held := cluster.DocBytes(shard); held >= limits.DocumentBytes {
		return fault.New(fault.Exhausted, "quota_exceeded", "The documents of the namespace's shard take %d bytes, and %d is the limit",
			held, limits.DocumentBytes).With("limit_bytes", limits.DocumentBytes)
	}
	return nil
}
