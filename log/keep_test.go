package log_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/log"
	"leat/log/crashfs"
)

// The newest frames that fit are kept, over segments, trims and the empty log.
func TestOffsetKeeping(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		p, err := log.Open("/p", log.Options{FS: crashfs.New(seed).FS(), SegmentBytes: 600, IndexBytes: 128})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.OffsetKeeping(0); got != 0 || err != nil {
			t.Fatalf("of an empty log: %d, %v", got, err)
		}
		var ends []int64 // bytes before each frame, then all
		var bases []log.Offset
		for i := range 40 {
			ends = append(ends, p.SizeBytes())
			bases = append(bases, p.Next())
			var b log.Block
			for range 1 + rng.IntN(3) {
				b.Add(nil, make([]byte, rng.IntN(80)))
			}
			if _, err := p.Append(log.Batch{Mark: log.Mark(i + 1), Blocks: []log.Block{b}}); err != nil {
				t.Fatal(err)
			}
		}
		total := p.SizeBytes()
		first := bases[rng.IntN(20)]
		p.Trim(first)
		for keep := int64(0); keep < total+100; keep += 7 {
			got, err := p.OffsetKeeping(keep)
			if err != nil {
				t.Fatal(err)
			}
			if msg := checkKept(got, keep, total, first, p.Next(), bases, ends); msg != "" {
				t.Fatalf("seed %d: keeping %d of %d bytes from %d: %s", seed, keep, total, got, msg)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkKept holds an answer against the frames' places. Segment headers make a
// frame's share uncertain by one header.
func checkKept(got log.Offset, keep, total int64, first, next log.Offset, bases []log.Offset, ends []int64) string {
	const header = 64
	if got < first || got > next {
		return fmt.Sprintf("outside %d to %d", first, next)
	}
	for i, base := range bases {
		size := total - ends[i]
		if base == got && got > first && size > keep+header {
			return fmt.Sprintf("it keeps %d bytes", size)
		}
		if base < got && base >= first && size+header <= keep {
			return fmt.Sprintf("the frame at %d, %d bytes before the end, is not kept", base, size)
		}
	}
	return ""
}
