package cluster

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"leat/cluster/state"
	"leat/log"
	"leat/log/crashfs"
)

// script makes random raft entries: proposals of a few commands on three topics.
// Topic numbers that were dropped do not come back.
type script struct {
	rng  *rand.Rand
	base uint64
}

func (s *script) entries(n int) []sm.Entry {
	entries := make([]sm.Entry, n)
	for i := range entries {
		cmd := []byte{proposalVersion}
		cmd = binary.LittleEndian.AppendUint64(cmd, uint64(1_000_000+i*10))
		for range 1 + s.rng.IntN(4) {
			cmd = s.command(cmd)
		}
		entries[i] = sm.Entry{Index: uint64(2*i + 5), Cmd: cmd} // indexes have gaps
	}
	return entries
}

func (s *script) command(dst []byte) []byte {
	id := state.PartitionID{Topic: s.base + s.rng.Uint64N(3), Partition: s.rng.Int32N(2)}
	switch s.rng.IntN(20) {
	case 0, 1:
		return encodeOpen(dst, id.Topic, []int32{0, 1})
	case 2:
		s.base++
		return encodeDrop(dst, s.base-1)
	case 3, 4:
		return encodeCommit(dst, state.GroupID{PartitionID: id, Group: fmt.Sprint("g", s.rng.IntN(2))}, log.Offset(s.rng.IntN(50)))
	case 5:
		return encodeCreateTopic(dst, fmt.Sprint("t", s.rng.IntN(3)), false, []uint64{2, 2})
	case 6:
		return encodeDeleteTopic(dst, fmt.Sprint("t", s.rng.IntN(3)))
	case 7, 8, 9:
		return s.txn(id).encode(dst)
	}
	c := appendCommand{id: id, block: s.block()}
	if s.rng.IntN(3) == 0 {
		key := fmt.Sprint("key", s.rng.IntN(8))
		c.keyed, c.key, c.body = true, state.HashKey(key), state.BodyHash([]byte(key))
	}
	return c.encode(dst)
}

func (s *script) txn(id state.PartitionID) *txnCommand {
	c := &txnCommand{puts: []putCommand{{key: fmt.Sprint("doc", s.rng.IntN(3)), value: []byte(fmt.Sprint(s.rng.Int())), ttlMs: s.rng.Int64N(50)}}}
	if s.rng.IntN(2) == 0 {
		c.appends = []appendCommand{{id: id, block: s.block()}}
	}
	if s.rng.IntN(4) == 0 {
		c.deletes = []string{fmt.Sprint("doc", s.rng.IntN(3))}
	}
	if s.rng.IntN(3) == 0 {
		c.fenced, c.fence, c.version = true, "doc0", s.rng.Uint64N(4)
	}
	return c
}

func (s *script) block() log.Block {
	var b log.Block
	for range 1 + s.rng.IntN(3) {
		b.Add([]byte("k"), []byte(fmt.Sprint("value ", s.rng.Int())))
	}
	return b
}

// contents prints everything a machine holds.
func (m *machine) contents(t *testing.T) string {
	t.Helper()
	out := fmt.Sprintf("image %x\n", m.state.AppendImage(nil))
	for _, id := range m.state.Partitions() {
		p := m.logs[id]
		for from := p.First(); from < p.Next(); {
			frames, err := p.Read(from, 1<<20, nil)
			if err != nil {
				t.Fatalf("read %v: %v", id, err)
			}
			c := frames.Records(from)
			for r, ok := c.Next(); ok; r, ok = c.Next() {
				out += fmt.Sprintf("%v %d %d %s %s\n", id, r.Offset, r.TimeMs, r.Key, r.Value)
			}
			from = frames.Next()
		}
	}
	return out
}

func openMachine(t *testing.T, disk *crashfs.Disk, boot string) (*machine, uint64) {
	t.Helper()
	m := newMachine(2, "/data/shards/2", disk.FS(), boot)
	index, err := m.Open(nil)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return m, index
}

// apply feeds the entries above index in random batches, as raft would.
func apply(rng *rand.Rand, m *machine, entries []sm.Entry, index uint64) error {
	for len(entries) > 0 {
		if entries[0].Index <= index {
			entries = entries[1:]
			continue
		}
		n := 1 + rng.IntN(min(4, len(entries)))
		if _, err := m.Update(append([]sm.Entry{}, entries[:n]...)); err != nil {
			return err
		}
		entries = entries[n:]
		if rng.IntN(8) == 0 {
			if err := m.saveImage(atOnce); err != nil {
				return err
			}
		}
		if rng.IntN(6) == 0 {
			if err := m.Sync(); err != nil {
				return err
			}
		}
	}
	return nil
}

