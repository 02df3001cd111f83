package jsoncodec

import (
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

// TestHostileRecords runs alone: it counts what the process allocates.
func TestHostileRecords(t *testing.T) {
	codecstest.RunHostile(t, codecs.FormatJSON, func(_ string, paths []codecs.Path) codecs.Decoder {
		return New(paths)
	}, func(string) []byte { return nil })
}
