package log

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"leat/internal/fault"
)

// Batch is what becomes one frame: the blocks' records, one after the other.
// Mark must not be less than that of the batch before. TimeMs is Unix time; it
// may go backwards from batch to batch.
type Batch struct {
	Mark   Mark
	TimeMs int64
	Blocks []Block
}

// Append writes a batch and returns the offset of its first record. Readers see
// the records before it returns; they are durable after a later Sync. The blocks
// have to be well formed, see Block.Check, and are not kept.
//
// A batch that is refused (no records, a mark that goes back, over 256 MiB)
// changes nothing. Any other error breaks the partition, see Partition.
func (p *Partition) Append(b Batch) (Offset, error) {
	p.writer.Lock()
	defer p.writer.Unlock()

	p.mu.Lock()
	f := frame{size: frameHeaderBytes, mark: b.Mark, base: p.next, timeMs: b.TimeMs}
	err := p.writable()
	lastMark := p.mark
	roll := p.active == nil || p.segments[len(p.segments)-1].sizeBytes >= p.options.SegmentBytes
	p.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if err := f.measure(b, lastMark); err != nil {
		return 0, err
	}
	if roll {
		if err := p.roll(); err != nil {
			return 0, p.fail(err)
		}
	}
	if err := p.write(f, b.Blocks); err != nil {
		return 0, p.fail(err)
	}
	return f.base, nil
}

// measure sets size and count to those of the batch, or refuses it.
func (f *frame) measure(b Batch, lastMark Mark) error {
	for i := range b.Blocks {
		f.count += b.Blocks[i].Count
		f.size += len(b.Blocks[i].Bytes)
	}
	payload := f.size - frameHeaderBytes
	switch {
	case payload > maxPayloadBytes:
		return fault.New(fault.TooLarge, "batch_too_large", "a batch of %d bytes is over the limit of %d", payload, maxPayloadBytes)
	case f.count < 1 || f.count > payload/minRecordBytes:
		return fault.New(fault.Invalid, "malformed_batch", "a batch counts %d records in %d bytes", f.count, payload)
	case b.Mark < lastMark:
		return fault.New(fault.Internal, "mark_order", "a batch has mark %d after %d", b.Mark, lastMark)
	}
	return nil
}

