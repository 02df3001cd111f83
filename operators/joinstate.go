package operators

import (
	"encoding/binary"
	"slices"

	"leat/codecs"
	"leat/dataflow"
	"leat/log"
)

// The state of a Join, as entries of the state log, big endian:
//
//	row       key    +-----+--------+-------------+-------------+
//	                 | 'r' | source | bucket      | offset      |
//	                 | u8  | u32    | i64 ^ 1<<63 | i64 ^ 1<<63 |
//	                 +-----+--------+-------------+-------------+
//	          value  +-------------+------------+-----+-------+
//	                 | event time  | key length | key | cells |
//	                 | i64 ^ 1<<63 | uvarint    |     |       |
//	                 +-------------+------------+-----+-------+
//	slab      key    +-----+------+-------------+
//	                 | 's' | side | bucket      |
//	                 | u8  | u8   | i64 ^ 1<<63 |
//	                 +-----+------+-------------+
//	          only ever deleted, with all rows of the side that have its bucket
//	progress  key    +-----+
//	                 | 'w' |
//	                 +-----+
//	          value  +-------------+------+------------------------------------------+
//	                 | event time  | some | partition and offset, left and right     |
//	                 | i64 ^ 1<<63 | u8   | i64 ^ 1<<63 each, partition -1 for none  |
//	                 +-------------+------+------------------------------------------+
//
// bucket is the event time divided by the length of a bucket, rounded down. The key is
// the canonical one, empty for a row that matches nothing; cells are one value after the
// other, a byte for its kind, then 8 bytes, little endian, for Bool, Int and Float, or a
// uvarint for the length and the text for String, Bytes, Object and Array. All joined
// rows before the event time of the progress have left and, if some is 1, those at that
// time up to the one with these rows; only then partitions and offsets are there.

const (
	joinEntry      = 'r'
	joinStateBytes = 2 + 1 + 4 + 8 + 8 + 8 + 2 // with the prefix of dataflow
)

// joinProgress says which joined rows have left.
type joinProgress struct {
	t       dataflow.Time // all before it
	some    bool          // and of those at it, all up to pair
	pair    joinPair
	changed bool // since the last snapshot
}

// Snapshot implements dataflow.Stateful.
func (j *Join) Snapshot(w *dataflow.StateWriter) error {
	j.gather()
	rows := false
	for side := range j.sides {
		s := &j.sides[side]
		for _, number := range s.dropped {
			if !w.Full {
				w.Delete(0, appendTime([]byte{segmentEntry, byte(side)}, dataflow.Time(number)))
			}
		}
		s.dropped = s.dropped[:0]
		rows = rows || len(s.slabs) > 0
	}
	if w.Full {
		for side := range j.sides {
			for _, number := range j.sides[side].numbers {
				for _, b := range j.sides[side].slabs[number].buckets {
					j.writeBucket(w, b, 0)
				}
			}
		}
	}
	for source, s := range j.shares {
		for _, b := range s.changed {
			if !w.Full {
				j.writeBucket(w, b, b.written)
			}
			j.sides[s.side].slabs[b.number].persisted = true
			b.written, b.fresh = len(b.times), 0
		}
		clear(s.changed)
		j.shares[source].changed, s.written = s.changed[:0], 0
	}
	if p := &j.progress; (p.changed || w.Full) && rows {
		w.Put(0, []byte{progressEntry}, p.append(j.value[:0]))
		p.changed = false
	}
	return nil
}

// writeBucket writes the rows of a bucket from one on.
func (j *Join) writeBucket(w *dataflow.StateWriter, b *joinBucket, from int) {
	source := uint32(slices.Index(j.shares, b.share))
	for i := from; i < len(b.times); i++ {
		key := b.keyOf(uint32(i))
		j.key = binary.BigEndian.AppendUint32(append(j.key[:0], joinEntry), source)
		j.key = appendTime(appendTime(j.key, dataflow.Time(b.number)), dataflow.Time(b.offsets[i]))
		j.value = binary.AppendUvarint(appendTime(j.value[:0], b.times[i]), uint64(len(key)))
		j.value = append(append(j.value, key...), b.cells(uint32(i))...)
		w.Put(byte(b.hashes[i]%dataflow.KeyGroups), j.key, j.value)
	}
}

