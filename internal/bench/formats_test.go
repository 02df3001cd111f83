//go:build linux

package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestFormatRows(t *testing.T) {
	t.Parallel()
	const printed = `BenchmarkFormats/json 4 5 ns/op 1.5 Mevents/core-s 7 B/op
BenchmarkFormats/avro 4 5 ns/op 3 Mevents/core-s 7 B/op
BenchmarkFormats/avro_by_hand 4 5 ns/op 6 Mevents/core-s 7 B/op
BenchmarkFormats/protobuf 4 5 ns/op 2 Mevents/core-s 7 B/op
BenchmarkFormats/protobuf_by_hand 4 5 ns/op 8 Mevents/core-s 7 B/op
ok
BenchmarkFormats/avro_by_hamba 4 5 ns/op 0.5 Mevents/core-s 7 B/op
BenchmarkFormats/protobuf_by_dynamicpb 4 5 ns/op 0.25 Mevents/core-s 7 B/op
`
	first := formatRound([]byte(printed))
	second := maps.Clone(first)
	second["avro"] = 4.5e6
	got, err := formatRows([]map[string]float64{first, second, first})
	if err != nil {
		t.Fatal(err)
	}
	want := []row{
		{what: "query engine, filter, 1000 keys, tumbling, JSON", rate: "1.50 M events/s per core"},
		{what: "query engine, the same, Avro", rate: "3.00 M events/s per core", against: "0.50 of the loop, 6.0 of the library; aim 4 M or 0.50 of the loop"},
		{what: "the same written by hand, Avro", rate: "6.00 M events/s per core"},
		{what: "the same written by hand around what hamba/avro decodes into maps", rate: "500 k events/s per core"},
		{what: "query engine, the same, Protobuf", rate: "2.00 M events/s per core", against: "0.25 of the loop, 8.0 of the library; aim 2.5 M or 0.50 of the loop"},
		{what: "the same written by hand, Protobuf", rate: "8.00 M events/s per core"},
		{what: "the same written by hand around what dynamicpb decodes", rate: "250 k events/s per core"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	delete(second, "avro by hamba")
	if _, err := formatRows([]map[string]float64{first, second}); err == nil || !strings.Contains(err.Error(), `"avro by hamba"`) {
		t.Errorf("without a figure: %v", err)
	}
}
