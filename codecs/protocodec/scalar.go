package protocodec

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"unsafe"

	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
	"leat/codecs/internal/varint"
)

// cell is the value of f that lies in bits: the varint or fixed number as it is written.
func (f *field) cell(bits uint64) codecs.Value {
	switch f.kind {
	case protoreflect.BoolKind:
		return codecs.BoolValue(bits != 0)
	case protoreflect.EnumKind:
		return f.enum.cell(int32(bits))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return codecs.IntValue(int64(int32(bits)))
	case protoreflect.Sint32Kind:
		return codecs.IntValue(varint.Unzigzag(bits & math.MaxUint32))
	case protoreflect.Sint64Kind:
		return codecs.IntValue(varint.Unzigzag(bits))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return codecs.IntValue(int64(uint32(bits)))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return uintCell(bits)
	case protoreflect.FloatKind:
		return codecs.FloatValue(float64(math.Float32frombits(uint32(bits))))
	case protoreflect.DoubleKind:
		return codecs.Value{Kind: codecs.Float, Num: bits}
	}
	return codecs.IntValue(int64(bits))
}

// appendScalar appends the number in bits as JSON, with all its digits.
func appendScalar(dst []byte, f *field, bits uint64) []byte {
	if f.kind == protoreflect.Uint64Kind || f.kind == protoreflect.Fixed64Kind {
		return strconv.AppendUint(dst, bits, 10)
	}
	return codecs.AppendJSON(dst, f.cell(bits))
}

// number reads the number at b[i], whose wire type is that of one value of f, and which
// has been checked.
func number(wire wireType, b []byte, i int) (bits uint64, next int) {
	switch wire {
	case wire32:
		return uint64(binary.LittleEndian.Uint32(b[i:])), i + 4
	case wire64:
		return binary.LittleEndian.Uint64(b[i:]), i + 8
	}
	return varint.Read(b, i)
}

// bytesCell is a string or bytes.
func (f *field) bytesCell(b []byte) codecs.Value {
	if f.kind == protoreflect.StringKind {
		return codecs.StringValue(view(b))
	}
	return codecs.BytesValue(view(b))
}

func appendBytes(dst []byte, f *field, b []byte) []byte {
	if f.kind == protoreflect.StringKind {
		return codecs.AppendJSONString(dst, view(b))
	}
	dst = append(dst, '"')
	return append(base64.StdEncoding.AppendEncode(dst, b), '"')
}

// view is b as a string that shares its memory.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// viewBytes is s as bytes that must not be written to.
func viewBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
