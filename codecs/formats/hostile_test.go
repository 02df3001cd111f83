package formats_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/codecs/protocodec"
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

// TestManyMessages: records that each name another message of a schema do not have what
// these share made anew for each of them, where nobody asks for it, and where somebody does
// not for long. It runs alone: it counts what is kept.
func TestManyMessages(t *testing.T) {
	const messages, fields = 2000, 2000
	var schema strings.Builder
	schema.WriteString(`syntax = "proto3"; message Shared {`)
	for i := range fields {
		fmt.Fprintf(&schema, " int64 f%[1]d = %[2]d;", i, i+1)
	}
	schema.WriteString("}")
	for i := range messages {
		fmt.Fprintf(&schema, " message M%d { Shared s = 1; int64 v = 2; }", i)
	}
	registry := formatstest.New()
	id := registry.Register("t-value", formats.Protobuf, schema.String())
	var batch [][]byte
	var rows []string
	for i := range messages {
		record := protocodec.AppendIndex(framed(id), []int{i + 1})
		batch = append(batch, append(record, 0x0a, 2, 0x40, 7, 0x10, byte(i%100)))
		rows = append(rows, fmt.Sprint(i%100))
	}
	library := formats.New(registry)
	for _, asked := range []string{"v", "s.f7"} {
		d := source(t, library, codecs.FormatSpec{Topic: "t"}).Decoder(codecstest.Paths(t, asked))
		if asked == "s.f7" {
			rows = slices.Repeat([]string{"7"}, messages)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		want(t, decode(t, d, batch...), rows...)
		if asked == "s.f7" {
			want(t, decode(t, d, batch[5]), rows[5])
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if kept := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20; kept > 32 {
			t.Errorf("%d messages that share one keep %d MiB where %s is asked for", messages, kept, asked)
		}
		want(t, decode(t, d, batch[:2]...), rows[:2]...)
	}
}
