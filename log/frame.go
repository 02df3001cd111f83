package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"leat/internal/fault"
)

// A frame is one batch as it lies in a segment, little endian:
//
//	byte  0       4    6   7   8         12        16       24       32       40
//	      +-------+----+---+---+---------+---------+--------+--------+--------+---------+
//	      | crc   |"LF"| v | f | payload | records | mark   | base   | time   | payload |
//	      | u32   |    |u8 |u8 | u32     | u32     | u64    | i64    | i64 ms |         |
//	      +-------+----+---+---+---------+---------+--------+--------+--------+---------+
//
// crc is the CRC-32C of everything after it. v is the version of the frame
// format. f holds flags, all reserved: the low two bits are kept for the
// compression of the payload, 0 being none. payload is the length in bytes of
// the payload, the encoded records (see block.go). base is the offset of the
// first record. A frame holds at least one record.

const (
	frameHeaderBytes = 40
	frameMagic       = uint16('L') | uint16('F')<<8
	frameVersion     = 1

	// maxPayloadBytes bounds a frame, so that a position in a segment always
	// fits 32 bits.
	maxPayloadBytes = 1 << 28
)

// checksum goes on from crc with the CRC-32C of b. The standard library keeps one
// table of this polynomial and computes it with the processor's own instruction.
func checksum(crc uint32, b []byte) uint32 {
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), b)
}

// frame is the decoded header of a frame.
type frame struct {
	size   int // header and payload
	count  int
	mark   Mark
	base   Offset
	timeMs int64
}

func (f frame) end() Offset { return f.base + Offset(f.count) }

// decodeFrame reads a header that is known to be whole and sound.
func decodeFrame(b []byte) frame {
	_ = b[frameHeaderBytes-1]
	return frame{
		size:   frameHeaderBytes + int(binary.LittleEndian.Uint32(b[8:])),
		count:  int(binary.LittleEndian.Uint32(b[12:])),
		mark:   Mark(binary.LittleEndian.Uint64(b[16:])),
		base:   Offset(binary.LittleEndian.Uint64(b[24:])),
		timeMs: int64(binary.LittleEndian.Uint64(b[32:])),
	}
}

// putFrameHeader fills in the header of a frame whose payload is the blocks.
func putFrameHeader(b *[frameHeaderBytes]byte, f frame, blocks []Block) {
	binary.LittleEndian.PutUint16(b[4:], frameMagic)
	b[6], b[7] = frameVersion, 0
	binary.LittleEndian.PutUint32(b[8:], uint32(f.size-frameHeaderBytes))
	binary.LittleEndian.PutUint32(b[12:], uint32(f.count))
	binary.LittleEndian.PutUint64(b[16:], uint64(f.mark))
	binary.LittleEndian.PutUint64(b[24:], uint64(f.base))
	binary.LittleEndian.PutUint64(b[32:], uint64(f.timeMs))
	crc := checksum(0, b[4:])
	for i := range blocks {
		crc = checksum(crc, blocks[i].Bytes)
	}
	binary.LittleEndian.PutUint32(b[:], crc)
}

// badFrame says why the bytes at a place are not the frame that belongs there.
type badFrame struct{ reason string }

func (e *badFrame) Error() string { return e.reason }

func bad(format string, args ...any) error { return &badFrame{fmt.Sprintf(format, args...)} }

// checkFrame reads and verifies the frame at the start of b. room is how far
// the segment goes on, b may hold less of it: need > 0 then says how many bytes
// the answer takes. next is the offset the frame has to begin with, and mark the
// least mark it may have. The error is a *badFrame, or a fault of kind
// Unsupported for a sound frame of a format this code does not know.
func checkFrame(b []byte, room int64, next Offset, mark Mark) (f frame, need int, err error) {
	if room < frameHeaderBytes {
		return frame{}, 0, bad("%d bytes are too few for a frame", room)
	}
	if len(b) < frameHeaderBytes {
		return frame{}, frameHeaderBytes, nil
	}
	f = decodeFrame(b)
	switch {
	case binary.LittleEndian.Uint16(b[4:]) != frameMagic:
		return frame{}, 0, bad("no frame begins here")
	case f.size-frameHeaderBytes > maxPayloadBytes || int64(f.size) > room:
		return frame{}, 0, bad("the frame says %d bytes where %d are left", f.size, room)
	case len(b) < f.size:
		return frame{}, f.size, nil
	case checksum(0, b[4:f.size]) != binary.LittleEndian.Uint32(b):
		return frame{}, 0, bad("the checksum of the frame does not hold")
	case b[6] != frameVersion || b[7] != 0:
		return frame{}, 0, fault.New(fault.Unsupported, "unsupported_format",
			"frame version %d with flags %#x is not known to this release", b[6], b[7])
	case f.count < 1 || f.count > (f.size-frameHeaderBytes)/minRecordBytes:
		return frame{}, 0, bad("the frame counts %d records in %d bytes", f.count, f.size-frameHeaderBytes)
	case f.base != next || f.base > math.MaxInt64-Offset(f.count):
		return frame{}, 0, bad("the frame begins with offset %d where %d belongs", f.base, next)
	case f.mark < mark:
		return frame{}, 0, bad("the frame has mark %d after %d", f.mark, mark)
	}
	return f, 0, nil
}

// corruptAt is the fault for damage found in a file.
func corruptAt(name string, pos int64, cause error) *fault.Error {
	return fault.New(fault.Corrupt, "corrupt_record", "%s, byte %d: %w", name, pos, cause).
		With("file", name).With("byte_offset", pos)
}
