package protocodec

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/codecs/internal/varint"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const meaningSchema = `syntax = "proto2"; package p;
import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto"; import "google/protobuf/wrappers.proto";
enum Color { option allow_alias = true; RED = 0; ROSSO = 0; GREEN = 7; }
message M {
  optional int32 i = 1; optional uint64 u = 2; repeated int32 l = 3; optional M m = 4; optional string s = 5;
  oneof choice { int32 a = 6; M b = 7; string c = 8; }
  map<int32, M> ints = 9; map<string, uint64> texts = 10; optional Color color = 11; optional int32 five = 12 [default = 5];
  optional group G = 13 { optional int32 x = 1; }
  optional google.protobuf.Timestamp ts = 14; optional google.protobuf.Duration d = 15; optional google.protobuf.Struct st = 16;
  optional google.protobuf.UInt64Value w = 17; optional sint64 z = 18; optional fixed32 f = 19; repeated M ms = 20; optional float fl = 21;
  optional bytes by = 22; optional bool bo = 23; optional google.protobuf.Value v = 24; repeated google.protobuf.Timestamp tss = 25;
}`

// TestMeaning: what the wire says, by the rules of the format and the table in the docs.
func TestMeaning(t *testing.T) {
	t.Parallel()
	m := parse(t, meaningSchema)
	text, null := codecs.StringValue, codecs.NullValue()
	for _, c := range []struct {
		what, record, path string
		want               codecs.Value
	}{
		{"not set", "", "i", codecs.Value{}},
		{"set to zero", "0800", "i", codecs.IntValue(0)},
		{"the last one wins", "0801 0802", "i", codecs.IntValue(2)},
		{"negative", "08 ffffffffffffffffff01", "i", codecs.IntValue(-1)},
		{"32 bits are kept", "08 ffffffffff7f", "i", codecs.IntValue(-1)},
		{"a number longer than it has to be", "08 81808000", "i", codecs.IntValue(1)},
		{"a tag longer than it has to be", "888000 05", "i", codecs.IntValue(5)},
		{"another wire type is passed over", "0d 01000000 0807", "i", codecs.IntValue(7)},
		{"uint64", "10 ffffffffffffffff7f", "u", codecs.IntValue(math.MaxInt64)},
		{"uint64 beyond int64", "10 ffffffffffffffffff01", "u", codecs.FloatValue(1 << 64)},
		{"unpacked", "1801 1802", "l[1]", codecs.IntValue(2)},
		{"packed", "1a03 010203", "l[2]", codecs.IntValue(3)},
		{"both", "1801 1a02 0203 1804", "l", codecs.ArrayValue("[1,2,3,4]")},
		{"beyond the end", "1a02 0203", "l[2]", codecs.Value{}},
		{"an empty list", "", "l", codecs.ArrayValue("[]")},
		{"pieces of a message are merged", "2202 0801 2202 1005", "m.i", codecs.IntValue(1)},
		{"and lists in them", "2204 1a02 0102 2202 1803", "m.l[2]", codecs.IntValue(3)},
		{"and what is in both", "2202 0801 2202 0802", "m.i", codecs.IntValue(2)},
		{"a oneof", "3001", "a", codecs.IntValue(1)},
		{"the last of a oneof", "3001 4201 78", "a", codecs.Value{}},
		{"the last of a oneof is set", "3001 4201 78", "c", text("x")},
		{"a message of a oneof starts anew", "3a02 0801 3001 3a02 1005", "b.i", codecs.Value{}},
		{"without another between it is merged", "3a02 0801 3a02 1005", "b.i", codecs.IntValue(1)},
		{"a map", "4a06 0807 1202 0803", `ints["7"].i`, codecs.IntValue(3)},
		{"the last of a key", "4a06 0807 1202 0803 4a06 0807 1202 1003", `ints["7"].i`, codecs.Value{}},
		{"the value first", "4a06 1202 0803 0807", `ints["7"].i`, codecs.IntValue(3)},
		{"no key", "4a04 1202 0803", `ints["0"].i`, codecs.IntValue(3)},
		{"no value", "5203 0a01 78", `texts.x`, codecs.IntValue(0)},
		{"all digits as JSON", "520d 0a00 10 ffffffffffffffffff01", "texts", codecs.ObjectValue(`{"":18446744073709551615}`)},
		{"an enum", "5807", "color", text("GREEN")},
		{"the first name of a number", "5800", "color", text("RED")},
		{"a number without a name", "5805", "color", codecs.IntValue(5)},
		{"a default", "", "five", codecs.IntValue(5)},
		{"a group", "6b 0803 6c", "g.x", codecs.IntValue(3)},
		{"a group is merged", "6b 0803 6c 6b 6c", "g.x", codecs.IntValue(3)},
		{"a group that is not known", "fb07 0801 fb08 0802 fc08 fc07 0809", "i", codecs.IntValue(9)},
		{"a timestamp", "7208 0801 10 c0b4d0b801", "ts", codecs.IntValue(1387)},
		{"cut towards the past", "7216 08 ffffffffffffffffff01 10 ffffffffffffffffff01", "ts", codecs.IntValue(-1001)},
		{"in pieces", "7202 0801 7206 10 c0b4d0b801", "ts", codecs.IntValue(1387)},
		{"the epoch", "7200", "ts", codecs.IntValue(0)},
		{"beyond 64 bits", "720a 08 ffffffffffffffff7f", "ts", codecs.IntValue(math.MaxInt64)},
		{"nothing is inside a timestamp", "7202 0801", "ts.seconds", codecs.Value{}},
		{"in a list", "ca01 02 0801", "tss", codecs.ArrayValue("[1000]")},
		{"a duration", "7a06 10 80cab5ee01", "d", codecs.IntValue(500)},
		{"a wrapper", "8a01 0b 08 ffffffffffffffffff01", "w", codecs.FloatValue(1 << 64)},
		{"an empty wrapper", "8a01 00", "w", codecs.IntValue(0)},
		{"a struct", "8201 0e 0a0c 0a01 61 1207 2a05 0a03 0a01 62", "st.a.b", null},
		{"a struct as JSON", "8201 10 0a0e 0a01 61 1209 32070a05 1a03 c3a974", "st", codecs.ObjectValue(`{"a":["ét"]}`)},
		{"in a list of a struct", "8201 10 0a0e 0a01 61 1209 32070a05 1a03 c3a974", "st.a[0]", text("ét")},
		{"a value without anything", "c201 00", "v", null},
		{"a value", "c201 02 2001", "v", codecs.BoolValue(true)},
		{"zigzag", "9001 01", "z", codecs.IntValue(-1)},
		{"fixed", "9d01 ffffffff", "f", codecs.IntValue(math.MaxUint32)},
		{"a float", "ad01 0000c03f", "fl", codecs.FloatValue(1.5)},
		{"bytes", "b201 02 ff00", "by", codecs.BytesValue("\xff\x00")},
		{"any number but 0 is true", "b801 8001", "bo", codecs.BoolValue(true)},
		{"a message as JSON", "2205 0801 b20100", "m", codecs.ObjectValue(`{"i":1,"l":[],"ints":{},"texts":{},"five":5,"ms":[],"by":"","tss":[]}`)},
		{"a list of messages", "a201 02 0801 a201 02 0802", "ms[1].i", codecs.IntValue(2)},
	} {
		for _, more := range [][]string{nil, {"i", "m.s", "b.i", "ms"}} {
			cells, reason := decodeOne(t, m, unhex(t, c.record), append([]string{c.path}, more...)...)
			if reason != "" || cells[0] != c.want {
				t.Errorf("%s: %s of %s is %v %q, %q, want %v", c.what, c.path, c.record, cells[0].Kind, codecs.AppendJSON(nil, cells[0]), reason, c.want)
			}
		}
	}
}

func TestRefusedRecords(t *testing.T) {
	t.Parallel()
	m := parse(t, meaningSchema)
	deep := bytes.Repeat([]byte{0x23}, 10001) // a group 4 that is not known, in itself
	nested := []byte{}
	for range 101 {
		nested = append(append([]byte{0x22}, varint.Append(nil, uint64(len(nested)))...), nested...)
	}
	for want, record := range map[string][]byte{
		`not valid Protobuf at offset 1, field "i": a number of more than 64 bits`:                          unhex(t, "08 ffffffffffffffffffff01"),
		`not valid Protobuf at offset 1, field "i": the message ends inside a number`:                       unhex(t, "08 ff"),
		`not valid Protobuf at offset 1, field "s": a length of 4611686018427387904 where 0 bytes are left`: unhex(t, "2a 808080808080808040"),
		`not valid Protobuf at offset 2, field "s": a string that is not UTF-8`:                             unhex(t, "2a01 ff"),
		`not valid Protobuf at offset 0: field number 0`:                                                    unhex(t, "0000"),
		`not valid Protobuf at offset 0: field number 536870912`:                                            unhex(t, "8080808010 00"),
		`not valid Protobuf at offset 1: wire type 6`:                                                       unhex(t, "0e"),
		`not valid Protobuf at offset 1: the end of a group 1 that is not open`:                             unhex(t, "0c"),
		`not valid Protobuf at offset 1, field "g": the message ends inside group 13`:                       unhex(t, "6b"),
		`not valid Protobuf at offset 2, field "g": the end of a group 1 that is not open`:                  unhex(t, "6b 0c"),
		`not valid Protobuf at offset 2, field "l": the message ends inside a number`:                       unhex(t, "1a01 80"),
		`not valid Protobuf at offset 2, field "f": 2 bytes are left where 4 are needed`:                    unhex(t, "9d01 0000"),
		`not valid Protobuf at offset 34: messages nested more than 100 deep`:                               deep,
		`not valid Protobuf at offset 237, field "m": messages nested more than 100 deep`:                   nested,
	} {
		for _, path := range []string{"", "i", "m.m.m.i", "l[3]"} {
			if _, reason := decodeOne(t, m, record, path); reason != want {
				t.Errorf("%.20x, %q: %q, want %q", record, path, reason, want)
			}
		}
	}
}

func TestRequired(t *testing.T) {
	t.Parallel()
	m := parse(t, `syntax = "proto2"; message M { optional R r = 1; repeated R rs = 2; map<string, R> map = 3; optional M m = 4; }
		message R { required int32 a = 1; optional int32 b = 2; }`)
	const missing = `R has no field "a", which is required`
	for record, good := range map[string]bool{
		"": true, "0a00": false, "0a02 0801": true, "0a02 1001 0a02 0801": true, "1202 1001 1202 0801": false, "1a04 1202 0801": true, "1a00": false,
		"2202 0a00": false, "2204 0a02 0801": true, "2202 0a00 2204 0a02 0801": true,
	} {
		for _, path := range []string{"", "r.b", "m.m"} {
			if _, reason := decodeOne(t, m, unhex(t, record), path); (reason == "") != good || !good && !strings.HasSuffix(reason, missing) {
				t.Errorf("%s, %q: %q", record, path, reason)
			}
		}
	}
}

// TestDefaultsAreBounded: two bytes of an empty message may stand for many defaults, and a
// record may not for more than so many of its size.
func TestDefaultsAreBounded(t *testing.T) {
	t.Parallel()
	text := &strings.Builder{}
	text.WriteString("syntax = \"proto3\"; message M { repeated Wide w = 1; } message Wide {")
	for i := range 2000 {
		text.WriteString("int64 a_long_name_of_a_field_" + strings.Repeat("x", i%10) + "_" + string(rune('a'+i%26)) + hex.EncodeToString([]byte{byte(i >> 8), byte(i)}) + " = " + codecsInt(i+1) + ";")
	}
	m := parse(t, text.String()+"}")
	record := bytes.Repeat([]byte{0x0A, 0}, 1<<16)
	for _, path := range []string{"", "w[0]"} {
		_, reason := decodeOne(t, m, record, path)
		if !strings.HasSuffix(reason, `field "w": messages that stand for too many defaults`) {
			t.Errorf("%q: %q", path, reason)
		}
	}
	if cells, reason := decodeOne(t, m, []byte{0x0A, 0}, ""); reason != "" || len(cells[0].Str) < 2000*30 {
		t.Errorf("one message is refused: %q", reason)
	}
}

func codecsInt(i int) string { return string(codecs.AppendJSON(nil, codecs.IntValue(int64(i)))) }

// TestLongTexts: a record is refused where an object or array of it would be far more text
// than it has bytes.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 1000)
	m := parse(t, `syntax = "proto2"; message M { repeated E e = 1 [packed = true]; repeated In in = 2; map<int32, In> map = 3; }
		enum E { `+long+` = 0; } message In { optional bool `+long+` = 1; }`)
	const items = 20_000
	packed := func(n int) []byte { return append(varint.Append([]byte{0x0a}, uint64(n)), make([]byte, n)...) }
	repeated := func(part string) func(int) []byte {
		return func(n int) []byte { return bytes.Repeat([]byte(part), n) }
	}
	for field, record := range map[string]func(int) []byte{"e": packed, "in": repeated("\x12\x02\x08\x01"), "map": repeated("\x1a\x04\x12\x02\x08\x01")} {
		for n, good := range map[int]bool{items / 50: true, items: false} {
			for path, refused := range map[string]bool{"": !good, field: !good, field + "[7]": false, "none": false} {
				d := NewDecoder(m, codecstest.Paths(t, path))
				if _, reason := codecstest.One(d, record(n)); (reason != "") != refused || refused && !strings.Contains(reason, "bytes as JSON text") {
					t.Errorf("%d at %q: %q", n, path, reason)
				}
				if size := cap(d.arena); size > 24<<20 {
					t.Errorf("%d at %q take %d bytes", n, path, size)
				}
			}
		}
	}
}

// TestRefusedRecordsLeaveNothing: what is noted of a record goes with it, if it is refused too.
func TestRefusedRecordsLeaveNothing(t *testing.T) {
	t.Parallel()
	m := parse(t, `syntax = "proto2"; message M { required int32 a = 1; optional M in = 2; }`)
	d := NewDecoder(m, codecstest.Paths(t, "in"))
	batch := slices.Repeat([][]byte{{0x12, 0}}, 1000)
	var into codecs.Columns
	if bad := d.Decode(batch, &into); len(bad) != len(batch) {
		t.Fatalf("%d of %d are refused", len(bad), len(batch))
	}
	if len(d.occurrences) > 10 || len(d.heads) > 10 {
		t.Errorf("%d occurrences and %d fields are left", len(d.occurrences), len(d.heads))
	}
}
