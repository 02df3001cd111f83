package state

import (
	"fmt"
	"math/rand/v2"
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
