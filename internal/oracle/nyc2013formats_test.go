package oracle

import (
	"fmt"
	"testing"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/formats"
	"leat/codecs/protocodec"
)

// rowFormat is a way to write rows, given as JSON, and the members of a source
// that say so.
type rowFormat struct {
	name, members string
	encode        func(dst, row []byte) ([]byte, error)
}

const avroFlight = `{"type":"record","name":"Flight","namespace":"nyc","fields":[
	{"name":"carrier","type":"string"},{"name":"flight","type":"int"},{"name":"tailnum","type":["null","string"],"default":null},
	{"name":"origin","type":{"type":"enum","name":"Airport","symbols":["EWR","JFK","LGA"]}},{"name":"dest","type":"string"},
	{"name":"sched_dep","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"dep","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"dep_delay","type":["null","int"]},{"name":"arr_delay","type":["int","null"]},
	{"name":"air_time","type":["null","int"],"default":null},{"name":"distance","type":"int"}]}`

const protoFlight = `syntax = "proto3";
package nyc;
import "google/protobuf/timestamp.proto";
enum Airport { NONE = 0; EWR = 1; JFK = 2; LGA = 3; }
message Flight {
  string carrier = 1; int32 flight = 2; optional string tailnum = 3; Airport origin = 4; string dest = 5;
  int64 sched_dep = 6; google.protobuf.Timestamp dep = 7;
  optional sint32 dep_delay = 8; optional sint32 arr_delay = 9; optional uint32 air_time = 10; fixed32 distance = 300;
}
`

func flightFormats(t *testing.T) []rowFormat {
	t.Helper()
	avro, err := avrocodec.ParseSchema(avroFlight, nil)
	if err != nil {
		t.Fatal(err)
	}
	proto, err := protocodec.ParseSchema(t.Context(), protoFlight, nil)
	if err != nil {
		t.Fatal(err)
	}
	message, err := proto.Message("Flight")
	if err != nil {
		t.Fatal(err)
	}
	return []rowFormat{
		{"avro", sourceMembers(codecs.FormatAvro, avroFlight), avrocodec.NewEncoder(avro).AppendJSON},
		{"protobuf", sourceMembers(codecs.FormatProtobuf, protoFlight), protocodec.NewEncoder(message).AppendJSON},
	}
}

func sourceMembers(format, schema string) string {
	return fmt.Sprintf(`,"format":%q,"schema":%s`, format, codecs.AppendJSONString(nil, schema))
}

const protoWeather = `syntax = "proto3";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message Weather {
  string origin = 1; google.protobuf.Timestamp time = 2;
  google.protobuf.Int32Value wind_dir = 3;
  oneof measured { double temp = 4; }
  optional double dewp = 5; optional double humid = 6; optional float wind_speed = 7; optional float wind_gust = 8;
  double precip = 9; optional double pressure = 10; double visib = 11;
}
`

// weatherFormat writes the weather as Protobuf.
func weatherFormat(t *testing.T) rowFormat {
	t.Helper()
	proto, err := protocodec.ParseSchema(t.Context(), protoWeather, nil)
	if err != nil {
		t.Fatal(err)
	}
	message, err := proto.Message("")
	if err != nil {
		t.Fatal(err)
	}
	return rowFormat{"protobuf", sourceMembers(codecs.FormatProtobuf, protoWeather), protocodec.NewEncoder(message).AppendJSON}
}

// in is the same flights in another format.
func (f *flightTable) in(t *testing.T, format rowFormat) *flightTable {
	t.Helper()
	return &flightTable{
		db: f.db, members: format.members, formats: formats.New(nil), answers: map[string]flightAnswer{}, lines: format.lines(t, f.lines),
	}
}

// lines are rows in JSON in another format.
func (f rowFormat) lines(t *testing.T, rows [][]byte) (records [][]byte) {
	t.Helper()
	for i, row := range rows {
		record, err := f.encode(nil, row)
		if err != nil {
			t.Fatalf("line %d, %s: %v", i, row, err)
		}
		records = append(records, record)
	}
	return records
}

// TestFlightsInFormats asks the same of the year of flights as Avro and as Protobuf, over
// 1, 4 and 7 partitions: SQLite's answer row for row.
func TestFlightsInFormats(t *testing.T) {
	t.Parallel()
	table := newFlightTable(t)
	for _, format := range flightFormats(t) {
		other := table.in(t, format)
		for _, n := range []int{1, 4, 7} {
			t.Run(fmt.Sprintf("%s, %d partitions", format.name, n), func(t *testing.T) { other.onBus(t, n) })
		}
	}
}
