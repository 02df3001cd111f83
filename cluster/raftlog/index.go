package raftlog

import (
	"slices"

	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"
)

// mergeBytes bounds the bytes that several small records share one span for:
// what reading a single entry may read besides it.
const mergeBytes = 32 << 10

// span says where a dense run of entries of one replica lies. The bytes from
// pos to pos+size hold its records and perhaps records of other replicas
// between them; the first record may begin before first, the last end after
// last, but no index from first to last is there twice.
type span struct {
	first, last uint64
	pos, size   int64
	seg         *segment
	closed      bool // takes no more records
}

// replica is what the log knows of one replica: everything except the bytes of
// its entries. It is guarded by the DB's mutex.
type replica struct {
	id        raftio.NodeInfo
	state     pb.State
	snapshot  []byte // raftpb.Snapshot as stored, nil for none
	snapIndex uint64
	snapTerm  uint64
	bootstrap []byte // raftpb.Bootstrap as stored, where booted is true
	booted    bool
	compacted uint64 // entries up to here are gone
	durable   uint64 // entries up to here are synced
	spans     []span // by index, disjoint, gaps possible
}

// lastIndex is the last index the log accounts for.
func (r *replica) lastIndex() uint64 {
	last := max(r.snapIndex, r.compacted)
	if n := len(r.spans); n > 0 {
		last = max(last, r.spans[n-1].last)
	}
	return last
}

// add records that entries first..last are in the record at pos. Whatever the
// replica had from first on is void.
func (r *replica) add(first, last uint64, seg *segment, pos, size int64) {
	r.voidFrom(first)
	if n := len(r.spans); n > 0 {
		tail := &r.spans[n-1]
		if !tail.closed && tail.seg == seg && tail.last+1 == first && pos+size-tail.pos <= mergeBytes {
			tail.last, tail.size = last, pos+size-tail.pos
			return
		}
	}
	r.spans = append(r.spans, span{first: first, last: last, pos: pos, size: size, seg: seg})
	seg.spans++
}

// voidFrom forgets the entries from first on.
func (r *replica) voidFrom(first uint64) {
	n := len(r.spans)
	if n == 0 || r.spans[n-1].last < first {
		return
	}
	for n > 0 && r.spans[n-1].first >= first {
		n--
		r.spans[n].seg.spans--
	}
	clear(r.spans[n:])
	r.spans = r.spans[:n]
	if n > 0 {
		tail := &r.spans[n-1]
		tail.last = min(tail.last, first-1)
		tail.closed = true
	}
	r.durable = min(r.durable, first-1)
}

// move records that entries first..last, unchanged, are now also in the record
// at pos: the old place is no longer needed.
func (r *replica) move(first, last uint64, seg *segment, pos, size int64) {
	out := make([]span, 0, len(r.spans)+2)
	for _, s := range r.spans {
		if s.last < first || s.first > last {
			out = append(out, s)
			continue
		}
		s.seg.spans--
		if s.first < first && first-1 > r.compacted {
			left := s
			left.last, left.closed = first-1, true
			left.seg.spans++
			out = append(out, left)
		}
		if s.last > last {
			right := s
			right.first = last + 1
			right.seg.spans++
			out = append(out, right)
		}
	}
	at, _ := slices.BinarySearchFunc(out, first, func(s span, i uint64) int {
		if s.first < i {
			return -1
		}
		return 1
	})
	r.spans = slices.Insert(out, at, span{first: first, last: last, pos: pos, size: size, seg: seg, closed: true})
	seg.spans++
}

// dropTo forgets the entries up to index.
func (r *replica) dropTo(index uint64) {
	if index <= r.compacted {
		return
	}
	r.compacted = index
	n := 0
	for n < len(r.spans) && r.spans[n].last <= index {
		r.spans[n].seg.spans--
		n++
	}
	if n > 0 {
		r.spans = slices.Delete(r.spans, 0, n)
	}
}

