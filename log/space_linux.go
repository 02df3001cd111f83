package log

import (
	"fmt"
	"syscall"
)

// Space returns how many bytes a writer may still use on the file system that
// holds dir, and the size of it in all.
func (osFS) Space(dir string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("measure the room in %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil
}
