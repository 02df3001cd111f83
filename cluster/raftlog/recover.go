package raftlog

import (
	"fmt"
	"path/filepath"
	"slices"
)

// recover brings back what the log in dir holds, or begins one where the
// directory has none. On return all of it is durable.
func (db *DB) recover() error {
	if err := db.fs.MkdirAll(db.dir); err != nil {
		return fmt.Errorf("make %s: %w", db.dir, err)
	}
	sequences, err := db.listSegments()
	if err != nil {
		return err
	}
	found, err := db.loadWatermark()
	if err != nil {
		return err
	}
	if !found {
		if len(sequences) > 0 {
			return corrupt(filepath.Join(db.dir, watermarkName), 0, "missing although there are segments")
		}
		if err := db.fs.SyncDir(filepath.Dir(filepath.Clean(db.dir))); err != nil {
			return fmt.Errorf("sync the directory of %s: %w", db.dir, err)
		}
		if err := db.createWatermark(watermark{first: 1}); err != nil {
			return err
		}
	}
	sequences, err = db.dropRemoved(sequences)
	if err != nil {
		return err
	}
	index, err := db.loadIndex()
	if err != nil {
		return err
	}
	db.mark.end = max(db.mark.end, index.at.lsn())
	if len(sequences) == 0 || index.at.sequence < sequences[0] || index.at.sequence > sequences[len(sequences)-1] {
		index = savedIndex{}
	}
	if err := db.readSegments(sequences, &index); err != nil {
		return err
	}
	if err := db.verifyNeeded(index.at); err != nil {
		return err
	}
	return db.settle()
}

func (db *DB) listSegments() ([]uint64, error) {
	names, err := db.fs.List(db.dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", db.dir, err)
	}
	var sequences []uint64
	for _, name := range names {
		if n, ok := parseSegmentName(name); ok {
			sequences = append(sequences, n)
		}
	}
	slices.Sort(sequences)
	return sequences, nil
}

// dropRemoved finishes an interrupted removal of segments and checks that none
// is missing.
func (db *DB) dropRemoved(sequences []uint64) ([]uint64, error) {
	for len(sequences) > 0 && sequences[0] < db.mark.first {
		name := filepath.Join(db.dir, segmentName(sequences[0]))
		if err := db.removeFile(name); err != nil {
			return nil, err
		}
		if err := db.removeFile(name + tornSuffix); err != nil {
			return nil, err
		}
		sequences = sequences[1:]
	}
	for i, n := range sequences {
		if want := db.mark.first + uint64(i); n != want {
			return nil, truncated(filepath.Join(db.dir, segmentName(want)), 0, "the segment is missing")
		}
	}
	return sequences, nil
}

// readSegments opens the segments, scans them from the place of the index on, and ends
// with one to append to.
func (db *DB) readSegments(sequences []uint64, index *savedIndex) error {
	for i, n := range sequences {
		seg, err := db.openSegment(n)
		if err != nil {
			return err
		}
		s := scan{db: db, seg: seg, last: i == len(sequences)-1, trusted: n < index.at.sequence}
		if n == index.at.sequence {
			s.index = index
		}
		begun, err := s.run()
		if err != nil {
			return err
		}
		if begun {
			db.bytes.Add(seg.end)
			continue
		}
		// A crash while the segment was begun: nothing was ever written to it.
		db.segments = db.segments[:len(db.segments)-1]
		if err := seg.retire(); err != nil {
			return fmt.Errorf("close %s: %w", seg.name, err)
		}
		if err := db.removeFile(seg.name); err != nil {
			return err
		}
	}
	if len(db.segments) > 0 {
		return nil
	}
	if db.mark.end > 0 {
		name := filepath.Join(db.dir, segmentName(db.mark.first))
		return truncated(name, 0, "the log is gone, it reached LSN %d", db.mark.end)
	}
	return db.createSegment(db.mark.first, 0)
}