func (p *joinProgress) append(dst []byte) []byte {
	dst = appendTime(dst, p.t)
	if !p.some {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	for _, place := range [2]joinPlace{p.pair.left, p.pair.right} {
		dst = appendTime(appendTime(dst, dataflow.Time(place.partition)), dataflow.Time(place.offset))
	}
	return dst
}

// Restore implements dataflow.Stateful.
func (j *Join) Restore(e dataflow.StateEntry) error {
	j.fresh = true
	switch {
	case len(e.Key) == 1 && e.Key[0] == progressEntry && !e.Deleted:
		return j.restoreProgress(e.Value)
	case len(e.Key) == 10 && e.Key[0] == segmentEntry && e.Key[1] <= Right && e.Deleted:
		j.gatherSlabs()
		side, number := &j.sides[e.Key[1]], int64(readTime(e.Key[2:]))
		if of := side.slabs[number]; of != nil {
			of.persisted = false // the deletion is already in the log
			side.drop(number)
		}
		return nil
	case len(e.Key) == 21 && e.Key[0] == joinEntry && !e.Deleted:
		source := binary.BigEndian.Uint32(e.Key[1:])
		if uint64(source) >= uint64(len(j.shares)) {
			return errState
		}
		return j.restoreRow(j.shares[source], int64(readTime(e.Key[5:])), log.Offset(readTime(e.Key[13:])), e.Value)
	}
	return errState
}

func (j *Join) restoreProgress(value []byte) error {
	if len(value) < 9 {
		return errState
	}
	p := joinProgress{t: readTime(value), some: value[8] == 1}
	if rest := value[9:]; p.some && len(rest) == 32 {
		place := func(b []byte) joinPlace { return joinPlace{int64(readTime(b)), log.Offset(readTime(b[8:]))} }
		p.pair = joinPair{place(rest), place(rest[16:])}
	} else if p.some || len(rest) > 0 || value[8] > 1 {
		return errState
	}
	j.progress = p
	return nil
}

func (j *Join) restoreRow(s *joinShare, number int64, offset log.Offset, value []byte) error {
	if len(value) < 8 {
		return errState
	}
	t := readTime(value) // any time: an append time has no bounds
	r := reader{src: value[8:]}
	n := r.uvarint()
	if n > MaxKeyBytes || bucketOf(t, j.reach.bucket()) != number {
		return errState
	}
	key := r.take(int(n))
	cells := r.src
	for range j.cells[s.side] {
		r.cell()
	}
	if r.bad || len(r.src) > 0 || !j.isKey(s.side, key) {
		return errState
	}
	b := s.use(number)
	if _, found := slices.BinarySearch(b.offsets, offset); found {
		return nil // the same entry, applied twice
	}
	if n := len(b.offsets); n > 0 && b.offsets[n-1] > offset {
		return errState
	}
	b.put(t, offset, key, cells)
	b.written = len(b.times)
	j.gatherSlabs()
	j.sides[s.side].slabs[number].persisted = true
	return nil
}

// isKey tells whether a row of a side can have a key.
func (j *Join) isKey(side int, key []byte) bool {
	if len(key) == 0 {
		return j.outer[side]
	}
	for range j.keys[side] {
		v, rest, err := codecs.DecodeKey(key)
		if err != nil || v.IsNull() {
			return false
		}
		key = rest
	}
	return len(key) == 0
}

// cell reads what appendValue has written of any value. Its text is a view.
func (r *reader) cell() (v codecs.Value) {
	v.Kind = codecs.Kind(r.byte())
	switch v.Kind {
	case codecs.Missing, codecs.Null:
	case codecs.Bool, codecs.Int, codecs.Float:
		v.Num = r.word()
	case codecs.String, codecs.Bytes, codecs.Object, codecs.Array:
		v.Str = view(r.take(int(r.uvarint())))
	default:
		r.bad = true
	}
	return v
}
