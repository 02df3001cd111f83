package log_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"leat/internal/fault"
	"leat/log"
	"leat/log/crashfs"
)

func TestDropTrimmed(t *testing.T) {
	t.Parallel()
	disk, h, point := written(t, 11, small(), 3, 30)
	o := small()
	o.Synced = point
	p := mustOpen(t, disk, o)
	files := len(listing(t, disk, ".seg"))
	next, last, ok := p.Tail()
	if !ok || next != h.next {
		t.Fatalf("the tail is %d, %d, %v", next, last, ok)
	}
	p.Trim(h.next + 100)
	p.Trim(3) // never back
	if p.First() != h.next {
		t.Fatalf("first is %d after all was trimmed", p.First())
	}
	before := p.SizeBytes()
	freed, err := p.DropTrimmed()
	if err != nil || freed != before || p.SizeBytes() >= 100 {
		t.Fatalf("freed %d of %d bytes, %d left: %v", freed, before, p.SizeBytes(), err)
	}
	if seg, idx := listing(t, disk, ".seg"), listing(t, disk, ".idx"); len(seg) != 1 || len(idx) != 1 || files < 2 {
		t.Fatalf("of %d segments %v and %v are left", files, seg, idx)
	}
	if err := p.CutAfter(0); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("cut below what was dropped: %v", err)
	}
	if end, ms, ok := p.Tail(); end != next || ms != last || !ok {
		t.Fatalf("the tail was %d, %d, and is %d, %d, %v without records", next, last, end, ms, ok)
	}
	mustClose(t, p)
	// The old sync point lies in a segment that is gone.
	p = mustOpen(t, disk.Crash(), o)
	if end, ms, ok := p.Tail(); end != next || ms != last || !ok {
		t.Fatalf("the tail was %d, %d, and is %d, %d, %v after a restart", next, last, end, ms, ok)
	}
	if p.Next() != h.next || p.LastMark() != h.mark {
		t.Fatalf("the log ends at %d, mark %d, not at %d, %d", p.Next(), p.LastMark(), h.next, h.mark)
	}
	mustAppend(t, p, h.grow(rand.New(rand.NewPCG(1, 1))))
}

// TestDropTrimmedWithinASegment: the log is one segment, far from full. It goes when
// its records do, and one most of whose records are gone takes no more of them.
func TestDropTrimmedWithinASegment(t *testing.T) {
	t.Parallel()
	const each = 1000
	fill := func(p *log.Partition, n int) {
		for range n {
			mustAppend(t, p, one(p.LastMark()+1, strings.Repeat("x", each)))
		}
	}
	disk := crashfs.New(15)
	o := log.Options{SegmentBytes: 64 * each, IndexBytes: 1, Root: "/"}
	p := mustOpen(t, disk, o)
	fill(p, 10)
	o.Synced = mustSync(t, p)
	for _, step := range []struct {
		before         log.Offset
		freed          int64
		segments, more int
	}{
		{before: 4, segments: 1},                                // most of it is kept
		{before: 5, segments: 2, more: 2},                       // half is gone, nothing can be freed yet
		{before: 10, freed: 10 * each, segments: 1},             // and now all of the first one
		{before: 12, freed: 2 * each, segments: 1, more: 1},     // all there is
		{before: 13, freed: 1 * each, segments: 1, more: 10},    // a sixty-fourth of a segment is enough
		{before: 23, freed: 10 * each, segments: 1, more: 1000}, // and the log goes on
	} {
		p.Trim(step.before)
		freed, err := p.DropTrimmed()
		if err != nil || freed < step.freed || freed > step.freed+step.freed/5 {
			t.Fatalf("trimmed to %d: freed %d, %v; want about %d", step.before, freed, err, step.freed)
		}
		if names := listing(t, disk, ".seg"); len(names) != step.segments {
			t.Fatalf("trimmed to %d: the segments are %v", step.before, names)
		}
		if freed, err := p.DropTrimmed(); freed != 0 || err != nil {
			t.Fatalf("trimmed to %d, once more: freed %d, %v", step.before, freed, err)
		}
		next, mark := p.Next(), p.LastMark()
		p = mustOpen(t, disk.Crash(), o)
		if p.Next() != next || p.LastMark() != mark {
			t.Fatalf("trimmed to %d: after a power cut the log ends at %d, mark %d, not %d, %d", step.before, p.Next(), p.LastMark(), next, mark)
		}
		p = mustOpen(t, disk, o)
		p.Trim(step.before)
		fill(p, step.more)
		o.Synced = mustSync(t, p)
	}
}

