package raftlog

import (
	"testing"

	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/log"
)

// TestQuietShardDoesNotPin: a shard that wrote a little long ago and never
// removes it must not keep the segments a busy shard has done with.
func TestQuietShardDoesNotPin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := Options{SegmentBytes: 64 << 10, FS: unsynced{log.OS()}}
	db := open(t, dir, options)
	save(t, db, update(1, 1, pb.State{Term: 1, Commit: 5}, entries(1, 1, 5, 100)))
	top := int64(0)
	for i := uint64(1); i <= 2000; i++ {
		save(t, db, update(2, 1, pb.State{Term: 1, Commit: i}, entries(1, i, i, 1000)))
		if i%50 == 0 {
			if err := db.RemoveEntriesTo(2, 1, i-20); err != nil {
				t.Fatal(err)
			}
		}
		top = max(top, db.SizeBytes())
	}
	if top > 6*options.SegmentBytes {
		t.Errorf("the log grew to %d bytes", top)
	}
	checkIndex(t, db)
	for range 2 {
		if got := iterate(t, db, 1, 1, 1, 6, noLimit); !equalEntries(got, entries(1, 1, 5, 100)) {
			t.Errorf("the quiet shard has %d entries", len(got))
		}
		if got := iterate(t, db, 2, 1, 1981, 2001, noLimit); len(got) != 20 {
			t.Errorf("the busy shard has %d entries", len(got))
		}
		if rs, err := db.ReadRaftState(1, 1, 0); err != nil || rs.EntryCount != 5 || rs.State.Commit != 5 {
			t.Errorf("state of the quiet shard %+v, %v", rs, err)
		}
		shut(t, db)
		db = open(t, dir, options)
	}
	shut(t, db)
}
