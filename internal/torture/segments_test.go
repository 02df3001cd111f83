package torture

import (
	"bytes"
	"crypto/sha256"
	bin "encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sameFiles checks that nodes that have ended hold the same records to the byte: the
// segments of all partitions. Not for nodes that had a snapshot: see sameRecords.
func (f *fleet) sameFiles(t *testing.T) {
	t.Helper()
	f.same(t, func(segments map[string][]byte) map[string]string {
		sums := make(map[string]string)
		for name, data := range segments {
			sums[name] = fmt.Sprintf("%d bytes, %x", len(data), sha256.Sum256(data))
		}
		return sums
	})
}

// sameRecords checks that nodes that have ended hold the same records with the same
// offsets and times. Which of them share a frame, and so where segments end, may differ: a
// snapshot brings records and puts those of one time together.
func (f *fleet) sameRecords(t *testing.T) {
	t.Helper()
	f.same(t, func(segments map[string][]byte) map[string]string {
		partitions := make(map[string][]byte)
		for _, name := range slices.Sorted(maps.Keys(segments)) {
			records, err := recordsOf(segments[name])
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			partitions[filepath.Dir(name)] = append(partitions[filepath.Dir(name)], records...)
		}
		sums := make(map[string]string)
		for name, records := range partitions {
			sums[name] = fmt.Sprintf("%d bytes of records, %x", len(records), sha256.Sum256(records))
		}
		return sums
	})
}

// same compares what a function makes of the segments of each node.
func (f *fleet) same(t *testing.T, sum func(segments map[string][]byte) map[string]string) {
	t.Helper()
	var first map[string]string
	for i := range f.nodes {
		sums := sum(f.segments(t, i))
		if i == 0 {
			first = sums
			continue
		}
		for name := range sums {
			if _, has := first[name]; !has {
				t.Errorf("%s is on node %d and not on node 0", name, i)
			}
		}
		for name, want := range first {
			if sums[name] != want {
				t.Errorf("%s is not the same on nodes 0 and %d: %s; %s", name, i, want, sums[name])
			}
		}
	}
}

// segments are the segment files of all partitions of a node.
func (f *fleet) segments(t *testing.T, i int) map[string][]byte {
	t.Helper()
	root := filepath.Join(f.dir, fmt.Sprintf("n%d", i), "shards")
	names, err := filepath.Glob(filepath.Join(root, "*", "p", "*", "*.seg"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no segments in %s, %v", root, err)
	}
	found := make(map[string][]byte)
	for _, name := range names {
		if found[strings.TrimPrefix(name, root)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

const (
	segmentHead = 56 // docs/formats/segment.md
	frameHead   = 40
)

// recordsOf lists the records of a segment: of each the offset, the time, and its bytes.
func recordsOf(segment []byte) (list []byte, err error) {
	at := min(segmentHead, len(segment))
	for at < len(segment) {
		b := segment[at:]
		if len(b) < frameHead || string(b[4:6]) != "LF" || uint64(len(b)-frameHead) < uint64(bin.LittleEndian.Uint32(b[8:])) {
			return nil, fmt.Errorf("no whole frame at byte %d", at)
		}
		payload := b[frameHead : frameHead+int(bin.LittleEndian.Uint32(b[8:]))]
		offset, time := bin.LittleEndian.Uint64(b[24:]), bin.LittleEndian.Uint64(b[32:])
		at += frameHead + len(payload)
		for range bin.LittleEndian.Uint32(b[12:]) {
			tag, n := bin.Uvarint(payload)
			size, m := bin.Uvarint(payload[max(n, 0):])
			whole := uint64(n+m) + max(tag, 1) - 1 + size
			if n <= 0 || m <= 0 || whole > uint64(len(payload)) {
				return nil, fmt.Errorf("no record in the frame that ends at byte %d", at)
			}
			list = bin.LittleEndian.AppendUint64(list, offset)
			list = bin.LittleEndian.AppendUint64(list, time)
			list = append(list, payload[:whole]...)
			payload, offset = payload[whole:], offset+1
		}
		if len(payload) > 0 {
			return nil, fmt.Errorf("%d bytes are left over in the frame that ends at byte %d", len(payload), at)
		}
	}
	return list, nil
}

// TestRecordsOf: how records lie in frames makes no difference, all else does.
func TestRecordsOf(t *testing.T) {
	t.Parallel()
	frame := func(offset, time uint64, records ...string) []byte {
		payload := []byte(strings.Join(records, ""))
		b := make([]byte, 24, frameHead+len(payload))
		copy(b[4:], "LF\x01\x00")
		bin.LittleEndian.PutUint32(b[8:], uint32(len(payload)))
		bin.LittleEndian.PutUint32(b[12:], uint32(len(records)))
		b = bin.LittleEndian.AppendUint64(b, offset)
		return append(bin.LittleEndian.AppendUint64(b, time), payload...)
	}
	segment := func(frames ...[]byte) []byte {
		return append(make([]byte, segmentHead), bytes.Join(frames, nil)...)
	}
	a, b, c := "\x00\x01a", "\x02\x01kb", "\x00\x00"
	want, err := recordsOf(segment(frame(3, 7, a, b), frame(5, 8, c)))
	if err != nil || len(want) != 3*16+len(a+b+c) {
		t.Fatalf("%x %v", want, err)
	}
	if got, err := recordsOf(segment(frame(3, 7, a), frame(4, 7, b), frame(5, 8, c))); err != nil || !bytes.Equal(got, want) {
		t.Errorf("in other frames they are %x, %v, want %x", got, err, want)
	}
	for name, other := range map[string][]byte{
		"another offset": segment(frame(4, 7, a, b), frame(6, 8, c)),
		"another time":   segment(frame(3, 7, a, b), frame(5, 9, c)),
		"another order":  segment(frame(3, 7, b, a), frame(5, 8, c)),
		"another value":  segment(frame(3, 7, a, b), frame(5, 8, a)),
		"one too few":    segment(frame(3, 7, a, b)),
		"half a frame":   segment(frame(3, 7, a, b), frame(5, 8, c)[:41]),
		"half a record":  segment(frame(3, 7, a, b), frame(5, 8, "\x00\x02c")),
	} {
		if got, err := recordsOf(other); err == nil && bytes.Equal(got, want) {
			t.Errorf("%s is not seen", name)
		}
	}
}
