package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"leat/internal/bus"
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

// commands applies commands as one entry.
func (m *machine) commands(t *testing.T, index uint64, commands ...[]byte) {
	t.Helper()
	cmd := binary.LittleEndian.AppendUint64([]byte{proposalVersion}, 1_000_000)
	for _, c := range commands {
		cmd = append(cmd, c...)
	}
	if _, err := m.Update([]sm.Entry{{Index: index, Cmd: cmd}}); err != nil {
		t.Fatal(err)
	}
}

// atEnd calls a function once everything has been read but the end.
type atEnd struct{ do func() }

func (e atEnd) Read([]byte) (int, error) {
	e.do()
	return 0, io.EOF
}

// pausing reads a snapshot, and calls a function before its end.
func pausing(image []byte, do func()) io.Reader {
	end := len(image) - sectionHeader
	return io.MultiReader(bytes.NewReader(image[:end]), atEnd{do}, bytes.NewReader(image[end:]))
}

// metaWithTopic is a metadata shard with the topic "in".
func metaWithTopic(t *testing.T) *machine {
	t.Helper()
	m := newMachine(bus.MetaShard, "/data/shards/1", crashfs.New(1).FS(), "b0")
	if _, err := m.Open(nil); err != nil {
		t.Fatal(err)
	}
	m.commands(t, 5, encodeCreateTopic(nil, "in", false, []uint64{2}))
	return m
}

// dataWithDoc is a data shard with records in "in" and the document "doc".
func dataWithDoc(t *testing.T, index uint64, doc string, values ...string) *machine {
	t.Helper()
	m, _ := openMachine(t, crashfs.New(2), "b0")
	txn := txnCommand{appends: []appendCommand{{block: block(values...)}}, puts: []putCommand{{key: "doc", value: []byte(doc)}}}
	txn.appends[0].id.Topic = 1
	m.commands(t, index-1, encodeOpen(nil, 1, []int32{0}))
	m.commands(t, index, txn.encode(nil))
	return m
}

// TestReadersDuringASnapshot: while a snapshot is put in, documents and the table of topics
// are the old ones, and records are not missing but to be asked for again. Who waits for
// records or documents is woken.
func TestReadersDuringASnapshot(t *testing.T) {
	t.Parallel()
	meta, data := metaWithTopic(t), dataWithDoc(t, 6, "old", "a")
	n := &Node{core: &core{shards: map[uint64]*shard{bus.MetaShard: {id: bus.MetaShard, machine: meta}, 2: {id: 2, machine: data}}}}
	old, err := n.Wait("in", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	changed := n.DocsChanged(2)
	applied := make(chan bool)
	go func() { applied <- data.awaitApplied(t.Context(), 9) }()
	seen := 0
	during := func() {
		seen++
		if _, ok := n.Topic("in"); !ok {
			t.Error("the topic is not in the table")
		}
		if d, ok := n.Doc(2, "doc"); !ok || string(d.Value) != "old" {
			t.Errorf("the document is %q", d.Value)
		}
		txn := bus.Txn{Shard: 2, Trims: []bus.Trim{{Topic: "in", Before: 1}}}
		for what, read := range map[string]func() error{
			"partition": func() error { _, err := n.Partition("in", 0); return err },
			"read":      func() error { _, err := n.Read("in", 0, 0, 100, nil); return err },
			"wait":      func() error { _, err := n.Wait("in", 0, 1); return err },
			"time":      func() error { _, err := n.OffsetAtTime("in", 0, 0); return err },
			"quiet":     func() error { _, _, err := n.Quiet(context.Background(), "in", 0, 1); return err },
			"trim":      func() error { _, _, err := n.txnCommand(&txn); return err },
		} {
			if err := read(); fault.KindOf(err) != fault.Unavailable || fault.As(err).Code != "not_ready" {
				t.Errorf("%s: %v", what, err)
			}
		}
		<-old
	}
	if err := data.RecoverFromSnapshot(pausing(stream(t, dataWithDoc(t, 9, "new", "a", "b")), during), nil); err != nil || seen != 1 {
		t.Fatalf("%v, %d looks", err, seen)
	}
	<-changed
	if !<-applied {
		t.Error("who waits for an entry of the snapshot is not told")
	}
	if p, err := n.Partition("in", 0); err != nil || p.Next != 2 {
		t.Errorf("afterwards %+v, %v", p, err)
	}
	if d, _ := n.Doc(2, "doc"); string(d.Value) != "new" {
		t.Errorf("the document is %q", d.Value)
	}
	seen = 0
	during = func() {
		if _, ok := n.Topic("in"); !ok {
			t.Error("the topic is not in the table while that is put in")
		}
		seen++
	}
	if err := meta.RecoverFromSnapshot(pausing(stream(t, metaWithTopic(t)), during), nil); err != nil || seen != 1 {
		t.Fatalf("%v, %d looks", err, seen)
	}
	if _, ok := n.Topic("in"); !ok {
		t.Error("the topic is gone")
	}
}
