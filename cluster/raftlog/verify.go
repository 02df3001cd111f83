package raftlog

import (
	"errors"
	"fmt"
)

// part is a piece of a segment that Open took on trust, because the index told what
// is in it.
type part struct {
	seg      *segment
	pos, end int64
}

// verifyNeeded verifies, of what was taken on trust, the entries that raft is about to
// read: those after a replica's last snapshot. The rest is verified when it is read, or
// by VerifyNext, whichever comes first.
func (db *DB) verifyNeeded(at place) error {
	for _, id := range db.sortedIDs() {
		r := db.replicas[id]
		for i := range r.spans {
			s := &r.spans[i]
			if s.seg.file == nil {
				return truncated(s.seg.name, s.pos, "the segment is missing, entries %d to %d are in it", s.first, s.last)
			}
			known := s.seg.sequence < at.sequence || s.seg.sequence == at.sequence && s.pos < at.pos
			if !known || s.last <= max(r.snapIndex, r.compacted) {
				continue
			}
			if _, err := db.verifyRecords(s.seg, s.pos, s.pos+s.size, s.size); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifyRecords verifies the records of a segment from pos on, up to the first one at or
// past the limit of bytes, and returns where that is. All of them end before end.
func (db *DB) verifyRecords(seg *segment, pos, end, limit int64) (int64, error) {
	s := scan{db: db, seg: seg, size: end}
	for stop := pos + limit; pos < min(stop, end); {
		p, err := s.at(pos, headerSize)
		if err != nil {
			return pos, err
		}
		h, ok := parseHeader(p, seg.seed, pos)
		if !ok {
			return pos, corrupt(seg.name, pos, "the header of a record is damaged")
		}
		if p, err = s.at(pos, h.size()); err != nil {
			return pos, err
		}
		if _, ok := h.payload(p); !ok {
			return pos, corrupt(seg.name, pos, "the payload of a record is damaged")
		}
		pos += h.size()
	}
	return pos, nil
}

// VerifyNext verifies about n bytes of what Open took on trust, and tells whether there
// is more of it. Damage is a fault Corrupt, raft_log_corrupt, and takes the index away:
// the next Open will not trust it. One goroutine calls it.
func (db *DB) VerifyNext(n int64) (more bool, err error) {
	db.mu.Lock()
	if db.closed || len(db.trusted) == 0 {
		db.mu.Unlock()
		return false, nil
	}
	p := &db.trusted[0]
	seg := p.seg
	removed := seg.file == nil
	if !removed {
		seg.refs++
	}
	db.mu.Unlock()
	if !removed {
		p.pos, err = db.verifyRecords(seg, p.pos, p.end, n)
	}
	db.mu.Lock()
	if !removed {
		err = errors.Join(err, seg.release())
	}
	if removed || p.pos >= p.end {
		db.trusted = db.trusted[1:]
	}
	more, db.damaged = len(db.trusted) > 0, err != nil
	db.mu.Unlock()
	if err != nil {
		return false, fmt.Errorf("verify the raft log: %w", errors.Join(err, db.dropIndex()))
	}
	return more, nil
}

// ReplayBytes is how much of the log a start has to read again whatever the index
// tells: the entries after the last snapshots.
func (db *DB) ReplayBytes() (n int64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, r := range db.replicas {
		for i := range r.spans {
			if r.spans[i].last > r.snapIndex {
				n += r.spans[i].size
			}
		}
	}
	return n
}
