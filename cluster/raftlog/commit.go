package raftlog

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// groupCommit lets the goroutines that wait for a sync share one: the first
// that finds none under way syncs everything written so far, the others wait
// for the sync that covers their bytes.
type groupCommit struct {
	mu      sync.Mutex
	done    sync.Cond
	running bool
	waiting int // goroutines in syncTo
	last    int // how many there were when the last sync ended
	err     error
	durable atomic.Uint64 // LSN up to which the log is synced; never falls
}

func (c *groupCommit) init() { c.done.L = &c.mu }

// advance notes that the log is synced up to lsn.
func (c *groupCommit) advance(lsn uint64) {
	c.mu.Lock()
	if lsn > c.durable.Load() {
		c.durable.Store(lsn)
	}
	c.done.Broadcast()
	c.mu.Unlock()
}

// fail makes every present and later wait for bytes not yet synced end with
// err.
func (c *groupCommit) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.done.Broadcast()
	c.mu.Unlock()
}

// syncTo returns when everything below lsn is synced, or with the error that
// makes it impossible.
func (db *DB) syncTo(lsn uint64) error {
	c := &db.commit
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting++
	defer func() { c.waiting-- }()
	for c.durable.Load() < lsn {
		if c.err != nil {
			return c.err
		}
		if c.running {
			c.done.Wait()
			continue
		}
		c.running = true
		several := c.last > 1
		c.mu.Unlock()
		if several {
			// The others of the last sync are about to write again: let them,
			// or every second sync would be for one round alone.
			runtime.Gosched()
		}
		end, err := db.syncActive()
		c.mu.Lock()
		c.running, c.last = false, c.waiting
		if err == nil && end > c.durable.Load() {
			c.durable.Store(end)
		}
		if err != nil && c.err == nil {
			c.err = err
		}
		c.done.Broadcast()
	}
	return nil
}

// syncActive syncs the segment being written and returns how far the log is
// synced with that: earlier segments were synced before this one was begun.
func (db *DB) syncActive() (uint64, error) {
	db.mu.Lock()
	if db.failed != nil {
		defer db.mu.Unlock()
		return 0, db.failed
	}
	seg := db.active()
	end := seg.base + uint64(seg.end)
	seg.refs++
	db.mu.Unlock()

	err := seg.file.Sync()

	db.mu.Lock()
	defer db.mu.Unlock()
	if err != nil {
		err = db.poison(fmt.Errorf("sync raft log %s: %w", seg.name, err))
	}
	if cerr := seg.release(); err == nil && cerr != nil {
		err = db.poison(fmt.Errorf("close raft log %s: %w", seg.name, cerr))
	}
	return end, err
}

// poison makes the log refuse every later write and returns the first reason.
// The caller holds the mutex.
func (db *DB) poison(err error) error {
	if db.failed == nil {
		db.failed = err
	}
	return db.failed
}
