package operators

import (
	"bytes"
	"cmp"
	"slices"
	"unsafe"

	"leat/codecs"
	"leat/dataflow"
	"leat/log"
)

// joinShare is what a Join keeps of one source partition. Process touches nothing else.
type joinShare struct {
	side    int
	number  uint32 // of the partition in its side
	buckets map[int64]*joinBucket
	last    *joinBucket   // of the row before
	fresh   []*joinBucket // not yet in a slab
	changed []*joinBucket // with rows that are not in the state log
	arrived []waitingRow  // since the last gather
	waiting []waitingRow  // above the watermark, in order
	spare   *joinBucket   // memory of one that was dropped, nil for none
	bytes   int64         // memory of buckets
	written int64         // bytes the next incremental snapshot will take

	key, row []byte // of the row that is added: canonical key, empty for none, and cells
}

// waitingRow is a row that has not been taken into the lists.
type waitingRow struct {
	t      dataflow.Time
	bucket *joinBucket
	i      uint32
}

func (w *waitingRow) compare(other *waitingRow) int {
	return cmp.Or(cmp.Compare(w.t, other.t), cmp.Compare(w.i, other.i)) // of equal times, in the same bucket
}

// joinBucket has the rows of some time of one source partition, in the order of their
// offsets, in slices without pointers.
type joinBucket struct {
	share   *joinShare
	number  int64 // event time by the length of a bucket
	times   []dataflow.Time
	offsets []log.Offset
	hashes  []uint64 // of keys
	keyEnds []int    // in data: where the key of a row ends, and its cells begin
	ends    []int    // where they end
	data    []byte
	written int   // rows that lie in the state log
	fresh   int64 // bytes of those that do not
	settled int64 // memory as the share has counted it
}

func (b *joinBucket) from(i uint32) int {
	if i == 0 {
		return 0
	}
	return b.ends[i-1]
}

// keyOf is the canonical key of a row, a view, empty for one that matches nothing.
func (b *joinBucket) keyOf(i uint32) []byte { return b.data[b.from(i):b.keyEnds[i]:b.keyEnds[i]] }

// cells are the columns of a row that are kept, as appendValue writes them; a view.
func (b *joinBucket) cells(i uint32) []byte { return b.data[b.keyEnds[i]:b.ends[i]:b.ends[i]] }

// bucketPlaces is the memory of a bucket's places in maps and in its slab, about.
const bucketPlaces = 128

func (b *joinBucket) bytes() int64 {
	return int64(int(unsafe.Sizeof(*b)) + bucketPlaces + 8*(cap(b.times)+cap(b.offsets)+cap(b.hashes)+cap(b.keyEnds)+cap(b.ends)) + cap(b.data))
}

func bucketOf(t dataflow.Time, length int64) int64 {
	n := int64(t) / length
	if int64(t)%length < 0 {
		n--
	}
	return n
}

// use returns the bucket of a number, making it if there is none.
func (s *joinShare) use(number int64) *joinBucket {
	if s.last != nil && s.last.number == number {
		return s.last
	}
	b := s.buckets[number]
	if b == nil {
		b = s.spare
		if s.spare = nil; b == nil {
			b = &joinBucket{share: s}
		}
		b.number = number
		s.buckets[number] = b
		s.fresh = append(s.fresh, b)
	}
	s.last = b
	return b
}

// add adds the row whose key and cells are in s.
func (s *joinShare) add(length int64, t dataflow.Time, offset log.Offset) {
	b := s.use(bucketOf(t, length))
	if b.written == len(b.times) {
		s.changed = append(s.changed, b)
	}
	i := b.put(t, offset, s.key, s.row)
	size := int64(len(s.key) + len(s.row) + joinStateBytes)
	b.fresh += size
	s.written += size
	s.arrived = append(s.arrived, waitingRow{t, b, i})
}

// maxSpareBucket bounds the memory that is kept of a bucket.
const maxSpareBucket = 4 << 20

