package torture

import (
	"fmt"
	"math"
	"sync"

	"github.com/anishathalye/porcupine"
)

// committed is one commit of a group, or one look at where it stands.
type committed struct {
	call, ret int64
	offset    int64 // -1 = only looked
	stands    int64 // -1 = nothing yet
	outcome   outcome
}

// commits are the histories of groups. They are safe for concurrent use.
type commits struct {
	mu         sync.Mutex
	groups     map[string][]committed
	operations int
}

func newCommits() *commits { return &commits{groups: make(map[string][]committed)} }

func (h *commits) committed(group string, c committed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.groups[group] = append(h.groups[group], c)
}

// check checks the groups for which ripe is true, which are done with.
func (h *commits) check(ripe func(group string) bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for group, history := range h.groups {
		if !ripe(group) {
			continue
		}
		if err := checkCommits(history); err != nil {
			return fmt.Errorf("group %s: %w", group, err)
		}
		h.operations += len(history)
		delete(h.groups, group)
	}
	return nil
}

// checkCommits holds the history of one group against a register that keeps the
// largest offset.
func checkCommits(history []committed) error {
	operations := make([]porcupine.Operation, 0, len(history))
	for _, c := range history {
		switch c.outcome {
		case full:
			continue
		case unknown:
			c.ret = math.MaxInt64
		}
		operations = append(operations, porcupine.Operation{Input: c, Call: c.call, Return: c.ret})
	}
	return linearizable(porcupine.Model{
		Init: func() any { return int64(-1) },
		Step: func(state, input, _ any) (bool, any) {
			c := input.(committed)
			stands := max(state.(int64), c.offset)
			return c.outcome == unknown || c.stands == stands, stands
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
	}, operations)
}
