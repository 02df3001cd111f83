package queries

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
	"leat/queries/fakebus"
)

const (
	outAvro  = `{"type":"record","name":"Out","fields":[{"name":"k","type":"string"},{"name":"w","type":"int"},{"name":"note","type":["null","string"],"default":null}]}`
	outProto = `syntax = "proto3"; message Out { string k = 1; int32 w = 2; string note = 3; }`
)

// decoded are the rows of a partition, by the key of each, read back with the format.
func decoded(t *testing.T, names Names, b *fakebus.Bus, topic string, p int32) []string {
	t.Helper()
	f, err := names.Formats.Source(t.Context(), codecs.FormatSpec{Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	var values [][]byte
	var keys []string
	for _, r := range records(t, b, topic, p) {
		key, value, _ := strings.Cut(r, "=")
		keys, values = append(keys, key), append(values, []byte(value))
	}
	d := f.Decoder(codecstest.Paths(t, "k", "w"))
	var into codecs.Columns
	if bad := d.Decode(values, &into); len(bad) > 0 {
		t.Fatalf("record %d of %s: %s: %q", bad[0].Row, topic, bad[0].Reason, values[bad[0].Row])
	}
	rows := make([]string, len(values))
	for i := range rows {
		rows[i] = fmt.Sprintf("%s=%s %s", keys[i], codecs.AppendJSON(nil, into.Cols[0].Value(i)), codecs.AppendJSON(nil, into.Cols[1].Value(i)))
	}
	return rows
}

// TestSinkFormats: whatever fails at whatever write, each row that has a place in the
// schema is in the topic once, behind the schema's id, and the others are counted.
func TestSinkFormats(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string][2]string{"avro": {formats.Avro, outAvro}, "protobuf": {formats.Protobuf, outProto}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testenv.Rand(t)
			registry := formatstest.New()
			id := registry.Register("out-value", schema[0], schema[1])
			var rows, want []string
			for i := range 12_000 {
				value, good := fmt.Sprint(i), true
				if r.IntN(50) == 0 {
					value, good = pickOne(r, `"text"`, "1.5", "4294967296", "[]"), false
				}
				rows = append(rows, fmt.Sprintf(`{"k":"%d","w":%s}`, i%11, value))
				if good {
					want = append(want, fmt.Sprintf(`%d="%d" %d`, i%11, i%11, i))
				}
			}
			b := newBus(t, rows)
			names := Names{Topics: b, Formats: formats.New(registry)}
			_, plan, _, problems := names.Compile(t.Context(), []byte(`{"name":"q","source":{"topic":"in","until":"end"},"select":{"k":"k","w":"w"},"sink":{"topic":"out","key":"k","format":"`+name+`"}}`))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if _, err := RunTrial(t.Context(), trialConfig(b, plan, RunOptions{}), nil); err != nil {
				t.Fatal(err)
			}
			sink := plan.Sinks[0]
			sink.Format.Pin = pinOf(t, plan)
			registry.Register("out-value", schema[0], strings.Replace(schema[1], "note", "remark", 1)) // not for this query
			outcomes := []fakebus.Outcome{fakebus.LostUnknown, fakebus.AppliedUnknown, fakebus.Refused, fakebus.KillBefore, fakebus.KillAfter}
			b.Interfere(func(int, bus.Txn) fakebus.Outcome {
				if r.IntN(3) == 0 {
					return outcomes[r.IntN(len(outcomes))]
				}
				return fakebus.Pass
			})
			pumpAll(t, b, b.Sinks(), sink, names.Formats)
			if got := decoded(t, names, b, "out", 0); !slices.Equal(got, want) {
				t.Errorf("%d records, want %d", len(got), len(want))
			}
			for _, record := range records(t, b, "out", 0)[:5] {
				_, value, _ := strings.Cut(record, "=")
				if got, _, ok := codecs.CutConfluent([]byte(value)); !ok || got != uint32(id) {
					t.Fatalf("record %q is not framed with %d", value, id)
				}
			}
			doc, _ := b.Doc(fakebus.DataShard, sinkKey("q1", sinkResults))
			var s sinkStanding
			if err := json.Unmarshal(doc.Value, &s); err != nil {
				t.Fatal(err)
			}
			if skipped := len(rows) - len(want); s.Skipped != int64(skipped) || s.Skips != 0 || s.LastSkip == nil || !strings.Contains(s.LastSkip.Reason, `"w"`) {
				t.Errorf("%d rows are skipped, want %d; the last: %+v", s.Skipped, skipped, s.LastSkip)
			}
		})
	}
}

