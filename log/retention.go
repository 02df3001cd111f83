package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"leat/internal/fault"
)

// Trim moves First up to before, at most to Next. Reads below are refused from
// then on. Nothing of it is kept across a restart, see DropTrimmed.
func (p *Partition) Trim(before Offset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.first = max(p.first, min(before, p.next))
}

// DropTrimmed unlinks the segments of which every record is below First, the
// oldest first, each durably before the next, and returns the bytes freed. The
// last segment is never unlinked, but where most of it is below First and that is
// worth it, a new one is begun: then it is no longer the last. It may have to sync
// the log first. Readers that are in such a segment finish.
func (p *Partition) DropTrimmed() (freedBytes int64, err error) {
	if err := p.sealTrimmed(); err != nil {
		return 0, err
	}
	p.maintenance.Lock()
	defer p.maintenance.Unlock()
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return freedBytes, p.errClosed()
		}
		if len(p.segments) < 2 || p.segments[1].base > p.first {
			p.mu.Unlock()
			return freedBytes, nil
		}
		s, heir := p.segments[0], p.segments[1]
		p.mu.Unlock()
		// What the heir's header says about the past has to outlive the past.
		if heir.synced < segmentHeaderBytes {
			if _, err := p.sync(); err != nil {
				return freedBytes, fmt.Errorf("sync before dropping trimmed segments: %w", err)
			}
		}
		if err := removeSegment(p.options.FS, p.dir, s.base); err != nil {
			return freedBytes, err
		}
		p.mu.Lock()
		p.segments = slices.Delete(p.segments, 0, 1)
		p.mu.Unlock()
		p.handles.drop(s.base)
		freedBytes += s.sizeBytes
	}
}

// sealShare is the share of a segment's length from which trimmed bytes are worth a
// segment of their own.
const sealShare = 64

// sealTrimmed begins a new segment where half of the active one or more is trimmed,
// and a share of Options.SegmentBytes that matters. So what a log keeps on disk of
// trimmed records is about what it keeps of others, however long segments may get.
// Where there is no room for a new segment everything stays as it is.
func (p *Partition) sealTrimmed() error {
	p.writer.Lock()
	defer p.writer.Unlock()
	p.mu.Lock()
	err := p.writable()
	worth := err == nil && p.active != nil && p.trimmedBytes() >= p.options.SegmentBytes/sealShare &&
		2*p.trimmedBytes() >= p.segments[len(p.segments)-1].sizeBytes-segmentHeaderBytes
	p.mu.Unlock()
	if !worth {
		return nil // what cannot be written is for the next writer to say
	}
	err = p.roll()
	if errors.Is(err, errNotBegun) && fault.KindOf(err) == fault.DiskFull {
		return nil
	}
	if err != nil {
		return p.fail(fmt.Errorf("begin a segment behind trimmed records: %w", err))
	}
	return nil
}

// trimmedBytes is how much of the active segment lies below First, to the index
// entry before. It needs mu.
func (p *Partition) trimmedBytes() int64 {
	s, x := p.segments[len(p.segments)-1], p.active.index
	if p.first >= p.next {
		return s.sizeBytes - segmentHeaderBytes
	}
	if i := x.byOffset(p.first); i >= 0 {
		return int64(x.entries[i].pos) - segmentHeaderBytes
	}
	return 0
}

// removeSegment unlinks a segment and its index, durably.
func removeSegment(files FS, dir string, base Offset) error {
	for _, name := range []string{indexName(dir, base), segmentName(dir, base)} {
		if err := files.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return diskError(err, "remove", name)
		}
	}
	if err := files.SyncDir(dir); err != nil {
		return diskError(err, "sync", dir)
	}
	return nil
}

// CutAfter takes away every frame with a mark above m and is durable when it
// returns. It is for a writer that recovers: a SyncPoint beyond the cut is void
// from then on. Where some of those frames have been trimmed away it is refused
// and changes nothing. After any other error the partition is broken.
func (p *Partition) CutAfter(m Mark) error {
	p.writer.Lock()
	defer p.writer.Unlock()
	p.maintenance.Lock()
	defer p.maintenance.Unlock()
	p.mu.Lock()
	err := p.writable()
	nothing := p.mark <= m || len(p.segments) == 0
	p.mu.Unlock()
	if err != nil || nothing {
		return err
	}
	c, err := p.findCut(m)
	if err != nil {
		return fmt.Errorf("cut after mark %d: %w", m, err)
	}
	if err := p.cut(c); err != nil {
		return p.fail(fmt.Errorf("cut after mark %d: %w", m, err))
	}
	return nil
}

// cutPoint is where a log ends after a cut.
type cutPoint struct {
	i         int // the segment that is to be the last
	pos       int64
	next      Offset
	mark      Mark
	maxTimeMs int64 // latest append time before pos in the segment
}

