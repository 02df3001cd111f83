package avrocodec

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"leat/codecs"
	"leat/internal/testenv"
)

// fieldSchema is a record with the one field f.
func fieldSchema(t string) string {
	return `{"type":"record","name":"R","fields":[{"name":"f","type":` + t + `}]}`
}

// TestEncodeValues encodes the member f and decodes it again.
func TestEncodeValues(t *testing.T) {
	t.Parallel()
	const tagged = `["null","string",{"type":"record","name":"n.P","fields":[{"name":"x","type":"int"}]},{"type":"enum","name":"E","symbols":["A","B"]}]`
	const price = `{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}`
	for _, c := range []struct {
		schema, json string
		want         codecs.Value
	}{
		{`"null"`, `null`, codecs.NullValue()},
		{`"boolean"`, `true`, codecs.BoolValue(true)},
		{`"int"`, `-2147483648`, codecs.IntValue(math.MinInt32)},
		{`"int"`, `7.0`, codecs.IntValue(7)},
		{`"long"`, `9007199254740993`, codecs.IntValue(1<<53 + 1)},
		{`"long"`, `-9223372036854775808`, codecs.IntValue(math.MinInt64)},
		{`"float"`, `0.1`, codecs.FloatValue(float64(float32(0.1)))},
		{`"double"`, `0.1`, codecs.FloatValue(0.1)},
		{`"double"`, `5`, codecs.FloatValue(5)},
		{`"string"`, `"a\u0041\n"`, codecs.StringValue("aA\n")},
		{`"bytes"`, `"AP8="`, codecs.BytesValue("\x00\xff")},
		{`{"type":"fixed","name":"F","size":2}`, `"AP8="`, codecs.BytesValue("\x00\xff")},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, `"B"`, codecs.StringValue("B")},
		{`{"type":"array","items":"int"}`, ` [ 1 , 2 ] `, codecs.ArrayValue("[1,2]")},
		{`{"type":"array","items":"int"}`, `[]`, codecs.ArrayValue("[]")},
		{`{"type":"map","values":"int"}`, `{ "a" : 1 , "b":2}`, codecs.ObjectValue(`{"a":1,"b":2}`)},
		{`["null","int"]`, `null`, codecs.NullValue()},
		{`["null","int"]`, `5`, codecs.IntValue(5)},
		{`["null","int"]`, `{"int":5}`, codecs.IntValue(5)},
		{`["int","long","double"]`, `5`, codecs.IntValue(5)},
		{`["double","long"]`, `9007199254740993`, codecs.IntValue(1<<53 + 1)},
		{`["long","double"]`, `5.5`, codecs.FloatValue(5.5)},
		{tagged, `"A"`, codecs.StringValue("A")},
		{tagged, `{"x":5}`, codecs.ObjectValue(`{"x":5}`)},
		{tagged, `{"n.P":{"x":5}}`, codecs.ObjectValue(`{"x":5}`)},
		{tagged, `{"E":"A"}`, codecs.StringValue("A")},
		{tagged, `{"null":null}`, codecs.NullValue()},
		{`{"type":"int","logicalType":"date"}`, `86400000`, codecs.IntValue(86400000)},
		{`{"type":"int","logicalType":"time-millis"}`, `1500`, codecs.IntValue(1500)},
		{`{"type":"long","logicalType":"time-micros"}`, `1500`, codecs.IntValue(1500)},
		{`{"type":"long","logicalType":"timestamp-millis"}`, `-1`, codecs.IntValue(-1)},
		{`{"type":"long","logicalType":"timestamp-micros"}`, `1700000000123`, codecs.IntValue(1700000000123)},
		{`{"type":"long","logicalType":"local-timestamp-nanos"}`, `"2023-11-14T22:13:20.123Z"`, codecs.IntValue(1700000000123)},
		{`{"type":"string","logicalType":"uuid"}`, `"x"`, codecs.StringValue("x")},
		{`{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`, `"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"`,
			codecs.StringValue("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")},
		{`{"type":"fixed","name":"D","size":12,"logicalType":"duration"}`, `{"days":2,"milliseconds":4294967295}`,
			codecs.ObjectValue(`{"months":0,"days":2,"milliseconds":4294967295}`)},
		{price, `12.34`, codecs.FloatValue(12.34)},
		{price, `-0.01`, codecs.FloatValue(-0.01)},
		{price, `"12.3"`, codecs.FloatValue(12.3)},
		{price, `1e3`, codecs.FloatValue(1000)},
		{price, `0.00`, codecs.FloatValue(0)},
		{`{"type":"array","items":` + price + `}`, `[123456789012345678.25,-1.28,1e-2]`, codecs.ArrayValue(`[123456789012345678.25,-1.28,0.01]`)},
		{`{"type":"fixed","name":"D","size":9,"logicalType":"decimal","precision":20}`, `-9223372036854775808`, codecs.IntValue(math.MinInt64)},
		{`{"type":"fixed","name":"D","size":9,"logicalType":"decimal","precision":20}`, `-36893488147419103232`, codecs.FloatValue(-1 << 65)},
	} {
		schema := parse(t, fieldSchema(c.schema))
		record, err := NewEncoder(schema).AppendJSON(nil, []byte(`{"f":`+c.json+`}`))
		if err != nil {
			t.Errorf("%s as %s: %v", c.json, c.schema, err)
			continue
		}
		cells, reason := decodeOne(t, fieldSchema(c.schema), record, "f", "")
		if reason != "" || !same(cells[0], c.want) {
			t.Errorf("%s as %s: % x is %v, %q; want %v", c.json, c.schema, record, cells[0], reason, c.want)
		}
		row := codecs.ObjectValue(`{"f":` + string(codecs.AppendJSON(nil, c.want)) + `}`)
		if reason == "" && codecs.Compare(cells[1], row) != 0 && c.want.Kind != codecs.Float {
			t.Errorf("%s as %s: the row is %s, want %s", c.json, c.schema, cells[1].Str, row.Str)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	const price = `{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`
	for _, c := range []struct{ schema, row, want string }{
		{`"int"`, `{"f":2147483648}`, `member "f": 2147483648 is out of the range of int`},
		{`"int"`, `{"f":"1"}`, `member "f": string where the schema has int`},
		{`"int"`, `{"f":1.5}`, `member "f": 1.5 is not a whole number of 64 bits`},
		{`"long"`, `{"f":9223372036854775808}`, `member "f": 9223372036854776000 is not a whole number of 64 bits`},
		{`"float"`, `{"f":1e39}`, `member "f": 1e+39 is out of the range of float`},
		{`"int"`, `{}`, `member "f": missing, and the schema has no default for it`},
		{`"int"`, `{"f":null}`, `member "f": null where the schema has int`},
		{`"int"`, `{"f":1,"g":2}`, `member "g": the schema R has no such field; did you mean "f"?`},
		{`"int"`, `[1]`, `the row: array where the schema has R`},
		{`"int"`, `{"f":1`, `the row: not valid JSON at offset 6: the text ends where "," or "}" is expected`},
		{`{"type":"array","items":{"type":"map","values":"int"}}`, `{"f":[{},{"odd key":true}]}`, `member "f[1][\"odd key\"]": bool where the schema has int`},
		{`{"type":"enum","name":"E","symbols":["GREEN","RED"]}`, `{"f":"green"}`, `member "f": "green" is not a symbol of E; did you mean "GREEN"?`},
		{`{"type":"fixed","name":"F","size":2}`, `{"f":"AA=="}`, `member "f": 1 bytes where F has 2`},
		{`"bytes"`, `{"f":"?"}`, `member "f": a text that is not base64 where the schema has bytes`},
		{`["null","int"]`, `{"f":"x"}`, `member "f": string where the schema has int`},
		{`["null","int","boolean"]`, `{"f":"x"}`, `member "f": string where the schema has the union [null, int, boolean]`},
		{`["string",{"type":"map","values":"string"}]`, `{"f":{"string":"x"}}`, `member "f": "string" may be a member or the name of a branch of [string, map]`},
		{price, `{"f":0.123}`, `member "f": 0.123 has more than 2 digits behind the point`},
		{price, `{"f":100}`, `member "f": 100 has more digits than a decimal of precision 4 and scale 2`},
		{price, `{"f":"x"}`, `member "f": "x" is not a decimal number`},
		{`{"type":"int","logicalType":"date"}`, `{"f":1}`, `member "f": 1 is out of the range of int (date)`},
		{`{"type":"long","logicalType":"timestamp-micros"}`, `{"f":9223372036854775807}`, `member "f": 9223372036854775807 is out of the range of long (timestamp-micros)`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, `{"f":"now"}`, `member "f": "now" is neither a time in RFC 3339 nor a number of milliseconds`},
	} {
		before := []byte("before")
		got, err := NewEncoder(parse(t, fieldSchema(c.schema))).AppendJSON(before, []byte(c.row))
		var member *codecs.MemberError
		if !errors.As(err, &member) || err.Error() != c.want || !bytes.Equal(got, before) {
			t.Errorf("%s as %s: %q, %v; want %s", c.row, c.schema, got, err, c.want)
		}
	}
}

func TestEncodeRow(t *testing.T) {
	t.Parallel()
	schema := parse(t, `{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":["null","string"]},
		{"name":"c","type":"int","default":-5},{"name":"d","type":{"type":"array","items":"double"},"default":[1.5]}]}`)
	e := NewEncoder(schema)
	got, err := e.Append([]byte("x"), []codecs.Member{
		{Name: "b", Value: codecs.StringValue("t")}, {Name: "a", Value: codecs.IntValue(1)}, {Name: "a", Value: codecs.IntValue(-3)},
	})
	want := append([]byte("x\x05\x02\x02t\x09\x02"), 0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 0)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("% x, %v; want % x", got, err, want)
	}
	if got, err = e.Append(nil, []codecs.Member{{Name: "a", Value: codecs.BoolValue(true)}}); err == nil || got != nil {
		t.Errorf("% x, %v", got, err)
	}
	if got, err = e.Append(nil, []codecs.Member{{Name: "a", Value: codecs.IntValue(0)}, {Name: "c", Value: codecs.NullValue()}}); err == nil {
		t.Errorf("null for an int: % x", got)
	}
}

// TestEncodeRandomRows: what is decoded as JSON and encoded again means the same.
func TestEncodeRandomRows(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 1500 {
		text := randomSchema(r)
		schema := parse(t, text)
		tree := (&recordMaker{r: r}).value(schema.root, 5)
		want := cellOf(tree)
		record, err := NewEncoder(schema).AppendJSON(nil, []byte(want.Str))
		if err != nil {
			t.Fatalf("%s as %s: %v", want.Str, text, err)
		}
		cells, reason := decodeOne(t, text, record, "")
		if reason != "" || codecs.Compare(cells[0], want) != 0 {
			t.Fatalf("%s as %s: %s, %q", want.Str, text, cells[0].Str, reason)
		}
	}
}
