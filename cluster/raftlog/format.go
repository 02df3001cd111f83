// Package raftlog keeps the raft logs of all shards of a node in one
// checksummed write-ahead log: one write and at most one fdatasync for each
// round of updates, whatever the number of shards in it. It implements
// dragonboat's raftio.ILogDB.
//
// # Segment file, "%020d.wal", little endian
//
//	file    := header round…  zeros
//	round   := record…          all but the last one carry the flag "more"
//	           the first round of a file is its checkpoint (see below)
//
//	header, 64 bytes
//	 0          8           12      16           24           32        48    56     60
//	┌──────────┬───────────┬───────┬────────────┬────────────┬─────────┬─────┬──────┬──────┐
//	│"LEATRLOG"│version u32│ zeros │sequence u64│base LSN u64│salt [16]│zeros│CRC32C│"LRL1"│
//	└──────────┴───────────┴───────┴────────────┴────────────┴─────────┴─────┴──────┴──────┘
//	 CRC32C covers bytes 0..55.
//
//	record, a multiple of 64 bytes, starting at a multiple of 64: its header
//	never straddles a disk sector
//	 0      4          8         16          24    32    40    48              56      57       58    60
//	┌──────┬──────────┬─────────┬───────────┬─────┬─────┬─────┬───────────────┬───────┬────────┬─────┬──────┐
//	│CRC32C│length u32│shard u64│replica u64│a u64│b u64│c u64│durable LSN u64│type u8│flags u8│zeros│"LRL1"│
//	├──────┴──────────┴─────────┴───────────┴─────┴─────┴─────┴───────────────┴──┬────┴────────┴─────┴──────┤
//	│payload, length bytes                                                       │zeros   end mark A5 5A A5 5A│
//	└────────────────────────────────────────────────────────────────────────────┴──────────────────────────┘
//	 A record of length 0 is its header alone, 64 bytes. Otherwise c is the
//	 CRC32C of the payload and the record is the smallest multiple of 64 that
//	 holds header, payload and end mark.
//	 The header's CRC32C covers bytes 4..63 and starts from
//	   CRC32C(salt ‖ sequence) xor (position/64 × 0x9E3779B1)
//	 so a record is valid at one place of one file only: bytes a client sends
//	 can never pass for a record.
//	 durable LSN: everything below it was synced before this record was written.
//	 An LSN (log sequence number) is a file's base LSN plus a position in it; a
//	 file's base is the one before's plus its length without trailing zeros.
//
//	type          a            b           c          payload
//	1 checkpoint  replicas     –           –          –   opens the first round of a file; the rest of
//	                                                      the round repeats the metadata (records 3–6)
//	                                                      of every replica
//	2 entries     first index  last index  (CRC)      entries, back to back; flag 2 "carried": copied
//	                                                      from an old file, hides nothing after it
//	3 state       term         vote        commit     –
//	4 snapshot    index        term        (CRC)      raftpb.Snapshot (protobuf); flag 4 "installed":
//	                                                      entries above a are void
//	5 compacted   index        –           –          –   entries up to a are gone
//	6 bootstrap   –            –           (CRC)      raftpb.Bootstrap (protobuf), or none when empty
//	7 removal     –            –           –          –   everything about the replica is void
//	8, 9          only in the index, see indexfile.go
//
//	entry := uvarint term, u8 type, uvarint key, uvarint client, uvarint series,
//	         uvarint responded, uvarint length, command bytes
//	         The first has index a, the next a+1, the last b.
package raftlog

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	formatVersion = 1

	unit       = 64  // records start and end at multiples of it
	sectorSize = 512 // the least a disk writes at once
	headerSize = unit

	recordMagic = 0x314c524c // "LRL1"
	endMark     = 0x5aa55aa5
	segmentID   = "LEATRLOG"

	positionMix = 0x9E3779B1 // odd, so distinct positions stay distinct
)

type recordType uint8

const (
	typeCheckpoint recordType = 1 + iota
	typeEntries
	typeState
	typeSnapshot
	typeCompacted
	typeBootstrap
	typeRemoval
	typePlace
	typeSpans
)

const (
	flagMore      = 1
	flagCarried   = 2
	flagInstalled = 4
	flagsKnown    = flagMore | flagCarried | flagInstalled
)

// header is a record's header without its checksum.
type header struct {
	shard, replica uint64
	a, b, c        uint64
	durable        uint64
	length         uint32
	kind           recordType
	flags          uint8
}

