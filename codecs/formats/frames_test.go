package formats_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	twmb "github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/codecstest"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/codecs/protocodec"
)

// checkFrames takes the frames off a record as two other implementations do: the header of
// Confluent's framing and the index of a message as a client of the registry, and Avro's
// single-object encoding as another library of Avro.
func checkFrames(t testing.TB, record []byte) {
	t.Helper()
	var header sr.ConfluentHeader
	id, rest, ok := codecs.CutConfluent(record)
	wantID, wantRest, err := header.DecodeID(record)
	if ok != (err == nil) || ok && (int(id) != wantID || !bytes.Equal(rest, wantRest)) {
		t.Fatalf("% x: %v, id %d and % x; the client says %d and % x, %v", record, ok, id, rest, wantID, wantRest, err)
	}
	index, rest, ok := protocodec.CutIndex(nil, record)
	wantIndex, wantRest, err := header.DecodeIndex(record, len(record)+1) // which would allocate what the count says
	switch {
	case ok && (err != nil || !slices.Equal(index, wantIndex) || !bytes.Equal(rest, wantRest)):
		t.Fatalf("% x: the index %v and % x; the client says %v and % x, %v", record, index, rest, wantIndex, wantRest, err)
	case !ok && err == nil && len(wantIndex) <= protocodec.MaxSchemaDepth && slices.Min(wantIndex) >= 0 && slices.Max(wantIndex) <= protocodec.MaxSchemaBytes:
		t.Fatalf("% x has no index, and the client reads %v", record, wantIndex)
	}
	mark, rest, ok := codecs.CutSingleObject(record)
	wantMark, wantRest, err := twmb.SingleObjectFingerprint(record)
	if ok != (err == nil) || ok && (mark != binary.LittleEndian.Uint64(wantMark[:]) || !bytes.Equal(rest, wantRest)) {
		t.Fatalf("% x: %v, fingerprint %x and % x; twmb says % x and % x, %v", record, ok, mark, rest, wantMark, wantRest, err)
	}
}

// frameTrial has schemas of every language, two versions of one among them, and topics of
// all formats.
type frameTrial struct {
	library *formats.Library
	specs   []codecs.FormatSpec
	avro    []*avrocodec.Schema
	proto   *protocodec.Schema
}

func newFrameTrial(t testing.TB) *frameTrial {
	t.Helper()
	proto, err := protocodec.ParseSchema(t.Context(), frameProto, nil)
	if err != nil {
		t.Fatal(err)
	}
	registry := formatstest.New()
	registry.Register("avro-value", formats.Avro, versions[0])
	registry.Register("avro-value", formats.Avro, versions[1])
	registry.Register("proto-value", formats.Protobuf, frameProto)
	registry.Register("json-value", formats.JSONSchema, `{}`)
	return &frameTrial{
		library: formats.New(registry),
		specs:   []codecs.FormatSpec{{Topic: "avro"}, {Topic: "avro", Schema: "avro-value:1"}, {Topic: "proto"}, {Topic: "json"}, {Topic: "none"}},
		avro:    []*avrocodec.Schema{parse(t, versions[0]), parse(t, versions[1])},
		proto:   proto,
	}
}

const frameProto = `syntax = "proto3"; message A { int64 v = 1; string tag = 2; } message B { message C { string v = 1; } int32 v = 2; }`

