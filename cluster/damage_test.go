package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/cluster/raftlog"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
	"leat/log"
)

// harm is a way to damage what a node has of its raft log. code is what the node refuses
// to start with, "" where it has to start and lack nothing.
type harm struct {
	name, code string
	do         func(t *testing.T, d *damaged)
}

// damaged is the directory of a node that was killed.
type damaged struct {
	dir, early string // early is a copy of dir/raft with half of the entries
	whole      string // a copy of dir at that time
	replica    uint64
}

// wal is the segment that is written to, where its records begin and what they are.
func (d *damaged) wal(t *testing.T) (name string, content []byte, records []int64) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(d.dir, "raft", "*.wal"))
	if err != nil || len(found) == 0 {
		t.Fatal("no raft log", err)
	}
	slices.Sort(found)
	name = found[len(found)-1]
	if content, err = os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
	const header, mark = 64, "LRL1"
	for at := int64(header); at+header <= int64(len(content)); {
		h := content[at : at+header]
		if string(h[60:]) != mark {
			break
		}
		records = append(records, at)
		size := int64(header)
		if n := int64(binary.LittleEndian.Uint32(h[4:])); n > 0 {
			size = (header + n + 4 + header - 1) / header * header
		}
		at += size
	}
	if len(records) < 100 {
		t.Fatalf("%d records are too few to damage one in the middle", len(records))
	}
	return name, content, records
}

