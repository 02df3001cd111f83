package examples

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected rows under testdata")

const dayMs = 24 * 60 * 60 * 1000

// record is what the examples use of a flight or an observation.
type record struct {
	Origin   string       `json:"origin"`
	Dep      int64        `json:"dep"`
	SchedDep int64        `json:"sched_dep"`
	DepDelay *float64     `json:"dep_delay"`
	Time     int64        `json:"time"`
	Visib    *json.Number `json:"visib"`
	WindGust *json.Number `json:"wind_gust"`
}

func read(t *testing.T, topic string) []record {
	t.Helper()
	topics, err := Topics()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(topics, func(t Topic) bool { return t.Name == topic })
	z, err := gzip.NewReader(bytes.NewReader(topics[i].Lines))
	if err != nil {
		t.Fatal(err)
	}
	var records []record
	for lines := bufio.NewScanner(z); lines.Scan(); {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// TestExpectedRows keeps the files under testdata true: they are computed here by
// the definitions, with none of the engine's code.
func TestExpectedRows(t *testing.T) {
	t.Parallel()
	specs, err := Specs()
	if err != nil {
		t.Fatal(err)
	}
	flights := read(t, "flights")
	compute := map[string]func() []byte{
		"delays_by_day": func() []byte {
			return delays(flights, func(r *record) int64 { return r.Dep }, 0)
		},
		"delays_by_schedule": func() []byte {
			return delays(flights, func(r *record) int64 { return r.SchedDep }, 60*60*1000)
		},
		"low_visibility": func() []byte { return lowVisibility(t, read(t, "weather")) },
	}
	if len(specs) != len(compute) {
		t.Errorf("%d specs, %d ways to compute their rows", len(specs), len(compute))
	}
	for _, spec := range specs {
		var named struct{ Name string }
		if err := json.Unmarshal(spec.JSON, &named); err != nil || named.Name != spec.Name {
			t.Errorf("%s holds the spec of %q: %v", spec.File, named.Name, err)
		}
		file := "testdata/" + spec.Name + ".ndjson"
		got := compute[spec.Name]()
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(want, got) || len(want) == 0 {
			t.Errorf("%s is not what is computed: %v", file, err)
		}
	}
}

// delays groups flights by day and airport, for as long as their day is open.
func delays(flights []record, eventTime func(*record) int64, disorder int64) []byte {
	type id struct {
		day    int64
		origin string
	}
	groups := make(map[id][]float64)
	watermark := int64(math.MinInt64)
	for i := range flights {
		at := eventTime(&flights[i])
		g := id{day: at - at%dayMs, origin: flights[i].Origin}
		if g.day+dayMs > watermark {
			groups[g] = append(groups[g], *flights[i].DepDelay)
		}
		watermark = max(watermark, at-disorder)
	}
	var ids []id
	for g := range groups {
		if g.day+dayMs <= watermark {
			ids = append(ids, g)
		}
	}
	slices.SortFunc(ids, func(a, b id) int { return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.origin, b.origin)) })
	var out bytes.Buffer
	for _, g := range ids {
		all := groups[g]
		var sum float64
		for _, d := range all {
			sum += d
		}
		fmt.Fprintf(&out, `{"day":%d,"airport":%q,"flights":%d,"avg_delay":%s,"least_delay":%s,"worst_delay":%s}`+"\n",
			g.day, g.origin, len(all), number(math.Round(sum/float64(len(all))*10)/10), number(slices.Min(all)), number(slices.Max(all)))
	}
	return out.Bytes()
}

func lowVisibility(t *testing.T, weather []record) []byte {
	var out bytes.Buffer
	for _, r := range weather {
		if r.Visib == nil {
			continue
		}
		miles, err := r.Visib.Float64()
		if err != nil {
			t.Fatal(err)
		}
		if miles >= 0.25 {
			continue
		}
		gust := "null"
		if r.WindGust != nil {
			gust = r.WindGust.String()
		}
		fmt.Fprintf(&out, `{"time":%d,"airport":%q,"visib":%s,"wind_gust":%s}`+"\n", r.Time, r.Origin, r.Visib, gust)
	}
	return out.Bytes()
}

// number writes a number in the fewest digits.
func number(x float64) string {
	text, err := json.Marshal(x)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// TestData: the figures of the README are those of the data.
func TestData(t *testing.T) {
	t.Parallel()
	flights, weather := read(t, "flights"), read(t, "weather")
	if len(flights) != 32735 || len(weather) != 26115 {
		t.Errorf("%d flights, %d observations", len(flights), len(weather))
	}
	behind, worst, highest, last := 0, int64(0), int64(0), int64(0)
	for _, f := range flights {
		if f.Dep < last {
			t.Fatalf("dep goes back from %d to %d", last, f.Dep)
		}
		last = f.Dep
		if f.SchedDep < highest {
			behind++
			worst = max(worst, highest-f.SchedDep)
		}
		highest = max(highest, f.SchedDep)
	}
	if behind != 9373 || math.Round(float64(worst)/360_000)/10 != 21.6 {
		t.Errorf("%d flights are behind, the worst by %d ms", behind, worst)
	}
}
