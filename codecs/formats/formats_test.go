package formats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/codecstest"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/codecs/protocodec"
	"leat/internal/fault"
)

// version schemas of one field v and more, each readable as the ones before and after.
var versions = []string{
	`{"type":"record","name":"R","fields":[{"name":"v","type":"int"}]}`,
	`{"type":"record","name":"R","fields":[{"name":"v","type":"long"},{"name":"tag","type":"string","default":"none"}]}`,
	`{"type":"record","name":"R","fields":[{"name":"more","type":["null","string"],"default":null},{"name":"v","type":"long"}]}`,
}

func parse(t testing.TB, text string) *avrocodec.Schema {
	t.Helper()
	s, err := avrocodec.ParseSchema(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// encode writes a row behind a frame.
func encode(t testing.TB, frame []byte, schema, row string) []byte {
	t.Helper()
	record, err := avrocodec.NewEncoder(parse(t, schema)).AppendJSON(frame, []byte(row))
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// encodeMessage writes a message of the first type behind a frame.
func encodeMessage(t testing.TB, frame []byte, schema, row string) []byte {
	t.Helper()
	s, err := protocodec.ParseSchema(t.Context(), schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Message("")
	if err != nil {
		t.Fatal(err)
	}
	record, err := protocodec.NewEncoder(m).AppendJSON(frame, []byte(row))
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func framed(id int) []byte { return codecs.AppendConfluent(nil, uint32(id)) }

func source(t testing.TB, l *formats.Library, spec codecs.FormatSpec) codecs.Format {
	t.Helper()
	f, err := l.Source(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// decode prepares and decodes a batch, and shows each row.
func decode(t testing.TB, d codecs.FramedDecoder, values ...[]byte) []string {
	t.Helper()
	if err := d.Prepare(context.Background(), values); err != nil {
		t.Fatal(err)
	}
	var into codecs.Columns
	bad := d.Decode(values, &into)
	var rows []string
	for row := range values {
		if len(bad) > 0 && bad[0].Row == row {
			rows, bad = append(rows, bad[0].Reason), bad[1:]
			continue
		}
		var cells []string
		for k := range into.Cols {
			cells = append(cells, string(codecs.AppendJSON(nil, into.Cols[k].Value(row))))
		}
		rows = append(rows, strings.Join(cells, " "))
	}
	return rows
}

func want(t testing.TB, got []string, rows ...string) {
	t.Helper()
	for i := range max(len(got), len(rows)) {
		switch {
		case i >= len(got) || i >= len(rows):
			t.Fatalf("%d rows, want %d: %q", len(got), len(rows), got)
		case got[i] != rows[i] && (!strings.HasSuffix(rows[i], "…") || !strings.HasPrefix(got[i], strings.TrimSuffix(rows[i], "…"))):
			t.Errorf("row %d is %q, want %q", i, got[i], rows[i])
		}
	}
}

// TestContract: records keep the contract of decoders whichever way they name their
// schema, and all ways mixed.
func TestContract(t *testing.T) {
	registry := formatstest.New()
	id := registry.Register("orders-value", formats.Avro, codecstest.RowsAvro)
	other := registry.Register("orders-value", formats.Avro, strings.Replace(codecstest.RowsAvro, `{"name":"id"`, `{"name":"extra","type":"long","default":5},{"name":"id"`, 1))
	library := formats.New(registry)
	print := parse(t, codecstest.RowsAvro).Fingerprint()
	ways := map[string]func(testing.TB, string) []byte{
		"bare": func(t testing.TB, row string) []byte { return encode(t, nil, codecstest.RowsAvro, row) },
		"id":   func(t testing.TB, row string) []byte { return encode(t, framed(id), codecstest.RowsAvro, row) },
		"single object": func(t testing.TB, row string) []byte {
			return encode(t, codecs.AppendSingleObject(nil, print), codecstest.RowsAvro, row)
		},
		"another version": func(t testing.TB, row string) []byte {
			text := strings.Replace(codecstest.RowsAvro, `{"name":"id"`, `{"name":"extra","type":"long","default":5},{"name":"id"`, 1)
			return encode(t, framed(other), text, row)
		},
	}
	names := []string{"bare", "id", "single object", "another version"}
	turn := 0
	ways["mixed"] = func(t testing.TB, row string) []byte {
		turn++
		return ways[names[turn%len(names)]](t, row)
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			codecstest.Run(t, codecstest.Format{
				Decoder: func(t testing.TB, paths []codecs.Path) codecs.Decoder {
					return source(t, library, codecs.FormatSpec{Topic: "orders", Schema: "orders-value:1"}).Decoder(paths)
				},
				Encode: way, Absent: codecs.Null,
				Bad: [][]byte{nil, {0, 0, 0, 0, byte(id)}, {0, 0, 0, 0, byte(id), 2}, {0, 0, 0, 0, 99, 1}, {1}, codecs.AppendSingleObject(nil, print)},
			})
		})
	}
}

// TestSource has what a spec may say, and what comes of it.
func TestSource(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	registry.Register("orders-value", formats.Avro, versions[0])
	registry.Register("orders-value", formats.Avro, versions[1])
	registry.Register("notes-value", formats.JSONSchema, `{}`)
	registry.Register("bad-value", formats.Avro, `{"type":"nonsense"}`)
	registry.Register("proto-value", formats.Protobuf, `syntax = "proto3"; message M { int64 v = 1; }`)
	registry.Register("odd-value", "XML", `<a/>`)
	library := formats.New(registry)
	for _, c := range []struct {
		spec codecs.FormatSpec
		says string // of the format, or the error
		ok   bool
	}{
		{codecs.FormatSpec{Topic: "orders"}, "avro, schema orders-value version 2", true},
		{codecs.FormatSpec{Topic: "orders", Name: "json"}, "json", true},
		{codecs.FormatSpec{Topic: "other"}, "json", true},
		{codecs.FormatSpec{Topic: "notes"}, "json", true},
		{codecs.FormatSpec{Topic: "other", Name: "avro"}, `the topic "other" has no schema: there is no subject "other-value"`, false},
		{codecs.FormatSpec{Topic: "other", Schema: "orders-value"}, "avro, schema orders-value version 2", true},
		{codecs.FormatSpec{Topic: "other", Schema: "orders-value:latest"}, "avro, schema orders-value version 2", true},
		{codecs.FormatSpec{Topic: "other", Schema: "orders-value:1"}, "avro, schema orders-value version 1", true},
		{codecs.FormatSpec{Topic: "other", Schema: "orders-value:7"}, `there is no version 7 of the subject "orders-value"`, false},
		{codecs.FormatSpec{Topic: "other", Schema: "orders-value:x"}, "neither a number", false},
		{codecs.FormatSpec{Topic: "other", Schema: "none"}, `there is no subject "none"`, false},
		{codecs.FormatSpec{Topic: "other", Schema: versions[0]}, "avro, schema of the spec", true},
		{codecs.FormatSpec{Topic: "other", Schema: `{"type":"recrd"}`}, `unknown type "recrd"`, false},
		{codecs.FormatSpec{Topic: "bad"}, "nonsense", false},
		{codecs.FormatSpec{Topic: "proto"}, "protobuf, schema proto-value version 1", true},
		{codecs.FormatSpec{Topic: "x", Schema: `syntax = "proto3"; message M { int64 v = 1; }`}, "protobuf, schema of the spec", true},
		{codecs.FormatSpec{Topic: "x", Schema: `syntax = "proto3"; message M { int65 v = 1; }`}, "int65", false},
		{codecs.FormatSpec{Topic: "x", Name: "protobuf", Schema: `syntax = "proto3";`}, "message", false},
		{codecs.FormatSpec{Topic: "odd"}, `"XML" are not known`, false},
		{codecs.FormatSpec{Topic: "orders", Name: "protobuf"}, `the format is "protobuf"`, false},
	} {
		f, err := library.Source(t.Context(), c.spec)
		switch {
		case c.ok && (err != nil || f.String() != c.says):
			t.Errorf("%+v: %v, %v, want %q", c.spec, f, err, c.says)
		case !c.ok && (err == nil || !strings.Contains(err.Error(), c.says) || fault.KindOf(err) != fault.Invalid):
			t.Errorf("%+v: %v, %v, want %q", c.spec, f, err, c.says)
		}
		if err == nil && f.Pin() != "" {
			pinned := c.spec
			pinned.Pin = f.Pin()
			if again := source(t, library, pinned); again.String() != f.String() || again.Pin() != f.Pin() {
				t.Errorf("%+v: pinned it is %v", c.spec, again)
			}
		}
	}
	if _, err := formats.New(nil).Source(t.Context(), codecs.FormatSpec{Topic: "x", Schema: "y"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a subject where none are registered: %v", err)
	}
}

// TestPinned: what is registered later does not change a format that has been found.
func TestPinned(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	library := formats.New(registry)
	spec := codecs.FormatSpec{Topic: "t"}
	first := source(t, library, spec)
	registry.Register("t-value", formats.Avro, versions[0])
	second := source(t, library, spec)
	registry.Register("t-value", formats.Avro, versions[1])
	for pin, says := range map[string]string{
		first.Pin(): "json", second.Pin(): "avro, schema t-value version 1", "": "avro, schema t-value version 2",
	} {
		if f := source(t, library, codecs.FormatSpec{Topic: "t", Pin: pin}); f.String() != says {
			t.Errorf("pinned to %q it is %q, want %q", pin, f, says)
		}
	}
}

// TestProtobuf: messages bare and behind an id with an index, of several types, beside
// Avro.
func TestProtobuf(t *testing.T) {
	t.Parallel()
	const text = `syntax = "proto3"; message A { int64 v = 1; string tag = 2; } message B { message C { sint32 v = 3; } string tag = 1; }`
	registry := formatstest.New()
	id := registry.Register("t-value", formats.Protobuf, text)
	avro := registry.Register("u-value", formats.Avro, versions[1])
	f := source(t, formats.New(registry), codecs.FormatSpec{Topic: "t"})
	if kinds, err := f.TypeOf(codecstest.Paths(t, "v")[0]); err != nil || !kinds.Has(codecs.Int) {
		t.Errorf("v is %v, %v", kinds, err)
	}
	if _, err := f.TypeOf(codecstest.Paths(t, "tga")[0]); err == nil || !strings.Contains(err.Error(), `did you mean "tag"?`) {
		t.Errorf("tga: %v", err)
	}
	d := f.Decoder(codecstest.Paths(t, "v", "tag"))
	for range 2 {
		want(t, decode(t, d,
			[]byte{8, 5, 0x12, 1, 'a'}, append(framed(id), 0, 8, 6), append(framed(id), 2, 0, 8, 7), append(framed(id), 2, 2, 0x0A, 1, 'b'),
			append(framed(id), 4, 2, 0, 0x18, 9), append(framed(id), 0x84, 0, 2, 0, 0x18, 8), encode(t, framed(avro), versions[1], `{"v":10,"tag":"c"}`),
			append(framed(id), 2, 8, 8, 7), framed(id), append(framed(id), 0, 8), []byte{8}, append(framed(99), 0, 8, 7)),
			`5 "a"`, `6 ""`, `7 ""`, `null "b"`, `-5 null`, `4 null`, `10 "c"`,
			"the schema with the id 1: the record does not start with the index of one of its message types",
			"the schema with the id 1: the record does not start with the index of one of its message types",
			"not valid Protobuf…", "not valid Protobuf…", "not valid Protobuf…")
	}
}

// TestEvolution: records of several versions, of other formats and with unknown frames
// are in one batch, and are read as the reader's.
func TestEvolution(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	v1 := registry.Register("t-value", formats.Avro, versions[0])
	v2 := registry.Register("t-value", formats.Avro, versions[1])
	library := formats.New(registry)
	d := source(t, library, codecs.FormatSpec{Topic: "t"}).Decoder(codecstest.Paths(t, "v", "tag"))
	v3 := registry.Register("t-value", formats.Avro, versions[2])
	text := registry.Register("u-value", formats.JSONSchema, `{}`)
	alien := registry.Register("u-value", formats.Avro, `{"type":"record","name":"R","fields":[{"name":"v","type":"string"}]}`)
	broken := registry.Register("u-value", formats.Avro, `{`)
	mark := codecs.AppendSingleObject(nil, parse(t, versions[2]).Fingerprint())
	for range 2 {
		want(t, decode(t, d,
			encode(t, framed(v1), versions[0], `{"v":1}`),
			encode(t, framed(v2), versions[1], `{"v":2,"tag":"x"}`),
			encode(t, nil, versions[1], `{"v":3,"tag":"bare"}`),
			encode(t, framed(v3), versions[2], `{"v":4,"more":"m"}`),
			encode(t, mark, versions[2], `{"v":5}`),
			append(framed(text), `{"v":6.5,"tag":[1]}`...),
			encode(t, framed(v1), versions[0], `{"v":7}`),
			encode(t, framed(alien), `{"type":"record","name":"R","fields":[{"name":"v","type":"string"}]}`, `{"v":"8"}`),
			append(framed(broken), 1),
			append(framed(v1), 0xFF),
			append(framed(77), 1, 1, 1),
			append(codecs.AppendSingleObject(nil, 77), 1, 1, 1),
			encode(t, framed(v2), versions[1], `{"v":9,"tag":"y"}`),
		),
			`1 "none"`, `2 "x"`, `3 "bare"`, `4 "none"`, `5 "none"`, `6.5 [1]`, `7 "none"`,
			`"8" "none"`,
			`the schema with the id 6: …`,
			`not valid Avro at offset 0, field "v": the record ends inside a number`,
			`not valid Avro at offset 2: 6 bytes are left over; it starts like a frame of the schema id 77, which is not registered`,
			`not valid Avro at offset 2, field "tag": a length of -39; it starts like a frame of the schema fingerprint 000000000000004d, which the topic's subject does not have`,
			`9 "y"`)
	}
	plain := source(t, library, codecs.FormatSpec{Topic: "t", Name: "json"}).Decoder(codecstest.Paths(t, "v", "tag"))
	want(t, decode(t, plain,
		[]byte(`{"v":1,"tag":null}`), encode(t, framed(v1), versions[0], `{"v":2}`), encode(t, framed(alien), `{"type":"record","name":"R","fields":[{"name":"v","type":"string"}]}`, `{"v":"3"}`),
		append(framed(77), '{', '}')),
		`1 null`, `2 null`, `"3" null`, `not a JSON object; it starts like a frame of the schema id 77, which is not registered`)
}

// TestEvolutionAgainstTheReader: a schema that has gone beyond what the reader's can take
// is read as the reader's as far as it fits, and for the rest as it is written, which is told.
func TestEvolutionAgainstTheReader(t *testing.T) {
	t.Parallel()
	const old = `{"type":"record","name":"R","fields":[{"name":"k","aliases":["key"],"type":"string"},{"name":"v","type":"int"},{"name":"gone","type":"long"},
		{"name":"in","type":["null",{"type":"record","name":"In","fields":[{"name":"x","aliases":["y"],"type":"double","default":1.5},{"name":"z","type":"int"}]}],"default":null}]}`
	const told = `the schema with the id 2 is read as it is written where it does not fit the schema t-value version 1: `
	for _, c := range []struct{ name, schema, row, want, misfits string }{
		{"a field that is not needed is gone", `{"type":"record","name":"R","fields":[{"name":"v","type":"int"},{"name":"k","type":"string"}]}`, `{"k":"a","v":1}`, `"a" 1 null`, ``},
		{"a field that is not needed has another type", `{"type":"record","name":"R","fields":[{"name":"k","type":"string"},{"name":"v","type":"int"},{"name":"gone","type":"string"}]}`, `{"k":"a","v":1,"gone":"x"}`, `"a" 1 null`, ``},
		{"an inner field that is not needed has another type", `{"type":"record","name":"R","fields":[{"name":"key","type":"string"},{"name":"v","type":"int"},
			{"name":"in","type":["null",{"type":"record","name":"In","fields":[{"name":"y","type":"int"},{"name":"z","type":"string"}]}]}]}`,
			`{"key":"a","v":1,"in":{"y":2,"z":"x"}}`, `"a" 1 2`, ``},
		{"a needed field is wider", `{"type":"record","name":"R","fields":[{"name":"key","type":"string"},{"name":"v","type":"long"},{"name":"gone","type":"long"}]}`, `{"key":"a","v":5000000000,"gone":1}`, `"a" 5000000000 null`,
			told + `field "v" of R: long cannot be read as int`},
		{"a needed field is gone", `{"type":"record","name":"R","fields":[{"name":"key","type":"string"}]}`, `{"key":"a"}`, `"a" null null`,
			told + `R as written has no field "v", and the field has no default`},
		{"a needed field has another type", `{"type":"record","name":"R","fields":[{"name":"key","type":"string"},{"name":"v","type":"string"}]}`, `{"key":"a","v":"x"}`, `"a" "x" null`,
			told + `field "v" of R: string cannot be read as int`},
		{"an inner field that is needed has another type", `{"type":"record","name":"R","fields":[{"name":"key","type":"string"},{"name":"v","type":"int"},
			{"name":"in","type":{"type":"record","name":"In","fields":[{"name":"y","type":"string"}]}}]}`, `{"key":"a","v":1,"in":{"y":"x"}}`, `"a" 1 "x"`,
			told + `field "y" of In: string cannot be read as double`},
		{"another name", `{"type":"record","name":"S","fields":[{"name":"k","type":"string"},{"name":"v","type":"int"}]}`, `{"k":"a","v":1}`, `"a" 1 null`,
			told + `the record "S" cannot be read as "R", which does not have that name as an alias`},
	} {
		registry := formatstest.New()
		registry.Register("t-value", formats.Avro, old)
		f := source(t, formats.New(registry), codecs.FormatSpec{Topic: "t"})
		id := registry.Register("t-value", formats.Avro, c.schema)
		t.Run(c.name, func(t *testing.T) {
			d := f.Decoder(codecstest.Paths(t, "k", "v", "in.x"))
			for range 2 {
				want(t, decode(t, d, encode(t, framed(id), c.schema, c.row)), c.want)
				if got := strings.Join(d.Misfits(), "; "); got != c.misfits {
					t.Errorf("misfits %s, want %s", got, c.misfits)
				}
			}
		})
	}
}

// TestEvolutionOfMessages: messages are read by the schema that they were written with,
// which has all of their fields; where what is needed is another than it was, that is told.
func TestEvolutionOfMessages(t *testing.T) {
	t.Parallel()
	const old = `syntax = "proto3"; message M { int32 v = 1; string unused = 2; In in = 3; message In { double x = 1; int64 y = 2; } }`
	const told = `the schema with the id 2, message M, is read as it is written where it does not fit the schema t-value version 1: `
	for _, c := range []struct{ name, language, schema, row, want, misfits string }{
		{"the same", formats.Protobuf, old, `{"v":1,"in":{"x":2.5}}`, `1 2.5`, ``},
		{"fields that are not needed have other types", formats.Protobuf, `syntax = "proto3"; message M { sint64 v = 1; int64 unused = 2; In in = 3; message In { float x = 1; string y = 2; } }`, `{"v":1,"unused":7,"in":{"x":2.5,"y":"z"}}`, `1 2.5`, ``},
		{"numbers of another kind", formats.Protobuf, `syntax = "proto3"; message M { int64 v = 4; In in = 3; message In { int32 x = 1; } }`, `{"v":1,"in":{"x":2}}`, `1 2`, ``},
		{"a needed field has another type", formats.Protobuf, `syntax = "proto3"; message M { string v = 1; In in = 3; message In { string x = 1; } }`, `{"v":"a","in":{"x":"b"}}`, `"a" "b"`,
			told + `"v" is string, not int; ` + told + `"in.x" is string, not float`},
		{"a needed field is gone", formats.Protobuf, `syntax = "proto3"; message M { int64 v = 1; In in = 3; message In { int32 y = 2; } }`, `{"v":1,"in":{"y":2}}`, `1 null`, told + `it has no field "in.x"`},
		{"Avro", formats.Avro, `{"type":"record","name":"M","fields":[{"name":"v","type":"string"}]}`, `{"v":"a"}`, `"a" null`,
			strings.Replace(told, ", message M,", "", 1) + `"v" is string, not int; ` + strings.Replace(told, ", message M,", "", 1) + `it has no field "in.x"`},
	} {
		registry := formatstest.New()
		registry.Register("t-value", formats.Protobuf, old)
		f := source(t, formats.New(registry), codecs.FormatSpec{Topic: "t"})
		id := registry.Register("t-value", c.language, c.schema)
		var record []byte
		if c.language == formats.Avro {
			record = encode(t, framed(id), c.schema, c.row)
		} else {
			record = encodeMessage(t, append(framed(id), 0), c.schema, c.row)
		}
		d := f.Decoder(codecstest.Paths(t, "v", "in.x"))
		want(t, decode(t, d, record), c.want)
		if got := strings.Join(d.Misfits(), "; "); got != c.misfits {
			t.Errorf("%s: misfits %s, want %s", c.name, got, c.misfits)
		}
	}
}

// TestPrepareCatchesUp: a schema that was registered before the record was written is
// found, though this node does not know it yet; an unknown one is asked for once a batch;
// and when nobody answers, the batch waits instead of being refused.
func TestPrepareCatchesUp(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	registry.Register("t-value", formats.Avro, versions[0])
	library := formats.New(registry)
	d := source(t, library, codecs.FormatSpec{Topic: "t"}).Decoder(codecstest.Paths(t, "v"))
	registry.Lag()
	v2 := registry.Register("t-value", formats.Avro, versions[1])
	batch := [][]byte{encode(t, framed(v2), versions[1], `{"v":5}`), encode(t, framed(v2), versions[1], `{"v":6}`)}

	down := fault.New(fault.Unavailable, "no_quorum", "nobody is there")
	registry.Break(down)
	if err := d.Prepare(t.Context(), batch); !errors.Is(err, down) {
		t.Fatalf("nobody can be asked, and Prepare says %v", err)
	}
	registry.Break(nil)
	want(t, decode(t, d, batch...), "5", "6")
	before := registry.Asked()
	want(t, decode(t, d, batch...), "5", "6")
	if registry.Asked() != before {
		t.Error("asked for a schema that is known")
	}
	decode(t, d, append(framed(50), 1), append(framed(60), 1), append(framed(70), 1))
	if registry.Asked() != before+1 {
		t.Errorf("asked %d times for the unknown schemas of one batch", registry.Asked()-before)
	}

	v3 := registry.Register("t-value", formats.Avro, versions[2])
	mark := codecs.AppendSingleObject(nil, parse(t, versions[2]).Fingerprint())
	want(t, decode(t, d, encode(t, mark, versions[2], `{"v":7}`), encode(t, framed(v3), versions[2], `{"v":8}`)), "7", "8")
}

// TestDecodersAreBounded: records of very many schemas do not fill the memory.
func TestDecodersAreBounded(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	registry.Register("t-value", formats.Avro, versions[0])
	library := formats.New(registry)
	d := source(t, library, codecs.FormatSpec{Topic: "t"}).Decoder(codecstest.Paths(t, "v"))
	var batch [][]byte
	var rows []string
	for k := range 300 {
		text := fmt.Sprintf(`{"type":"record","name":"R","fields":[{"name":"f%d","type":"string"},{"name":"v","type":"int"}]}`, k)
		id := registry.Register("t-value", formats.Avro, text)
		batch = append(batch, encode(t, framed(id), text, fmt.Sprintf(`{"f%d":"x","v":%d}`, k, k)))
		rows = append(rows, fmt.Sprint(k))
	}
	want(t, decode(t, d, batch...), rows...)
	for k := range batch {
		want(t, decode(t, d, batch[k], batch[(k*7)%len(batch)]), rows[k], rows[(k*7)%len(batch)])
		if n := formats.Kept(d); n > formats.MaxWriters+1 {
			t.Fatalf("%d decoders are kept, more than %d", n, formats.MaxWriters)
		}
	}
	for k := range batch { // a batch of one schema each
		want(t, decode(t, d, batch[k], batch[k]), rows[k], rows[k])
		if n := formats.Kept(d); n > formats.MaxWriters+1 {
			t.Fatalf("%d decoders are kept of batches of one schema, more than %d", n, formats.MaxWriters)
		}
	}
}

// TestReferences: records are read by schemas that need others, in both languages.
func TestReferences(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	const outer = `{"type":"record","name":"R","fields":[{"name":"v","type":"p.In"}]}`
	inner := formats.Source{Name: "p.In", Text: `{"type":"record","name":"p.In","fields":[{"name":"x","type":"long"}]}`}
	avro := registry.Register("t-value", formats.Avro, outer, inner)
	proto := registry.Register("t-value", formats.Protobuf, `syntax = "proto3"; import "in.proto"; message R { p.In v = 1; }`,
		formats.Source{Name: "in.proto", Text: `syntax = "proto3"; package p; message In { int64 x = 1; }`})
	missing := registry.Register("t-value", formats.Avro, outer)
	d := source(t, formats.New(registry), codecs.FormatSpec{Topic: "t", Name: codecs.FormatAvro, Schema: "t-value:1"}).Decoder(codecstest.Paths(t, "v.x"))
	want(t, decode(t, d, append(framed(avro), 14), append(framed(proto), 0, 0x0A, 2, 8, 9), append(framed(missing), 14)),
		"7", "9", fmt.Sprintf(`the schema with the id %d: the Avro schema, R.v: unknown type "p.In"`, missing))
}
