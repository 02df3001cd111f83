package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"leat/codecs"
	"leat/codecs/avrocodec"
)

// A record with a fingerprint in front is read by the version of the subject that has it,
// a deleted one too, or by the schema that was named for records without a frame.
func TestRowsBehindFingerprints(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir())
	registry, c := registryClient(t, server.url), dial(t, server.url)
	for _, text := range []string{airportSchema, airportNoCity} {
		if _, err := registry.CreateSchema(t.Context(), "airports-value", sr.Schema{Schema: text}); err != nil {
			t.Fatal(err)
		}
	}
	if err := registry.DeleteSchema(t.Context(), "airports-value", 1, sr.SoftDelete); err != nil {
		t.Fatal(err)
	}
	framed := func(text, value string) []byte {
		schema, err := avrocodec.ParseSchema(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return append(codecs.AppendSingleObject(nil, schema.Fingerprint()), value...)
	}
	named, err := avroRows(airportCity)
	if err != nil {
		t.Fatal(err)
	}
	unknown := framed(flightInline, "\x06JFK")
	for _, tt := range []struct {
		what, row, reason string
		topic             string
		bare              *rowFormat
		record            []byte
	}{
		{what: "the newest", topic: "airports", record: framed(airportNoCity, "\x06JFK\x02\x04NY"), row: `{"code":"JFK","city":"NY"}`},
		{what: "a deleted one", topic: "airports", record: framed(airportSchema, "\x06JFK"), row: `{"code":"JFK"}`},
		{what: "the named one", topic: "airports", bare: named, record: framed(airportCity, "\x06JFK\x04NY"), row: `{"code":"JFK","city":"NY"}`},
		{what: "no frame", topic: "airports", record: []byte("\x06JFK\x00"), row: `{"code":"JFK","city":null}`},
		{what: "one that is not there", topic: "airports", record: unknown, reason: `which "airports-value" does not have`},
		{what: "no subject", topic: "others", record: unknown, reason: `which "others-value" does not have`},
		{what: "cut off", topic: "airports", record: framed(airportSchema, "\x06J"), reason: "1 bytes are left"},
	} {
		rows, err := c.newFramedRows(t.Context(), tt.topic, tt.bare)
		if err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		for range 2 { // asked for, and known
			row, reason := rows.row(tt.record)
			if string(row) != tt.row || !strings.Contains(reason, tt.reason) || (reason == "") != (tt.reason == "") {
				t.Errorf("%s: %s, %q", tt.what, row, reason)
			}
		}
	}
}

const flightInline = `{"type":"record","name":"Flight","fields":[{"name":"origin","type":"string"}]}`
