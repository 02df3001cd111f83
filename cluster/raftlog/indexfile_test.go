package raftlog

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/fault"
	"leat/log"
)

// counting counts the bytes that are read.
type counting struct {
	log.FS
	read *atomic.Int64
}

type countingFile struct {
	log.File
	read *atomic.Int64
}

func (c counting) wrap(f log.File, err error) (log.File, error) {
	if err != nil {
		return nil, err
	}
	return countingFile{f, c.read}, nil
}
func (c counting) Create(name string) (log.File, error) { return c.wrap(c.FS.Create(name)) }
func (c counting) Open(name string) (log.File, error)   { return c.wrap(c.FS.Open(name)) }
func (f countingFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	f.read.Add(int64(n))
	return n, err
}

// TestOpenReadsTheTail: what Open reads does not grow with the log, only with what came
// after the saved index and after the snapshots.
func TestOpenReadsTheTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := Options{SegmentBytes: 1 << 20, FS: unsynced{log.OS()}}
	db := open(t, dir, options)
	for i := uint64(1); i <= 400; i++ {
		save(t, db, update(1, 1, pb.State{Term: 1, Vote: 1, Commit: i}, entries(1, i, i, 40_000)))
	}
	snapshots(1, 380, 1)(t, db)
	if err := db.SaveIndex(); err != nil {
		t.Fatal(err)
	}
	for i := uint64(401); i <= 410; i++ {
		save(t, db, update(1, 1, pb.State{Term: 1, Vote: 1, Commit: i}, entries(1, i, i, 40_000)))
	}
	if db.SizeBytes() < 16_000_000 || len(db.segments) < 10 {
		t.Fatalf("%d bytes in %d segments are too little for this test", db.SizeBytes(), len(db.segments))
	}
	if got := db.ReplayBytes(); got < 30*40_000 || got > 32*41_000 {
		t.Errorf("%d bytes to replay of 30 entries", got)
	}
	// The process died: the log is not closed.
	var read atomic.Int64
	options.FS = counting{options.FS, &read}
	again := open(t, dir, options)
	if got := read.Load(); got > 30*41_000+4*windowBytes {
		t.Errorf("%d bytes read to open a log of %d", got, again.SizeBytes())
	}
	checkIndex(t, again)
	if got := iterate(t, again, 1, 1, 1, 411, noLimit); !equalEntries(got, entries(1, 1, 410, 40_000)) {
		t.Errorf("%d entries", len(got))
	}
	read.Store(0)
	for more, err := true, error(nil); more; {
		if more, err = again.VerifyNext(1 << 20); err != nil {
			t.Fatal(err)
		}
	}
	if got := read.Load(); got < 15_500_000 {
		t.Errorf("only %d bytes verified later", got)
	}
	shut(t, again)
	shut(t, db)
}

// verifyAll has the rest of a log verified.
func verifyAll(db *DB) error {
	for {
		if more, err := db.VerifyNext(700); err != nil || !more {
			return err
		}
	}
}

// TestBitFlipsUnderIndex flips bits in every byte of a log whose index Open goes by. Open
// refuses, or the log has everything; what is read is right or an error, and a flip that
// Open did not see is found by VerifyNext, after which no start trusts the index.
func TestBitFlipsUnderIndex(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1 << 20, 2000} {
		t.Run(fmt.Sprintf("segments=%d", size), func(t *testing.T) {
			t.Parallel()
			all, _, f, _ := sample(t, true, size)
			atOpen, later := 0, 0
			for name, whole := range f {
				for i := range len(whole) {
					data := bytes.Clone(whole)
					data[i] ^= 1 << ((i * 5) % 8)
					disk := f.disk(t, name, data)
					db, err := Open(damagedDir, Options{FS: disk})
					if err != nil {
						atOpen++
						checkRefusal(t, err, name)
						continue
					}
					if err := all.differs(db); err != nil && fault.KindOf(err) != fault.Corrupt {
						t.Errorf("%s, byte %d flipped: silently lost: %v", name, i, err)
					}
					db.indexed = place{} // or closing would have nothing to save
					if err := verifyAll(db); err != nil {
						later++
						checkRefusal(t, err, name)
						shut(t, db)
						_, err := Open(damagedDir, Options{FS: disk})
						wantCode(t, err, "raft_log_corrupt")
						continue
					}
					if name != indexName && name != watermarkName {
						t.Errorf("%s, byte %d flipped: never found", name, i)
					}
					shut(t, db)
				}
			}
			if atOpen < 1000 || later < 200 {
				t.Errorf("%d flips refused by Open, %d found later", atOpen, later)
			}
		})
	}
}

