package oracle

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// letter is a record of the late or dead-letter log.
type letter struct {
	Partition *int    `json:"partition"`
	Offset    *int64  `json:"offset"`
	Operator  string  `json:"operator"`
	Reason    string  `json:"reason"`
	Value     string  `json:"value_b64"`
	Topic     *string `json:"topic"`
}

// difference says in what the engine departs from the oracle, nil if in nothing.
func difference(c *Case, want *Outcome, got *observed) error {
	if n := got.counts; n.In != n.Used+n.Filtered+n.Late+n.DeadLettered {
		return fmt.Errorf("rows got lost: %+v", n)
	}
	if c.Query.UntilEnd && got.stateBytes != 0 {
		return fmt.Errorf("%d bytes of state are left at the end", got.stateBytes)
	}
	if c.Query.Changes {
		if err := sameChanges(c.Query, want, got); err != nil {
			return err
		}
		want.Counts.Out = got.counts.Out // how often a row changes is not for the oracle
	} else if c.Query.Window > 0 || c.Query.Join != nil {
		if err := sameList("row", want.Rows, got.rows); err != nil {
			return err
		}
	} else if err := sameShuffle(want.ByPartition, got.rows); err != nil {
		return err
	}
	late := make([][]string, len(c.Logs))
	dead := make([][]string, len(c.Logs))
	var failed []string
	for _, text := range slices.Concat(got.late, got.dead) {
		var l letter
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return fmt.Errorf("letter %s: %w", text, err)
		}
		switch {
		case l.Topic == nil || *l.Topic != c.Query.Topic && (c.Query.Join == nil || *l.Topic != c.Query.Join.Topic):
			return fmt.Errorf("a letter of another topic: %s", text)
		case l.Operator == "":
			p := c.partitionOf(*l.Topic, *l.Partition)
			late[p] = append(late[p], text)
		case l.Reason == "":
			return fmt.Errorf("a dead letter without a reason: %s", text)
		case l.Partition == nil:
			failed = append(failed, l.Operator+" "+l.Value)
		default:
			p := c.partitionOf(*l.Topic, *l.Partition)
			dead[p] = append(dead[p], fmt.Sprintf("%d %s %s", *l.Offset, l.Operator, l.Value))
		}
	}
	for p := range c.Logs {
		if err := sameList(fmt.Sprintf("late row of partition %d", p), want.Late[p], late[p]); err != nil {
			return err
		}
		if err := sameList(fmt.Sprintf("dead letter of partition %d", p), want.Dead[p], dead[p]); err != nil {
			return err
		}
	}
	if c.Query.Join != nil {
		// Of joined rows only the operators are compared, and those of grouped rows may
		// come before or after them.
		if err := sameList("failed row", operatorsOf(want.Failed), operatorsOf(failed)); err != nil {
			return err
		}
	} else if err := sameList("failed grouped row", want.Failed, failed); err != nil {
		return err
	}
	if want.Counts != got.counts {
		return fmt.Errorf("counts: want %+v, got %+v", want.Counts, got.counts)
	}
	return nil
}

// sameChanges checks that the last row of each group and window is the one that it has to
// be, and that the rows of closed windows left in order. A group that cannot be given in
// the end may have been before: its rows are not known, unless rows are withdrawn.
func sameChanges(q *Query, want *Outcome, got *observed) error {
	last := map[string]string{}
	at := 0
	for i, row := range got.rows {
		if key := got.keys[i]; isWithdrawal(key) {
			if !strings.HasSuffix(row, `,"withdrawn":true}`) {
				return fmt.Errorf("row %d is withdrawn, and is %s", i, row)
			}
			delete(last, key[:1]+key[2:])
			continue
		}
		last[got.keys[i]] = row
		if at < len(want.Rows) && want.Rows[at] == row {
			at++
		}
	}
	if at < len(want.Rows) {
		return fmt.Errorf("row %d is missing or out of order: %s", at, want.Rows[at])
	}
	present := slices.Sorted(maps.Values(last))
	left := slices.Clone(present)
	for _, row := range slices.Concat(want.Rows, want.Present) {
		i, found := slices.BinarySearch(left, row)
		if !found {
			return fmt.Errorf("no group and window has as its last row %s", row)
		}
		left = slices.Delete(left, i, i+1)
	}
	unknown := len(want.Failed) + want.PresentFailed
	if q.Having != nil || q.Session && !q.Running {
		unknown = 0
	}
	if len(left) > unknown {
		return fmt.Errorf("%d groups and windows more have rows, %d can have: %s", len(left), unknown, left[0])
	}
	if int64(len(got.rows)) != got.counts.Out {
		return fmt.Errorf("%d rows are counted, there are %d", got.counts.Out, len(got.rows))
	}
	return nil
}

// isWithdrawal tells whether a record of the result log takes a row back, by its key.
func isWithdrawal(key string) bool { return len(key) > 1 && key[0] == 0 && key[1] == 0xFF }

func operatorsOf(failed []string) []string {
	var names []string
	for _, f := range failed {
		name, _, _ := strings.Cut(f, " ")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func sameList(what string, want, got []string) error {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			return fmt.Errorf("%s %d of %d is missing: %s", what, i, len(want), want[i])
		case i >= len(want):
			return fmt.Errorf("%s %d is too many: %s", what, i, got[i])
		case want[i] != got[i]:
			return fmt.Errorf("%s %d:\nwant %s\ngot  %s", what, i, want[i], got[i])
		}
	}
	return nil
}

// sameShuffle checks that the log holds the rows of all partitions and nothing else,
// those of each partition in order.
func sameShuffle(want [][]string, got []string) error {
	if err := sameList("row, sorted,", slices.Sorted(slices.Values(slices.Concat(want...))), slices.Sorted(slices.Values(got))); err != nil {
		return err
	}
	for p, rows := range want {
		at := 0
		for _, row := range got {
			if at < len(rows) && rows[at] == row {
				at++
			}
		}
		if at < len(rows) {
			return fmt.Errorf("row %d of partition %d is out of order: %s", at, p, rows[at])
		}
	}
	return nil
}
