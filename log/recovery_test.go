package log_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"leat/internal/fault"
	"leat/log"
	"leat/log/crashfs"
)

// small are the options of a log with a few frames to a segment.
func small() log.Options { return log.Options{SegmentBytes: 600, IndexBytes: 150, Root: "/"} }

// written returns a disk with a log of a number of batches, synced after some of
// them, and closed.
func written(t testing.TB, seed uint64, o log.Options, synced, batches int) (*crashfs.Disk, *history, *log.SyncPoint) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	disk := crashfs.New(seed)
	p := mustOpen(t, disk, o)
	h, point := &history{}, &log.SyncPoint{}
	for i := range batches {
		if i == synced {
			point = mustSync(t, p)
		}
		mustAppend(t, p, h.grow(rng))
	}
	if synced >= batches {
		point = mustSync(t, p)
	}
	mustClose(t, p)
	return disk, h, point
}

// copied returns a disk with the files of another, all of them synced.
func copied(t testing.TB, from *crashfs.Disk) *crashfs.Disk {
	t.Helper()
	to := crashfs.New(0)
	for _, name := range listing(t, from, "") {
		overwrite(t, to, name, content(t, from, name))
	}
	return to
}

// TestTornTail cuts the last segment at every byte of its unsynced tail, and
// leaves there nothing, zeros or garbage.
func TestTornTail(t *testing.T) {
	t.Parallel()
	disk, whole, point := written(t, 1, log.Options{}, 3, 6)
	name := listing(t, disk, ".seg")[0]
	data := content(t, disk, name)
	rng := rand.New(rand.NewPCG(1, 3))
	for _, tail := range []string{"nothing", "zeros", "garbage"} {
		for _, synced := range []*log.SyncPoint{point, nil, {}} {
			for at := point.SizeBytes; at < int64(len(data)); at++ {
				torn := slices.Clone(data[:at])
				switch tail {
				case "zeros":
					torn = append(torn, make([]byte, int64(len(data))-at)...)
				case "garbage":
					torn = append(torn, randomBytes(rng, 1+rng.IntN(200))...)
				}
				files := copied(t, disk)
				overwrite(t, files, name, torn)
				if err := checkTorn(t, files, whole, torn, at, synced); err != nil {
					t.Fatalf("%s from byte %d on, sync point %v: %v", tail, at, synced, err)
				}
			}
		}
	}
}

// checkTorn opens a log of one segment that is sound up to byte at.
func checkTorn(t *testing.T, files log.FS, whole *history, torn []byte, at int64, synced *log.SyncPoint) error {
	p := mustOpen(t, files, log.Options{Synced: synced})
	defer mustClose(t, p)
	end := p.SizeBytes()
	left := history{batches: whole.batches}
	left.cutAt(p.Next())
	if end > at && !bytes.Equal(torn[at:end], make([]byte, end-at)) || p.Next() != left.next || p.LastMark() != left.mark {
		return fmt.Errorf("the log ends at %d, mark %d, byte %d", p.Next(), p.LastMark(), end)
	}
	if n := len(left.batches); n < len(whole.batches) {
		// The frame after the cut would have ended after the sound bytes.
		if next := sizeOf(whole.batches[n]); end+next <= at {
			return fmt.Errorf("the log was cut at byte %d, but the frame there ends at %d", end, end+next)
		}
	}
	if err := left.compare(p, 0, 1<<20); err != nil {
		return err
	}
	copies := listing(t, files, ".torn")
	if int64(len(torn)) == end {
		if len(copies) != 0 {
			return fmt.Errorf("nothing was cut, and %v kept", copies)
		}
	} else if len(copies) != 1 || !bytes.Equal(content(t, files, copies[0]), torn[end:]) {
		return fmt.Errorf("the torn bytes are not in %v", copies)
	}
	rng := rand.New(rand.NewPCG(uint64(at), 0))
	mustAppend(t, p, left.grow(rng))
	return left.compare(p, 0, 1<<20)
}

func sizeOf(b batch) int64 {
	var block log.Block
	for i := range b.values {
		block.Add(b.keys[i], b.values[i])
	}
	return int64(40 + len(block.Bytes))
}

// TestDamage flips a bit in every byte of every file of a synced log, before it
// is opened and while it is open. A record is then read as it was appended, or not.
func TestDamage(t *testing.T) {
	t.Parallel()
	disk, h, point := written(t, 5, small(), 100, 9)
	if n := len(listing(t, disk, ".seg")); n < 2 {
		t.Fatalf("%d segments are too few for the test", n)
	}
	detected := 0
	seed := seeds(t, 0)[0]
	rng := rand.New(rand.NewPCG(seed, 5))
	for _, name := range listing(t, disk, "") {
		good := content(t, disk, name)
		for at := range good {
			bit := at*8 + rng.IntN(8)
			data := slices.Clone(good)
			data[bit/8] ^= 1 << (bit % 8)
			files := copied(t, disk)
			overwrite(t, files, name, data)
			isIndex := name[len(name)-4:] == ".idx"
			err := checkDamage(files, h, point)
			if errors.Is(err, errDetected) && !isIndex {
				detected++
				err = nil
			}
			if err != nil {
				t.Fatalf("%s with bit %d of byte %d flipped: %v\n%s", name, bit%8, at, err, rerun(t, seed))
			}
			if err := checkDamageWhileOpen(t, disk, h, name, data); err != nil {
				t.Fatalf("%s with bit %d of byte %d flipped under the open log: %v\n%s", name, bit%8, at, err, rerun(t, seed))
			}
		}
	}
	if detected == 0 {
		t.Fatal("no damage was detected")
	}
}

