package queries

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/queries/fakebus"
)

// benchBus makes a topic of one partition with n events of 192 bytes, 1000 keys and
// a row every ms of event time.
func benchBus(b *testing.B, n int) *fakebus.Bus {
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
	if err := bus.CreateTopic("in", 1); err != nil {
		b.Fatal(err)
	}
	appendRows(b, bus, 0, rows...)
	return bus
}

func BenchmarkJob(b *testing.B) {
	const rows = 400_000
	const source = `"source":{"topic":"in","until":"end","event_time":"ts","max_out_of_orderness":"5s"}`
	for _, c := range []struct{ name, spec string }{
		{"tumbling", `{"name":"q",` + source + `,"filter":"status == 'ok'","group_by":["user"],` +
			`"window":{"tumbling":"10s"},"aggregate":{"n":"count()","total":"sum(amount)"}}`},
		{"filter", `{"name":"q",` + source + `,"filter":"amount > 50"}`},
		{"select", `{"name":"q",` + source + `,"filter":"amount > 50","select":{"u":"user","twice":"amount * 2"}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			bus := benchBus(b, rows)
			plan := compilePlan(b, bus, c.spec)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				config := trialConfig(bus, plan, RunOptions{})
				config.ID = fmt.Sprint(n)
				if err := NewJob(config).Run(context.Background()); err != nil {
					b.Fatal(err)
				}
				for _, name := range internalTopics(config.ID) {
					if err := bus.DeleteTopic(context.Background(), name); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}