func (db *DB) openSegment(sequence uint64) (*segment, error) {
	seg := &segment{name: filepath.Join(db.dir, segmentName(sequence)), sequence: sequence}
	file, err := db.fs.Open(seg.name)
	if err != nil {
		return nil, fmt.Errorf("open raft log segment: %w", err)
	}
	seg.file = file
	db.segments = append(db.segments, seg)
	return seg, nil
}

// settle makes what was read durable, as raft is about to rely on it, and
// notes how far the log reaches.
func (db *DB) settle() error {
	seg := db.active()
	end := seg.base + uint64(seg.end)
	if end < db.mark.end {
		return truncated(seg.name, seg.end, "the log ends at LSN %d, it had reached %d", end, db.mark.end)
	}
	if err := seg.file.Sync(); err != nil {
		return fmt.Errorf("sync raft log %s: %w", seg.name, err)
	}
	if err := db.fs.SyncDir(db.dir); err != nil {
		return fmt.Errorf("sync %s: %w", db.dir, err)
	}
	for _, r := range db.replicas {
		r.durable = r.lastIndex()
	}
	db.commit.advance(end)
	return db.saveWatermark(db.segments[0].sequence, end)
}

// scan reads one segment from its beginning.
type scan struct {
	db   *DB
	seg  *segment
	last bool // the last segment of the log, where a torn write may be

	trusted bool        // the index tells what is in the segment
	index   *savedIndex // tells what is in the segment before its place, nil for nothing

	size  int64  // of the file
	win   []byte // bytes of the file from winAt on
	winAt int64
	buf   []byte

	pending []pendingRecord // of the round being read
}

type pendingRecord struct {
	h    header
	pos  int64
	body []byte // a copy where it is needed beyond the index
}

const windowBytes = 1 << 20

// at returns n bytes from pos on, fewer at the end of the file. They are valid
// until the next call.
func (s *scan) at(pos, n int64) ([]byte, error) {
	n = min(n, s.size-pos)
	if n <= 0 {
		return nil, nil
	}
	if pos < s.winAt || pos+n > s.winAt+int64(len(s.win)) {
		want := min(max(n, windowBytes), s.size-pos)
		if int64(cap(s.buf)) < want {
			s.buf = make([]byte, want)
		}
		s.win, s.winAt = s.buf[:want], pos
		if err := readFull(s.seg.file, s.win, pos); err != nil {
			return nil, fmt.Errorf("read %s: %w", s.seg.name, err)
		}
	}
	return s.win[pos-s.winAt : pos-s.winAt+n], nil
}

// run reads the segment. begun is false where its first round was never
// completed, which only a crash right then explains.
func (s *scan) run() (begun bool, err error) {
	if s.size, err = s.seg.file.Size(); err != nil {
		return false, fmt.Errorf("read %s: %w", s.seg.name, err)
	}
	head := make([]byte, min(s.size, headerSize))
	if err := readFull(s.seg.file, head, 0); err != nil {
		return false, fmt.Errorf("read %s: %w", s.seg.name, err)
	}
	var fh fileHeader
	version := fh.parse(head, segmentID)
	if version > formatVersion {
		return false, unknownVersion(s.seg.name, version)
	}
	if version == 0 {
		return false, s.unbegun(0)
	}
	if err := s.placed(&fh); err != nil {
		return false, err
	}
	s.seg.base, s.seg.seed = fh.base, fh.seed()
	if s.trusted {
		return true, s.trust()
	}
	from := int64(headerSize)
	if s.index != nil {
		from = s.index.at.pos
		if err := s.resume(); err != nil {
			return false, err
		}
	}
	round, bad, err := s.rounds(from)
	if err != nil {
		return false, err
	}
	s.seg.end, s.seg.zeroed = round, s.size
	if round == headerSize {
		return false, s.unbegun(max(bad, headerSize))
	}
	if bad < 0 {
		return true, nil
	}
	return true, s.damaged(round, bad)
}

