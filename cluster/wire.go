package cluster

import (
	"encoding/binary"

	"leat/cluster/state"
)

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendBlob(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendPartitionID(dst []byte, id state.PartitionID) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, id.Topic), uint64(id.Partition))
}

// wireReader takes fields off the front of src; what it returns are views. After
// the first error every further field is zero, so a decoder checks err once.
type wireReader struct {
	src []byte
	err error
}

func (r *wireReader) fail() { r.src, r.err = nil, errCommand }

func (r *wireReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.src = r.src[n:]
	return v
}

func (r *wireReader) take(n uint64) []byte {
	if n > uint64(len(r.src)) {
		r.fail()
		return nil
	}
	b := r.src[:n:n]
	r.src = r.src[n:]
	return b
}

func (r *wireReader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *wireReader) blob() []byte { return r.take(r.uvarint()) }

func (r *wireReader) text() string { return string(r.blob()) }

// count reads the length of a list whose elements take at least a byte each.
func (r *wireReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.src)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *wireReader) partitionID() state.PartitionID {
	return state.PartitionID{Topic: r.uvarint(), Partition: int32(r.uvarint())}
}