func checksum(seed uint32, p []byte) uint32 {
	return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), p)
}

func roundUp(n int64) int64 { return (n + unit - 1) &^ (unit - 1) }

// size is the length of the whole record in the file.
func (h *header) size() int64 {
	if h.length == 0 {
		return headerSize
	}
	return roundUp(headerSize + int64(h.length) + 4)
}

// put writes everything except what seal adds.
func (h *header) put(p []byte) {
	_ = p[headerSize-1]
	le := binary.LittleEndian
	le.PutUint32(p[4:], h.length)
	le.PutUint64(p[8:], h.shard)
	le.PutUint64(p[16:], h.replica)
	le.PutUint64(p[24:], h.a)
	le.PutUint64(p[32:], h.b)
	le.PutUint64(p[40:], h.c)
	p[56] = byte(h.kind)
	p[57] = h.flags
	p[58], p[59] = 0, 0
	le.PutUint32(p[60:], recordMagic)
}

func headerSeed(fileSeed uint32, pos int64) uint32 {
	return fileSeed ^ uint32(uint64(pos)/unit)*positionMix
}

// seal completes a header for the place where it is going to be written.
func seal(p []byte, more bool, durable uint64, fileSeed uint32, pos int64) {
	if more {
		p[57] |= flagMore
	}
	binary.LittleEndian.PutUint64(p[48:], durable)
	binary.LittleEndian.PutUint32(p, checksum(headerSeed(fileSeed, pos), p[4:headerSize]))
}

// parseHeader reads the header at pos; false where none is valid there.
func parseHeader(p []byte, fileSeed uint32, pos int64) (header, bool) {
	le := binary.LittleEndian
	if len(p) < headerSize || le.Uint32(p[60:]) != recordMagic {
		return header{}, false
	}
	if le.Uint32(p) != checksum(headerSeed(fileSeed, pos), p[4:headerSize]) {
		return header{}, false
	}
	return header{
		length:  le.Uint32(p[4:]),
		shard:   le.Uint64(p[8:]),
		replica: le.Uint64(p[16:]),
		a:       le.Uint64(p[24:]),
		b:       le.Uint64(p[32:]),
		c:       le.Uint64(p[40:]),
		durable: le.Uint64(p[48:]),
		kind:    recordType(p[56]),
		flags:   p[57],
	}, true
}

// payload returns the payload of the whole record p; false where it is not
// what was written.
func (h *header) payload(p []byte) ([]byte, bool) {
	size := h.size()
	if int64(len(p)) < size {
		return nil, false
	}
	if h.length == 0 {
		return nil, true
	}
	end := headerSize + int64(h.length)
	if binary.LittleEndian.Uint32(p[size-4:]) != endMark || !allZero(p[end:size-4]) {
		return nil, false
	}
	body := p[headerSize:end]
	return body, uint64(checksum(0, body)) == h.c
}

// fileHeader is the header of a segment file and of the index.
type fileHeader struct {
	sequence uint64
	base     uint64
	salt     [16]byte
}

func (h *fileHeader) put(p []byte, id string) {
	clear(p[:headerSize])
	le := binary.LittleEndian
	copy(p, id)
	le.PutUint32(p[8:], formatVersion)
	le.PutUint64(p[16:], h.sequence)
	le.PutUint64(p[24:], h.base)
	copy(p[32:48], h.salt[:])
	le.PutUint32(p[56:], checksum(0, p[:56]))
	le.PutUint32(p[60:], recordMagic)
}

// parse reads a file header whose checksum holds; version is 0 where it does
// not.
func (h *fileHeader) parse(p []byte, id string) (version uint32) {
	le := binary.LittleEndian
	if len(p) < headerSize || string(p[:8]) != id || le.Uint32(p[60:]) != recordMagic ||
		le.Uint32(p[56:]) != checksum(0, p[:56]) {
		return 0
	}
	h.sequence = le.Uint64(p[16:])
	h.base = le.Uint64(p[24:])
	copy(h.salt[:], p[32:48])
	return le.Uint32(p[8:])
}

// seed starts the checksums of the records of this file.
func (h *fileHeader) seed() uint32 {
	var p [24]byte
	copy(p[:], h.salt[:])
	binary.LittleEndian.PutUint64(p[16:], h.sequence)
	return checksum(0, p[:])
}

func allZero(p []byte) bool {
	for len(p) >= 8 {
		if binary.LittleEndian.Uint64(p) != 0 {
			return false
		}
		p = p[8:]
	}
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
