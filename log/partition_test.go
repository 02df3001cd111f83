package log_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/internal/fault"
	"leat/log"
	"leat/log/crashfs"
)

// walkthrough is a random run of a partition beside a history.
type walkthrough struct {
	rng     *rand.Rand
	options log.Options
	p       *log.Partition
	history
	first log.Offset
	point *log.SyncPoint
}

// TestAgainstModel runs random operations on a partition and on a list of
// batches, which have to agree at every step.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(t, 40) {
		w := walkthrough{rng: rand.New(rand.NewPCG(seed, 1)), point: &log.SyncPoint{}}
		w.options = log.Options{
			FS:           crashfs.New(seed),
			SegmentBytes: int64(200 + w.rng.IntN(4000)),
			IndexBytes:   1 + w.rng.IntN(400),
			OpenSegments: 1 + w.rng.IntN(3),
		}
		if err := w.run(300); err != nil {
			t.Fatalf("%v\n%s", err, rerun(t, seed))
		}
	}
}

func (w *walkthrough) run(steps int) error {
	if err := w.reopen(); err != nil {
		return err
	}
	for i := range steps {
		if err := w.step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if w.p.Next() != w.next || w.p.First() != w.first || w.p.LastMark() != w.mark {
			return fmt.Errorf("step %d: the log has %d to %d, mark %d, it should have %d to %d, mark %d",
				i, w.p.First(), w.p.Next(), w.p.LastMark(), w.first, w.next, w.mark)
		}
	}
	return w.compare(w.p, w.first, 1000)
}

func (w *walkthrough) step() error {
	switch w.rng.IntN(20) {
	case 0:
		return w.reopen()
	case 1:
		point, err := w.p.Sync()
		w.point = &point
		return err
	case 2:
		w.first = max(w.first, min(w.first+log.Offset(w.rng.IntN(20)), w.next))
		w.p.Trim(w.first)
		return w.outOfRange()
	case 3:
		_, err := w.p.DropTrimmed()
		return err
	case 4, 5:
		return w.findMark()
	case 6, 7:
		return w.offsetAtTime()
	case 8, 9, 10:
		return w.readSome()
	case 11:
		return w.cut()
	default:
		want := w.next
		got, err := w.p.Append(w.grow(w.rng))
		if err == nil && got != want {
			err = fmt.Errorf("appended at %d, not at %d", got, want)
		}
		return err
	}
}

func (w *walkthrough) reopen() (err error) {
	if w.p != nil {
		if err := w.p.Close(); err != nil {
			return err
		}
	}
	w.options.Synced = []*log.SyncPoint{nil, {}, w.point}[w.rng.IntN(3)]
	if w.p, err = log.Open(dir, w.options); err != nil {
		return err
	}
	if w.p.First() > w.first {
		return fmt.Errorf("the log begins at %d after a restart, it was trimmed to %d", w.p.First(), w.first)
	}
	w.p.Trim(w.first)
	return w.compare(w.p, w.first, 500)
}

func (w *walkthrough) cut() error {
	m := w.mark - min(w.mark, log.Mark(w.rng.IntN(4)))
	if w.first == w.next || m < w.at(w.first).mark {
		return nil // trimmed already
	}
	if err := w.p.CutAfter(m); err != nil {
		return err
	}
	w.cutAfter(m)
	w.first = min(w.first, w.next)
	point, err := w.p.Sync()
	w.point = &point
	return err
}

func (w *walkthrough) outOfRange() error {
	if w.first == 0 {
		return nil
	}
	_, err := w.p.Read(w.first-1, 100, nil)
	if f := fault.As(err); f == nil || f.Kind != fault.OutOfRange || f.Code != "offset_out_of_range" {
		return fmt.Errorf("read below the first offset: %v", err)
	}
	return nil
}

func (w *walkthrough) readSome() error {
	from := w.first + log.Offset(w.rng.IntN(int(w.next-w.first)+3))
	frames, err := w.p.Read(from, w.rng.IntN(600), nil)
	if err != nil {
		return err
	}
	if from >= w.next {
		if !frames.Empty() || frames.Next() != from {
			return fmt.Errorf("read of %d at the end returned up to %d", from, frames.Next())
		}
		return nil
	}
	if frames.Empty() {
		return fmt.Errorf("read of %d returned nothing", from)
	}
	return w.compareFrames(frames, from)
}

func (w *walkthrough) findMark() error {
	m := w.mark - min(w.mark, log.Mark(w.rng.IntN(8))) + log.Mark(w.rng.IntN(2))
	// A mark below the first segment may have been dropped in part, or all of them.
	if w.first > 0 && (m <= w.at(w.first).mark || w.first == w.next && m <= w.mark) {
		return nil
	}
	var base log.Offset
	count := 0
	for _, b := range w.batches {
		if b.mark == m {
			if count == 0 {
				base = b.base
			}
			count += len(b.values)
		}
	}
	gotBase, gotCount, ok := w.p.FindMark(m)
	if ok != (count > 0) || ok && (gotBase != base || gotCount != count) {
		return fmt.Errorf("mark %d is at %d, %d records, found %d, %d, %v", m, base, count, gotBase, gotCount, ok)
	}
	return nil
}

func (w *walkthrough) offsetAtTime() error {
	timeMs := w.timeMs + int64(w.rng.IntN(60)-50)
	want := w.next
	for _, b := range w.batches {
		if b.timeMs >= timeMs && b.end() > w.first {
			want = max(b.base, w.first)
			break
		}
	}
	got, err := w.p.OffsetAtTime(timeMs)
	if err == nil && got != want {
		err = fmt.Errorf("time %d ms is at %d, found %d", timeMs, want, got)
	}
	return err
}
