package protocodec

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"leat/codecs"
)

const encodeSchema = `syntax = "proto3"; package p;
import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/wrappers.proto";
enum E { ZERO = 0; GREEN = 1; }
message M {
  int32 i = 1; uint64 u = 2; float f = 3; string s = 4; bytes b = 5; E e = 6; repeated int32 l = 7; map<string, int32> m = 8; map<bool, E> bools = 9;
  google.protobuf.Timestamp ts = 10; google.protobuf.Duration d = 11; google.protobuf.Struct st = 12; google.protobuf.Int64Value w = 13; M in = 14;
  oneof choice { int32 x = 15; string y_name = 16; } optional int32 opt = 17; uint32 u32 = 18; int64 long = 19; repeated M ms = 20; bool ok = 21;
}`

func TestEncode(t *testing.T) {
	t.Parallel()
	e := NewEncoder(parse(t, encodeSchema))
	for row, want := range map[string]string{
		`{}`: "", `{"i":0,"s":"","b":"","e":"ZERO","l":[],"m":{},"ts":null,"f":0}`: "", `{"opt":0}`: "8801 00", `{"x":0}`: "78 00",
		`{"i":-1}`: "08 ffffffffffffffffff01", `{"i":3.0}`: "08 03", `{"u":18446744073709551615}`: "10 ffffffffffffffffff01", `{"u":"7"}`: "10 07",
		`{"f":0.1}`: "1d cdcccc3d", `{"f":"-Infinity"}`: "1d 000080ff", `{"f":-0.0}`: "1d 00000080", `{"b":"/wA="}`: "2a 02 ff00", `{"e":"GREEN"}`: "30 01",
		`{"e":5}`: "30 05", `{"l":[1,0]}`: "3a 02 0100", `{"m":{"a":0}}`: "42 05 0a0161 1000", `{"bools":{"true":"GREEN"}}`: "4a 04 0801 1001",
		`{"ts":1387}`: "52 08 0801 10 c0cdc4b801", `{"ts":-1}`: "52 11 08 ffffffffffffffffff01 10 c08faedc03",
		`{"ts":"1970-01-01T00:00:01Z"}`: "52 02 0801", `{"ts":0}`: "52 00", `{"d":"1.5s"}`: "5a 08 0801 10 80cab5ee01", `{"d":2000}`: "5a 02 0802",
		`{"st":{"a":null}}`: "62 09 0a07 0a0161 1202 0800", `{"w":0}`: "6a 00", `{"w":"-1"}`: "6a 0b 08 ffffffffffffffffff01", `{"in":{}}`: "72 00",
		`{"yName":"q"}`: "8201 01 71", `{"y_name":"q","x":null}`: "8201 01 71", `{"ms":[{},{"i":1}]}`: "a201 00 a201 02 0801", `{"long":"9223372036854775807"}`: "9801 ffffffffffffffff7f",
		`{"ok":true,"i":1}`: "08 01 a801 01",
	} {
		got, err := e.AppendJSON(nil, []byte(row))
		if err != nil || !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%s: % x, %v; want %s", row, got, err, want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	e := NewEncoder(parse(t, encodeSchema))
	for row, want := range map[string]string{
		`{"i":2147483648}`:           `member "i": 2147483648 is out of the range of int32`,
		`{"i":"1"}`:                  `member "i": string where the schema has int32`,
		`{"i":1.5}`:                  `member "i": 1.5 is not a whole number of 64 bits`,
		`{"u":-1}`:                   `member "u": -1 is out of the range of uint64`,
		`{"u":18446744073709551616}`: `member "u": 18446744073709552000 is not a whole number of 64 bits`,
		`{"u32":4294967296}`:         `member "u32": 4294967296 is out of the range of uint32`,
		`{"f":1e39}`:                 `member "f": 1e+39 is out of the range of float`,
		`{"s":1}`:                    `member "s": int where the schema has string`,
		`{"b":"?"}`:                  `member "b": a text that is not base64 where the schema has bytes`,
		`{"e":"green"}`:              `member "e": "green" is not a value of p.E; did you mean "GREEN"?`,
		`{"l":[1,null]}`:             `member "l[1]": null where the schema has int32`,
		`{"l":{}}`:                   `member "l": object where the schema has a list`,
		`{"m":{"a":"x"}}`:            `member "m.a": string where the schema has int32`,
		`{"m":{"a":null}}`:           `member "m.a": null where the schema has int32`,
		`{"bools":{"1":"ZERO"}}`:     `member "bools[\"1\"]": no key of a map of bool`,
		`{"ts":"now"}`:               `member "ts": "now" is neither a time in RFC 3339 nor a number of milliseconds`,
		`{"ts":true}`:                `member "ts": bool where the schema has google.protobuf.Timestamp`,
		`{"ts":999999999999999}`:     `member "ts": 999999999999999 is out of the range of google.protobuf.Timestamp`,
		`{"d":"1h"}`:                 `member "d": "1h" is neither a duration like 1.5s nor a number of milliseconds`,
		`{"x":1,"y_name":"q"}`:       `member "y_name": only one of "x" and this may be set`,
		`{"in":{"zzzzz":1}}`:         `member "in.zzzzz": the schema p.M has no such field`,
		`{"optt":1}`:                 `member "optt": the schema p.M has no such field; did you mean "opt"?`,
		`{"in":[]}`:                  `member "in": array where the schema has p.M`,
		`[1]`:                        `the row: array where the schema has p.M`,
		`{"i":1`:                     `the row: not valid JSON at offset 6: the text ends where "," or "}" is expected`,
		strings.Repeat(`{"in":`, 101) + "{}" + strings.Repeat("}", 101): `member "` + strings.TrimSuffix(strings.Repeat("in.", 100), ".") + `": messages nested more than 100 deep`,
	} {
		before := []byte("before")
		got, err := e.AppendJSON(before, []byte(row))
		var member *codecs.MemberError
		if !errors.As(err, &member) || err.Error() != want || !bytes.Equal(got, before) {
			t.Errorf("%.80s: %q, %v; want %s", row, got, err, want)
		}
	}
}

func TestEncodeRow(t *testing.T) {
	t.Parallel()
	m := parse(t, `syntax = "proto2"; message R { required int64 a = 1; optional bytes b = 2; optional double c = 3; repeated string l = 4; }`)
	e := NewEncoder(m)
	got, err := e.Append([]byte("x"), []codecs.Member{
		{Name: "b", Value: codecs.BytesValue("t")}, {Name: "a", Value: codecs.IntValue(1)}, {Name: "a", Value: codecs.IntValue(0)},
		{Name: "c", Value: codecs.FloatValue(math.NaN())}, {Name: "l", Value: codecs.ArrayValue(` ["p", "q"] `)},
	})
	if want := append([]byte("x"), unhex(t, "0800 120174 19 010000000000f87f 220170 220171")...); err != nil || !bytes.Equal(got, want) {
		t.Errorf("% x, %v; want % x", got, err, want)
	}
	if got, err = e.Append(nil, []codecs.Member{{Name: "a", Value: codecs.NullValue()}}); got != nil || err == nil ||
		err.Error() != `member "a": missing, and the schema requires it` {
		t.Errorf("% x, %v", got, err)
	}
	s := compileText(t, `syntax = "proto3"; import "google/protobuf/struct.proto"; message R { google.protobuf.Struct s = 1; }`)
	root, err := s.Message("R")
	if err != nil {
		t.Fatal(err)
	}
	rows := NewEncoder(&Message{descriptor: root.descriptor, root: root.root.fields[0].msg})
	if got, err = rows.Append(nil, []codecs.Member{{Name: "a", Value: codecs.BoolValue(true)}}); err != nil || !bytes.Equal(got, unhex(t, "0a07 0a0161 1202 2001")) {
		t.Errorf("% x, %v", got, err)
	}
}
