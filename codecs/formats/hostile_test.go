package formats_test

import (
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
)

// TestHostileRecords: what is in front of a record that is refused does not make it cost
// more. It runs alone: it counts what the process allocates.
func TestHostileRecords(t *testing.T) {
	registry := formatstest.New()
	ids := map[string]int{}
	for _, h := range codecstest.HostileRecords() {
		language := map[string]string{codecs.FormatJSON: formats.JSONSchema, codecs.FormatAvro: formats.Avro, codecs.FormatProtobuf: formats.Protobuf}[h.Format]
		if ids[h.Schema] == 0 {
			ids[h.Schema] = registry.Register("hostile-value", language, h.Schema)
		}
	}
	library := formats.New(registry)
	for _, format := range []string{codecs.FormatJSON, codecs.FormatAvro, codecs.FormatProtobuf} {
		t.Run(format, func(t *testing.T) {
			codecstest.RunHostile(t, format, func(schema string, paths []codecs.Path) codecs.Decoder {
				d := source(t, library, codecs.FormatSpec{Topic: "hostile", Name: codecs.FormatJSON}).Decoder(paths)
				known := framed(ids[schema])
				if err := d.Prepare(t.Context(), [][]byte{append(known, 0)}); err != nil {
					t.Fatal(err)
				}
				var into codecs.Columns
				d.Decode([][]byte{append(known, 0)}, &into) // makes the decoder of the type
				return d
			}, func(schema string) []byte {
				if format == codecs.FormatProtobuf {
					return append(framed(ids[schema]), 0)
				}
				return framed(ids[schema])
			})
		})
	}
}
