package inline_test

import (
	"strings"
	"testing"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/codecstest"
	"leat/codecs/inline"
	"leat/codecs/protocodec"
	"leat/internal/fault"
)

const inlineAvro = `{"type":"record","name":"Txn","fields":[
	{"name":"txn_id","type":"string"},
	{"name":"amount","type":["null","double",{"type":"record","name":"Money","fields":[{"name":"units","type":"long"},{"name":"currency","type":"string","default":"EUR"}]}],"default":null},
	{"name":"count","type":"int","default":7},
	{"name":"tags","type":{"type":"array","items":"string"},"default":["none"]},
	{"name":"by","type":{"type":"map","values":["null","long"]},"default":{}},
	{"name":"state","type":{"type":"enum","name":"State","symbols":["OPEN","DONE"]},"default":"OPEN"}]}`

const inlineProto = `syntax = "proto3"; import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto";
	import "google/protobuf/wrappers.proto"; import "google/protobuf/struct.proto";
	message Other {}
	message Txn { string txn_id = 1; int64 big = 2; optional double amount = 3; google.protobuf.Timestamp at = 4; google.protobuf.Duration took = 5;
		google.protobuf.Int64Value n = 6; repeated Txn inside = 7; map<string, int32> by = 8; google.protobuf.Struct any = 9; uint64 u = 10; }`

