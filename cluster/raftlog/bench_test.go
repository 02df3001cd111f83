package raftlog

import (
	"fmt"
	"testing"

	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/log"
)

// BenchmarkSave is one worker that saves one entry at a time, synced, on the
// machine's disk; tan is what dragonboat has on board.
func BenchmarkSave(b *testing.B) {
	for _, size := range []int{64, 64 << 10, 1 << 20} {
		for _, kind := range []string{"raftlog", "tan"} {
			b.Run(fmt.Sprintf("%s/%dB", kind, size), func(b *testing.B) {
				var db raftio.ILogDB
				if kind == "tan" {
					db = openTan(b, b.TempDir())
				} else {
					db = open(b, b.TempDir(), Options{})
				}
				benchmarkSave(b, db, size)
				shut(b, db)
			})
		}
	}
}

func benchmarkSave(b *testing.B, db raftio.ILogDB, size int) {
	updates := []pb.Update{update(1, 1, pb.State{Term: 1, Vote: 1}, entries(1, 1, 1, size))}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	i := uint64(0)
	for b.Loop() {
		i++
		updates[0].EntriesToSave[0].Index = i
		updates[0].Commit = i - 1
		if err := db.SaveRaftState(updates, 1); err != nil {
			b.Fatal(err)
		}
		if i%256 == 0 {
			if err := db.RemoveEntriesTo(1, 1, i-64); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSaveWorkers is 16 workers, each with its shard, as dragonboat has
// them: in ours they share syncs.
func BenchmarkSaveWorkers(b *testing.B) {
	for _, kind := range []string{"raftlog", "tan"} {
		b.Run(kind, func(b *testing.B) {
			var db raftio.ILogDB
			if kind == "tan" {
				db = openTan(b, b.TempDir())
			} else {
				db = open(b, b.TempDir(), Options{})
			}
			const workers = 16
			errs := make(chan error, workers)
			b.ResetTimer()
			for w := uint64(1); w <= workers; w++ {
				go func() {
					updates := []pb.Update{update(w, 1, pb.State{Term: 1, Vote: 1}, entries(1, 1, 1, 64))}
					var err error
					for i := uint64(1); i <= uint64(b.N/workers+1) && err == nil; i++ {
						updates[0].EntriesToSave[0].Index = i
						err = db.SaveRaftState(updates, w)
					}
					errs <- err
				}()
			}
			for range workers {
				if err := <-errs; err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			shut(b, db)
		})
	}
}

// BenchmarkSaveUnsynced is the processor's part of a save.
func BenchmarkSaveUnsynced(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			db := open(b, b.TempDir(), Options{FS: unsynced{log.OS()}})
			benchmarkSave(b, db, size)
			shut(b, db)
		})
	}
}

// BenchmarkIterate reads 64 KiB of entries of 1 KiB.
func BenchmarkIterate(b *testing.B) {
	db := open(b, b.TempDir(), Options{FS: unsynced{log.OS()}})
	for i := uint64(1); i <= 256; i++ {
		save(b, db, update(1, 1, pb.State{Term: 1}, entries(1, i*4-3, i*4, 1024)))
	}
	var got []pb.Entry
	i := uint64(0)
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for b.Loop() {
		low := 1 + i%900
		i += 64
		var err error
		if got, _, err = db.IterateEntries(got[:0], 0, 1, 1, low, low+64, noLimit); err != nil || len(got) != 64 {
			b.Fatal(len(got), err)
		}
	}
	shut(b, db)
}

// BenchmarkOpen opens a log of 256 MiB.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{200, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			dir := b.TempDir()
			options := Options{FS: unsynced{log.OS()}}
			db := open(b, dir, options)
			perRound := uint64(max(1, 4096/size))
			for i := uint64(0); db.SizeBytes() < 256<<20; i++ {
				save(b, db, update(1, 1, pb.State{Term: 1}, entries(1, i*perRound+1, i*perRound+perRound, size)))
			}
			shut(b, db)
			b.SetBytes(256 << 20)
			for b.Loop() {
				shut(b, open(b, dir, options))
			}
		})
	}
}