// A machine that is killed in any write, or loses its unsynced bytes in a power
// cut, ends where one ends that nothing happened to.
func TestMachineRecoversToTheSameState(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			entries := (&script{rng: rng}).entries(40)
			calm, _ := openMachine(t, crashfs.New(seed), "b0")
			if err := apply(rng, calm, entries, 0); err != nil {
				t.Fatal(err)
			}
			want := calm.contents(t)
			disk, boots, crashes := crashfs.New(seed), 0, 0
			for {
				m, index := openMachine(t, disk, fmt.Sprint("b", boots))
				if crashes < 4 {
					disk.FailWrite(1 + rng.IntN(60))
				}
				err := apply(rng, m, entries, index)
				disk.FailWrite(0)
				if err == nil {
					if got := m.contents(t); got != want {
						t.Fatalf("seed %d: after %d crashes\n%s\nwant\n%s", seed, crashes, got, want)
					}
					return
				}
				crashes++
				if rng.IntN(2) == 0 {
					disk, boots = disk.Crash(), boots+1 // a power cut, not only a kill
				}
			}
		})
	}
}

// Two replicas that apply the same entries in other batches are equal, and so is
// one made from the other's snapshot.
func TestReplicasAreEqual(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 2))
		entries := (&script{rng: rng}).entries(60)
		a, _ := openMachine(t, crashfs.New(1), "b0")
		b, _ := openMachine(t, crashfs.New(2), "b0")
		for _, m := range []*machine{a, b} {
			if err := apply(rng, m, entries[:50], 0); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := b.contents(t), a.contents(t); got != want {
			t.Fatalf("seed %d: replicas differ:\n%s\nand\n%s", seed, got, want)
		}
		c := fromSnapshot(t, a)
		last := entries[49].Index
		if c.applied != last {
			t.Fatalf("seed %d: snapshot at %d, not %d", seed, c.applied, last)
		}
		for _, m := range []*machine{a, c} {
			if err := apply(rng, m, entries, last); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := c.contents(t), a.contents(t); got != want {
			t.Fatalf("seed %d: the replica from a snapshot differs:\n%s\nfrom\n%s", seed, got, want)
		}
	}
}

// The bytes of entries are dragonboat's, which uses their memory again once Update has
// returned: nothing of them is kept.
func TestUpdateKeepsNoEntry(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		entries := (&script{rng: rand.New(rand.NewPCG(seed, 3))}).entries(60)
		a, _ := openMachine(t, crashfs.New(1), "b0")
		b, _ := openMachine(t, crashfs.New(1), "b0")
		for _, e := range entries {
			if _, err := a.Update([]sm.Entry{e}); err != nil {
				t.Fatal(err)
			}
			lent := []sm.Entry{{Index: e.Index, Cmd: bytes.Clone(e.Cmd)}}
			if _, err := b.Update(lent); err != nil {
				t.Fatal(err)
			}
			for i := range lent[0].Cmd {
				lent[0].Cmd[i] = 0xA5
			}
		}
		if got, want := b.contents(t), a.contents(t); got != want {
			t.Fatalf("seed %d: with entries that are written over it has\n%s\nand not\n%s", seed, got, want)
		}
	}
}

// Of two checkpoints that are taken at the same time, by the housekeeping and by a call
// that frees what was deleted, the older may come to be written last.
func TestOlderCheckpointComesLast(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		entries := (&script{rng: rng}).entries(60)
		disk := crashfs.New(seed)
		m, _ := openMachine(t, disk, "b0")
		if err := apply(rng, m, entries[:30], 0); err != nil {
			t.Fatal(err)
		}
		older := m.cut()
		if _, err := m.Update(append([]sm.Entry{}, entries[30:]...)); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*cutPoint{m.cut(), older} {
			if err := m.finish(c); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		want := m.contents(t)
		after, index := openMachine(t, disk.Crash(), "b1")
		if got := after.contents(t); got != want || index != entries[59].Index {
			t.Fatalf("seed %d: after a power cut at %d\n%s\nwant\n%s", seed, index, got, want)
		}
	}
}

