package raftlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/fault"
	"leat/internal/testenv"
	"leat/log/crashfs"
)

// history is what a log may hold after a power cut: the states from the last
// one that was promised to be durable up to the one being written.
type history struct {
	states   []model
	promised int
}

func (h *history) push(m model, sync bool) {
	h.states = append(h.states, m.clone())
	if sync {
		h.promised = len(h.states) - 1
	}
}

// check opens what a power cut left and says what is wrong with it.
func (h *history) check(disk *crashfs.Disk) error {
	db, err := Open("/raft", Options{FS: disk.FS(), SegmentBytes: 2500})
	if err != nil {
		return fmt.Errorf("does not open: %w", err)
	}
	var first error
	for i := len(h.states) - 1; i >= h.promised; i-- {
		err := h.states[i].differs(db)
		if err == nil {
			return db.Close()
		}
		if i == h.promised {
			first = err
		}
	}
	return errors.Join(fmt.Errorf("acknowledged state lost: %w", first), db.Close())
}

// powerCuts runs random calls and cuts the power before steps of the file
// system drawn at random and after calls. It returns what was found wrong.
func powerCuts(t *testing.T, seed uint64, calls int, ignoreSyncs bool) (cuts int, wrong error) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	disk := crashfs.New(seed)
	if ignoreSyncs {
		disk.IgnoreSyncs()
	}
	var h history
	m := model{}
	h.push(m, true)
	cut := func(when string) {
		if wrong == nil {
			cuts++
			if err := h.check(disk.Crash()); err != nil {
				wrong = fmt.Errorf("power cut %d, %s: %w", cuts, when, err)
			}
		}
	}
	disk.Before(func(o crashfs.Op) {
		if rng.IntN(3) == 0 {
			cut(fmt.Sprintf("before %s of %s", o.Kind, o.Name))
		}
	})
	db := open(t, "/raft", Options{FS: disk.FS(), SegmentBytes: 2500})
	for i := 0; i < calls && wrong == nil; i++ {
		o := randomOp(rng, m)
		o.model(m)
		h.push(m, false) // in flight: may be there or not
		if err := o.invoke(db); err != nil {
			t.Fatalf("%s: %v", o.name, err)
		}
		if o.sync {
			h.promised = len(h.states) - 1
		}
		cut("after " + o.name)
		if rng.IntN(15) == 0 {
			if rng.IntN(2) == 0 {
				shut(t, db) // else the process was killed
			}
			db = open(t, "/raft", Options{FS: disk.FS(), SegmentBytes: 2500})
			h.promised = len(h.states) - 1 // raft relies on what it reads
			cut("after a restart")
		}
	}
	if wrong == nil {
		shut(t, db)
	}
	return cuts, wrong
}

// TestPowerCut: whatever moment the power fails at and whatever of the unsynced
// bytes and names survives, the log opens and has everything it acknowledged.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	for i := range uint64(8) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			if cuts, err := powerCuts(t, seed+i, 120, false); err != nil || cuts < 100 {
				t.Errorf("after %d cuts: %v", cuts, err)
			}
		})
	}
}

// TestPowerCutChecker: where the disk lies about syncs the same checks must
// find that acknowledged state is gone, or they prove nothing.
func TestPowerCutChecker(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	for i := range uint64(4) {
		if cuts, err := powerCuts(t, seed+i, 120, true); err == nil {
			t.Errorf("seed %d: nothing found in %d cuts of a disk that never syncs", seed+i, cuts)
		}
	}
}

// TestFailedSync: after a failed sync nothing is acknowledged any more, not even
// what a later sync would cover.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	var told []uint64
	db := open(t, "/raft", Options{FS: disk.FS(), OnDurable: func(_, index uint64) { told = append(told, index) }})
	save(t, db, update(1, 1, pb.State{Term: 1}, entries(1, 1, 3, 0)))
	disk.FailSync(1)
	err := db.SaveRaftState([]pb.Update{update(1, 1, pb.State{Term: 1}, entries(1, 4, 5, 0))}, 1)
	if !errors.Is(err, crashfs.ErrInjected) {
		t.Fatalf("save with a failing sync: %v", err)
	}
	for name, again := range map[string]func() error{
		"entries": func() error { return db.SaveRaftState([]pb.Update{update(1, 1, pb.State{}, entries(1, 6, 6, 0))}, 1) },
		"commit":  func() error { return db.SaveRaftState([]pb.Update{update(1, 1, pb.State{Term: 1, Commit: 3}, nil)}, 1) },
		"snapshot": func() error {
			return db.SaveSnapshots([]pb.Update{{ShardID: 1, ReplicaID: 1, Snapshot: snapshot(1, 2, 1)}})
		},
		"bootstrap": func() error { return db.SaveBootstrapInfo(2, 1, pb.Bootstrap{Join: true}) },
		"removal":   func() error { return db.RemoveEntriesTo(1, 1, 1) },
	} {
		if err := again(); !errors.Is(err, crashfs.ErrInjected) {
			t.Errorf("%s after a failed sync: %v", name, err)
		}
	}
	if got := db.DurableIndex(1, 1); got != 3 {
		t.Errorf("durable index %d, want 3", got)
	}
	if len(told) != 1 || told[0] != 3 {
		t.Errorf("told durable: %v, want [3]", told)
	}
	shut(t, db)
}

func TestFailedWrite(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	db := open(t, "/raft", Options{FS: disk.FS()})
	save(t, db, update(1, 1, pb.State{Term: 1}, entries(1, 1, 3, 0)))
	disk.FailWrite(1)
	err := db.SaveRaftState([]pb.Update{update(1, 1, pb.State{Term: 1}, entries(1, 4, 5, 2000))}, 1)
	if !errors.Is(err, crashfs.ErrInjected) {
		t.Fatalf("save with a failing write: %v", err)
	}
	if err := db.SaveRaftState([]pb.Update{update(1, 1, pb.State{Term: 1}, entries(1, 4, 5, 0))}, 1); err == nil {
		t.Error("saved after a failed write")
	}
	shut(t, db)
	db = open(t, "/raft", Options{FS: disk.FS()})
	if got := iterate(t, db, 1, 1, 1, 9, noLimit); !equalEntries(got, entries(1, 1, 3, 0)) {
		t.Errorf("after the failed write: %d entries", len(got))
	}
	shut(t, db)
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	db := open(t, "/raft", Options{FS: disk.FS()})
	save(t, db, update(1, 1, pb.State{Term: 1}, entries(1, 1, 3, 0)))
	disk.Limit(10_000)
	err := db.SaveRaftState([]pb.Update{update(1, 1, pb.State{Term: 1}, entries(1, 4, 5, 20_000))}, 1)
	if f := wantCode(t, err, "disk_full"); f.Kind != fault.DiskFull {
		t.Errorf("kind %v", f.Kind)
	}
	shut(t, db)
	disk.Limit(-1)
	db = open(t, "/raft", Options{FS: disk.FS()})
	if got := iterate(t, db, 1, 1, 1, 9, noLimit); !equalEntries(got, entries(1, 1, 3, 0)) {
		t.Errorf("after the full disk: %d entries", len(got))
	}
	save(t, db, update(1, 1, pb.State{Term: 1}, entries(1, 4, 5, 20_000)))
	shut(t, db)
}
