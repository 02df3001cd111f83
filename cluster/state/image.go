package state

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"leat/cluster/internal/wire"
)

// AppendImage encodes the whole state behind dst. The image is the shortest
// list of operations that leads from the empty state to this one, in a fixed
// order, so equal states have equal images, and reading one is Replay. Two
// counters that no operation of the list would restore come first:
//
//	uvarint last topic number | uvarint last document version | operations
func (s *State) AppendImage(dst []byte) []byte {
	dst = wire.AppendUint(dst, s.lastTopic)
	dst = wire.AppendUint(dst, s.docVersion)
	dst = Clock{TimeMs: s.logTimeMs}.Append(dst)
	for _, t := range s.topics.Values() {
		dst = CreateTopic{Topic: *t}.Append(dst)
	}
	for _, id := range s.Partitions() {
		p := s.partitions[id]
		dst = Open{ID: id}.Append(dst)
		dst = Trim{ID: id, First: p.First}.Append(dst)
		for _, k := range p.keys.kept {
			dst = Remember{ID: id, Key: k.key, Entry: k.entry}.Append(dst)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.groups), compareGroups) {
		dst = Commit{ID: id, Offset: s.groups[id]}.Append(dst)
	}
	s.docs.Scan(func(key string, d Doc) bool {
		dst = Put{Key: key, Doc: d}.Append(dst)
		return true
	})
	for _, key := range slices.Sorted(maps.Keys(s.expired)) {
		dst = Expired{Key: key, AtMs: s.expired[key]}.Append(dst)
	}
	return dst
}

// FromImage decodes what AppendImage wrote.
func FromImage(image []byte) (*State, error) {
	r := &wire.Reader{Rest: image}
	s := New()
	lastTopic, docVersion := r.Uint(), r.Uint()
	if r.Err != nil {
		return nil, r.Err
	}
	if err := s.Replay(r.Rest); err != nil {
		return nil, err
	}
	s.lastTopic, s.docVersion, s.changes = lastTopic, docVersion, nil
	return s, nil
}

// Equal tells whether two states have the same image.
func (s *State) Equal(other *State) bool {
	return bytes.Equal(s.AppendImage(nil), other.AppendImage(nil))
}

func compareGroups(a, b GroupID) int {
	return cmp.Or(comparePartitions(a.PartitionID, b.PartitionID), cmp.Compare(a.Group, b.Group))
}
