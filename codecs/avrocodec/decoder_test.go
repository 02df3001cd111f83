package avrocodec

import (
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

func parse(t testing.TB, schema string) *Schema {
	t.Helper()
	s, err := ParseSchema(schema, nil)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return s
}

// decodeOne decodes one record and returns its cells and the reason if it is bad.
func decodeOne(t testing.TB, schema string, record []byte, paths ...string) ([]codecs.Value, string) {
	t.Helper()
	d, err := NewDecoder(parse(t, schema), nil, codecstest.Paths(t, paths...))
	if err != nil {
		t.Fatal(err)
	}
	return codecstest.One(d, record)
}