func (p *Partition) findCut(m Mark) (cutPoint, error) {
	p.mu.Lock()
	i := len(p.segments) - 1
	for i >= 0 && p.segments[i].mark > m {
		i--
	}
	if i < 0 {
		p.mu.Unlock()
		return cutPoint{}, fault.New(fault.Conflict, "cut_below_first", "the log begins above mark %d", m)
	}
	at := p.placeOf(i)
	p.mu.Unlock()
	c := cutPoint{i: i, pos: at.pos, next: at.offset, mark: at.s.mark, maxTimeMs: noTime}
	err := p.walk(at, func(*index) int { return -1 }, nil, func(f frame, pos int64) bool {
		if f.mark > m {
			return false
		}
		c.pos, c.next, c.mark = pos+int64(f.size), f.end(), f.mark
		c.maxTimeMs = max(c.maxTimeMs, f.timeMs)
		return true
	})
	return c, err
}

// cut makes the log end at c, first for readers, then on disk. It needs writer
// and maintenance.
func (p *Partition) cut(c cutPoint) error {
	p.mu.Lock()
	dropped := slices.Clone(p.segments[c.i+1:])
	p.mu.Unlock()
	if len(dropped) > 0 {
		if err := p.reopen(c.i); err != nil {
			return err
		}
	}
	p.mu.Lock()
	s := &p.segments[c.i]
	s.sizeBytes, s.maxTimeMs, s.synced = c.pos, c.maxTimeMs, 0
	p.next, p.mark, p.first = c.next, c.mark, min(p.first, c.next)
	p.active.index.cut(c.pos)
	kept := int64(len(p.active.index.entries)) * indexEntryBytes
	p.hints = [hintSlots]hint{}
	p.cuts++
	p.mu.Unlock()

	// The newest first, so that a crash in between leaves no hole.
	for _, s := range slices.Backward(dropped) {
		p.handles.drop(s.base)
		if err := removeSegment(p.options.FS, p.dir, s.base); err != nil {
			return err
		}
	}
	return errors.Join(truncate(p.active.file, c.pos, segmentName(p.dir, p.active.base)),
		truncate(p.indexFile, kept, indexName(p.dir, p.active.base)))
}

// reopen makes segment i the last and active one.
func (p *Partition) reopen(i int) error {
	p.mu.Lock()
	s, old := p.segments[i], p.active
	p.mu.Unlock()
	h, indexFile, err := openActive(&p.handles, s)
	if err != nil {
		return err
	}
	oldIndexFile := p.indexFile
	p.indexFile = indexFile
	p.mu.Lock()
	p.active = h
	p.segments = p.segments[:i+1]
	p.mu.Unlock()
	p.handles.drop(s.base)
	p.handles.discard(old)
	if err := oldIndexFile.Close(); err != nil {
		return fmt.Errorf("close index in %s: %w", p.dir, err)
	}
	return nil
}

// openActive opens a segment to be appended to, with a complete index in memory
// and on disk.
func openActive(t *handles, s segment) (*handle, File, error) {
	f, err := t.files.Open(segmentName(t.dir, s.base))
	if err != nil {
		return nil, nil, err
	}
	x, err := t.loadIndex(f, s)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	indexFile, err := replaceIndex(t.files, t.dir, x)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return &handle{base: s.base, file: f, index: x, refs: 1}, indexFile, nil
}

// truncate cuts a file, durably: bytes left over from before must not come back
// behind what is written next.
func truncate(f File, size int64, name string) error {
	if err := f.Truncate(size); err != nil {
		return diskError(err, "truncate", name)
	}
	if err := f.Sync(); err != nil {
		return diskError(err, "sync", name)
	}
	return nil
}

// Remove deletes a partition that is not open, with everything Open could find.
// It is not atomic: after a crash or an error, call it again. A partition that
// is not there is no error.
func Remove(files FS, dir string) error {
	names, err := files.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diskError(err, "list", dir)
	}
	for _, name := range names {
		if err := files.Remove(filepath.Join(dir, name)); err != nil {
			return diskError(err, "remove", filepath.Join(dir, name))
		}
	}
	if err := files.Remove(dir); err != nil {
		return diskError(err, "remove", dir)
	}
	if err := files.SyncDir(filepath.Dir(dir)); err != nil {
		return diskError(err, "sync", filepath.Dir(dir))
	}
	return nil
}

// copyFile copies what f holds from pos to end to a new file, durably.
func copyFile(files FS, f File, pos, end int64, name string) error {
	to, err := files.Create(name)
	if err != nil {
		return diskError(err, "create", name)
	}
	_, err = io.Copy(io.NewOffsetWriter(to, 0), io.NewSectionReader(f, pos, end-pos))
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return diskError(err, "write", name)
	}
	return nil
}