// plain is the decoder that a record needs, and what of the record it is for, found
// by the words of docs/formats/mapping.md; nil where no message type has the index.
func (f *frameTrial) plain(t testing.TB, spec codecs.FormatSpec, record []byte, paths []codecs.Path) (codecs.Decoder, []byte) {
	t.Helper()
	read := func(writer, reader int) codecs.Decoder {
		d, _, err := avrocodec.NewFittingDecoder(f.avro[writer], f.avro[reader], paths)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	reader := 1 // the newest version
	if spec.Schema != "" {
		reader = 0
	}
	library := func(id int) (codecs.Decoder, bool) {
		switch {
		case id == 1 || id == 2:
			if spec.Topic == "avro" {
				return read(id-1, reader), true
			}
			return read(id-1, id-1), true
		case id == 4:
			return plainJSON(t, paths), true
		}
		return nil, id == 3
	}
	if id, rest, ok := codecs.CutConfluent(record); ok {
		if d, known := library(int(id)); d != nil {
			return d, rest
		} else if known {
			index, message, ok := protocodec.CutIndex(nil, rest)
			m, err := f.proto.MessageAt(index)
			if !ok || err != nil {
				return nil, nil
			}
			return protocodec.NewDecoder(m, paths), message
		}
	}
	if mark, rest, ok := codecs.CutSingleObject(record); ok && spec.Topic == "avro" {
		for writer := range 2 {
			if f.avro[writer].Fingerprint() == mark {
				return read(writer, reader), rest
			}
		}
	}
	switch spec.Topic {
	case "avro":
		return read(reader, reader), record
	case "proto":
		m, err := f.proto.Message("")
		if err != nil {
			t.Fatal(err)
		}
		return protocodec.NewDecoder(m, paths), record
	}
	return plainJSON(t, paths), record
}

func plainJSON(t testing.TB, paths []codecs.Path) codecs.Decoder {
	t.Helper()
	return source(t, formats.New(nil), codecs.FormatSpec{Topic: "x", Name: codecs.FormatJSON}).Decoder(paths)
}

// check decodes a record alone and among others, as a topic of each format, and by
// the words of the documentation.
func (f *frameTrial) check(t testing.TB, record []byte) {
	t.Helper()
	among := [][]byte{
		encode(t, framed(1), versions[0], `{"v":7}`), record, append(framed(4), `{"v":7}`...), append(framed(3), 0, 8, 7), record,
	}
	for _, spec := range f.specs {
		for _, asked := range [][]codecs.Path{codecstest.Paths(t, "v", "tag"), codecstest.Paths(t, "v"), {{}}, nil} {
			d := source(t, f.library, spec).Decoder(asked)
			var alone, mixed, plain codecs.Columns
			if err := d.Prepare(t.Context(), among); err != nil {
				t.Fatal(err)
			}
			good := len(d.Decode([][]byte{record}, &alone)) == 0
			var cells []codecs.Value
			for k := range asked {
				cells = append(cells, alone.Cols[k].Value(0).Clone())
			}
			plainGood := false
			if p, value := f.plain(t, spec, record, asked); p != nil {
				plainGood = len(p.Decode([][]byte{value}, &plain)) == 0
			}
			if good != plainGood {
				t.Fatalf("%+v %q: % x is good %v, by the documentation %v", spec, asked, record, good, plainGood)
			}
			bad := d.Decode(among, &mixed)
			if want := map[bool]int{true: 0, false: 2}[good]; len(bad) != want || want > 0 && (bad[0].Row != 1 || bad[1].Row != 4 || bad[0].Reason != bad[1].Reason) {
				t.Fatalf("%+v %q: % x is good %v, and among others %v are bad", spec, asked, record, good, bad)
			}
			for k := range asked {
				a, b, c := cells[k], mixed.Cols[k].Value(1), mixed.Cols[k].Value(4)
				if a != b || b != c || good && a != plain.Cols[k].Value(0) {
					t.Fatalf("%+v %q: % x is %v alone, %v and %v among others, %v by the documentation", spec, asked, record, a, b, c, plain.Cols[k])
				}
				for _, row := range []int{0, 2, 3} {
					if v := mixed.Cols[k].Value(row); asked[k].String() == "v" && v != codecs.IntValue(7) {
						t.Fatalf("%+v %q: % x has the record %d with it be %v", spec, asked, record, row, v)
					}
				}
			}
		}
	}
}

// frameSeeds are records with every frame, cut short and bare.
func frameSeeds(t testing.TB) [][]byte {
	seeds := [][]byte{
		nil, {0}, framed(1), framed(2), framed(3), append(framed(3), 0), append(framed(3), 0, 8, 7), append(framed(3), 2, 0, 8, 7),
		append(framed(3), 4, 2, 0, 0x0A, 1, 'x'), append(framed(3), 4, 2, 2), append(framed(3), 2, 1), append(framed(3), 0xFF, 0xFF, 0xFF, 0xFF, 0x0F),
		append(framed(4), `{"v":1}`...), append(framed(9), `{"v":1}`...), []byte(`{"v":1,"tag":"x"}`), {8, 7}, {14}, {14, 2, 'x'},
		{0, 0, 0, 0, 1}, {0, 0xFF, 0xFF, 0xFF, 0xFF, 14}, {0xC3, 1}, {0xC3, 1, 1, 2, 3, 4, 5, 6, 7, 8, 14},
	}
	for i, row := range []string{`{"v":-3}`, `{"v":-3,"tag":"x"}`} {
		seeds = append(seeds, encode(t, framed(i+1), versions[i], row), encode(t, nil, versions[i], row),
			encode(t, codecs.AppendSingleObject(nil, parse(t, versions[i]).Fingerprint()), versions[i], row))
	}
	return seeds
}

// TestFrames: what is in front of a value is read as others read it, and only what it says
// decides how the record is read.
func TestFrames(t *testing.T) {
	t.Parallel()
	trial := newFrameTrial(t)
	for _, record := range frameSeeds(t) {
		checkFrames(t, record)
		trial.check(t, record)
	}
}

func FuzzFrames(f *testing.F) {
	for _, record := range frameSeeds(f) {
		f.Add(record)
	}
	trial := newFrameTrial(f)
	f.Fuzz(func(t *testing.T, record []byte) {
		checkFrames(t, record)
		if len(record) > 5 {
			checkFrames(t, record[5:])
		}
		trial.check(t, record)
	})
}