var errDetected = errors.New("detected")

// checkDamage opens a damaged log and reads from every third offset.
func checkDamage(files log.FS, h *history, point *log.SyncPoint) error {
	o := small()
	o.FS, o.Synced = files, point
	p, err := log.Open(dir, o)
	if isCorrupt(err) {
		return errDetected
	}
	if err != nil {
		return err
	}
	if p.Next() != h.next || p.First() != 0 || p.LastMark() != h.mark {
		return fmt.Errorf("the log has %d to %d, mark %d", p.First(), p.Next(), p.LastMark())
	}
	return checkReads(p, h)
}

func checkReads(p *log.Partition, h *history) (result error) {
	for from := log.Offset(0); from < h.next; from += 3 {
		err := h.compare(p, from, 200)
		if err != nil && !isCorrupt(err) {
			return err
		}
		if err != nil {
			result = errDetected
		}
	}
	for _, b := range h.batches {
		got, err := p.OffsetAtTime(b.timeMs)
		if err == nil && (got > b.base || h.at(got).timeMs < b.timeMs) || err != nil && !isCorrupt(err) {
			return fmt.Errorf("time %d ms of offset %d found at %d: %w", b.timeMs, b.base, got, err)
		}
		base, count, ok := p.FindMark(b.mark)
		if ok && (base > b.base || base+log.Offset(count) < b.end()) {
			return fmt.Errorf("mark %d of offset %d found at %d, %d records", b.mark, b.base, base, count)
		}
	}
	return result
}

func checkDamageWhileOpen(t *testing.T, disk *crashfs.Disk, h *history, name string, data []byte) error {
	files := copied(t, disk)
	p := mustOpen(t, files, small())
	defer mustClose(t, p)
	if err := h.compare(p, 0, 100); err != nil {
		return err
	}
	f, err := files.Open(name)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	if err := checkReads(p, h); !errors.Is(err, errDetected) {
		return err
	}
	return nil
}

// TestMissingAndResizedSegments takes trusted segments away or changes their
// length.
func TestMissingAndResizedSegments(t *testing.T) {
	t.Parallel()
	disk, _, point := written(t, 6, small(), 100, 20)
	segments := listing(t, disk, ".seg")
	for i, name := range segments {
		for _, synced := range []*log.SyncPoint{point, nil} {
			files := copied(t, disk)
			if err := files.Remove(name); err != nil {
				t.Fatal(err)
			}
			o := small()
			o.FS, o.Synced = files, synced
			// The oldest may have been trimmed away, the newest not yet begun.
			_, err := log.Open(dir, o)
			if want := i > 0 && (i < len(segments)-1 || synced != nil); isCorrupt(err) != want {
				t.Errorf("segment %d of %d missing, sync point %v: %v", i, len(segments), synced, err)
			}
			for _, change := range []int{-1, 1} {
				data := content(t, disk, name)
				overwrite(t, files, name, append(data, 0)[:len(data)+change])
				_, err := log.Open(dir, o)
				last := i == len(segments)-1
				if want := !last || synced != nil && change < 0; isCorrupt(err) != want {
					t.Errorf("segment %d of %d changed by %d bytes, sync point %v: %v", i, len(segments), change, synced, err)
				}
			}
		}
	}
}

// TestForeignSyncPoint opens a log with a sync point that is not its own.
func TestForeignSyncPoint(t *testing.T) {
	t.Parallel()
	disk, _, point := written(t, 7, small(), 12, 20)
	for _, change := range []func(*log.SyncPoint){
		func(s *log.SyncPoint) { s.Next++ },
		func(s *log.SyncPoint) { s.Mark++ },
		func(s *log.SyncPoint) { s.SizeBytes-- },
		func(s *log.SyncPoint) { s.SizeBytes += 1 << 20 },
		func(s *log.SyncPoint) { s.Segment++ },
		func(s *log.SyncPoint) { *s = log.SyncPoint{Segment: 5, Next: 5} },
	} {
		wrong := *point
		change(&wrong)
		o := small()
		o.FS, o.Synced = copied(t, disk), &wrong
		if p, err := log.Open(dir, o); !isCorrupt(err) {
			t.Errorf("opened with %v in place of %v: %v %v", wrong, *point, p, err)
		}
	}
	// A log of one segment, with a point that says it begins further on.
	o := small()
	disk, _, _ = written(t, 7, o, 1, 1)
	o.FS, o.Synced = disk, &log.SyncPoint{Segment: 5, Next: 5}
	if p, err := log.Open(dir, o); !isCorrupt(err) {
		t.Errorf("opened one segment with %v: %v %v", *o.Synced, p, err)
	}
	o = log.Options{FS: crashfs.New(1), Synced: point}
	if _, err := log.Open(dir, o); !isCorrupt(err) {
		t.Errorf("opened without any file and %v: %v", *point, err)
	}
}

