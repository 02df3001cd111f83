package state

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkReadImage is what a start has to do for each document.
func BenchmarkReadImage(b *testing.B) {
	const docs = 200_000
	s := New()
	for i := range docs {
		Put{Key: fmt.Sprintf("kv/bench/key-%07d", i), Doc: Doc{Value: make([]byte, 64), Version: uint64(i)}}.Apply(s)
	}
	s.TakeChanges()
	image := s.AppendImage(nil)
	b.SetBytes(int64(len(image)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FromImage(image); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/docs, "ns/document")
}

// BenchmarkReplay is the same for each document that is written again, in no order.
func BenchmarkReplay(b *testing.B) {
	const docs = 200_000
	s := New()
	var ops []byte
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(docs) {
		ops = Put{Key: fmt.Sprintf("kv/bench/key-%07d", i), Doc: Doc{Value: make([]byte, 64), Version: uint64(i)}}.Append(ops)
	}
	b.SetBytes(int64(len(ops)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Replay(ops); err != nil {
			b.Fatal(err)
		}
		s.TakeChanges()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/docs, "ns/document")
}
