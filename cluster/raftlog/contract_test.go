package raftlog

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"
)

// step is one call of the interface.
type step func(t *testing.T, db raftio.ILogDB)

func saves(updates ...pb.Update) step {
	return func(t *testing.T, db raftio.ILogDB) { t.Helper(); save(t, db, updates...) }
}

func does(f func(db raftio.ILogDB) error) step {
	return func(t *testing.T, db raftio.ILogDB) {
		t.Helper()
		if err := f(db); err != nil {
			t.Fatal(err)
		}
	}
}

func boots(shard uint64) step {
	return does(func(db raftio.ILogDB) error {
		return db.SaveBootstrapInfo(shard, 1, pb.Bootstrap{
			Addresses: map[uint64]string{1: "a:1", 2: "b:2"}, Type: pb.OnDiskStateMachine,
		})
	})
}

func snapshots(shard, index, term uint64) step {
	return does(func(db raftio.ILogDB) error {
		return db.SaveSnapshots([]pb.Update{{ShardID: shard, ReplicaID: 1, Snapshot: snapshot(shard, index, term)}})
	})
}

func snapshot(shard, index, term uint64) pb.Snapshot {
	return pb.Snapshot{
		ShardID: shard, Index: index, Term: term, Filepath: "snap", FileSize: 10, Type: pb.OnDiskStateMachine,
		Membership: pb.Membership{ConfigChangeId: 1, Addresses: map[uint64]string{1: "a:1"}},
	}
}

func removes(shard, index uint64) step {
	return does(func(db raftio.ILogDB) error {
		if err := db.RemoveEntriesTo(shard, 1, index); err != nil {
			return err
		}
		done, err := db.CompactEntriesTo(shard, 1, index)
		if err == nil {
			<-done
		}
		return err
	})
}

// contract holds sequences of calls after which our log and tan must say the
// same, before and after a restart.
func contract() map[string][]step {
	st := func(term, vote, commit uint64) pb.State { return pb.State{Term: term, Vote: vote, Commit: commit} }
	return map[string][]step{
		"nothing":          {},
		"bootstrap only":   {boots(1), boots(3)},
		"entries":          {boots(1), saves(update(1, 1, st(2, 1, 3), entries(2, 1, 20, 0)))},
		"one at a time":    {saves(update(1, 1, st(1, 1, 0), entries(1, 1, 1, 0))), saves(update(1, 1, st(1, 1, 1), entries(1, 2, 2, 0))), saves(update(1, 1, st(1, 1, 2), entries(1, 3, 3, 0)))},
		"state only":       {saves(update(1, 1, st(2, 1, 0), nil)), saves(update(1, 1, st(3, 2, 0), nil))},
		"empty commands":   {saves(update(1, 1, st(1, 1, 0), []pb.Entry{{Index: 1, Term: 1}, {Index: 2, Term: 1}}))},
		"several replicas": {saves(update(1, 1, st(1, 1, 0), entries(1, 1, 9, 0)), update(2, 1, st(4, 2, 1), entries(4, 1, 5, 100)), update(3, 1, st(1, 1, 0), nil))},
		"large entries":    {saves(update(1, 1, st(1, 1, 1), entries(1, 1, 4, 90_000))), saves(update(1, 1, st(1, 1, 2), entries(1, 5, 5, 300_000)))},
		"suffix overwritten": {
			saves(update(1, 1, st(1, 1, 2), entries(1, 1, 10, 0))),
			saves(update(1, 1, st(2, 1, 5), entries(2, 6, 8, 0))),
			saves(update(1, 1, st(3, 1, 5), entries(3, 8, 12, 0))),
		},
		"all overwritten": {
			saves(update(1, 1, st(1, 1, 0), entries(1, 1, 3, 0))),
			saves(update(1, 1, st(1, 1, 0), entries(1, 4, 6, 0))),
			saves(update(1, 1, st(2, 1, 0), entries(2, 1, 2, 0))),
		},
		"overwritten back into a merged run": {
			saves(update(1, 1, st(1, 1, 0), entries(1, 1, 3, 0))),
			saves(update(1, 1, st(1, 1, 0), entries(1, 4, 6, 0))),
			saves(update(1, 1, st(2, 1, 0), entries(2, 5, 5, 0))),
			saves(update(1, 1, st(2, 1, 0), entries(2, 6, 9, 0))),
		},
		"own snapshot":   {saves(update(1, 1, st(1, 1, 20), entries(1, 1, 20, 0))), snapshots(1, 10, 1)},
		"older snapshot": {snapshots(1, 10, 2), snapshots(1, 5, 1), saves(update(1, 1, st(2, 1, 10), nil))},
		"removed":        {saves(update(1, 1, st(1, 1, 20), entries(1, 1, 20, 0))), snapshots(1, 15, 1), removes(1, 10)},
		"removed, more":  {saves(update(1, 1, st(1, 1, 20), entries(1, 1, 20, 0))), snapshots(1, 15, 1), removes(1, 15), saves(update(1, 1, st(1, 1, 30), entries(1, 21, 30, 0)))},
		"received snapshot": {
			saves(update(1, 1, st(1, 1, 5), entries(1, 1, 5, 0))),
			saves(pb.Update{ShardID: 1, ReplicaID: 1, State: st(3, 0, 50), Snapshot: snapshot(1, 50, 3)}),
			saves(update(1, 1, st(3, 0, 52), entries(3, 51, 55, 0))),
		},
		"snapshot and entries at once": {
			saves(pb.Update{ShardID: 1, ReplicaID: 1, State: st(3, 0, 50), Snapshot: snapshot(1, 50, 3), EntriesToSave: entries(3, 51, 53, 0)}),
		},
		"import": {
			boots(2), saves(update(2, 1, st(5, 1, 30), entries(5, 1, 30, 0))),
			does(func(db raftio.ILogDB) error { return db.ImportSnapshot(snapshot(2, 100, 7), 1) }),
		},
		"import, more": {
			does(func(db raftio.ILogDB) error { return db.ImportSnapshot(snapshot(2, 100, 7), 1) }),
			saves(update(2, 1, st(8, 1, 100), entries(8, 101, 105, 0))),
		},
	}
}

