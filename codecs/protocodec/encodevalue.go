package protocodec

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
	"leat/codecs/internal/datum"
	"leat/codecs/internal/varint"
)

// bits are a number, boolean or enum as it is written.
func (f *field) bits(v datum.Datum) (uint64, *codecs.MemberError) {
	switch f.kind {
	case protoreflect.BoolKind:
		if v.Value.Kind == codecs.Bool {
			return v.Value.Num, nil
		}
		return 0, misplaced(v, "bool")
	case protoreflect.EnumKind:
		return f.enum.bits(v)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return f.floatBits(v)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return f.unsignedBits(v)
	}
	i, err := f.integer(v)
	if err != nil {
		return 0, err
	}
	switch f.kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		if i != int64(int32(i)) {
			return 0, wrong("%d is out of the range of %s", i, f.kind)
		}
	}
	switch f.kind {
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return varint.Zigzag(i), nil
	case protoreflect.Sfixed32Kind:
		return uint64(uint32(i)), nil
	}
	return uint64(i), nil
}

// integer is the whole number of v. One of 64 bits may also be a text.
func (f *field) integer(v datum.Datum) (int64, *codecs.MemberError) {
	switch {
	case v.Value.Kind == codecs.Int:
		return v.Value.Int(), nil
	case v.Value.Kind == codecs.String && f.isLong():
		if i, err := strconv.ParseInt(v.Value.Str, 10, 64); err == nil {
			return i, nil
		}
		return 0, wrong("%q is not a whole number of 64 bits", v.Value.Str)
	case v.Value.Kind == codecs.Float:
		if x := v.Value.Float(); x == math.Trunc(x) && x >= -1<<63 && x < 1<<63 {
			return int64(x), nil
		}
		return 0, wrong("%s is not a whole number of 64 bits", codecs.AppendJSON(nil, v.Value))
	}
	return 0, misplaced(v, f.describe())
}

// isLong reports whether f is an integer of 64 bits.
func (f *field) isLong() bool {
	switch f.kind {
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return true
	}
	return false
}

// unsignedBits is a number from 0 on. Those of JSON text are read with all their digits.
func (f *field) unsignedBits(v datum.Datum) (uint64, *codecs.MemberError) {
	text := v.Literal
	if v.Value.Kind == codecs.String && f.isLong() {
		text = v.Value.Str
	}
	u, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		switch x := v.Value.Float(); {
		case v.Value.Kind == codecs.Float && x == math.Trunc(x) && x >= 1<<63 && x < 1<<64:
			u = uint64(x)
		default:
			i, fault := f.integer(v)
			if fault != nil {
				return 0, fault
			}
			if i < 0 {
				return 0, wrong("%d is out of the range of %s", i, f.kind)
			}
			u = uint64(i)
		}
	}
	if !f.isLong() && u > math.MaxUint32 {
		return 0, wrong("%d is out of the range of %s", u, f.kind)
	}
	return u, nil
}

func (f *field) floatBits(v datum.Datum) (uint64, *codecs.MemberError) {
	x := v.Value.AsFloat()
	if v.Literal == "-0" {
		x = math.Copysign(0, -1) // an integer in JSON text
	}
	if v.Value.Kind == codecs.String {
		switch v.Value.Str {
		case "NaN":
			x = math.NaN()
		case "Infinity":
			x = math.Inf(1)
		case "-Infinity":
			x = math.Inf(-1)
		default:
			return 0, misplaced(v, f.describe())
		}
	} else if !v.Value.IsNumber() {
		return 0, misplaced(v, f.describe())
	}
	if f.kind == protoreflect.DoubleKind {
		return math.Float64bits(x), nil
	}
	single := float32(x)
	if math.IsInf(float64(single), 0) && !math.IsInf(x, 0) {
		return 0, wrong("%s is out of the range of float", codecs.AppendJSON(nil, v.Value))
	}
	return uint64(math.Float32bits(single)), nil
}

// bits is the number of a name, or a number itself; a closed enum has only those with a
// name.
func (e *enum) bits(v datum.Datum) (uint64, *codecs.MemberError) {
	switch {
	case e.isNull && v.Value.Kind == codecs.Null:
		return 0, nil
	case v.Value.Kind == codecs.String:
		number, known := e.numbers[v.Value.Str]
		if known {
			return uint64(int64(number)), nil
		}
		if near := codecs.NearestNames(v.Value.Str, e.listed); len(near) > 0 {
			return 0, wrong("%q is not a value of %s; did you mean %q?", v.Value.Str, e.name, near[0])
		}
		return 0, wrong("%q is not a value of %s", v.Value.Str, e.name)
	case v.Value.Kind == codecs.Int:
		i := v.Value.Int()
		if _, known := e.names[int32(i)]; i != int64(int32(i)) || e.closed && !known {
			return 0, wrong("%d is not a value of %s", i, e.name)
		}
		return uint64(i), nil
	}
	return 0, misplaced(v, e.name)
}

