package codecstest

import (
	"testing"

	"leat/codecs"
)

// Paths reads field paths; an empty text is the zero path.
func Paths(t testing.TB, texts ...string) []codecs.Path {
	t.Helper()
	paths := make([]codecs.Path, len(texts))
	for k, text := range texts {
		if text == "" {
			continue
		}
		var err error
		if paths[k], err = codecs.ParsePath(text); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// One decodes one record, and returns its cells and why it is bad, "" where it is good.
func One(d codecs.Decoder, record []byte) (cells []codecs.Value, reason string) {
	var into codecs.Columns
	bad := d.Decode([][]byte{record}, &into)
	for k := range into.Cols {
		cells = append(cells, into.Cols[k].Value(0).Clone())
	}
	if len(bad) > 0 {
		reason = bad[0].Reason
	}
	return cells, reason
}
