package jsoncodec

import (
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

func TestContract(t *testing.T) {
	codecstest.Run(t, codecstest.Format{
		Decoder: func(_ testing.TB, paths []codecs.Path) codecs.Decoder { return New(paths) },
		Encode:  func(_ testing.TB, row string) []byte { return []byte(row) },
		Absent:  codecs.Missing,
		Bad:     [][]byte{nil, []byte("["), []byte(`{"id":"o-1"`), []byte(`{"ts":1}}`), []byte("{\"id\":\"\xff\"}"), []byte(`{"none":1e999}`)},
	})
}
