package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"leat/cluster/state"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
	"leat/log"
)

// comparedMachine is a machine that is fed entries.
type comparedMachine struct {
	*machine
	t     *testing.T
	index uint64
}

func newCompared(t *testing.T) *comparedMachine {
	t.Helper()
	m := newMachine(2, t.TempDir(), log.OS(), "boot")
	if _, err := m.Open(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return &comparedMachine{machine: m, t: t}
}

// entry is a proposal of commands.
func entryOf(commands ...[]byte) []byte {
	return append([]byte{proposalVersion, 1, 0, 0, 0, 0, 0, 0, 0}, slices.Concat(commands...)...)
}

func appendOf(partition int32, value string) []byte {
	var b log.Block
	b.Add(nil, []byte(value))
	return (&appendCommand{id: state.PartitionID{Topic: 1, Partition: partition}, block: b}).encode(nil)
}

// feed has the machine apply entries, so many in one Update.
func (m *comparedMachine) feed(together int, entries ...[]byte) {
	m.t.Helper()
	var batch []sm.Entry
	for i, e := range entries {
		m.index++
		batch = append(batch, sm.Entry{Index: m.index, Cmd: e})
		if len(batch) == together || i == len(entries)-1 {
			if _, err := m.Update(batch); err != nil {
				m.t.Fatal(err)
			}
			batch = nil
		}
	}
	m.digests.complete()
}

// TestDigests: machines that have applied the same take the same digest, however the
// entries were put together; one other byte anywhere is seen. A machine that was opened
// again has no digest until it has applied everything between two comparisons.
func TestDigests(t *testing.T) {
	t.Parallel()
	compare := entryOf(encodeCompare(nil))
	open := entryOf(encodeOpen(nil, 1, []int32{0, 1}))
	put := func(value string) []byte {
		return (&txnCommand{puts: []putCommand{{key: "k", value: []byte(value)}}}).encode(nil)
	}
	entries := [][]byte{open, compare, entryOf(appendOf(0, "a"), appendOf(1, "b")), entryOf(put("v")), entryOf(appendOf(0, "c"), encodeCompare(nil)), entryOf(appendOf(0, "d")), compare}
	whole := newCompared(t)
	whole.feed(100, entries...)
	want := whole.digests.all()
	if len(want) != 2 || want[0].Index != 5 || want[1].Index != 7 || want[0].Sum == want[1].Sum {
		t.Fatalf("%v", want)
	}
	one := newCompared(t)
	one.feed(1, entries...)
	if got := one.digests.all(); !slices.Equal(got, want) {
		t.Errorf("one by one %v, together %v", got, want)
	}
	for what, at := range map[string]struct {
		entry int
		with  []byte
	}{
		"a record":    {2, entryOf(appendOf(0, "A"), appendOf(1, "b"))},
		"a partition": {2, entryOf(appendOf(1, "a"), appendOf(1, "b"))},
		"a document":  {3, entryOf(put("w"))},
		"a group":     {3, entryOf(put("v"), encodeCommit(nil, state.GroupID{PartitionID: state.PartitionID{Topic: 1}, Group: "g"}, 0))},
	} {
		other := newCompared(t)
		changed := slices.Clone(entries)
		changed[at.entry] = at.with
		other.feed(3, changed...)
		if got := other.digests.all(); len(got) != 2 || got[0].Sum == want[0].Sum {
			t.Errorf("%s: %v is not seen against %v", what, got, want)
		}
	}
	again := newCompared(t)
	again.feed(1, entries[:4]...)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	next := &comparedMachine{machine: newMachine(2, again.dir, log.OS(), "boot"), t: t, index: 4}
	if _, err := next.Open(nil); err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	next.feed(1, entries[4:]...)
	if got := next.digests.all(); !slices.Equal(got, want[1:]) {
		t.Errorf("opened again %v, want %v", got, want[1:])
	}
}

// TestReplicaDiverges: a replica whose state was made another one than that of the others
// stops, and cannot be started again; the others go on and tell. It is found whether it
// follows or leads.
func TestReplicaDiverges(t *testing.T) {
	t.Parallel()
	for _, leads := range []bool{false, true} {
		t.Run(fmt.Sprintf("leads=%t", leads), func(t *testing.T) {
			t.Parallel()
			g := startGroup(t, 3, func(c *Config) { c.CompareEvery = 50 * time.Millisecond })
			g.createTopic("orders", 1)
			g.append("orders", 0, "first")
			shard := g.nodes[0].topic("orders").Shards[0]
			victim := g.follower(shard)
			if leads {
				victim = g.leader(shard)
			}
			g.awaitCompared(shard)
			m := g.nodes[victim].shards[shard].machine
			m.writer.Lock()
			m.do(state.Put{Key: "nobody wrote this", Doc: state.Doc{Value: []byte("x"), Version: m.state.DocVersion()}})
			m.writer.Unlock()
			// Comparisons follow what is written.
			other := g.nodes[(victim+1)%3].Forwarding()
			err := g.awaitEnd(victim, func() {
				// It may be just the one asked that ends.
				_, _ = other.Append(within(t, time.Second), bus.Append{Topic: "orders", Block: block("more")})
			})
			if f := fault.As(err); f == nil || f.Code != "diverged" {
				t.Fatalf("it ended with %v", err)
			}
			g.nodes[victim] = nil
			if _, err := Open(g.configs[victim]); err == nil || fault.As(err).Code != "diverged" {
				t.Errorf("it starts again: %v", err)
			}
			if text, err := os.ReadFile(filepath.Join(g.configs[victim].Dir, divergedName)); err != nil || !strings.Contains(string(text), fmt.Sprintf("shard %d", shard)) {
				t.Errorf("%s, %v", text, err)
			}
			if _, err := setAside(g.configs[victim].Dir); err != nil || refuseDiverged(g.configs[victim].withDefaults()) != nil {
				t.Errorf("the directory cannot be emptied to rejoin: %v", err)
			}
			g.append("orders", 0, "last")
			testenv.Eventually(t, "the others tell", func() bool {
				for _, r := range g.nodes {
					if r == nil {
						continue
					}
					at := slices.IndexFunc(r.Members(), func(m bus.Member) bool { return m.ID == g.configs[victim].NodeID })
					if got := r.Members()[at].Diverged; !slices.Equal(got, []uint64{shard}) {
						return false
					}
				}
				return true
			})
		})
	}
}

// awaitCompared waits until every node was seen to have the state of the majority.
func (g *group) awaitCompared(shard uint64) {
	g.t.Helper()
	testenv.Eventually(g.t, "the replicas are compared", func() bool {
		for _, r := range g.nodes {
			if r != nil && r.shards[shard].compared.Load() == 0 {
				g.append("orders", 0, "something to compare")
				return false
			}
		}
		return true
	})
}

// awaitEnd waits until a node ends by itself, and has something done meanwhile.
func (g *group) awaitEnd(i int, meanwhile func()) error {
	g.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case err := <-g.nodes[i].over:
			g.nodes[i].over <- nil // that is how it was meant to end
			return err
		case <-deadline:
			g.t.Fatalf("node %d goes on", i)
		case <-time.After(20 * time.Millisecond):
			meanwhile()
		}
	}
}

// BenchmarkCompare is what a comparison costs a shard with so many documents of 200
// bytes, during which it applies nothing.
func BenchmarkCompare(b *testing.B) {
	m := newMachine(2, b.TempDir(), log.OS(), "boot")
	if _, err := m.Open(nil); err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	const documents = 100_000
	value := make([]byte, 200)
	for i := range documents {
		m.do(state.Put{Key: fmt.Sprintf("namespace/key-%d", i), Doc: state.Doc{Value: value, Version: uint64(i + 1)}})
	}
	for b.Loop() {
		m.applyCompare(nil, 1)
	}
}

// BenchmarkDigestAppended is what noting an append costs, of a thousand records of 64
// bytes.
func BenchmarkDigestAppended(b *testing.B) {
	var block log.Block
	for range 1000 {
		block.Add(nil, make([]byte, 64))
	}
	f := &openFrame{batch: log.Batch{Blocks: []log.Block{block}}}
	var d digests
	b.SetBytes(int64(len(block.Bytes)))
	for b.Loop() {
		d.appended(f)
	}
}
