package operators

import (
	"cmp"
	"slices"

	"leat/dataflow"
)

// joinAt is how far the joined rows of one event time have been made.
type joinAt struct {
	t      dataflow.Time
	lefts  []int64 // slots of the left rows that may have some, by partition and offset
	i      int     // of those
	rights []int64 // slots of the right rows for it, by partition and offset
	k      int     // of those, notBegun before they are known
}

const notBegun = -1

// match makes joined rows, at least a chunk of them if there are as many.
func (j *Join) match() {
	for j.expand() && len(j.pending) < chunkRows {
		t, ok := j.nextTime()
		if !ok || t >= j.final {
			return
		}
		j.begin(t)
	}
}

// nextTime is the lowest event time of rows that nothing has been made of.
func (j *Join) nextTime() (t dataflow.Time, ok bool) {
	for side := range j.sides {
		s := &j.sides[side]
		for s.swept < s.end() && s.row(s.swept).t < j.progress.t {
			s.swept++
		}
		if s.swept == s.end() {
			continue
		}
		if first := s.row(s.swept).t; !ok || first < t {
			t, ok = first, true
		}
	}
	return t, ok
}

// begin finds the left rows of which joined rows at t are made: those at t, and those
// before it for which there are right rows at t. Right rows that match nothing leave at
// once.
func (j *Join) begin(t dataflow.Time) {
	left, right := &j.sides[Left], &j.sides[Right]
	j.at = joinAt{t: t, lefts: j.at.lefts[:0], rights: j.at.rights[:0], k: notBegun}
	for ; left.swept < left.end() && left.row(left.swept).t == t; left.swept++ {
		j.at.lefts = append(j.at.lefts, left.swept)
	}
	own := len(j.at.lefts)
	for ; right.swept < right.end() && right.row(right.swept).t == t; right.swept++ {
		r := right.row(right.swept)
		from, to := j.lefts(r)
		if j.outer[Right] {
			if l := j.first(Left, r.key, from, to); l < 0 {
				j.push(joined{-1, right.swept})
			}
		}
		if r.key == noKey || j.index.keys[r.key].met == t {
			continue
		}
		k := &j.index.keys[r.key]
		k.met, k.metFirst = t, right.swept
		for l := j.first(Left, r.key, from, min(to, t-1)); l >= 0 && left.row(l).t < t; l = left.row(l).next {
			j.at.lefts = append(j.at.lefts, l)
		}
	}
	if len(j.at.lefts) > own {
		left.sort(j.at.lefts)
	}
}

// sort orders slots by partition and offset.
func (s *joinSide) sort(slots []int64) {
	slices.SortFunc(slots, func(a, b int64) int {
		x, y := s.row(a), s.row(b)
		return cmp.Or(cmp.Compare(x.number, y.number), cmp.Compare(x.bucket.offsets[x.i], y.bucket.offsets[y.i]))
	})
}

// lefts is from when to when left rows are joined to a right one, as far as time goes:
// of rows that match but once not those that match the right row before it, of the same
// key.
func (j *Join) lefts(r *joinRow) (from, to dataflow.Time) {
	from, to = j.reach.span(Right, r.t)
	if right := &j.sides[Right]; j.once && r.prev >= right.first {
		_, before := j.reach.span(Right, right.row(r.prev).t)
		from = max(from, before.Plus(1))
	}
	return from, to
}

// first returns the first row of a side and key from one time to another, -1 if there is
// none. It is called with times from that do not fall, or with none at all.
func (j *Join) first(side int, key uint32, from, to dataflow.Time) int64 {
	if key == noKey || from > to {
		return -1
	}
	s, k := &j.sides[side], &j.index.keys[key]
	slot := k.cursor[side]
	for slot >= 0 && s.row(slot).t < from {
		slot = s.row(slot).next
	}
	k.cursor[side] = slot
	if slot < 0 || s.row(slot).t > to {
		return -1
	}
	return slot
}

// expand makes joined rows of the event time that has begun, until there are none any
// more or a chunk is full.
func (j *Join) expand() (done bool) {
	for at := &j.at; at.i < len(at.lefts); at.i, at.k = at.i+1, notBegun {
		l := at.lefts[at.i]
		if at.k == notBegun {
			j.partners(l)
		}
		for ; at.k < len(at.rights); at.k++ {
			if len(j.pending) >= chunkRows {
				return false
			}
			j.push(joined{l, at.rights[at.k]})
		}
	}
	return true
}

// partners finds the right rows that make joined rows at the present event time with a
// left one. A left row that matches nothing leaves at its own time.
func (j *Join) partners(left int64) {
	at, right := &j.at, &j.sides[Right]
	l := j.sides[Left].row(left)
	at.rights, at.k = at.rights[:0], 0
	slot := int64(-1)
	if l.t < at.t {
		slot = j.index.keys[l.key].metFirst
	} else {
		from, to := j.reach.span(Left, l.t)
		if slot = j.first(Right, l.key, from, to); slot < 0 && j.outer[Left] {
			j.push(joined{left, -1})
		}
	}
	for ; slot >= 0 && right.row(slot).t <= at.t; slot = right.row(slot).next {
		if at.rights = append(at.rights, slot); j.once {
			break
		}
	}
	if len(at.rights) > 1 && l.t == at.t {
		right.sort(at.rights) // they are by time
	}
}

// push adds a joined row, unless it had left before the state was restored.
func (j *Join) push(p joined) {
	if j.at.t == j.progress.t && j.progress.some && j.pairOf(p).compare(j.progress.pair) <= 0 {
		return
	}
	j.pending = append(j.pending, p)
}

func (p joinPair) compare(other joinPair) int {
	return cmp.Or(p.left.compare(other.left), p.right.compare(other.right))
}

func (p joinPlace) compare(other joinPlace) int {
	return cmp.Or(cmp.Compare(p.partition, other.partition), cmp.Compare(p.offset, other.offset))
}
