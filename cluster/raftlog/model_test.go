package raftlog

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lni/dragonboat/v4/logger"
	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/testenv"
	"leat/log"
)

func TestMain(m *testing.M) {
	flag.Bool("raftlog.update", false, "write the golden file")
	flag.Parse()
	for _, name := range []string{"config", "dragonboat", "logdb", "raft", "rsm", "tan", "transport", "registry", "grpc", "raftpb"} {
		logger.GetLogger(name).SetLevel(logger.ERROR)
	}
	m.Run()
}

// modelReplica is what a replica should have, kept the obvious way.
type modelReplica struct {
	state     pb.State
	snapshot  pb.Snapshot
	booted    bool
	compacted uint64
	last      uint64
	entries   map[uint64]pb.Entry
}

func (m *modelReplica) clone() *modelReplica {
	c := *m
	c.entries = make(map[uint64]pb.Entry, len(m.entries))
	for i, e := range m.entries {
		c.entries[i] = e
	}
	return &c
}

// model is the naive twin of a DB.
type model map[uint64]*modelReplica // by shard, all replicas have number 1

func (m model) clone() model {
	c := model{}
	for shard, r := range m {
		c[shard] = r.clone()
	}
	return c
}

func (m model) replica(shard uint64) *modelReplica {
	if m[shard] == nil {
		m[shard] = &modelReplica{entries: map[uint64]pb.Entry{}}
	}
	return m[shard]
}

func (r *modelReplica) voidFrom(first uint64) {
	for i := range r.entries {
		if i >= first {
			delete(r.entries, i)
		}
	}
}

// op is one random call, applied to the model and to a DB. sync says that the
// call promises durability.
type op struct {
	name   string
	sync   bool
	model  func(m model)
	invoke func(db *DB) error
}

const modelShards = 3

func randomOp(rng *rand.Rand, m model) op {
	shard := 1 + rng.Uint64N(modelShards)
	if rng.IntN(10) == 0 {
		return op{"save the index", false, func(model) {}, (*DB).SaveIndex}
	}
	switch n := rng.IntN(100); {
	case n < 60:
		return randomSave(rng, m)
	case n < 70:
		return randomCommit(rng, m, shard)
	case n < 80:
		return randomSnapshot(rng, m, shard)
	case n < 90:
		r := m.replica(shard)
		index := r.compacted
		if top := r.snapshot.Index; top > index {
			index += 1 + rng.Uint64N(top-index)
		}
		return op{fmt.Sprintf("remove %d to %d", shard, index), false,
			func(m model) { m.replica(shard).compact(index) },
			func(db *DB) error { return db.RemoveEntriesTo(shard, 1, index) }}
	case n < 93:
		return op{fmt.Sprintf("bootstrap %d", shard), true,
			func(m model) { m.replica(shard).booted = true },
			func(db *DB) error {
				return db.SaveBootstrapInfo(shard, 1, pb.Bootstrap{Addresses: map[uint64]string{1: "a:1"}})
			}}
	case n < 96:
		return op{fmt.Sprintf("forget %d", shard), true,
			func(m model) { delete(m, shard) },
			func(db *DB) error { return db.RemoveNodeData(shard, 1) }}
	default:
		return randomImport(rng, m, shard)
	}
}

func (r *modelReplica) compact(index uint64) {
	r.compacted = max(r.compacted, index)
	for i := range r.entries {
		if i <= index {
			delete(r.entries, i)
		}
	}
}

