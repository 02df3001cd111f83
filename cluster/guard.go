package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"leat/internal/fault"
	"leat/log"
)

// rememberTimeout bounds how long a node that starts waits for the others to say whether
// they remember more of it.
const rememberTimeout = 500 * time.Millisecond

// Raft relies on what a replica has promised: that it keeps the entries it said it had
// stored, and its votes. What follows refuses to start a replica that has lost them,
// before raft hears of it. The raft log's own checks are in package raftlog; they see
// damage, and an end that is missing where something remembers that it was there. What
// remembers here is the state of the shards, the directory's identity, and other nodes.

// Examine tells which node of a cluster a data directory is of, "" where it is new, and
// why no node may run on it, as far as that can be seen without starting one. It changes
// nothing. Errors are faults of what Open would refuse.
func Examine(dir string) (node string, err error) {
	c := Config{Dir: dir, FS: log.OS()}
	if err := refuseDiverged(c); err != nil {
		return "", err
	}
	data, err := readFile(c.FS, identityName(c))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if err := checkSeal(identityName(c), data, sumMark); err != nil {
		return "", err
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		return "", fault.New(fault.Corrupt, "corrupt", "%s: %w", identityName(c), err)
	}
	if id.Format == loneFormat {
		return "", fault.New(fault.Conflict, "other_node", "%s belongs to a node that runs alone", dir)
	}
	if _, err := readPeers(c.FS, peersFile(c)); err != nil {
		return "", err
	}
	return id.RaftAddress, (&Node{core: &core{config: c, identity: id}}).checkBegun()
}

// checkBegun refuses a directory that has had a raft log and has none.
func (n *Node) checkBegun() error {
	if !n.identity.Begun {
		return nil
	}
	dir := filepath.Join(n.config.Dir, "raft")
	names, err := n.config.FS.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(names) == 0 {
		return fault.New(fault.Corrupt, "log_truncated", "%s is empty or gone, and this node has had a raft log", dir).With("file", dir)
	}
	return nil
}

// begun notes that there is a raft log from now on.
func (n *Node) begun() error {
	if n.identity.Begun {
		return nil
	}
	n.identity.Begun = true
	return n.identity.write(n.config, identityName(n.config))
}

// checkEnds refuses a raft log that ends before what a shard has applied of it, and a
// shard that has applied less than the raft log has let go of.
func (n *Node) checkEnds() error {
	db := n.raftLog.db.Load()
	for _, id := range n.shardIDs() {
		applied, last := n.shards[id].machine.appliedIndex(), db.DurableIndex(id, n.identity.ReplicaID)
		if last < applied {
			dir := filepath.Join(n.config.Dir, "raft")
			return fault.New(fault.Corrupt, "log_truncated", "the raft log in %s ends for shard %d at entry %d, and the shard has applied entry %d", dir, id, last, applied).With("file", dir)
		}
		snapshot, err := db.GetSnapshot(id, n.identity.ReplicaID)
		if err != nil {
			return err
		}
		if snapshot.Dummy && snapshot.OnDiskIndex > applied {
			return fault.New(fault.Corrupt, "corrupt", "shard %d is at entry %d, and the raft log relies on it to have applied entry %d", id, applied, snapshot.OnDiskIndex)
		}
	}
	return nil
}

// checkRemembered asks the others whether they have seen this node with more than it
// has: then its directory is an old copy. Who does not answer cannot tell.
func (n *Node) checkRemembered() error {
	if n.network == nil {
		return nil
	}
	db := n.raftLog.db.Load()
	ends := make(map[uint64]uint64)
	for _, id := range n.shardIDs() {
		ends[id] = db.DurableIndex(id, n.identity.ReplicaID)
	}
	return n.probe(rememberTimeout, ends)
}

// probe asks the other nodes whether they would let this one in, and returns why one
// would not where that is for good.
func (n *Node) probe(timeout time.Duration, ends map[uint64]uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	peers := n.roster.Load().peers
	refused := make(chan error, len(peers))
	for _, p := range peers {
		go func() { refused <- n.network.Probe(ctx, p.ID, ends) }()
	}
	for range peers {
		// Who is not there yet cannot tell, nor who has not heard yet that this one was added.
		if err := <-refused; fault.KindOf(err) == fault.Conflict && fault.As(err).Code != "not_a_member" {
			return err
		}
	}
	return nil
}
