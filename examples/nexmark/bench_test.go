//go:build linux

package nexmark

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"leat/codecs/codecstest"
	"leat/log"
	"leat/queries"
	"leat/queries/fakebus"
)

const (
	benchEvents     = 300_000 // 30 seconds of event time
	benchPartitions = 4
)

// benchBus makes the topic of bids in memory, with append times that go on as the event
// times do.
func benchBus(b *testing.B) (bus *fakebus.Bus, bids int) {
	b.Helper()
	bus = fakebus.New()
	if err := bus.CreateTopic(Bid.Topic(), benchPartitions); err != nil {
		b.Fatal(err)
	}
	const block = 1000
	var list [][]byte
	for n := range int64(benchEvents) {
		if text, kind := (Generator{}).Append(nil, n); kind == Bid {
			list = append(list, text)
		}
		if n%block < block-1 {
			continue
		}
		bus.SetTime(Generator{}.time(n))
		if err := bus.Append(Bid.Topic(), int32(n/block%benchPartitions), list...); err != nil {
			b.Fatal(err)
		}
		bids += len(list)
		list = list[:0]
	}
	return bus, bids
}

// BenchmarkQueries runs each query from its source topics to its results, exactly once,
// over a log in memory: reading, decoding, operators, encoding, commits. Q5 is both of
// its queries and the copy of the first one's results into a topic. Events are bids; the
// rate per core is that in a second of processor time of the whole process.
func BenchmarkQueries(b *testing.B) {
	specs, err := Specs()
	if err != nil {
		b.Fatal(err)
	}
	bus, bids := benchBus(b)
	turn := 0 // of all runs: a job with the name of another would go on where that one ended
	for i, spec := range specs {
		if spec.Name == "q5_counts" {
			continue
		}
		b.Run(spec.Name, func(b *testing.B) {
			b.ReportAllocs()
			before := codecstest.ProcessorTime(b)
			for ; b.Loop(); turn++ {
				if spec.Name == "q5" {
					id := fmt.Sprint("counts", turn)
					benchJob(b, bus, id, specs[i-1])
					benchCopy(b, bus, "$results/"+id, "q5_counts")
				}
				benchJob(b, bus, fmt.Sprint(spec.Name, turn), spec)
				benchClean(b, bus)
			}
			events := float64(bids) * float64(b.N) / 1e6
			b.ReportMetric(events/b.Elapsed().Seconds(), "Mevents/s")
			b.ReportMetric(events/(codecstest.ProcessorTime(b)-before).Seconds(), "Mevents/core-s")
		})
	}
}

func benchJob(b *testing.B, bus *fakebus.Bus, id string, spec Spec) {
	b.Helper()
	_, plan, _, problems := queries.Compile(context.Background(), spec.Bounded(), bus)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	if err := queries.NewJob(queries.JobConfig{
		ID: id, Owner: "bench", Shard: fakebus.DataShard, Plan: plan, Topics: bus, Docs: bus, Clock: wallClock{},
	}).Run(context.Background()); err != nil {
		b.Fatal(err)
	}
	if p, err := bus.Partition("$results/"+id, 0); err != nil || p.Next == 0 {
		b.Fatalf("%s has no rows: %v", id, err)
	}
}

// benchCopy copies a log to a topic of one partition, as a sink does.
func benchCopy(b *testing.B, bus *fakebus.Bus, from, to string) {
	b.Helper()
	if err := bus.CreateTopic(to, 1); err != nil {
		b.Fatal(err)
	}
	for at := log.Offset(0); ; {
		frames, err := bus.Read(from, 0, at, 512<<10, nil)
		if err != nil {
			b.Fatal(err)
		}
		if frames.Empty() {
			return
		}
		var values [][]byte
		cursor := frames.Records(at)
		for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
			values = append(values, r.Value)
		}
		if err := bus.Append(to, 0, values...); err != nil {
			b.Fatal(err)
		}
		at = frames.Next()
	}
}

// benchClean deletes what the jobs have left.
func benchClean(b *testing.B, bus *fakebus.Bus) {
	b.Helper()
	for _, name := range bus.TopicNames() {
		if strings.HasPrefix(name, "$") || name == "q5_counts" {
			if err := bus.DeleteTopic(context.Background(), name); err != nil {
				b.Fatal(err)
			}
		}
	}
}
