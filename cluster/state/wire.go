package state

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"leat/log"
)

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendPartition(dst []byte, id PartitionID) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, id.Topic), uint64(id.Partition))
}

func comparePartitions(a, b PartitionID) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

func sortedPartitions[V any](m map[PartitionID]V) []PartitionID {
	return slices.SortedFunc(maps.Keys(m), comparePartitions)
}

// reader takes fields off the front of src. After the first error every further
// read returns a zero value, so a decoder checks err once, at its end.
type reader struct {
	src []byte
	err error
}

func (r *reader) fail() {
	r.src, r.err = nil, errShort
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.src = r.src[n:]
	return v
}

// take returns the next n bytes as a view.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.src)) {
		r.fail()
		return nil
	}
	b := r.src[:n:n]
	r.src = r.src[n:]
	return b
}

func (r *reader) byte() byte {
	b := r.take(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (r *reader) string() string { return string(r.take(r.uvarint())) }

// bytes returns a copy: what is kept must not hold on to what was read.
func (r *reader) bytes() []byte { return append([]byte{}, r.take(r.uvarint())...) }

func (r *reader) partition() PartitionID {
	return PartitionID{Topic: r.uvarint(), Partition: int32(r.uvarint())}
}

func (r *reader) topic() Topic {
	t := Topic{ID: r.uvarint(), Internal: r.byte() == 1, CreatedMs: int64(r.uvarint()), Name: r.string()}
	n := r.uvarint()
	if n > uint64(len(r.src)) {
		r.fail()
		return t
	}
	t.Shards = make([]uint64, n)
	for i := range t.Shards {
		t.Shards[i] = r.uvarint()
	}
	return t
}

func (r *reader) remember() Remember {
	o := Remember{ID: r.partition()}
	copy(o.Key[:], r.take(uint64(len(o.Key))))
	copy(o.Entry.Body[:], r.take(uint64(len(o.Entry.Body))))
	o.Entry.Base = log.Offset(r.uvarint())
	o.Entry.Count = int(r.uvarint())
	return o
}

func (r *reader) put() Put {
	o := Put{Key: r.string()}
	o.Doc.Value = r.bytes()
	o.Doc.Version = r.uvarint()
	o.Doc.CreatedMs, o.Doc.UpdatedMs, o.Doc.ExpiresMs = int64(r.uvarint()), int64(r.uvarint()), int64(r.uvarint())
	return o
}
