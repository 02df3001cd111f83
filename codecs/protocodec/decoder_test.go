package protocodec

import (
	"context"
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
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

// decodeOne decodes one record and returns its cells and the reason if it is bad.
func decodeOne(t testing.TB, m *Message, record []byte, paths ...string) ([]codecs.Value, string) {
	t.Helper()
	return codecstest.One(NewDecoder(m, codecstest.Paths(t, paths...)), record)
}
