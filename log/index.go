package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
)

// The index of a segment is a file of the segment's name with ".idx": entries
// of 40 bytes, little endian, the first one for the first frame, then one for
// the first frame at least Options.IndexBytes after the last one indexed:
//
//	byte 0        8          16         24          32       36    40
//	     +--------+----------+----------+-----------+--------+-----+
//	     | offset | position | max time | mark      | 0      | crc |
//	     | i64    | i64      | before   | before    | u32    | u32 |
//	     |        |          | i64 ms   | u64       |        |     |
//	     +--------+----------+----------+-----------+--------+-----+
//
// offset and position are those of a frame. "before" speaks of the frames of
// the segment before it: their latest append time (the least i64 if there are
// none) and the last mark. crc is the CRC-32C of the base of the segment (i64)
// and the first 36 bytes.
//
// The file is a hint: it is written unsynced, and every answer it gives is
// checked against the frame it points at.

const indexEntryBytes = 40

// indexEntry is an entry as kept in memory.
type indexEntry struct {
	delta     uint32 // offset - base
	pos       uint32
	maxTimeMs int64
	mark      Mark
}

// index is the sparse index of one segment, ascending in every field. It always
// holds an entry for the first frame, if there is one.
type index struct {
	base    Offset
	every   int // Options.IndexBytes
	entries []indexEntry
}

// wants tells whether a frame at pos gets an entry.
func (x *index) wants(pos int64) bool {
	n := len(x.entries)
	return n == 0 || pos-int64(x.entries[n-1].pos) >= int64(x.every)
}

func (x *index) add(f frame, pos int64, maxTimeMs int64, mark Mark) {
	x.entries = append(x.entries, indexEntry{uint32(f.base - x.base), uint32(pos), maxTimeMs, mark})
}

func (x *index) offset(i int) Offset { return x.base + Offset(x.entries[i].delta) }

// byOffset returns the last entry not above offset, -1 for none.
func (x *index) byOffset(offset Offset) int {
	return sort.Search(len(x.entries), func(i int) bool { return x.offset(i) > offset }) - 1
}

// byTime returns the last entry with nothing at or after timeMs before it. The
// first frame with such a time is in or after the frame it points at.
func (x *index) byTime(timeMs int64) int {
	return sort.Search(len(x.entries), func(i int) bool { return x.entries[i].maxTimeMs >= timeMs }) - 1
}

// byMark returns the last entry with nothing at or above mark before it, the
// first entry where mark is not above that of the segment before.
func (x *index) byMark(mark Mark) int {
	return max(0, sort.Search(len(x.entries), func(i int) bool { return x.entries[i].mark >= mark })-1)
}

// cut drops the entries at or after pos.
func (x *index) cut(pos int64) {
	n := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].pos) >= pos })
	x.entries = x.entries[:n]
}

func (x *index) encode(b *[indexEntryBytes]byte, e indexEntry) {
	binary.LittleEndian.PutUint64(b[0:], uint64(x.base)+uint64(e.delta))
	binary.LittleEndian.PutUint64(b[8:], uint64(e.pos))
	binary.LittleEndian.PutUint64(b[16:], uint64(e.maxTimeMs))
	binary.LittleEndian.PutUint64(b[24:], uint64(e.mark))
	binary.LittleEndian.PutUint32(b[32:], 0)
	binary.LittleEndian.PutUint32(b[36:], indexChecksum(x.base, b[:36]))
}

func indexChecksum(base Offset, b []byte) uint32 {
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(base))
	return checksum(checksum(0, seed[:]), b)
}

// decode appends the entry in b. It returns false for one that does not hold or
// does not follow from those before it.
func (x *index) decode(b []byte) bool {
	if binary.LittleEndian.Uint32(b[36:]) != indexChecksum(x.base, b[:36]) {
		return false
	}
	delta := binary.LittleEndian.Uint64(b) - uint64(x.base)
	pos := binary.LittleEndian.Uint64(b[8:])
	if delta > math.MaxUint32 || pos > math.MaxUint32 {
		return false
	}
	e := indexEntry{
		delta: uint32(delta), pos: uint32(pos),
		maxTimeMs: int64(binary.LittleEndian.Uint64(b[16:])),
		mark:      Mark(binary.LittleEndian.Uint64(b[24:])),
	}
	if n := len(x.entries); n == 0 {
		if e.delta != 0 || e.pos != segmentHeaderBytes || e.maxTimeMs != noTime {
			return false
		}
	} else if l := x.entries[n-1]; e.delta <= l.delta || e.pos <= l.pos || e.maxTimeMs < l.maxTimeMs || e.mark < l.mark {
		return false
	}
	x.entries = append(x.entries, e)
	return true
}

// readIndex reads the entries of an index file up to the first one that does
// not hold or points at or after end. whole is false if there is anything else
// in the file, or no file.
func readIndex(f File, base Offset, every int, end int64) (x *index, whole bool) {
	x = &index{base: base, every: every}
	if f == nil {
		return x, false
	}
	size, err := f.Size()
	if err != nil {
		return x, false
	}
	// One entry stands for one frame at least.
	size = min(size, (end/frameHeaderBytes+1)*indexEntryBytes)
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return x, false
	}
	for b = b[:n]; len(b) >= indexEntryBytes; b = b[indexEntryBytes:] {
		if !x.decode(b) {
			return x, false
		}
		if last := len(x.entries) - 1; int64(x.entries[last].pos) >= end {
			x.entries = x.entries[:last]
			return x, false
		}
	}
	return x, len(b) == 0
}

// replaceIndex puts an index file with the entries of x in place of whatever is
// there. It returns the file, open.
func replaceIndex(files FS, dir string, x *index) (File, error) {
	name := indexName(dir, x.base)
	f, err := files.Create(name + tempSuffix)
	if err != nil {
		return nil, fmt.Errorf("create index: %w", err)
	}
	b := make([]byte, 0, len(x.entries)*indexEntryBytes)
	var entry [indexEntryBytes]byte
	for _, e := range x.entries {
		x.encode(&entry, e)
		b = append(b, entry[:]...)
	}
	if len(b) > 0 {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = files.Rename(name+tempSuffix, name)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write index %s: %w", name, err), f.Close())
	}
	return f, nil
}
