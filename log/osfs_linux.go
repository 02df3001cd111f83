package log

import (
	"errors"
	"os"
	"syscall"
)

// syncData writes the bytes of a file and the metadata needed to read them
// back. It spares the journal commit of a changed modification time.
func syncData(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = conn.Control(func(fd uintptr) {
		for {
			result = syscall.Fdatasync(int(fd))
			if !errors.Is(result, syscall.EINTR) {
				return
			}
		}
	})
	if err == nil && result != nil {
		err = &os.PathError{Op: "fdatasync", Path: f.Name(), Err: result}
	}
	return err
}
