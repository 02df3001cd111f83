package raftlog

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/log/crashfs"
)

// goldenBytes is a segment with one record of every type, built with a salt
// that does not change.
func goldenBytes(t testing.TB) []byte {
	t.Helper()
	fh := fileHeader{sequence: 3, base: 4096, salt: [16]byte([]byte("salt of a golden"))}
	out := make([]byte, headerSize)
	fh.put(out, segmentID)
	add := func(durable uint64, build func(r *round) error) {
		var r round
		if err := build(&r); err != nil {
			t.Fatal(err)
		}
		r.seal(durable, fh.seed(), int64(len(out)))
		out = append(out, r.buf...)
	}
	add(4096, func(r *round) error {
		if err := r.add(header{kind: typeCheckpoint, a: 1}, nil); err != nil {
			return err
		}
		return r.addState(7, 1, pb.State{Term: 2, Vote: 1, Commit: 10})
	})
	add(4352, func(r *round) error {
		return r.addBootstrap(7, 1, pb.Bootstrap{Addresses: map[uint64]string{1: "a:1"}, Type: pb.OnDiskStateMachine})
	})
	add(4480, func(r *round) error {
		es := []pb.Entry{
			{Term: 2, Index: 11, Type: pb.EncodedEntry, Key: 300, ClientID: 4, SeriesID: 5, RespondedTo: 6, Cmd: []byte("first")},
			{Term: 3, Index: 12},
		}
		if err := r.addEntries(7, 1, es); err != nil {
			return err
		}
		return r.addState(7, 1, pb.State{Term: 3, Vote: 1, Commit: 11})
	})
	add(4672, func(r *round) error {
		return r.addSnapshot(7, 1, pb.Snapshot{ShardID: 7, Index: 12, Term: 3, Filepath: "snap", FileSize: 9}, flagInstalled)
	})
	add(4864, func(r *round) error {
		return r.add(header{kind: typeCompacted, shard: 7, replica: 1, a: 11}, nil)
	})
	add(4864, func(r *round) error { return r.add(header{kind: typeRemoval, shard: 8, replica: 2}, nil) })
	return out
}

// wantGolden compares bytes with a committed dump of them. With -raftlog.update it writes
// the dump.
func wantGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	name := filepath.Join("testdata", file)
	dump := hex.Dump(got)
	if flag.Lookup("raftlog.update").Value.String() == "true" {
		if err := os.WriteFile(name, []byte(dump), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if dump != string(want) {
		t.Errorf("the format has changed; it is\n%s", dump)
	}
}

// TestGolden compares the format with the committed bytes: a change of it must
// not go unnoticed.
func TestGolden(t *testing.T) {
	t.Parallel()
	got := goldenBytes(t)
	wantGolden(t, "golden.wal.hex", got)
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "formats", "raftlog.md"))
	if err != nil {
		t.Fatal(err)
	}
	if record := hex.Dump(got[320:448]); !bytes.Contains(doc, []byte(record)) {
		t.Errorf("docs/formats/raftlog.md does not show the record\n%s", record)
	}
}

// onDisk returns a disk that holds one segment, the third of a log, with the
// bytes given.
func onDisk(t testing.TB, segment []byte) *crashfs.Disk {
	t.Helper()
	d := crashfs.New(1)
	if err := d.MkdirAll(damagedDir); err != nil {
		t.Fatal(err)
	}
	mark := make([]byte, 2*sectorSize)
	watermark{write: 1, first: 3, end: 4096}.put(mark)
	for name, data := range map[string][]byte{segmentName(3): segment, watermarkName: mark} {
		file, err := d.Create(filepath.Join(damagedDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// TestGoldenOpens reads the golden segment as a log.
func TestGoldenOpens(t *testing.T) {
	t.Parallel()
	db := open(t, damagedDir, Options{FS: onDisk(t, goldenBytes(t))})
	ss, err := db.GetSnapshot(7, 1)
	if err != nil || ss.Index != 12 || ss.Filepath != "snap" {
		t.Errorf("snapshot %+v, %v", ss, err)
	}
	got := iterate(t, db, 7, 1, 12, 13, noLimit)
	if len(got) != 1 || got[0].Term != 3 || len(iterate(t, db, 7, 1, 11, 13, noLimit)) != 0 {
		t.Errorf("entries %+v", got)
	}
	rs, err := db.ReadRaftState(7, 1, 11)
	if err != nil || rs.State != (pb.State{Term: 3, Vote: 1, Commit: 11}) || rs.EntryCount != 1 {
		t.Errorf("state %+v, %v", rs, err)
	}
	shut(t, db)
}

// TestNewerVersion: a file of a later format is refused before anything is
// changed.
func TestNewerVersion(t *testing.T) {
	t.Parallel()
	segment := goldenBytes(t)
	segment[8] = formatVersion + 1
	le32(segment[56:], checksum(0, segment[:56]))
	disk := onDisk(t, segment)
	_, err := Open(damagedDir, Options{FS: disk})
	wantCode(t, err, "raft_log_version")
	if after, err := readDisk(disk, segmentName(3)); err != nil || !bytes.Equal(after, segment) {
		t.Errorf("the file was changed: %v", err)
	}
}

func le32(p []byte, v uint32) { p[0], p[1], p[2], p[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24) }

// FuzzOpen takes any bytes for a segment: the log opens or says why not, and
// what it says it has can be read.
func FuzzOpen(f *testing.F) {
	golden := goldenBytes(f)
	for _, end := range []int{0, headerSize, 128, 300, len(golden) - 1, len(golden)} {
		f.Add(golden[:end])
	}
	f.Fuzz(func(t *testing.T, segment []byte) {
		db, err := Open(damagedDir, Options{FS: onDisk(t, segment)})
		if err != nil {
			return
		}
		for _, id := range db.sortedIDs() {
			rs, err := db.ReadRaftState(id.ShardID, id.ReplicaID, 0)
			if err != nil || rs.EntryCount > 1<<20 {
				continue
			}
			if _, _, err := db.IterateEntries(nil, 0, id.ShardID, id.ReplicaID, rs.FirstIndex, rs.FirstIndex+rs.EntryCount, noLimit); err != nil {
				wantCode(t, err, "raft_log_corrupt")
			}
		}
		shut(t, db)
	})
}

// FuzzEntry takes any bytes for an entry; what decodes encodes to something
// that decodes to the same.
func FuzzEntry(f *testing.F) {
	f.Add([]byte{})
	e := entries(3, 9, 9, 40)[0]
	f.Add(appendEntry(nil, &e))
	f.Fuzz(func(t *testing.T, p []byte) {
		e, used := readEntry(p)
		if used == 0 {
			return
		}
		again, n := readEntry(appendEntry(nil, &e))
		if used > len(p) || n == 0 || !equalEntries([]pb.Entry{e}, []pb.Entry{again}) {
			t.Errorf("%+v, then %+v", e, again)
		}
	})
}