// write appends a frame to the active segment and publishes it.
func (p *Partition) write(f frame, blocks []Block) error {
	p.mu.Lock()
	s := p.segments[len(p.segments)-1]
	p.mu.Unlock()
	p.out.begin(p.active.file, s.sizeBytes)
	putFrameHeader(&p.out.header, f, blocks)
	p.out.put(p.out.header[:])
	for i := range blocks {
		p.out.put(blocks[i].Bytes)
	}
	if err := p.out.flush(); err != nil {
		return diskError(err, "append to", segmentName(p.dir, s.base))
	}
	x := p.active.index
	indexed := x.wants(s.sizeBytes)
	entry := indexEntry{uint32(f.base - s.base), uint32(s.sizeBytes), s.maxTimeMs, p.mark}
	if indexed {
		x.encode(&p.out.entry, entry)
		if _, err := p.indexFile.WriteAt(p.out.entry[:], int64(len(x.entries))*indexEntryBytes); err != nil {
			return diskError(err, "append to", indexName(p.dir, s.base))
		}
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if indexed {
		x.entries = append(x.entries, entry)
	}
	active := &p.segments[len(p.segments)-1]
	active.sizeBytes += int64(f.size)
	active.maxTimeMs = max(active.maxTimeMs, f.timeMs)
	p.next, p.mark = f.end(), f.mark
	if len(p.waiters) > 0 {
		p.wake()
	}
	return nil
}

// roll begins a new segment and makes it the active one.
func (p *Partition) roll() error {
	h := segmentHeader{base: p.next, beforeBase: noSegment, beforeTime: noTime, mark: p.mark}
	unsynced := []string{p.dir}
	if p.active != nil {
		p.mu.Lock()
		last := p.segments[len(p.segments)-1]
		p.mu.Unlock()
		h.beforeBase, h.beforeBytes, h.beforeTime = last.base, last.sizeBytes, last.maxTimeMs
		// Names become durable in order, so that after a power cut a log that
		// begins with a later segment is one whose earlier ones were dropped.
		if last.synced == 0 {
			if err := p.options.FS.SyncDir(p.dir); err != nil {
				return diskError(err, "sync", p.dir)
			}
		}
	} else {
		if err := p.options.FS.MkdirAll(p.dir); err != nil {
			return diskError(err, "create", p.dir)
		}
		unsynced = p.pathBelowRoot()
	}
	active, indexFile, err := createSegment(p.options, p.dir, h)
	if err != nil {
		return err
	}
	old, oldIndexFile := p.active, p.indexFile
	p.indexFile = indexFile
	p.mu.Lock()
	p.active = active
	p.segments = append(p.segments, segment{base: h.base, mark: h.mark, sizeBytes: segmentHeaderBytes, maxTimeMs: noTime, beforeMs: h.beforeTime})
	p.unsynced = mergeNames(p.unsynced, unsynced)
	p.mu.Unlock()
	if old == nil {
		return nil
	}
	p.handles.adopt(old)
	if err := oldIndexFile.Close(); err != nil {
		return fmt.Errorf("close index in %s: %w", p.dir, err)
	}
	return nil
}

// errNotBegun says that a segment was not begun and nothing of it is left.
var errNotBegun = errors.New("the segment was not begun")

// createSegment makes the files of an empty segment, or none: it takes away what it
// could not finish, with the error errNotBegun.
func createSegment(o Options, dir string, h segmentHeader) (*handle, File, error) {
	active, indexFile, err := writeSegment(o, dir, h)
	if err == nil {
		return active, indexFile, nil
	}
	if left := removeSegment(o.FS, dir, h.base); left != nil {
		return nil, nil, errors.Join(err, left)
	}
	return nil, nil, fmt.Errorf("%w: %w", errNotBegun, err)
}

func writeSegment(o Options, dir string, h segmentHeader) (*handle, File, error) {
	name := segmentName(dir, h.base)
	f, err := o.FS.Create(name)
	if err != nil {
		return nil, nil, diskError(err, "create", name)
	}
	if _, err := f.WriteAt(h.encode(), 0); err != nil {
		return nil, nil, errors.Join(diskError(err, "write", name), f.Close())
	}
	indexFile, err := o.FS.Create(indexName(dir, h.base))
	if err != nil {
		return nil, nil, errors.Join(diskError(err, "create", indexName(dir, h.base)), f.Close())
	}
	x := &index{base: h.base, every: o.IndexBytes}
	return &handle{base: h.base, file: f, index: x, refs: 1}, indexFile, nil
}

// pathBelowRoot returns the directories that hold the names on the way from
// Options.Root to the segments: the root itself down to the partition's own.
func (p *Partition) pathBelowRoot() []string {
	dir := filepath.Clean(p.dir)
	root := filepath.Dir(dir)
	if p.options.Root != "" {
		root = filepath.Clean(p.options.Root)
	}
	path := []string{dir}
	for dir != root {
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
		path = append(path, dir)
	}
	return path
}

// mergeNames returns the names in either of two short lists.
func mergeNames(a, b []string) []string {
	merged := a[:len(a):len(a)]
next:
	for _, name := range b {
		for _, have := range a {
			if have == name {
				continue next
			}
		}
		merged = append(merged, name)
	}
	return merged
}

// diskError says what failed, and tells a full disk from other errors.
func diskError(err error, doing, name string) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.New(fault.DiskFull, "disk_full", "%s %s: %w", doing, name, err)
	}
	var path *fs.PathError
	if errors.As(err, &path) && path.Path == name {
		err = path.Err
	}
	return fmt.Errorf("%s %s: %w", doing, name, err)
}

// gather writes pieces that follow each other in a file with few calls: small
// ones are copied together, large ones written from where they are.
type gather struct {
	file   File
	pos    int64
	buf    []byte
	header [frameHeaderBytes]byte
	entry  [indexEntryBytes]byte
	err    error
}

// gatherBytes bounds the memory that a partition holds for writing.
const gatherBytes = 64 << 10

func (g *gather) begin(f File, pos int64) {
	g.file, g.pos, g.buf, g.err = f, pos, g.buf[:0], nil
}

func (g *gather) put(b []byte) {
	if len(g.buf)+len(b) > gatherBytes {
		g.write(g.buf)
		g.buf = g.buf[:0]
	}
	if len(b) > gatherBytes {
		g.write(b)
		return
	}
	g.buf = append(g.buf, b...)
}

func (g *gather) write(b []byte) {
	if g.err != nil || len(b) == 0 {
		return
	}
	_, g.err = g.file.WriteAt(b, g.pos)
	g.pos += int64(len(b))
}

func (g *gather) flush() error {
	g.write(g.buf)
	g.file = nil
	return g.err
}
