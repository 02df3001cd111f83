package fakebus

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"leat/log"
)

// memory is a file system in memory that forgets nothing. Directories need not be
// made.
type memory struct {
	mu    sync.Mutex
	files map[string]*memoryFile
}

func newMemory() *memory { return &memory{files: map[string]*memoryFile{}} }

func (m *memory) Create(name string) (log.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &memoryFile{}
	m.files[name] = f
	return f, nil
}

func (m *memory) Open(name string) (log.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return f, nil
}

func (m *memory) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[oldName]
	if f == nil {
		return fmt.Errorf("rename %s: %w", oldName, fs.ErrNotExist)
	}
	delete(m.files, oldName)
	m.files[newName] = f
	return nil
}

func (m *memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

func (m *memory) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.files {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (m *memory) MkdirAll(string) error { return nil }
func (m *memory) SyncDir(string) error  { return nil }

// memoryFile is bytes in pieces, so that a file that grows is not copied over and over.
type memoryFile struct {
	mu     sync.RWMutex
	size   int64
	pieces [][]byte // of pieceBytes each, a lone one may be shorter; zeros beyond size
}

const pieceBytes = 64 << 10

// each calls do for the parts of pieces from at to end, which have to be there.
func (f *memoryFile) each(at, end int64, do func(part []byte)) {
	for at < end {
		piece, from := f.pieces[at/pieceBytes], at%pieceBytes
		n := min(end-at, pieceBytes-from)
		do(piece[from : from+n])
		at += n
	}
}

func (f *memoryFile) ReadAt(b []byte, at int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if at >= f.size {
		return 0, io.EOF
	}
	n := 0
	f.each(at, min(f.size, at+int64(len(b))), func(part []byte) { n += copy(b[n:], part) })
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(at + int64(len(b)))
	n := 0
	f.each(at, at+int64(len(b)), func(part []byte) { n += copy(part, b[n:]) })
	return n, nil
}

func (f *memoryFile) grow(size int64) {
	f.size = max(f.size, size)
	if n := len(f.pieces); n <= 1 && (n == 0 || len(f.pieces[0]) < pieceBytes) {
		f.growFirst(min(size, pieceBytes))
	}
	for int64(len(f.pieces))*pieceBytes < size {
		f.pieces = append(f.pieces, make([]byte, pieceBytes))
	}
}

// growFirst has the first piece hold so many bytes: most files of a test are short.
func (f *memoryFile) growFirst(size int64) {
	if len(f.pieces) == 0 {
		f.pieces = append(f.pieces, nil)
	}
	if n := int64(len(f.pieces[0])); n < size {
		longer := make([]byte, min(max(2*n, size, 512), pieceBytes))
		copy(longer, f.pieces[0])
		f.pieces[0] = longer
	}
}

func (f *memoryFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if size < f.size {
		f.each(size, f.size, func(part []byte) { clear(part) })
		f.size = size
	}
	f.grow(size)
	return nil
}

func (f *memoryFile) Size() (int64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.size, nil
}

func (f *memoryFile) Sync() error  { return nil }
func (f *memoryFile) Close() error { return nil }
