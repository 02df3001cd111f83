package queries

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"leat/dataflow"
	"leat/internal/fault"
	"leat/log"
)

// JobConfig is what a job needs. All but Values and Options has to be set.
type JobConfig struct {
	ID     string // of the query: names its logs and its checkpoint
	Owner  string // unique for each job ever made
	Shard  uint64 // where logs and checkpoint live
	Plan   *Plan
	Topics Topics
	Docs   Documents
	Values Values // what lookups read; nil for a plan without
	Clock  Clock
	// Options may be zero.
	Options RunOptions

	budget *stateBudget // shared with other jobs; nil = none
}

// Job runs one query: it reads the source partitions, drives the operators and
// commits epochs. It goes on from the query's checkpoint, and makes the first one if
// there is none.
type Job struct {
	id, owner string
	shard     uint64
	plan      *Plan
	topics    Topics
	docs      Documents
	values    Values
	clock     Clock
	options   RunOptions
	budget    *stateBudget
	taken     int64 // of the budget

	pipeline
	lanes    []*lane
	stateful bool      // an operator keeps state
	chosen   []int     // lanes of the present round
	workers  []*worker // as many as a round has had lanes
	turn     turn      // of the watermark
	out      output
	advanced dataflow.Time // the watermark the operators have fully acted on
	random   *rand.Rand    // nil: by watermark
	lastCut  time.Time
	changed  bool      // rows have been used since changes were given
	givenAt  time.Time // when they were
	askAt    time.Time // when to ask again which partitions have become quiet

	saved     checkpoint // the last epoch committed
	version   uint64     // of its document
	stateNext log.Offset // end of the state log
	wantFull  bool       // the state log ends with records that must not count
}

// NewJob makes a job. It does nothing before Run.
func NewJob(c JobConfig) *Job {
	j := &Job{
		id: c.ID, owner: c.Owner, shard: c.Shard, plan: c.Plan,
		topics: c.Topics, docs: c.Docs, values: c.Values, clock: c.Clock, options: c.Options, budget: c.budget,
	}
	if seed := c.Options.ReadSeed; seed != 0 {
		j.random = rand.New(rand.NewPCG(seed, seed))
	}
	return j
}

// Run works until ctx ends or, in a bounded run, until all has been read and the
// last epoch is committed: then it returns nil. It may be called once.
//
// Errors are faults. Conflict "fenced" says that another owner has taken over,
// NotFound that a source topic is gone; whether another job may go on from the
// checkpoint is for the caller to decide by the kind.
func (j *Job) Run(ctx context.Context) error {
	defer j.giveBack()
	partitions := 0
	for i := range j.plan.Sources {
		if topic, ok := j.topics.Topic(j.plan.Sources[i].Topic); ok {
			partitions += int(topic.Partitions)
		}
	}
	j.options = j.options.withDefaults(partitions)
	j.lastCut = j.clock.Now()
	return j.explain(j.run(ctx))
}

