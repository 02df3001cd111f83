package cluster

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"leat/internal/fault"
)

const (
	// roundBytes is the size past which a round takes no further command. A
	// single command may be larger than that.
	roundBytes = 1 << 20
	// pipelinedBytes is the size from which a round is proposed while others are
	// under way. Smaller ones would share their sync and only cost an entry and
	// frames of their own.
	pipelinedBytes = 64 << 10
	// pendingBytes bounds what waits to be proposed: past it, submit blocks.
	pendingBytes = 64 << 20
	// companyWait bounds how long a round waits for clients to come again.
	companyWait = 5 * time.Millisecond
)

// proposer hands one proposal to raft and waits for its answers. It is called by
// as many goroutines as the pipeline is deep, and by the one that leads.
type proposer interface {
	propose(ctx context.Context, proposal []byte) (index uint64, answers []byte, err error)
}

// coalescer gathers the commands of one shard into proposals by natural
// batching: once nothing is under way it proposes all that has come meanwhile, and
// what has come to pipelinedBytes already while there is a place in the pipeline.
// Commands that enter one round are applied in the order of their submission.
//
// Who has just been answered is about to come again. Without those a round would
// hold what came during the last one, and the clients would fall into two groups that
// take turns, with twice as many rounds as it takes. So a round waits until as many
// commands have come as were in the last one and came during it, at most as long as
// the last one took, and companyWait. A client alone never waits.
//
// A command that finds nothing waiting and nothing under way is led: the goroutine
// that brought it proposes it itself, which saves a lone client two handovers
// between goroutines.
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
	under   int             // rounds under way
	wanted  int             // commands that the next round waits for, 0 = none
	wait    *time.Timer     // for them to come
	waits   uint32          // taken when wait was set
	roused  bool            // a worker has yet to look: one was woken, or all are busy
	life    context.Context // of run, nil before
	leading sync.WaitGroup
	made    atomic.Uint32 // rounds ever waiting, modulo 2³²
	taken   atomic.Uint32 // of them, off the queue
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
	c.wait = time.AfterFunc(companyWait, c.waited)
	c.wait.Stop()
	return c
}

// submit queues a command, sized at most size bytes, that encode appends to a
// proposal; encode runs at once and its sources are free when submit returns.
// It blocks while too much is waiting.
func (c *coalescer) submit(ctx context.Context, size int, encode func(dst []byte) []byte) (ticket, error) {
	t, _, err := c.enter(ctx, size, encode, false)
	return t, err
}

// call submits a command and waits for its answer, as ticket.wait does.
func (c *coalescer) call(ctx context.Context, size int, encode func(dst []byte) []byte) (code answerCode, body []byte, r *round, err error) {
	t, lead, err := c.enter(ctx, size, encode, true)
	if err != nil {
		return 0, nil, nil, err
	}
	if lead {
		c.lead(ctx, t.round)
	}
	code, body, err = t.wait(ctx)
	return code, body, t.round, err
}

// lead proposes a round that holds only the caller's own command, so that the
// caller's ctx may end it.
func (c *coalescer) lead(ctx context.Context, r *round) {
	defer c.leading.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	c.propose(ctx, r)
}

