package cluster

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/testenv"
	"leat/log"
)

// metered is a file system that counts what is read. Once it is dead nothing that is
// written to it is there any more: what a process that was killed leaves behind.
type metered struct {
	log.FS
	read atomic.Int64
	dead atomic.Bool
}

type meteredFile struct {
	log.File
	fs *metered
}

func (m *metered) wrap(f log.File, err error) (log.File, error) {
	if err != nil {
		return nil, err
	}
	return meteredFile{f, m}, nil
}

func (m *metered) Create(name string) (log.File, error) {
	if m.dead.Load() {
		name += ".lost"
	}
	return m.wrap(m.FS.Create(name))
}

func (m *metered) Open(name string) (log.File, error) { return m.wrap(m.FS.Open(name)) }

func (m *metered) Rename(from, to string) error {
	if m.dead.Load() {
		return nil
	}
	return m.FS.Rename(from, to)
}

func (m *metered) Remove(name string) error {
	if m.dead.Load() {
		return nil
	}
	return m.FS.Remove(name)
}

func (f meteredFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	f.fs.read.Add(int64(n))
	return n, err
}

func (f meteredFile) WriteAt(p []byte, at int64) (int, error) {
	if f.fs.dead.Load() {
		return len(p), nil
	}
	return f.File.WriteAt(p, at)
}

func (f meteredFile) Truncate(size int64) error {
	if f.fs.dead.Load() {
		return nil
	}
	return f.File.Truncate(size)
}

// The syncs of a process that is killed are not what is tested.
func (f meteredFile) Sync() error { return nil }

// readToStart writes records, has the node die and says how many bytes the next start
// reads until it is ready.
func readToStart(t *testing.T, records int) int64 {
	t.Helper()
	disk := &metered{FS: log.OS()}
	c := Config{Dir: t.TempDir(), FS: disk, CheckpointEvery: 20 * time.Millisecond, RaftLogBytes: 4 << 20}
	r := start(t, c)
	ctx := within(t, 300*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 4); err != nil {
		t.Fatal(err)
	}
	const batch = 10_000
	var records64 log.Block
	value := []byte(strings.Repeat("0123456789abcdef", 4))
	for range batch {
		records64.Add(nil, value)
	}
	for i := range records / batch {
		if _, err := r.Append(ctx, bus.Append{Topic: "orders", Partition: int32(i % 4), Block: records64}); err != nil {
			t.Fatal(err)
		}
	}
	db := r.raftLog.db.Load()
	testenv.Eventually(t, "the node has caught up with its housekeeping", func() bool {
		s := r.shards[firstDataShard].machine.standing()
		return db.ReplayBytes() <= c.RaftLogBytes && db.TailBytes() <= indexBytes && s.Checkpointed == s.Applied
	})
	disk.dead.Store(true)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	disk.dead.Store(false)
	disk.read.Store(0)
	again := start(t, c)
	read := disk.read.Load()
	for i := range int32(4) {
		if p, err := again.Partition("orders", i); err != nil || p.Next != log.Offset(records/4) {
			t.Fatalf("partition %d after the start: %+v, %v", i, p, err)
		}
	}
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	return read
}

// TestStartReadsTheTail: how much a start reads does not depend on how much was ever
// written. Ten million records, which is what the benchmark kills a node with, read no
// more than a hundred thousand.
func TestStartReadsTheTail(t *testing.T) {
	t.Parallel()
	few, many := readToStart(t, 200_000), readToStart(t, 10_000_000)
	t.Logf("read until ready: %d bytes after 200 k records, %d after 10 M", few, many)
	if limit := int64(24 << 20); few > limit || many > limit {
		t.Errorf("a start reads %d bytes after 200 k records, %d after 10 M", few, many)
	}
}
