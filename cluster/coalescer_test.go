package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"leat/cluster/internal/wire"
	"leat/internal/fault"
	"leat/internal/testenv"
)

// gate is a proposer whose proposals wait to be let through, and which answers
// each command with its own body.
type gate struct {
	mu        sync.Mutex
	proposals [][]byte
	arrived   chan int      // commands of a proposal that has come
	let       chan struct{} // one value lets one through
	fail      error
}

func newGate() *gate { return &gate{arrived: make(chan int, 100), let: make(chan struct{}, 100)} }

func (g *gate) propose(ctx context.Context, proposal []byte) (uint64, []byte, error) {
	n, answers, err := answerEach(proposal)
	g.mu.Lock()
	g.proposals = append(g.proposals, append([]byte{}, proposal...))
	index := uint64(len(g.proposals))
	g.mu.Unlock()
	g.arrived <- n
	select {
	case <-g.let:
	case <-ctx.Done():
		return 0, nil, errUnknownOutcome(ctx.Err())
	}
	return index, answers, errors.Join(err, g.fail)
}

// answerEach answers each command of a proposal with its own body.
func answerEach(proposal []byte) (commands int, answers []byte, err error) {
	err = forEachCommand(proposal, func(int64) {}, func(_ commandKind, body []byte) error {
		commands++
		answers = appendAnswer(answers, answered, body)
		return nil
	})
	return commands, answers, err
}

func running1(t *testing.T, g *gate, depth int) (*coalescer, context.CancelFunc) {
	t.Helper()
	c := newCoalescer(g, func() int64 { return 42 })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); c.run(ctx, depth) }()
	t.Cleanup(func() { cancel(); <-ended })
	return c, cancel
}

func submit(t *testing.T, c *coalescer, name string) ticket {
	t.Helper()
	tk, err := c.submit(context.Background(), len(name)+16, func(dst []byte) []byte {
		return encodeDeleteTopic(dst, name)
	})
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

// While one proposal is under way everything that comes gathers in the next, and
// every waiter gets its own answer.
func TestCoalescerBatchesWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	g := newGate()
	c, _ := running1(t, g, 1)
	tickets := []ticket{submit(t, c, "t0")}
	if n := <-g.arrived; n != 1 {
		t.Fatalf("the first proposal has %d commands: it waited for company", n)
	}
	for i := 1; i <= 50; i++ {
		tickets = append(tickets, submit(t, c, fmt.Sprint("t", i)))
	}
	g.let <- struct{}{}
	if n := <-g.arrived; n != 50 {
		t.Fatalf("the second proposal has %d of 50 commands", n)
	}
	g.let <- struct{}{}
	for i, tk := range tickets {
		_, body, err := tk.wait(context.Background())
		r := wire.Reader{Rest: body}
		if name := r.String(); err != nil || name != fmt.Sprint("t", i) {
			t.Fatalf("ticket %d got the answer of %q, %v", i, name, err)
		}
	}
	if got := binary.LittleEndian.Uint64(g.proposals[0][1:]); got != 42 {
		t.Fatalf("a proposal is stamped %d", got)
	}
}

func TestCoalescerFailures(t *testing.T) {
	t.Parallel()
	g := newGate()
	g.fail = errNoQuorum(errors.New("no leader"))
	c, cancel := running1(t, g, 1)
	failed := submit(t, c, "a")
	<-g.arrived
	waiting := submit(t, c, "b")
	g.let <- struct{}{}
	_, _, err := failed.wait(context.Background())
	kind(t, err, fault.Unavailable, "no_quorum")
	<-g.arrived // b is proposed
	abandoned := submit(t, c, "c")
	gone, stop := context.WithCancel(context.Background())
	stop()
	_, _, err = waiting.wait(gone)
	kind(t, err, fault.Timeout, "unknown_outcome")
	cancel()
	_, _, err = abandoned.wait(context.Background())
	kind(t, err, fault.Unavailable, "shutting_down")
	_, err = c.submit(context.Background(), 1, func(dst []byte) []byte { return dst })
	kind(t, err, fault.Unavailable, "shutting_down")
}

// A command that comes alone needs nobody else to be proposed, its own context ends
// it, and so does the end of the coalescer.
func TestCoalescerLetsALoneCommandLead(t *testing.T) {
	t.Parallel()
	g := newGate()
	c, cancel := running1(t, g, 0)
	for !c.runs() {
		runtime.Gosched()
	}
	call := func(ctx context.Context) error {
		const name = "t"
		_, body, _, err := c.call(ctx, len(name)+16, func(dst []byte) []byte { return encodeDeleteTopic(dst, name) })
		r := wire.Reader{Rest: body}
		if got := r.String(); err == nil && got != name {
			t.Errorf("the answer is that of %q", got)
		}
		return err
	}
	g.let <- struct{}{}
	if err := call(context.Background()); err != nil || <-g.arrived != 1 {
		t.Fatal(err)
	}
	if c.under != 0 || c.bytes != 0 {
		t.Fatalf("%d rounds are under way, %d bytes wait", c.under, c.bytes)
	}
	gone, stop := context.WithCancel(context.Background())
	outcome := make(chan error)
	go func() { outcome <- call(gone) }()
	<-g.arrived
	follower := submit(t, c, "behind") // of the one that leads: there is no worker
	stop()
	kind(t, <-outcome, fault.Timeout, "unknown_outcome")
	cancel()
	_, _, err := follower.wait(context.Background())
	kind(t, err, fault.Unavailable, "shutting_down")
}