// TestDamagedIndex cuts the index at every byte: Open goes by the segments then.
func TestDamagedIndex(t *testing.T) {
	t.Parallel()
	all, _, f, _ := sample(t, true, 2000)
	whole := f[indexName]
	for cut := range len(whole) {
		db := open(t, damagedDir, Options{FS: f.disk(t, indexName, whole[:cut])})
		if err := all.differs(db); err != nil || len(db.trusted) > 0 {
			t.Fatalf("cut at %d: %v, %d parts trusted", cut, err, len(db.trusted))
		}
		shut(t, db)
	}
	db := open(t, damagedDir, Options{FS: f.disk(t, "", nil)})
	if err := all.differs(db); err != nil || len(db.trusted) < 2 {
		t.Fatalf("with the whole index: %v, %d parts trusted", err, len(db.trusted))
	}
	shut(t, db)
}

// TestIndexVouches: a log that ends before the place of its index has lost its end, even
// where the watermark knows less.
func TestIndexVouches(t *testing.T) {
	t.Parallel()
	_, _, f, lastRound := sample(t, true, 1<<20)
	name := lastSegment(f)
	mark := make([]byte, 2*sectorSize)
	watermark{write: 1, first: 1}.put(mark)
	f[watermarkName] = mark
	_, err := Open(damagedDir, Options{FS: f.disk(t, name, f[name][:lastRound])})
	wantCode(t, err, "log_truncated")
	_, _, parts, _ := sample(t, true, 2000)
	parts[watermarkName] = mark
	delete(parts, lastSegment(parts))
	_, err = Open(damagedDir, Options{FS: parts.disk(t, "", nil)})
	wantCode(t, err, "log_truncated")
	_, _, other, _ := sample(t, true, 1<<20)
	_, err = Open(damagedDir, Options{FS: f.disk(t, indexName, other[indexName])})
	wantCode(t, err, "raft_log_corrupt")
}

// TestOldIndex: an index stays good whatever is written, compacted and removed after it.
func TestOldIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := Options{SegmentBytes: 8 << 10, FS: unsynced{log.OS()}}
	db := open(t, dir, options)
	for i := uint64(1); i <= 300; i++ {
		save(t, db, update(2, 1, pb.State{Term: 1, Commit: i}, entries(1, i, i, 1000)))
		if i == 100 {
			save(t, db, update(1, 1, pb.State{Term: 1, Commit: 5}, entries(1, 1, 5, 100)))
			if err := db.SaveIndex(); err != nil {
				t.Fatal(err)
			}
		}
		if i > 120 && i%20 == 0 {
			snapshots(2, i, 1)(t, db)
			if err := db.RemoveEntriesTo(2, 1, i-(i-90)/3); err != nil {
				t.Fatal(err)
			}
		}
		if i%7 == 0 {
			again := open(t, dir, options)
			checkIndex(t, again)
			want := iterate(t, db, 2, 1, db.replica(2, 1).compacted+1, i+1, noLimit)
			if got := iterate(t, again, 2, 1, db.replica(2, 1).compacted+1, i+1, noLimit); !equalEntries(got, want) {
				t.Fatalf("after entry %d: %d entries, want %d", i, len(got), len(want))
			}
			if err := again.closeFiles(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if db.segments[0].sequence < db.indexed.sequence {
		t.Error("the segment of the index was never removed")
	}
	shut(t, db)
}

// indexOf is the golden index: that of a log with two replicas.
func indexOf(t testing.TB) []byte {
	t.Helper()
	db := &DB{replicas: map[raftio.NodeInfo]*replica{}, segments: []*segment{{sequence: 3}, {sequence: 4}}}
	db.apply(&header{kind: typeState, shard: 7, replica: 1, a: 3, b: 1, c: 14}, nil, nil, 0)
	db.apply(&header{kind: typeCompacted, shard: 7, replica: 1, a: 10}, nil, nil, 0)
	db.apply(&header{kind: typeEntries, shard: 7, replica: 1, a: 11, b: 12, length: 20}, nil, db.segments[0], 320)
	db.apply(&header{kind: typeEntries, shard: 7, replica: 1, a: 13, b: 14, length: 100}, nil, db.segments[1], 192)
	db.apply(&header{kind: typeState, shard: 8, replica: 1, a: 1, b: 1}, nil, nil, 0)
	disk := onDisk(t, nil)
	db.fs, db.dir = disk, damagedDir
	at := place{sequence: 4, base: 5056, seed: 0x01020304, pos: 448}
	var r round
	if err := db.addIndex(&r, at); err != nil {
		t.Fatal(err)
	}
	if err := db.writeIndex(&r, at); err != nil {
		t.Fatal(err)
	}
	data, err := readDisk(disk, indexName)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestGoldenIndex compares the format of the index with the committed bytes.
func TestGoldenIndex(t *testing.T) {
	t.Parallel()
	got := indexOf(t)
	wantGolden(t, "golden.index.hex", got)
	got[8] = formatVersion + 1
	le32(got[56:], checksum(0, got[:56]))
	_, _, f, _ := sample(t, true, 1<<20)
	f[indexName] = got
	_, err := Open(damagedDir, Options{FS: f.disk(t, "", nil)})
	wantCode(t, err, "raft_log_version")
}
