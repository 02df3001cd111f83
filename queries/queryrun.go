package queries

import (
	"context"
	"sync"

	"leat/log"
)

// The states of a query.
const (
	stateRunning   = "running"
	statePaused    = "paused"
	stateCompleted = "completed"
	stateFailed    = "failed"
)

// queryRun is one query as this process runs it.
type queryRun struct {
	entry      entry
	ctx        context.Context // of its goroutines
	stop       context.CancelFunc
	goroutines sync.WaitGroup
	ended      chan struct{} // closed once state is not running any more
	gone       chan struct{} // closed once it has been stopped and its goroutines have ended

	mu      sync.Mutex
	state   string
	err     error  // why it has failed or, while it runs, is being tried again
	found   uint64 // generation before it was claimed here
	waiters map[log.Offset]chan struct{}
	sinks   map[string]error // by log: why a sink is being tried again
}

func newQueryRun(ctx context.Context, e entry) *queryRun {
	r := &queryRun{
		entry: e, ended: make(chan struct{}), gone: make(chan struct{}), state: stateRunning, waiters: map[log.Offset]chan struct{}{},
		sinks: map[string]error{},
	}
	r.ctx, r.stop = context.WithCancel(ctx)
	return r
}

// wait returns when all goroutines of the run have ended; stop has been called.
func (r *queryRun) wait() { r.goroutines.Wait() }

func (r *queryRun) end(state string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.state {
	case stateFailed:
		return
	case stateRunning:
		close(r.ended)
	}
	r.state, r.err = state, err
}

// finds notes the generation that the query is at before a job of this run claims it.
func (r *queryRun) finds(generation uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = generation
}

func (r *queryRun) foundGeneration() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found
}

func (r *queryRun) trouble(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == stateRunning {
		r.err = err
	}
}

// sinkTrouble notes why a sink has to wait, nil where it does not.
func (r *queryRun) sinkTrouble(of string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sinks[of] = err
}

func (r *queryRun) sinkError(of string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.sinks[of]; err != nil {
		return err.Error()
	}
	return ""
}

func (r *queryRun) standing() (state string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.err
}

// notify returns a channel that is closed when grown is, or the run ends. There is
// one for each next, and one goroutine behind it.
func (r *queryRun) notify(next log.Offset, grown <-chan struct{}) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ch := r.waiters[next]; ch != nil {
		return ch
	}
	ch := make(chan struct{})
	if r.ctx.Err() != nil {
		close(ch)
		return ch
	}
	r.waiters[next] = ch
	r.goroutines.Go(func() {
		select {
		case <-grown:
		case <-r.ended:
		case <-r.ctx.Done():
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.waiters, next)
		close(ch)
	})
	return ch
}
