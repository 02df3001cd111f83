//go:build linux

package main

import (
	"math/bits"
	"time"
)

const (
	subBits  = 5 // a bucket is at most 1/32 of its value wide
	subCount = 1 << subBits
	buckets  = (64 - subBits) * subCount
)

// histogram counts durations in buckets whose width grows with the value. The
// zero histogram is empty. It is not safe for concurrent use.
type histogram struct {
	counts [buckets]uint64
	total  uint64
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(uint64(max(d, 0)))]++
	h.total++
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile is the upper end of the bucket that holds the q-quantile, 0 of an
// empty histogram.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && seen > rank || seen == h.total && n > 0 {
			return time.Duration(upperEnd(i))
		}
	}
	return 0
}

func bucketOf(v uint64) int {
	if v < subCount {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return (shift+1)*subCount + int(v>>shift) - subCount
}

// upperEnd is the largest value of a bucket.
func upperEnd(bucket int) uint64 {
	if bucket < subCount {
		return uint64(bucket)
	}
	shift := bucket/subCount - 1
	return (uint64(bucket%subCount+subCount)+1)<<shift - 1
}