// TestDropTrimmedWithoutRoom: where not even an empty segment finds room, trimmed
// records stay on disk and the log goes on.
func TestDropTrimmedWithoutRoom(t *testing.T) {
	t.Parallel()
	for room := range int64(60) { // a header has 56 bytes
		disk := crashfs.New(16)
		p := mustOpen(t, disk, log.Options{SegmentBytes: 100, Root: "/"})
		mustAppend(t, p, one(1, "gone"))
		o := log.Options{SegmentBytes: 100, Root: "/", Synced: mustSync(t, p)}
		p.Trim(1)
		disk.Limit(room)
		freed, err := p.DropTrimmed()
		if err != nil || (freed > 0) != (room >= 56) {
			t.Fatalf("room for %d bytes: freed %d, %v", room, freed, err)
		}
		if names := listing(t, disk, ".seg"); len(names) != 1 {
			t.Fatalf("room for %d bytes: the segments are %v", room, names)
		}
		disk.Limit(-1)
		if at := mustAppend(t, p, one(2, "kept")); at != 1 {
			t.Fatalf("room for %d bytes: appended at %d", room, at)
		}
		o.Synced = mustSync(t, p)
		p = mustOpen(t, disk.Crash(), o)
		if p.Next() != 2 || p.LastMark() != 2 {
			t.Fatalf("room for %d bytes: the log ends at %d, mark %d", room, p.Next(), p.LastMark())
		}
	}
}

func TestCutAfterIsDurable(t *testing.T) {
	t.Parallel()
	disk, h, _ := written(t, 12, small(), 100, 30)
	p := mustOpen(t, disk, small())
	m := h.batches[len(h.batches)/3].mark
	// At every step on the way the log opens and ends with a whole batch.
	disk.Before(func(op crashfs.Op) {
		o := small()
		o.FS = disk.Crash()
		if after, err := log.Open(dir, o); err != nil || after.LastMark() < m {
			t.Errorf("power cut before %v: %v", op, err)
		}
	})
	if err := p.CutAfter(m); err != nil {
		t.Fatal(err)
	}
	disk.Before(nil)
	h.cutAfter(m)
	for range 20 {
		after := mustOpen(t, disk.Crash(), small())
		if after.Next() != h.next || after.LastMark() != h.mark {
			t.Fatalf("after a power cut the log ends at %d, mark %d, it was cut to %d, %d", after.Next(), after.LastMark(), h.next, h.mark)
		}
		if err := h.compare(after, 0, 500); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	disk, _, _ := written(t, 13, small(), 100, 30)
	for range 2 {
		if err := log.Remove(disk, dir); err != nil {
			t.Fatal(err)
		}
	}
	p := mustOpen(t, disk, log.Options{})
	if p.Next() != 0 || p.SizeBytes() != 0 {
		t.Fatalf("the log has %d bytes up to %d", p.SizeBytes(), p.Next())
	}
}

// TestRebuildsIndex takes the index files away: the answers stay, the files come
// back.
func TestRebuildsIndex(t *testing.T) {
	t.Parallel()
	disk, h, point := written(t, 14, small(), 100, 30)
	want := map[string]string{}
	for _, name := range listing(t, disk, ".idx") {
		want[name] = string(content(t, disk, name))
		if err := disk.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	o := small()
	o.Synced = point
	p := mustOpen(t, disk, o)
	if err := h.compare(p, 0, 50); err != nil {
		t.Fatal(err)
	}
	for name, bytes := range want {
		if got := string(content(t, disk, name)); got != bytes {
			t.Errorf("%s was %x, is %x", name, bytes, got)
		}
	}
}
