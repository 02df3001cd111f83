package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"leat/internal/fault"
)

// lockDir takes the data directory for this process; closing the file gives it
// back, and so does the end of the process, however it comes.
func lockDir(dir string) (*os.File, error) {
	// On a file system of tests the directory may not be there.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fault.New(fault.Conflict, "data_dir_in_use", "another process uses the data directory %s", dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
