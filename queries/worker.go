package queries

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"leat/dataflow"
	"leat/internal/fault"
)

// worker takes one lane through its share of a round: it reads, decodes and processes
// some batches, and keeps what they put out until the epoch takes it. During a round it
// touches its lane, its own memory, and of the operators what belongs to the lane's
// source.
type worker struct {
	job   *Job
	lane  int
	share share
	fill  fill
	turn  turn

	err   error
	panic any
}

// share is what a lane may do in a round.
type share struct {
	rows  int // that have to have been processed for the lane to stop
	batch struct{ rows, bytes int }
	alone bool // no other lane takes part
}

// roundBatches is how many full batches a lane processes in a round: enough for the
// waiting of the workers for each other not to show, and few enough for the watermark
// to move often.
const roundBatches = 4

// shareOf divides a round among n lanes. Letters of the batches that are under way at
// the same time must have room in the epoch whatever becomes of the rows; so a batch is
// the smaller the more lanes there are.
func (j *Job) shareOf(n int) share {
	s := share{alone: n == 1}
	s.batch.rows, s.batch.bytes = max(1, j.options.BatchRows/n), max(1, j.options.BatchBytes/n)
	s.rows = max(1, min(roundBatches*j.options.BatchRows, (j.options.EpochRows-j.out.read)/n))
	return s
}

// work has a worker for each of the lanes, at the same time, and returns when all are
// done: with the error of the first lane that has one.
func (j *Job) work(ctx context.Context, lanes []int) error {
	for len(j.workers) < len(lanes) {
		j.workers = append(j.workers, &worker{job: j, turn: j.newTurn()})
	}
	share := j.shareOf(len(lanes))
	var others sync.WaitGroup
	for i, source := range lanes {
		w := j.workers[i]
		w.lane, w.share = source, share
		if i > 0 {
			others.Go(func() { w.run(ctx) })
		}
	}
	j.workers[0].run(ctx)
	others.Wait()
	for i := range lanes {
		w := j.workers[i]
		if w.panic != nil {
			panic(w.panic) // where the owner of the job can recover it
		}
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

func (w *worker) run(ctx context.Context) {
	defer func() { w.panic = recover() }()
	w.err = w.process(ctx)
}

// process sends batches of the lane through the operators until the share is used up,
// the lane has no more rows, or the turn is full.
func (w *worker) process(ctx context.Context) error {
	j := w.job
	l := j.lanes[w.lane]
	l.alone = false
	for most := w.share.batch.rows; !l.finished() && int(w.turn.rows.In) < w.share.rows; {
		rows, bytes := w.room(most)
		if rows == 0 {
			return nil
		}
		if err := l.take(&w.fill, j.topics, j.options.ReadBytes, rows, bytes); err != nil {
			return err
		}
		n := len(w.fill.values)
		if n == 0 {
			return nil
		}
		if w.fill.bytes > bytes && !w.share.alone {
			l.back(&w.fill)
			l.alone = w.turn.rows.In == 0
			return nil
		}
		if d := j.prepare[w.lane]; d != nil {
			if err := d.Prepare(ctx, w.fill.values); err != nil {
				return fmt.Errorf("prepare to decode %s from offset %d: %w", l, l.next, err)
			}
		}
		if j.plan.Join == nil {
			if err := j.freshValues(ctx); err != nil {
				return err
			}
		}
		err := w.step(l)
		switch {
		case errors.Is(err, dataflow.ErrFull) && w.turn.rows.In > 0:
			l.back(&w.fill)
			return nil
		case errors.Is(err, dataflow.ErrFull) && n > 1:
			l.back(&w.fill)
			most = n / 2
		case err != nil:
			return fmt.Errorf("process %s at offset %d: %w", l, l.next, err)
		default:
			l.done(&w.fill)
		}
	}
	return nil
}

// room is the size of the lane's next batch, of at most so many rows, 0 if there is to
// be none.
func (w *worker) room(most int) (rows, bytes int) {
	rows, bytes = w.share.batch.rows, w.share.batch.bytes
	switch used := w.turn.bytes(); {
	case used == 0:
		return min(rows, most), bytes
	case w.turn.Full():
		return 0, 0
	case w.job.stateful:
		// What has been processed cannot be taken back: the letters have to have room.
		all := mostLetterBytes(rows, bytes)
		left := all - used
		if 2*left < all {
			return 0, 0
		}
		return rows * left / all, bytes * left / all
	}
	return min(rows, most), bytes
}

// step processes the fill. After an error it has done nothing that a lane which is to
// go on would notice.
func (w *worker) step(l *lane) error {
	j := w.job
	times := j.times[w.lane]
	highest := times.Highest(w.lane)
	w.turn.begin(len(w.fill.values))
	err := j.graph.Process(w.fill.of(w.lane), &w.turn)
	if err == nil && !j.stateful && w.turn.excessive() {
		err = dataflow.ErrFull
	}
	if errors.Is(err, dataflow.ErrFull) {
		if j.stateful {
			return fault.New(fault.Internal, "internal", "an operator with state found no room for its output")
		}
		w.turn.undo()
		times.SetHighest(w.lane, highest)
		return err
	}
	if err == nil {
		err = j.stopOnError(&w.turn)
	}
	if err != nil {
		return err
	}
	w.turn.end()
	return nil
}