func (j *Job) run(ctx context.Context) error {
	if err := j.open(ctx); err != nil {
		return err
	}
	if j.saved.Completed {
		return nil
	}
	if err := j.withinBudget(); err != nil {
		return err
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := j.advance(ctx); err != nil {
			return err
		}
		lanes, err := j.pick()
		switch {
		case err != nil:
			return err
		case len(lanes) > 0:
			err = j.round(ctx, lanes)
		case j.ended():
			return j.finish(ctx)
		case !j.options.FixedEpochs && (!j.out.empty() || j.changesDue()):
			err = j.flush(ctx)
		default:
			err = j.rest(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// explain puts the loss of a source topic before whatever followed from it. While all of
// them are there, what the shard of a partition does not know it does not know yet.
func (j *Job) explain(err error) error {
	f := fault.As(err)
	if f == nil || f.Kind != fault.NotFound {
		return err
	}
	if gone := j.sameTopics(); gone != nil {
		return gone
	}
	if f.Code == codeUnknownTopic {
		return fault.New(fault.Unavailable, "not_ready", "a partition is in the table of topics and not open yet: %v", err)
	}
	return err
}

// round processes some batches of each of the lanes, and acts on the watermark they
// have reached.
func (j *Job) round(ctx context.Context, lanes []int) error {
	if err := j.work(ctx, lanes); err != nil {
		return err
	}
	for i, source := range lanes {
		if err := j.take(ctx, source, &j.workers[i].turn); err != nil {
			return err
		}
	}
	if err := j.advance(ctx); err != nil {
		return err
	}
	if err := j.withinBudget(); err != nil {
		return err
	}
	if j.due() {
		return j.flush(ctx)
	}
	return nil
}

// take has the epoch take what a lane has put out. Without state each lane can be in an
// epoch of its own; with state all lanes of a round are in the same one, and have room.
func (j *Job) take(ctx context.Context, source int, t *turn) error {
	if !j.stateful && !j.out.empty() && j.out.bytes()+t.bytes() > maxEpochBytes {
		if err := j.cut(ctx, false); err != nil {
			return err
		}
	}
	j.changed = j.changed || t.rows.Used > 0
	j.out.take(t)
	l := j.lanes[source]
	l.counted, l.highest = l.next, j.times[source].Highest(source)
	return nil
}

// stopOnError fails where the step has a dead letter and the query is to stop at one.
// The epoch is not committed, so what the query has put out is the beginning of what
// it would have put out.
func (j *Job) stopOnError(t *turn) error {
	if !j.plan.StopOnError {
		return nil
	}
	for i := range t.rejects {
		if r := &t.rejects[i]; !r.late {
			place := "a grouped row"
			if r.batch.Source >= 0 {
				place = fmt.Sprintf("%s, offset %d", j.lanes[r.batch.Source], r.batch.Offsets[r.row])
			}
			return fault.New(fault.Unprocessable, "row_failed", `stopped at %s: %s: %s; "on_error" is "stop"`,
				place, r.operator, cutText(r.reason, maxReasonBytes))
		}
	}
	return nil
}

// watermark is the minimum over the partitions that may still have rows.
func (j *Job) watermark() dataflow.Time {
	w := dataflow.MaxTime
	for i, l := range j.lanes {
		if !l.finished() {
			w = min(w, j.times[i].Watermark(i))
		}
	}
	return w
}

// advance has the operators act on the watermark, over as many epochs as the output
// takes: an idle mark of one of these moves it on. At the end of a bounded run the
// watermark is MaxTime.
func (j *Job) advance(ctx context.Context) error {
	for w := j.watermark(); w > j.advanced; w = j.watermark() {
		if err := j.advanceTo(ctx, w); err != nil {
			return err
		}
		j.advanced = w
	}
	return nil
}

func (j *Job) advanceTo(ctx context.Context, w dataflow.Time) error {
	return j.drain(ctx, func(sink dataflow.Sink) (done, moved bool, err error) {
		done, moved, err = j.graph.Advance(w, sink)
		j.changed = j.changed || moved && !done // a join has given rows to what is behind it
		return done, moved, err
	})
}

// drain has the operators give out what they hold, over as many epochs as that takes.
func (j *Job) drain(ctx context.Context, give func(dataflow.Sink) (done, moved bool, err error)) error {
	for {
		if j.plan.Join != nil {
			if err := j.freshValues(ctx); err != nil {
				return err
			}
		}
		j.turn.before = j.out.bytes()
		j.turn.begin(0)
		done, moved, err := give(&j.turn)
		if err == nil {
			err = j.stopOnError(&j.turn)
		}
		if err != nil {
			return err
		}
		progress := moved || len(j.turn.rejects) > 0 || j.turn.step.Out > 0
		j.turn.end()
		j.out.take(&j.turn)
		switch {
		case done:
			return nil
		case j.out.bytes() >= j.options.EpochBytes || !progress && j.out.bytes() > 0:
			if err := j.cut(ctx, false); err != nil {
				return err
			}
		case !progress:
			return fault.New(fault.Internal, "internal", "query %q cannot give out a row", j.plan.Name)
		}
	}
}

// due tells whether the epoch is to be cut. No answer changes a result.
func (j *Job) due() bool {
	if j.out.read >= j.options.EpochRows ||
		int64(j.out.bytes())+j.graph.ChangedBytes() >= int64(j.options.EpochBytes) {
		return true
	}
	return !j.options.FixedEpochs && j.clock.Now().Sub(j.lastCut) >= j.options.EpochInterval
}

// ended tells whether a bounded run has read everything.
func (j *Job) ended() bool {
	for _, l := range j.lanes {
		if !l.finished() {
			return false
		}
	}
	return true
}

func (j *Job) finish(ctx context.Context) error {
	if err := j.advance(ctx); err != nil {
		return err
	}
	return j.cut(ctx, true)
}

// wait blocks until there is something to read that was not there when the lanes were
// picked, a partition may have become idle, a source topic is gone or ctx ends.
func (j *Job) wait(ctx context.Context) error {
	if err := j.withinBudget(); err != nil { // windows may have closed since the last round
		return err
	}
	if err := j.sameTopics(); err != nil {
		return err
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	for _, l := range j.lanes {
		if l.finished() || l.held {
			continue
		}
		grown, err := j.topics.Wait(l.topic, l.partition, l.next)
		if err != nil {
			stop()
			all.Wait()
			return fmt.Errorf("wait for %s: %w", l, err)
		}
		all.Go(func() {
			select {
			case <-grown:
				stop()
			case <-waiting.Done():
			}
		})
	}
	select {
	case <-waiting.Done():
	case <-j.nextAsk():
		stop()
	case <-j.nextChanges():
		stop()
	}
	all.Wait()
	return ctx.Err()
}
