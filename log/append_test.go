package log_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"leat/internal/fault"
	"leat/log"
	"leat/log/crashfs"
)

func one(mark log.Mark, value string) log.Batch {
	var b log.Block
	b.Add(nil, []byte(value))
	return log.Batch{Mark: mark, Blocks: []log.Block{b}}
}

func TestRefusedBatches(t *testing.T) {
	t.Parallel()
	p := mustOpen(t, crashfs.New(1), log.Options{})
	mustAppend(t, p, one(5, "a"))
	for name, c := range map[string]struct {
		batch log.Batch
		kind  fault.Kind
	}{
		"no blocks":      {log.Batch{Mark: 5}, fault.Invalid},
		"no records":     {log.Batch{Mark: 5, Blocks: []log.Block{{}}}, fault.Invalid},
		"too many":       {log.Batch{Mark: 5, Blocks: []log.Block{{Count: 2, Bytes: []byte{0, 0, 0}}}}, fault.Invalid},
		"mark goes back": {one(4, "b"), fault.Internal},
		"over 256 MiB":   {log.Batch{Mark: 5, Blocks: []log.Block{{Count: 1, Bytes: make([]byte, 1<<28+1)}}}, fault.TooLarge},
	} {
		if _, err := p.Append(c.batch); err == nil || fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if at := mustAppend(t, p, one(5, "c")); at != 1 {
		t.Fatalf("appended at %d", at)
	}
}

// TestFailureStopsWrites has one write or sync fail: from then on nothing is
// written, what was published before is read.
func TestFailureStopsWrites(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arm   func(*crashfs.Disk)
		cause error
		kind  fault.Kind
	}{
		"sync of a file":      {func(d *crashfs.Disk) { d.FailSync(1) }, crashfs.ErrInjected, fault.Internal},
		"sync of a directory": {func(d *crashfs.Disk) { d.FailSync(2) }, crashfs.ErrInjected, fault.Internal},
		"write":               {func(d *crashfs.Disk) { d.FailWrite(1) }, crashfs.ErrInjected, fault.Internal},
		"full disk":           {func(d *crashfs.Disk) { d.Limit(10) }, nil, fault.DiskFull},
	} {
		disk := crashfs.New(1)
		p := mustOpen(t, disk, log.Options{})
		mustAppend(t, p, one(1, "before"))
		c.arm(disk)
		_, err := p.Append(one(2, "meanwhile"))
		if err == nil {
			_, err = p.Sync()
		}
		if err == nil || fault.KindOf(err) != c.kind || c.cause != nil && !errors.Is(err, c.cause) {
			t.Errorf("%s: %v", name, err)
		}
		disk.Limit(-1)
		_, appended := p.Append(one(3, "after"))
		_, synced := p.Sync()
		if appended == nil || synced == nil || p.CutAfter(1) == nil && p.LastMark() > 1 {
			t.Errorf("%s: the log went on: %v, %v", name, appended, synced)
		}
		frames, err := p.Read(0, 10, nil)
		c := frames.Records(0)
		if r, ok := c.Next(); err != nil || !ok || string(r.Value) != "before" {
			t.Errorf("%s: read %v %v, %v", name, r, ok, err)
		}
		mustClose(t, p)
		p = mustOpen(t, disk, log.Options{})
		mustAppend(t, p, one(9, "restarted"))
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	p := mustOpen(t, crashfs.New(1), log.Options{})
	now, later := p.Wait(0), p.Wait(1)
	if p.Wait(0) != now {
		t.Error("two waits for one offset have two channels")
	}
	mustAppend(t, p, one(1, "a"))
	<-now
	<-p.Wait(0)
	select {
	case <-later:
		t.Error("the wait for offset 1 ended with offset 0")
	default:
	}
	mustClose(t, p)
	<-later
	<-p.Wait(100)
	if _, err := p.Read(0, 1, nil); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read of a closed log: %v", err)
	}
	if _, err := p.Append(one(1, "b")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("append to a closed log: %v", err)
	}
}

// TestReadersBesideWriter reads from the start and in the middle while the log
// grows, is synced and trimmed.
func TestReadersBesideWriter(t *testing.T) {
	t.Parallel()
	const batches = 400
	rng := rand.New(rand.NewPCG(1, 1))
	var h history
	made := make([]log.Batch, batches)
	for i := range made {
		made[i] = h.grow(rng)
	}
	o := log.Options{SegmentBytes: 2000, IndexBytes: 200, OpenSegments: 1}
	p, err := log.Open(t.TempDir()+"/p", o)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for reader := range 4 {
		wg.Go(func() { follow(t, p, &h, uint64(reader)) })
	}
	wg.Go(func() {
		for p.Next() < h.next {
			<-p.Wait(min(p.Next()+200, h.next-1))
			if _, err := p.Sync(); err != nil {
				t.Error(err)
			}
			p.Trim(p.Next() - 300)
			if _, err := p.DropTrimmed(); err != nil {
				t.Error(err)
			}
		}
	})
	for _, b := range made {
		if _, err := p.Append(b); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	mustClose(t, p)
}

// follow reads to the end of the history, as fast as the log grows.
func follow(t *testing.T, p *log.Partition, h *history, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	var buf []byte
	for at := log.Offset(0); at < h.next; {
		<-p.Wait(at)
		if rng.IntN(10) == 0 {
			if first := p.First(); first > at {
				at = first
			}
		}
		frames, err := p.Read(at, rng.IntN(2000), buf)
		if fault.KindOf(err) == fault.OutOfRange && err != nil {
			at = p.First()
			continue
		}
		if err == nil {
			err = h.compareFrames(frames, at)
		}
		if err != nil {
			t.Error(err)
			return
		}
		at, buf = frames.Next(), frames.Bytes()
	}
}
