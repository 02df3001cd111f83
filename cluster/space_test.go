package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
	"leat/log"
)

// tightDisk is the machine's file system with room as the test says.
type tightDisk struct {
	log.FS
	free   chan int64
	broken atomic.Bool
	failed atomic.Int64 // how often nothing was told
}

func newTightDisk(free int64) *tightDisk {
	d := &tightDisk{FS: log.OS(), free: make(chan int64, 1)}
	d.free <- free
	return d
}

func (d *tightDisk) Space(string) (free, total int64, err error) {
	if d.broken.Load() {
		d.failed.Add(1)
		return 0, 0, errors.New("an interrupted call")
	}
	free = <-d.free
	d.free <- free
	return free, 64 << 20, nil
}

func (d *tightDisk) set(free int64) {
	<-d.free
	d.free <- free
}

func TestFullDiskRefusesWritesAndRecovers(t *testing.T) {
	t.Parallel()
	disk := newTightDisk(60 << 20)
	r := start(t, Config{Dir: t.TempDir(), FS: disk})
	ctx := within(t, 60*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 1); err != nil {
		t.Fatal(err)
	}
	write := func() error {
		_, err := r.Append(ctx, bus.Append{Topic: "orders", Block: block("x")})
		return err
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	disk.set(spaceLeast - 1)
	testenv.Eventually(t, "writes are refused", func() bool { return write() != nil })
	kind(t, write(), fault.DiskFull, "disk_full")
	_, err := r.CreateTopic(ctx, "more", 1)
	kind(t, err, fault.DiskFull, "disk_full")
	_, err = r.Transact(ctx, bus.Txn{Shard: r.data[0], Puts: []bus.Doc{{Key: "k"}}})
	kind(t, err, fault.DiskFull, "disk_full")
	before := len(r.values(t, "orders", 0)) // reads go on
	if _, _, err := r.DeleteBefore(ctx, "orders", 0, 1); err != nil {
		t.Fatalf("what frees space is refused: %v", err)
	}
	disk.set(spaceLeast + 1)
	kind(t, write(), fault.DiskFull, "disk_full") // not before there is some margin
	disk.set(2 * spaceLeast)
	testenv.Eventually(t, "writes are taken again", func() bool { return write() == nil })
	if p, err := r.Partition("orders", 0); err != nil || int(p.Next) != before+1 {
		t.Fatalf("%d records became %+v, %v", before, p, err)
	}
}

// TestFullDiskOfOneNode: a node without room hands over what it leads and takes no part of it
// back until it has room again, and what comes to it is sent to who leads. Where nobody has
// room nothing moves, and writes are refused, also those that come from another node.
func TestFullDiskOfOneNode(t *testing.T) {
	t.Parallel()
	disks := make(map[string]*tightDisk)
	g := startGroup(t, 3, func(c *Config) {
		disks[c.NodeID] = newTightDisk(60 << 20)
		c.FS = disks[c.NodeID]
	})
	g.createTopic("orders", 3)
	full := g.nodes[1]
	shards := full.shardIDs()
	leads := func() bool { return slices.ContainsFunc(shards, full.Leads) }
	steered := func() bool { // to the full node, by anybody
		return slices.ContainsFunc(g.nodes, func(r *running) bool {
			return slices.ContainsFunc([]int{0, 1, 2, 3}, func(i int) bool { return r.preferred(i) == full.ID() })
		})
	}
	testenv.Eventually(t, "the node leads", leads)
	disks["b"].set(spaceLeast - 1)
	testenv.Eventually(t, "it leads nothing, and is to lead nothing", func() bool { return !leads() && !steered() })
	ctx := within(t, 60*time.Second)
	for p := range int32(3) {
		g.append("orders", p, "x")
		write := bus.Append{Topic: "orders", Partition: p, Block: block("y")}
		_, err := full.Append(ctx, write)
		kind(t, err, fault.NotLeader, "not_leader")
		if _, err := full.Forwarding().Append(ctx, write); err != nil {
			t.Error(err)
		}
	}
	kind(t, g.nodes[g.leader(shards[1])].Transfer(ctx, shards[1], full.ID()), fault.Unavailable, "not_ready")
	for _, d := range disks {
		d.set(spaceLeast - 1)
	}
	testenv.Eventually(t, "all know that nobody has room", func() bool {
		return !slices.ContainsFunc(g.nodes, func(r *running) bool {
			return !r.space.short.Load() || slices.ContainsFunc([]int{0, 1, 2, 3}, func(i int) bool { return r.preferred(i) != r.ID() })
		})
	})
	for p := range int32(3) {
		_, err := full.Forwarding().Append(ctx, bus.Append{Topic: "orders", Partition: p, Block: block("z")})
		kind(t, err, fault.DiskFull, "disk_full")
	}
	_, err := full.Forwarding().CreateTopic(ctx, "more", 1)
	kind(t, err, fault.DiskFull, "disk_full")
	_, err = full.Forwarding().Transact(ctx, bus.Txn{Shard: shards[1], Puts: []bus.Doc{{Key: "k"}}})
	kind(t, err, fault.DiskFull, "disk_full")
	if _, _, err := full.Forwarding().DeleteBefore(ctx, "orders", 0, 1); err != nil {
		t.Errorf("what frees space is refused: %v", err)
	}
	g.change(func(ctx context.Context, n *Node) (bus.Member, error) {
		return n.AddMember(ctx, bus.Member{ID: "x", RaftAddress: "127.0.0.1:9"}, 0)
	})
	g.change(func(ctx context.Context, n *Node) (bus.Member, error) { return n.RemoveMember(ctx, "x") })
	g.settled("a", "b", "c")
	for _, d := range disks {
		d.set(2 * spaceLeast)
	}
	testenv.Eventually(t, "it leads again", leads)
	for p := range int32(3) {
		g.append("orders", p, "z")
	}
}

// TestRoomIsLookedForAgain: that the file system once does not tell how much room there is
// does not end the watch over it.
func TestRoomIsLookedForAgain(t *testing.T) {
	t.Parallel()
	disk := newTightDisk(60 << 20)
	r := start(t, Config{Dir: t.TempDir(), FS: disk})
	disk.broken.Store(true)
	testenv.Eventually(t, "nothing is told", func() bool { return disk.failed.Load() > 0 })
	disk.broken.Store(false)
	disk.set(spaceLeast - 1)
	testenv.Eventually(t, "a full disk is noticed", r.space.full.Load)
	disk.set(2 * spaceLeast)
	testenv.Eventually(t, "and room", func() bool { return !r.space.full.Load() })
}

// TestAdmissionCountsWhatIsNotWrittenYet: between two looks at the disk no more is
// admitted than there is room for beside the reserve, each byte twice, and after a
// look what may still be on its way counts.
func TestAdmissionCountsWhatIsNotWrittenYet(t *testing.T) {
	t.Parallel()
	const total, piece = 64 << 20, 1 << 20
	var g spaceGuard
	for range 100 {
		if err := g.admit(piece); err != nil {
			t.Fatalf("the zero guard refuses: %v", err)
		}
	}
	fill := func() (admitted int) {
		for g.admit(piece) == nil {
			admitted++
		}
		return admitted
	}
	g = spaceGuard{}
	g.look(spaceLeast+10*piece, total)
	if n := fill(); n != 5 {
		t.Errorf("%d MiB are admitted where there is room for 5", n)
	}
	g.look(spaceLeast+spaceLeast/2+4*piece, total)
	if n := fill(); n != 2 {
		t.Errorf("%d MiB are admitted where there is room for 2 besides those on their way", n)
	}
}

// TestStartOnAFullDisk: a start that could not write its checkpoints is refused, and says
// how much room it needs; with it the node starts.
func TestStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := newTightDisk(60 << 20)
	c := Config{Dir: t.TempDir(), FS: disk}
	r := start(t, c)
	if _, err := r.CreateTopic(within(t, 60*time.Second), "orders", 1); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for _, shard := range []string{"1", "2"} {
		info, err := os.Stat(checkpointName(filepath.Join(c.Dir, "shards", shard)))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	disk.set(startLeast + size - 1)
	_, err := Open(c)
	kind(t, err, fault.DiskFull, "disk_full")
	disk.set(startLeast + size)
	if err := start(t, c).stop(); err != nil {
		t.Fatal(err)
	}
}
