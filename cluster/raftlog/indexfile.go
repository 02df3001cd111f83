package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// The index file is what the log held at one place: with it Open reads only what
// was written after that place. It is replaced by rename.
//
//	file    := header record…    one round of records as in a segment, see format.go
//	header     as of a segment, with "LEATRIDX", the sequence and the base LSN of the
//	           segment the place lies in, and a salt of zeros
//	record  := place, then for every replica its metadata (records 3–6) and its spans
//
//	type     a         b         c             payload
//	8 place  replicas  position  segment seed  –     what is before this position of that segment
//	                                                 has been synced and is told by the records here;
//	                                                 the seed begins the checksums of that segment
//	9 spans  how many  –         (CRC)         span, back to back, in the order of their indexes
//
//	span    := uvarint first index less the last of the span before (of 0), number of
//	           entries less 1, sequence of the segment, position / 64, size / 64
//
// The file is a help and vouches for the place, no more: where it is missing or any
// checksum in it does not hold, Open reads the segments from their beginning.
const (
	indexID   = "LEATRIDX"
	indexName = "index"
)

// place is a position of the log.
type place struct {
	sequence uint64 // of the segment; 0 for no place
	base     uint64 // LSN of the segment's first byte
	seed     uint32 // of the segment
	pos      int64
}

func (p *place) lsn() uint64 { return p.base + uint64(p.pos) }

// TailBytes is how much was written since the index was saved: what a start has to read
// besides ReplayBytes.
func (db *DB) TailBytes() int64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	at := db.end()
	return int64(at.lsn() - db.indexed.lsn())
}

// SaveIndex notes durably what the log holds, so that the next Open reads only what
// comes after. The goroutine that calls VerifyNext calls it.
func (db *DB) SaveIndex() error {
	var r round
	db.mu.Lock()
	at, err := db.end(), db.failed
	if err == nil {
		err = db.addIndex(&r, at)
	}
	db.mu.Unlock()
	if err == nil {
		err = db.syncTo(at.lsn())
	}
	if err == nil {
		err = db.writeIndex(&r, at)
	}
	if err != nil {
		return fmt.Errorf("save the index of the raft log: %w", err)
	}
	db.mu.Lock()
	db.indexed = at
	db.mu.Unlock()
	return nil
}

// end is the place where the next round goes. The caller holds the mutex.
func (db *DB) end() place {
	seg := db.active()
	return place{sequence: seg.sequence, base: seg.base, seed: seg.seed, pos: seg.end}
}

// closeIndex saves the index of a log that is closed and synced.
func (db *DB) closeIndex() error {
	var r round
	at := db.end()
	if err := db.addIndex(&r, at); err != nil {
		return err
	}
	return db.writeIndex(&r, at)
}

// addIndex appends the records of the index. The caller holds the mutex.
func (db *DB) addIndex(r *round, at place) error {
	h := header{kind: typePlace, a: uint64(len(db.replicas)), b: uint64(at.pos), c: uint64(at.seed)}
	if err := r.add(h, nil); err != nil {
		return err
	}
	for _, id := range db.sortedIDs() {
		rep := db.replicas[id]
		if err := rep.addMetadata(r); err != nil {
			return err
		}
		var payload []byte
		last := uint64(0)
		for i := range rep.spans {
			s := &rep.spans[i]
			payload = binary.AppendUvarint(payload, s.first-last)
			payload = binary.AppendUvarint(payload, s.last-s.first)
			payload = binary.AppendUvarint(payload, s.seg.sequence)
			payload = binary.AppendUvarint(payload, uint64(s.pos)/unit)
			payload = binary.AppendUvarint(payload, uint64(s.size)/unit)
			last = s.last
		}
		h := header{kind: typeSpans, shard: id.ShardID, replica: id.ReplicaID, a: uint64(len(rep.spans))}
		if err := r.add(h, payload); err != nil {
			return err
		}
	}
	return nil
}

// writeIndex puts the records in place of the index there is.
func (db *DB) writeIndex(r *round, at place) error {
	fh := fileHeader{sequence: at.sequence, base: at.base}
	data := make([]byte, headerSize, headerSize+len(r.buf))
	fh.put(data, indexID)
	r.seal(at.lsn(), fh.seed(), headerSize)
	data = append(data, r.buf...)
	name := filepath.Join(db.dir, indexName)
	file, err := db.fs.Create(name + tempSuffix)
	if err != nil {
		return err
	}
	if _, err = file.WriteAt(data, 0); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return db.fs.Rename(name+tempSuffix, name)
}