// TestUnknownVersion has a frame and a header of a later release refused and
// left as they are.
func TestUnknownVersion(t *testing.T) {
	t.Parallel()
	disk, _, _ := written(t, 8, log.Options{}, 100, 2)
	name := listing(t, disk, ".seg")[0]
	good := content(t, disk, name)
	for _, at := range []int{7, 48, 56 + 6, 56 + 7} {
		data := slices.Clone(good)
		data[at] += 2
		resum(data)
		files := copied(t, disk)
		overwrite(t, files, name, data)
		_, err := log.Open(dir, log.Options{FS: files, Synced: &log.SyncPoint{}})
		if fault.KindOf(err) != fault.Unsupported {
			t.Errorf("opened with byte %d changed: %v", at, err)
		}
		if !bytes.Equal(content(t, files, name), data) {
			t.Errorf("the segment with byte %d changed was written to", at)
		}
	}
}

// TestStartsAtSyncPoint restores an empty partition that does not begin with 0.
func TestStartsAtSyncPoint(t *testing.T) {
	t.Parallel()
	point := &log.SyncPoint{Segment: 1000, Next: 1000, Mark: 77}
	disk := crashfs.New(1)
	p := mustOpen(t, disk, log.Options{Synced: point})
	if p.First() != 1000 || p.Next() != 1000 || p.LastMark() != 77 {
		t.Fatalf("the log has %d to %d, mark %d", p.First(), p.Next(), p.LastMark())
	}
	if got := mustSync(t, p); *got != *point {
		t.Fatalf("synced to %v, not %v", *got, *point)
	}
	h := history{next: 1000, mark: 77}
	if at := mustAppend(t, p, h.grow(rand.New(rand.NewPCG(1, 1)))); at != 1000 {
		t.Fatalf("appended at %d", at)
	}
	mustClose(t, p)
	p = mustOpen(t, disk.Crash(), log.Options{Synced: point})
	if p.First() != 1000 || p.Next() < 1000 || p.LastMark() < 77 {
		t.Fatalf("after a power cut the log has %d to %d, mark %d", p.First(), p.Next(), p.LastMark())
	}
}

// TestFramesOutOfPlace has frames with sound checksums, which do not belong where
// they lie, cut like any other that does not hold.
func TestFramesOutOfPlace(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	p := mustOpen(t, disk, log.Options{})
	mustAppend(t, p, one(5, "first"))
	end := p.SizeBytes()
	mustAppend(t, p, one(6, "second"))
	mustClose(t, p)
	name := listing(t, disk, ".seg")[0]
	data := content(t, disk, name)
	first, second := data[56:end], data[end:]
	for what, c := range map[string]struct {
		frames []byte
		left   log.Offset
	}{
		"in order":          {slices.Concat(first, second), 2},
		"the first twice":   {slices.Concat(first, first, second), 1},
		"the first missing": {second, 0},
		"mark goes back":    {slices.Concat(first, altered(second, 16, 4)), 1},
		"no records":        {slices.Concat(first, altered(second, 12, 0)), 1},
		"too many records":  {slices.Concat(first, altered(second, 12, 200)), 1},
	} {
		files := crashfs.New(1)
		overwrite(t, files, name, append(slices.Clone(data[:56]), c.frames...))
		p := mustOpen(t, files, log.Options{Synced: &log.SyncPoint{}})
		if p.Next() != c.left {
			t.Errorf("%s: %d records are left, not %d", what, p.Next(), c.left)
		}
	}
}

// altered returns a frame with another byte in its header and a checksum that
// holds.
func altered(frame []byte, at int, to byte) []byte {
	frame = slices.Clone(frame)
	frame[at] = to
	binary.LittleEndian.PutUint32(frame, crc32.Checksum(frame[4:], crc32.MakeTable(crc32.Castagnoli)))
	return frame
}

// TestNothingSynced cuts the power on a log of several segments that was never
// synced: what is left begins at its beginning.
func TestNothingSynced(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	p := mustOpen(t, disk, small())
	h, rng := &history{}, rand.New(rand.NewPCG(1, 8))
	for p.SizeBytes() < 4*600 {
		mustAppend(t, p, h.grow(rng))
	}
	o := small()
	o.Synced = &log.SyncPoint{}
	for range 200 {
		after := mustOpen(t, disk.Crash(), o)
		if after.First() != 0 {
			t.Fatalf("the log begins at %d", after.First())
		}
		if err := h.compare(after, 0, 500); err != nil {
			t.Fatal(err)
		}
	}
}
