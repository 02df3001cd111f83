package queries

import (
	"context"
	"fmt"
	"slices"
	"time"

	"leat/dataflow"
	"leat/log"
)

// With "idle_timeout" a partition that has been read to its end, and has had no append
// for that long by its own log time, does not hold the watermark. That it is so is
// decided once and written down: an idle mark says up to which watermark the partition
// has been passed over, which is the minimum over the partitions that are not idle. The
// mark is committed with an epoch and is acted on after that, so that whoever goes on
// from the checkpoint acts on the same one. Later rows of the partition are judged
// against it. As the other partitions move on, each epoch raises it. Where all partitions
// are idle there is no minimum and nothing moves.
//
// What a query gives is so a matter of the logs and the marks. A query without
// "idle_timeout" has no marks and asks for no time.

// idleMark is the last mark of a partition.
type idleMark struct {
	Offset    log.Offset    `json:"offset"` // of the first record that is judged against it
	Watermark dataflow.Time `json:"watermark"`
}

// notQuiet is an offset that no lane is ever at.
const notQuiet log.Offset = -1

// canIdle tells whether a partition may be passed over: a bounded run comes to its end
// without that, and without state nothing is held up.
func (j *Job) canIdle(l *lane) bool { return l.idleMs > 0 && l.stop < 0 && j.stateful }

// mayIdle tells whether any may.
func (j *Job) mayIdle() bool { return slices.ContainsFunc(j.lanes, j.canIdle) }

// Bounds on how long a job waits until it asks again whether partitions have become
// quiet. A partition that comes to its end in between is found quiet by as much later.
const (
	leastAsk = 5 * time.Millisecond
	mostAsk  = 5 * time.Second
)

// ask finds out which lanes have become quiet. It has itself asked again no later than
// the first of those that are read to their end can be.
func (j *Job) ask(ctx context.Context) error {
	if now := j.clock.Now(); now.Before(j.askAt) {
		return nil
	}
	soonest := mostAsk.Milliseconds()
	for _, l := range j.lanes {
		if !j.canIdle(l) || l.quiet == l.next {
			continue
		}
		soonest = min(soonest, l.idleMs)
		if there, err := j.atEnd(l); err != nil {
			return err
		} else if !there {
			continue
		}
		left, end, err := j.topics.Quiet(ctx, l.topic, l.partition, l.idleMs)
		switch {
		case err != nil && passing(err) && ctx.Err() == nil:
			// Whether it is quiet is not known, so it is not.
		case err != nil:
			return fmt.Errorf("ask since when %s is quiet: %w", l, err)
		case end != l.next:
		case left <= 0:
			l.quiet = l.next
		default:
			soonest = min(soonest, left)
		}
	}
	j.askAt = j.clock.Now().Add(max(leastAsk, time.Duration(soonest)*time.Millisecond))
	return nil
}

// atEnd tells whether a lane has been read to its end, as far as this node knows it.
func (j *Job) atEnd(l *lane) (bool, error) {
	p, err := j.topics.Partition(l.topic, l.partition)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", l, err)
	}
	return p.Next == l.next, nil
}

// idleMarks are the marks to be written with the next epoch, by lane, nil for a lane
// that gets none; no list at all where that goes for all of them.
func (j *Job) idleMarks(ctx context.Context) ([]*idleMark, error) {
	if !j.mayIdle() {
		return nil, nil
	}
	if err := j.ask(ctx); err != nil {
		return nil, err
	}
	w, active := dataflow.MaxTime, false
	idle := make([]bool, len(j.lanes))
	for i, l := range j.lanes {
		if l.finished() {
			continue
		}
		there, err := j.atEnd(l)
		if err != nil {
			return nil, err
		}
		if idle[i] = there && l.quiet == l.next; !idle[i] {
			w, active = min(w, j.times[i].Watermark(i)), true
		}
	}
	if !active {
		return nil, nil
	}
	var marks []*idleMark
	for i, l := range j.lanes {
		if idle[i] && j.times[i].Watermark(i) < w {
			if marks == nil {
				marks = make([]*idleMark, len(j.lanes))
			}
			marks[i] = &idleMark{Offset: l.next, Watermark: w}
		}
	}
	return marks, nil
}

// passOver has the watermark act on the marks of the last epoch committed.
func (j *Job) passOver() {
	for i, l := range j.lanes {
		if l.mark != nil {
			j.times[i].SetMark(i, l.mark.Watermark)
		}
	}
}

// rest is for when there is nothing to read: it writes marks down if there are any to be
// written, and waits otherwise.
func (j *Job) rest(ctx context.Context) error {
	marks, err := j.idleMarks(ctx)
	switch {
	case err != nil:
		return err
	case marks != nil:
		return j.cut(ctx, false)
	}
	return j.wait(ctx)
}

// nextAsk is when to ask again while nothing is to be read, nil for never.
func (j *Job) nextAsk() <-chan time.Time {
	for _, l := range j.lanes {
		if j.canIdle(l) && l.quiet != l.next {
			return j.clock.After(max(0, j.askAt.Sub(j.clock.Now())))
		}
	}
	return nil
}
