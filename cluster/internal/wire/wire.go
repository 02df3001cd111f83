// Package wire encodes the fields of proposals, state operations and
// checkpoints: integers as unsigned varints, strings and bytes preceded by their
// length.
package wire

import (
	"encoding/binary"
	"errors"
)

// ErrShort says that the bytes end before the field does.
var ErrShort = errors.New("the bytes end within a field")

// AppendBool appends 1 or 0.
func AppendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendUint appends an integer that is not negative.
func AppendUint[T ~int | ~int32 | ~int64 | ~uint32 | ~uint64](dst []byte, n T) []byte {
	return binary.AppendUvarint(dst, uint64(n))
}

// AppendBytes appends a string or bytes.
func AppendBytes[T ~string | ~[]byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// Reader takes fields off the front of Rest. After the first error Rest is empty
// and every further field zero, so a decoder looks at Err once, at its end.
type Reader struct {
	Rest []byte
	Err  error
}

func (r *Reader) fail() { r.Rest, r.Err = nil, ErrShort }

// Uint reads an integer.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.Rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// Int reads an integer that fits one with a sign.
func (r *Reader) Int() int64 { return int64(r.Uint()) }

// Bool reads a byte that is 1 or not.
func (r *Reader) Bool() bool {
	b := r.Take(1)
	return len(b) == 1 && b[0] == 1
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if b := r.Take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// Take returns the next n bytes as a view.
func (r *Reader) Take(n uint64) []byte {
	if n > uint64(len(r.Rest)) {
		r.fail()
		return nil
	}
	b := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return b
}

// View reads bytes as a view.
func (r *Reader) View() []byte { return r.Take(r.Uint()) }

// Bytes reads bytes as a copy: what is kept must not hold on to what was read.
func (r *Reader) Bytes() []byte { return append([]byte{}, r.View()...) }

// String reads a string.
func (r *Reader) String() string { return string(r.View()) }

// Count reads the length of a list whose elements take a byte each at least.
func (r *Reader) Count() int {
	n := r.Uint()
	if n > uint64(len(r.Rest)) {
		r.fail()
		return 0
	}
	return int(n)
}