// TestTransactionIsSeenWhole: nobody sees the documents of a transaction before its
// records, whatever else is in the entry: a query's checkpoint speaks of rows that can be
// read, or whose readers are told to come again.
func TestTransactionIsSeenWhole(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	m, _ := openMachine(t, disk, "b0")
	rows, other := state.PartitionID{Topic: 1}, state.PartitionID{Topic: 2}
	update := func(index uint64, commands ...[]byte) {
		t.Helper()
		cmd := binary.LittleEndian.AppendUint64([]byte{proposalVersion}, 1_000_000)
		for _, c := range commands {
			cmd = append(cmd, c...)
		}
		if _, err := m.Update([]sm.Entry{{Index: index, Cmd: cmd}}); err != nil {
			t.Fatal(err)
		}
	}
	update(5, encodeOpen(nil, 1, []int32{0}))
	writes := 0
	disk.Before(func(o crashfs.Op) {
		if o.Kind != "write" || !m.mu.TryRLock() {
			return // nobody reads now
		}
		defer m.mu.RUnlock()
		writes++
		p, err := m.find(rows)
		if m.state.Doc("checkpoint").Version != 0 && err == nil && (p == nil || p.Next() == 0) {
			t.Errorf("the checkpoint can be read before %s of %s, its rows cannot", o.Kind, o.Name)
		}
		if m.logs[other] != nil && m.state.Doc("checkpoint").Version == 0 {
			t.Errorf("what came after the transaction can be read before it")
		}
	})
	txn := txnCommand{
		appends: []appendCommand{{id: rows, block: block("a", "b")}},
		puts:    []putCommand{{key: "checkpoint", value: []byte("2 rows")}},
	}
	late := txnCommand{puts: []putCommand{{key: "other", value: []byte("x")}}}
	update(6, txn.encode(nil), encodeOpen(nil, 2, []int32{0}), late.encode(nil), encodeDrop(nil, 3))
	if m.state.Doc("checkpoint").Version == 0 || m.state.Doc("other").Version == 0 || m.logs[rows].Next() != 2 || m.logs[other] == nil || writes == 0 {
		t.Error("the entry was not applied whole")
	}
	if !m.mu.TryLock() || !m.files.TryLock() {
		t.Error("readers are kept out after the entry")
	}
	m.mu.Unlock()
	m.files.Unlock()
	// The same of a machine that a snapshot is put into, which had a checkpoint before.
	image := stream(t, m)
	if err := m.RecoverFromSnapshot(bytes.NewReader(image), nil); err != nil {
		t.Fatal(err)
	}
	if m.state.Doc("checkpoint").Version == 0 || m.logs[rows].Next() != 2 {
		t.Error("the snapshot was not put in whole")
	}
}

// TestDamagedTailIsAppliedAgain: a process is killed, and what it wrote to a partition
// after the checkpoint is damaged. The machine goes back to the checkpoint, and with the
// entries after it every record has the offset it had, whatever is left of the files.
func TestDamagedTailIsAppliedAgain(t *testing.T) {
	t.Parallel()
	const entries, before = 60, 20
	m := newCompared(t)
	all := [][]byte{entryOf(encodeOpen(nil, 1, []int32{0, 1}))}
	for i := range entries {
		all = append(all, entryOf(appendOf(int32(i%2), fmt.Sprint("record ", i, strings.Repeat("x", 100)))))
	}
	m.feed(1, all[:before]...)
	must(t, m.Sync())
	m.feed(1, all[before:]...)
	want := recordsOf(t, m.machine)
	must(t, m.Close())
	name := filepath.Join(m.dir, "p", "1-0", "00000000000000000000.seg")
	content, err := os.ReadFile(name)
	must(t, err)
	content[len(content)*3/4] ^= 1
	must(t, os.WriteFile(name, content, 0o600))
	again := &comparedMachine{machine: newMachine(2, m.dir, log.OS(), "boot"), t: t}
	again.index, err = again.Open(nil)
	must(t, err)
	defer again.Close()
	if again.index != before {
		t.Fatalf("it goes on from entry %d, the checkpoint is of %d", again.index, before)
	}
	again.feed(1, all[before:]...)
	if got := recordsOf(t, again.machine); !slices.Equal(got, want) {
		t.Errorf("%d records, want %d: %.2000q", len(got), len(want), got)
	}
}

// recordsOf are all records of a machine, with partition and offset.
func recordsOf(t *testing.T, m *machine) (all []string) {
	t.Helper()
	for _, id := range m.state.Partitions() {
		p := m.logs[id]
		for from := p.First(); from < p.Next(); {
			frames, err := p.Read(from, 1<<20, nil)
			must(t, err)
			records := frames.Records(from)
			for r, ok := records.Next(); ok; r, ok = records.Next() {
				all = append(all, fmt.Sprintf("%d/%d %s", id.Partition, r.Offset, r.Value))
			}
			must(t, records.Err())
			from = frames.Next()
		}
	}
	return all
}
