package state

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"leat/log"
)

func randomOp(rng *rand.Rand) Op {
	id := PartitionID{Topic: rng.Uint64N(4), Partition: rng.Int32N(3)}
	switch rng.IntN(10) {
	case 0:
		return Clock{TimeMs: rng.Int64N(3 * RememberExpiredMs)}
	case 1:
		return CreateTopic{Topic{ID: rng.Uint64N(9), Name: fmt.Sprint("t", rng.IntN(4)), Internal: rng.IntN(2) == 0, Shards: []uint64{2, 3}}}
	case 2:
		return DeleteTopic{Name: fmt.Sprint("t", rng.IntN(4))}
	case 3:
		return Drop{Topic: id.Topic}
	case 4:
		return Trim{ID: id, First: log.Offset(rng.IntN(100))}
	case 5:
		return Commit{ID: GroupID{PartitionID: id, Group: fmt.Sprint("g", rng.IntN(3))}, Offset: log.Offset(rng.IntN(100))}
	case 6:
		return Remember{ID: id, Key: HashKey(fmt.Sprint(rng.IntN(50))), Entry: KeyEntry{Base: log.Offset(rng.IntN(99)), Count: 2}}
	case 7:
		d := Doc{Value: []byte{byte(rng.IntN(256))}, Version: rng.Uint64N(1000), CreatedMs: rng.Int64N(9), UpdatedMs: rng.Int64N(9)}
		if rng.IntN(2) == 0 {
			d.ExpiresMs = rng.Int64N(2 * RememberExpiredMs)
		}
		return Put{Key: fmt.Sprint("d", rng.IntN(5)), Doc: d}
	case 8:
		return Delete{Key: fmt.Sprint("d", rng.IntN(5)), Version: rng.Uint64N(1000)}
	}
	return Open{ID: id}
}

