package log_test

import (
	"fmt"
	"testing"

	"leat/log"
)

// BenchmarkAppend appends records of 64 bytes to a log on disk, unsynced.
func BenchmarkAppend(b *testing.B) {
	for _, records := range []int{1, 1000} {
		b.Run(fmt.Sprintf("records=%d", records), func(b *testing.B) {
			p, batch := benchLog(b, records)
			b.SetBytes(int64(records) * 64)
			b.ReportAllocs()
			for b.Loop() {
				batch.Mark++
				if _, err := p.Append(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(p.SizeBytes())/float64(p.Next()), "B/record")
			b.ReportMetric(float64(b.N*records)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkRead reads a log of records of 64 bytes from the page cache, in order,
// and visits every record.
func BenchmarkRead(b *testing.B) {
	for _, records := range []int{1, 1000} {
		b.Run(fmt.Sprintf("records=%d", records), func(b *testing.B) {
			p, batch := benchLog(b, records)
			for p.SizeBytes() < 100<<20 {
				if _, err := p.Append(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			buf := make([]byte, 1<<18)
			at, read := log.Offset(0), 0
			for b.Loop() {
				frames, err := p.Read(at, 1<<17, buf)
				if err != nil {
					b.Fatal(err)
				}
				c := frames.Records(at)
				for _, ok := c.Next(); ok; _, ok = c.Next() {
					read++
				}
				at, buf = frames.Next()%p.Next(), frames.Bytes()
			}
			b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func benchLog(b *testing.B, records int) (*log.Partition, log.Batch) {
	b.Helper()
	p, err := log.Open(b.TempDir()+"/p", log.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
	var block log.Block
	for range records {
		block.Add(nil, make([]byte, 64))
	}
	return p, log.Batch{Mark: 1, TimeMs: 1, Blocks: []log.Block{block}}
}

// BenchmarkOpen opens a log of 64 MiB of which nothing was synced.
func BenchmarkOpen(b *testing.B) {
	_, batch := benchLog(b, 1000)
	dir := b.TempDir() + "/q"
	p, err := log.Open(dir, log.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for p.SizeBytes() < 64<<20 {
		if _, err := p.Append(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(p.SizeBytes())
	mustClose(b, p)
	for b.Loop() {
		p, err := log.Open(dir, log.Options{Synced: &log.SyncPoint{}})
		if err != nil {
			b.Fatal(err)
		}
		mustClose(b, p)
	}
}