// TestContract runs the same calls on every implementation and compares what
// each of them says afterwards and after a restart with what tan says.
func TestContract(t *testing.T) {
	t.Parallel()
	for name, steps := range contract() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := map[string]string{}
			for kind, open := range stores(t) {
				dir := filepath.Join(t.TempDir(), kind)
				db := open(dir)
				for _, s := range steps {
					s(t, db)
				}
				said[kind] = observed(t, db)
				shut(t, db)
				db = open(dir)
				if again := observed(t, db); again != said[kind] {
					t.Errorf("%s after a restart says\n%s\nit said\n%s", kind, again, said[kind])
				}
				shut(t, db)
			}
			for kind, s := range said {
				if s != said["tan"] {
					t.Errorf("%s says\n%s\ntan says\n%s", kind, s, said["tan"])
				}
			}
		})
	}
}

func TestRemoveNodeData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir, Options{})
	for _, s := range []step{boots(1), boots(2)} {
		s(t, db)
	}
	save(t, db, update(1, 1, pb.State{Term: 1, Commit: 2}, entries(1, 1, 5, 0)),
		update(2, 1, pb.State{Term: 1, Commit: 2}, entries(1, 1, 5, 0)))
	snapshots(1, 3, 1)(t, db)
	if err := db.RemoveNodeData(1, 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := db.GetBootstrapInfo(1, 1); !errors.Is(err, raftio.ErrNoBootstrapInfo) {
			t.Errorf("bootstrap after removal: %v", err)
		}
		if _, err := db.ReadRaftState(1, 1, 0); !errors.Is(err, raftio.ErrNoSavedLog) {
			t.Errorf("state after removal: %v", err)
		}
		if ss, err := db.GetSnapshot(1, 1); err != nil || !pb.IsEmptySnapshot(ss) {
			t.Errorf("snapshot after removal: %v %v", ss, err)
		}
		if got := iterate(t, db, 1, 1, 1, 6, noLimit); len(got) != 0 {
			t.Errorf("%d entries after removal", len(got))
		}
		if got := iterate(t, db, 2, 1, 1, 6, noLimit); !equalEntries(got, entries(1, 1, 5, 0)) {
			t.Errorf("the other replica lost entries: %v", got)
		}
		if nodes, err := db.ListNodeInfo(); err != nil || len(nodes) != 1 || nodes[0].ShardID != 2 {
			t.Errorf("nodes after removal: %v %v", nodes, err)
		}
		shut(t, db)
		db = open(t, dir, Options{})
	}
	// Asked for on a replica that is gone, as dragonboat does: nothing may be
	// recorded that would hide entries of a later one.
	removesAll := func() error { _, err := db.CompactEntriesTo(1, 1, noLimit); return err }
	if err := removesAll(); err != nil {
		t.Fatal(err)
	}
	save(t, db, update(1, 1, pb.State{Term: 9}, entries(9, 1, 2, 0)))
	if got := iterate(t, db, 1, 1, 1, 3, noLimit); !equalEntries(got, entries(9, 1, 2, 0)) {
		t.Errorf("entries of the new replica: %v", got)
	}
	shut(t, db)
}

// TestReceivedSnapshotVoidsLaterEntries: entries above a received snapshot may
// contradict it. Had they come back after a restart the replica could vote for
// a log that lacks committed entries.
func TestReceivedSnapshotVoidsLaterEntries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir, Options{})
	save(t, db, update(1, 1, pb.State{Term: 1, Commit: 5}, entries(1, 1, 80, 0)))
	save(t, db, pb.Update{ShardID: 1, ReplicaID: 1, State: pb.State{Term: 4, Commit: 50}, Snapshot: snapshot(1, 50, 4)})
	for range 2 {
		rs, err := db.ReadRaftState(1, 1, 50)
		if err != nil || rs.EntryCount != 0 || rs.State.Commit != 50 {
			t.Errorf("state %+v, %v; want no entries", rs, err)
		}
		if got := db.DurableIndex(1, 1); got != 50 {
			t.Errorf("durable index %d, want 50", got)
		}
		shut(t, db)
		db = open(t, dir, Options{})
	}
	shut(t, db)
}
