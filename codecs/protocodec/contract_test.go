package protocodec

import (
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

const sampleSchema = `syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
enum Status { OPEN = 0; CLOSED = 1; }
message Order {
  string id = 1;
  int64 ts = 2;
  double amount = 3;
  int32 qty = 4;
  bool paid = 5;
  optional string note = 6;
  Address address = 7;
  repeated Line lines = 8;
  map<string, int64> attributes = 200;
  Status status = 201;
  google.protobuf.Timestamp at = 202;
  oneof payment { string card = 203; int64 cash = 204; }
}
message Address {
  message Geo { double lat = 1; double lon = 2; }
  string city = 1;
  optional string zip = 2;
  Geo geo = 3;
}
message Line { string sku = 1; double price = 2; sint64 count = 3; repeated string tags = 4; }
`

func TestContract(t *testing.T) {
	m := parse(t, sampleSchema)
	e := NewEncoder(m)
	encode := func(t testing.TB, row string) []byte {
		record, err := e.AppendJSON(nil, []byte(row))
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	good := encode(t, codecstest.Rows()[0])
	codecstest.Run(t, codecstest.Format{
		Decoder: func(_ testing.TB, paths []codecs.Path) codecs.Decoder { return NewDecoder(m, paths) },
		Encode:  encode,
		Absent:  codecs.Missing,
		Bad: [][]byte{
			good[:1], good[:len(good)-1], append(good[:len(good):len(good)], 0), {0x0A, 1, 0xFF}, {0x0B}, {0x0C}, {0x0E},
			{0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, {0x10, 0x80}, {0x42, 2, 0x22, 5},
		},
	})
}
