//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// syncLoop appends size bytes to a file and syncs it, one after the other, for a
// time: the least an acknowledgement of one client can cost on this disk. The file
// grows, as logs without room set aside do.
func syncLoop(dir string, size int, run time.Duration) (out outcome, err error) {
	f, err := os.CreateTemp(dir, "sync-*")
	if err != nil {
		return out, fmt.Errorf("make a file to sync: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	piece := make([]byte, size)
	for i := range piece {
		piece[i] = byte(i * 7)
	}
	for start := time.Now(); time.Since(start) < run; {
		began := time.Now()
		if _, err := f.Write(piece); err != nil {
			return out, fmt.Errorf("append: %w", err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return out, fmt.Errorf("sync: %w", err)
		}
		out.latency.add(time.Since(began))
	}
	out.perSecond = float64(out.latency.total) / run.Seconds()
	return out, nil
}

// diskBytes is what the files below dir occupy.
func diskBytes(dir string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var s syscall.Stat_t
		if err := syscall.Stat(path, &s); err != nil {
			return err
		}
		total += s.Blocks * 512
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", dir, err)
	}
	return total, nil
}
