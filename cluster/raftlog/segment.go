package raftlog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"leat/log"
)

const (
	segmentSuffix = ".wal"
	tornSuffix    = ".torn"
	tempSuffix    = ".tmp"
)

// segment is one open file of the log. Except for the immutable fields it is
// guarded by the DB's mutex.
type segment struct {
	name     string
	sequence uint64
	base     uint64 // LSN of its first byte
	seed     uint32
	file     log.File

	end    int64 // where the next record goes
	zeroed int64 // the file is zeros from end to here
	spans  int   // live spans in it
	refs   int   // readers using the file
	dead   bool  // close when the last reader is gone
}

func segmentName(sequence uint64) string { return fmt.Sprintf("%020d%s", sequence, segmentSuffix) }

// parseSegmentName returns the sequence number of a segment file's base name.
func parseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0
}

// release gives back a reference taken by a reader; the caller holds the mutex.
func (s *segment) release() error {
	s.refs--
	return s.closeUnused()
}

// retire marks a segment as no longer part of the log.
func (s *segment) retire() error {
	s.dead = true
	return s.closeUnused()
}

func (s *segment) closeUnused() error {
	if !s.dead || s.refs > 0 || s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// addCheckpoint appends the round that opens a file: the metadata of every
// replica, so that no older file is needed for it.
func (db *DB) addCheckpoint(r *round) error {
	if err := r.add(header{kind: typeCheckpoint, a: uint64(len(db.replicas))}, nil); err != nil {
		return err
	}
	for _, id := range db.sortedIDs() {
		if err := db.replicas[id].addMetadata(r); err != nil {
			return err
		}
	}
	return nil
}

// createSegment makes the file with the given sequence and base, durably with
// its checkpoint, and appends it to the log. The caller holds the mutex, and
// everything before base has been synced.
func (db *DB) createSegment(sequence, base uint64) error {
	h := fileHeader{sequence: sequence, base: base}
	if _, err := rand.Read(h.salt[:]); err != nil {
		return fmt.Errorf("draw the salt of a raft log segment: %w", err)
	}
	seg := &segment{name: filepath.Join(db.dir, segmentName(sequence)), sequence: sequence, base: base, seed: h.seed()}
	var r round
	if err := db.addCheckpoint(&r); err != nil {
		return err
	}
	r.seal(base, seg.seed, headerSize)
	first := make([]byte, headerSize, headerSize+len(r.buf))
	h.put(first, segmentID)
	first = append(first, r.buf...)

	file, err := db.fs.Create(seg.name)
	if err != nil {
		return fmt.Errorf("create raft log segment: %w", err)
	}
	seg.file = file
	if _, err = file.WriteAt(first, 0); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = db.fs.SyncDir(db.dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start raft log segment %s: %w", seg.name, err), file.Close())
	}
	seg.end = int64(len(first))
	seg.zeroed = seg.end
	db.bytes.Add(seg.end)
	db.segments = append(db.segments, seg)
	return nil
}

// active is the segment that is written.
func (db *DB) active() *segment { return db.segments[len(db.segments)-1] }

// removeFile removes a file that may be gone already.
func (db *DB) removeFile(name string) error {
	if err := db.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}
