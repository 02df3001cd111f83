package codecstest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// The schemas of shop events in the formats that have them.
const (
	ShopAvro = `{"type":"record","name":"Event","fields":[{"name":"id","type":"string"},{"name":"ts","type":"long"},{"name":"user","type":"string"},
		{"name":"country","type":"string"},{"name":"device","type":"string"},{"name":"amount","type":"double"},{"name":"qty","type":"int"},
		{"name":"status","type":"string"},{"name":"url","type":"string"},{"name":"note","type":"string"}]}`
	ShopProto = `syntax = "proto3"; message Event { string id = 1; int64 ts = 2; string user = 3; string country = 4; string device = 5;
		double amount = 6; int32 qty = 7; string status = 8; string url = 9; string note = 10; }`
)

// ShopEvents is how many events the benchmarks of all formats read.
const ShopEvents = 400_000

// ShopRecords are ShopEvents events of a shop, the same ones in each run: one in every
// millisecond, of 1,000 users, 7 of 8 with the status "ok". encode makes a record of
// the JSON text of an event.
func ShopRecords(encode func(row []byte) ([]byte, error)) ([][]byte, error) {
	r := rand.New(rand.NewPCG(1, 2))
	records := make([][]byte, ShopEvents)
	for i := range records {
		row := fmt.Sprintf(`{"id":"evt-%08d","ts":%d,"user":"u%04d","country":"DE","device":"mobile","amount":%d.%02d,`+
			`"qty":%d,"status":"%s","url":"https://shop.example.com/item/%06d","note":"xxxxx"}`,
			i, 1700000000000+i, r.IntN(1000), r.IntN(100), r.IntN(100), r.IntN(9), []string{"ok", "fail"}[r.IntN(8)/7], r.IntN(1e6))
		record, err := encode([]byte(row))
		if err != nil {
			return nil, fmt.Errorf("encode event %d: %w", i, err)
		}
		records[i] = record
	}
	return records, nil
}

// ShopEvent is what ShopJob needs of an event.
type ShopEvent struct {
	Time         int64 // epoch ms
	User, Status string
	Amount       float64
}

// ShopAnswer is what ShopJob finds in the windows that close.
type ShopAnswer struct {
	Groups int
	Events int64
	Cents  int64 // the sum of amounts
}

// ShopTruth is the answer for ShopRecords.
func ShopTruth() ShopAnswer { return ShopAnswer{Groups: 37_990, Events: 332_395, Cents: 1_660_756_010} }

// ShopJob is a query as a loop: of events with the status "ok" the number and the sum of
// amounts, by user and tumbling windows of 10 s, which close 5 s late.
func ShopJob(records [][]byte, read func(*ShopEvent, []byte)) (answer ShopAnswer) {
	type sum struct {
		n     int64
		total float64
	}
	windows := map[int64]map[string]*sum{}
	highest := int64(math.MinInt64)
	var e ShopEvent
	var current map[string]*sum
	start := int64(math.MinInt64)
	for _, b := range records {
		read(&e, b)
		if e.Time > highest {
			highest = e.Time
		}
		if e.Status != "ok" {
			continue
		}
		if w := e.Time - e.Time%10_000; w != start {
			for begin, closed := range windows {
				if begin+10_000 > highest-5_000 {
					continue
				}
				answer.Groups += len(closed)
				for _, s := range closed {
					answer.Events += s.n
					answer.Cents += int64(math.Round(s.total * 100))
				}
				delete(windows, begin)
			}
			if start, current = w, windows[w]; current == nil {
				current = map[string]*sum{}
				windows[w] = current
			}
		}
		s := current[e.User]
		if s == nil {
			s = &sum{}
			current[e.User] = s
		}
		s.n++
		s.total += e.Amount
	}
	return answer
}

// BenchmarkShop measures ShopJob over ShopRecords.
func BenchmarkShop(b *testing.B, records [][]byte, read func(*ShopEvent, []byte)) {
	b.ReportAllocs()
	before := ProcessorTime(b)
	for b.Loop() {
		if got := ShopJob(records, read); got != ShopTruth() {
			b.Fatalf("%+v", got)
		}
	}
	b.ReportMetric(ShopEvents*float64(b.N)/(ProcessorTime(b)-before).Seconds()/1e6, "Mevents/core-s")
}

// ProcessorTime is what the process has used so far.
func ProcessorTime(b *testing.B) time.Duration {
	b.Helper()
	return used(b, syscall.RUSAGE_SELF)
}

// ofThread is RUSAGE_THREAD, which package syscall does not have.
const ofThread = 1

// used is what somebody has used of the processor so far.
func used(t testing.TB, who int) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(who, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
