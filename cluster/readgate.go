package cluster

import (
	"context"
	"sync"
	"sync/atomic"
)

// readGate lets linearizable reads that come at the same time share one
// confirmation that this node is up to date. A read waits for a confirmation
// that begins after the read has come: one under way may be too old for it.
//
// Where the node is the shard's only member for good, nobody else can acknowledge
// anything, and this node does so only after it has applied it: once it has caught
// up with its own raft log there is nothing to confirm.
type readGate struct {
	confirm func(ctx context.Context) error
	lone    atomic.Bool // nothing to confirm any more

	mu   sync.Mutex
	next *readRound // readers waiting for the next confirmation, nil for none
	wake chan struct{}
	over bool // run has ended
}

type readRound struct {
	done chan struct{}
	err  error
}

func newReadGate(confirm func(context.Context) error) *readGate {
	return &readGate{confirm: confirm, wake: make(chan struct{}, 1)}
}

// wait returns once everything acknowledged before the call can be read here.
func (g *readGate) wait(ctx context.Context) error {
	if g.lone.Load() {
		return nil
	}
	g.mu.Lock()
	if g.over {
		g.mu.Unlock()
		return errShuttingDown()
	}
	r := g.next
	if r == nil {
		r = &readRound{done: make(chan struct{})}
		g.next = r
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	g.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return errNoQuorum(context.Cause(ctx))
	}
}

// run confirms, round by round, until ctx ends; then it fails who waits.
func (g *readGate) run(ctx context.Context) {
	for {
		select {
		case <-g.wake:
		case <-ctx.Done():
		}
		g.mu.Lock()
		r := g.next
		g.next, g.over = nil, ctx.Err() != nil
		g.mu.Unlock()
		if g.over {
			g.lone.Store(false)
		}
		if r != nil {
			if g.over {
				r.err = errShuttingDown()
			} else {
				r.err = g.confirm(ctx)
			}
			close(r.done)
		}
		if g.over {
			return
		}
	}
}