// rewrite changes the segment; at is where a record in the middle begins.
func rewrite(change func(content []byte, at int64) []byte) func(*testing.T, *damaged) {
	return func(t *testing.T, d *damaged) {
		t.Helper()
		name, content, records := d.wal(t)
		if err := os.WriteFile(name, change(content, records[len(records)/2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// harms is the table of FAULTS: what may have become of a raft log.
func harms() []harm {
	const header, page = 64, 4096
	return []harm{
		{"nothing, it was killed", "", func(*testing.T, *damaged) {}},
		{"one bit flipped in an entry", "raft_log_corrupt", rewrite(func(b []byte, at int64) []byte { b[at+header+3] ^= 4; return b })},
		{"one bit flipped in a record of an entry", "raft_log_corrupt", func(t *testing.T, d *damaged) {
			name, content, records := d.wal(t)
			at := slices.IndexFunc(records[len(records)/2:], func(at int64) bool {
				return bytes.Contains(content[at:min(at+400, int64(len(content)))], []byte("0123456789"))
			})
			if at < 0 {
				t.Fatal("no entry has a record")
			}
			from := records[len(records)/2+at]
			content[from+int64(bytes.Index(content[from:], []byte("0123456789")))+5] ^= 1
			must(t, os.WriteFile(name, content, 0o600))
		}},
		{"the header of a record flipped", "raft_log_corrupt", rewrite(func(b []byte, at int64) []byte { b[at+9] ^= 1; return b })},
		{"the header of a record zeroed", "raft_log_corrupt", rewrite(func(b []byte, at int64) []byte { clear(b[at : at+header]); return b })},
		{"a page zeroed", "raft_log_corrupt", rewrite(func(b []byte, at int64) []byte { at = at / page * page; clear(b[at : at+page]); return b })},
		{"a torn write of what was never acknowledged", "", tear},
		{"cut at the border of an entry", "log_truncated", rewrite(func(b []byte, at int64) []byte { return b[:at] })},
		{"the last entries cut off at a border", "log_truncated", cutLast},
		{"zeros for the last entries", "log_truncated", zeroLast},
		{"the segment deleted", "log_truncated", func(t *testing.T, d *damaged) {
			name, _, _ := d.wal(t)
			must(t, os.Remove(name))
		}},
		{"the raft log deleted", "log_truncated", func(t *testing.T, d *damaged) { must(t, os.RemoveAll(filepath.Join(d.dir, "raft"))) }},
		{"the watermark deleted", "raft_log_corrupt", func(t *testing.T, d *damaged) { must(t, os.Remove(filepath.Join(d.dir, "raft", "watermark"))) }},
		{"an old copy of the raft log", "log_truncated", func(t *testing.T, d *damaged) {
			must(t, errors.Join(os.RemoveAll(filepath.Join(d.dir, "raft")), os.CopyFS(filepath.Join(d.dir, "raft"), os.DirFS(d.early))))
		}},
		{"an old copy of everything", "log_truncated", func(t *testing.T, d *damaged) {
			must(t, errors.Join(os.RemoveAll(d.dir), os.CopyFS(d.dir, os.DirFS(d.whole))))
		}},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lastEntries is where the last records begin that the data shard's last ten entries
// are in.
func lastEntries(t *testing.T, d *damaged) (name string, content []byte, at int64) {
	t.Helper()
	name, content, records := d.wal(t)
	seen := 0
	for _, at := range slices.Backward(records) {
		h := content[at:]
		if h[56] == 2 && binary.LittleEndian.Uint64(h[8:]) == firstDataShard {
			if seen++; seen == 10 {
				return name, content, at
			}
		}
	}
	t.Fatal("too few entries")
	return "", nil, 0
}

func cutLast(t *testing.T, d *damaged) {
	name, content, at := lastEntries(t, d)
	must(t, os.WriteFile(name, content[:at], 0o600))
}

func zeroLast(t *testing.T, d *damaged) {
	name, content, at := lastEntries(t, d)
	clear(content[at:])
	must(t, os.WriteFile(name, content, 0o600))
}

// tear appends an entry as the node would have, and leaves the first half of the write.
func tear(t *testing.T, d *damaged) {
	name, before, _ := d.wal(t)
	db, err := raftlog.Open(filepath.Join(d.dir, "raft"), raftlog.Options{FS: log.OS()})
	must(t, err)
	last := db.DurableIndex(firstDataShard, d.replica)
	state, err := db.ReadRaftState(firstDataShard, d.replica, last)
	must(t, err)
	marks, err := os.ReadFile(filepath.Join(d.dir, "raft", "watermark"))
	must(t, err)
	must(t, db.SaveRaftState([]pb.Update{{
		ShardID: firstDataShard, ReplicaID: d.replica, State: state.State,
		EntriesToSave: []pb.Entry{{Index: last + 1, Term: state.State.Term, Cmd: bytes.Repeat([]byte("never acknowledged "), 500)}},
	}}, 1))
	after, err := os.ReadFile(name)
	must(t, err)
	must(t, db.Close())
	end := int64(len(bytes.TrimRight(before, "\x00")))
	written := int64(len(bytes.TrimRight(after, "\x00"))) - end
	if written < 9000 {
		t.Fatalf("%d bytes were written", written)
	}
	clear(after[end+written/2:])
	must(t, errors.Join(os.WriteFile(name, after, 0o600), os.WriteFile(filepath.Join(d.dir, "raft", "watermark"), marks, 0o600)))
	if err := os.Remove(filepath.Join(d.dir, "raft", "index")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// damageTrial is a cluster of which one node is damaged again and again.
type damageTrial struct {
	*group
	disks []*metered
}

const victim = 1

// write writes records, each in a call of its own, many at a time, and says how many
// were acknowledged: all but those whose leader moved meanwhile.
func (g *damageTrial) write(n int) (acknowledged int) {
	g.t.Helper()
	var clients sync.WaitGroup
	failed := make(chan error, n)
	work := make(chan struct{}, n)
	for range n {
		work <- struct{}{}
	}
	close(work)
	for range 16 {
		clients.Go(func() {
			for range work {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				through := g.nodes[0].Forwarding()
				_, err := through.Append(ctx, bus.Append{Topic: "orders", Block: block(strings.Repeat("0123456789", 20))})
				cancel()
				if err != nil {
					failed <- err
				}
			}
		})
	}
	clients.Wait()
	close(failed)
	for err := range failed {
		if f := fault.As(err); f == nil || f.Kind != fault.Timeout && f.Kind != fault.Unavailable {
			g.t.Fatal(err)
		}
		n--
	}
	return n
}

// level waits until all nodes have the same records, at least as many as before, and
// compares them with all that belongs to them.
func (g *damageTrial) level(atLeast int) int {
	g.t.Helper()
	must(g.t.(*testing.T), g.nodes[0].Barrier(within(g.t, 20*time.Second)))
	p, err := g.nodes[0].Partition("orders", 0)
	must(g.t.(*testing.T), err)
	if int(p.Next) < atLeast {
		g.t.Fatalf("%d records are left of %d", p.Next, atLeast)
	}
	var first []byte
	for i, n := range g.nodes {
		if n == nil {
			continue
		}
		testenv.Eventually(g.t, fmt.Sprintf("node %d has %d records", i, p.Next), func() bool {
			own, err := n.Partition("orders", 0)
			return err == nil && own.Next >= p.Next
		})
		all := g.everything(n)
		if first == nil {
			first = all
		}
		if !bytes.Equal(first, all) {
			g.t.Fatalf("node %d has other records", i)
		}
	}
	return int(p.Next)
}

// everything is all of a partition: offsets, times and records.
func (g *damageTrial) everything(n *running) []byte {
	g.t.Helper()
	var all []byte
	p, err := n.Partition("orders", 0)
	must(g.t.(*testing.T), err)
	for from := p.First; from < p.Next; {
		frames, err := n.Read("orders", 0, from, 1<<20, nil)
		must(g.t.(*testing.T), err)
		c := frames.Records(from)
		for r, ok := c.Next(); ok; r, ok = c.Next() {
			all = fmt.Appendf(all, "%d %d %q %q\n", r.Offset, r.TimeMs, r.Key, r.Value)
			from = r.Offset + 1
		}
		must(g.t.(*testing.T), c.Err())
	}
	return all
}

// kill ends the victim as a process that is killed ends: what it would yet have said is
// not heard, and what it would yet have written is not there.
func (g *damageTrial) kill() {
	g.t.Helper()
	if err := g.nodes[victim].network.Close(); err != nil {
		g.t.Fatal(err)
	}
	g.disks[victim].dead.Store(true)
	g.stop(victim)
	g.disks[victim].dead.Store(false)
}

// TestDamagedRaftLog: one of three nodes is killed, and its raft log with 2,000 entries
// that were acknowledged is damaged in every way of the table. The node never starts
// without them: it refuses and says so, or it repairs what was never acknowledged. The
// others go on; a node that refuses rejoins, and then all have the same.
func TestDamagedRaftLog(t *testing.T) {
	t.Parallel()
	g := &damageTrial{}
	for range 3 {
		g.disks = append(g.disks, &metered{FS: log.OS()})
	}
	i := 0
	g.group = startGroup(t, 3, func(c *Config) {
		c.DataShards, c.FS = 1, g.disks[i]
		i++
	})
	g.createTopic("orders", 1)
	for _, h := range harms() {
		if !t.Run(h.name, func(t *testing.T) { g.suffer(t, &h) }) {
			break
		}
	}
}

// suffer damages the victim in one way.
func (g *damageTrial) suffer(t *testing.T, h *harm) {
	had := g.level(0)
	had += g.write(1000)
	c := &g.configs[victim]
	d := damaged{dir: c.Dir, early: t.TempDir(), whole: t.TempDir(), replica: g.nodes[victim].ID()}
	for _, n := range g.nodes {
		n.compact(within(t, 20*time.Second)) // now, and not while the victim is dead
	}
	g.kill()
	must(t, errors.Join(os.CopyFS(d.early, os.DirFS(filepath.Join(c.Dir, "raft"))), os.CopyFS(d.whole, os.DirFS(c.Dir))))
	g.reopen(victim)
	had = g.level(had + g.write(1000))
	testenv.Eventually(t, "the others have seen it with all", func() bool {
		for _, i := range []int{0, 2} {
			b := g.nodes[i].book
			b.mu.Lock()
			seen := b.seen[d.replica][firstDataShard]
			b.mu.Unlock()
			if seen < g.nodes[victim].shards[firstDataShard].machine.appliedIndex() {
				return false
			}
		}
		return true
	})
	g.kill()
	h.do(t, &d)
	c.RaftListener = listenOn(t, c.RaftListener.Addr().String())
	had += g.write(20) // the others go on
	n, err := Open(*c)
	if err == nil {
		g.nodes[victim] = run(g.t, n)
	}
	if f := fault.As(err); (h.code == "") != (err == nil) || f != nil && f.Code != h.code {
		t.Fatalf("the node starts with %v", err)
	}
	if err != nil {
		g.rejoin(t)
	}
	g.nodes[victim].awaitReady(t)
	g.level(had)
}

// rejoin has the victim begin again.
func (g *damageTrial) rejoin(t *testing.T) {
	c := &g.configs[victim]
	old := g.nodes[0].roster.Load().named(c.NodeID)
	testenv.Eventually(t, "the others have dropped what it lacks, so that it needs a snapshot", func() bool {
		reader, err := g.nodes[g.leader(firstDataShard)].host.GetLogReader(firstDataShard)
		if err != nil {
			return false
		}
		first, _ := reader.GetRange()
		return first > 1
	})
	testenv.Eventually(t, "the place is given anew", func() bool {
		_, err := g.nodes[0].Forwarding().AddMember(within(t, 10*time.Second), bus.Member{ID: c.NodeID}, old.ReplicaID)
		return err == nil
	})
	if _, err := Rejoin(c.Dir, c.NodeID, g.invitation()); err != nil {
		t.Fatal(err)
	}
	c.Invitation = nil
	g.reopen(victim)
	g.settled("a", "b", "c")
}
