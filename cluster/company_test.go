package cluster

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowProposer takes a while for a proposal, and notes how many commands each had.
type slowProposer struct {
	takes time.Duration
	mu    sync.Mutex
	sizes []int
}

func (p *slowProposer) propose(ctx context.Context, proposal []byte) (uint64, []byte, error) {
	n, answers, err := answerEach(proposal)
	p.mu.Lock()
	p.sizes = append(p.sizes, n)
	p.mu.Unlock()
	time.Sleep(p.takes)
	return 1, answers, err
}

// runClients has clients call, each a number of times and with a pause after an
// answer, and returns how many commands the rounds had and the most that a call took.
func runClients(t *testing.T, takes, pause time.Duration, calls ...int) (sizes []int, longest time.Duration) {
	t.Helper()
	p := &slowProposer{takes: takes}
	c := newCoalescer(p, func() int64 { return 42 })
	ctx, cancel := context.WithCancel(t.Context())
	var running, clients sync.WaitGroup
	running.Go(func() { c.run(ctx, 2) })
	synctest.Wait()
	var mu sync.Mutex
	for _, n := range calls {
		clients.Go(func() {
			for range n {
				began := time.Now()
				_, _, _, err := c.call(ctx, 64, func(dst []byte) []byte { return encodeDeleteTopic(dst, "t") })
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				longest = max(longest, time.Since(began))
				mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
	clients.Wait()
	cancel()
	running.Wait()
	return p.sizes, longest
}

// Clients that were answered together come again together: one round takes all of
// them and not, in turn, one half of them.
func TestRoundsWaitForThoseWhoComeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sizes, longest := runClients(t, time.Millisecond, 300*time.Microsecond, slices.Repeat([]int{20}, 16)...)
		if len(sizes) > 22 || !slices.Contains(sizes, 16) {
			t.Errorf("16 clients with 20 calls each made rounds of %v", sizes)
		}
		if longest > 3*time.Millisecond {
			t.Errorf("a call took %v", longest)
		}
	})
}

// Who has gone is waited for once, for as long as a round takes.
func TestRoundsDoNotWaitForThoseWhoHaveGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := append(slices.Repeat([]int{3}, 15), 200)
		sizes, longest := runClients(t, time.Millisecond, 0, calls...)
		if len(sizes) > 205 {
			t.Errorf("rounds of %v", sizes)
		}
		// Another may wait for its place in the next round, too.
		if longest > 3*time.Millisecond {
			t.Errorf("a call took %v", longest)
		}
	})
}

// However long a round has taken, the next does not wait longer than companyWait.
func TestRoundsWaitABoundedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, longest := runClients(t, time.Second, time.Hour, 2, 2)
		if longest > 2*time.Second+companyWait {
			t.Errorf("a call took %v", longest)
		}
	})
}

// A client alone is led at once, every time.
func TestALoneClientWaitsForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if _, longest := runClients(t, time.Millisecond, time.Microsecond, 50); longest != time.Millisecond {
			t.Errorf("a call took %v", longest)
		}
	})
}