func randomSave(rng *rand.Rand, m model) op {
	var updates []pb.Update
	for shard := uint64(1); shard <= modelShards; shard++ {
		if rng.IntN(2) == 0 {
			continue
		}
		r := m.replica(shard)
		first := r.last + 1
		low := max(r.compacted, r.snapshot.Index) + 1
		if rng.IntN(4) == 0 && r.last >= low {
			first = low + rng.Uint64N(r.last-low+1)
		}
		term := r.state.Term + rng.Uint64N(2)
		size := rng.IntN(200)
		if rng.IntN(10) == 0 {
			size = rng.IntN(4000)
		}
		es := entries(term, first, first+rng.Uint64N(6), size)
		updates = append(updates, update(shard, 1, pb.State{Term: term + 1, Vote: 1, Commit: first - 1}, es))
	}
	return op{fmt.Sprintf("save %d updates", len(updates)), len(updates) > 0,
		func(m model) {
			for _, u := range updates {
				r := m.replica(u.ShardID)
				r.state = u.State
				r.voidFrom(u.EntriesToSave[0].Index)
				for _, e := range u.EntriesToSave {
					r.entries[e.Index], r.last = e, e.Index
				}
			}
		},
		func(db *DB) error { return db.SaveRaftState(updates, 1) }}
}

func randomCommit(rng *rand.Rand, m model, shard uint64) op {
	s := m.replica(shard).state
	if s.Term == 0 {
		s.Term = 1
	}
	s.Commit += rng.Uint64N(3)
	return op{fmt.Sprintf("commit %d of %d", s.Commit, shard), false,
		func(m model) { m.replica(shard).state = s },
		func(db *DB) error { return db.SaveRaftState([]pb.Update{update(shard, 1, s, nil)}, 1) }}
}

func randomSnapshot(rng *rand.Rand, m model, shard uint64) op {
	r := m.replica(shard)
	if r.last > r.snapshot.Index && rng.IntN(3) > 0 {
		ss := snapshot(shard, r.snapshot.Index+1+rng.Uint64N(r.last-r.snapshot.Index), r.state.Term)
		return op{fmt.Sprintf("own snapshot %d of %d", ss.Index, shard), true,
			func(m model) { m.replica(shard).snapshot = ss },
			func(db *DB) error {
				return db.SaveSnapshots([]pb.Update{{ShardID: shard, ReplicaID: 1, Snapshot: ss}})
			}}
	}
	ss := snapshot(shard, r.snapshot.Index+1+rng.Uint64N(10), r.state.Term+1)
	state := pb.State{Term: ss.Term, Commit: ss.Index}
	return op{fmt.Sprintf("received snapshot %d of %d", ss.Index, shard), true,
		func(m model) {
			r := m.replica(shard)
			r.snapshot, r.state, r.last = ss, state, ss.Index
			r.voidFrom(ss.Index + 1)
		},
		func(db *DB) error {
			return db.SaveRaftState([]pb.Update{{ShardID: shard, ReplicaID: 1, State: state, Snapshot: ss}}, 1)
		}}
}

func randomImport(rng *rand.Rand, m model, shard uint64) op {
	ss := snapshot(shard, 1+rng.Uint64N(30), m.replica(shard).state.Term+1)
	return op{fmt.Sprintf("import %d into %d", ss.Index, shard), true,
		func(m model) {
			m[shard] = &modelReplica{
				state: pb.State{Term: ss.Term, Commit: ss.Index}, snapshot: ss, booted: true,
				last: ss.Index, entries: map[uint64]pb.Entry{},
			}
		},
		func(db *DB) error { return db.ImportSnapshot(ss, 1) }}
}

// differs says how a DB differs from the model, nil for not at all.
func (m model) differs(db *DB) error {
	for shard := uint64(1); shard <= modelShards; shard++ {
		want := m[shard]
		if want == nil {
			want = &modelReplica{}
		}
		ss, err := db.GetSnapshot(shard, 1)
		if err != nil || ss.Index != want.snapshot.Index || ss.Term != want.snapshot.Term {
			return fmt.Errorf("shard %d: snapshot %d, %v; want %d", shard, ss.Index, err, want.snapshot.Index)
		}
		_, err = db.GetBootstrapInfo(shard, 1)
		if errors.Is(err, raftio.ErrNoBootstrapInfo) == want.booted {
			return fmt.Errorf("shard %d: bootstrap %v; want %v", shard, err, want.booted)
		}
		rs, err := db.ReadRaftState(shard, 1, ss.Index)
		if errors.Is(err, raftio.ErrNoSavedLog) {
			err = nil
		}
		if err != nil || rs.State != want.state {
			return fmt.Errorf("shard %d: state %+v, %v; want %+v", shard, rs.State, err, want.state)
		}
		if err := want.differs(db, shard, ss.Index, rs); err != nil {
			return err
		}
	}
	return nil
}

