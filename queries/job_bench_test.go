package queries

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/codecs/codecstest"
	"leat/queries/fakebus"
)

// benchBus makes a topic with n events of 192 bytes in each partition, 1000 keys and
// a row every ms of event time.
func benchBus(b *testing.B, n int, partitions int32) *fakebus.Bus {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([]string, n)
	for i := range rows {
		row := fmt.Sprintf(`{"id":"evt-%08d","ts":%d,"user":"u%04d","country":"DE","device":"mobile","amount":%d.%02d,`+
			`"qty":%d,"status":"%s","url":"https://shop.example.com/item/%06d","note":"`,
			i, 1700000000000+i, r.IntN(1000), r.IntN(100), r.IntN(100), r.IntN(9), []string{"ok", "fail"}[r.IntN(8)/7], r.IntN(1e6))
		for len(row) < 190 {
			row += "x"
		}
		rows[i] = row + `"}`
	}
	bus := fakebus.New()
	if err := bus.CreateTopic("in", partitions); err != nil {
		b.Fatal(err)
	}
	for p := range partitions {
		appendRows(b, bus, p, rows...)
	}
	return bus
}

const benchSource = `"source":{"topic":"in","until":"end","event_time":"ts","max_out_of_orderness":"5s"}`

const benchTumbling = `{"name":"q",` + benchSource + `,"filter":"status == 'ok'","group_by":["user"],` +
	`"window":{"tumbling":"10s"},"aggregate":{"n":"count()","total":"sum(amount)"}}`

func BenchmarkJob(b *testing.B) {
	const rows = 400_000
	for _, c := range []struct{ name, spec string }{
		{"tumbling", benchTumbling},
		{"filter", `{"name":"q",` + benchSource + `,"filter":"amount > 50"}`},
		{"select", `{"name":"q",` + benchSource + `,"filter":"amount > 50","select":{"u":"user","twice":"amount * 2"}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			runJobs(b, benchBus(b, rows, 1), c.spec, rows, RunOptions{})
		})
	}
}

// BenchmarkLanes has as many partitions as workers, or more: run it with -cpu 1,2.
func BenchmarkLanes(b *testing.B) {
	const rows = 400_000
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprint("lanes=", workers), func(b *testing.B) {
			runJobs(b, benchBus(b, rows, 2), benchTumbling, 2*rows, RunOptions{Workers: workers})
		})
	}
}

// BenchmarkLookup is select with what a namespace holds of each row's user, each as a
// record of some members, and without.
func BenchmarkLookup(b *testing.B) {
	const rows = 400_000
	for _, c := range []struct{ name, spec string }{
		{"without", `{"name":"q",` + benchSource + `,"select":{"u":"user","twice":"amount * 2"}}`},
		{"select", `{"name":"q",` + benchSource + `,"lookup":{"kv":"users","key":"user","as":"who"},"select":{"u":"who.name","twice":"amount * 2"}}`},
		{"tumbling", `{"name":"q",` + benchSource + `,"lookup":{"kv":"users","key":"user","as":"who"},"group_by":["who.plan"],"window":{"tumbling":"10s"},"aggregate":{"n":"count()"}}`},
		{"whole", `{"name":"q",` + benchSource + `,"lookup":{"kv":"users","key":"user","as":"who"}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			runJobs(b, benchBus(b, rows, 1), c.spec, rows, RunOptions{})
		})
	}
}

// benchValues are the users of the events.
func benchValues() *fakebus.Values {
	v := &fakebus.Values{}
	for i := range 1000 {
		v.Put("users", fmt.Sprintf("u%04d", i), fmt.Sprintf(`{"name":"user number %d","plan":"plan %d","since":1700000000000,"tags":["a","b"]}`, i, i%7))
	}
	return v
}

// runJobs runs the query over all rows of the bus, again and again.
func runJobs(b *testing.B, bus *fakebus.Bus, spec string, rows int, o RunOptions) {
	b.Helper()
	runPlan(b, bus, compilePlan(b, bus, spec), rows, o)
}

func runPlan(b *testing.B, bus *fakebus.Bus, plan *Plan, rows int, o RunOptions) {
	b.Helper()
	values := benchValues()
	b.ReportAllocs()
	before := codecstest.ProcessorTime(b)
	n := 0
	for b.Loop() {
		n++
		config := trialConfig(bus, plan, o)
		config.ID, config.Values = fmt.Sprint(n), values
		if err := NewJob(config).Run(context.Background()); err != nil {
			b.Fatal(err)
		}
		for _, name := range internalTopics(config.ID) {
			if err := bus.DeleteTopic(context.Background(), name); err != nil {
				b.Fatal(err)
			}
		}
	}
	events := float64(rows) * float64(b.N) / 1e6
	b.ReportMetric(events/b.Elapsed().Seconds(), "Mevents/s")
	b.ReportMetric(events/(codecstest.ProcessorTime(b)-before).Seconds(), "Mevents/core-s")
}

// BenchmarkJoin joins events with themselves, each with one other, or with what its user
// has done shortly before.
func BenchmarkJoin(b *testing.B) {
	const rows = 200_000
	const sides = `"left":{"topic":"in","until":"end","event_time":"ts"},"right":{"topic":"in","until":"end","event_time":"ts"}`
	for _, c := range []struct{ name, join, outputs string }{
		{"tumbling", `"on":[["id","id"]],"window":{"tumbling":"10s"}`, `"select":{"id":"left.id","user":"left.user","amount":"right.amount"}`},
		{"within", `"on":[["id","id"]],"window":{"within":"10s"}`, `"select":{"id":"left.id","user":"left.user","amount":"right.amount"}`},
		{"left", `"type":"left","on":[["id","id"]],"window":{"within":"10s"}`, `"select":{"id":"left.id","user":"left.user","amount":"right.amount"}`},
		{"whole", `"on":[["id","id"]],"window":{"tumbling":"10s"}`, `"filter":"left.qty >= 0"`},
		{"grouped", `"on":[["id","id"]],"window":{"tumbling":"10s"}`,
			`"group_by":["left.user"],"window":{"tumbling":"10s"},"aggregate":{"n":"count()","total":"sum(right.amount)"}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			runJobs(b, benchBus(b, rows, 1), `{"name":"q","join":{`+c.join+`,`+sides+`},`+c.outputs+`}`, 2*rows, RunOptions{})
		})
	}
}
