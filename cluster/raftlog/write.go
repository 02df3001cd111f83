package raftlog

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"leat/internal/fault"
)

const (
	// aheadBytes is how many zeros are written at once ahead of small rounds.
	// Overwriting them leaves the file's size and extents alone, so the sync
	// needs no journal commit.
	aheadBytes = 1 << 20
	// aheadLimit is the largest round worth it: for larger ones the second
	// write of the same bytes costs more than the journal.
	aheadLimit = 128 << 10
)

// write appends a round, with sync until it is durable, and empties it. rolled
// says that a new segment was begun.
func (db *DB) write(r *round, sync bool) (rolled bool, err error) {
	if r.empty() {
		return false, nil
	}
	db.mu.Lock()
	rolled, err = db.appendRound(r)
	var end uint64
	if err == nil {
		seg := db.active()
		end = seg.base + uint64(seg.end)
	}
	db.mu.Unlock()
	r.reset()
	if err == nil && sync {
		err = db.syncTo(end)
	}
	return rolled, err
}

// appendRound writes a round in one piece and brings it into the index. The
// caller holds the mutex.
func (db *DB) appendRound(r *round) (rolled bool, err error) {
	if db.failed != nil {
		return false, db.failed
	}
	seg := db.active()
	if seg.end+int64(len(r.buf)) > db.segmentBytes && seg.end > headerSize*2 {
		if err := db.roll(); err != nil {
			return false, db.poison(err)
		}
		seg, rolled = db.active(), true
	}
	if err := db.zeroAhead(seg, int64(len(r.buf))); err != nil {
		return rolled, db.poison(err)
	}
	r.seal(db.commit.durable.Load(), seg.seed, seg.end)
	if _, err := seg.file.WriteAt(r.buf, seg.end); err != nil {
		return rolled, db.poison(writeError(seg, err))
	}
	for i := range r.headers {
		h := &r.headers[i]
		at := int64(r.offsets[i])
		body := r.buf[at+headerSize : at+headerSize+int64(h.length)]
		db.apply(h, body, seg, seg.end+at)
	}
	seg.end += int64(len(r.buf))
	seg.zeroed = max(seg.zeroed, seg.end)
	db.bytes.Add(int64(len(r.buf)))
	return rolled, nil
}

// zeroAhead extends the zeros of a segment where a small round would reach
// beyond them.
func (db *DB) zeroAhead(seg *segment, n int64) error {
	if n > aheadLimit || seg.end+n <= seg.zeroed {
		return nil
	}
	if len(db.free.zeros) == 0 {
		db.free.zeros = make([]byte, aheadBytes)
	}
	from := seg.zeroed
	size := min(int64(aheadBytes), max(db.segmentBytes-from, n))
	if _, err := seg.file.WriteAt(db.free.zeros[:size], from); err != nil {
		return writeError(seg, err)
	}
	seg.zeroed = from + size
	return nil
}

// roll ends the active segment and begins the next. Nothing is written to the
// new one before all of the old one is synced. The caller holds the mutex.
func (db *DB) roll() error {
	old := db.active()
	if old.zeroed > old.end {
		if err := old.file.Truncate(old.end); err != nil {
			return fmt.Errorf("cut the zeros of raft log %s: %w", old.name, err)
		}
		old.zeroed = old.end
	}
	if err := old.file.Sync(); err != nil {
		return fmt.Errorf("sync raft log %s: %w", old.name, err)
	}
	base := old.base + uint64(old.end)
	if err := db.createSegment(old.sequence+1, base); err != nil {
		return err
	}
	seg := db.active()
	end := seg.base + uint64(seg.end)
	db.commit.advance(end)
	return db.saveWatermark(db.segments[0].sequence, end)
}

func writeError(seg *segment, err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fault.New(fault.DiskFull, "disk_full", "write raft log %s: %w", seg.name, err)
	}
	return fmt.Errorf("write raft log %s: %w", seg.name, err)
}

// freeList keeps the buffers of rounds and reads for the next ones. The zeros
// are guarded by the DB's mutex.
type freeList struct {
	mu     sync.Mutex
	rounds []*round
	reads  [][]byte
	zeros  []byte
}

const maxKept = 32 // as many as dragonboat has workers, twice

func (f *freeList) round() *round {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.rounds)
	if n == 0 {
		return new(round)
	}
	r := f.rounds[n-1]
	f.rounds = f.rounds[:n-1]
	return r
}

func (f *freeList) putRound(r *round) {
	r.reset()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rounds) < maxKept {
		f.rounds = append(f.rounds, r)
	}
}

func (f *freeList) read(size int64) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.reads); n > 0 {
		p := f.reads[n-1]
		f.reads = f.reads[:n-1]
		if int64(cap(p)) >= size {
			return p[:size]
		}
	}
	return make([]byte, size)
}

func (f *freeList) putRead(p []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cap(p) <= maxKeptRound && len(f.reads) < 4 {
		f.reads = append(f.reads, p)
	}
}