// recycle makes b as good as new, with its memory.
func (b *joinBucket) recycle() {
	b.times, b.offsets, b.hashes = b.times[:0], b.offsets[:0], b.hashes[:0]
	b.keyEnds, b.ends, b.data = b.keyEnds[:0], b.ends[:0], b.data[:0]
	b.written, b.fresh, b.settled = 0, 0, 0
}

func (b *joinBucket) put(t dataflow.Time, offset log.Offset, key, cells []byte) (i uint32) {
	i = uint32(len(b.times))
	b.times, b.offsets = append(b.times, t), append(b.offsets, offset)
	b.hashes = append(b.hashes, codecs.KeyHash(key))
	b.data = append(b.data, key...)
	b.keyEnds = append(b.keyEnds, len(b.data))
	b.data = append(b.data, cells...)
	b.ends = append(b.ends, len(b.data))
	n := b.bytes()
	b.share.bytes += n - b.settled
	b.settled = n
	return i
}

// slab is the buckets of a side with the same number.
type slab struct {
	buckets   []*joinBucket
	persisted bool // something of it lies in the state log
}

// joinSide is one side of a join: its slabs, and its rows behind the watermark.
type joinSide struct {
	slabs   map[int64]*slab
	numbers []int64 // of slabs, ascending
	dropped []int64 // numbers of slabs of which something lies in the state log
	rows    []joinRow
	base    int64 // slot of the first of rows, which may have left the list
	first   int64 // slot of the first row that is in the list
	swept   int64 // slot of the first row that nothing has been made of
	taken   []joinRow
}

// joinRow is a row in the lists: in that of its side, by (event time, partition,
// offset), where its place, from 0 for the first that ever was, is its slot, and in
// that of its key.
type joinRow struct {
	t          dataflow.Time
	bucket     *joinBucket
	prev, next int64  // of the same key and side, -1 for none; prev may be gone
	i          uint32 // in bucket
	number     uint32 // of its partition
	key        uint32 // in joinIndex.keys, noKey for one that matches nothing
}

func (s *joinSide) row(slot int64) *joinRow { return &s.rows[slot-s.base] }

func (s *joinSide) end() int64 { return s.base + int64(len(s.rows)) }

func (s *joinSide) len() int { return int(s.end() - s.first) }

// settle gives back the memory of rows that are not in the list any more, of many at
// once.
func (s *joinSide) settle() {
	gone := int(s.first - s.base)
	if 2*gone < len(s.rows) {
		return
	}
	n := copy(s.rows, s.rows[gone:])
	clear(s.rows[n:])
	s.rows, s.base = s.rows[:n], s.first
	if cap(s.rows) > 64<<10 && 8*n < cap(s.rows) {
		s.rows = slices.Clone(s.rows)
	}
}

// slab returns the slab of a number, making it if there is none.
func (s *joinSide) slab(number int64) *slab {
	if s.slabs[number] == nil {
		s.slabs[number] = &slab{}
		at, _ := slices.BinarySearch(s.numbers, number)
		s.numbers = slices.Insert(s.numbers, at, number)
	}
	return s.slabs[number]
}

// drop forgets a slab, whose rows are in no list.
func (s *joinSide) drop(number int64) {
	of := s.slabs[number]
	for _, b := range of.buckets {
		delete(b.share.buckets, number)
		b.share.bytes -= b.settled
		b.share.written -= b.fresh
		if b.share.last == b {
			b.share.last = nil
		}
		b.share.changed = slices.DeleteFunc(b.share.changed, func(c *joinBucket) bool { return c == b })
		if b.share.spare == nil && b.settled <= maxSpareBucket {
			b.recycle()
			b.share.spare = b
		}
	}
	if of.persisted {
		s.dropped = append(s.dropped, number)
	}
	delete(s.slabs, number)
	at, _ := slices.BinarySearch(s.numbers, number)
	s.numbers = slices.Delete(s.numbers, at, at+1)
}

const noKey = ^uint32(0)

// joinIndex finds the lists of a key.
type joinIndex struct {
	table  []uint32 // key + 1, 0 = free; open addressing, a power of two long
	keys   []joinKey
	unused []uint32
}

