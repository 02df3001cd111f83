package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"sync"
)

// OffsetAtTime returns the offset of the first record that can be read whose
// append time is timeMs or later, Next if there is none. Append times need not
// ascend.
func (p *Partition) OffsetAtTime(timeMs int64) (Offset, error) {
	var after Offset = noSegment // segments up to here have been looked through
	for {
		at, first, err := p.locateTime(timeMs, after)
		if err != nil {
			return 0, err
		}
		if at.s.sizeBytes == 0 {
			return first, nil
		}
		found := noSegment
		err = p.walk(at, func(x *index) int {
			return max(x.byTime(timeMs), x.byOffset(first))
		}, nil, func(f frame, _ int64) bool {
			if f.timeMs >= timeMs && f.end() > first {
				found = max(f.base, first)
			}
			return found < 0
		})
		switch {
		case errors.Is(err, errTrimmed):
			continue
		case err != nil && at.cuts != p.cutCount():
			after = noSegment
			continue
		case err != nil:
			return 0, fmt.Errorf("look for time %d ms: %w", timeMs, err)
		case found >= 0:
			return found, nil
		}
		after = at.s.base
	}
}

// locateTime returns the first segment above after that may hold the answer of
// OffsetAtTime, and the first offset. If there is none, it returns no segment
// and Next.
func (p *Partition) locateTime(timeMs int64, after Offset) (place, Offset, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return place{}, 0, p.errClosed()
	}
	for i := max(0, p.segmentOf(p.first)); i < len(p.segments); i++ {
		if s := p.segments[i]; s.maxTimeMs >= timeMs && s.base > after && s.maxTimeMs != noTime {
			return p.placeOf(i), p.first, nil
		}
	}
	return place{}, p.next, nil
}

// placeOf is the beginning of a segment. It needs mu.
func (p *Partition) placeOf(i int) place {
	at := place{s: p.segments[i], pos: segmentHeaderBytes, offset: p.segments[i].base, cuts: p.cuts}
	if i == len(p.segments)-1 {
		at.h = p.active
		p.handles.retain(at.h)
	}
	return at
}

// errTrimmed says that a segment was trimmed away before it could be opened.
var errTrimmed = errors.New("the segment was trimmed away")

// walk visits the frames of the segment at.s, up to the length it has there,
// from the index entry that choose picks, or from at where that is further on.
// visit gets each frame with its position and says whether to go on. A *badFrame
// right behind an index entry is not believed: the walk begins again with the
// segment. The handle in at is released; buf, if not nil, is used and kept.
func (p *Partition) walk(at place, choose func(*index) int, buf *[]byte, visit func(f frame, pos int64) bool) error {
	name := segmentName(p.dir, at.s.base)
	if at.h == nil {
		h, err := p.handles.acquire(at.s)
		if errors.Is(err, fs.ErrNotExist) && !p.has(at.s.base) {
			return errTrimmed
		}
		if err != nil {
			return fmt.Errorf("open %s: %w", name, err)
		}
		at.h = h
	}
	defer p.handles.release(at.h)
	s := scanner{file: at.h.file, pos: at.pos, end: at.s.sizeBytes, next: at.offset, chunk: probeChunk}
	p.mu.Lock()
	x := at.h.index
	if i := choose(x); i >= 0 && i < len(x.entries) && int64(x.entries[i].pos) > s.pos && int64(x.entries[i].pos) < s.end {
		s.pos, s.next = int64(x.entries[i].pos), x.offset(i)
	}
	p.mu.Unlock()
	if buf != nil {
		s.buf = (*buf)[:0]
		defer func() { *buf = s.buf }()
	}
	for begin := s.pos; ; {
		pos := s.pos
		f, err := s.frame()
		var broken *badFrame
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &broken) && pos == begin && pos != segmentHeaderBytes:
			begin = segmentHeaderBytes
			s.pos, s.next, s.mark, s.buf, s.at = begin, at.s.base, 0, s.buf[:0], 0
			continue
		case err != nil:
			return corruptOr(err, name, pos)
		case !visit(f, pos):
			return nil
		}
	}
}

// markHint is where the last search for a mark ended, so that a replay, which
// asks for marks in ascending order, does not begin each search anew.
type markHint struct {
	mu      sync.Mutex
	mark    Mark // of the frame before pos
	segment Offset
	pos     int64 // 0: not in use
	offset  Offset
	cuts    int
	buf     []byte
}

func (h *markHint) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pos, h.buf = 0, nil
}

// FindMark returns the first offset and the number of the records appended with
// mark m; ok is false if none are there. Records appended by several batches
// with one mark count together. Searching in ascending order is cheapest. A
// damaged frame ends the search.
func (p *Partition) FindMark(m Mark) (base Offset, count int, ok bool) {
	r := &p.replay
	r.mu.Lock()
	defer r.mu.Unlock()
	var after Offset = noSegment
	for {
		at := p.locateMark(m, after)
		if at.s.sizeBytes == 0 {
			return base, count, count > 0
		}
		if r.pos != 0 && r.mark < m && r.segment == at.s.base && r.cuts == at.cuts {
			at.pos, at.offset = r.pos, r.offset
		}
		done := false
		err := p.walk(at, func(x *index) int { return x.byMark(m) }, &r.buf, func(f frame, pos int64) bool {
			if f.mark > m {
				done = true
				return false
			}
			if f.mark == m {
				if count == 0 {
					base = f.base
				}
				count += f.count
			}
			r.mark, r.segment, r.pos, r.offset, r.cuts = f.mark, at.s.base, pos+int64(f.size), f.end(), at.cuts
			return true
		})
		if err != nil {
			r.pos = 0
			return 0, 0, false
		}
		if done {
			return base, count, count > 0
		}
		after = at.s.base
	}
}

// locateMark returns the first segment above after that may hold frames with
// mark m.
func (p *Partition) locateMark(m Mark, after Offset) place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || m > p.mark {
		return place{}
	}
	// The last segment with only smaller marks before it, or the first one.
	i := max(0, sort.Search(len(p.segments), func(i int) bool { return p.segments[i].mark >= m })-1)
	for i < len(p.segments) && p.segments[i].base <= after {
		i++
	}
	if i >= len(p.segments) || p.segments[i].mark > m {
		return place{}
	}
	return p.placeOf(i)
}
