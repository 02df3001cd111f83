package queries

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"leat/dataflow"
	"leat/internal/fault"
	"leat/log"
)

// JobConfig is what a job needs.
type JobConfig struct {
	ID     string // of the query: names its logs and its checkpoint
	Owner  string // unique for each job ever made
	Shard  uint64 // where logs and checkpoint live
	Plan   *Plan
	Topics Topics
	Docs   Documents
	Clock  Clock
	// Options may be zero.
	Options RunOptions
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
	clock     Clock
	options   RunOptions

	pipeline
	lanes    []*lane
	out      output
	advanced dataflow.Time // the watermark the operators have fully acted on
	random   *rand.Rand    // nil: by watermark
	lastCut  time.Time

	saved     checkpoint // the last epoch committed
	version   uint64     // of its document
	stateNext log.Offset // end of the state log
	wantFull  bool       // the state log ends with records that must not count
}

// NewJob makes a job. It does nothing before Run.
func NewJob(c JobConfig) *Job {
	j := &Job{
		id: c.ID, owner: c.Owner, shard: c.Shard, plan: c.Plan,
		topics: c.Topics, docs: c.Docs, clock: c.Clock, options: c.Options,
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
// NotFound that the source topic is gone; whether another job may go on from the
// checkpoint is for the caller to decide by the kind.
func (j *Job) Run(ctx context.Context) error {
	partitions := 1
	if topic, ok := j.topics.Topic(j.plan.Source.Topic); ok {
		partitions = int(topic.Partitions)
	}
	j.options = j.options.withDefaults(partitions)
	j.lastCut = j.clock.Now()
	if err := j.open(ctx); err != nil {
		return err
	}
	if j.saved.Completed {
		return nil
	}
	if err := j.advance(ctx); err != nil {
		return err
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l, err := j.pick()
		switch {
		case err != nil:
			return j.explain(err)
		case l >= 0:
			err = j.step(ctx, l)
		case j.ended():
			return j.finish(ctx)
		case !j.out.empty() && !j.options.FixedEpochs:
			err = j.cut(ctx, false)
		default:
			err = j.wait(ctx)
		}
		if err != nil {
			return j.explain(err)
		}
	}
}

// explain puts the loss of the source topic before whatever followed from it.
func (j *Job) explain(err error) error {
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	if gone := j.sameTopic(); gone != nil {
		return gone
	}
	return err
}

// step processes one batch of a lane.
func (j *Job) step(ctx context.Context, source int) error {
	l := j.lanes[source]
	if err := l.fill(j.topics, j.plan.Source.Topic, j.options); err != nil {
		return err
	}
	if err := j.process(ctx, source); err != nil {
		return err
	}
	if err := j.advance(ctx); err != nil {
		return err
	}
	if j.due() {
		return j.cut(ctx, false)
	}
	return nil
}

// process sends the rows of the lane's fill through the operators. What has no room
// in the epoch is undone and taken in smaller parts, in epochs of their own.
func (j *Job) process(ctx context.Context, source int) error {
	l := j.lanes[source]
	for size := len(l.values); l.taken < len(l.values); {
		n := min(size, len(l.values)-l.taken)
		highest := j.times.Highest(source)
		j.out.begin(n)
		err := j.graph.Process(l.rows(source, n), &j.out)
		if err == nil && j.plan.Window == nil && j.out.excessive() {
			err = dataflow.ErrFull
		}
		if errors.Is(err, dataflow.ErrFull) {
			j.out.undo()
			j.times.SetHighest(source, highest)
			switch {
			case !j.out.empty():
				err = j.cut(ctx, false)
			case n > 1:
				size, err = n/2, nil
			}
			if err != nil {
				return err
			}
			continue
		}
		if err == nil {
			err = j.stopOnError()
		}
		if err != nil {
			return fmt.Errorf("process %s/%d at offset %d: %w", j.plan.Source.Topic, source, l.next, err)
		}
		j.out.end()
		l.done(n)
	}
	return nil
}

// stopOnError fails where the turn has a dead letter and the query is to stop at one.
// The epoch is not committed, so what the query has put out is the beginning of what
// it would have put out.
func (j *Job) stopOnError() error {
	if !j.plan.StopOnError {
		return nil
	}
	for i := range j.out.rejects {
		if r := &j.out.rejects[i]; !r.late {
			place := "a grouped row"
			if r.batch.Source >= 0 {
				place = fmt.Sprintf("%s/%d, offset %d", j.plan.Source.Topic, r.batch.Source, r.batch.Offsets[r.row])
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
			w = min(w, j.times.Watermark(i))
		}
	}
	return w
}

// advance has the operators act on the watermark, over as many epochs as the output
// takes. At the end of a bounded run the watermark is MaxTime.
func (j *Job) advance(ctx context.Context) error {
	w := j.watermark()
	for w > j.advanced {
		j.out.begin(0)
		done, err := j.graph.Advance(w, &j.out)
		if err == nil {
			err = j.stopOnError()
		}
		if err != nil {
			return err
		}
		progress := len(j.out.rejects) > 0 || j.out.turn.Out > 0
		j.out.end()
		if done {
			j.advanced = w
			break
		}
		if j.out.Full() || !progress && j.out.bytes() > 0 {
			if err := j.cut(ctx, false); err != nil {
				return err
			}
		} else if !progress {
			return fault.New(fault.Internal, "internal", "query %q cannot give out a row", j.plan.Name)
		}
	}
	return nil
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

// maxPassed is how many batches others may take while a lane has rows.
const maxPassed = 64

// pick chooses the lane to read, -1 if none has rows: the one with the lowest
// watermark, so that state stays small, unless another has waited too long.
func (j *Job) pick() (int, error) {
	best := -1
	seen := 0
	for i, l := range j.lanes {
		has, err := l.hasRows(j.topics, j.plan.Source.Topic)
		if err != nil {
			return -1, err
		}
		if !has {
			l.passed = 0
			continue
		}
		seen++
		switch {
		case best < 0:
			best = i
		case j.random != nil:
			if j.random.IntN(seen) == 0 {
				best = i
			}
		case j.before(l, i, best):
			best = i
		}
	}
	if best < 0 {
		return -1, nil
	}
	for _, l := range j.lanes {
		l.passed++
	}
	j.lanes[best].passed = 0
	return best, nil
}

// before tells whether lane i is to be read before lane best.
func (j *Job) before(l *lane, i, best int) bool {
	waited, other := l.passed >= maxPassed, j.lanes[best].passed >= maxPassed
	if waited != other {
		return waited
	}
	return j.times.Watermark(i) < j.times.Watermark(best)
}

// wait blocks until there is something to read, the source topic is gone or ctx
// ends.
func (j *Job) wait(ctx context.Context) error {
	if err := j.sameTopic(); err != nil {
		return err
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	for _, l := range j.lanes {
		if l.finished() {
			continue
		}
		grown, err := j.topics.Wait(j.plan.Source.Topic, l.partition, l.next)
		if err != nil {
			stop()
			all.Wait()
			return fmt.Errorf("wait for %s/%d: %w", j.plan.Source.Topic, l.partition, err)
		}
		all.Go(func() {
			select {
			case <-grown:
				stop()
			case <-waiting.Done():
			}
		})
	}
	<-waiting.Done()
	all.Wait()
	return ctx.Err()
}
