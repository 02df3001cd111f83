package raftlog

import (
	"fmt"
)

// A power cut leaves a write half done: sectors of it are missing, which in a
// file that only grows means zeros or a file that ends early. Bytes that are
// there and wrong are damage. The functions here tell the two apart, so that
// the first is cut off and the second refused: a log that quietly forgets what
// it acknowledged makes raft elect the wrong leader.

// damaged decides about a segment whose last complete round ends at round and
// whose bytes at bad are no record. It cuts the rest off, or refuses.
func (s *scan) damaged(round, bad int64) error {
	if !s.last {
		return corrupt(s.seg.name, bad, "the record is damaged, and the log goes on after this segment")
	}
	lastByte, err := s.lastNonZero(round)
	if err != nil {
		return err
	}
	lsn := s.seg.base + uint64(round)
	if lsn < s.db.mark.end {
		if lastByte < bad {
			return truncated(s.seg.name, bad, "the log ends at LSN %d, it had reached %d", lsn, s.db.mark.end)
		}
		return corrupt(s.seg.name, bad, "the record is damaged, and the log had reached LSN %d", s.db.mark.end)
	}
	vouched, err := s.vouched(bad)
	if err != nil {
		return err
	}
	if vouched > lsn {
		return corrupt(s.seg.name, bad, "the record is damaged, and a later one vouches for it")
	}
	torn, err := s.torn(bad)
	if err != nil {
		return err
	}
	if !torn {
		return corrupt(s.seg.name, bad, "the record is damaged and no write was interrupted there")
	}
	return s.cut(round, lastByte+1)
}

// unbegun decides about a segment without a complete first round, of which the
// bytes at pos are the first that do not hold: nil where it was never begun.
func (s *scan) unbegun(pos int64) error {
	if !s.last {
		return corrupt(s.seg.name, pos, "the segment has no beginning, and the log goes on after it")
	}
	n := len(s.db.segments)
	if n >= 2 {
		before := s.db.segments[n-2]
		if before.base+uint64(before.end) < s.db.mark.end {
			return corrupt(s.seg.name, pos, "the segment has no beginning, the log had reached LSN %d", s.db.mark.end)
		}
	} else if s.db.mark.end > 0 {
		return corrupt(s.seg.name, pos, "the first segment has no beginning, the log had reached LSN %d", s.db.mark.end)
	}
	torn, err := s.torn(pos)
	if err != nil {
		return err
	}
	if !torn {
		return corrupt(s.seg.name, pos, "the beginning of the segment is damaged")
	}
	return nil
}

// vouched returns the highest LSN that a record after the bad one says was
// synced before it was written.
func (s *scan) vouched(bad int64) (lsn uint64, err error) {
	for pos := bad + unit; pos < s.size; pos += unit {
		p, err := s.at(pos, headerSize)
		if err != nil {
			return 0, err
		}
		if h, ok := parseHeader(p, s.seg.seed, pos); ok {
			lsn = max(lsn, h.durable)
		}
	}
	return lsn, nil
}

// torn says whether missing sectors explain why there is no record at bad. The
// last byte of a header and of a record is never zero, and a header lies in one
// sector.
func (s *scan) torn(bad int64) (bool, error) {
	p, err := s.at(bad, headerSize)
	if err != nil {
		return false, err
	}
	if len(p) < headerSize || p[headerSize-1] == 0 {
		return true, nil
	}
	h, ok := parseHeader(p, s.seg.seed, bad)
	if !ok {
		return false, nil
	}
	end := bad + h.size()
	if p, err = s.at(end-1, 1); err != nil {
		return false, err
	}
	if len(p) == 0 || p[0] == 0 {
		return true, nil
	}
	for at := (bad + headerSize + sectorSize - 1) &^ (sectorSize - 1); at < end; at += sectorSize {
		p, err := s.at(at, min(sectorSize, end-at))
		if err != nil {
			return false, err
		}
		if allZero(p) {
			return true, nil
		}
	}
	return false, nil
}

// lastNonZero is the position of the last byte from pos on that is not zero, -1
// where there is none.
func (s *scan) lastNonZero(pos int64) (int64, error) {
	last := int64(-1)
	for pos < s.size {
		p, err := s.at(pos, windowBytes)
		if err != nil {
			return 0, err
		}
		for i := len(p) - 1; i >= 0; i-- {
			if p[i] != 0 {
				last = pos + int64(i)
				break
			}
		}
		pos += int64(len(p))
	}
	return last, nil
}

// cut removes the bytes from pos on, after copying those up to end to the file
// beside the segment.
func (s *scan) cut(pos, end int64) error {
	if end > pos {
		if err := s.keepTorn(pos, end); err != nil {
			return fmt.Errorf("keep the torn end of %s: %w", s.seg.name, err)
		}
	}
	err := s.seg.file.Truncate(pos)
	if err == nil {
		err = s.seg.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("cut the torn end of %s: %w", s.seg.name, err)
	}
	s.seg.end, s.seg.zeroed = pos, pos
	return nil
}

func (s *scan) keepTorn(pos, end int64) (err error) {
	file, err := s.db.fs.Create(s.seg.name + tornSuffix)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := file.Close(); err == nil {
			err = cerr
		}
	}()
	for at := int64(0); pos+at < end; {
		p, err := s.at(pos+at, min(windowBytes, end-pos-at))
		if err != nil {
			return err
		}
		if _, err := file.WriteAt(p, at); err != nil {
			return err
		}
		at += int64(len(p))
	}
	return file.Sync()
}
