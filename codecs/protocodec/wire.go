package protocodec

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs/internal/varint"
)

// A message is a run of fields, each of which is a tag and a value:
//
//	tag      varint: field number << 3 | wire type
//	value    by wire type
//	    0    varint: seven bits a byte, the least significant first, at most ten bytes
//	    1    eight bytes, little endian
//	    2    varint of a length, and so many bytes
//	    3    fields, and a tag of the same number with wire type 4
//	    5    four bytes, little endian
type wireType uint8

const (
	wireVarint wireType = 0
	wire64     wireType = 1
	wireBytes  wireType = 2
	wireGroup  wireType = 3
	wireEnd    wireType = 4
	wire32     wireType = 5
)

const maxNumber = 1<<29 - 1

func wireOf(k protoreflect.Kind) wireType {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return wire32
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return wire64
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return wireBytes
	case protoreflect.GroupKind:
		return wireGroup
	}
	return wireVarint
}

// span finds bytes with their length in front; end is -1 if there are none.
func span(b []byte, i int) (from, end int) {
	n, from := varint.Read(b, i)
	if from < 0 || n > uint64(len(b)-from) {
		return 0, -1
	}
	return from, from + int(n)
}

// fault is why a record is refused.
type fault struct {
	reason string
	offset int
	field  string
}

// at records a reason, if there is none yet, and returns -1.
func (f *fault) at(offset int, reason string) int {
	if f.reason == "" {
		f.offset, f.reason = offset, reason
	}
	return -1
}

// varint records why there is no varint at b[i].
func (f *fault) varint(b []byte, i int) int {
	if len(b)-i < varint.MaxBytes {
		return f.at(i, "the message ends inside a number")
	}
	return f.at(i, "a number of more than 64 bits")
}

// length records why b[i] does not start something whose length is in front of it.
func (f *fault) length(b []byte, i int) int {
	n, next := varint.Read(b, i)
	if next < 0 {
		return f.varint(b, i)
	}
	return f.at(i, fmt.Sprintf("a length of %d where %d bytes are left", n, len(b)-next))
}

// short records that b ends before the n bytes at i.
func (f *fault) short(b []byte, i, n int) int {
	return f.at(i, fmt.Sprintf("%d bytes are left where %d are needed", max(0, len(b)-i), n))
}

// tag reads the tag at b[i].
func (f *fault) tag(b []byte, i int) (number uint32, wire wireType, next int) {
	v, next := varint.Read(b, i)
	switch {
	case next < 0:
		return 0, 0, f.varint(b, i)
	case v>>3 == 0 || v>>3 > maxNumber:
		return 0, 0, f.at(i, fmt.Sprintf("field number %d", v>>3))
	}
	return uint32(v >> 3), wireType(v & 7), next
}

// skip passes over the value of a field that is not known. depth counts the messages
// and groups around it.
func (f *fault) skip(b []byte, i int, number uint32, wire wireType, depth int) int {
	switch wire {
	case wireVarint:
		_, end := varint.Read(b, i)
		if end < 0 {
			return f.varint(b, i)
		}
		return end
	case wire64, wire32:
		n := fixedSize(wire)
		if len(b)-i < n {
			return f.short(b, i, n)
		}
		return i + n
	case wireBytes:
		_, end := span(b, i)
		if end < 0 {
			return f.length(b, i)
		}
		return end
	case wireGroup:
		return f.skipGroup(b, i, number, depth+groupLevels)
	case wireEnd:
		return f.at(i, fmt.Sprintf("the end of a group %d that is not open", number))
	}
	return f.at(i, fmt.Sprintf("wire type %d", wire))
}

func fixedSize(wire wireType) int {
	if wire == wire32 {
		return 4
	}
	return 8
}

// skipGroup passes over the fields of a group and its end.
func (f *fault) skipGroup(b []byte, i int, number uint32, depth int) int {
	if depth > maxDepth {
		return f.tooDeep(i)
	}
	for {
		if i >= len(b) {
			return f.at(i, fmt.Sprintf("the message ends inside group %d", number))
		}
		inside, wire, next := f.tag(b, i)
		if next < 0 {
			return -1
		}
		if wire == wireEnd && inside == number {
			return next
		}
		if i = f.skip(b, next, inside, wire, depth); i < 0 {
			return -1
		}
	}
}

func (f *fault) tooDeep(i int) int {
	return f.at(i, fmt.Sprintf("messages nested more than %d deep", maxDepth))
}
