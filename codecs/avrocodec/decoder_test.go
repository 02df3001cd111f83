package avrocodec

import (
	"testing"

	"leat/codecs"
)

func parse(t testing.TB, schema string) *Schema {
	t.Helper()
	s, err := ParseSchema(schema, nil)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return s
}

// parsePaths reads field paths; an empty text is the zero path.
func parsePaths(t testing.TB, texts ...string) []codecs.Path {
	t.Helper()
	paths := make([]codecs.Path, len(texts))
	for k, text := range texts {
		if text == "" {
			continue
		}
		p, err := codecs.ParsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		paths[k] = p
	}
	return paths
}

// decodeOne decodes one record and returns its cells and the reason if it is bad.
func decodeOne(t testing.TB, schema string, record []byte, paths ...string) ([]codecs.Value, string) {
	t.Helper()
	d, err := NewDecoder(parse(t, schema), nil, parsePaths(t, paths...))
	if err != nil {
		t.Fatal(err)
	}
	return decodeWith(d, record)
}

func decodeWith(d *Decoder, record []byte) ([]codecs.Value, string) {
	var into codecs.Columns
	bad := d.Decode([][]byte{record}, &into)
	cells := make([]codecs.Value, len(into.Cols))
	for k := range cells {
		cells[k] = into.Cols[k].Value(0).Clone()
	}
	if len(bad) > 0 {
		return cells, bad[0].Reason
	}
	return cells, ""
}
