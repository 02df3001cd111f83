package examples

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
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

// encoders write rows in JSON as records of the two schemas of formats/.
func encoders(t *testing.T) (flight, weather func(dst, row []byte) ([]byte, error)) {
	t.Helper()
	avro, err := avrocodec.ParseSchema(string(format(t, "flight.avsc")), nil)
	if err != nil {
		t.Fatal(err)
	}
	proto, err := protocodec.ParseSchema(t.Context(), string(format(t, "weather.proto")), nil)
	if err != nil {
		t.Fatal(err)
	}
	message, err := proto.Message("Weather")
	if err != nil {
		t.Fatal(err)
	}
	return avrocodec.NewEncoder(avro).AppendJSON, protocodec.NewEncoder(message).AppendJSON
}

func format(t *testing.T, name string) []byte {
	t.Helper()
	text, err := Format(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestFormats runs the specs of formats/ over the data in Avro and in Protobuf: they give
// the rows that the specs over JSON give.
func TestFormats(t *testing.T) {
	t.Parallel()
	flight, weather := encoders(t)
	for _, c := range []struct {
		spec, topic, lines, expected string
		encode                       func(dst, row []byte) ([]byte, error)
	}{
		{"delays_avro", "flights_avro", "flights", "delays_by_day", flight},
		{"low_visibility_protobuf", "weather_protobuf", "weather", "low_visibility", weather},
	} {
		rows := runEncoded(t, string(format(t, c.spec+".json")), c.topic, c.lines, c.encode)
		want, err := os.ReadFile("testdata/" + c.expected + ".ndjson")
		if err != nil {
			t.Fatal(err)
		}
		// The end of a file closes every window, that of a live topic leaves the last day open.
		if n := bytes.Count(rows, []byte{'\n'}) - bytes.Count(want, []byte{'\n'}); !bytes.HasPrefix(rows, want) || n < 0 || n > 3 {
			t.Errorf("%s: %d rows more than %s, or others", c.spec, n, c.expected)
		}
	}
}

// TestFlightsInFog joins flights in Avro with the weather in Protobuf: as a look at every
// pair finds them.
func TestFlightsInFog(t *testing.T) {
	t.Parallel()
	flight, weather := encoders(t)
	b := fakebus.New()
	load(t, b, "flights_avro", "flights", 4, flight)
	load(t, b, "weather_protobuf", "weather", 3, weather)
	var got []string
	for row := range bytes.Lines(runOn(t, b, format(t, "flights_in_fog.json"))) {
		var r struct {
			Dep     int64  `json:"dep"`
			Airport string `json:"airport"`
		}
		if err := json.Unmarshal(row, &r); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(r.Dep, r.Airport))
	}
	const hour = 60 * 60 * 1000
	foggy := map[string]bool{}
	for _, w := range read(t, "weather") {
		if miles, err := w.Visib.Float64(); err == nil && miles < 0.25 {
			foggy[fmt.Sprint(w.Origin, w.Time/hour)] = true
		}
	}
	var want []string
	for _, f := range read(t, "flights") {
		if foggy[fmt.Sprint(f.Origin, f.Dep/hour)] {
			want = append(want, fmt.Sprint(f.Dep, f.Origin))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("%d flights in fog, want %d", len(got), len(want))
	}
}

// runEncoded runs a spec over example data that encode writes anew.
func runEncoded(t *testing.T, spec, topic, name string, encode func(dst, row []byte) ([]byte, error)) []byte {
	t.Helper()
	b := fakebus.New()
	load(t, b, topic, name, 1, encode)
	bounded := bytes.Replace([]byte(spec), []byte(`"source": {`), []byte(`"source": { "until": "end",`), 1)
	return runOn(t, b, bounded)
}

// load writes example data to a topic, its partitions in turn.
func load(t *testing.T, b *fakebus.Bus, topic, name string, partitions int32, encode func(dst, row []byte) ([]byte, error)) {
	t.Helper()
	topics, err := Topics()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(topics[slices.IndexFunc(topics, func(t Topic) bool { return t.Name == name })].Lines))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.CreateTopic(topic, partitions); err != nil {
		t.Fatal(err)
	}
	p := int32(0)
	for lines := bufio.NewScanner(z); lines.Scan(); {
		record, err := encode(nil, lines.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		if err := b.Append(topic, p, record); err != nil {
			t.Fatal(err)
		}
		p = (p + 1) % partitions
	}
}

// runOn runs a bounded spec and answers its rows.
func runOn(t *testing.T, b *fakebus.Bus, spec []byte) []byte {
	t.Helper()
	_, plan, _, problems := queries.Names{Topics: b, Formats: formats.New(nil)}.Compile(t.Context(), spec)
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
