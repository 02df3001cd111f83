package avrocodec

import (
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

const sampleSchema = `{"type":"record","name":"Order","namespace":"shop","fields":[
	{"name":"id","type":"string"},{"name":"ts","type":"long"},{"name":"amount","type":"double"},{"name":"qty","type":"int"},
	{"name":"paid","type":"boolean"},{"name":"note","type":["null","string"],"default":null},
	{"name":"address","type":{"type":"record","name":"Address","fields":[{"name":"city","type":"string"},
		{"name":"zip","type":["string","null"]},
		{"name":"geo","type":{"type":"record","name":"Geo","fields":[{"name":"lat","type":"double"},{"name":"lon","type":"double"}]}}]}},
	{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"},
		{"name":"price","type":"double"},{"name":"count","type":"long"},{"name":"tags","type":{"type":"array","items":"string"}}]}}},
	{"name":"attributes","type":{"type":"map","values":"long"}},
	{"name":"status","type":{"type":"enum","name":"Status","symbols":["OPEN","CLOSED"]}},{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"card","type":["null","string"],"default":null},{"name":"cash","type":["null","long"],"default":null}]}`

func TestContract(t *testing.T) {
	schema := parse(t, sampleSchema)
	e := NewEncoder(schema)
	encode := func(t testing.TB, row string) []byte {
		record, err := e.AppendJSON(nil, []byte(row))
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	good := encode(t, codecstest.Rows()[0])
	codecstest.Run(t, codecstest.Format{
		Decoder: func(t testing.TB, paths []codecs.Path) codecs.Decoder {
			d, err := NewDecoder(schema, nil, paths)
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Encode: encode,
		Absent: codecs.Null,
		Bad: [][]byte{
			nil, good[:1], good[:len(good)-1], append(good[:len(good):len(good)], 0), {1}, {2, 0xFF},
			appendLong(nil, 1<<40), append([]byte("\x06o-1"), 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F),
		},
	})
}
