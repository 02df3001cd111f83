package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"leat/internal/fault"
	"leat/log"
)

// The watermark file says how far the log reached when it was last known: two
// slots of one sector each, written and synced in turn, so that one of them
// always holds.
//
//	slot, 512 bytes, little endian
//	 0          8           12      16        24                32          40    60     64
//	┌──────────┬───────────┬───────┬─────────┬─────────────────┬───────────┬─────┬──────┬─────┐
//	│"LEATWMRK"│version u32│ zeros │write u64│first segment u64│end LSN u64│zeros│CRC32C│zeros│
//	└──────────┴───────────┴───────┴─────────┴─────────────────┴───────────┴─────┴──────┴─────┘
//	CRC32C covers bytes 0..59.
//	The slot with the higher write number counts. Segments before the first one
//	are left over from a removal. A log that ends before the end LSN has lost
//	bytes which had been synced.
const (
	watermarkID   = "LEATWMRK"
	watermarkName = "watermark"
)

type watermark struct {
	write uint64
	first uint64
	end   uint64
}

func (w watermark) put(p []byte) {
	clear(p[:sectorSize])
	le := binary.LittleEndian
	copy(p, watermarkID)
	le.PutUint32(p[8:], formatVersion)
	le.PutUint64(p[16:], w.write)
	le.PutUint64(p[24:], w.first)
	le.PutUint64(p[32:], w.end)
	le.PutUint32(p[60:], checksum(0, p[:60]))
}

func parseWatermark(p []byte) (w watermark, version uint32) {
	le := binary.LittleEndian
	if len(p) < headerSize || string(p[:8]) != watermarkID || le.Uint32(p[60:]) != checksum(0, p[:60]) {
		return watermark{}, 0
	}
	return watermark{write: le.Uint64(p[16:]), first: le.Uint64(p[24:]), end: le.Uint64(p[32:])}, le.Uint32(p[8:])
}

// loadWatermark opens the watermark file; found is false where there is none.
func (db *DB) loadWatermark() (found bool, err error) {
	name := filepath.Join(db.dir, watermarkName)
	file, err := db.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open raft log watermark: %w", err)
	}
	db.markFile = file
	var p [2 * sectorSize]byte
	if size, err := file.Size(); err != nil {
		return false, fmt.Errorf("read raft log watermark: %w", err)
	} else if size >= int64(len(p)) {
		if err := readFull(file, p[:], 0); err != nil {
			return false, fmt.Errorf("read raft log watermark: %w", err)
		}
	}
	valid := false
	for slot := range 2 {
		w, version := parseWatermark(p[slot*sectorSize:])
		if version > formatVersion {
			return false, unknownVersion(name, version)
		}
		if version != 0 && (!valid || w.write > db.mark.write) {
			db.mark, valid = w, true
		}
	}
	if !valid {
		return false, corrupt(name, 0, "neither slot of the watermark is valid")
	}
	return true, nil
}

// createWatermark makes the file with both slots valid, by a temporary file, so
// that a file with no valid slot is always a damaged one.
func (db *DB) createWatermark(w watermark) error {
	name := filepath.Join(db.dir, watermarkName)
	temp := name + tempSuffix
	file, err := db.fs.Create(temp)
	if err != nil {
		return fmt.Errorf("create raft log watermark: %w", err)
	}
	db.markFile, db.mark = file, w
	var p [2 * sectorSize]byte
	w.put(p[:])
	w.put(p[sectorSize:])
	if _, err = file.WriteAt(p[:], 0); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = db.fs.Rename(temp, name)
	}
	if err == nil {
		err = db.fs.SyncDir(db.dir)
	}
	if err != nil {
		return fmt.Errorf("create raft log watermark: %w", err)
	}
	return nil
}

// saveWatermark makes a new watermark durable. Its end must have been synced.
// The caller holds the mutex.
func (db *DB) saveWatermark(first, end uint64) error {
	w := watermark{write: db.mark.write + 1, first: first, end: end}
	var p [sectorSize]byte
	w.put(p[:])
	_, err := db.markFile.WriteAt(p[:], int64(w.write%2)*sectorSize)
	if err == nil {
		err = db.markFile.Sync()
	}
	if err != nil {
		return fmt.Errorf("write raft log watermark: %w", err)
	}
	db.mark = w
	return nil
}

func readFull(file log.File, p []byte, pos int64) error {
	n, err := file.ReadAt(p, pos)
	if n == len(p) {
		return nil
	}
	return err
}

func corrupt(name string, pos int64, format string, args ...any) *fault.Error {
	what := fmt.Sprintf(format, args...)
	return fault.New(fault.Corrupt, "raft_log_corrupt", "%s, byte %d: %s", name, pos, what).
		With("file", name).With("offset", pos)
}

func truncated(name string, pos int64, format string, args ...any) *fault.Error {
	what := fmt.Sprintf(format, args...)
	return fault.New(fault.Corrupt, "log_truncated", "%s, byte %d: %s", name, pos, what).
		With("file", name).With("offset", pos)
}

func unknownVersion(name string, version uint32) *fault.Error {
	return fault.New(fault.Unsupported, "raft_log_version",
		"%s has format version %d, this program knows up to %d", name, version, formatVersion)
}
