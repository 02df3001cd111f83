package queries

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// The bounds of a preview: what it reads, over all topics, and what it answers.
const (
	MaxPreviewRecords = 10_000
	maxPreviewBytes   = 4 << 20 // of the rows that are kept
)

// Preview is what a query puts out over the last records of its source.
type Preview struct {
	// Rows are the first ones, in the order of the result log; Counts.Out counts all.
	Rows   []json.RawMessage
	Counts RowCounts
	// Truncated tells that the time was over before all records had been read: rows of
	// windows that were open then are missing.
	Truncated bool
}

// Preview runs a spec over the last records of its topics, taken evenly from them and
// their partitions, as a bounded run: "start" and "until" do not count, and in the end
// every window is closed. records is at most MaxPreviewRecords. Up to limit rows are
// returned, fewer where they take more than 4 MiB. Nothing is stored, and the
// work ends with ctx.
//
// Errors are faults: those of Problems and those of the log.
func (m *Manager) Preview(ctx context.Context, body []byte, records, limit int) (Preview, error) {
	_, plan, _, problems := m.names(nil).Compile(ctx, body)
	if len(problems) > 0 {
		return Preview{}, problems.Fault()
	}
	if err := m.topics.Barrier(ctx); err != nil {
		return Preview{}, fmt.Errorf("wait for the log to catch up: %w", err)
	}
	bounded := *plan
	bounded.Changes = false
	bounded.Sources = slices.Clone(plan.Sources)
	for i := range bounded.Sources {
		s := &bounded.Sources[i]
		start, err := lastRecords(m.topics, s.Topic, int64(min(records, MaxPreviewRecords)/len(bounded.Sources)))
		if err != nil {
			return Preview{}, err
		}
		s.Start, s.UntilEnd = Start{Kind: StartOffset, Offsets: start}, true
	}
	kept := &previewRows{limit: limit}
	s := newScratch(m.topics, LocalOutput{Results: kept.add})
	options := m.options
	options.FixedEpochs = true
	err := runScratch(ctx, JobConfig{Plan: &bounded, Topics: s, Docs: s, Values: m.values, Clock: m.clock, Options: options, budget: m.budget})
	truncated := err != nil && ctx.Err() != nil
	if err != nil && !truncated {
		return Preview{}, fmt.Errorf("preview query %q: %w", plan.Name, err)
	}
	saved, err := s.saved()
	return Preview{Rows: kept.rows, Counts: saved.Rows, Truncated: truncated}, err
}

// previewRows keeps the first rows that there is room for.
type previewRows struct {
	limit int
	rows  []json.RawMessage
	bytes int
	full  bool // a row had no room: the rows have to stay without gaps
}

func (p *previewRows) add(row []byte) error {
	if p.bytes += len(row); len(p.rows) >= p.limit || p.bytes > maxPreviewBytes {
		p.full = true
	}
	if !p.full {
		p.rows = append(p.rows, slices.Clone(row))
	}
	return nil
}

// lastRecords finds where to begin in each partition to read so many records of a
// topic: as many from each as from the others, as far as it has them.
func lastRecords(topics Topics, name string, records int64) (map[int32]log.Offset, error) {
	topic, ok := topics.Topic(name)
	if !ok {
		return nil, fault.New(fault.NotFound, codeUnknownTopic, "source topic %q does not exist", name)
	}
	partitions := make([]bus.Partition, topic.Partitions)
	for i := range partitions {
		var err error
		if partitions[i], err = topics.Partition(name, int32(i)); err != nil {
			return nil, fmt.Errorf("look at %s/%d: %w", name, i, err)
		}
	}
	held := func(p bus.Partition) int64 { return int64(p.Next - p.First) }
	slices.SortStableFunc(partitions, func(a, b bus.Partition) int { return cmp.Compare(held(a), held(b)) })
	start := make(map[int32]log.Offset, len(partitions))
	for i, p := range partitions { // those with few records leave their share to the others
		take := min(held(p), records/int64(len(partitions)-i))
		records -= take
		start[p.Partition] = p.Next - log.Offset(take)
	}
	return start, nil
}