// While something is under way a small round waits for more, a large one does not,
// and the end of what is under way sends off what waits.
func TestCoalescerPipelinesLargeRoundsOnly(t *testing.T) {
	t.Parallel()
	g := newGate()
	c, _ := running1(t, g, 2)
	for !c.runs() {
		runtime.Gosched()
	}
	led := make(chan error, 2)
	lead := func() {
		_, _, _, err := c.call(context.Background(), 64, func(dst []byte) []byte { return encodeDeleteTopic(dst, "t") })
		led <- err
	}
	go lead()
	<-g.arrived
	follower := submit(t, c, "follower") // the workers sleep: the leader's end wakes one
	g.let <- struct{}{}
	<-g.arrived
	g.let <- struct{}{}
	if _, _, err := follower.wait(context.Background()); err != nil {
		t.Error(err)
	}
	for c.underWay() > 0 {
		runtime.Gosched()
	}
	go lead()
	<-g.arrived
	small := submit(t, c, "small")
	for range 100 {
		runtime.Gosched() // a worker that is too eager takes it now
	}
	large := submit(t, c, string(make([]byte, pipelinedBytes)))
	if n := <-g.arrived; n != 2 {
		t.Fatalf("%d commands were proposed behind the one under way, want both", n)
	}
	last := submit(t, c, "last")
	for range 3 {
		g.let <- struct{}{}
	}
	if n := <-g.arrived; n != 1 {
		t.Fatalf("the last proposal has %d commands", n)
	}
	for _, tk := range []ticket{small, large, last} {
		if _, _, err := tk.wait(context.Background()); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := <-led; err != nil {
			t.Error(err)
		}
	}
}

// underWay is how many rounds are.
func (c *coalescer) underWay() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.under
}

// Whatever the sizes and the depth, every command is answered, by itself.
func TestCoalescerForgetsNothing(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	for depth := range 4 {
		g := echo{}
		c := newCoalescer(g, func() int64 { return 42 })
		ctx, cancel := context.WithCancel(within(t, 30*time.Second))
		ended := make(chan struct{})
		go func() { defer close(ended); c.run(ctx, depth+1) }()
		var clients sync.WaitGroup
		for client := range 8 {
			r := rand.New(rand.NewPCG(seed, uint64(client)))
			clients.Go(func() {
				for i := range 40 {
					name := fmt.Sprint(client, "/", i, "/", string(make([]byte, r.IntN(2)*r.IntN(2*pipelinedBytes))))
					_, body, _, err := c.call(ctx, len(name)+16, func(dst []byte) []byte { return encodeDeleteTopic(dst, name) })
					w := wire.Reader{Rest: body}
					if got := w.String(); err != nil || got != name {
						t.Errorf("seed %d, depth %d: %.20q was answered %.20q, %v", seed, depth+1, name, got, err)
						return
					}
				}
			})
		}
		clients.Wait()
		cancel()
		<-ended
	}
}

// echo is a proposer that answers each command with its own body, at once.
type echo struct{}

func (echo) propose(_ context.Context, proposal []byte) (uint64, []byte, error) {
	var answers []byte
	err := forEachCommand(proposal, func(int64) {}, func(_ commandKind, body []byte) error {
		answers = appendAnswer(answers, answered, body)
		return nil
	})
	runtime.Gosched()
	return 1, answers, err
}

func TestCoalescerEndsTheLeader(t *testing.T) {
	t.Parallel()
	g := newGate()
	c, cancel := running1(t, g, 0)
	for !c.runs() {
		runtime.Gosched()
	}
	outcome := make(chan error)
	go func() {
		_, _, _, err := c.call(context.Background(), 64, func(dst []byte) []byte { return encodeDeleteTopic(dst, "t") })
		outcome <- err
	}()
	<-g.arrived
	cancel()
	kind(t, <-outcome, fault.Timeout, "unknown_outcome")
}

// runs tells whether run has begun.
func (c *coalescer) runs() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life != nil
}

// A proposal stays near its size, a single command may exceed it, and what waits
// is bounded.
func TestCoalescerBoundsBytes(t *testing.T) {
	t.Parallel()
	g := newGate()
	c, _ := running1(t, g, 1)
	half := make([]byte, roundBytes/2+100)
	add := func(ctx context.Context, body []byte) error {
		_, err := c.submit(ctx, len(body)+commandHeader, func(dst []byte) []byte {
			start := len(dst)
			return endCommand(append(beginCommand(dst, cmdDrop), body...), start)
		})
		return err
	}
	for range 2 {
		if err := add(context.Background(), half); err != nil {
			t.Fatal(err)
		}
	}
	if n := <-g.arrived; n != 1 {
		t.Fatalf("%d commands in a proposal that has room for one", n)
	}
	if err := add(context.Background(), make([]byte, pendingBytes-2*len(half))); err != nil {
		t.Fatal(err)
	}
	full, stop := context.WithCancel(context.Background())
	stop()
	kind(t, add(full, make([]byte, 3*len(half))), fault.Unavailable, "no_quorum")
	blocked := make(chan error, 1)
	go func() { blocked <- add(context.Background(), make([]byte, 3*len(half))) }()
	for range 3 {
		g.let <- struct{}{}
	}
	if err := <-blocked; err != nil {
		t.Fatal(err)
	}
}
