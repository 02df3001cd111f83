package log

import (
	"errors"
	"io"
	"io/fs"
	"sync"
)

// handle is an open segment file with its index. It stays usable, even when
// the file is unlinked, until everyone who holds it has released it.
type handle struct {
	base  Offset
	file  File
	index *index // of the active segment: guarded by Partition.mu; else constant

	// The rest is guarded by handles.mu.
	refs int
	used uint64
	gone bool // no longer in the table: the last release closes it
}

// handles are the open segment files of a partition. At most limit of them are
// kept open beyond those in use.
type handles struct {
	files FS
	dir   string
	every int
	limit int

	// loading is held while a file is opened and its index loaded, and by drop,
	// so that nothing opened before an unlink enters the table after the drop.
	// It comes before mu.
	loading sync.Mutex

	mu    sync.Mutex
	open  map[Offset]*handle
	clock uint64
}

// retain adds a holder to a handle that has one already or is in the table.
func (t *handles) retain(h *handle) {
	t.mu.Lock()
	h.refs++
	t.mu.Unlock()
}

func (t *handles) release(h *handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.refs--
	t.closeUnused(h)
}

func (t *handles) closeUnused(h *handle) {
	if h.gone && h.refs == 0 {
		// Nothing was written through it that a Close could still lose.
		_ = h.file.Close()
	}
}

// acquire returns the handle of a sealed segment, held once, opening the file
// and loading its index if need be.
func (t *handles) acquire(s segment) (*handle, error) {
	if h := t.lookup(s.base); h != nil {
		return h, nil
	}
	t.loading.Lock()
	defer t.loading.Unlock()
	if h := t.lookup(s.base); h != nil {
		return h, nil
	}
	f, err := t.files.Open(segmentName(t.dir, s.base))
	if err != nil {
		return nil, err
	}
	x, err := t.loadIndex(f, s)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	h := &handle{base: s.base, file: f, index: x, refs: 2}
	t.adopt(h)
	return h, nil
}

// lookup returns the handle of base if it is in the table, held once more.
func (t *handles) lookup(base Offset) *handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.open[base]
	if h != nil {
		h.refs++
		t.clock++
		h.used = t.clock
	}
	return h
}

// adopt puts a handle that was made elsewhere into the table, taking over one
// of its holds.
func (t *handles) adopt(h *handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.refs--
	t.clock++
	h.used = t.clock
	if t.open == nil {
		t.open = make(map[Offset]*handle, t.limit+1)
	}
	t.open[h.base] = h
	t.evict()
}

// evict closes what was not used for longest, as long as there are too many.
func (t *handles) evict() {
	for len(t.open) > t.limit {
		var oldest *handle
		for _, h := range t.open {
			if h.refs == 0 && (oldest == nil || h.used < oldest.used) {
				oldest = h
			}
		}
		if oldest == nil {
			return
		}
		t.remove(oldest)
	}
}

func (t *handles) remove(h *handle) {
	delete(t.open, h.base)
	h.gone = true
	t.closeUnused(h)
}

// drop forgets the handle of base.
func (t *handles) drop(base Offset) {
	t.loading.Lock()
	defer t.loading.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.open[base]; h != nil {
		t.remove(h)
	}
}

// discard gives up the caller's hold of a handle that is not in the table.
func (t *handles) discard(h *handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.refs--
	h.gone = true
	t.closeUnused(h)
}

func (t *handles) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.open {
		t.remove(h)
	}
}

// distrust takes away the index file of a segment: the next use builds it anew.
func (t *handles) distrust(base Offset) error {
	t.drop(base)
	err := t.files.Remove(indexName(t.dir, base))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// loadIndex reads the index of a sealed segment, adds what it lacks by scanning
// the segment and, if that changed anything, replaces the file. Damage of the
// segment ends the index there: a read beyond will find it.
func (t *handles) loadIndex(f File, s segment) (*index, error) {
	file, err := t.files.Open(indexName(t.dir, s.base))
	if err != nil {
		file = nil // readIndex takes a missing file and a failing disk alike
	}
	x, whole := readIndex(file, s.base, t.every, s.sizeBytes)
	if file != nil {
		_ = file.Close() // only read
	}
	loaded := len(x.entries)
	if err := t.extendIndex(f, s, x); err != nil {
		return nil, err
	}
	if whole && len(x.entries) == loaded {
		return x, nil
	}
	if file, err := replaceIndex(t.files, t.dir, x); err == nil {
		_ = file.Close() // written and synced, or else built again
	}
	return x, nil
}

// extendIndex scans a segment from the last entry of x on and adds entries.
func (t *handles) extendIndex(f File, s segment, x *index) error {
	scan := scanner{file: f, pos: segmentHeaderBytes, end: s.sizeBytes, next: s.base, chunk: probeChunk}
	maxTimeMs := noTime
	if n := len(x.entries); n > 0 {
		e := x.entries[n-1]
		scan.pos, scan.next, scan.mark = int64(e.pos), x.offset(n-1), e.mark
		maxTimeMs = e.maxTimeMs
	} else {
		h, err := readSegmentHeader(f, s.base)
		if err != nil {
			return corruptOr(err, segmentName(t.dir, s.base), 0)
		}
		scan.mark = h.mark
		scan.chunk = scanChunk
	}
	for {
		pos, mark := scan.pos, scan.mark
		fr, err := scan.frame()
		var broken *badFrame
		if errors.Is(err, io.EOF) || errors.As(err, &broken) {
			return nil
		}
		if err != nil {
			return err
		}
		if x.wants(pos) {
			x.add(fr, pos, maxTimeMs, mark)
		}
		maxTimeMs = max(maxTimeMs, fr.timeMs)
	}
}

// corruptOr makes a *badFrame the fault for damage at a place, and leaves other
// errors as they are.
func corruptOr(err error, name string, pos int64) error {
	var broken *badFrame
	if errors.As(err, &broken) {
		return corruptAt(name, pos, broken)
	}
	return err
}
