package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// place is where a record lies.
type place struct {
	partition int
	offset    int64
}

// history is what the clients of the fault test asked for and were told. It is
// safe for concurrent use.
type history struct {
	mu    sync.Mutex
	sent  map[string]bool    // value → with an idempotency key
	acks  map[string][]place // value → every place it was acknowledged at
	group map[int]int64      // partition → highest commit acknowledged
	moved []string           // commits that went back
}

func newHistory() *history {
	return &history{sent: make(map[string]bool), acks: make(map[string][]place), group: make(map[int]int64)}
}

// send notes that a value is about to be sent. Values are unique.
func (h *history) send(value string, keyed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent[value] = keyed
}

func (h *history) acknowledged(value string, at place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acks[value] = append(h.acks[value], at)
}

// stands notes where a group was said to stand in a partition. After a commit it
// can only have moved forward.
func (h *history) stands(partition int, committed int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if before, known := h.group[partition]; known && committed < before {
		h.moved = append(h.moved, fmt.Sprintf("the group stood at %d of partition %d and then at %d", before, partition, committed))
	}
	h.group[partition] = max(h.group[partition], committed)
}

// check compares the history with the log: what was acknowledged is there, once,
// and nothing is there that was not sent.
func (h *history) check(partitions [][]string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	copies := make(map[string]int)
	for p, records := range partitions {
		for offset, value := range records {
			if _, known := h.sent[value]; !known {
				return fmt.Errorf("partition %d has at offset %d what nobody sent: %q", p, offset, value)
			}
			// Without a key a value is sent once, with one any number of times.
			if copies[value]++; copies[value] > 1 {
				return fmt.Errorf("%q is in the log twice (idempotency key: %t)", value, h.sent[value])
			}
		}
	}
	for value, places := range h.acks {
		for _, at := range places {
			records := partitions[at.partition]
			switch {
			case at != places[0]:
				return fmt.Errorf("%q was acknowledged at %v and at %v", value, places[0], at)
			case at.offset < 0 || at.offset >= int64(len(records)):
				return fmt.Errorf("%q was acknowledged at %v, and the partition ends at %d", value, at, len(records))
			case records[at.offset] != value:
				return fmt.Errorf("%q was acknowledged at %v, where %q is", value, at, records[at.offset])
			}
		}
	}
	if len(h.moved) > 0 {
		return fmt.Errorf("commits went back: %s", h.moved[0])
	}
	return nil
}

// honest is a small history and the log it belongs to.
func honest() (*history, [][]string) {
	h := newHistory()
	partitions := [][]string{{}, {}}
	for i := range 6000 {
		p := i % 2
		value := fmt.Sprintf(`{"id":"%d","k":"k%d","t":%d,"v":%d}`, i, i%3, 1_000_000+int64(i)*7-int64(i%5)*600, i%50)
		h.send(value, i%4 == 0)
		h.acknowledged(value, place{p, int64(len(partitions[p]))})
		partitions[p] = append(partitions[p], value)
	}
	h.stands(0, 10)
	h.stands(0, 11)
	return h, partitions
}

// TestHistoryCheckSees: a check that never failed proves nothing.
func TestHistoryCheckSees(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		doctor func(h *history, log [][]string)
		want   string
	}{
		"nothing wrong":      {func(*history, [][]string) {}, ""},
		"missing at the end": {func(_ *history, log [][]string) { log[0] = log[0][:len(log[0])-1] }, "the partition ends at"},
		"missing inside":     {func(_ *history, log [][]string) { log[0] = slices.Delete(log[0], 7, 8) }, "was acknowledged at"},
		"doubled":            {func(_ *history, log [][]string) { log[1] = append(log[1], log[1][0]) }, "in the log twice"},
		"doubled elsewhere":  {func(_ *history, log [][]string) { log[0] = append(log[0], log[1][0]) }, "in the log twice"},
		"changed":            {func(_ *history, log [][]string) { log[0][3] = "else" }, "nobody sent"},
		"swapped":            {func(_ *history, log [][]string) { log[0][3], log[0][4] = log[0][4], log[0][3] }, "was acknowledged at"},
		"two offsets":        {func(h *history, log [][]string) { h.acknowledged(log[0][0], place{0, 1}) }, "and at"},
		"commit back":        {func(h *history, _ [][]string) { h.stands(0, 9) }, "commits went back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := honest()
			c.doctor(h, log)
			err := h.check(log)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("the check says %v, not %q", err, c.want)
			}
		})
	}
}

// TestRowCheckSees: the comparison of rows fails on one that is lost or doubled,
// and the evaluation on a record that is.
func TestRowCheckSees(t *testing.T) {
	t.Parallel()
	_, log := honest()
	want := evaluate(log)
	if len(want.even) < 100 || len(want.keys) < 20 || want.keyRows.Late == 0 || want.keyRows.Filtered == 0 {
		t.Fatalf("the history is too small to show anything: %d, %d, %s", len(want.even), len(want.keys), want.keyRows)
	}
	for _, rows := range [][]string{want.even, want.keys} {
		doubled := slices.Insert(slices.Clone(rows), 5, rows[5])
		lost := slices.Delete(slices.Clone(rows), 5, 6)
		for name, got := range map[string][]string{"doubled": doubled, "lost": lost, "cut": rows[:len(rows)-1]} {
			if compareRows("q", rows, got) == nil {
				t.Errorf("a %s row is not seen", name)
			}
		}
		if err := compareRows("q", rows, slices.Clone(rows)); err != nil {
			t.Error(err)
		}
	}
	log[0] = append(log[0], log[0][2000]) // a record worked on twice
	if again := evaluate(log); compareRows("q", want.even, again.even) == nil && compareRows("q", want.keys, again.keys) == nil {
		t.Error("a record too many changes nothing")
	}
}