// raw is a string, or bytes: their own or those that a text is the base64 of.
func (f *field) raw(v datum.Datum) ([]byte, *codecs.MemberError) {
	switch {
	case f.isString() && v.Value.Kind == codecs.String && utf8.ValidString(v.Value.Str):
		return viewBytes(v.Value.Str), nil
	case f.isString() && v.Value.Kind == codecs.String:
		return nil, wrong("a text that is not UTF-8")
	case !f.isString() && v.Value.Kind == codecs.Bytes:
		return viewBytes(v.Value.Str), nil
	case !f.isString() && v.Value.Kind == codecs.String:
		raw, err := base64.StdEncoding.DecodeString(v.Value.Str)
		if err != nil {
			return nil, wrong("a text that is not base64 where the schema has bytes")
		}
		return raw, nil
	}
	return nil, misplaced(v, f.describe())
}

// The range of google.protobuf.Timestamp, from the year 1 to 9999, and of
// google.protobuf.Duration, about 10,000 years, in milliseconds.
const (
	firstTime   = -62135596800_000
	lastTime    = 253402300799_999
	maxDuration = 315576000000_000
)

// appendTime writes milliseconds, or a time in RFC 3339, or a duration like "1.5s".
func appendTime(dst []byte, t *message, v datum.Datum) ([]byte, *codecs.MemberError) {
	var seconds, nanos int64
	switch {
	case v.Value.Kind != codecs.String:
		ms, err := (&field{kind: protoreflect.Int32Kind}).integer(v)
		if err != nil {
			if v.Value.IsNumber() {
				return nil, err
			}
			return nil, misplaced(v, t.name)
		}
		seconds, nanos = ms/1000, ms%1000*1_000_000
	case t.special == timestamp:
		ms, ok := codecs.ParseTime(v.Value.Str)
		if !ok {
			return nil, wrong("%q is neither a time in RFC 3339 nor a number of milliseconds", v.Value.Str)
		}
		seconds, nanos = ms/1000, ms%1000*1_000_000
	default:
		var ok bool
		if seconds, nanos, ok = parseDuration(v.Value.Str); !ok {
			return nil, wrong("%q is neither a duration like 1.5s nor a number of milliseconds", v.Value.Str)
		}
	}
	if t.special == timestamp && nanos < 0 {
		seconds, nanos = seconds-1, nanos+1_000_000_000
	}
	if t.special == timestamp && (seconds < firstTime/1000 || seconds > lastTime/1000) ||
		t.special == duration && (seconds < -maxDuration/1000 || seconds > maxDuration/1000) {
		return nil, wrong("%s is out of the range of %s", codecs.AppendJSON(nil, v.Value), t.name)
	}
	for place, part := range [2]int64{seconds, nanos} {
		if part != 0 {
			dst = varint.Append(appendTag(dst, &t.fields[place], wireVarint), uint64(part))
		}
	}
	return dst, nil
}

// parseDuration reads seconds with up to nine digits behind the point, and an s.
func parseDuration(text string) (seconds, nanos int64, ok bool) {
	body, isSeconds := strings.CutSuffix(text, "s")
	digits, negative := strings.CutPrefix(body, "-")
	whole, fraction, pointed := strings.Cut(digits, ".")
	if !isSeconds || whole == "" || len(whole) > 12 || len(fraction) > 9 || pointed && fraction == "" ||
		strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, 0, false
	}
	for _, c := range whole {
		seconds = seconds*10 + int64(c-'0')
	}
	for _, c := range (fraction + "000000000")[:9] {
		nanos = nanos*10 + int64(c-'0')
	}
	if negative {
		seconds, nanos = -seconds, -nanos
	}
	return seconds, nanos, true
}

// appendValue writes anything as a google.protobuf.Value.
func (w *writer) appendValue(dst []byte, t *message, v datum.Datum) ([]byte, *codecs.MemberError) {
	name := ""
	switch v.Value.Kind {
	case codecs.Null:
		name = "null_value"
	case codecs.Bool:
		name = "bool_value"
	case codecs.Int, codecs.Float:
		name = "number_value"
	case codecs.String, codecs.Bytes:
		name = "string_value"
	case codecs.Object:
		name = "struct_value"
	case codecs.Array:
		name = "list_value"
	}
	if v.Value.Kind == codecs.Bytes {
		v.Value = codecs.StringValue(base64.StdEncoding.EncodeToString(viewBytes(v.Value.Str)))
	}
	place, known := t.byName[name]
	if !known {
		return nil, misplaced(v, t.name)
	}
	out, err := w.appendOne(dst, &t.fields[place], v)
	return out, err
}