func decoder(t testing.TB, f codecs.InlineFormat, texts ...string) codecs.Decoder {
	t.Helper()
	d, err := inline.Formats{}.Inline(t.Context(), f, append([]codecs.Path{{}}, codecstest.Paths(t, texts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestInlineJSON has records in JSON, and the rows that they are by a schema.
func TestInlineJSON(t *testing.T) {
	t.Parallel()
	avro := codecs.InlineFormat{Format: "avro", Schema: inlineAvro, JSON: true, Aliases: map[string][]string{"txn_id": {"txnId", "id"}}}
	proto := codecs.InlineFormat{Format: "protobuf", Schema: inlineProto, Message: "Txn", JSON: true}
	full := func(f codecs.InlineFormat) codecs.InlineFormat { f.Defaults = true; return f }
	for _, c := range []struct {
		format       codecs.InlineFormat
		record, want string // a row, or the beginning of why there is none
	}{
		{avro, ` {"txn_id":"a", "more":[1,{}], "count": 3 } `, `{"txn_id":"a","count":3}`},
		{avro, `{"txnId":"a"}`, `{"txn_id":"a"}`},
		{avro, `{"id":"a","txn_id":"b"}`, `{"txn_id":"b"}`},
		{avro, `{}`, `{}`},
		{full(avro), `{"txn_id":"a"}`, `{"txn_id":"a","amount":null,"count":7,"tags":["none"],"by":{},"state":"OPEN"}`},
		{avro, `{"amount":1.50}`, `{"amount":1.50}`},
		{avro, `{"amount":{"double":2}}`, `{"amount":2}`},
		{avro, `{"amount":null}`, `{"amount":null}`},
		{avro, `{"amount":{"units":5}}`, `{"amount":{"units":5}}`},
		{full(avro), `{"txn_id":"","amount":{"Money":{"units":5}},"count":1,"tags":[],"by":{"a":{"long":1},"b":null},"state":"DONE"}`,
			`{"txn_id":"","amount":{"units":5,"currency":"EUR"},"count":1,"tags":[],"by":{"a":1,"b":null},"state":"DONE"}`},
		{avro, `{"count":3.0}`, `{"count":3}`},
		{avro, `{"count":3.5}`, `member "count": float where the schema has int`},
		{avro, `{"count":"3"}`, `member "count": string where the schema has int`},
		{avro, `{"tags":[1]}`, `member "tags[0]": int where the schema has string`},
		{avro, `{"amount":"x"}`, `member "amount": string where the schema has a union without it`},
		{avro, `{"amount":{"units":"x"}}`, `member "amount.units": string where the schema has int`},
		{avro, `{"count":null}`, `member "count": null where the schema has int`},
		{avro, `[]`, `the row: array where the schema has object`},
		{avro, `{"a":`, `the row: not valid JSON`},
		{proto, `{"txnId":"a","big":"9007199254740993","amount":null,"x":1}`, `{"txn_id":"a","big":9007199254740993}`},
		{proto, `{"big":12,"u":18446744073709551615,"n":"-4"}`, `{"big":12,"n":-4,"u":18446744073709551615}`},
		{proto, `{"at":"1970-01-01T00:00:01.5Z","took":"1.5s"}`, `{"at":1500,"took":1500}`},
		{proto, `{"at":7,"any":{"a":[1]},"by":{"k":1},"inside":[{"txn_id":"b"},{}]}`, `{"at":7,"inside":[{"txn_id":"b"},{}],"by":{"k":1},"any":{"a":[1]}}`},
		{full(proto), `{"amount":0}`, `{"txn_id":"","big":0,"amount":0,"inside":[],"by":{},"u":0}`},
		{proto, `{"big":"1e3"}`, `member "big": "1e3" is not what the schema has there`},
		{proto, `{"at":"now"}`, `member "at": "now" is not what the schema has there`},
	} {
		var into codecs.Columns
		bad := decoder(t, c.format).Decode([][]byte{[]byte(`{}`), []byte(c.record), []byte(`{}`)}, &into)
		got := string(codecs.AppendJSON(nil, into.Cols[0].Value(1)))
		if len(bad) > 0 {
			got = bad[0].Reason
		}
		if got != c.want && (!strings.HasPrefix(c.want, "the row: not") || !strings.HasPrefix(got, c.want)) || len(bad) > 1 || len(bad) == 1 && bad[0].Row != 1 {
			t.Errorf("%s\nis   %s\nwant %s", c.record, got, c.want)
		}
	}
}

// TestInlineBinary: the same rows out of binary records.
func TestInlineBinary(t *testing.T) {
	t.Parallel()
	a, err := avrocodec.ParseSchema(inlineAvro, nil)
	if err != nil {
		t.Fatal(err)
	}
	record, err := avrocodec.NewEncoder(a).AppendJSON(nil, []byte(`{"txn_id":"a","amount":1.5}`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := protocodec.ParseSchema(t.Context(), inlineProto, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Message("Txn")
	if err != nil {
		t.Fatal(err)
	}
	message, err := protocodec.NewEncoder(m).AppendJSON(nil, []byte(`{"txn_id":"a","at":7}`))
	if err != nil {
		t.Fatal(err)
	}
	quoted := string(codecs.AppendJSONString(nil, inlineAvro))
	for _, c := range []struct {
		format codecs.InlineFormat
		record []byte
		path   string
		want   codecs.Value
	}{
		{codecs.InlineFormat{Format: "avro", Schema: inlineAvro}, record, "amount", codecs.FloatValue(1.5)},
		{codecs.InlineFormat{Format: "avro", Schema: quoted}, record, "amount", codecs.FloatValue(1.5)},
		{codecs.InlineFormat{Format: "protobuf", Schema: inlineProto, Message: "Txn"}, message, "at", codecs.IntValue(7)},
		{codecs.InlineFormat{Format: "protobuf", Schema: string(codecs.AppendJSONString(nil, inlineProto)), Message: "Txn"}, message, "txn_id", codecs.StringValue("a")},
	} {
		var into codecs.Columns
		bad := decoder(t, c.format, c.path).Decode([][]byte{c.record, {0xFF}}, &into)
		if got := into.Cols[1].Value(0); got != c.want || len(bad) != 1 || bad[0].Row != 1 {
			t.Errorf("%s is %v, want %v: %v", c.path, got, c.want, bad)
		}
	}
}

func TestInlineRefuses(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]codecs.InlineFormat{
		`the schema: `: {Format: "avro", Schema: `{"type":"none"}`},
		`the schema: schema.proto:1:1: invalid character`:      {Format: "protobuf", Schema: `?`},
		`the schema: schema.proto:1:8: could not resolve path`: {Format: "protobuf", Schema: `import "/etc/passwd"; message M {}`, JSON: true},
		`the Protobuf schema has no message "N"`:               {Format: "protobuf", Schema: `message M {}`, Message: "N"},
		`records are "avro" or "protobuf", not "xml"`:          {Format: "xml", Schema: `{}`},
	} {
		_, err := inline.Formats{}.Inline(t.Context(), f, nil)
		if fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", f, err, want)
		}
	}
}

// TestInlineUnions: unions inside unions whose branches all fit at first do not take more
// work than the record has bytes.
func TestInlineUnions(t *testing.T) {
	t.Parallel()
	schema := `{"type":"record","name":"R","fields":[{"name":"v","type":["null",` +
		`{"type":"record","name":"A","fields":[{"name":"n","type":["null","R"]},{"name":"x","type":"int"}]},` +
		`{"type":"record","name":"B","fields":[{"name":"n","type":["null","R"]},{"name":"x","type":"string"}]}]}]}`
	record := strings.Repeat(`{"v":{"n":`, 100) + "null" + strings.Repeat(`,"x":true}}`, 100)
	var into codecs.Columns
	bad := decoder(t, codecs.InlineFormat{Format: "avro", Schema: schema, JSON: true}).Decode([][]byte{[]byte(record)}, &into)
	if len(bad) != 1 {
		t.Errorf("%d bad rows", len(bad))
	}
}

// TestInlineRecords has schemas whose values are no objects, and messages that are not there.
func TestInlineRecords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format     codecs.InlineFormat
		code, says string
	}{
		{codecs.InlineFormat{Format: "avro", Schema: `"string"`}, "invalid_format", "records are objects, and its values are string"},
		{codecs.InlineFormat{Format: "avro", Schema: `"string"`, JSON: true}, "invalid_format", "records are objects, and its values are string"},
		{codecs.InlineFormat{Format: "avro", Schema: `["null",{"type":"record","name":"R","fields":[]}]`}, "invalid_format", "its values are object or null"},
		{codecs.InlineFormat{Format: "avro", Schema: `{"type":"array","items":"int"}`}, "invalid_format", "its values are array"},
		{codecs.InlineFormat{Format: "protobuf", Schema: inlineProto, Message: "Txm"}, codecs.CodeNoMessage, `no message "Txm"; did you mean "Txn"?`},
		{codecs.InlineFormat{Format: "protobuf", Schema: `syntax = "proto3";`}, codecs.CodeNoMessage, "has no message"},
	} {
		_, err := inline.Formats{}.Inline(t.Context(), c.format, nil)
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Code != c.code || !strings.Contains(f.Message, c.says) {
			t.Errorf("%+v: %v", c.format, err)
		}
	}
	if _, err := (inline.Formats{}).Inline(t.Context(), codecs.InlineFormat{Format: "avro", Schema: `{"type":"map","values":"int"}`}, nil); err != nil {
		t.Errorf("a map: %v", err)
	}
}
