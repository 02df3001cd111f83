package cluster

import (
	"context"
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
)

// freeSpace is a file system that can tell how much room it has.
type freeSpace interface {
	// Space returns the bytes a writer may still use and the size in all.
	Space(dir string) (free, total int64, err error)
}

// spaceGuard watches the room on the disk. The zero guard admits everything.
type spaceGuard struct {
	full atomic.Bool
	free atomic.Int64
}

// admit refuses a write that adds to the disk when there is no room left.
func (g *spaceGuard) admit() error {
	if !g.full.Load() {
		return nil
	}
	return fault.New(fault.DiskFull, "disk_full",
		"The disk has %d MiB left, which the node keeps for itself; reads go on, and so will writes once there is room", g.free.Load()>>20)
}

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
	g.full.Store(free < keep)
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
	for round := 0; ; round++ {
		free, total, err := files.Space(n.config.Dir)
		if err != nil {
			n.config.Logger.Warn("room on the disk not known", "error", err)
			return
		}
		was := n.space.full.Load()
		n.space.look(free, total)
		if now := n.space.full.Load(); now != was {
			n.config.Logger.Warn("disk", "full", now, "free_bytes", free, "reserve_bytes", reserve(total))
		}
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
