package codecstest

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"leat/codecs"
)

// Hostile is a record that has to be refused, made to cost a decoder time, memory or its
// stack. It is less than a mebibyte, which is what a record may have.
type Hostile struct {
	Name, Format string
	Schema       string // "" of JSON
	Record       []byte // without a frame
}

const hostileBytes = 1_000_000

// HostileRecords are those of all formats.
func HostileRecords() []Hostile {
	return append(append(hostileJSON(), hostileAvro()...), hostileProtobuf()...)
}

// RunHostile checks that the records of a format are refused, whatever is asked for, each
// within 50 ms of the processor and with no more memory than twice its length, by a decoder
// that has not decoded anything. The best of a few tries counts: the process does other
// things as well. It counts what the process allocates, and so it runs
// alone. decoder makes a decoder of records of a schema, prefix is what goes before them.
func RunHostile(t *testing.T, format string, decoder func(schema string, paths []codecs.Path) codecs.Decoder, prefix func(schema string) []byte) {
	t.Helper()
	tried := 0
	for _, h := range HostileRecords() {
		if h.Format != format {
			continue
		}
		tried++
		record := append(prefix(h.Schema), h.Record...)
		for _, texts := range [][]string{nil, {""}, {"f"}, {"k", "f.f.f", "f[0]", "f[0].f", "g"}} {
			took, taken := time.Duration(math.MaxInt64), uint64(math.MaxUint64)
			for range 3 {
				t1, t2 := refuse(t, &h, decoder(h.Schema, Paths(t, texts...)), record)
				took, taken = min(took, t1), min(taken, t2)
			}
			if took > 50*time.Millisecond {
				t.Errorf("%s: %s takes %v for %q", format, h.Name, took, texts)
			}
			const more = 4096 // the reason, and a row of cells
			if taken > 2*uint64(len(record))+more {
				t.Errorf("%s: %s of %d bytes takes %d bytes for %q", format, h.Name, len(record), taken, texts)
			}
		}
	}
	if tried < 10 {
		t.Errorf("%d records of %s", tried, format)
	}
}

// refuse decodes a record, and returns what that took of the processor and of memory.
func refuse(t testing.TB, h *Hostile, d codecs.Decoder, record []byte) (took time.Duration, taken uint64) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var into codecs.Columns
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := used(t, ofThread)
	bad := d.Decode([][]byte{record}, &into)
	took = used(t, ofThread) - start
	runtime.ReadMemStats(&after)
	if len(bad) != 1 || bad[0].Row != 0 || bad[0].Reason == "" || len(bad[0].Reason) > 500 || strings.ContainsAny(bad[0].Reason, "\n\r") {
		t.Fatalf("%s: %s: %v", h.Format, h.Name, bad)
	}
	return took, after.TotalAlloc - before.TotalAlloc
}

func many(part string, n int) string { return strings.Repeat(part, n/len(part)) }

