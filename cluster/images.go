package cluster

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"leat/internal/fault"
)

// saveImages makes images of the shards' states when their state logs have grown, until
// ctx ends. A checkpoint does without: it says how far the state log is durable, and a
// start applies that to the last image. So images bound what a start reads, and what the
// disk holds: about three times the state, two images and the state log between them.
func (n *Node) saveImages(ctx context.Context) error {
	tick := time.NewTicker(n.config.CheckpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, id := range n.shardIDs() {
			m := n.shards[id].machine
			if !m.imageDue() || !n.roomForImage(m) {
				continue
			}
			pace := func(w io.Writer) io.Writer { return newPacedWriter(w, ctx.Done(), m.taken.Load) }
			switch err := m.saveImage(pace); {
			case err == nil || ctx.Err() != nil || m.ended():
			case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
				n.config.Logger.Warn("no room for an image of the state", "shard", id, "error", err)
			default:
				return fault.New(fault.Internal, "internal", "make the state durable: %w", err)
			}
		}
	}
}

// roomForImage tells whether an image leaves of the disk what the node needs at least.
func (n *Node) roomForImage(m *machine) bool {
	since, bytes := m.imageBehind()
	return !n.space.known.Load() || n.space.free.Load() > since+bytes+spaceLeast
}
