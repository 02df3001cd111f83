package log_test

import (
	"math/rand/v2"
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
	p.Trim(h.next + 100)
	p.Trim(3) // never back
	if p.First() != h.next {
		t.Fatalf("first is %d after all was trimmed", p.First())
	}
	before := p.SizeBytes()
	freed, err := p.DropTrimmed()
	if err != nil || freed != before-p.SizeBytes() || freed == 0 {
		t.Fatalf("freed %d of %d bytes, %d left: %v", freed, before, p.SizeBytes(), err)
	}
	if seg, idx := listing(t, disk, ".seg"), listing(t, disk, ".idx"); len(seg) != 1 || len(idx) != 1 || files < 2 {
		t.Fatalf("of %d segments %v and %v are left", files, seg, idx)
	}
	if err := p.CutAfter(0); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("cut below what was dropped: %v", err)
	}
	mustClose(t, p)
	// The old sync point lies in a segment that is gone.
	p = mustOpen(t, disk.Crash(), o)
	if p.Next() != h.next || p.LastMark() != h.mark {
		t.Fatalf("the log ends at %d, mark %d, not at %d, %d", p.Next(), p.LastMark(), h.next, h.mark)
	}
	mustAppend(t, p, h.grow(rand.New(rand.NewPCG(1, 1))))
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