// joinKey is a key that some row in a list has. Slots are -1 for none.
type joinKey struct {
	hash        uint64
	first, last [2]int64
	cursor      [2]int64      // no row before it will be looked for
	met         dataflow.Time // the last event time at which right rows of the key were met
	metFirst    int64         // the first of them
}

func (x *joinIndex) reset() { *x = joinIndex{table: make([]uint32, 8)} }

func (x *joinIndex) len() int { return len(x.keys) - len(x.unused) }

// keyOf is the canonical key of a key in the index.
func (j *Join) keyOf(key uint32) []byte {
	k := &j.index.keys[key]
	for side, slot := range k.first {
		if slot >= 0 {
			r := j.sides[side].row(slot)
			return r.bucket.keyOf(r.i)
		}
	}
	return nil
}

// find returns the key of a row, making it if there is none.
func (j *Join) find(hash uint64, key []byte) uint32 {
	x := &j.index
	mask := uint64(len(x.table) - 1)
	at := hash & mask
	for ; x.table[at] != 0; at = (at + 1) & mask {
		if id := x.table[at] - 1; x.keys[id].hash == hash && bytes.Equal(j.keyOf(id), key) {
			return id
		}
	}
	id := uint32(len(x.keys))
	if last := len(x.unused) - 1; last >= 0 {
		id = x.unused[last]
		x.unused = x.unused[:last]
	} else {
		x.keys = append(x.keys, joinKey{})
	}
	none := [2]int64{-1, -1}
	x.keys[id] = joinKey{hash: hash, first: none, last: none, cursor: none, met: dataflow.MinTime}
	x.table[at] = id + 1
	if 3*x.len() > 2*len(x.table) {
		x.grow()
	}
	return id
}

func (x *joinIndex) grow() {
	old := x.table
	x.table = make([]uint32, 2*len(old))
	mask := uint64(len(x.table) - 1)
	for _, entry := range old {
		if entry == 0 {
			continue
		}
		at := x.keys[entry-1].hash & mask
		for x.table[at] != 0 {
			at = (at + 1) & mask
		}
		x.table[at] = entry
	}
}

// remove forgets a key without rows.
func (x *joinIndex) remove(id uint32) {
	mask := uint64(len(x.table) - 1)
	at := x.keys[id].hash & mask
	for x.table[at] != id+1 {
		at = (at + 1) & mask
	}
	for next := (at + 1) & mask; x.table[next] != 0; next = (next + 1) & mask {
		home := x.keys[x.table[next]-1].hash & mask
		if (next-home)&mask >= (next-at)&mask {
			x.table[at] = x.table[next]
			at = next
		}
	}
	x.table[at] = 0
	x.unused = append(x.unused, id)
}

// append puts a row behind the others of its side and its key.
func (j *Join) append(side int, r joinRow) {
	s := &j.sides[side]
	slot := s.end()
	r.prev, r.next, r.key = -1, -1, noKey
	if key := r.bucket.keyOf(r.i); len(key) > 0 {
		r.key = j.find(r.bucket.hashes[r.i], key)
		k := &j.index.keys[r.key]
		if r.prev = k.last[side]; r.prev >= 0 {
			s.row(r.prev).next = slot
		} else {
			k.first[side] = slot
		}
		if k.last[side] = slot; k.cursor[side] < 0 {
			k.cursor[side] = slot
		}
	}
	s.rows = append(s.rows, r)
}

// removeFirst takes the first row of a side out of the lists.
func (j *Join) removeFirst(side int) {
	s := &j.sides[side]
	slot, r := s.first, s.row(s.first)
	if r.key != noKey {
		k := &j.index.keys[r.key]
		k.first[side] = r.next
		if k.cursor[side] == slot {
			k.cursor[side] = r.next
		}
		if r.next < 0 {
			k.last[side] = -1
		}
		if k.first[Left] < 0 && k.first[Right] < 0 {
			j.index.remove(r.key)
		}
	}
	r.bucket = nil
	s.first++
}