// placed checks that the header is that of this file at this place of the log.
func (s *scan) placed(fh *fileHeader) error {
	if fh.sequence != s.seg.sequence {
		return corrupt(s.seg.name, 16, "the header is that of segment %d", fh.sequence)
	}
	n := len(s.db.segments)
	if n < 2 {
		return nil
	}
	before := s.db.segments[n-2]
	if end := before.base + uint64(before.end); end != fh.base {
		return truncated(before.name, before.end, "the segment ends at LSN %d, the next begins at %d", end, fh.base)
	}
	return nil
}

// trust takes a segment for what the index says of it. That it is as long as it was is
// seen when the header of the next one is read.
func (s *scan) trust() error {
	last, err := s.at(s.size-1, 1)
	if err != nil {
		return err
	}
	s.seg.end, s.seg.zeroed = s.size, s.size
	if last[0] == 0 {
		end, err := s.lastNonZero(0)
		if err != nil {
			return err
		}
		s.seg.end = end + 1
	}
	s.db.trusted = append(s.db.trusted, part{seg: s.seg, pos: headerSize, end: s.seg.end})
	return nil
}

// resume brings in the index, whose place is in this segment.
func (s *scan) resume() error {
	at := s.index.at
	if at.base != s.seg.base || at.seed != s.seg.seed {
		return corrupt(filepath.Join(s.db.dir, indexName), 0, "it is the index of another log than that of %s", s.seg.name)
	}
	if s.size < at.pos {
		return truncated(s.seg.name, s.size, "the segment ends here, the log had reached byte %d of it", at.pos)
	}
	s.seg.end = at.pos
	s.db.trusted = append(s.db.trusted, part{seg: s.seg, pos: headerSize, end: at.pos})
	return s.db.restore(s.index)
}

// rounds applies every complete round from pos on and returns where the last one
// ends, and where the bytes are that are neither a record nor the zeros after the
// last one, -1 for nowhere.
func (s *scan) rounds(pos int64) (end, bad int64, err error) {
	end = pos
	for pos < s.size {
		p, err := s.at(pos, headerSize)
		if err != nil {
			return 0, 0, err
		}
		h, ok := parseHeader(p, s.seg.seed, pos)
		if !ok {
			break
		}
		p, err = s.at(pos, h.size())
		if err != nil {
			return 0, 0, err
		}
		body, ok := h.payload(p)
		if !ok {
			break
		}
		if err := s.understood(&h, pos, end); err != nil {
			return 0, 0, err
		}
		rec := pendingRecord{h: h, pos: pos}
		if h.kind == typeSnapshot || h.kind == typeBootstrap {
			rec.body = slices.Clone(body)
		}
		s.pending = append(s.pending, rec)
		pos += h.size()
		if h.flags&flagMore == 0 {
			for i := range s.pending {
				r := &s.pending[i]
				s.db.apply(&r.h, r.body, s.seg, r.pos)
			}
			s.pending, end = s.pending[:0], pos
		}
	}
	if pos == end {
		zeros, err := s.zerosFrom(pos)
		if err != nil || zeros {
			return end, -1, err
		}
	}
	return end, pos, nil
}

// understood refuses what a valid checksum covers and this format does not
// have.
func (s *scan) understood(h *header, pos, round int64) error {
	known := h.kind >= typeCheckpoint && h.kind <= typeRemoval && h.flags&^flagsKnown == 0
	if !known || (h.kind == typeCheckpoint) != (pos == headerSize) || h.kind == typeEntries && h.a > h.b {
		return corrupt(s.seg.name, pos, "a record of type %d, flags %d does not belong here", h.kind, h.flags)
	}
	return nil
}

// zerosFrom says whether the file has nothing but zeros from pos on.
func (s *scan) zerosFrom(pos int64) (bool, error) {
	for pos < s.size {
		p, err := s.at(pos, windowBytes)
		if err != nil {
			return false, err
		}
		if !allZero(p) {
			return false, nil
		}
		pos += int64(len(p))
	}
	return true, nil
}
