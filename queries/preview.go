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

// The bounds of a preview.
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

// Preview runs a spec over the last records of its topic, taken evenly from the
// partitions, as a bounded run: "start" and "until" do not count, and in the end
// every window is closed. records is at most MaxPreviewRecords. Up to limit rows are
// returned, fewer where they take more than 4 MiB. Nothing is stored, and the
// work ends with ctx.
//
// Errors are faults: those of Problems and those of the log.
func (m *Manager) Preview(ctx context.Context, body []byte, records, limit int) (Preview, error) {
	_, plan, _, problems := Compile(ctx, body, m.topics)
	if len(problems) > 0 {
		return Preview{}, problems.Fault()
	}
	if err := m.topics.Barrier(ctx); err != nil {
		return Preview{}, fmt.Errorf("wait for the log to catch up: %w", err)
	}
	start, err := lastRecords(m.topics, plan.Source.Topic, int64(min(records, MaxPreviewRecords)))
	if err != nil {
		return Preview{}, err
	}
	bounded := *plan
	bounded.Source.Start, bounded.Source.UntilEnd = Start{Kind: StartOffset, Offsets: start}, true
	s := &scratch{Topics: m.topics, limit: limit, next: map[string]log.Offset{}}
	options := m.options
	options.FixedEpochs = true
	err = runPreview(ctx, JobConfig{
		ID: "preview", Owner: "preview", Plan: &bounded, Topics: s, Docs: s, Clock: m.clock, Options: options,
	})
	truncated := err != nil && ctx.Err() != nil
	if err != nil && !truncated {
		return Preview{}, fmt.Errorf("preview query %q: %w", plan.Name, err)
	}
	p := Preview{Rows: s.rows, Truncated: truncated}
	if s.doc.Version > 0 {
		saved, err := decodeCheckpoint(s.doc)
		if err != nil {
			return Preview{}, err
		}
		p.Counts = saved.Rows
	}
	return p, nil
}

func runPreview(ctx context.Context, c JobConfig) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "internal", "%v", p)
		}
	}()
	return NewJob(c).Run(ctx)
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

// scratch is a log and documents for one job that leaves nothing behind: what the
// job writes is forgotten, but for the first rows and the checkpoint. It serves one
// goroutine.
type scratch struct {
	Topics // of the source

	limit int
	rows  []json.RawMessage
	bytes int
	full  bool // a row had no room: the rows have to stay without gaps
	doc   bus.Doc
	next  map[string]log.Offset // ends of the job's own logs
}

func ownLog(name string) bool { return name != "" && name[0] == '$' }

// Topic implements Topics.
func (s *scratch) Topic(name string) (bus.Topic, bool) {
	if ownLog(name) {
		return bus.Topic{Name: name, Partitions: 1, Internal: true}, true
	}
	return s.Topics.Topic(name)
}

// Partition implements Topics.
func (s *scratch) Partition(topic string, p int32) (bus.Partition, error) {
	if ownLog(topic) {
		return bus.Partition{Next: s.next[topic]}, nil
	}
	return s.Topics.Partition(topic, p)
}

// Barrier implements Topics: the one before the run was enough.
func (s *scratch) Barrier(ctx context.Context) error { return ctx.Err() }

// Doc implements Documents: there is only the checkpoint.
func (s *scratch) Doc(uint64, string) (bus.Doc, bool) { return s.doc, s.doc.Version > 0 }

// Docs implements Documents.
func (s *scratch) Docs(uint64, string) []bus.Doc { return nil }

// DocsChanged implements Documents: nothing ever does.
func (s *scratch) DocsChanged(uint64) <-chan struct{} { return nil }

// DataShard implements Documents.
func (s *scratch) DataShard(string) uint64 { return 0 }

// Transact implements Documents.
func (s *scratch) Transact(_ context.Context, t bus.Txn) (bus.TxnResult, error) {
	var result bus.TxnResult
	for _, a := range t.Appends {
		result.Bases = append(result.Bases, s.next[a.Topic])
		s.next[a.Topic] += log.Offset(a.Block.Count)
		if a.Topic == resultsTopic("preview") {
			if err := s.keep(a.Block); err != nil {
				return result, err
			}
		}
	}
	for _, d := range t.Puts {
		d.Version = s.doc.Version + 1
		s.doc = d
		result.Versions = append(result.Versions, d.Version)
	}
	return result, nil
}

func (s *scratch) keep(b log.Block) error {
	records := b.Records(0, 0)
	for r, ok := records.Next(); ok && !s.full; r, ok = records.Next() {
		s.bytes += len(r.Value)
		if s.full = len(s.rows) >= s.limit || s.bytes > maxPreviewBytes; !s.full {
			s.rows = append(s.rows, slices.Clone(r.Value))
		}
	}
	return records.Err()
}
