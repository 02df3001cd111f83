package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"leat/internal/fault"
)

// A segment file is named by the offset of its first record, 20 digits and
// ".seg". It is a header and frames (see frame.go), little endian:
//
//	byte 0           7   8      16       24       32          40         48      52    56
//	     +-----------+---+------+--------+--------+-----------+----------+-------+-----+--------+
//	     | "LEATSEG" | v | base | before | before | before    | mark     | flags | crc | frames |
//	     |           |u8 | i64  | base   | bytes  | max time  | u64      | u32   | u32 |        |
//	     |           |   |      | i64    | i64    | i64 ms    |          | 0     |     |        |
//	     +-----------+---+------+--------+--------+-----------+----------+-------+-----+--------+
//
// The three "before" fields describe the segment before this one: the base in
// its name, its final length in bytes, and the latest append time in it. They
// are -1, 0 and the least i64 where there is none. mark is that of the last
// frame before this segment, in whatever segment it was. crc is the CRC-32C of
// bytes 0 to 51.
//
// So a chain of headers says, without a look at the frames, whether a sealed
// segment is missing or has changed its length.

const (
	segmentHeaderBytes = 56
	segmentMagic       = "LEATSEG"
	segmentVersion     = 1

	segmentSuffix = ".seg"
	indexSuffix   = ".idx"
	tornSuffix    = ".torn"
	tempSuffix    = ".tmp"

	noSegment = Offset(-1)
	noTime    = int64(math.MinInt64)
)

// segmentHeader is the decoded header of a segment file.
type segmentHeader struct {
	base        Offset
	beforeBase  Offset
	beforeBytes int64
	beforeTime  int64
	mark        Mark
}

func (h segmentHeader) encode() []byte {
	b := make([]byte, segmentHeaderBytes)
	copy(b, segmentMagic)
	b[7] = segmentVersion
	binary.LittleEndian.PutUint64(b[8:], uint64(h.base))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.beforeBase))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.beforeBytes))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.beforeTime))
	binary.LittleEndian.PutUint64(b[40:], uint64(h.mark))
	binary.LittleEndian.PutUint32(b[52:], checksum(0, b[:52]))
	return b
}

// readSegmentHeader reads and verifies the header of the segment base. The
// error is a *badFrame, a fault of kind Unsupported, or that of the file system.
func readSegmentHeader(f File, base Offset) (segmentHeader, error) {
	var b [segmentHeaderBytes]byte
	if n, err := f.ReadAt(b[:], 0); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = bad("%d bytes are too few for the header of a segment", n)
		}
		return segmentHeader{}, err
	}
	if string(b[:7]) != segmentMagic || binary.LittleEndian.Uint32(b[52:]) != checksum(0, b[:52]) {
		return segmentHeader{}, bad("the header of the segment does not hold")
	}
	if flags := binary.LittleEndian.Uint32(b[48:]); b[7] != segmentVersion || flags != 0 {
		return segmentHeader{}, fault.New(fault.Unsupported, "unsupported_format",
			"segment version %d with flags %#x is not known to this release", b[7], flags)
	}
	h := segmentHeader{
		base:        Offset(binary.LittleEndian.Uint64(b[8:])),
		beforeBase:  Offset(binary.LittleEndian.Uint64(b[16:])),
		beforeBytes: int64(binary.LittleEndian.Uint64(b[24:])),
		beforeTime:  int64(binary.LittleEndian.Uint64(b[32:])),
		mark:        Mark(binary.LittleEndian.Uint64(b[40:])),
	}
	if h.base != base {
		return segmentHeader{}, bad("the header says base %d, the name %d", h.base, base)
	}
	return h, nil
}

// segment is what a partition keeps in memory of one segment file.
type segment struct {
	base      Offset
	mark      Mark // of the last frame before it
	sizeBytes int64
	maxTimeMs int64 // latest append time in it, noTime where it is empty
	beforeMs  int64 // that of the segment before, noTime where there was none
	synced    int64 // bytes known to be on stable storage, 0 if its name is not
}

func segmentName(dir string, base Offset) string {
	return filepath.Join(dir, fmt.Sprintf("%020d", base)+segmentSuffix)
}

func indexName(dir string, base Offset) string {
	return filepath.Join(dir, fmt.Sprintf("%020d", base)+indexSuffix)
}

// parseName returns the base in the name of a file that ends with suffix.
func parseName(name, suffix string) (Offset, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	base, err := strconv.ParseUint(digits, 10, 63)
	return Offset(base), err == nil
}
