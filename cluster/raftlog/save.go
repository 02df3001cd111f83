package raftlog

import (
	"fmt"

	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"
)

// SaveRaftState writes the states, entries and received snapshots of the
// updates as one round: after a crash either all of them are there or none.
// Calls made at the same time share a sync. The worker's number is not used.
func (db *DB) SaveRaftState(updates []pb.Update, _ uint64) error {
	r := db.free.round()
	defer db.free.putRound(r)
	sync, err := db.encode(r, updates)
	if err != nil {
		return fmt.Errorf("save raft state: %w", err)
	}
	rolled, err := db.write(r, sync)
	if err != nil {
		return fmt.Errorf("save raft state: %w", err)
	}
	if sync {
		db.noteDurable(updates)
	}
	if rolled {
		if err := db.freeSegments(); err != nil {
			return fmt.Errorf("save raft state: %w", err)
		}
	}
	return nil
}

// encode builds the round of the updates. sync says whether raft needs it to be
// durable: for anything except a commit index.
func (db *DB) encode(r *round, updates []pb.Update) (sync bool, err error) {
	for i := range updates {
		u := &updates[i]
		state, snapIndex := db.known(u.ShardID, u.ReplicaID)
		if !pb.IsEmptySnapshot(u.Snapshot) && u.Snapshot.Index > snapIndex {
			sync = true
			if err := r.addSnapshot(u.ShardID, u.ReplicaID, u.Snapshot, flagInstalled); err != nil {
				return false, err
			}
		}
		if len(u.EntriesToSave) > 0 {
			sync = true
			if err := r.addEntries(u.ShardID, u.ReplicaID, u.EntriesToSave); err != nil {
				return false, err
			}
		}
		if pb.IsEmptyState(u.State) || pb.IsStateEqual(u.State, state) {
			continue
		}
		sync = sync || u.State.Term != state.Term || u.State.Vote != state.Vote
		if err := r.addState(u.ShardID, u.ReplicaID, u.State); err != nil {
			return false, err
		}
	}
	return sync, nil
}

// known returns the state and the index of the snapshot of a replica. Only the
// replica's own worker changes its state, so it stays true until that worker
// writes again.
func (db *DB) known(shardID, replicaID uint64) (pb.State, uint64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if r := db.replicas[raftio.NodeInfo{ShardID: shardID, ReplicaID: replicaID}]; r != nil {
		return r.state, r.snapIndex
	}
	return pb.State{}, 0
}

// noteDurable raises the durable indexes after the sync of the updates. A
// replica's entries come from one worker, one call at a time, so the last index
// of a replica in the updates is the last one it has.
func (db *DB) noteDurable(updates []pb.Update) {
	db.mu.Lock()
	for i := range updates {
		u := &updates[i]
		if r := db.replicas[raftio.NodeInfo{ShardID: u.ShardID, ReplicaID: u.ReplicaID}]; r != nil &&
			(len(u.EntriesToSave) > 0 || !pb.IsEmptySnapshot(u.Snapshot)) {
			r.durable = max(r.durable, r.lastIndex())
		}
	}
	db.mu.Unlock()
	if db.onDurable == nil {
		return
	}
	for i := range updates {
		if n := len(updates[i].EntriesToSave); n > 0 {
			db.onDurable(updates[i].ShardID, updates[i].EntriesToSave[n-1].Index)
		}
	}
}

// SaveSnapshots writes the metadata of snapshots the replicas made of
// themselves. One that is not newer than the last is ignored.
func (db *DB) SaveSnapshots(updates []pb.Update) error {
	r := db.free.round()
	defer db.free.putRound(r)
	for i := range updates {
		u := &updates[i]
		if pb.IsEmptySnapshot(u.Snapshot) {
			continue
		}
		if err := r.addSnapshot(u.ShardID, u.ReplicaID, u.Snapshot, 0); err != nil {
			return fmt.Errorf("save snapshots: %w", err)
		}
	}
	if _, err := db.write(r, true); err != nil {
		return fmt.Errorf("save snapshots: %w", err)
	}
	return nil
}

// SaveBootstrapInfo writes what a replica was started with.
func (db *DB) SaveBootstrapInfo(shardID, replicaID uint64, b pb.Bootstrap) error {
	r := db.free.round()
	defer db.free.putRound(r)
	err := r.addBootstrap(shardID, replicaID, b)
	if err == nil {
		_, err = db.write(r, true)
	}
	if err != nil {
		return fmt.Errorf("save bootstrap of shard %d replica %d: %w", shardID, replicaID, err)
	}
	return nil
}

// RemoveNodeData writes that the replica no longer exists and frees the
// segments only it needed.
func (db *DB) RemoveNodeData(shardID, replicaID uint64) error {
	r := db.free.round()
	defer db.free.putRound(r)
	err := r.add(header{kind: typeRemoval, shard: shardID, replica: replicaID}, nil)
	if err == nil {
		_, err = db.write(r, true)
	}
	if err == nil {
		err = db.freeSegments()
	}
	if err != nil {
		return fmt.Errorf("remove shard %d replica %d: %w", shardID, replicaID, err)
	}
	return nil
}

// ImportSnapshot replaces everything about the replica by the snapshot.
func (db *DB) ImportSnapshot(ss pb.Snapshot, replicaID uint64) error {
	r := db.free.round()
	defer db.free.putRound(r)
	err := r.add(header{kind: typeRemoval, shard: ss.ShardID, replica: replicaID}, nil)
	if err == nil {
		err = r.addBootstrap(ss.ShardID, replicaID, pb.Bootstrap{Join: true, Type: ss.Type})
	}
	if err == nil {
		err = r.addState(ss.ShardID, replicaID, pb.State{Term: ss.Term, Commit: ss.Index})
	}
	if err == nil {
		err = r.addSnapshot(ss.ShardID, replicaID, ss, flagInstalled)
	}
	if err == nil {
		_, err = db.write(r, true)
	}
	if err != nil {
		return fmt.Errorf("import snapshot of shard %d replica %d: %w", ss.ShardID, replicaID, err)
	}
	return nil
}
