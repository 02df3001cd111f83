package protocodec

import (
	"context"
	"testing"

	"leat/codecs"
)

func compileText(t testing.TB, text string, references ...Reference) *Schema {
	t.Helper()
	s, err := ParseSchema(context.Background(), text, references)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return s
}

// parse compiles a schema and takes its first message.
func parse(t testing.TB, text string) *Message {
	t.Helper()
	m, err := compileText(t, text).Message("")
	if err != nil {
		t.Fatal(err)
	}
	return m
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
func decodeOne(t testing.TB, m *Message, record []byte, paths ...string) ([]codecs.Value, string) {
	t.Helper()
	return decodeWith(NewDecoder(m, parsePaths(t, paths...)), record)
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
