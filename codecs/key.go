package codecs

// The canonical key of a value. Comparing keys bytewise orders as Compare does, equal
// values of any format have equal keys, and keys written one after another can be
// told apart and still order, left to right. The format is stored; it never changes.
//
//	null, missing   01
//	false           02
//	true            03
//	number          04 F F F F F F F F [R R]
//	string          05 text 00 01            text: 00 is written 00 FF
//	bytes           06 text 00 01
//	array           07 key of each element 00
//	object          08 (05 name 00 01, key of the value) for each member 00
//	opaque          09 text 00 01            text of an Array or Object that is not JSON
//
// F is the nearest float64 of the number (ties to even), big endian, with the sign bit
// flipped if the number is not negative and all bits flipped if it is; -0 is 0, and
// every NaN is 7FF8000000000001. R, there only where 2^53 <= |F| <= 2^63, is the number
// minus F as big-endian int16 with the sign bit flipped. Members of an object are in
// bytewise order of their names, each name once, with its last value.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"leat/codecs/internal/jsontext"
)

const (
	tagEnd    = 0x00 // after the last element or member
	tagNull   = 0x01
	tagFalse  = 0x02
	tagTrue   = 0x03
	tagNumber = 0x04
	tagString = 0x05
	tagBytes  = 0x06
	tagArray  = 0x07
	tagObject = 0x08
	tagOpaque = 0x09
)

// errKey is returned for bytes that AppendKey does not write.
var errKey = errors.New("damaged key encoding")

