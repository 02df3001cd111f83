package cluster

import (
	"context"
	"errors"
	"testing"

	"leat/internal/fault"
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
	until(t, "the readers wait", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.next != nil })
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
