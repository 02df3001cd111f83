package main

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are counted in microseconds, up to slowest, to three digits.
const (
	slowest = int64(2 * callTimeout / time.Microsecond)
	digits  = 3
)

// tally is what one connection has done.
type tally struct {
	requests, records, bytes int64
	failed                   map[string]int64 // by code of the error
	took                     *hdrhistogram.Histogram
}

// exchange is one request: how many records and bytes of them went over.
type exchange func(ctx context.Context) (records, bytes int64, err error)

// runLoad runs the connections until the time is over. A refusal that a repetition
// would meet again ends the load; what may pass is counted.
func (c *client) runLoad(ctx context.Context, l benchLoad) (measured, error) {
	topic, _, err := c.describeTopic(ctx, l.topic)
	if err != nil {
		return measured{}, err
	}
	if l.kind == "consume" && topic.empty() {
		return measured{}, &failure{exit: exitFailure, code: "empty_topic", text: "topic " + l.topic + " holds nothing to read"}
	}
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, l.duration)
	defer cancel()
	tallies := make([]tally, l.connections)
	failed := make(chan error, l.connections)
	var connections sync.WaitGroup
	for i := range tallies {
		tallies[i] = tally{failed: make(map[string]int64), took: hdrhistogram.New(1, slowest, digits)}
		exchange := c.produceExchange(l)
		if l.kind == "consume" {
			exchange = c.consumeExchange(l, topic, i)
		}
		connections.Go(func() {
			if err := tallies[i].run(ctx, exchange); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	connections.Wait()
	select {
	case err := <-failed:
		return measured{}, err
	default:
	}
	return sumUp(l, tallies, time.Since(started)), nil
}

// empty tells whether a topic holds no record.
func (t *topicDetail) empty() bool {
	for _, p := range t.Detail {
		if p.Next > p.First {
			return false
		}
	}
	return true
}

// run makes one request after the other until ctx ends. The request that it ends
// is not counted.
func (t *tally) run(ctx context.Context, request exchange) error {
	for {
		began := time.Now()
		records, bytes, err := request(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			t.requests, t.records, t.bytes = t.requests+1, t.records+records, t.bytes+bytes
			// A value over the range is the only error: callTimeout keeps it out.
			_ = t.took.RecordValue(max(time.Since(began).Microseconds(), 1))
		case classify(err).exit == exitUnavailable && classify(err).code != "unreachable":
			t.failed[classify(err).code]++
		default:
			return err
		}
	}
}

// produceExchange sends the same records every time.
func (c *client) produceExchange(l benchLoad) exchange {
	record := bytes.Repeat([]byte{'x'}, l.size)
	r := request{method: http.MethodPost, path: route("broker", "topics", l.topic, "produce"), query: url.Values{"mode": {l.mode}}, body: record}
	if l.batch > 1 {
		r.path = route("broker", "topics", l.topic, "produce-ndjson")
		r.body = bytes.Repeat(append(record, '\n'), l.batch)
	}
	return func(ctx context.Context) (int64, int64, error) {
		_, err := c.call(ctx, r)
		return int64(l.batch), int64(l.size) * int64(l.batch), err
	}
}

// consumeExchange reads one partition round and round. The connections take the
// partitions that hold something by turns.
func (c *client) consumeExchange(l benchLoad, topic topicDetail, number int) exchange {
	filled := topic.Detail[:0:0]
	for _, p := range topic.Detail {
		if p.Next > p.First {
			filled = append(filled, p)
		}
	}
	partition := filled[number%len(filled)]
	next := partition.First
	path := route("broker", "consume", l.topic, anonymous, strconv.Itoa(partition.Partition))
	return func(ctx context.Context) (int64, int64, error) {
		body, err := c.get(ctx, path, url.Values{"offset": {strconv.FormatInt(next, 10)}, "limit": {strconv.Itoa(l.batch)}})
		if err != nil {
			return 0, 0, err
		}
		records, end := pageEnd(body)
		if next = end; records == 0 || end >= partition.Next {
			next = partition.First
		}
		return records, int64(len(body)), nil
	}
}

// pageEnd finds how many records a page holds and where to go on, without reading
// the records.
func pageEnd(body []byte) (count, next int64) {
	return lastNumber(body, `"count":`), lastNumber(body, `"next_offset":`)
}

// lastNumber reads the number after the last place that a member stands at: the
// records come before the members of the page itself.
func lastNumber(body []byte, member string) (n int64) {
	at := bytes.LastIndex(body, []byte(member))
	if at < 0 {
		return 0
	}
	for _, digit := range body[at+len(member):] {
		if digit < '0' || digit > '9' {
			break
		}
		n = n*10 + int64(digit-'0')
	}
	return n
}

func sumUp(l benchLoad, tallies []tally, elapsed time.Duration) measured {
	m := measured{OK: true, Load: l.kind, Topic: l.topic, Connections: l.connections, Batch: l.batch, Seconds: elapsed.Seconds(),
		Reasons: make(map[string]int64)}
	all := hdrhistogram.New(1, slowest, digits)
	for i := range tallies {
		t := &tallies[i]
		m.Requests, m.Records, m.Bytes = m.Requests+t.requests, m.Records+t.records, m.Bytes+t.bytes
		all.Merge(t.took)
		for reason, n := range t.failed {
			m.Reasons[reason] += n
			m.Failed += n
		}
	}
	m.OK = m.Failed == 0
	m.RequestsPerSecond = float64(m.Requests) / m.Seconds
	m.RecordsPerSecond = float64(m.Records) / m.Seconds
	m.BytesPerSecond = float64(m.Bytes) / m.Seconds
	ms := func(quantile float64) float64 { return float64(all.ValueAtQuantile(quantile)) / 1000 }
	m.Latency = latencies{P50: ms(50), P90: ms(90), P99: ms(99), Max: float64(all.Max()) / 1000}
	return m
}