// AppendKey appends the canonical key of v, in the format at the head of this file.
func AppendKey(dst []byte, v Value) []byte {
	switch v.Kind {
	case Bool:
		if v.Num != 0 {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	case Int:
		return appendKeyInt(dst, int64(v.Num))
	case Float:
		return appendKeyFloat(dst, math.Float64frombits(v.Num))
	case String:
		return appendKeyText(dst, tagString, v.Str)
	case Bytes:
		return appendKeyText(dst, tagBytes, v.Str)
	case Object, Array:
		return appendKeyJSON(dst, v.Str)
	}
	return append(dst, tagNull)
}

const (
	residualFrom = 1 << 53 // smaller integers are all exact in a float64
	residualTo   = 1 << 63
	signBit      = 1 << 63
	canonicalNaN = 0x7FF8000000000001
)

func appendKeyInt(dst []byte, i int64) []byte {
	f := float64(i)
	dst = appendSortable(dst, f)
	switch {
	case f > -residualFrom && f < residualFrom:
		return dst
	case f == residualTo: // one more than the largest int64
		return appendResidual(dst, int16(i-math.MaxInt64-1))
	}
	return appendResidual(dst, int16(i-int64(f)))
}

func appendKeyFloat(dst []byte, f float64) []byte {
	if f == 0 {
		f = 0 // drops the sign of -0
	}
	dst = appendSortable(dst, f)
	if abs := math.Abs(f); abs >= residualFrom && abs <= residualTo {
		dst = appendResidual(dst, 0)
	}
	return dst
}

func appendSortable(dst []byte, f float64) []byte {
	bits := math.Float64bits(f)
	switch {
	case f != f:
		bits = canonicalNaN | signBit
	case bits&signBit != 0:
		bits = ^bits
	default:
		bits |= signBit
	}
	dst = append(dst, tagNumber)
	return binary.BigEndian.AppendUint64(dst, bits)
}

func appendResidual(dst []byte, r int16) []byte {
	return binary.BigEndian.AppendUint16(dst, uint16(r)^0x8000)
}

// appendKeyText appends tag, s with its zero bytes escaped, and the end mark.
func appendKeyText(dst []byte, tag byte, s string) []byte {
	dst = append(dst, tag)
	for {
		zero := strings.IndexByte(s, 0)
		if zero < 0 {
			break
		}
		dst = append(dst, s[:zero]...)
		dst = append(dst, 0x00, 0xFF)
		s = s[zero+1:]
	}
	dst = append(dst, s...)
	return append(dst, 0x00, 0x01)
}

// DecodeKey reads the key at the start of src and returns what follows it. The value
// compares equal to the one the key was made of: a number comes back as Int where it
// is integral and fits, else as Float; Missing comes back as Null; arrays and objects
// come back as compact JSON with the members of objects in order. Str is a view into
// src unless it had to be rebuilt. The error says that src does not start with a key;
// that the members of an object are in order is not checked.
func DecodeKey(src []byte) (v Value, rest []byte, err error) {
	v, rest, err = decodeKey(src, 0)
	if err != nil {
		return Value{}, nil, err
	}
	return v, rest, nil
}

func decodeKey(src []byte, depth int) (Value, []byte, error) {
	if len(src) == 0 {
		return Value{}, nil, errKey
	}
	tag, body := src[0], src[1:]
	switch tag {
	case tagNull:
		return NullValue(), body, nil
	case tagFalse, tagTrue:
		return BoolValue(tag == tagTrue), body, nil
	case tagNumber:
		return decodeKeyNumber(body)
	case tagString, tagBytes:
		text, rest, err := decodeKeyText(body)
		if tag == tagString {
			return StringValue(text), rest, err
		}
		return BytesValue(text), rest, err
	case tagArray, tagObject:
		if depth == jsontext.MaxDepth {
			return Value{}, nil, fmt.Errorf("%w: nested more than %d deep", errKey, depth)
		}
		return decodeKeyJSON(tag, body, depth+1)
	case tagOpaque:
		text, rest, err := decodeKeyText(body)
		if strings.HasPrefix(text, "[") {
			return ArrayValue(text), rest, err
		}
		return ObjectValue(text), rest, err
	}
	return Value{}, nil, errKey
}

func decodeKeyNumber(src []byte) (Value, []byte, error) {
	if len(src) < 8 {
		return Value{}, nil, errKey
	}
	bits, rest := binary.BigEndian.Uint64(src), src[8:]
	if bits&signBit != 0 {
		bits &^= signBit
	} else {
		bits = ^bits
	}
	f := math.Float64frombits(bits)
	v := FloatValue(f)
	switch abs := math.Abs(f); {
	case abs < residualFrom:
		if i := int64(f); float64(i) == f {
			v = IntValue(i)
		}
	case abs <= residualTo && len(rest) < 2:
		return Value{}, nil, errKey
	case abs <= residualTo:
		r := int64(int16(binary.BigEndian.Uint16(rest) ^ 0x8000))
		rest = rest[2:]
		switch {
		case f != residualTo:
			v = IntValue(int64(f) + r)
		case r < 0: // below 2^63, which no int64 holds
			v = IntValue(math.MaxInt64 + (r + 1))
		}
	}
	// Of the forms that would give v only one is a key.
	var buf [11]byte // stays on the stack, as it would not in AppendKey
	key := buf[:0]
	if v.Kind == Int {
		key = appendKeyInt(key, v.Int())
	} else {
		key = appendKeyFloat(key, v.Float())
	}
	if string(key[1:]) != string(src[:len(src)-len(rest)]) {
		return Value{}, nil, errKey
	}
	return v, rest, nil
}

func decodeKeyText(src []byte) (string, []byte, error) {
	text := src
	var unescaped []byte
	for from := 0; ; {
		zero := strings.IndexByte(viewString(src[from:]), 0)
		if zero < 0 || from+zero+1 == len(src) {
			return "", nil, errKey
		}
		zero += from
		switch src[zero+1] {
		case 0x01:
			if unescaped != nil {
				text = append(unescaped, src[from:zero]...)
			} else {
				text = src[:zero]
			}
			return viewString(text), src[zero+2:], nil
		case 0xFF:
			unescaped = append(unescaped, src[from:zero+1]...)
			from = zero + 2
		default:
			return "", nil, errKey
		}
	}
}
