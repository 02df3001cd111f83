package avrocodec

import (
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

func TestContract(t *testing.T) {
	schema := parse(t, codecstest.RowsAvro)
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
