package queries

import (
	"sync"

	"leat/internal/fault"
)

// stateBudget bounds the state of all jobs that share it. Invariant: held is the sum of
// what the jobs have taken, and grows to most at most. It is safe for concurrent use.
type stateBudget struct {
	most int64

	mu   sync.Mutex
	held int64
}

// move changes what a job has taken from before to now. It refuses, and changes nothing,
// where that is more than before and more than there is.
func (b *stateBudget) move(before, now int64) (others int64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	others = b.held - before
	if now > before && others+now > b.most {
		return others, false
	}
	b.held = others + now
	return others, true
}

// withinBudget fails where the state takes more memory than it may, that of the query or
// that of all queries of the node together. The epoch is not committed: whoever resumes
// the query finds the state of the one before.
func (j *Job) withinBudget() error {
	most := j.options.StateLimit
	if own := j.plan.MaxStateBytes; own > 0 {
		most = min(most, own)
	}
	held := j.graph.StateBytes()
	if held > most {
		return fault.New(fault.Unprocessable, codeStateLimit, "query %q holds %d bytes of state, more than the %d it may hold",
			j.plan.Name, held, most)
	}
	if j.budget == nil {
		return nil
	}
	others, ok := j.budget.move(j.taken, held)
	if !ok {
		return fault.New(fault.Unprocessable, codeStateLimit,
			"query %q holds %d bytes of state and the other queries of this node %d, together more than the %d that all may hold",
			j.plan.Name, held, others, j.budget.most)
	}
	j.taken = held
	return nil
}

const codeStateLimit = "state_limit"

// giveBack leaves what the job has taken to others.
func (j *Job) giveBack() {
	if j.budget != nil {
		j.budget.move(j.taken, 0)
		j.taken = 0
	}
}