func (want *modelReplica) differs(db *DB, shard, snap uint64, rs raftio.RaftState) error {
	dense := uint64(0)
	for want.entries[snap+1+dense].Index != 0 {
		dense++
	}
	if rs.EntryCount != dense {
		return fmt.Errorf("shard %d: %d entries after %d; want %d", shard, rs.EntryCount, snap, dense)
	}
	for low := max(1, want.compacted); low <= want.last+1; low++ {
		var es []pb.Entry
		for i := low; want.entries[i].Index != 0; i++ {
			es = append(es, want.entries[i])
		}
		got, _, err := db.IterateEntries(nil, 0, shard, 1, low, want.last+1, noLimit)
		if err != nil || !equalEntries(got, es) {
			return fmt.Errorf("shard %d: %d entries from %d, %v; want %d", shard, len(got), low, err, len(es))
		}
	}
	return nil
}

// TestModel drives random calls with restarts between them and compares the log
// with the naive model after each.
func TestModel(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{3000, 20_000, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			rng := testenv.Rand(t)
			dir := t.TempDir()
			options := Options{SegmentBytes: size, FS: unsynced{log.OS()}}
			db := open(t, dir, options)
			m := model{}
			for i := range 400 {
				o := randomOp(rng, m)
				o.model(m)
				if err := o.invoke(db); err != nil {
					t.Fatalf("step %d, %s: %v", i, o.name, err)
				}
				switch rng.IntN(40) {
				case 0:
					shut(t, db)
					db = open(t, dir, options)
				case 1: // the process died
					if err := db.closeFiles(); err != nil {
						t.Fatal(err)
					}
					db = open(t, dir, options)
				}
				if i%5 == 0 || i > 380 {
					if err := m.differs(db); err != nil {
						t.Fatalf("after step %d, %s: %v", i, o.name, err)
					}
				}
			}
			checkIndex(t, db)
			shut(t, db)
		})
	}
}

// checkIndex checks the counters the removal of segments relies on.
func checkIndex(t *testing.T, db *DB) {
	t.Helper()
	count := map[*segment]int{}
	for _, r := range db.replicas {
		for i := range r.spans {
			count[r.spans[i].seg]++
			if i > 0 && r.spans[i].first <= r.spans[i-1].last {
				t.Errorf("spans overlap: %+v, %+v", r.spans[i-1], r.spans[i])
			}
		}
	}
	bytes := int64(0)
	for _, seg := range db.segments {
		if seg.spans != count[seg] || seg.refs != 0 {
			t.Errorf("segment %d counts %d spans and %d readers, has %d and none", seg.sequence, seg.spans, seg.refs, count[seg])
		}
		bytes += seg.end
	}
	if got := db.SizeBytes(); got != bytes {
		t.Errorf("SizeBytes %d, the segments have %d", got, bytes)
	}
}

// unsynced is a file system whose syncs are free, for tests that are not about
// them.
type unsynced struct{ log.FS }

type unsyncedFile struct{ log.File }

func (unsyncedFile) Sync() error      { return nil }
func (unsynced) SyncDir(string) error { return nil }
func (u unsynced) wrap(f log.File, err error) (log.File, error) {
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}
func (u unsynced) Create(name string) (log.File, error) { return u.wrap(u.FS.Create(name)) }
func (u unsynced) Open(name string) (log.File, error)   { return u.wrap(u.FS.Open(name)) }