// savedIndex is an index file as read, whose checksums hold.
type savedIndex struct {
	at      place
	records []pendingRecord
}

// loadIndex reads the index. It has no place where there is none to go by.
func (db *DB) loadIndex() (savedIndex, error) {
	name := filepath.Join(db.dir, indexName)
	file, err := db.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return savedIndex{}, nil
	}
	if err != nil {
		return savedIndex{}, fmt.Errorf("open the index of the raft log: %w", err)
	}
	size, err := file.Size()
	data := make([]byte, max(size, 0))
	if err == nil {
		err = readFull(file, data, 0)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return savedIndex{}, fmt.Errorf("read the index of the raft log: %w", err)
	}
	var fh fileHeader
	if version := fh.parse(data, indexID); version > formatVersion {
		return savedIndex{}, unknownVersion(name, version)
	} else if version == 0 {
		return savedIndex{}, nil
	}
	return parseIndex(data, &fh), nil
}

// parseIndex reads the records behind the header of an index.
func parseIndex(data []byte, fh *fileHeader) (x savedIndex) {
	seed, more := fh.seed(), true
	for pos := int64(headerSize); more; {
		h, ok := parseHeader(data[min(pos, int64(len(data))):], seed, pos)
		if !ok {
			return savedIndex{}
		}
		body, ok := h.payload(data[pos:])
		if !ok || (h.kind == typePlace) != (pos == headerSize) {
			return savedIndex{}
		}
		if h.kind == typePlace {
			x.at = place{sequence: fh.sequence, base: fh.base, seed: uint32(h.c), pos: int64(h.b)}
		}
		x.records = append(x.records, pendingRecord{h: h, pos: pos, body: body})
		pos += h.size()
		more = h.flags&flagMore != 0
	}
	return x
}

// restore brings what the index says into the log, whose segments up to that of the
// index's place have been opened. Spans in segments that were removed since are given
// one that is closed: what is written after the place makes them go.
func (db *DB) restore(x *savedIndex) error {
	name := filepath.Join(db.dir, indexName)
	for i := range x.records {
		r := &x.records[i]
		switch r.h.kind {
		case typePlace:
		case typeSpans:
			if !db.restoreSpans(r) {
				return corrupt(name, r.pos, "the spans are not such")
			}
		case typeState, typeSnapshot, typeCompacted, typeBootstrap:
			db.apply(&r.h, r.body, nil, 0)
		default:
			return corrupt(name, r.pos, "a record of type %d does not belong here", r.h.kind)
		}
	}
	db.indexed = x.at
	return nil
}

func (db *DB) restoreSpans(rec *pendingRecord) bool {
	rep := db.replica(rec.h.shard, rec.h.replica)
	p, last := rec.body, uint64(0)
	for range rec.h.a {
		var v [5]uint64
		for i := range v {
			x, n := binary.Uvarint(p)
			if n <= 0 {
				return false
			}
			v[i], p = x, p[n:]
		}
		s := span{first: last + v[0], pos: int64(v[3] * unit), size: int64(v[4] * unit), closed: true}
		s.last = s.first + v[1]
		s.seg = db.segmentOf(v[2])
		if v[0] == 0 || s.last < s.first || s.seg == nil || s.seg.file != nil && s.pos+s.size > s.seg.end {
			return false
		}
		s.seg.spans++
		rep.spans, last = append(rep.spans, s), s.last
	}
	return len(p) == 0
}

// segmentOf is the open segment of a number, a closed one where it was removed, nil
// where it never was.
func (db *DB) segmentOf(sequence uint64) *segment {
	first := db.segments[0].sequence
	if sequence < first {
		return &segment{name: filepath.Join(db.dir, segmentName(sequence)), sequence: sequence, dead: true}
	}
	if sequence-first >= uint64(len(db.segments)) {
		return nil
	}
	return db.segments[sequence-first]
}

// dropIndex has the next Open read everything.
func (db *DB) dropIndex() error {
	if err := db.removeFile(filepath.Join(db.dir, indexName)); err != nil {
		return err
	}
	return db.fs.SyncDir(db.dir)
}
