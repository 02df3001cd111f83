package raftlog

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/fault"
)

const noLimit = ^uint64(0)

// entries makes the entries first..last of a term; their commands say which
// they are and are size bytes long, or as long as it takes.
func entries(term, first, last uint64, size int) []pb.Entry {
	out := make([]pb.Entry, 0, last-first+1)
	for i := first; i <= last; i++ {
		cmd := fmt.Appendf(nil, "term %d index %d ", term, i)
		for len(cmd) < size {
			cmd = append(cmd, byte('a'+len(cmd)%23))
		}
		out = append(out, pb.Entry{
			Term: term, Index: i, Type: pb.EncodedEntry, Key: i * 0x9E3779B97F4A7C15,
			ClientID: i % 3, SeriesID: i, RespondedTo: i / 2, Cmd: cmd,
		})
	}
	return out
}

func equalEntries(a, b []pb.Entry) bool {
	return slices.EqualFunc(a, b, func(x, y pb.Entry) bool {
		return x.Term == y.Term && x.Index == y.Index && x.Type == y.Type && x.Key == y.Key &&
			x.ClientID == y.ClientID && x.SeriesID == y.SeriesID && x.RespondedTo == y.RespondedTo &&
			bytes.Equal(x.Cmd, y.Cmd)
	})
}

func update(shard, replica uint64, s pb.State, es []pb.Entry) pb.Update {
	return pb.Update{ShardID: shard, ReplicaID: replica, State: s, EntriesToSave: es}
}

func save(tb testing.TB, db raftio.ILogDB, updates ...pb.Update) {
	tb.Helper()
	if err := db.SaveRaftState(updates, 1); err != nil {
		tb.Fatalf("SaveRaftState: %v", err)
	}
}

func iterate(tb testing.TB, db raftio.ILogDB, shard, replica, low, high, maxSize uint64) []pb.Entry {
	tb.Helper()
	got, _, err := db.IterateEntries(nil, 0, shard, replica, low, high, maxSize)
	if err != nil {
		tb.Fatalf("IterateEntries(%d, %d): %v", low, high, err)
	}
	return got
}

func open(tb testing.TB, dir string, o Options) *DB {
	tb.Helper()
	db, err := Open(dir, o)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	return db
}

func shut(tb testing.TB, db raftio.ILogDB) {
	tb.Helper()
	if err := db.Close(); err != nil {
		tb.Fatalf("Close: %v", err)
	}
}

func wantCode(tb testing.TB, err error, code string) *fault.Error {
	tb.Helper()
	f := fault.As(err)
	if f == nil || f.Code != code {
		tb.Fatalf("got error %v, want a fault %s", err, code)
	}
	return f
}

// stores are the implementations the contract is checked on: ours, and tan as
// the reference for what dragonboat relies on.
func stores(t *testing.T) map[string]func(dir string) raftio.ILogDB {
	return map[string]func(dir string) raftio.ILogDB{
		"raftlog": func(dir string) raftio.ILogDB { return open(t, dir, Options{}) },
		"raftlog small segments": func(dir string) raftio.ILogDB {
			return open(t, dir, Options{SegmentBytes: 4096})
		},
		"tan": func(dir string) raftio.ILogDB { return openTan(t, dir) },
	}
}

func openTan(tb testing.TB, dir string) raftio.ILogDB {
	tb.Helper()
	logdb := config.GetTinyMemLogDBConfig()
	logdb.KVWriteBufferSize = 64 << 10
	cfg := config.NodeHostConfig{Expert: config.ExpertConfig{LogDB: logdb}}
	if err := cfg.Prepare(); err != nil {
		tb.Fatal(err)
	}
	db, err := tan.Factory.Create(cfg, nil, []string{dir}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

// observed is everything the interface tells about a few replicas.
func observed(t *testing.T, db raftio.ILogDB) string {
	t.Helper()
	var out bytes.Buffer
	nodes, err := db.ListNodeInfo()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(nodes, func(a, b raftio.NodeInfo) int { return int(a.ShardID) - int(b.ShardID) })
	fmt.Fprintln(&out, "nodes", nodes)
	for shard := uint64(1); shard <= 3; shard++ {
		ss, err := db.GetSnapshot(shard, 1)
		fmt.Fprintln(&out, shard, "snapshot", ss.Index, ss.Term, ss.Filepath, err)
		rs, err := db.ReadRaftState(shard, 1, ss.Index)
		fmt.Fprintln(&out, shard, "state", rs.State, rs.EntryCount, err)
		b, err := db.GetBootstrapInfo(shard, 1)
		ids := slices.Sorted(maps.Keys(b.Addresses))
		fmt.Fprintln(&out, shard, "bootstrap", ids, b.Join, b.Type, err)
		for _, limit := range []uint64{0, 1, 300, 1000, noLimit} {
			got, size, err := db.IterateEntries(nil, 0, shard, 1, ss.Index+1, ss.Index+1+rs.EntryCount, limit)
			fmt.Fprintln(&out, shard, "limit", limit, "gives", len(got), size, err)
			for _, e := range got {
				fmt.Fprintln(&out, e.Index, e.Term, e.Type, e.Key, string(e.Cmd))
			}
		}
	}
	return out.String()
}
