package queries

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"slices"

	"leat/codecs"
	"leat/internal/fault"
	"leat/log"
)

// The key of a grouped row's record in the result log:
//
//	00 | FF, or nothing | canonical key of the window's start, or of null | canonical key of each group_by value
//
// The 00 is the route of a grouped row; with FF a row is withdrawn. codecs/key.go has the
// canonical keys.

// viewKey takes the key of a record apart. ok is false for what is no grouped row.
func viewKey(key []byte) (start codecs.Value, group []byte, ok bool) {
	switch {
	case isWithdrawal(key):
		key = key[2:]
	case len(key) < 2 || key[0] != 0:
		return start, nil, false
	default:
		key = key[1:]
	}
	start, group, err := codecs.DecodeKey(key)
	return start, group, err == nil
}

const (
	// maxViewGroups bounds the groups of a query that a view remembers the rows of: 18
	// bytes each, twice that in a table that is half full, or about 10 MiB.
	maxViewGroups = 1 << 18
	// zoneRows is how many rows share the bounds of their window starts: 16 bytes.
	zoneRows = 4096
)

// viewIndex tells where in the result log of one query the last row of a group lies.
// It is made from the log alone, as far as somebody has asked. What it does not know it
// finds by reading the log backwards, so the answer never depends on its bounds.
type viewIndex struct {
	topics Topics
	topic  string
	turn   chan struct{} // holds an element while somebody uses what follows

	most  int // groups in latest
	hash  func(group []byte) uint64
	first log.Offset // where zone 0 begins
	next  log.Offset // the index covers the rows before
	// latest is the last row of the groups with a hash, if it is not before floor.
	latest map[uint64]log.Offset
	floor  log.Offset
	zones  []zone
	buf    []byte
}

// zone bounds the window starts of a run of rows.
type zone struct{ low, high int64 }

func newViewIndex(topics Topics, topic string) *viewIndex {
	seed := maphash.MakeSeed()
	return &viewIndex{
		topics: topics, topic: topic, turn: make(chan struct{}, 1), most: maxViewGroups,
		hash:   func(group []byte) uint64 { return maphash.Bytes(seed, group) },
		latest: map[uint64]log.Offset{},
	}
}

// find returns the last row of a group, of the window with the given start if there is
// one. The row belongs to the caller. When ctx ends the index keeps what it has read.
func (v *viewIndex) find(ctx context.Context, groups [][]byte, start *int64) (row []byte, found bool, err error) {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return nil, false, errViewBehind(0)
	}
	if err := v.follow(ctx); err != nil {
		return nil, false, err
	}
	for _, group := range groups {
		if row, found, err = v.last(ctx, group, start); found || err != nil {
			return row, found, err
		}
	}
	return nil, false, nil
}

func errViewBehind(rows log.Offset) error {
	return fault.New(fault.Unavailable, "view_behind", "the view has not yet read all rows of the query, %d are left", rows)
}

// follow reads what has come since the last time.
func (v *viewIndex) follow(ctx context.Context) error {
	p, err := v.topics.Partition(v.topic, 0)
	if err != nil {
		return fmt.Errorf("look at the result log: %w", err)
	}
	if len(v.zones) == 0 {
		v.first, v.next, v.floor = p.First, p.First, p.First
	}
	for v.next < p.Next {
		if ctx.Err() != nil {
			return errViewBehind(p.Next - v.next)
		}
		if err := v.read(v.next, p.Next, v.add); err != nil {
			return err
		}
	}
	return nil
}

// add takes the next row in.
func (v *viewIndex) add(r log.Record) {
	v.next = r.Offset + 1
	n := int((r.Offset - v.first) / zoneRows)
	for len(v.zones) <= n {
		v.zones = append(v.zones, zone{low: math.MaxInt64, high: math.MinInt64})
	}
	start, group, ok := viewKey(r.Key)
	if !ok {
		return
	}
	if z := &v.zones[n]; start.Kind == codecs.Int {
		z.low, z.high = min(z.low, start.Int()), max(z.high, start.Int())
	}
	v.latest[v.hash(group)] = r.Offset
	if len(v.latest) > v.most {
		v.shed()
	}
}

