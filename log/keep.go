package log

import (
	"errors"
	"fmt"
	"sort"
)

// OffsetKeeping returns the offset from which on the records take at most
// maxBytes on disk, counted in whole frames: First where all of them do, Next
// where not even the last frame does. Index files are not counted.
func (p *Partition) OffsetKeeping(maxBytes int64) (Offset, error) {
	for {
		at, target, offset, err := p.locateKept(maxBytes)
		if err != nil || at.s.sizeBytes == 0 {
			return offset, err
		}
		found := offset // where the segment ends
		err = p.walk(at, func(x *index) int {
			return sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].pos) > target }) - 1
		}, nil, func(f frame, pos int64) bool {
			if pos >= target {
				found = f.base
			}
			return pos < target
		})
		if errors.Is(err, errTrimmed) || err != nil && at.cuts != p.cutCount() {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("look for the last %d bytes: %w", maxBytes, err)
		}
		return max(found, p.First()), nil
	}
}

// locateKept returns the segment in which the bytes to keep begin, the position
// there and the offset after its last record, or no segment and the answer.
func (p *Partition) locateKept(maxBytes int64) (at place, target int64, offset Offset, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return place{}, 0, 0, p.errClosed()
	}
	left := maxBytes
	for i := len(p.segments) - 1; i >= 0; i-- {
		s := p.segments[i]
		if s.sizeBytes <= left {
			left -= s.sizeBytes
			continue
		}
		end := p.next
		if i+1 < len(p.segments) {
			end = p.segments[i+1].base
		}
		return p.placeOf(i), s.sizeBytes - left, end, nil
	}
	return place{}, 0, p.first, nil
}
