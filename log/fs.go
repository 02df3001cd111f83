package log

import "io"

// File is an open file. ReadAt may run beside every other method; the writing
// methods are called by one goroutine at a time, except Sync.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Truncate sets the length; growing fills with zeros.
	Truncate(size int64) error
	// Sync returns once every byte written before the call, and the length
	// needed to read it back, is on stable storage. It says nothing about the
	// file's name: see FS.SyncDir. After an error the state of the unsynced
	// bytes is unknown, and a second Sync proves nothing.
	Sync() error
	// Size is the present length in bytes.
	Size() (int64, error)
}

// FS is what a log needs of a file system. Errors satisfy errors.Is with
// fs.ErrNotExist where a name is missing. Names are paths as the filepath
// package makes them.
//
// A name made, renamed or removed is durable only after SyncDir of the
// directory that holds it; the bytes of a file only after its Sync. The two are
// independent: a power cut may keep either without the other.
type FS interface {
	// Create makes an empty file open for reading and writing; a file of that
	// name loses its bytes.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Rename replaces newName atomically.
	Rename(oldName, newName string) error
	// Remove takes away a file or an empty directory.
	Remove(name string) error
	// List returns the names, without the directory, of what dir holds, sorted.
	List(dir string) ([]string, error)
	// MkdirAll makes a directory and the parents it lacks.
	MkdirAll(dir string) error
	// SyncDir makes the names in dir durable.
	SyncDir(dir string) error
}
