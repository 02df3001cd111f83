package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"leat/internal/fault"
)

// TestAdvised: a node of a cluster that its data keeps from running says how to go on, once.
func TestAdvised(t *testing.T) {
	t.Parallel()
	damaged := fault.New(fault.Corrupt, "raft_log_corrupt", "00000001.wal, byte 640: the payload of a record is damaged")
	for name, c := range map[string]struct {
		err       error
		clustered bool
		advice    int
	}{
		"damaged":     {fmt.Errorf("the node stopped: %w", damaged), true, 1},
		"alone":       {damaged, false, 0},
		"said before": {fault.New(fault.Corrupt, "log_truncated", "have it begin again with \"leat cluster rejoin\""), true, 1},
		"other":       {fault.New(fault.Conflict, "other_node", "not this one"), true, 0},
		"no class":    {errors.New("odd"), true, 0},
	} {
		err := advised(c.err, c.clustered)
		if got := strings.Count(err.Error(), "leat cluster rejoin"); got != c.advice || !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
