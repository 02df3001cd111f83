package raftlog

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	pb "github.com/lni/dragonboat/v4/raftpb"
)

const (
	// maxRecordPayload is where a record of entries is closed and the next one
	// begun, so that reading one entry never reads much more than that besides.
	maxRecordPayload = 128 << 10
	// maxKeptRound is the largest buffer kept for the next round.
	maxKeptRound = 4 << 20
)

// round is a sequence of records that becomes visible as a whole: what one call
// of the interface writes. It is built without knowing where it will go and
// sealed when that is known. The zero round is empty; reset makes it so again.
type round struct {
	buf     []byte
	headers []header
	offsets []int
}

func (r *round) reset() {
	if cap(r.buf) > maxKeptRound {
		r.buf = nil
	}
	r.buf, r.headers, r.offsets = r.buf[:0], r.headers[:0], r.offsets[:0]
}

func (r *round) empty() bool { return len(r.headers) == 0 }

// begin reserves the header of the next record; the payload is appended to buf
// after it.
func (r *round) begin() (start int) {
	start = len(r.buf)
	r.buf = slices.Grow(r.buf, headerSize)[:start+headerSize]
	clear(r.buf[start:])
	return start
}

// finish closes the record begun at start.
func (r *round) finish(start int, h header) error {
	length := len(r.buf) - start - headerSize
	if uint64(length) > math.MaxUint32-2*unit {
		return fmt.Errorf("record of %d bytes is larger than the format allows", length)
	}
	h.length = uint32(length)
	if length > 0 {
		h.c = uint64(checksum(0, r.buf[start+headerSize:]))
		end, size := len(r.buf), start+int(h.size())
		r.buf = slices.Grow(r.buf, size-end)[:size]
		clear(r.buf[end:])
		binary.LittleEndian.PutUint32(r.buf[size-4:], endMark)
	}
	h.put(r.buf[start:])
	r.headers = append(r.headers, h)
	r.offsets = append(r.offsets, start)
	return nil
}

// add appends one whole record.
func (r *round) add(h header, payload []byte) error {
	start := r.begin()
	r.buf = append(r.buf, payload...)
	return r.finish(start, h)
}

func (r *round) addState(shard, replica uint64, s pb.State) error {
	return r.add(header{kind: typeState, shard: shard, replica: replica, a: s.Term, b: s.Vote, c: s.Commit}, nil)
}

func (r *round) addSnapshot(shard, replica uint64, ss pb.Snapshot, flags uint8) error {
	payload, err := ss.Marshal()
	if err != nil {
		return fmt.Errorf("encode snapshot metadata: %w", err)
	}
	return r.add(header{kind: typeSnapshot, flags: flags, shard: shard, replica: replica, a: ss.Index, b: ss.Term}, payload)
}

func (r *round) addBootstrap(shard, replica uint64, b pb.Bootstrap) error {
	payload, err := b.Marshal()
	if err != nil {
		return fmt.Errorf("encode bootstrap: %w", err)
	}
	return r.add(header{kind: typeBootstrap, shard: shard, replica: replica}, payload)
}

// addEntries appends as many records as the entries need: a new one whenever
// the payload is large enough or the indexes are not dense.
func (r *round) addEntries(shard, replica uint64, entries []pb.Entry) error {
	total := 0
	for i := range entries {
		total += len(entries[i].Cmd) + maxEntryOverhead
	}
	r.buf = slices.Grow(r.buf, total+2*unit)
	for len(entries) > 0 {
		start, n := r.begin(), 0
		for n < len(entries) && len(r.buf)-start < maxRecordPayload &&
			entries[n].Index == entries[0].Index+uint64(n) {
			r.buf = appendEntry(r.buf, &entries[n])
			n++
		}
		h := header{kind: typeEntries, shard: shard, replica: replica, a: entries[0].Index, b: entries[n-1].Index}
		if err := r.finish(start, h); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// seal completes every record for its place in a file.
func (r *round) seal(durable uint64, fileSeed uint32, pos int64) {
	last := len(r.offsets) - 1
	for i, at := range r.offsets {
		seal(r.buf[at:], i < last, durable, fileSeed, pos+int64(at))
	}
}

// maxEntryOverhead bounds the bytes of an entry besides its command.
const maxEntryOverhead = 6*binary.MaxVarintLen64 + 1

func appendEntry(p []byte, e *pb.Entry) []byte {
	p = binary.AppendUvarint(p, e.Term)
	p = append(p, byte(e.Type))
	p = binary.AppendUvarint(p, e.Key)
	p = binary.AppendUvarint(p, e.ClientID)
	p = binary.AppendUvarint(p, e.SeriesID)
	p = binary.AppendUvarint(p, e.RespondedTo)
	p = binary.AppendUvarint(p, uint64(len(e.Cmd)))
	return append(p, e.Cmd...)
}

// readEntry decodes the entry at the start of p. Its command is a view of p;
// used is 0 where no entry is there.
func readEntry(p []byte) (e pb.Entry, used int) {
	var length uint64
	at := 0
	field := func(v *uint64) bool {
		x, n := binary.Uvarint(p[at:])
		if n <= 0 {
			return false
		}
		*v = x
		at += n
		return true
	}
	if !field(&e.Term) || at >= len(p) {
		return pb.Entry{}, 0
	}
	e.Type = pb.EntryType(p[at])
	at++
	if !field(&e.Key) || !field(&e.ClientID) || !field(&e.SeriesID) || !field(&e.RespondedTo) || !field(&length) {
		return pb.Entry{}, 0
	}
	if length > uint64(len(p)-at) {
		return pb.Entry{}, 0
	}
	if length > 0 {
		e.Cmd = p[at : at+int(length) : at+int(length)]
	}
	return e, at + int(length)
}
