package raftlog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/fault"
	"leat/log"
	"leat/log/crashfs"
)

// files are the files of a log by base name.
type files map[string][]byte

func readFiles(t *testing.T, dir string) files {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := files{}
	for _, e := range entries {
		p, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := parseSegmentName(e.Name()); ok {
			p = bytes.TrimRight(p, "\x00") // written ahead
		}
		out[e.Name()] = p
	}
	return out
}

// disk returns a disk with the files in /raft, with one of them replaced.
func (f files) disk(t *testing.T, name string, data []byte) *crashfs.Disk {
	t.Helper()
	d := crashfs.New(1)
	if err := d.MkdirAll(damagedDir); err != nil {
		t.Fatal(err)
	}
	for n, content := range f {
		if n == name {
			content = data
		}
		file, err := d.Create(filepath.Join(damagedDir, n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

const damagedDir = "/raft"

// readDisk returns the bytes of a file.
func readDisk(d *crashfs.Disk, name string) ([]byte, error) {
	file, err := d.Open(filepath.Join(damagedDir, name))
	if err != nil {
		return nil, err
	}
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	p := make([]byte, size)
	return p, readFull(file, p, 0)
}

// sample makes a log of a few rounds in a few segments. The last round of the
// model it returns first is missing from the one it returns second. The files
// are those of a log that was closed, or of one whose process died.
func sample(t *testing.T, closed bool, segmentBytes int64) (all, before model, f files, lastRound int64) {
	t.Helper()
	dir := t.TempDir()
	db := open(t, dir, Options{SegmentBytes: segmentBytes, FS: unsynced{log.OS()}})
	boots(1)(t, db)
	m := model{}
	m.replica(1).booted = true
	put := func(shard uint64, s pb.State, es []pb.Entry) {
		save(t, db, update(shard, 1, s, es))
		r := m.replica(shard)
		r.state = s
		for _, e := range es {
			r.voidFrom(e.Index)
			r.entries[e.Index], r.last = e, e.Index
		}
	}
	put(1, pb.State{Term: 1, Vote: 1}, entries(1, 1, 3, 50))
	put(2, pb.State{Term: 2, Vote: 1}, entries(2, 1, 2, 700))
	put(1, pb.State{Term: 1, Vote: 1, Commit: 3}, nil)
	put(1, pb.State{Term: 3, Vote: 1, Commit: 3}, entries(3, 3, 5, 300))
	snapshots(2, 1, 2)(t, db)
	m.replica(2).snapshot = snapshot(2, 1, 2)
	before = m.clone()
	lastRound = db.active().end
	put(2, pb.State{Term: 4, Vote: 1, Commit: 2}, entries(4, 3, 4, 600))
	if closed {
		shut(t, db)
	}
	return m, before, readFiles(t, dir), lastRound
}

func lastSegment(f files) string {
	last := ""
	for name := range f {
		if _, ok := parseSegmentName(name); ok {
			last = max(last, name)
		}
	}
	return last
}

// TestTornTail stops the last write at every byte, with the rest of the file
// missing or zero. What had been acknowledged before is there, the torn end is
// kept beside the segment, and the log can be written again.
func TestTornTail(t *testing.T) {
	t.Parallel()
	all, before, f, from := sample(t, false, 1<<20)
	name := lastSegment(f)
	whole := f[name]
	end := int64(len(whole))
	for _, zeros := range []bool{false, true} {
		t.Run(fmt.Sprintf("zeros=%v", zeros), func(t *testing.T) {
			t.Parallel()
			for cut := from; cut <= end; cut++ {
				data := append([]byte(nil), whole[:cut]...)
				if zeros {
					data = append(data, make([]byte, end+700-cut)...)
				}
				disk := f.disk(t, name, data)
				db := open(t, damagedDir, Options{FS: disk})
				want := before
				if cut == end {
					want = all
				}
				if err := want.differs(db); err != nil {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				if cut > from && cut < end {
					torn, err := readDisk(disk, name+tornSuffix)
					if kept := bytes.TrimRight(whole[from:cut], "\x00"); err != nil || !bytes.HasPrefix(torn, kept) {
						t.Fatalf("cut at %d: the torn end is not kept: %v", cut, err)
					}
				}
				if cut%97 == 0 {
					checkWritable(t, disk, db)
				} else {
					shut(t, db)
				}
			}
		})
	}
}

func checkWritable(t *testing.T, disk *crashfs.Disk, db *DB) {
	t.Helper()
	save(t, db, update(7, 1, pb.State{Term: 9}, entries(9, 1, 2, 10)))
	shut(t, db)
	db = open(t, damagedDir, Options{FS: disk})
	if got := iterate(t, db, 7, 1, 1, 3, noLimit); !equalEntries(got, entries(9, 1, 2, 10)) {
		t.Fatalf("written after the cut: %v", got)
	}
	shut(t, db)
}

// TestBitFlips flips bits of every byte of the log. Nothing that had been
// acknowledged may be missing without an error that says where.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{true, false} {
		for _, size := range []int64{1 << 20, 2000} {
			t.Run(fmt.Sprintf("closed=%v segments=%d", closed, size), func(t *testing.T) {
				t.Parallel()
				all, _, f, _ := sample(t, closed, size)
				refused, lost := 0, 0
				for name, whole := range f {
					for i := range len(whole) + 200 {
						data := append(bytes.Clone(whole), make([]byte, 1000)...)
						data[i] ^= 1 << ((i * 5) % 8)
						db, err := Open(damagedDir, Options{FS: f.disk(t, name, data)})
						if err != nil {
							refused++
							checkRefusal(t, err, name)
							continue
						}
						if err := all.differs(db); err != nil {
							lost++
							t.Errorf("%s, byte %d flipped: silently lost: %v", name, i, err)
						}
						shut(t, db)
					}
				}
				if refused < 1000 || lost > 0 {
					t.Errorf("%d flips refused, %d silently lost something", refused, lost)
				}
			})
		}
	}
}

func checkRefusal(t *testing.T, err error, name string) {
	t.Helper()
	f := fault.As(err)
	if f == nil {
		t.Fatalf("%s: refused without a fault: %v", name, err)
	}
	switch f.Code {
	case "raft_log_corrupt", "log_truncated":
		if f.Kind != fault.Corrupt || f.Detail["offset"] == nil || filepath.Dir(f.Detail["file"].(string)) != damagedDir {
			t.Errorf("%s: refused with %+v, which does not say where", name, f)
		}
	case "raft_log_version":
	default:
		t.Errorf("%s: refused with %s", name, f.Code)
	}
}

// TestZeroedSectors zeroes every sector of a log whose process died. That looks
// like a torn write, but a later record vouches for all except the last round.
func TestZeroedSectors(t *testing.T) {
	t.Parallel()
	all, before, f, lastRound := sample(t, false, 1<<20)
	name := lastSegment(f)
	for at := int64(0); at < int64(len(f[name])); at += sectorSize {
		data := bytes.Clone(f[name])
		clear(data[at:min(at+sectorSize, int64(len(data)))])
		db, err := Open(damagedDir, Options{FS: f.disk(t, name, data)})
		if err != nil {
			checkRefusal(t, err, name)
			continue
		}
		if at < lastRound {
			t.Errorf("sector at %d zeroed: opened, %v", at, all.differs(db))
		}
		if err := before.differs(db); err != nil {
			t.Errorf("sector at %d zeroed: %v", at, err)
		}
		shut(t, db)
	}
}

// TestTruncation shortens a log that was closed, segment by segment, at every
// record boundary and between: the end it had reached is known, so all of it is
// noticed.
func TestTruncation(t *testing.T) {
	t.Parallel()
	_, _, f, _ := sample(t, true, 2000)
	for name, whole := range f {
		if _, ok := parseSegmentName(name); !ok {
			continue
		}
		for cut := 0; cut < len(whole); cut += 32 {
			_, err := Open(damagedDir, Options{FS: f.disk(t, name, whole[:cut])})
			if err == nil {
				t.Fatalf("%s cut at %d of %d: opened", name, cut, len(whole))
			}
			checkRefusal(t, err, name)
		}
	}
}

func TestMissingFiles(t *testing.T) {
	t.Parallel()
	all, _, f, _ := sample(t, true, 2000)
	if len(f) < 4 {
		t.Fatalf("only %d files", len(f))
	}
	for name := range f {
		disk := f.disk(t, "", nil)
		if err := disk.Remove(filepath.Join(damagedDir, name)); err != nil {
			t.Fatal(err)
		}
		db, err := Open(damagedDir, Options{FS: disk})
		if name == indexName { // everything in it is in the segments
			if err != nil {
				t.Errorf("without the index: %v", err)
				continue
			}
			if err := all.differs(db); err != nil {
				t.Errorf("without the index: %v", err)
			}
			shut(t, db)
			continue
		}
		code := "log_truncated"
		if name == watermarkName {
			code = "raft_log_corrupt"
		}
		wantCode(t, err, code)
	}
	_, err := Open(damagedDir, Options{FS: f.disk(t, watermarkName, make([]byte, 2*sectorSize))})
	wantCode(t, err, "raft_log_corrupt")
}

// TestRecordsInsidePayload: a client may send the bytes of a log as a record's
// value. They must not pass for records when a torn write is judged.
func TestRecordsInsidePayload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir, Options{})
	save(t, db, update(1, 1, pb.State{Term: 1}, entries(1, 1, 3, 100)))
	save(t, db, update(1, 1, pb.State{Term: 2}, entries(2, 4, 5, 100)))
	start := db.active().end
	// The worst a client could send: headers good in this very file, but for
	// another place, which vouch for everything before them.
	var forged round
	for range 20 {
		if err := forged.addState(1, 1, pb.State{Term: 99}); err != nil {
			t.Fatal(err)
		}
	}
	forged.seal(noLimit, db.active().seed, 0)
	var cmd []byte
	for range unit { // one copy for every alignment
		cmd = append(append(cmd, forged.buf...), 1)
	}
	evil := []pb.Entry{{Index: 6, Term: 2, Cmd: cmd}}
	save(t, db, update(1, 1, pb.State{Term: 2}, evil))
	f := readFiles(t, dir)
	data := f[segmentName(1)]
	clear(data[start+sectorSize : start+3*sectorSize]) // sectors that never arrived
	db2 := open(t, damagedDir, Options{FS: f.disk(t, "", nil)})
	if got := iterate(t, db2, 1, 1, 1, 100, noLimit); len(got) != 5 {
		t.Errorf("%d entries, want the 5 of before the torn write", len(got))
	}
	shut(t, db2)
	shut(t, db)
}

// TestReadVerifies damages a record under a running log: reading it is an error
// that names the place, never wrong bytes.
func TestReadVerifies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir, Options{FS: unsynced{log.OS()}})
	from := db.active().end
	save(t, db, update(1, 1, pb.State{Term: 1}, entries(1, 1, 3, 100)))
	h := header{length: 1}
	size := db.replicas[db.sortedIDs()[0]].spans[0].size
	file, err := db.fs.Open(db.active().name)
	if err != nil {
		t.Fatal(err)
	}
	for at := from; at < from+size; at++ {
		var b [1]byte
		if err := readFull(file, b[:], at); err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt([]byte{b[0] ^ 0x10}, at); err != nil {
			t.Fatal(err)
		}
		_, _, err := db.IterateEntries(nil, 0, 1, 1, 1, 4, noLimit)
		if err == nil {
			t.Fatalf("byte %d damaged: read without an error", at)
		}
		wantCode(t, err, "raft_log_corrupt")
		if _, err := file.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
	}
	if got := iterate(t, db, 1, 1, 1, 4, noLimit); len(got) != 3 || h.size() != 128 {
		t.Errorf("%d entries after the repair", len(got))
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	shut(t, db)
}