func pickOne(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// pinOf is the pin of a plan's sink.
func pinOf(t *testing.T, plan *Plan) string {
	t.Helper()
	pins, err := plan.Pins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pins[len(pins)-1]
}

// TestSinkFormatSpecs has what a spec may say of a sink's format.
func TestSinkFormatSpecs(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	registry.Register("out-value", formats.Avro, outAvro)
	b := newBus(t, nil)
	names := Names{Topics: b, Formats: formats.New(registry)}
	for _, c := range []struct {
		sink, pointer string
		kind          fault.Kind
		says          string
	}{
		{`{"topic":"out","format":"avro"}`, "", 0, ""},
		{`{"topic":"o","format":"avro","schema":"out-value:1"}`, "", 0, ""},
		{`{"topic":"o","format":"avro","schema":{"type":"record","name":"R","fields":[{"name":"k","type":"string"},{"name":"w","type":"int"}]}}`, "", 0, ""},
		{`{"topic":"o","format":"protobuf","schema":"syntax = \"proto3\"; message R { string k = 1; int64 w = 2; }"}`, "", 0, ""},
		{`{"topic":"o","format":"avro"}`, "/select/k", fault.Unprocessable, `member "k": its type is not known; the schema of the sink is made`},
		{`{"topic":"out","format":"protobuf"}`, "/sink/format", fault.Invalid, `the format is "protobuf"`},
		{`{"topic":"o","format":"avro","schema":"none"}`, "/sink/schema", fault.Invalid, `there is no subject "none"`},
		{`{"topic":"o","format":"avro","schema":"{\"type\":\"string\"}"}`, "/sink/schema", fault.Unprocessable, "object where the schema has string"},
		{`{"topic":"o","format":"avro","schema":"{\"type\":\"text\"}"}`, "/sink/schema", fault.Invalid, "unknown type"},
		{`{"topic":"o","format":"avro","schema":{"type":"record","name":"R","fields":[{"name":"k","type":"string"}]}}`, "/select/w", fault.Invalid,
			"the schema R has no such field"},
		{`{"topic":"o","format":"avro","schema":{"type":"record","name":"R","fields":[{"name":"k","type":"string"},{"name":"w","type":"int"},{"name":"x","type":"int"}]}}`,
			"/sink/schema", fault.Unprocessable, `the schema R has the field "x" without a default`},
		{`{"topic":"o","schema":"out-value"}`, "/sink/schema", fault.Invalid, "goes with the formats"},
		{`{"kv":"ns","key":"k","format":"avro"}`, "/sink/format", fault.Invalid, "a namespace has JSON"},
	} {
		_, _, _, problems := names.Compile(t.Context(), []byte(`{"name":"q","source":{"topic":"in"},"select":{"k":"k","w":"w"},"sink":`+c.sink+`}`))
		if c.pointer == "" && len(problems) > 0 || c.pointer != "" && (len(problems) == 0 || problems[0].Pointer != c.pointer || problems[0].Kind != c.kind || !strings.Contains(problems[0].Message, c.says)) {
			t.Errorf("%s: %v, want %s %s", c.sink, problems, c.pointer, c.says)
		}
	}
	if versions, _ := registry.Every("o-value"); len(versions) > 0 {
		t.Errorf("to look at a spec has registered %v", versions)
	}
	_, _, _, problems := names.Compile(t.Context(), []byte(`{"name":"q","source":{"topic":"in"},"select":{"k":"k","w":"w","nota":"1"},"sink":{"topic":"out","format":"avro","schema":"out-value"}}`))
	if len(problems) != 1 || problems[0].Pointer != "/select/nota" || problems[0].Kind != fault.Invalid ||
		!strings.Contains(problems[0].Message, `member "nota": the schema Out has no such field; did you mean "note"?`) {
		t.Errorf("a member without a field: %v", problems)
	}
}

// TestSinkFormatManaged: a sink keeps the version of the schema that it began with, over a
// restart too, and its status tells about skipped rows.
func TestSinkFormatManaged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := formatstest.New()
		first := registry.Register("out-value", formats.Avro, outAvro)
		b := newBus(t, []string{`{"k":"a","w":1}`, `{"k":"b","w":"x"}`})
		sinks := b.Sinks()
		options := func(c *ManagerConfig) { c.Formats, c.Sinks = formats.New(registry), sinks }
		m := startManager(t, b, "one", options)
		m.create(`{"name":"q","source":{"topic":"in"},"select":{"k":"k","w":"w"},"sink":{"topic":"out","format":"avro"}}`)
		registry.Register("out-value", formats.Avro, strings.Replace(outAvro, `"int"`, `"long"`, 1))
		m.status("q")
		m.stop()
		m = startManager(t, b, "two", options)
		appendRows(t, b, 0, `{"k":"c","w":3}`)
		s := m.status("q")
		m.stop()
		if len(s.Sinks) != 1 || s.Sinks[0].Written != 2 || s.Sinks[0].Skipped != 1 || s.Sinks[0].LastSkip == nil || s.Sinks[0].LastSkip.Offset != 1 {
			t.Errorf("sinks %+v", s.Sinks)
		}
		got := records(t, b, "out", 0)
		for _, record := range got {
			if id, _, ok := codecs.CutConfluent([]byte(strings.TrimPrefix(record, "-="))); !ok || id != uint32(first) {
				t.Errorf("record %q is not framed with the first version", record)
			}
		}
		if len(got) != 2 {
			t.Errorf("%d records: %q", len(got), got)
		}
	})
}
