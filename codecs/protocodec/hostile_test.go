package protocodec

import (
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

// TestHostileRecords runs alone: it counts what the process allocates.
func TestHostileRecords(t *testing.T) {
	types := map[string]*Message{}
	codecstest.RunHostile(t, codecs.FormatProtobuf, func(schema string, paths []codecs.Path) codecs.Decoder {
		if types[schema] == nil {
			types[schema] = parse(t, schema)
		}
		return NewDecoder(types[schema], paths)
	}, func(string) []byte { return nil })
}
