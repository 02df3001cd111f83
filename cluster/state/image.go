package state

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/tidwall/btree"

	"leat/cluster/internal/wire"
)

// View is what a State held at one moment. It does not change, shares memory with the
// State, and may be read beside it by one goroutine. Making one costs a little for each partition and
// nothing for documents, groups and keys; while there is one, a change of the State
// copies the node of the tree that it changes, once.
type View struct {
	logTimeMs  int64
	lastTopic  uint64
	docVersion uint64
	topics     *btree.Map[string, *Topic]
	partitions []partitionView
	groups     *btree.BTreeG[groupOffset]
	docs       *btree.Map[string, Doc]
	expired    *btree.Map[string, int64]
}

type partitionView struct {
	id PartitionID
	Partition
}

// Freeze makes a view of what there is now. Nobody else may use the state meanwhile,
// not even to read.
func (s *State) Freeze() *View {
	v := &View{
		logTimeMs: s.logTimeMs, lastTopic: s.lastTopic, docVersion: s.docVersion,
		topics: s.topics.Copy(), groups: s.groups.Copy(), docs: s.docs.Copy(), expired: s.expired.Copy(),
		partitions: make([]partitionView, 0, len(s.partitions)),
	}
	for id, p := range s.partitions {
		// Keys are only added behind those there are, and cut off in front.
		v.partitions = append(v.partitions, partitionView{id, Partition{First: p.First, keys: keyWindow{kept: p.keys.kept}}})
	}
	return v
}

// Image is the view as bytes, in pieces of about so many each: emit gets them in order
// and may use one until it returns. An error of emit ends the image.
//
// The image is the shortest list of operations that leads from the empty state to this
// one, in a fixed order, so equal states have equal images, and reading one is Replay.
// Each piece has whole operations. Two counters that no operation of the list would
// restore come first:
//
//	uvarint last topic number | uvarint last document version | operations
func (v *View) Image(pieceBytes int, emit func(piece []byte) error) error {
	w := imageWriter{most: pieceBytes, emit: emit}
	w.piece = wire.AppendUint(wire.AppendUint(nil, v.lastTopic), v.docVersion)
	w.piece = Clock{TimeMs: v.logTimeMs}.Append(w.piece)
	v.topics.Scan(func(_ string, t *Topic) bool {
		w.piece = CreateTopic{Topic: *t}.Append(w.piece)
		return w.full()
	})
	v.imagePartitions(&w)
	v.groups.Scan(func(g groupOffset) bool {
		w.piece = Commit{ID: g.id, Offset: g.offset}.Append(w.piece)
		return w.full()
	})
	v.docs.Scan(func(key string, d Doc) bool {
		w.piece = Put{Key: key, Doc: d}.Append(w.piece)
		return w.full()
	})
	v.expired.Scan(func(key string, atMs int64) bool {
		w.piece = Expired{Key: key, AtMs: atMs}.Append(w.piece)
		return w.full()
	})
	return w.flush()
}

func (v *View) imagePartitions(w *imageWriter) {
	slices.SortFunc(v.partitions, func(a, b partitionView) int { return comparePartitions(a.id, b.id) })
	for i := range v.partitions {
		p := &v.partitions[i]
		w.piece = Open{ID: p.id}.Append(w.piece)
		w.piece = Trim{ID: p.id, First: p.First}.Append(w.piece)
		for _, k := range p.keys.kept {
			w.piece = Remember{ID: p.id, Key: k.key, Entry: k.entry}.Append(w.piece)
			if !w.full() {
				return
			}
		}
	}
}

// imageWriter gathers pieces of an image.
type imageWriter struct {
	most  int
	piece []byte
	emit  func([]byte) error
	err   error
}

// full emits the piece if it is large enough, and tells whether to go on.
func (w *imageWriter) full() bool { return len(w.piece) < w.most || w.flush() == nil }

func (w *imageWriter) flush() error {
	if w.err == nil && len(w.piece) > 0 {
		w.err = w.emit(w.piece)
	}
	w.piece = w.piece[:0]
	return w.err
}

// AppendImage encodes the whole state behind dst.
func (s *State) AppendImage(dst []byte) []byte {
	_ = s.Freeze().Image(1<<20, func(piece []byte) error {
		dst = append(dst, piece...)
		return nil
	})
	return dst
}

// ReadImage makes a state of the pieces of an image, which next returns in order, and
// io.EOF after the last. A piece is not used any more once next is called again.
func ReadImage(next func() ([]byte, error)) (*State, error) {
	s := New()
	var lastTopic, docVersion uint64
	for first := true; ; first = false {
		piece, err := next()
		if errors.Is(err, io.EOF) && !first {
			break
		}
		if err != nil {
			return nil, err
		}
		if first {
			r := &wire.Reader{Rest: piece}
			if lastTopic, docVersion = r.Uint(), r.Uint(); r.Err != nil {
				return nil, r.Err
			}
			piece = r.Rest
		}
		if err := s.Replay(piece); err != nil {
			return nil, err
		}
		s.changes = nil
	}
	s.lastTopic, s.docVersion = lastTopic, docVersion
	return s, nil
}

// FromImage decodes what AppendImage wrote.
func FromImage(image []byte) (*State, error) {
	read := false
	return ReadImage(func() ([]byte, error) {
		if read {
			return nil, io.EOF
		}
		read = true
		return image, nil
	})
}

// Equal tells whether two states have the same image.
func (s *State) Equal(other *State) bool {
	return bytes.Equal(s.AppendImage(nil), other.AppendImage(nil))
}

func compareGroups(a, b GroupID) int {
	return cmp.Or(comparePartitions(a.PartitionID, b.PartitionID), cmp.Compare(a.Group, b.Group))
}
