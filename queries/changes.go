package queries

import (
	"context"
	"time"

	"leat/dataflow"
)

// With "emit": "changes" a query also gives out, with its epochs, the present row of each
// group of an open window that has changed. Of the rows of a group and window the last
// one counts, and the last of all is the one that leaves with the window; which ones come
// before it is a matter of when epochs end. After a restart the present row of every
// group that is there is given again.

// flush ends the epoch, with the changes that there are where they are due.
func (j *Job) flush(ctx context.Context) error {
	if j.changesDue() {
		if err := j.drain(ctx, j.changes); err != nil {
			return err
		}
		j.changed, j.givenAt = false, j.clock.Now()
	}
	if j.out.empty() {
		return nil
	}
	return j.cut(ctx, false)
}

// changes has the operators give out what has changed. A row that fails further down is
// passed over: whether it does in the end is for the close of its window to say.
func (j *Job) changes(sink dataflow.Sink) (done, moved bool, err error) {
	return j.graph.Changes(unreported{sink})
}

// unreported is a sink that forgets dead rows.
type unreported struct{ dataflow.Sink }

func (unreported) Dead(*dataflow.Batch, int, string, string) {}

// changesDue tells whether there are changes that are to be given now.
func (j *Job) changesDue() bool {
	return j.plan.Changes && j.changed && j.untilChanges() <= 0
}

func (j *Job) untilChanges() time.Duration {
	every := time.Duration(j.plan.ChangesEveryMs) * time.Millisecond
	if every == 0 || j.givenAt.IsZero() {
		return 0
	}
	return j.givenAt.Add(every).Sub(j.clock.Now())
}

// nextChanges is when to give changes while nothing is to be read, nil for never.
func (j *Job) nextChanges() <-chan time.Time {
	if !j.plan.Changes || !j.changed {
		return nil
	}
	return j.clock.After(max(0, j.untilChanges()))
}
