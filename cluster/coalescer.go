package cluster

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"leat/internal/fault"
)

const (
	// roundBytes is the size past which a round takes no further command. A
	// single command may be larger than that.
	roundBytes = 1 << 20
	// pendingBytes bounds what waits to be proposed: past it, submit blocks.
	pendingBytes = 64 << 20
)

// proposer hands one proposal to raft and waits for its answers. It is called by
// as many goroutines as the pipeline is deep.
type proposer interface {
	propose(ctx context.Context, proposal []byte) (index uint64, answers []byte, err error)
}

// coalescer gathers the commands of one shard into proposals by natural
// batching: whenever a place in the pipeline is free it proposes all that has
// come meanwhile, and nothing ever waits for company. Commands that enter one
// round are applied in the order of their submission.
type coalescer struct {
	target proposer
	clock  func() int64 // log time for the next proposal, ms

	mu      sync.Mutex
	arrived sync.Cond // a round to propose, or closed
	waiting []*round  // rounds not yet proposed; only the last one grows
	bytes   int       // in waiting
	room    chan struct{}
	closed  bool
	spare   [][]byte
}

// round is one proposal in the making, and then its outcome. The fields below
// done are written before done is closed and read after.
type round struct {
	buf   []byte
	count int

	done     chan struct{}
	err      error
	index    uint64
	answers  [][]byte // per command, code and body still encoded
	queuedAt time.Time
	sentAt   time.Time
	endedAt  time.Time
}

// ticket is a command's place in a round.
type ticket struct {
	round *round
	place int
}

func newCoalescer(target proposer, clock func() int64) *coalescer {
	c := &coalescer{target: target, clock: clock, room: make(chan struct{})}
	c.arrived.L = &c.mu
	return c
}

// submit queues a command, sized at most size bytes, that encode appends to a
// proposal; encode runs at once and its sources are free when submit returns.
// It blocks while too much is waiting.
func (c *coalescer) submit(ctx context.Context, size int, encode func(dst []byte) []byte) (ticket, error) {
	c.mu.Lock()
	for !c.closed && c.bytes+size > pendingBytes && c.bytes > 0 {
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ticket{}, fault.New(fault.Unavailable, "no_quorum",
				"the shard takes no writes at the moment: %w", context.Cause(ctx))
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if c.closed {
		return ticket{}, errShuttingDown()
	}
	r := c.roundFor(size)
	before := len(r.buf)
	r.buf = encode(r.buf)
	c.bytes += len(r.buf) - before
	r.count++
	c.arrived.Signal()
	return ticket{round: r, place: r.count - 1}, nil
}

// roundFor returns the round that takes a command of this size. It needs mu.
func (c *coalescer) roundFor(size int) *round {
	if n := len(c.waiting); n > 0 && len(c.waiting[n-1].buf)+size <= roundBytes {
		return c.waiting[n-1]
	}
	r := &round{done: make(chan struct{}), queuedAt: time.Now()}
	if n := len(c.spare); n > 0 {
		r.buf, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	r.buf = append(r.buf[:0], proposalVersion, 0, 0, 0, 0, 0, 0, 0, 0)
	c.waiting = append(c.waiting, r)
	return r
}

// queuedBytes is what waits to be proposed.
func (c *coalescer) queuedBytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.bytes)
}

// wait returns the command's answer. When ctx ends first the outcome is unknown.
func (t ticket) wait(ctx context.Context) (code answerCode, body []byte, err error) {
	select {
	case <-t.round.done:
	case <-ctx.Done():
		return 0, nil, errUnknownOutcome(context.Cause(ctx))
	}
	if t.round.err != nil {
		return 0, nil, t.round.err
	}
	code, body, _, err = nextAnswer(t.round.answers[t.place])
	return code, body, err
}

// Run proposes rounds, at most depth at a time, until ctx ends; then it fails
// what is still waiting and returns.
func (c *coalescer) run(ctx context.Context, depth int) {
	var workers sync.WaitGroup
	for range depth {
		workers.Go(func() { c.work(ctx) })
	}
	<-ctx.Done()
	c.mu.Lock()
	c.closed = true
	abandoned := c.waiting
	c.waiting, c.bytes = nil, 0
	close(c.room)
	c.room = make(chan struct{})
	c.arrived.Broadcast()
	c.mu.Unlock()
	for _, r := range abandoned {
		r.err = errShuttingDown()
		close(r.done)
	}
	workers.Wait()
}

func (c *coalescer) work(ctx context.Context) {
	for {
		r := c.take(ctx)
		if r == nil {
			return
		}
		binary.LittleEndian.PutUint64(r.buf[1:], uint64(c.clock()))
		r.sentAt = time.Now()
		var answers []byte
		r.index, answers, r.err = c.target.propose(ctx, r.buf)
		r.endedAt = time.Now()
		if r.err == nil {
			r.answers, r.err = splitAnswers(answers, r.count)
		}
		close(r.done)
		c.recycle(r)
	}
}

// take waits for a round and takes it; nil once ctx has ended.
func (c *coalescer) take(ctx context.Context) *round {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) == 0 && !c.closed {
		c.arrived.Wait()
	}
	if c.closed || ctx.Err() != nil {
		return nil
	}
	r := c.waiting[0]
	c.waiting = append(c.waiting[:0], c.waiting[1:]...)
	c.bytes -= len(r.buf) - proposalHeader
	close(c.room)
	c.room = make(chan struct{})
	return r
}

// recycle keeps a proposed round's buffer: raft has copied it.
func (c *coalescer) recycle(r *round) {
	const spares = 8
	c.mu.Lock()
	defer c.mu.Unlock()
	if cap(r.buf) <= 2*roundBytes && len(c.spare) < spares {
		c.spare = append(c.spare, r.buf)
	}
	r.buf = nil
}

// splitAnswers cuts the answers of a proposal of n commands apart.
func splitAnswers(answers []byte, n int) ([][]byte, error) {
	parts := make([][]byte, 0, n)
	for rest := answers; len(rest) > 0; {
		_, _, after, err := nextAnswer(rest)
		if err != nil {
			return nil, fault.New(fault.Internal, "internal", "read the answers of a proposal: %w", err)
		}
		parts = append(parts, rest[:len(rest)-len(after)])
		rest = after
	}
	if len(parts) != n {
		return nil, fault.New(fault.Internal, "internal", "a proposal of %d commands has %d answers", n, len(parts))
	}
	return parts, nil
}