// A state, the replay of its operations and the reading of its image are equal,
// and stay so under further operations.
func TestReplayAndImageAgree(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		applied, replayed := New(), New()
		var ops []byte
		step := func(n int, also ...*State) {
			ops = ops[:0]
			for range n {
				op := randomOp(rng)
				ops = op.Append(ops)
				op.Apply(applied)
			}
			for _, s := range also {
				if err := s.Replay(ops); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
		step(100, replayed)
		read, err := FromImage(applied.AppendImage(nil))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		step(100, replayed, read)
		if !applied.Equal(replayed) || !applied.Equal(read) {
			t.Fatalf("seed %d: states differ", seed)
		}
		if applied.DocVersion() != read.DocVersion() || applied.LastTopic() != read.LastTopic() {
			t.Fatalf("seed %d: counters differ", seed)
		}
		if applied.DocBytes() != replayed.DocBytes() || applied.DocBytes() != read.DocBytes() {
			t.Fatalf("seed %d: %d, %d and %d bytes", seed, applied.DocBytes(), replayed.DocBytes(), read.DocBytes())
		}
	}
}

func TestKeyWindowForgetsTheOldest(t *testing.T) {
	t.Parallel()
	s, id := New(), PartitionID{Topic: 1}
	Open{ID: id}.Apply(s)
	key := func(i int) KeyHash { return HashKey(fmt.Sprint(i)) }
	for i := range KeyWindow + 10 {
		Remember{ID: id, Key: key(i), Entry: KeyEntry{Base: log.Offset(i)}}.Apply(s)
	}
	for _, c := range []struct {
		i    int
		want bool
	}{{0, false}, {9, false}, {10, true}, {KeyWindow + 9, true}} {
		if e, ok := s.Key(id, key(c.i)); ok != c.want || ok && e.Base != log.Offset(c.i) {
			t.Errorf("key %d: %v, %v", c.i, e, ok)
		}
	}
	again, err := FromImage(s.AppendImage(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*State{s, again} {
		Remember{ID: id, Key: key(-1)}.Apply(x)
		if _, ok := x.Key(id, key(10)); ok {
			t.Error("the order of keys did not survive the image")
		}
	}
}

// The keys of a shard are bounded whatever the number of its partitions: each keeps
// the newest of its own, the same number in each, and as many as before once there
// are fewer partitions. An image says the same.
func TestKeyWindowsShareAShard(t *testing.T) {
	t.Parallel()
	s := New()
	remember := func(topic uint64, n int) {
		id := PartitionID{Topic: topic}
		Open{ID: id}.Apply(s)
		for i := range n {
			Remember{ID: id, Key: HashKey(fmt.Sprint(topic, i)), Entry: KeyEntry{Base: log.Offset(i)}}.Apply(s)
		}
	}
	check := func(when string, topics []uint64, n, window int) {
		t.Helper()
		again, err := FromImage(s.AppendImage(nil))
		if err != nil || !s.Equal(again) {
			t.Fatalf("%s: the image differs: %v", when, err)
		}
		for _, state := range []*State{s, again} {
			for _, topic := range topics {
				for i, want := range map[int]bool{n - window - 1: false, n - window: true, n - 1: true} {
					e, ok := state.Key(PartitionID{Topic: topic}, HashKey(fmt.Sprint(topic, i)))
					if ok != want || ok && e.Base != log.Offset(i) {
						t.Fatalf("%s: key %d of topic %d: %v, %v", when, i, topic, e, ok)
					}
				}
			}
		}
	}
	const full, more = ShardKeys / KeyWindow, 10
	var all []uint64
	for topic := range uint64(full) {
		remember(topic, KeyWindow+more)
		all = append(all, topic)
	}
	check("full", all, KeyWindow+more, KeyWindow)
	remember(full, 1)
	check("one partition more", all, KeyWindow+more, KeyWindow/2)
	Drop{Topic: full}.Apply(s)
	Drop{Topic: 0}.Apply(s)
	remember(full, KeyWindow+more)
	check("as many as at first", append(all[1:], full)[full-1:], KeyWindow+more, KeyWindow)
	for topic := range uint64(4 * full) {
		remember(100+topic, 1)
	}
	check("five times as many", []uint64{full}, KeyWindow+more, KeyWindow/8)
	if got := keyWindowOf(20_000); got*20_000 > ShardKeys || got < 16 {
		t.Errorf("20,000 partitions remember %d keys each", got)
	}
}

func TestGroupNames(t *testing.T) {
	t.Parallel()
	s := New()
	for i := range 300 {
		id := PartitionID{Topic: uint64(i % 2), Partition: int32(i % 6)}
		Commit{ID: GroupID{PartitionID: id, Group: fmt.Sprintf("g%02d", i*7%100)}}.Apply(s)
	}
	for _, c := range []struct {
		after       string
		limit       int
		first, last string
		count       int
	}{{"", 100, "g00", "g98", 50}, {"", 10, "g00", "g18", 10}, {"g18", 10, "g20", "g38", 10}, {"g96", 10, "g98", "g98", 1}, {"g98", 10, "", "", 0}} {
		names := s.GroupNames(0, c.after, c.limit)
		if len(names) != c.count || c.count > 0 && (names[0] != c.first || names[c.count-1] != c.last) {
			t.Errorf("after %q, at most %d: %v", c.after, c.limit, names)
		}
	}
}

// TestMemoryOfIdleThings holds what docs/faults.md says an idle thing costs.
func TestMemoryOfIdleThings(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	id := PartitionID{Topic: 1}
	for name, c := range map[string]struct {
		most int64 // bytes each
		n    int
		make func(i int) Op
	}{
		"idempotency key": {130, KeyWindow, func(i int) Op { return Remember{ID: id, Key: HashKey(fmt.Sprint(i))} }},
		"topic": {300 + 10, 100_000, func(i int) Op {
			return CreateTopic{Topic: Topic{ID: uint64(i + 2), Name: fmt.Sprintf("topic-%04d", i), Shards: make([]uint64, 8)}}
		}},
		"group offset": {150 + 10, 200_000, func(i int) Op {
			return Commit{ID: GroupID{PartitionID: id, Group: fmt.Sprintf("group-%04d", i)}}
		}},
		"document": {docOverhead + 20, 200_000, func(i int) Op {
			return Put{Key: fmt.Sprintf("key-%06d", i), Doc: Doc{Value: make([]byte, 10), Version: uint64(i)}}
		}},
		"expired document": {expiredOverhead + 20, 200_000, func(i int) Op { return Expired{Key: fmt.Sprintf("key-%06d", i), AtMs: 1} }},
	} {
		s := New()
		Open{ID: id}.Apply(s)
		before := heap()
		for i := range c.n {
			c.make(i).Apply(s)
			s.TakeChanges()
		}
		each := (heap() - before) / int64(c.n)
		t.Logf("%s: %d bytes each", name, each)
		if each > c.most {
			t.Errorf("%s: %d bytes each, at most %d are promised", name, each, c.most)
		}
		runtime.KeepAlive(s)
	}
}

// Damaged operations are refused or change something else; they never panic.
func FuzzReplay(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		f.Add(randomOp(rng).Append(randomOp(rng).Append(nil)))
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		s := New()
		if s.Replay(ops) != nil {
			return
		}
		again, err := FromImage(s.AppendImage(nil))
		if err != nil || !s.Equal(again) {
			t.Fatalf("the image of a replayed state differs: %v", err)
		}
	})
}
