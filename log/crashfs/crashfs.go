// Package crashfs is a file system in memory that can lose power. It keeps
// apart what was written and what was synced, so that a test can ask at any
// moment what a disk might hold if the machine stopped then.
//
// The model: a file's bytes are durable after its Sync, a name after SyncDir of
// its directory, and neither implies the other. Of the writes and truncations
// not yet synced a power cut keeps none, all, the first few, or any subset, a
// write in whole or in part, to the byte at its end and in sectors of 512 bytes
// within; bytes below a kept one that were lost read as zeros. Names not yet
// synced fare likewise; a rename is kept or lost as one.
package crashfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"leat/log"
)

// ErrInjected is what the operations return that were told to fail.
var ErrInjected = errors.New("injected failure")

// Op names a step that changes what a power cut would leave.
type Op struct {
	Kind string // "create", "write", "truncate", "sync", "rename", "remove", "mkdir" or "syncdir"
	Name string
}

// Disk is the file system. It may be used by many goroutines.
type Disk struct {
	seed uint64

	mu         sync.Mutex
	entries    map[string]*node // every name there is; the root is always there
	durable    map[string]*node // the names that a power cut leaves for certain
	pending    []nameOp
	crashes    uint64
	ignoreSync bool
	failSync   int // countdown, 0: off
	failWrite  int
	room       int64 // bytes left to write, -1: no limit
	before     func(Op)
}

var _ log.FS = (*Disk)(nil)

// node is a directory or the bytes of a file.
type node struct {
	dir     bool
	data    []byte   // as a reader sees it
	durable []byte   // as it was at the last sync
	pending []dataOp // since then
}

// dataOp is a write, or where data is nil, a truncation to off.
type dataOp struct {
	off  int64
	data []byte
}

// nameOp puts node under name, or takes the name away where node is nil. Of a
// rename it is both.
type nameOp struct {
	name string
	node *node
	gone string // the old name of a rename
}

// New returns an empty disk. Two disks with one seed that see the same calls
// leave the same after a power cut.
func New(seed uint64) *Disk {
	root := map[string]*node{"/": {dir: true}, ".": {dir: true}}
	d := &Disk{seed: seed, entries: root, durable: make(map[string]*node), room: -1}
	for name, n := range root {
		d.durable[name] = n
	}
	return d
}

// FS returns the disk as a file system.
func (d *Disk) FS() log.FS { return d }

// IgnoreSyncs makes Sync and SyncDir do nothing and report success.
func (d *Disk) IgnoreSyncs() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ignoreSync = true
}

// FailSync makes the nth Sync or SyncDir from now fail, 1 being the next. The
// bytes or names it should have made durable are not, whatever is synced later.
func (d *Disk) FailSync(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failSync = n
}

// FailWrite makes the nth write from now fail, 1 being the next, when half of
// its bytes are written.
func (d *Disk) FailWrite(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failWrite = n
}

// Limit leaves room for so many more bytes to be written; what goes beyond
// fails with err. A negative number takes the limit away.
func (d *Disk) Limit(sizeBytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = sizeBytes
}

// Before has f called before every step that changes what a power cut would
// leave. f may call Crash and nothing else of the disk.
func (d *Disk) Before(f func(Op)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = f
}

// step announces a step, and takes the lock for it.
func (d *Disk) step(kind, name string) {
	d.mu.Lock()
	before := d.before
	d.mu.Unlock()
	if before != nil {
		before(Op{kind, name})
	}
	d.mu.Lock()
}

// countdown tells whether this is the call that has to fail.
func countdown(n *int) bool {
	if *n == 0 {
		return false
	}
	*n--
	return *n == 0
}

