package cluster

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
)

// A read never shares a confirmation that began before it came, and reads that
// come together share one.
func TestReadsShareConfirmationsThatBeginAfterThem(t *testing.T) {
	t.Parallel()
	began, let := make(chan struct{}), make(chan error)
	g := newReadGate(func(context.Context) error {
		began <- struct{}{}
		return <-let
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); g.run(ctx) }()
	answers := make(chan error, 20)
	read := func() { answers <- g.wait(context.Background()) }
	go read()
	<-began
	for range 10 {
		go read()
	}
	testenv.Eventually(t, "the readers wait", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.next != nil })
	let <- nil
	if err := <-answers; err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-answers:
		t.Fatalf("a read took an older confirmation: %v", err)
	case <-began:
	}
	let <- errNoQuorum(errors.New("gone"))
	failed := 0
	for failed < 10 {
		select {
		case err := <-answers:
			if err != nil {
				kind(t, err, fault.Unavailable, "no_quorum")
			}
			failed++
		case <-began: // readers that came too late for the second one
			let <- nil
		}
	}
	cancel()
	<-ended
}

// A node without others asks raft until it has caught up, then no more, and lets
// nobody read once it has ended.
func TestReadsOfALoneNodeNeedNoConfirmation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 { // the second time there is something to catch up with
		n, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		gate := n.shards[bus.MetaShard].reads
		confirm, asked := gate.confirm, atomic.Int64{}
		gate.confirm = func(ctx context.Context) error { asked.Add(1); return confirm(ctx) }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		testenv.Eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
		before := asked.Load()
		for range 100 {
			if err := n.Confirm(t.Context(), bus.MetaShard); err != nil {
				t.Fatal(err)
			}
		}
		if after := asked.Load(); before == 0 || after != before {
			t.Errorf("raft was asked %d times before the node was ready, %d times after", before, after-before)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		kind(t, n.Confirm(t.Context(), bus.MetaShard), fault.Unavailable, "shutting_down")
	}
}
