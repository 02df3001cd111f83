package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"leat/log"
)

// machine is what the doctor measures.
type machine struct {
	// syncs writes and syncs so many small pieces of a file in dir that has no
	// name, and tells how long each took.
	syncs func(dir string, count int) ([]time.Duration, error)
	// space returns the bytes a writer may still use, and the size in all.
	space func(dir string) (free, total int64, err error)
	// volatile tells whether a restart of the machine empties dir.
	volatile    func(dir string) bool
	openFiles   func() (uint64, error)
	now         func() time.Time
	clockSynced func() bool
}

func thisMachine() machine {
	return machine{syncs: timeSyncs, space: roomIn, volatile: inMemory, openFiles: fileLimit, now: time.Now, clockSynced: clockSynced}
}

func roomIn(dir string) (free, total int64, err error) {
	if files, ok := log.OS().(interface {
		Space(dir string) (free, total int64, err error)
	}); ok {
		return files.Space(dir)
	}
	return 0, 0, errors.New("the room on the disk is not known on this system")
}

// timeSyncs uses the log's own way to sync.
func timeSyncs(dir string, count int) (took []time.Duration, err error) {
	named, err := os.CreateTemp(dir, ".leat-doctor-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, named.Close()) }()
	file, err := log.OS().Open(named.Name())
	// Without its name nothing is left behind, however this ends.
	if err = errors.Join(err, os.Remove(named.Name())); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	piece := make([]byte, 4<<10)
	for i := range count {
		began := time.Now()
		if _, err := file.WriteAt(piece, int64(i*len(piece))); err != nil {
			return nil, fmt.Errorf("write: %w", err)
		}
		if err := file.Sync(); err != nil {
			return nil, fmt.Errorf("sync: %w", err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}
