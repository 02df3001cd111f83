package raftlog

import (
	"sync"
	"sync/atomic"
	"testing"

	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/testenv"
	"leat/log"
	"leat/log/crashfs"
)

// gated lets a test hold the syncs of segment files back and counts them.
type gated struct {
	log.FS
	closed atomic.Bool
	gate   chan struct{}
	syncs  atomic.Int64
}

type gatedFile struct {
	log.File
	fs *gated
}

func (f gatedFile) Sync() error {
	if f.fs.closed.Load() {
		f.fs.syncs.Add(1)
		<-f.fs.gate
	}
	return f.File.Sync()
}

func (g *gated) Create(name string) (log.File, error) {
	f, err := g.FS.Create(name)
	return gatedFile{f, g}, err
}

// TestGroupCommit: rounds written while a sync is under way share the next one,
// and no caller returns before a sync that began after its write has ended.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	const workers = 16
	g := &gated{FS: crashfs.New(1), gate: make(chan struct{})}
	var mu sync.Mutex
	told := map[uint64]uint64{}
	db := open(t, "/raft", Options{FS: g, OnDurable: func(shard, index uint64) {
		mu.Lock()
		defer mu.Unlock()
		told[shard] = index
	}})
	g.closed.Store(true)
	var done sync.WaitGroup
	var returned atomic.Int64
	begin := func(worker uint64) {
		done.Go(func() {
			if err := db.SaveRaftState([]pb.Update{update(worker, 1, pb.State{Term: 1}, entries(1, 1, worker, 10))}, worker); err != nil {
				t.Error(err)
			}
			returned.Add(1)
		})
	}
	written := func(n int) func() bool {
		return func() bool {
			db.mu.Lock()
			defer db.mu.Unlock()
			return len(db.replicas) == n
		}
	}
	begin(1)
	testenv.Eventually(t, "first sync", func() bool { return g.syncs.Load() == 1 })
	for w := uint64(2); w <= workers; w++ {
		begin(w)
	}
	testenv.Eventually(t, "all rounds written", written(workers))
	if got := db.DurableIndex(1, 1); returned.Load() != 0 || got != 0 {
		t.Errorf("%d calls returned and index %d is durable without a sync", returned.Load(), got)
	}
	g.gate <- struct{}{}
	testenv.Eventually(t, "second sync", func() bool { return g.syncs.Load() == 2 })
	if n := returned.Load(); n > 1 {
		t.Errorf("%d calls returned after the sync that covers one", n)
	}
	g.gate <- struct{}{}
	done.Wait()
	g.closed.Store(false)
	for w := uint64(1); w <= workers; w++ {
		if got := db.DurableIndex(w, 1); got != w || told[w] != w {
			t.Errorf("shard %d: durable %d, told %d", w, got, told[w])
		}
	}
	if n := g.syncs.Load(); n != 2 {
		t.Errorf("%d syncs for %d calls, want 2", n, workers)
	}
	shut(t, db)
}

// TestCommitIndexNeedsNoSync: raft can recompute it, so it costs only a write.
func TestCommitIndexNeedsNoSync(t *testing.T) {
	t.Parallel()
	g := &gated{FS: crashfs.New(1), gate: make(chan struct{})}
	close(g.gate)
	db := open(t, "/raft", Options{FS: g})
	g.closed.Store(true)
	for i, c := range []struct {
		update pb.Update
		syncs  int64
	}{
		{update(1, 1, pb.State{Term: 1, Vote: 2}, nil), 1},
		{update(1, 1, pb.State{Term: 1, Vote: 2, Commit: 1}, nil), 1},
		{update(1, 1, pb.State{Term: 1, Vote: 2, Commit: 1}, nil), 1},
		{update(1, 1, pb.State{Term: 1, Vote: 3, Commit: 2}, nil), 2},
		{update(1, 1, pb.State{}, nil), 2},
		{update(1, 1, pb.State{}, entries(1, 1, 1, 0)), 3},
		{update(1, 1, pb.State{Term: 2, Vote: 3, Commit: 2}, nil), 4},
	} {
		save(t, db, c.update)
		if got := g.syncs.Load(); got != c.syncs {
			t.Errorf("after update %d: %d syncs, want %d", i, got, c.syncs)
		}
	}
	shut(t, db)
}

// TestConcurrentUse has workers save, compact and read their shards at once.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := Options{SegmentBytes: 64 << 10, FS: unsynced{log.OS()}}
	db := open(t, dir, options)
	const workers, rounds = 4, 150
	var done sync.WaitGroup
	for w := uint64(1); w <= workers; w++ {
		done.Go(func() {
			for i := uint64(1); i <= rounds; i++ {
				u := update(w, 1, pb.State{Term: 1, Commit: i}, entries(1, i*3-2, i*3, 500))
				if err := db.SaveRaftState([]pb.Update{u}, w); err != nil {
					t.Error(err)
					return
				}
				if got, _, err := db.IterateEntries(nil, 0, w, 1, i*3-2, i*3+1, noLimit); err != nil || !equalEntries(got, u.EntriesToSave) {
					t.Errorf("shard %d: %d entries, %v", w, len(got), err)
				}
				if i%20 == 0 && w != 1 {
					if err := db.RemoveEntriesTo(w, 1, i*3-10); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	done.Go(func() {
		for db.DurableIndex(1, 1) < rounds*3 && !t.Failed() {
			last := db.DurableIndex(1, 1)
			got, _, err := db.IterateEntries(nil, 0, 1, 1, 1, last+1, noLimit)
			if err != nil || uint64(len(got)) != last {
				t.Errorf("%d of %d entries, %v", len(got), last, err)
			}
		}
	})
	done.Wait()
	checkIndex(t, db)
	shut(t, db)
	db = open(t, dir, options)
	if got := iterate(t, db, 1, 1, 1, rounds*3+1, noLimit); !equalEntries(got, entries(1, 1, rounds*3, 500)) {
		t.Errorf("%d entries after a restart", len(got))
	}
	shut(t, db)
}