// enter queues a command. With mayLead, lead tells that its round has been taken
// off the queue and the caller has to propose it.
func (c *coalescer) enter(ctx context.Context, size int, encode func(dst []byte) []byte, mayLead bool) (t ticket, lead bool, err error) {
	c.mu.Lock()
	for !c.closed && c.bytes+size > pendingBytes && c.bytes > 0 {
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ticket{}, false, fault.New(fault.Unavailable, "no_quorum",
				"the shard takes no writes at the moment: %w", context.Cause(ctx))
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if c.closed {
		return ticket{}, false, errShuttingDown()
	}
	r := c.roundFor(size)
	before := len(r.buf)
	r.buf = encode(r.buf)
	c.bytes += len(r.buf) - before
	r.count++
	t = ticket{round: r, place: r.count - 1}
	if mayLead && c.under == 0 && c.wanted == 0 && len(c.waiting) == 1 && r.count == 1 && c.life != nil && c.life.Err() == nil {
		c.leading.Add(1)
		c.begin()
		return t, true, nil
	}
	c.rouse()
	return t, false, nil
}

// ready tells whether the first round is to be proposed now. It needs mu.
func (c *coalescer) ready() bool {
	if len(c.waiting) == 0 {
		return false
	}
	first := c.waiting[0]
	return c.under == 0 && first.count >= c.wanted || len(c.waiting) > 1 || len(first.buf) >= pipelinedBytes
}

// rouse wakes a worker if there is something to do. It needs mu.
func (c *coalescer) rouse() {
	if !c.roused && c.ready() {
		c.roused = true
		c.arrived.Signal()
	}
}

// roundFor returns the round that takes a command of this size. It needs mu.
func (c *coalescer) roundFor(size int) *round {
	if n := len(c.waiting); n > 0 && len(c.waiting[n-1].buf)+size <= roundBytes {
		return c.waiting[n-1]
	}
	c.made.Add(1)
	r := &round{done: make(chan struct{}), queuedAt: time.Now()}
	if n := len(c.spare); n > 0 {
		r.buf, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	r.buf = append(r.buf[:0], proposalVersion, 0, 0, 0, 0, 0, 0, 0, 0)
	c.waiting = append(c.waiting, r)
	return r
}

// next is the number of the round that a command enters if it comes now, unless it
// is too large for it.
func (c *coalescer) next() uint32 {
	made := c.made.Load()
	if made == c.taken.Load() {
		return made + 1
	}
	return made
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
	c.mu.Lock()
	c.life = ctx
	c.mu.Unlock()
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
	c.leading.Wait()
	workers.Wait()
}

func (c *coalescer) work(ctx context.Context) {
	for {
		r := c.take(ctx)
		if r == nil {
			return
		}
		c.propose(ctx, r)
	}
}

// propose proposes a round that was begun and wakes those who wait for it.
func (c *coalescer) propose(ctx context.Context, r *round) {
	binary.LittleEndian.PutUint64(r.buf[1:], uint64(c.clock()))
	r.sentAt = time.Now()
	var answers []byte
	r.index, answers, r.err = c.target.propose(ctx, r.buf)
	r.endedAt = time.Now()
	if r.err == nil {
		r.answers, r.err = splitAnswers(answers, r.count)
	}
	close(r.done)
	c.end(r)
}

// take waits for a round and takes it; nil once ctx has ended.
func (c *coalescer) take(ctx context.Context) *round {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.roused = false; !c.ready() && !c.closed; c.roused = false {
		c.arrived.Wait()
	}
	if c.closed || ctx.Err() != nil {
		return nil
	}
	r := c.begin()
	c.rouse()
	return r
}

// begin takes the first round off the queue. It needs mu.
func (c *coalescer) begin() *round {
	r := c.waiting[0]
	c.waiting = append(c.waiting[:0], c.waiting[1:]...)
	c.taken.Add(1)
	c.under++
	c.bytes -= len(r.buf) - proposalHeader
	close(c.room)
	c.room = make(chan struct{})
	return r
}

// end keeps a proposed round's buffer: raft has copied it.
func (c *coalescer) end(r *round) {
	const spares = 8
	c.mu.Lock()
	defer c.mu.Unlock()
	c.under--
	c.want(r)
	c.rouse()
	if cap(r.buf) <= 2*roundBytes && len(c.spare) < spares {
		c.spare = append(c.spare, r.buf)
	}
	r.buf = nil
}

// want decides how many commands the next round waits for, now that one has ended. It
// needs mu.
func (c *coalescer) want(ended *round) {
	if c.under > 0 {
		return
	}
	c.wanted = ended.count
	if len(c.waiting) > 0 {
		c.wanted += c.waiting[0].count
	}
	if c.wanted < 2 {
		c.wanted = 0
		return
	}
	c.waits = c.taken.Load()
	c.wait.Reset(min(ended.endedAt.Sub(ended.sentAt), companyWait))
}

// waited sends off a round that has waited long enough.
func (c *coalescer) waited() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits == c.taken.Load() {
		c.wanted = 0
		c.rouse()
	}
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