func hostileJSON() []Hostile {
	var list []Hostile
	for _, c := range []struct{ name, text string }{
		{"no bytes", ""}, {"a zero byte", "\x00"}, {"a list", `[{"f":1}]`}, {"words", "hello"}, {"two objects", `{"f":1}{"f":2}`},
		{"cut short", `{"f":{"f":1}`}, {"text behind it", `{"f":1} x`}, {"a byte order mark", "\ufeff{}"}, {"UTF-16", "{\x00}\x00"},
		{"10,000 arrays", `{"f":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}"},
		{"10,000 objects", strings.Repeat(`{"f":`, 10_000) + "1" + strings.Repeat("}", 10_000)},
		{"as many arrays as there is room for", `{"f":` + many("[", hostileBytes)},
		{"as many objects as there is room for", many(`{"f":`, hostileBytes)},
		{"1e400", `{"f":1e400}`}, {"-1e400 where nobody looks", `{"other":[-1e400]}`},
		{"a number of many digits", `{"f":1` + many("0", hostileBytes) + `}`},
		{"a fraction of many digits, and an exponent", `{"f":1.` + many("5", hostileBytes) + `e999}`},
		{"an exponent of many digits", `{"f":1e` + many("9", hostileBytes) + `}`},
		{"a lone surrogate", `{"f":"\ud800"}`}, {"a lone surrogate in a name", `{"\udc00":1}`}, {"surrogates the wrong way round", `{"f":"\ude00\ud83d"}`},
		{"not UTF-8", "{\"f\":\"\xff\"}"}, {"a surrogate as UTF-8", "{\"f\":\"\xed\xa0\x80\"}"}, {"overlong UTF-8", "{\"f\":\"\xc0\x80\"}"},
		{"a string without an end", `{"f":"` + many("x", hostileBytes)}, {"a control character at the end", `{"f":"` + many("x", hostileBytes) + "\n\"}"},
		{"escapes, and then not JSON", `{"f":"` + many(`\n`, hostileBytes) + `"]`}, {"names of escapes", `{"f":{"` + many(`\u0041`, hostileBytes) + `":1]}`},
		{"many values, and then not JSON", `{"f":[` + many("1,", hostileBytes) + `]}`}, {"many names twice", `{` + many(`"f":1,`, hostileBytes) + `}`},
		{"white space, and nothing", many(" ", hostileBytes)}, {"commas", `{"f":[` + many(",", hostileBytes) + `]}`},
	} {
		list = append(list, Hostile{c.name, codecs.FormatJSON, "", []byte(c.text)})
	}
	return list
}

// avroField is a record with a field of a type, and a text behind it.
func avroField(kind string) string {
	return `{"type":"record","name":"T","fields":[{"name":"f","type":` + kind + `},{"name":"g","type":"string"}]}`
}

func hostileAvro() []Hostile {
	const nulls = `{"type":"array","items":"null"}`
	const recursive = `{"type":"record","name":"R","fields":[{"name":"f","type":["null","R"]}]}`
	const lists = `{"type":"record","name":"R","fields":[{"name":"f","type":{"type":"array","items":"R"}}]}`
	num := func(n int64) string { return string(binary.AppendVarint(nil, n)) }
	list := []Hostile{}
	add := func(name, schema, record string) {
		list = append(list, Hostile{name, codecs.FormatAvro, schema, []byte(record)})
	}
	add("an array of 2^40 nulls", avroField(nulls), num(1<<40)+"\x00")
	add("an array of 2^62 nulls", avroField(nulls), num(1<<62)+"\x00")
	add("an array of -2^62 nulls", avroField(nulls), num(-1<<62)+"\x00\x00")
	add("an array of int64-min", avroField(nulls), num(math.MinInt64)+"\x00\x00")
	add("an array of 2^62 empty records", avroField(`{"type":"array","items":{"type":"record","name":"E","fields":[]}}`), num(1<<62)+"\x00")
	add("an array of 2^62 empty fixed", avroField(`{"type":"array","items":{"type":"fixed","name":"F","size":0}}`), num(1<<62)+"\x00")
	add("many blocks of nulls", avroField(nulls), many(num(1<<16), 3<<10)+"\x00")
	add("an array of 2^62 longs", avroField(`{"type":"array","items":"long"}`), num(1<<62)+"\x00")
	add("an array of 2^61 doubles", avroField(`{"type":"array","items":"double"}`), num(1<<61)+"\x00")
	add("a map of 2^62 nulls", avroField(`{"type":"map","values":"null"}`), num(1<<62)+"\x00")
	add("a string of 2^40 bytes", avroField(`"string"`), num(1<<40))
	add("a string of -1 bytes", avroField(`"string"`), num(-1))
	add("bytes of 2^62", avroField(`"bytes"`), num(1<<62))
	add("bytes of 2^63-1", avroField(`"bytes"`), num(1<<63-1))
	add("a block of 2^62 bytes", avroField(`{"type":"array","items":"long"}`), num(-1)+num(1<<62)+"\x00")
	add("a block of less than it has", avroField(`{"type":"array","items":"long"}`), num(-2)+num(1)+"\x02\x02\x00\x00")
	add("as many records inside each other as there is room for", recursive, many("\x02", hostileBytes)+"\x00")
	add("as many arrays inside each other as there is room for", lists, many("\x02", hostileBytes)+"\x00")
	add("a fixed of 2^31-1 bytes", avroField(`{"type":"fixed","name":"F","size":2147483647}`), "\x01\x02\x03")
	add("a record that cannot exist", `{"type":"record","name":"R","fields":[{"name":"f","type":"R"}]}`, many("\x00", hostileBytes))
	add("an array of records that cannot exist", avroField(`{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"f","type":[]}]}}`), many("\x00", hostileBytes))
	add("an unknown branch", avroField(`["null","int"]`), num(1<<62))
	add("a branch of -1", avroField(`["null","int"]`), num(-1))
	add("an unknown symbol", avroField(`{"type":"enum","name":"E","symbols":["A","B"]}`), num(2))
	add("a number without an end", avroField(`"long"`), many("\x80", hostileBytes))
	add("bytes left over", avroField(`"int"`), "\x02\x00\x00")
	add("not UTF-8", avroField(`"int"`), "\x02\x02\xff")
	add("no bytes", avroField(`"int"`), "")
	// Good so far, and large as JSON; then the text at the end is missing.
	add("a text of control characters, cut short", avroField(`"string"`), num(hostileBytes)+many("\x01", hostileBytes))
	add("bytes, cut short", avroField(`"bytes"`), num(hostileBytes)+many("\x01", hostileBytes))
	add("all the nulls that are allowed, cut short", avroField(`{"type":"record","name":"N","fields":[{"name":"f","type":`+nulls+`},{"name":"b","type":"bytes"}]}`),
		num(16*hostileBytes/2)+"\x00"+num(hostileBytes/2)+many("\x01", hostileBytes/2))
	add("booleans, cut short", avroField(`{"type":"array","items":"boolean"}`), num(hostileBytes)+many("\x00", hostileBytes)+"\x00")
	add("a map of empty records, cut short", avroField(`{"type":"map","values":{"type":"record","name":"E","fields":[]}}`), num(hostileBytes/2)+many("\x02a", hostileBytes)+"\x00")
	add("decimals, cut short", avroField(`{"type":"array","items":{"type":"bytes","logicalType":"decimal","precision":300}}`),
		num(hostileBytes/127)+many("\xfc\x01"+strings.Repeat("\x7f", 126), hostileBytes)+"\x00")
	return list
}

func hostileProtobuf() []Hostile {
	const schema = `syntax = "proto2"; message M { optional M f = 1; repeated int64 l = 2; map<string, M> map = 3; optional string k = 4;
		optional group G = 5 { optional M in = 1; } repeated string r = 6; optional bytes b = 7; oneof o { M om = 8; string os = 9; } repeated M rm = 10; }`
	const required = `syntax = "proto3"; import "google/protobuf/descriptor.proto";
		message M { google.protobuf.UninterpretedOption f = 1; repeated E g = 2; repeated int32 k = 3;
			repeated google.protobuf.UninterpretedOption.NamePart n = 4; map<int32, google.protobuf.UninterpretedOption.NamePart> m = 5; } message E {}`
	length := func(n uint64) string { return string(binary.AppendUvarint(nil, n)) }
	field := func(tag byte, text string) string { return string(tag) + length(uint64(len(text))) + text }
	list := []Hostile{}
	add := func(name, schema, record string) {
		list = append(list, Hostile{name, codecs.FormatProtobuf, schema, []byte(record)})
	}
	add("10,001 messages", schema, nested(10_001, "\x0a"))
	add("10,001 entries of maps", schema, nested(10_002, "\x12", "\x1a"))
	add("10,001 groups", schema, strings.Repeat("\x2b", 10_001))
	add("10,001 groups without a field", schema, strings.Repeat("\x7b", 10_001))
	add("as many groups as there is room for", schema, many("\x2b", hostileBytes))
	add("groups inside each other and closed", schema, many("\x7b", hostileBytes/2)+many("\x7c", hostileBytes/2))
	add("a group that another ends", schema, "\x2b\x34")
	add("the end of no group", schema, "\x2c")
	add("a length of 2^62", schema, "\x22"+length(1<<62))
	add("a length of 2^64-1", schema, "\x22"+length(math.MaxUint64))
	add("a packed list of 2^40", schema, "\x12"+length(1<<40))
	add("a number of 11 bytes", schema, "\x10"+strings.Repeat("\xff", 10)+"\x01")
	add("a number without an end", schema, "\x10"+many("\x80", hostileBytes))
	add("field number 0", schema, "\x00\x00")
	add("field number 2^29", schema, "\x80\x80\x80\x80\x10\x00")
	add("wire type 6", schema, "\x0e")
	add("wire type 7", schema, "\x0f")
	add("not UTF-8", schema, "\x22\x01\xff")
	add("a key that is not UTF-8", schema, "\x1a\x03\x0a\x01\xff")
	add("what is required is missing", required, "\x0a\x04\x12\x02\x0a\x00")
	add("messages, and then what is required is missing", required, many("\x12\x00", hostileBytes)+"\x0a\x04\x12\x02\x0a\x00")
	add("messages that have what is required, and then one that has not", required, many("\x22\x05\x0a\x01a\x10\x01", hostileBytes)+"\x22\x03\x0a\x01a")
	add("entries that have what is required, and then one that has not", required, many("\x2a\x07\x12\x05\x0a\x01a\x10\x01", hostileBytes)+"\x2a\x00")
	add("numbers, and then what is required is missing", required, many("\x18\x00", hostileBytes)+"\x0a\x04\x12\x02\x0a\x00")
	add("messages, the last of them broken", schema, many("\x0a\x00", hostileBytes)+"\x0a")
	add("entries, the last of them broken", schema, many("\x1a\x00", hostileBytes)+"\x1a")
	add("members of a oneof in turn, and then a broken one", schema, many("\x42\x00\x4a\x00", hostileBytes)+"\x42")
	// Good so far, and large as JSON; then a broken field.
	add("a text of control characters, and a broken field", schema, field('\x22', many("\x01", hostileBytes))+"\x22\x05")
	add("bytes, and a broken field", schema, field('\x3a', many("\x01", hostileBytes))+"\x3a\x05")
	add("a packed list, and a broken field", schema, field('\x12', many("\x00", hostileBytes))+"\x22\x05")
	add("empty texts, and a broken field", schema, many("\x32\x00", hostileBytes)+"\x32\x05")
	add("more defaults than are allowed", wideProto(), many("\x0a\x00", hostileBytes))
	return list
}

// wideProto is a message type that an empty message has much text in.
func wideProto() string {
	var b strings.Builder
	b.WriteString(`syntax = "proto3"; message M { repeated Wide f = 1; } message Wide {`)
	for i := range 1000 {
		n := string(codecs.AppendJSON(nil, codecs.IntValue(int64(i+1))))
		b.WriteString(" int64 a_field_with_a_long_name_" + n + " = " + n + ";")
	}
	return b.String() + "}"
}

// nested is a message with so many others inside each other, in turn in fields of the tags.
func nested(levels int, tags ...string) string {
	var sizes []int // of what is inside, from the innermost
	for size := 0; len(sizes) < levels; {
		sizes = append(sizes, size)
		size += 1 + len(binary.AppendUvarint(nil, uint64(size)))
	}
	var b bytes.Buffer
	for k := levels - 1; k >= 0; k-- {
		b.WriteString(tags[k%len(tags)])
		b.Write(binary.AppendUvarint(nil, uint64(sizes[k])))
	}
	return b.String()
}
