package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"leat/log"
)

// manyOp changes one of many documents, groups and keys, so that trees have several
// levels and windows of keys are full.
func manyOp(rng *rand.Rand) Op {
	const n = 3000
	id := PartitionID{Topic: 1 + rng.Uint64N(3), Partition: rng.Int32N(3)}
	doc := func() string { return fmt.Sprint("d", rng.IntN(n)) }
	switch rng.IntN(12) {
	case 0:
		return Commit{ID: GroupID{PartitionID: id, Group: fmt.Sprint("g", rng.IntN(n))}, Offset: log.Offset(rng.IntN(100))}
	case 1:
		return Remember{ID: id, Key: HashKey(fmt.Sprint(rng.IntN(n))), Entry: KeyEntry{Base: log.Offset(rng.IntN(99))}}
	case 2, 3, 4:
		return Delete{Key: doc(), Version: rng.Uint64N(1000)}
	case 5:
		if rng.IntN(500) == 0 {
			return Drop{Topic: id.Topic}
		}
		return Open{ID: id}
	case 6:
		return Clock{TimeMs: rng.Int64N(3 * RememberExpiredMs)}
	case 7:
		return Put{Key: doc(), Doc: Doc{Version: rng.Uint64N(1000), ExpiresMs: rng.Int64N(4 * RememberExpiredMs)}}
	}
	return Put{Key: doc(), Doc: Doc{Value: fmt.Append(nil, rng.Int()), Version: rng.Uint64N(1000)}}
}

// pieces is the image of a view.
func pieces(t *testing.T, v *View, size int) (all [][]byte) {
	t.Helper()
	err := v.Image(size, func(piece []byte) error {
		all = append(all, bytes.Clone(piece))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestViewStays: what happens to a state is not seen in a view that was made before, nor
// the other way round; several views at a time, each of another moment. The views are
// read beside the changes, for the race detector.
func TestViewStays(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		rng := rand.New(rand.NewPCG(seed, 9))
		s, calm := New(), New()
		both := func(n int) {
			for range n {
				op := manyOp(rng)
				op.Apply(s)
				op.Apply(calm)
				s.TakeChanges()
				calm.TakeChanges()
			}
		}
		both(15_000)
		checked := make(chan error, 8)
		for range cap(checked) {
			want := calm.AppendImage(nil)
			view := s.Freeze()
			go func() {
				var got []byte
				err := view.Image(1000, func(piece []byte) error {
					got = append(got, piece...)
					return nil
				})
				if err == nil && !bytes.Equal(got, want) {
					err = fmt.Errorf("a view of %d bytes differs from the state at its time, of %d", len(got), len(want))
				}
				checked <- err
			}()
			both(3000)
		}
		for range cap(checked) {
			if err := <-checked; err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if !s.Equal(calm) {
			t.Fatalf("seed %d: a state that had views differs from one that had none", seed)
		}
	}
}

// TestImageInPieces: an image has the same bytes however it is cut up, every piece whole
// operations, and the pieces lead back to the state.
func TestImageInPieces(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 9))
	s := New()
	for range 5000 {
		manyOp(rng).Apply(s)
	}
	s.TakeChanges()
	want := s.AppendImage(nil)
	for _, size := range []int{1, 100, 5000, 1 << 30} {
		all := pieces(t, s.Freeze(), size)
		if !bytes.Equal(bytes.Join(all, nil), want) {
			t.Fatalf("pieces of %d bytes are another image", size)
		}
		if least := len(want) / (size + 200); len(all) < least || size > len(want) && len(all) != 1 {
			t.Errorf("%d pieces of %d bytes of %d", len(all), size, len(want))
		}
		again, err := ReadImage(func() ([]byte, error) {
			if len(all) == 0 {
				return nil, io.EOF
			}
			piece := all[0]
			all = all[1:]
			return piece, nil
		})
		if err != nil || !again.Equal(s) {
			t.Fatalf("read back from pieces of %d bytes: %v", size, err)
		}
	}
	full := errors.New("full")
	calls := 0
	err := s.Freeze().Image(100, func([]byte) error { calls++; return full })
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("after an error of the first piece: %v, %d calls", err, calls)
	}
	if _, err := ReadImage(func() ([]byte, error) { return nil, io.EOF }); err == nil {
		t.Error("no image at all was read")
	}
}
