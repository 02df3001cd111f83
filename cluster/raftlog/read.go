package raftlog

import (
	"fmt"
	"math"

	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"
)

// IterateEntries appends the entries from low to high-1 that the log has
// without a gap, verifying their checksums. It stops after the entry whose
// upper size limit takes the sum above maxSize; 0 means no limit. Damage is a
// fault Corrupt, raft_log_corrupt.
func (db *DB) IterateEntries(entries []pb.Entry, size, shardID, replicaID, low, high, maxSize uint64) ([]pb.Entry, uint64, error) {
	if maxSize == 0 {
		maxSize = math.MaxUint64
	}
	id := raftio.NodeInfo{ShardID: shardID, ReplicaID: replicaID}
	var few [8]span
	spans := few[:0]
	db.mu.Lock()
	if db.closed {
		defer db.mu.Unlock()
		return nil, 0, fmt.Errorf("read raft entries: %w", db.failed)
	}
	if r := db.replicas[id]; r != nil && low < high {
		spans = r.covering(spans, low, high)
	}
	db.mu.Unlock()
	if len(spans) == 0 {
		return entries, size, nil
	}
	var err error
	for i := 0; i < len(spans) && err == nil && size <= maxSize; i++ {
		entries, size, err = db.readSpan(&spans[i], id, entries, size, low, high, maxSize)
	}
	db.mu.Lock()
	for i := range spans {
		if cerr := spans[i].seg.release(); err == nil {
			err = cerr
		}
	}
	db.mu.Unlock()
	if err != nil {
		return nil, 0, fmt.Errorf("read entries %d to %d of shard %d replica %d: %w", low, high-1, shardID, replicaID, err)
	}
	return entries, size, nil
}

// readSpan appends the wanted entries of one span.
func (db *DB) readSpan(s *span, id raftio.NodeInfo, entries []pb.Entry, size, low, high, maxSize uint64) ([]pb.Entry, uint64, error) {
	buf := db.free.read(s.size)
	defer db.free.putRead(buf)
	if err := readFull(s.seg.file, buf, s.pos); err != nil {
		return entries, size, fmt.Errorf("read %s: %w", s.seg.name, err)
	}
	next, stop := max(low, s.first), min(high-1, s.last)
	for at := int64(0); at < s.size && next <= stop && size <= maxSize; {
		h, ok := parseHeader(buf[at:], s.seg.seed, s.pos+at)
		if !ok {
			return entries, size, corrupt(s.seg.name, s.pos+at, "the header of a record is damaged")
		}
		if h.kind == typeEntries && h.shard == id.ShardID && h.replica == id.ReplicaID && h.a <= next && next <= h.b {
			body, ok := h.payload(buf[at:])
			if !ok {
				return entries, size, corrupt(s.seg.name, s.pos+at, "the payload of a record is damaged")
			}
			for index := h.a; index <= min(h.b, stop) && size <= maxSize; index++ {
				e, used := readEntry(body)
				if used == 0 {
					return entries, size, corrupt(s.seg.name, s.pos+at, "entry %d is not one", index)
				}
				body = body[used:]
				if index < next {
					continue
				}
				e.Index = index
				if e.Cmd != nil {
					e.Cmd = append([]byte(nil), e.Cmd...)
				}
				entries = append(entries, e)
				size += uint64(e.SizeUpperLimit())
				next++
			}
		}
		at += h.size()
	}
	if next <= stop && size <= maxSize {
		return entries, size, corrupt(s.seg.name, s.pos, "entry %d is not where the index says", next)
	}
	return entries, size, nil
}

// ReadRaftState returns the last state and the dense run of entries after
// lastIndex, which is the index of the last snapshot.
func (db *DB) ReadRaftState(shardID, replicaID, lastIndex uint64) (raftio.RaftState, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	r := db.replicas[raftio.NodeInfo{ShardID: shardID, ReplicaID: replicaID}]
	if r == nil || pb.IsEmptyState(r.state) {
		return raftio.RaftState{}, raftio.ErrNoSavedLog
	}
	state := raftio.RaftState{State: r.state}
	if end := r.denseEnd(lastIndex + 1); end > lastIndex {
		state.FirstIndex, state.EntryCount = lastIndex+1, end-lastIndex
	}
	return state, nil
}

// GetSnapshot returns the metadata of the newest snapshot, empty where there is
// none.
func (db *DB) GetSnapshot(shardID, replicaID uint64) (pb.Snapshot, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	var ss pb.Snapshot
	if r := db.replicas[raftio.NodeInfo{ShardID: shardID, ReplicaID: replicaID}]; r != nil && r.snapshot != nil {
		if err := ss.Unmarshal(r.snapshot); err != nil {
			return pb.Snapshot{}, fmt.Errorf("decode snapshot of shard %d replica %d: %w", shardID, replicaID, err)
		}
	}
	return ss, nil
}

// GetBootstrapInfo returns what the replica was started with, or
// raftio.ErrNoBootstrapInfo.
func (db *DB) GetBootstrapInfo(shardID, replicaID uint64) (pb.Bootstrap, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	r := db.replicas[raftio.NodeInfo{ShardID: shardID, ReplicaID: replicaID}]
	if r == nil || !r.booted {
		return pb.Bootstrap{}, raftio.ErrNoBootstrapInfo
	}
	var b pb.Bootstrap
	if err := b.Unmarshal(r.bootstrap); err != nil {
		return pb.Bootstrap{}, fmt.Errorf("decode bootstrap of shard %d replica %d: %w", shardID, replicaID, err)
	}
	return b, nil
}

// ListNodeInfo returns the replicas that have been started here, sorted.
func (db *DB) ListNodeInfo() ([]raftio.NodeInfo, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	ids := db.sortedIDs()
	out := ids[:0]
	for _, id := range ids {
		if db.replicas[id].booted {
			out = append(out, id)
		}
	}
	return out, nil
}
