package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"leat/internal/fault"
	"leat/log/crashfs"
)

// stream takes a machine's snapshot.
func stream(t *testing.T, from *machine) []byte {
	t.Helper()
	cut, err := from.PrepareSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := from.SaveSnapshot(cut, &b, nil); err != nil {
		t.Fatalf("save: %v", err)
	}
	return b.Bytes()
}

// fromSnapshot makes a machine out of another's snapshot, in a directory that
// holds other data.
func fromSnapshot(t *testing.T, from *machine) *machine {
	t.Helper()
	disk := crashfs.New(3)
	m, _ := openMachine(t, disk, "b0")
	rng := rand.New(rand.NewPCG(9, 9))
	if err := apply(rng, m, (&script{rng: rng}).entries(10), 0); err != nil {
		t.Fatal(err)
	}
	if err := m.RecoverFromSnapshot(bytes.NewReader(stream(t, from)), nil); err != nil {
		t.Fatalf("recover: %v", err)
	}
	// What was recovered is durable.
	again, index := openMachine(t, disk.Crash(), "b1")
	if index != m.applied {
		t.Fatalf("after a power cut the machine is at %d, not %d", index, m.applied)
	}
	return again
}

func TestDamagedSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(4, 4))
	a, _ := openMachine(t, crashfs.New(1), "b0")
	if err := apply(rng, a, (&script{rng: rng}).entries(30), 0); err != nil {
		t.Fatal(err)
	}
	whole := stream(t, a)
	for range 200 {
		damaged := bytes.Clone(whole)
		if rng.IntN(4) == 0 {
			damaged = damaged[:rng.IntN(len(damaged))]
		} else {
			damaged[rng.IntN(len(damaged))] ^= 1 << rng.IntN(8)
		}
		disk := crashfs.New(2)
		m, _ := openMachine(t, disk, "b0")
		if err := m.RecoverFromSnapshot(bytes.NewReader(damaged), nil); err == nil {
			t.Fatal("a damaged snapshot was taken")
		}
		// What is left is an empty machine, not half of one.
		again, index := openMachine(t, disk, "b0")
		if index != 0 || len(again.state.Partitions()) != 0 {
			t.Fatalf("a refused snapshot left index %d and %v", index, again.state.Partitions())
		}
	}
}

func TestLostCheckpointIsNoticed(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	m, _ := openMachine(t, disk, "b0")
	rng := rand.New(rand.NewPCG(4, 4))
	if err := apply(rng, m, (&script{rng: rng}).entries(30), 0); err != nil {
		t.Fatal(err)
	}
	if err := disk.Remove(checkpointName(m.dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := newMachine(2, m.dir, disk.FS(), "b0").Open(nil); fault.KindOf(err) != fault.Corrupt {
		t.Fatalf("open without a checkpoint: %v", err)
	}
}

// TestSnapshotOfLargeState: a state whose image is larger than a section may be goes to
// another replica, and neither the cut nor the stream takes memory for a copy of it.
func TestSnapshotOfLargeState(t *testing.T) {
	const docs, size = 80, 1 << 20
	a := newCompared(t)
	for i := range docs {
		value := bytes.Repeat([]byte{byte(i)}, size)
		a.feed(1, entryOf((&txnCommand{puts: []putCommand{{key: fmt.Sprint("doc", i), value: value}}}).encode(nil)))
	}
	if whole := docs * size; whole <= maxSectionSize {
		t.Fatalf("%d bytes fit in a section", whole)
	}
	reader, writer := io.Pipe()
	b := newCompared(t)
	recovered := make(chan error, 1)
	go func() {
		err := b.RecoverFromSnapshot(reader, nil)
		_ = reader.CloseWithError(err) // nobody reads on
		recovered <- err
	}()
	cut, err := a.PrepareSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	err = cut.(*snapshotCut).save(writer, nil) // without the pace
	if err = errors.Join(err, writer.Close(), <-recovered); err != nil {
		t.Fatal(err)
	}
	if !a.state.Equal(b.state) {
		t.Error("the replica differs")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if cut, err = a.PrepareSnapshot(); err != nil {
		t.Fatal(err)
	}
	if err := cut.(*snapshotCut).save(io.Discard, nil); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > docs*size/8 {
		t.Errorf("a snapshot of %d bytes takes %d bytes of memory", docs*size, took)
	}
}
