package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"leat/cluster/internal/wire"
	"leat/internal/fault"
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
	n := 0
	var answers []byte
	err := forEachCommand(proposal, func(int64) {}, func(_ commandKind, body []byte) error {
		n++
		answers = appendAnswer(answers, answered, body)
		return nil
	})
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
