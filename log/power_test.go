package log_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/log"
	"leat/log/crashfs"
)

// TestPowerCut cuts the power before every step that reaches the disk, also
// those of the recovery from an earlier cut. What a SyncPoint vouched for has to
// be there, and nothing that was not appended.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(t, 8) {
		disk := crashfs.New(seed)
		if err := powerCuts(disk, seed); err != nil {
			t.Fatalf("%v\n%s", err, rerun(t, seed))
		}
	}
}

// TestPowerCutNeedsSync shows that the check of TestPowerCut notices a log whose
// syncs do nothing.
func TestPowerCutNeedsSync(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		disk := crashfs.New(seed)
		disk.IgnoreSyncs()
		if powerCuts(disk, seed) == nil {
			t.Errorf("seed %d: without a sync nothing was lost", seed)
		}
	}
}

// electric is a run of a partition on a disk that loses power all the time.
type electric struct {
	rng     *rand.Rand
	disk    *crashfs.Disk
	options log.Options
	p       *log.Partition
	history               // with the batch that is being appended
	point   log.SyncPoint // the last one returned
	trimmed log.Offset
	lost    error
}

func powerCuts(disk *crashfs.Disk, seed uint64) error {
	e := electric{rng: rand.New(rand.NewPCG(seed, 4)), disk: disk}
	e.options = log.Options{
		FS: disk, Root: "/",
		SegmentBytes: int64(150 + e.rng.IntN(800)),
		IndexBytes:   1 + e.rng.IntN(300),
	}
	disk.Before(func(op crashfs.Op) {
		if e.lost == nil {
			e.lost = e.check(disk.Crash(), 2)
			if e.lost != nil {
				e.lost = fmt.Errorf("power cut before %v: %w", op, e.lost)
			}
		}
	})
	var err error
	if e.p, err = log.Open(dir, e.options); err != nil {
		return err
	}
	for range 60 {
		if err := e.step(); err != nil {
			return err
		}
		if e.lost != nil {
			return e.lost
		}
	}
	return e.p.Close()
}

func (e *electric) step() error {
	switch e.rng.IntN(12) {
	case 0, 1:
		point, err := e.p.Sync()
		e.point = point
		return err
	case 2:
		e.trimmed = max(e.trimmed, min(e.trimmed+log.Offset(e.rng.IntN(30)), e.p.Next()))
		e.p.Trim(e.trimmed)
		_, err := e.p.DropTrimmed()
		return err
	case 3:
		// As a state machine does that must not have seen more than its raft log.
		m := max(e.point.Mark, e.mark-min(e.mark, log.Mark(e.rng.IntN(4))))
		if m < e.at(e.trimmed).mark || e.trimmed == e.next {
			return nil
		}
		err := e.p.CutAfter(m)
		e.cutAfter(m)
		e.trimmed = min(e.trimmed, e.next)
		return err
	case 4:
		// The process dies, the machine does not.
		if err := e.p.Close(); err != nil {
			return err
		}
		e.options.Synced = &e.point
		var err error
		if e.p, err = log.Open(dir, e.options); err == nil && e.p.Next() != e.next {
			err = fmt.Errorf("the log ends at %d after a restart, not at %d", e.p.Next(), e.next)
		}
		e.p.Trim(e.trimmed)
		return err
	default:
		_, err := e.p.Append(e.grow(e.rng))
		return err
	}
}

// check opens what a power cut left, cutting the power again while it does, and
// compares it with what was appended.
func (e *electric) check(left *crashfs.Disk, depth int) error {
	var again error
	after := left.Crash() // all that is left is durable: the same once more
	if depth > 0 && e.rng.IntN(4) == 0 {
		after.Before(func(op crashfs.Op) {
			if again == nil {
				again = e.check(after.Crash(), depth-1)
				if again != nil {
					again = fmt.Errorf("and before %v: %w", op, again)
				}
			}
		})
	}
	o := e.options
	o.FS, o.Synced = after, &e.point
	p, err := log.Open(dir, o)
	if err != nil {
		return err
	}
	if again != nil {
		return again
	}
	if p.Next() < e.point.Next || p.LastMark() < e.point.Mark {
		return fmt.Errorf("the log ends at %d, mark %d, synced up to %v", p.Next(), p.LastMark(), e.point)
	}
	if p.Next() > e.next || p.First() > max(e.trimmed, e.point.Next) {
		return fmt.Errorf("the log has %d to %d, it was trimmed to %d and ended at %d", p.First(), p.Next(), e.trimmed, e.next)
	}
	survived := history{batches: e.batches}
	survived.cutAt(p.Next())
	if survived.next != p.Next() || survived.mark != p.LastMark() {
		return fmt.Errorf("the log ends at %d, mark %d, no batch does", p.Next(), p.LastMark())
	}
	if err := survived.compare(p, p.First(), 300); err != nil {
		return err
	}
	if _, err := p.Append(survived.grow(rand.New(rand.NewPCG(0, 0)))); err != nil {
		return err
	}
	return survived.compare(p, p.First(), 300)
}
