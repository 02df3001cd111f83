package operators

import (
	"cmp"
	"slices"

	"leat/codecs"
	"leat/dataflow"
)

// shown knows which rows of groups have been put out as changes and count until they are
// replaced by another row of the same group and window, are withdrawn, or are final. It
// is kept where rows may have to be withdrawn, and is written with the epochs that put
// them out, so that no withdrawal gets lost. As entries of the state log:
//
//	mark   key    +-----+-------------+-----------+
//	              | 'v' | start       | group key |
//	              | u8  | i64 ^ 1<<63 |           |
//	              +-----+-------------+-----------+
//	       value  +-------+
//	              | there |
//	              | u8    |
//	              +-------+
//
// start is that of the window, 0 of running groups. there is 1 where the row counts, and
// 0 where it is known that none does. Groups without a mark have none, but for those
// that may have lived before, of which nothing is known.
type shown struct {
	groups  map[string][]mark   // by group key, in the order of starts
	unknown bool                // what has no mark may be there
	changed map[string]struct{} // keys of entries that differ from the state log
	held    int64               // memory
	written int64               // bytes of the next snapshot

	key []byte
}

type mark struct {
	start dataflow.Time
	there bool
}

const (
	shownEntry = 'v'
	markBytes  = 64 // memory of a mark beside its key, about
)

func newShown(unknown bool) *shown {
	return &shown{groups: map[string][]mark{}, unknown: unknown, changed: map[string]struct{}{}}
}

// may tells whether a row of a group and window may be there. A nil shown has none.
func (s *shown) may(key []byte, start dataflow.Time) bool {
	if s == nil {
		return false
	}
	list := s.groups[string(key)]
	if i, found := s.find(list, start); found {
		return list[i].there
	}
	return s.unknown
}

func (s *shown) find(list []mark, start dataflow.Time) (i int, found bool) {
	return slices.BinarySearchFunc(list, start, func(m mark, t dataflow.Time) int { return cmp.Compare(m.start, t) })
}

// within returns the starts from one up to another of the rows that are there of a group.
func (s *shown) within(key []byte, from, to dataflow.Time) (starts []dataflow.Time) {
	for _, m := range s.groups[string(key)] {
		if m.there && m.start >= from && m.start < to {
			starts = append(starts, m.start)
		}
	}
	return starts
}

// set notes that a row is there, or is not.
func (s *shown) set(key []byte, start dataflow.Time, there bool) {
	if s.may(key, start) == there && !s.unknown {
		return
	}
	if !there && !s.unknown {
		s.forget(key, start)
		return
	}
	list := s.groups[string(key)]
	i, found := s.find(list, start)
	switch {
	case found && list[i].there == there:
		return
	case found:
		list[i].there = there
	default:
		s.groups[string(key)] = slices.Insert(list, i, mark{start, there})
		s.held += int64(markBytes + len(key))
	}
	s.change(key, start)
}

// forget drops a mark.
func (s *shown) forget(key []byte, start dataflow.Time) {
	list := s.groups[string(key)]
	i, found := s.find(list, start)
	if !found {
		return
	}
	if len(list) == 1 {
		delete(s.groups, string(key))
	} else {
		s.groups[string(key)] = slices.Delete(list, i, i+1)
	}
	s.held -= int64(markBytes + len(key))
	s.change(key, start)
}

func (s *shown) change(key []byte, start dataflow.Time) {
	s.key = append(appendTime(append(s.key[:0], shownEntry), start), key...)
	if _, known := s.changed[string(s.key)]; !known {
		s.changed[string(s.key)] = struct{}{}
		s.written += int64(len(s.key) + 4)
	}
}

func (s *shown) bytes() int64 {
	if s == nil {
		return 0
	}
	return s.held
}

func (s *shown) changedBytes() int64 {
	if s == nil {
		return 0
	}
	return s.written
}

// snapshot writes what has changed, or all.
func (s *shown) snapshot(w *dataflow.StateWriter) {
	if s == nil {
		return
	}
	if w.Full {
		for key, list := range s.groups { // the order of entries means nothing
			for _, m := range list {
				s.put(w, []byte(key), m)
			}
		}
	} else {
		for entry := range s.changed {
			start, key := readTime([]byte(entry[1:])), []byte(entry[9:])
			list := s.groups[string(key)]
			if i, found := s.find(list, start); found {
				s.put(w, key, list[i])
			} else {
				w.Delete(groupOf(key), []byte(entry))
			}
		}
	}
	clear(s.changed)
	s.written = 0
}

func (s *shown) put(w *dataflow.StateWriter, key []byte, m mark) {
	value := []byte{0}
	if m.there {
		value[0] = 1
	}
	s.key = append(appendTime(append(s.key[:0], shownEntry), m.start), key...)
	w.Put(groupOf(key), s.key, value)
}

func groupOf(key []byte) byte { return byte(codecs.KeyHash(key) % dataflow.KeyGroups) }

// restore applies an entry whose key begins with shownEntry.
func (s *shown) restore(e dataflow.StateEntry) error {
	if s == nil || len(e.Key) < 9 || !e.Deleted && (len(e.Value) != 1 || e.Value[0] > 1) {
		return errState
	}
	start, key := readTime(e.Key[1:]), e.Key[9:]
	if e.Deleted {
		s.forget(key, start)
	} else {
		list := s.groups[string(key)]
		i, found := s.find(list, start)
		if !found {
			s.held += int64(markBytes + len(key))
			list = slices.Insert(list, i, mark{start: start})
		}
		list[i].there = e.Value[0] == 1
		s.groups[string(key)] = list
	}
	clear(s.changed)
	s.written = 0
	return nil
}
