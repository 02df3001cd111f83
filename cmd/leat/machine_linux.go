package main

import (
	"fmt"
	"syscall"
)

// Magic numbers of file systems in memory, from statfs(2).
const (
	tmpfsMagic = 0x01021994
	ramfsMagic = 0x858458f6
)

// timeError is the state of adjtimex(2) of a clock that is not synchronised.
const timeError = 5

func fileLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("ask for the limit of open files: %w", err)
	}
	return limit.Max, nil // the Go runtime raises its own to it
}

func inMemory(dir string) bool {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return false
	}
	kind := uint32(s.Type)
	return kind == tmpfsMagic || kind == ramfsMagic
}

func clockSynced() bool {
	state, err := syscall.Adjtimex(&syscall.Timex{})
	return err == nil && state != timeError
}
