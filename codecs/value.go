// Package codecs is the format-neutral value model of the engine: what a decoded
// cell is, how it is written as JSON, how it orders and hashes as a key, how a
// field is addressed, and how a batch of rows is laid out in columns. The formats
// live in the packages below it and meet here.
//
// Event times and all other times are int64 milliseconds since the Unix epoch.
package codecs

import (
	"math"
	"strings"
)

// Kind tells what a Value holds.
type Kind uint8

// Missing is the zero Kind: the row has no such member. Everything but has(x)
// treats it as Null. Object and Array hold JSON text.
const (
	Missing Kind = iota
	Null
	Bool
	Int
	Float
	String
	Bytes
	Object
	Array
)

var kindNames = [...]string{"missing", "null", "bool", "int", "float", "string", "bytes", "object", "array"}

// String returns the kind's name in lower case, as error messages show it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "invalid"
}

// Value is one decoded cell. The zero Value is Missing.
//
// Invariants: Num is 0 unless Kind is Bool (0 or 1), Int (the two's complement
// bits) or Float (the IEEE 754 bits); Str is empty unless Kind is String, Bytes,
// Object or Array. The text of an Object or Array is one valid JSON value of that
// kind, possibly with insignificant white space.
//
// Ownership: Str may be a view into a record or into a decoder's memory and is
// valid only as long as the decoder says; Clone detaches it.
type Value struct {
	Kind Kind
	Num  uint64
	Str  string
}

// NullValue is a null that the record has, which Missing is not.
func NullValue() Value { return Value{Kind: Null} }

// BoolValue is the Bool of b.
func BoolValue(b bool) Value {
	if b {
		return Value{Kind: Bool, Num: 1}
	}
	return Value{Kind: Bool}
}

// IntValue is the Int of i.
func IntValue(i int64) Value { return Value{Kind: Int, Num: uint64(i)} }

// FloatValue is the Float of f, bit for bit: NaN, infinities and -0 as they are.
func FloatValue(f float64) Value { return Value{Kind: Float, Num: math.Float64bits(f)} }

// StringValue is the String of s, which it does not copy.
func StringValue(s string) Value { return Value{Kind: String, Str: s} }

// BytesValue holds the bytes of b without copying them.
func BytesValue(b string) Value { return Value{Kind: Bytes, Str: b} }

// ObjectValue holds text, which the caller knows to be one valid JSON object.
func ObjectValue(text string) Value { return Value{Kind: Object, Str: text} }

// ArrayValue holds text, which the caller knows to be one valid JSON array.
func ArrayValue(text string) Value { return Value{Kind: Array, Str: text} }

// Int is the value of an Int; meaningless for other kinds.
func (v Value) Int() int64 { return int64(v.Num) }

// Float is the value of a Float; meaningless for other kinds.
func (v Value) Float() float64 { return math.Float64frombits(v.Num) }

// Bool is the value of a Bool; meaningless for other kinds.
func (v Value) Bool() bool { return v.Num != 0 }

// IsNull reports whether v is Missing or Null.
func (v Value) IsNull() bool { return v.Kind <= Null }

// IsNumber reports whether v is Int or Float.
func (v Value) IsNumber() bool { return v.Kind == Int || v.Kind == Float }

// AsFloat is a number as the nearest float64, and 0 for every other kind.
func (v Value) AsFloat() float64 {
	switch v.Kind {
	case Int:
		return float64(int64(v.Num))
	case Float:
		return math.Float64frombits(v.Num)
	}
	return 0
}

// Clone returns v with a Str of its own, safe to keep.
func (v Value) Clone() Value {
	v.Str = strings.Clone(v.Str)
	return v
}
