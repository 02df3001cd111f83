package raftlog

import (
	"errors"
	"fmt"

	"github.com/lni/dragonboat/v4/raftio"
)

const (
	// carryShare: the entries still needed of the oldest segment are copied to
	// the end of the log when they are no more than this part of a segment.
	// Otherwise a quiet shard would keep every segment since its last entry.
	carryShare = 8
	// carryMin is the number of segments below which nothing is copied.
	carryMin = 3
)

// RemoveEntriesTo writes that the entries up to index are gone and removes the
// segments nobody needs any more. After a crash the entries may be there again,
// but never without the ones after them.
func (db *DB) RemoveEntriesTo(shardID, replicaID, index uint64) error {
	r := db.free.round()
	defer db.free.putRound(r)
	err := r.add(header{kind: typeCompacted, shard: shardID, replica: replicaID, a: index}, nil)
	if err == nil {
		_, err = db.write(r, false)
	}
	if err == nil {
		err = db.freeSegments()
	}
	if err != nil {
		return fmt.Errorf("remove entries of shard %d replica %d up to %d: %w", shardID, replicaID, index, err)
	}
	return nil
}

// CompactEntriesTo removes the segments nobody needs any more. The entries must
// have been removed before with RemoveEntriesTo. The channel is closed.
func (db *DB) CompactEntriesTo(_, _, _ uint64) (<-chan struct{}, error) {
	if err := db.freeSegments(); err != nil {
		return nil, fmt.Errorf("compact raft log: %w", err)
	}
	done := make(chan struct{})
	close(done)
	return done, nil
}

// freeSegments removes the oldest segments as long as no entry in them is live,
// after copying the last few that are. Only a prefix of the log is ever
// removed: start-up relies on there being no hole. When another goroutine is at
// it this one leaves it to that.
func (db *DB) freeSegments() error {
	if !db.reclaim.TryLock() {
		return nil
	}
	defer db.reclaim.Unlock()
	// Segments begun by the copying itself are for the next time.
	db.mu.Lock()
	before := db.active().sequence
	db.mu.Unlock()
	for {
		end, more, err := db.carryOldest(before)
		if err != nil || !more {
			return err
		}
		// What made the segments dead must be durable before they are gone.
		if err := db.syncTo(end); err != nil {
			return err
		}
		if removed, err := db.removeDead(); err != nil || removed == 0 {
			return err
		}
	}
}

// carryOldest makes the oldest segment, if it comes before the given one, dead by copying what is live in it. more
// is false where that is too much or there is nothing to gain. end is the LSN
// to sync before removing it.
func (db *DB) carryOldest(before uint64) (end uint64, more bool, err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.failed != nil {
		return 0, false, db.failed
	}
	oldest := db.segments[0]
	if oldest.sequence >= before {
		return 0, false, nil
	}
	if oldest.spans > 0 {
		if len(db.segments) < carryMin || db.liveBytes(oldest) > db.segmentBytes/carryShare {
			return 0, false, nil
		}
		var r round
		for _, id := range db.sortedIDs() {
			if err := db.carryReplica(&r, id, oldest); err != nil {
				return 0, false, err
			}
		}
		if _, err := db.appendRound(&r); err != nil {
			return 0, false, err
		}
	}
	seg := db.active()
	return seg.base + uint64(seg.end), true, nil
}

func (db *DB) liveBytes(seg *segment) (n int64) {
	for _, r := range db.replicas {
		for i := range r.spans {
			if r.spans[i].seg == seg {
				n += r.spans[i].size
			}
		}
	}
	return n
}

// carryReplica appends copies of a replica's live entries in seg to the round.
func (db *DB) carryReplica(out *round, id raftio.NodeInfo, seg *segment) error {
	rep := db.replicas[id]
	for i := range rep.spans {
		s := &rep.spans[i]
		if s.seg != seg {
			continue
		}
		first := max(s.first, rep.compacted+1)
		entries, _, err := db.readSpan(s, id, nil, 0, first, s.last+1, ^uint64(0))
		if err != nil {
			return fmt.Errorf("copy entries of shard %d replica %d: %w", id.ShardID, id.ReplicaID, err)
		}
		from := len(out.headers)
		if err := out.addEntries(id.ShardID, id.ReplicaID, entries); err != nil {
			return err
		}
		for j := from; j < len(out.headers); j++ {
			out.headers[j].flags |= flagCarried
			out.headers[j].put(out.buf[out.offsets[j]:])
		}
	}
	return nil
}

// removeDead removes the dead segments at the beginning of the log, oldest
// first, after the watermark says that they do not belong to it.
func (db *DB) removeDead() (removed int, err error) {
	db.mu.Lock()
	n := 0
	for n < len(db.segments)-1 && db.segments[n].spans == 0 {
		n++
	}
	dead := append([]*segment(nil), db.segments[:n]...)
	if n > 0 {
		if err = db.saveWatermark(db.segments[n].sequence, db.commit.durable.Load()); err != nil {
			err = db.poison(err)
		} else {
			db.segments = append([]*segment(nil), db.segments[n:]...)
		}
	}
	db.mu.Unlock()
	if err != nil {
		return 0, err
	}
	for _, seg := range dead {
		db.bytes.Add(-seg.end)
		err = errors.Join(db.removeFile(seg.name), db.removeFile(seg.name+tornSuffix))
		db.mu.Lock()
		err = errors.Join(err, seg.retire())
		db.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}
