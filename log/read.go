package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"leat/internal/fault"
)

// Frames are whole frames that follow each other, verified, as they lie in a
// segment. They are views into a buffer that belongs to whoever called Read.
type Frames struct {
	buf        []byte
	start, end int // of the frames in buf
	from, next Offset
}

// Records iterates over the records at and after from.
func (f Frames) Records(from Offset) Cursor {
	return Cursor{frames: f.buf[f.start:f.end], from: from}
}

// Next is one past the last record held; for empty frames, the offset asked for.
func (f Frames) Next() Offset { return f.next }

// Empty tells whether there are no records at or after the offset asked for.
func (f Frames) Empty() bool { return f.start == f.end }

// Bytes is the buffer behind the frames, to be handed to the next Read once the
// frames are no longer needed.
func (f Frames) Bytes() []byte { return f.buf }

// hint remembers where a frame begins, for the reader that goes on there.
type hint struct {
	offset, segment Offset
	pos             int64 // 0: not in use
}

const hintSlots = 8

// place is where a read begins to look.
type place struct {
	h      *handle // held; nil if there is nothing to read
	s      segment
	pos    int64
	offset Offset // of the frame at pos
	exact  bool   // the read begins with that frame
	last   bool   // there is nothing further back to begin from
	cuts   int
}

// Read returns the frames from the one that holds the record from, about
// maxBytes of them and at least one, from a single segment. It is empty where
// from is Next or above. buf, if it is large enough, becomes the buffer of the
// frames.
//
// Every frame returned has been verified. Errors are faults: OutOfRange
// "offset_out_of_range" for an offset below First, Corrupt "corrupt_record" for
// damage on the way to the record, naming file and byte offset.
func (p *Partition) Read(from Offset, maxBytes int, buf []byte) (Frames, error) {
	for tries := 0; ; tries++ {
		at, err := p.locate(from, tries)
		if err != nil || at.h == nil {
			return Frames{buf: buf[:0], from: from, next: from}, err
		}
		frames, end, err := at.read(from, maxBytes, p.options.IndexBytes, buf)
		if err == nil {
			p.remember(at, hint{offset: frames.next, segment: at.s.base, pos: end})
		}
		p.handles.release(at.h)
		if err == nil {
			if tries > 1 && at.s.base != p.activeBase() {
				// The frame that an index entry pointed at was not one, yet the
				// way there from an earlier entry is sound. If the entry cannot
				// be taken away now, the next read tries again.
				_ = p.handles.distrust(at.s.base)
			}
			return frames, nil
		}
		var broken *badFrame
		switch {
		case at.cuts != p.cutCount():
			tries = -1
		case !errors.As(err, &broken):
			return Frames{buf: buf[:0], from: from, next: from}, fmt.Errorf("read %s: %w", segmentName(p.dir, at.s.base), err)
		case end != at.pos || at.last:
			return Frames{buf: buf[:0], from: from, next: from}, corruptAt(segmentName(p.dir, at.s.base), end, broken)
		}
	}
}

// locate finds a place from which the frame with from can be reached. The first
// try takes a hint or the nearest index entry, the next ones go further and
// further back.
func (p *Partition) locate(from Offset, tries int) (place, error) {
	for {
		at, err := p.locateSegment(from)
		if err != nil || at.h == nil && at.s.sizeBytes == 0 {
			return place{}, err
		}
		if at.h == nil {
			at.h, err = p.handles.acquire(at.s)
			if errors.Is(err, fs.ErrNotExist) && p.has(at.s.base) {
				return place{}, corruptAt(segmentName(p.dir, at.s.base), 0, bad("the segment is missing"))
			}
			if errors.Is(err, fs.ErrNotExist) {
				continue // trimmed away since
			}
			if err != nil {
				return place{}, fmt.Errorf("open %s: %w", segmentName(p.dir, at.s.base), err)
			}
		}
		p.locateFrame(&at, from, tries)
		return at, nil
	}
}

