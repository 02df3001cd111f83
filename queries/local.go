package queries

import (
	"context"
	"fmt"
	"slices"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// SourceTopics are topics that are only read. Errors are faults. The methods are those
// of Topics.
type SourceTopics interface {
	Topic(name string) (bus.Topic, bool)
	Partition(topic string, p int32) (bus.Partition, error)
	Read(topic string, p int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error)
	Wait(topic string, p int32, after log.Offset) (<-chan struct{}, error)
}

// LocalOutput takes what a local run puts out, in the order of the logs that a query
// has. A row is valid during the call. An error ends the run. nil drops the rows.
type LocalOutput struct {
	Results, Late, DeadLetters func(row []byte) error
	// Committed, if not nil, is called at the end of each epoch, after its rows.
	Committed func() error
	// Warned, if not nil, is called at the end of the run where there are warnings, which
	// are those of a status.
	Warned func(Warnings)
}

func (o *LocalOutput) of(topic string) func([]byte) error {
	switch topic {
	case resultsTopic(scratchID):
		return o.Results
	case lateTopic(scratchID):
		return o.Late
	case deadTopic(scratchID):
		return o.DeadLetters
	}
	return nil
}

// LocalConfig is what a local run needs.
type LocalConfig struct {
	Plan *Plan
	// Topics end where their partitions are Sealed, which all have to be some day. A
	// record is read once and in order: what has been read may be dropped.
	Topics  SourceTopics
	Values  Values // what a lookup reads; nil for a plan without
	Clock   Clock
	Options RunOptions
	Output  LocalOutput
}

// RunLocal runs a plan over all that the topics hold, closes every window and keeps
// nothing: no checkpoint, no results, no state. "start", "until" and "idle_timeout" do
// not count, no changes are given, and nothing is written to sinks. It is the job that runs in a node, over other topics.
//
// Output is called from the calling goroutine, epoch by epoch. The counts are those of
// the last epoch, also with an error, and conserve: In = Used + Filtered + Late +
// DeadLettered. Errors are faults or those of Output.
func RunLocal(ctx context.Context, c LocalConfig) (RowCounts, error) {
	plan := *c.Plan
	plan.Sources = slices.Clone(plan.Sources)
	for i := range plan.Sources {
		s := &plan.Sources[i]
		s.Start, s.UntilEnd, s.IdleTimeout = Start{Kind: StartEarliest}, false, 0
	}
	plan.Changes = false // what is given between would be a matter of the clock
	s := newScratch(c.Topics, c.Output)
	err := runScratch(ctx, JobConfig{Plan: &plan, Topics: s, Docs: s, Values: c.Values, Clock: c.Clock, Options: c.Options})
	if err != nil {
		err = fmt.Errorf("run query %q: %w", plan.Name, err)
	}
	saved, lost := s.saved()
	if err == nil {
		err = lost
	}
	if len(saved.Warnings) > 0 && c.Output.Warned != nil {
		c.Output.Warned(saved.Warnings)
	}
	return saved.Rows, err
}

// scratchID is the id of a query that leaves nothing behind.
const scratchID = "scratch"

// runScratch runs a job over a scratch.
func runScratch(ctx context.Context, c JobConfig) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "internal", "%v", p)
		}
	}()
	c.ID, c.Owner = scratchID, scratchID
	return NewJob(c).Run(ctx)
}

// scratch is a log and documents for one job that leaves nothing behind: what the
// job writes goes to the output and is forgotten, but for the checkpoint. It serves one
// job, which commits from one goroutine.
type scratch struct {
	SourceTopics

	output LocalOutput
	doc    bus.Doc
	next   map[string]log.Offset // ends of the job's own logs
}

func newScratch(source SourceTopics, output LocalOutput) *scratch {
	return &scratch{SourceTopics: source, output: output, next: map[string]log.Offset{}}
}

// saved is the checkpoint of the last epoch.
func (s *scratch) saved() (checkpoint, error) {
	if s.doc.Version == 0 {
		return checkpoint{}, nil
	}
	return decodeCheckpoint(s.doc)
}

func ownLog(name string) bool { return name != "" && name[0] == '$' }

// Topic implements Topics.
func (s *scratch) Topic(name string) (bus.Topic, bool) {
	if ownLog(name) {
		return bus.Topic{Name: name, Partitions: 1, Internal: true}, true
	}
	return s.SourceTopics.Topic(name)
}

// Partition implements Topics.
func (s *scratch) Partition(topic string, p int32) (bus.Partition, error) {
	if ownLog(topic) {
		return bus.Partition{Next: s.next[topic]}, nil
	}
	return s.SourceTopics.Partition(topic, p)
}

// Quiet implements Topics: no run over a scratch has an idle timeout.
func (s *scratch) Quiet(_ context.Context, topic string, p int32, spanMs int64) (leftMs int64, end log.Offset, err error) {
	standing, err := s.Partition(topic, p)
	return spanMs, standing.Next, err
}

// OffsetAtTime implements Topics: no run over a scratch begins at a time.
func (s *scratch) OffsetAtTime(topic string, p int32, _ int64) (log.Offset, error) {
	standing, err := s.Partition(topic, p)
	return standing.First, err
}

// CreateInternal implements Topics: they are there.
func (s *scratch) CreateInternal(_ context.Context, name string, _ uint64) (bus.Topic, error) {
	topic, _ := s.Topic(name)
	return topic, nil
}

// DeleteTopic implements Topics.
func (s *scratch) DeleteTopic(context.Context, string) error { return nil }

// Barrier implements Topics: nothing is on its way.
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
		if put := s.output.of(a.Topic); put != nil {
			if err := putOut(a.Block, put); err != nil {
				return result, err
			}
		}
	}
	for _, d := range t.Puts {
		d.Version = s.doc.Version + 1
		s.doc = d
		result.Versions = append(result.Versions, d.Version)
		if s.output.Committed != nil {
			if err := s.output.Committed(); err != nil {
				return result, err
			}
		}
	}
	return result, nil
}

func putOut(b log.Block, put func([]byte) error) error {
	records := b.Records(0, 0)
	for r, ok := records.Next(); ok; r, ok = records.Next() {
		if err := put(r.Value); err != nil {
			return err
		}
	}
	return records.Err()
}
