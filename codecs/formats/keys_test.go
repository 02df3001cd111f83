package formats_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/codecstest"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/codecs/protocodec"
	"leat/internal/testenv"
)

// The same member in every type that a format has for it, so that a value can be written
// in all of them that hold it.
const (
	keyAvro = `{"type":"record","name":"K","fields":[{"name":"int","type":["null","int"]},{"name":"long","type":["null","long"]},{"name":"float","type":["null","float"]},
		{"name":"double","type":["null","double"]},{"name":"string","type":["null","string"]},{"name":"bytes","type":["null","bytes"]},{"name":"bool","type":["null","boolean"]},
		{"name":"decimal","type":["null",{"type":"bytes","logicalType":"decimal","precision":40}]}]}`
	keyProto = `syntax = "proto3"; message K { optional sint32 int = 1; optional int64 long = 2; optional float float = 3; optional double double = 4;
		optional string string = 5; optional bytes bytes = 6; optional bool bool = 7; optional fixed64 fixed = 8; }`
)

// keyed is a value with the members that can hold it.
type keyed struct {
	value   codecs.Value
	members []string
	json    string // as a member of those types
}

func randomKey(r *rand.Rand) keyed {
	texts := []string{"", "a", "1", "true", "null", "é", "a text of more than a few words", "\x00"}
	switch r.IntN(8) {
	case 0:
		b := r.IntN(2) == 0
		return keyed{codecs.BoolValue(b), []string{"bool"}, strconv.FormatBool(b)}
	case 1:
		s := texts[r.IntN(len(texts))]
		return keyed{codecs.StringValue(s), []string{"string"}, string(codecs.AppendJSONString(nil, s))}
	case 2:
		s := texts[r.IntN(len(texts))]
		return keyed{codecs.BytesValue(s), []string{"bytes"}, strconv.Quote(base64.StdEncoding.EncodeToString([]byte(s)))}
	case 3:
		f := []float64{0.5, -0.25, 0.1, 1e300, 5e-324, 1e18 + 0.5, math.MaxFloat64}[r.IntN(7)]
		k := keyed{codecs.FloatValue(f), []string{"double"}, string(codecs.AppendJSON(nil, codecs.FloatValue(f)))}
		if float64(float32(f)) == f {
			k.members = append(k.members, "float")
		}
		return k
	case 4:
		return keyed{codecs.NullValue(), []string{"string", "long"}, "null"}
	}
	i := []int64{0, 1, -1, 2, 1 << 24, 1<<31 - 1, -1 << 31, 1 << 31, 1 << 53, 1<<53 + 1, math.MaxInt64, math.MinInt64, r.Int64()}[r.IntN(13)]
	k := keyed{codecs.IntValue(i), []string{"long", "decimal"}, strconv.FormatInt(i, 10)}
	if i == int64(int32(i)) {
		k.members = append(k.members, "int")
	}
	if i >= 0 {
		k.members = append(k.members, "fixed")
	}
	if i > -1<<53 && i < 1<<53 {
		k.members = append(k.members, "double")
	}
	if i >= -1<<24 && i <= 1<<24 {
		k.members = append(k.members, "float")
	}
	return k
}

// TestSemantics11CrossFormatKeys: the same value in any format and type is one key, and
// different values are different keys.
func TestSemantics11CrossFormatKeys(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	registry := formatstest.New()
	avroID, protoID := registry.Register("k", formats.Avro, keyAvro), registry.Register("k", formats.Protobuf, keyProto)
	f := source(t, formats.New(registry), codecs.FormatSpec{Topic: "t"})
	schema, err := protocodec.ParseSchema(t.Context(), keyProto, nil)
	if err != nil {
		t.Fatal(err)
	}
	message, err := schema.Message("")
	if err != nil {
		t.Fatal(err)
	}
	avro, proto := avrocodec.NewEncoder(parse(t, keyAvro)), protocodec.NewEncoder(message)
	owners := map[string]string{} // key → the value
	for range 3000 {
		k := randomKey(r)
		member := k.members[r.IntN(len(k.members))]
		d := f.Decoder(codecstest.Paths(t, member))
		row := fmt.Appendf(nil, `{"%s":%s}`, member, k.json)
		var records [][]byte
		if k.value.Kind != codecs.Bytes { // JSON has none
			records = append(records, row)
		}
		if member != "fixed" {
			record, err := avro.AppendJSON(framed(avroID), row)
			if err != nil {
				t.Fatalf("%s: %v", row, err)
			}
			records = append(records, record)
		}
		if member != "decimal" {
			record, err := proto.AppendJSON(append(framed(protoID), 0), row)
			if err != nil {
				t.Fatalf("%s: %v", row, err)
			}
			records = append(records, record)
		}
		if err := d.Prepare(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		var into codecs.Columns
		if bad := d.Decode(records, &into); len(bad) > 0 {
			t.Fatalf("%s: %v", row, bad)
		}
		want := codecs.AppendKey(nil, k.value)
		for i := range records {
			if got := codecs.AppendKey(nil, into.Cols[0].Value(i)); !bytes.Equal(got, want) {
				t.Fatalf("%s as %q has the key % x, the value's is % x", row, records[i], got, want)
			}
		}
		name := fmt.Sprintf("%v %s", k.value.Kind, k.json)
		if owner, taken := owners[string(want)]; taken && owner != name {
			t.Fatalf("%s and %s have the key % x", owner, name, want)
		}
		owners[string(want)] = name
	}
	if len(owners) < 100 {
		t.Errorf("%d different values: too few to mean anything", len(owners))
	}
}