// dropAll forgets every entry.
func (r *replica) dropAll() {
	for i := range r.spans {
		r.spans[i].seg.spans--
	}
	r.spans = nil
}

// find returns the position of the span that holds index, or -1.
func (r *replica) find(index uint64) int {
	at, found := slices.BinarySearchFunc(r.spans, index, func(s span, i uint64) int {
		switch {
		case s.last < i:
			return -1
		case s.first > i:
			return 1
		}
		return 0
	})
	if !found || index <= r.compacted {
		return -1
	}
	return at
}

// denseEnd returns the last index of the run without gaps that begins at index,
// index-1 where there is none.
func (r *replica) denseEnd(index uint64) uint64 {
	at := r.find(index)
	if at < 0 {
		return index - 1
	}
	last := r.spans[at].last
	for _, s := range r.spans[at+1:] {
		if s.first != last+1 {
			break
		}
		last = s.last
	}
	return last
}

// covering appends the spans that hold the dense run from low to at most
// high-1, each with a reference on its segment.
func (r *replica) covering(out []span, low, high uint64) []span {
	at := r.find(low)
	if at < 0 {
		return out
	}
	next := r.spans[at].first
	for _, s := range r.spans[at:] {
		if s.first != next || s.first >= high {
			break
		}
		s.seg.refs++
		out = append(out, s)
		next = s.last + 1
	}
	return out
}

// replica is what the log knows of a replica, nothing yet where it is new.
func (db *DB) replica(shardID, replicaID uint64) *replica {
	id := raftio.NodeInfo{ShardID: shardID, ReplicaID: replicaID}
	r := db.replicas[id]
	if r == nil {
		r = &replica{id: id}
		db.replicas[id] = r
	}
	return r
}

// apply brings the state of one record into the index. The same code runs when
// a record has been written and when it is read back at start.
func (db *DB) apply(h *header, body []byte, seg *segment, pos int64) {
	id := raftio.NodeInfo{ShardID: h.shard, ReplicaID: h.replica}
	if h.kind == typeCheckpoint {
		return
	}
	if h.kind == typeRemoval {
		if r := db.replicas[id]; r != nil {
			r.dropAll()
			delete(db.replicas, id)
		}
		return
	}
	r := db.replica(h.shard, h.replica)
	switch h.kind {
	case typeEntries:
		if h.flags&flagCarried != 0 {
			r.move(h.a, h.b, seg, pos, h.size())
		} else {
			r.add(h.a, h.b, seg, pos, h.size())
		}
	case typeState:
		r.state = pb.State{Term: h.a, Vote: h.b, Commit: h.c}
	case typeSnapshot:
		if h.a > r.snapIndex {
			r.snapshot, r.snapIndex, r.snapTerm = slices.Clone(body), h.a, h.b
			if h.flags&flagInstalled != 0 {
				r.voidFrom(h.a + 1)
			}
		}
	case typeCompacted:
		r.dropTo(h.a)
	case typeBootstrap:
		r.bootstrap, r.booted = slices.Clone(body), true
	}
}

// addMetadata appends the records that say everything about the replica except
// its entries.
func (r *replica) addMetadata(out *round) error {
	id := r.id
	if r.booted {
		if err := out.add(header{kind: typeBootstrap, shard: id.ShardID, replica: id.ReplicaID}, r.bootstrap); err != nil {
			return err
		}
	}
	if !pb.IsEmptyState(r.state) {
		if err := out.addState(id.ShardID, id.ReplicaID, r.state); err != nil {
			return err
		}
	}
	if r.snapshot != nil {
		h := header{kind: typeSnapshot, shard: id.ShardID, replica: id.ReplicaID, a: r.snapIndex, b: r.snapTerm}
		if err := out.add(h, r.snapshot); err != nil {
			return err
		}
	}
	if r.compacted > 0 {
		h := header{kind: typeCompacted, shard: id.ShardID, replica: id.ReplicaID, a: r.compacted}
		return out.add(h, nil)
	}
	return nil
}
