package log_test

import (
	"testing"

	"leat/internal/fault"
	"leat/log"
	"leat/log/crashfs"
)

// FuzzOpenSegment opens arbitrary bytes as the first segment of a log, with and
// without an index of arbitrary bytes. What opens has to read from end to end
// and to take an append.
func FuzzOpenSegment(f *testing.F) {
	disk, _, _ := written(f, 3, log.Options{IndexBytes: 100}, 100, 6)
	segment := content(f, disk, listing(f, disk, ".seg")[0])
	index := content(f, disk, listing(f, disk, ".idx")[0])
	f.Add(segment, index, true)
	f.Add(segment[:len(segment)-5], index[:len(index)-5], false)
	f.Add(segment[:60], []byte(nil), true)
	f.Add([]byte(nil), index, false)
	f.Fuzz(func(t *testing.T, segment, index []byte, vouchedForNothing bool) {
		files := crashfs.New(1)
		overwrite(t, files, dir+"/00000000000000000000.seg", segment)
		overwrite(t, files, dir+"/00000000000000000000.idx", index)
		o := log.Options{FS: files, IndexBytes: 100}
		if vouchedForNothing {
			o.Synced = &log.SyncPoint{}
		}
		p, err := log.Open(dir, o)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Corrupt && k != fault.Unsupported {
				t.Fatal(err)
			}
			return
		}
		var b log.Block
		b.Add([]byte("key"), []byte("value"))
		at := mustAppend(t, p, log.Batch{Mark: ^log.Mark(0), Blocks: []log.Block{b}})
		for next := p.First(); next < p.Next(); {
			frames, err := p.Read(next, 1000, nil)
			if err != nil {
				t.Fatal(err)
			}
			next = frames.Next()
		}
		if base, count, ok := p.FindMark(^log.Mark(0)); !ok || base > at || count < 1 {
			t.Fatalf("the batch at %d was found at %d, %d records, %v", at, base, count, ok)
		}
	})
}
