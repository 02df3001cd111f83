package examples

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"os"
	"slices"
	"testing"
	"time"

	"leat/codecs/avrocodec"
	"leat/codecs/formats"
	"leat/codecs/protocodec"
	"leat/log"
	"leat/queries"
	"leat/queries/fakebus"
)

// TestFormats runs the specs of formats/ over the data in Avro and in Protobuf: they give
// the rows that the specs over JSON give.
func TestFormats(t *testing.T) {
	t.Parallel()
	text := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	avro, err := avrocodec.ParseSchema(text("formats/flight.avsc"), nil)
	if err != nil {
		t.Fatal(err)
	}
	proto, err := protocodec.ParseSchema(t.Context(), text("formats/weather.proto"), nil)
	if err != nil {
		t.Fatal(err)
	}
	weather, err := proto.Message("Weather")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spec, topic, lines, expected string
		encode                       func(dst, row []byte) ([]byte, error)
	}{
		{"delays_avro", "flights_avro", "flights", "delays_by_day", avrocodec.NewEncoder(avro).AppendJSON},
		{"low_visibility_protobuf", "weather_protobuf", "weather", "low_visibility", protocodec.NewEncoder(weather).AppendJSON},
	} {
		rows := runEncoded(t, text("formats/"+c.spec+".json"), c.topic, c.lines, c.encode)
		want := text("testdata/" + c.expected + ".ndjson")
		// The end of a file closes every window, that of a live topic leaves the last day open.
		if n := bytes.Count(rows, []byte{'\n'}) - bytes.Count([]byte(want), []byte{'\n'}); !bytes.HasPrefix(rows, []byte(want)) || n < 0 || n > 3 {
			t.Errorf("%s: %d rows more than %s, or others", c.spec, n, c.expected)
		}
	}
}

// runEncoded runs a spec over example data that encode writes anew.
func runEncoded(t *testing.T, spec, topic, name string, encode func(dst, row []byte) ([]byte, error)) []byte {
	t.Helper()
	topics, err := Topics()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(topics[slices.IndexFunc(topics, func(t Topic) bool { return t.Name == name })].Lines))
	if err != nil {
		t.Fatal(err)
	}
	b := fakebus.New()
	if err := b.CreateTopic(topic, 1); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(z); lines.Scan(); {
		record, err := encode(nil, lines.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		if err := b.Append(topic, 0, record); err != nil {
			t.Fatal(err)
		}
	}
	bounded := bytes.Replace([]byte(spec), []byte(`"source": {`), []byte(`"source": { "until": "end",`), 1)
	_, plan, _, problems := queries.Names{Topics: b, Formats: formats.New(nil)}.Compile(t.Context(), bounded)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	job := queries.NewJob(queries.JobConfig{ID: "q", Owner: "q", Shard: fakebus.DataShard, Plan: plan, Topics: b, Docs: b, Clock: readyClock{}})
	if err := job.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return results(t, b)
}

// readyClock stands still, and has every time passed.
type readyClock struct{}

func (readyClock) Now() time.Time { return time.UnixMilli(0) }

func (readyClock) After(time.Duration) <-chan time.Time {
	passed := make(chan time.Time, 1)
	passed <- time.UnixMilli(0)
	return passed
}

// results are the rows of the query, a line each.
func results(t *testing.T, b *fakebus.Bus) (rows []byte) {
	t.Helper()
	for at := log.Offset(0); ; {
		frames, err := b.Read("$results/q", 0, at, 1<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		if frames.Empty() {
			return rows
		}
		cursor := frames.Records(at)
		for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
			rows = append(append(rows, r.Value...), '\n')
		}
		at = frames.Next()
	}
}