func missing(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// Create implements log.FS.
func (d *Disk) Create(name string) (log.File, error) {
	name = filepath.Clean(name)
	d.step("create", name)
	defer d.mu.Unlock()
	if parent := d.entries[filepath.Dir(name)]; parent == nil || !parent.dir {
		return nil, missing("create", name)
	}
	n := d.entries[name]
	switch {
	case n == nil:
		n = &node{}
		d.entries[name] = n
		d.pending = append(d.pending, nameOp{name: name, node: n})
	case n.dir:
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	default:
		n.truncate(0)
	}
	return &file{disk: d, node: n, name: name}, nil
}

// Open implements log.FS.
func (d *Disk) Open(name string) (log.File, error) {
	name = filepath.Clean(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.entries[name]
	if n == nil || n.dir {
		return nil, missing("open", name)
	}
	return &file{disk: d, node: n, name: name}, nil
}

// Rename implements log.FS, for files within a directory.
func (d *Disk) Rename(oldName, newName string) error {
	oldName, newName = filepath.Clean(oldName), filepath.Clean(newName)
	d.step("rename", newName)
	defer d.mu.Unlock()
	n := d.entries[oldName]
	if n == nil {
		return missing("rename", oldName)
	}
	if n.dir || filepath.Dir(oldName) != filepath.Dir(newName) {
		return &fs.PathError{Op: "rename", Path: oldName, Err: errors.ErrUnsupported}
	}
	delete(d.entries, oldName)
	d.entries[newName] = n
	d.pending = append(d.pending, nameOp{name: newName, node: n, gone: oldName})
	return nil
}

// Remove implements log.FS.
func (d *Disk) Remove(name string) error {
	name = filepath.Clean(name)
	d.step("remove", name)
	defer d.mu.Unlock()
	if d.entries[name] == nil {
		return missing("remove", name)
	}
	for other := range d.entries {
		if other != name && filepath.Dir(other) == name {
			return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory not empty")}
		}
	}
	delete(d.entries, name)
	d.pending = append(d.pending, nameOp{name: name})
	return nil
}

// List implements log.FS.
func (d *Disk) List(dir string) ([]string, error) {
	dir = filepath.Clean(dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.entries[dir]; n == nil || !n.dir {
		return nil, missing("list", dir)
	}
	names := []string{}
	for name := range d.entries {
		if name != dir && filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MkdirAll implements log.FS.
func (d *Disk) MkdirAll(dir string) error {
	dir = filepath.Clean(dir)
	d.step("mkdir", dir)
	defer d.mu.Unlock()
	var made []string
	for ; d.entries[dir] == nil; dir = filepath.Dir(dir) {
		made = append(made, dir)
	}
	if !d.entries[dir].dir {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
	}
	for _, name := range slices.Backward(made) {
		n := &node{dir: true}
		d.entries[name] = n
		d.pending = append(d.pending, nameOp{name: name, node: n})
	}
	return nil
}

// SyncDir implements log.FS.
func (d *Disk) SyncDir(dir string) error {
	dir = filepath.Clean(dir)
	d.step("syncdir", dir)
	defer d.mu.Unlock()
	if n := d.entries[dir]; n == nil || !n.dir {
		return missing("syncdir", dir)
	}
	if d.ignoreSync {
		return nil
	}
	failed := countdown(&d.failSync)
	rest := d.pending[:0]
	for _, op := range d.pending {
		switch {
		case filepath.Dir(op.name) != dir:
			rest = append(rest, op)
		case !failed:
			op.apply(d.durable)
		}
	}
	d.pending = rest
	if failed {
		return fmt.Errorf("sync %s: %w", dir, ErrInjected)
	}
	return nil
}

func (op nameOp) apply(names map[string]*node) {
	if op.gone != "" {
		delete(names, op.gone)
	}
	if op.node == nil {
		delete(names, op.name)
		return
	}
	names[op.name] = op.node
}

// file is an open file. It outlives its name.
type file struct {
	disk *Disk
	node *node
	name string
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	f.disk.step("write", f.name)
	defer f.disk.mu.Unlock()
	n, err := len(b), error(nil)
	if countdown(&f.disk.failWrite) {
		n, err = n/2, ErrInjected
	}
	if room := f.disk.room; room >= 0 {
		if int64(n) > room {
			n, err = int(room), noSpace
		}
		f.disk.room -= int64(n)
	}
	if n > 0 {
		f.node.write(dataOp{off, slices.Clone(b[:n])})
	}
	if err != nil {
		err = &fs.PathError{Op: "write", Path: f.name, Err: err}
	}
	return n, err
}

func (f *file) Truncate(size int64) error {
	f.disk.step("truncate", f.name)
	defer f.disk.mu.Unlock()
	f.node.truncate(size)
	return nil
}

func (f *file) Sync() error {
	f.disk.step("sync", f.name)
	defer f.disk.mu.Unlock()
	if f.disk.ignoreSync {
		return nil
	}
	failed := countdown(&f.disk.failSync)
	for _, op := range f.node.pending {
		if !failed {
			f.node.durable = op.apply(f.node.durable)
		}
	}
	f.node.pending = nil
	if failed {
		return &fs.PathError{Op: "sync", Path: f.name, Err: ErrInjected}
	}
	return nil
}

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *file) Close() error { return nil }

func (n *node) write(op dataOp) {
	n.data = op.apply(n.data)
	n.pending = append(n.pending, op)
}

func (n *node) truncate(size int64) {
	n.write(dataOp{off: size})
}

// apply returns data with the operation done, in place where there is room.
func (op dataOp) apply(data []byte) []byte {
	end := op.off + int64(len(op.data))
	if op.data == nil && end < int64(len(data)) {
		return data[:end:end]
	}
	if grow := end - int64(len(data)); grow > 0 {
		data = append(data, make([]byte, grow)...)
	}
	copy(data[op.off:], op.data)
	return data
}
