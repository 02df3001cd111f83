package cluster

import (
	"fmt"
	"sync"
	"testing"

	"leat/internal/bus"
	"leat/log"
)

// BenchmarkAppend is the write path without HTTP: one 64-byte record a call,
// answered after the sync of the raft log.
func BenchmarkAppend(b *testing.B) {
	for _, clients := range []int{1, 64, 400} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			n, ctx := start(b, Config{Dir: b.TempDir()}), b.Context()
			if _, err := n.CreateTopic(ctx, "bench", 8); err != nil {
				b.Fatal(err)
			}
			var record log.Block
			record.Add(nil, make([]byte, 64))
			work := make(chan struct{}, clients)
			var load sync.WaitGroup
			b.ResetTimer()
			for range clients {
				load.Go(func() {
					for range work {
						if _, err := n.Append(ctx, bus.Append{Topic: "bench", Partition: bus.AnyPartition, Block: record}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				work <- struct{}{}
			}
			close(work)
			load.Wait()
			b.StopTimer()
		})
	}
}

// BenchmarkAppendBatch is the same with 1,000 records of 64 bytes a call.
func BenchmarkAppendBatch(b *testing.B) {
	n, ctx := start(b, Config{Dir: b.TempDir()}), b.Context()
	if _, err := n.CreateTopic(ctx, "bench", 8); err != nil {
		b.Fatal(err)
	}
	var records log.Block
	for range 1000 {
		records.Add(nil, make([]byte, 64))
	}
	b.SetBytes(int64(len(records.Bytes)))
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := n.Append(ctx, bus.Append{Topic: "bench", Partition: bus.AnyPartition, Block: records}); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkConfirm is what a linearizable read costs besides the read.
func BenchmarkConfirm(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			n := start(b, Config{Dir: b.TempDir()})
			b.SetParallelism(clients)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := n.Confirm(b.Context(), n.data[0]); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