// locateSegment finds the segment, and holds its handle if it is the active one.
// No handle and no segment mean that there is nothing to read.
func (p *Partition) locateSegment(from Offset) (place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return place{}, p.errClosed()
	}
	if from < p.first {
		return place{}, fault.New(fault.OutOfRange, "offset_out_of_range",
			"offset %d is below the first one, %d", from, p.first).
			With("first", int64(p.first)).With("next", int64(p.next))
	}
	if from >= p.next {
		return place{}, nil
	}
	i := p.segmentOf(from)
	at := place{s: p.segments[i], cuts: p.cuts}
	if i == len(p.segments)-1 {
		at.h = p.active
		p.handles.retain(at.h)
	}
	return at, nil
}

func (p *Partition) locateFrame(at *place, from Offset, tries int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.hints[from%hintSlots]; tries == 0 && h.pos != 0 && h.offset == from && h.segment == at.s.base {
		at.pos, at.offset, at.exact = h.pos, from, true
		return
	}
	at.pos, at.offset = segmentHeaderBytes, at.s.base
	x := at.h.index
	i := x.byOffset(from)
	if tries > 1 {
		i -= 1 << min(tries-2, 30)
	}
	if i > 0 {
		at.pos, at.offset = int64(x.entries[i].pos), x.offset(i)
		at.exact = at.offset == from
		return
	}
	at.last = tries > 0
}

// read collects frames. It returns where in the segment they end, with an error
// where the bad frame is.
func (at *place) read(from Offset, maxBytes, indexBytes int, buf []byte) (Frames, int64, error) {
	want := int64(maxBytes)
	if !at.exact {
		want += int64(indexBytes)
	}
	pos, next := at.pos, at.offset
	buf, err := fillAt(at.h.file, buf, pos, want, at.s.sizeBytes)
	start, end := 0, 0
	for err == nil && pos < at.s.sizeBytes {
		f, need, wrong := checkFrame(buf[end:], at.s.sizeBytes-pos, next, 0)
		switch {
		case wrong != nil && end > start:
			// The next read finds it first.
			return Frames{buf, start, end, from, next}, pos, nil
		case wrong != nil:
			return Frames{}, pos, wrong
		case need > 0 && end > start:
			return Frames{buf, start, end, from, next}, pos, nil
		case need > 0:
			buf, err = fillAt(at.h.file, buf, pos, max(int64(need), int64(maxBytes)), at.s.sizeBytes)
			if err == nil && len(buf) < need {
				err = bad("the file ends after %d of %d bytes", len(buf), need)
			}
			start, end = 0, 0
			continue
		case end > start && end+f.size-start > maxBytes:
			return Frames{buf, start, end, from, next}, pos, nil
		}
		pos += int64(f.size)
		next = f.end()
		end += f.size
		if next <= from {
			start = end
		}
	}
	if err == nil && start == end {
		err = bad("the segment ends before offset %d", from)
	}
	return Frames{buf, start, end, from, next}, pos, err
}

// fillAt reads up to want bytes at pos, not beyond end and at least a header,
// into buf or, if that is too small, a new one. A file shorter than end gives
// fewer bytes.
func fillAt(f File, buf []byte, pos, want, end int64) ([]byte, error) {
	want = min(max(want, frameHeaderBytes), end-pos)
	if int64(cap(buf)) < want {
		buf = make([]byte, want)
	}
	buf = buf[:want]
	n, err := f.ReadAt(buf, pos)
	if n == len(buf) || errors.Is(err, io.EOF) {
		err = nil
	}
	return buf[:n], err
}

// remember keeps a hint for a reader, unless the bytes have been cut since.
func (p *Partition) remember(at place, h hint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cuts == at.cuts {
		p.hints[h.offset%hintSlots] = h
	}
}

func (p *Partition) cutCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// has tells whether a segment is part of the log and not trimmed away.
func (p *Partition) has(base Offset) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.segments {
		if p.segments[i].base == base {
			return i == len(p.segments)-1 || p.segments[i+1].base > p.first
		}
	}
	return false
}

func (p *Partition) activeBase() Offset {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active == nil {
		return noSegment
	}
	return p.active.base
}
