package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"time"

	"leat/internal/fault"
)

// A write that fails on a full disk ends the process: raft cannot go back on what
// it was told is stored. So writes that add are refused while there is still room
// for what keeps the node alive: the raft log's segment under way, a checkpoint,
// the compaction that frees space.
const (
	// spaceShare and spaceCap bound the reserve: a sixteenth of the file system,
	// at least spaceLeast and at most spaceCap.
	spaceShare = 16
	spaceLeast = 24 << 20
	spaceCap   = 512 << 20
	spaceEvery = 100 * time.Millisecond
	// compactRounds is how many looks at a full disk lie between two attempts to
	// free some of it.
	compactRounds = 50
	// startLeast is what a start needs besides a second copy of each checkpoint.
	startLeast = 256 << 10
	// spaceCopies is how often the bytes of a write reach the disk: the raft log,
	// and a segment or the state log.
	spaceCopies = 2
)

// freeSpace is a file system that can tell how much room it has.
type freeSpace interface {
	// Space returns the bytes a writer may still use and the size in all.
	Space(dir string) (free, total int64, err error)
}

// spaceGuard watches the room on the disk. The zero guard admits everything.
type spaceGuard struct {
	full  atomic.Bool
	short atomic.Bool // full when somebody looked last
	known atomic.Bool // somebody has looked
	free  atomic.Int64
	room  atomic.Int64 // bytes that may be written until the next look
	spent atomic.Int64 // and those that have been admitted since the last
}

// admit refuses a write of so many bytes that adds to the disk when there is no
// room left. Between two looks a fast writer could use up the whole reserve, so
// what is admitted counts at once.
func (g *spaceGuard) admit(size int) error {
	if !g.full.Load() {
		if !g.known.Load() || g.spent.Add(spaceCopies*int64(size)) <= g.room.Load() {
			return nil
		}
		g.full.Store(true) // until the next look
	}
	return fault.New(fault.DiskFull, "disk_full",
		"The disk has %d MiB left, which the node keeps for itself; reads go on, and so will writes once there is room", g.free.Load()>>20)
}

// Reserve is how many bytes a node keeps free of a file system of that size: with
// less it refuses writes that add.
func Reserve(total int64) int64 { return reserve(total) }

// reserve is how much room is kept.
func reserve(total int64) int64 { return min(max(total/spaceShare, spaceLeast), spaceCap) }

// look measures. To take writes again there has to be half a reserve more than to
// refuse them.
func (g *spaceGuard) look(free, total int64) {
	keep := reserve(total)
	g.free.Store(free)
	if g.full.Load() {
		keep += keep / 2
	}
	// What was admitted before this look may not be on the disk yet.
	g.room.Store(free - reserve(total) - g.spent.Swap(0))
	g.known.Store(true)
	g.full.Store(free < keep)
	g.short.Store(free < keep)
}

// refuseFullDisk refuses to start where a checkpoint could not be written beside the one that
// is there: a start writes one of every shard, and raft ends the process where it cannot.
func refuseFullDisk(c Config) error {
	files, ok := c.FS.(freeSpace)
	if !ok {
		return nil
	}
	free, _, err := files.Space(c.Dir)
	if err != nil {
		return fmt.Errorf("measure the room in %s: %w", c.Dir, err)
	}
	need := int64(startLeast)
	shards := filepath.Join(c.Dir, "shards")
	names, err := c.FS.List(shards)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		f, err := c.FS.Open(checkpointName(filepath.Join(shards, name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		size, err := f.Size()
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		need += size
	}
	if free < need {
		return fault.New(fault.DiskFull, "disk_full", "the disk of %s has %d KiB left, and a start needs %d KiB: free some room", c.Dir, free>>10, need>>10)
	}
	return nil
}

// measured has the guard know how much room there is, and the operator where that changes
// what it does.
func (n *Node) measured(free, total int64) {
	was := n.space.full.Load()
	n.space.look(free, total)
	switch now := n.space.full.Load(); {
	case now && !was:
		n.config.Logger.Warn("the disk is almost full: writes to what this node leads are refused until there is room", "dir", n.config.Dir, "free_bytes", free, "reserve_bytes", reserve(total))
	case was && !now:
		n.config.Logger.Info("the disk has room again", "dir", n.config.Dir, "free_bytes", free)
	}
}

// watchSpace measures the room until ctx ends. While there is little it compacts
// the raft log and checkpoints, whatever their size: that may be what frees it.
func (n *Node) watchSpace(ctx context.Context) {
	files, ok := n.config.FS.(freeSpace)
	if !ok {
		return
	}
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	blind := false
	for round := 0; ; round++ {
		free, total, err := files.Space(n.config.Dir)
		switch {
		case err == nil:
			n.measured(free, total)
		case !blind:
			n.config.Logger.Warn("room on the disk not known", "error", err)
		}
		blind = err != nil
		if n.space.full.Load() && round%compactRounds == 0 {
			n.compact(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