// shed forgets the half of the groups that have been silent for longest.
func (v *viewIndex) shed() {
	offsets := make([]log.Offset, 0, len(v.latest))
	for _, at := range v.latest {
		offsets = append(offsets, at)
	}
	slices.Sort(offsets)
	v.floor = offsets[len(offsets)/2]
	for h, at := range v.latest {
		if at < v.floor {
			delete(v.latest, h)
		}
	}
}

// read hands the rows from one offset up to another to each, at most those of one
// reading.
func (v *viewIndex) read(from, to log.Offset, each func(log.Record)) error {
	most := readRows
	if to-from == 1 {
		most = 1 // the frame with the row
	}
	frames, err := v.topics.Read(v.topic, 0, from, most, v.buf)
	if err != nil {
		return fmt.Errorf("read the result log from offset %d: %w", from, err)
	}
	if frames.Empty() {
		return fault.New(fault.Corrupt, "corrupt_record", "the result log ends at offset %d, before %d", from, to)
	}
	v.buf = frames.Bytes()
	cursor := frames.Records(from)
	for r, ok := cursor.Next(); ok && r.Offset < to; r, ok = cursor.Next() {
		each(r)
	}
	if err := cursor.Err(); err != nil {
		return fmt.Errorf("read the result log: %w", err)
	}
	return nil
}

// last finds the last row of a group among those the index covers. One that has been
// withdrawn counts for nothing: then it is the last one of another window.
func (v *viewIndex) last(ctx context.Context, group []byte, start *int64) (row []byte, found bool, err error) {
	end := v.next
	s := search{group: group, start: start}
	if start == nil {
		at, known := v.latest[v.hash(group)]
		if known {
			if err := v.read(at, at+1, s.take); err != nil || s.end() {
				return s.row, s.row != nil, err
			}
			end = at // it is the row of another group with that hash, or withdrawn
		} else {
			end = v.floor
		}
	}
	for end > v.first {
		if ctx.Err() != nil {
			return nil, false, errViewBehind(end - v.first)
		}
		n := (end - 1 - v.first) / zoneRows
		from := v.first + n*zoneRows
		if z := v.zones[n]; start == nil || z.low <= *start && *start <= z.high {
			for at := from; at < end; {
				err := v.read(at, end, func(r log.Record) {
					at = r.Offset + 1
					s.take(r)
				})
				if err != nil {
					return nil, false, err
				}
			}
			if s.end() {
				return s.row, s.row != nil, nil
			}
		}
		end = from
	}
	return nil, false, nil
}

// search looks for the last row of a group, in runs of the log of which each is before
// the one before, but goes forwards.
type search struct {
	group []byte
	start *int64 // of the window that is asked for; nil = any

	list []found        // of this run
	gone []codecs.Value // starts of the windows that have been withdrawn behind it
	row  []byte         // what was found
}

// found is a row of the group, nil where one is withdrawn.
type found struct {
	start codecs.Value
	row   []byte
}

func (s *search) take(r log.Record) {
	start, of, ok := viewKey(r.Key)
	if !ok || !bytes.Equal(of, s.group) || s.start != nil && (start.Kind != codecs.Int || start.Int() != *s.start) {
		return
	}
	f := found{start: start, row: bytes.Clone(r.Value)}
	if isWithdrawal(r.Key) {
		f.row = nil
	}
	s.list = slices.DeleteFunc(s.list, func(other found) bool { return other.start == start })
	s.list = append(s.list, f)
}

// end ends a run, and tells whether more need not be looked at: there is a row, or none
// of the group and window that is asked for.
func (s *search) end() bool {
	for _, f := range slices.Backward(s.list) {
		switch {
		case slices.Contains(s.gone, f.start):
		case f.row != nil:
			s.row = f.row
			return true
		case s.start != nil || f.start.Kind != codecs.Int:
			return true
		default:
			s.gone = append(s.gone, f.start)
		}
	}
	s.list = s.list[:0]
	return false
}