// gatherSlabs takes the buckets that the shares have made into slabs.
func (j *Join) gatherSlabs() {
	for _, s := range j.shares {
		for _, b := range s.fresh {
			of := j.sides[s.side].slab(b.number)
			of.buckets = append(of.buckets, b)
		}
		clear(s.fresh)
		s.fresh = s.fresh[:0]
	}
}

// gather takes what the shares have got into slabs, and puts it in order.
func (j *Join) gather() {
	j.gatherSlabs()
	for _, s := range j.shares {
		if j.fresh {
			s.arrived, s.waiting = s.arrived[:0], nil
			for _, b := range s.buckets {
				for i, t := range b.times {
					s.arrived = append(s.arrived, waitingRow{t, b, uint32(i)})
				}
			}
		}
		s.order()
	}
	j.fresh = false
}

// order merges what has arrived into waiting.
func (s *joinShare) order() {
	if len(s.arrived) == 0 {
		return
	}
	compare := func(a, b waitingRow) int { return a.compare(&b) }
	slices.SortFunc(s.arrived, compare)
	from, _ := slices.BinarySearchFunc(s.waiting, s.arrived[0], compare)
	before := len(s.waiting)
	if s.waiting = append(s.waiting, s.arrived...); from < before {
		slices.SortFunc(s.waiting[from:], compare)
	}
	clear(s.arrived)
	s.arrived = s.arrived[:0]
}

// take puts the rows below arrived into the lists.
func (j *Join) take(arrived dataflow.Time) {
	for side := range j.sides {
		taken := j.sides[side].taken[:0]
		runs := 0
		for _, s := range j.shares {
			if s.side != side {
				continue
			}
			n := 0
			for ; n < len(s.waiting) && s.waiting[n].t < arrived; n++ {
				w := &s.waiting[n]
				taken = append(taken, joinRow{t: w.t, bucket: w.bucket, i: w.i, number: s.number})
			}
			if n == 0 {
				continue
			}
			runs++
			s.waiting = slices.Delete(s.waiting, 0, n)
		}
		if runs > 1 {
			slices.SortFunc(taken, func(a, b joinRow) int {
				return cmp.Or(cmp.Compare(a.t, b.t), cmp.Compare(a.number, b.number), cmp.Compare(a.i, b.i))
			})
		}
		for i := range taken {
			j.append(side, taken[i])
		}
		clear(taken)
		j.sides[side].taken = keptList(taken)
	}
}

// forget notes that all joined rows before final have left, and drops what no other one
// needs.
func (j *Join) forget() {
	if j.final > j.progress.t {
		j.progress = joinProgress{t: j.final, changed: true}
	}
	length := j.reach.bucket()
	for side := range j.sides {
		s := &j.sides[side]
		needed := j.reach.needed(side, j.final)
		for len(s.numbers) > 0 && endOf(s.numbers[0], length) <= needed {
			number := s.numbers[0]
			for s.len() > 0 && s.row(s.first).bucket.number == number {
				j.removeFirst(side)
			}
			s.drop(number)
		}
		s.settle()
	}
	if j.index.len() == 0 && len(j.index.keys) > 64<<10 {
		j.index.reset()
	}
}

// endOf is where the bucket of a number ends.
func endOf(number, length int64) dataflow.Time {
	return dataflow.Time(number * length).Plus(length)
}

// StateBytes implements dataflow.Stateful.
func (j *Join) StateBytes() int64 {
	var total int64
	for _, s := range j.shares {
		total += s.bytes + int64(unsafe.Sizeof(waitingRow{}))*int64(len(s.waiting)+len(s.arrived))
	}
	for side := range j.sides {
		total += int64(unsafe.Sizeof(joinRow{})) * int64(j.sides[side].len())
	}
	return total + int64(unsafe.Sizeof(joinKey{}))*int64(j.index.len())
}

// ChangedBytes implements dataflow.Stateful.
func (j *Join) ChangedBytes() int64 {
	var total int64
	for _, s := range j.shares {
		total += s.written
	}
	return total
}
