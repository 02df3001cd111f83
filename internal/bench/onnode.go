//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// The queries that are measured on a node: from the partitions of a topic, which lie in
// the page cache, to rows that are durable, each of them exactly once.

// eventsToRead is how many events a query on a node reads.
const eventsToRead = 2_000_000

const windowQuery = `"source":{"topic":"%s","until":"end","event_time":"ts","max_out_of_orderness":"1s"},
	"filter":"status == 'ok' and amount > 10","group_by":["user"],"window":{"tumbling":"%s"},
	"aggregate":{"n":"count()","total":"sum(amount)"}`

const filterQuery = `"source":{"topic":"%s","until":"end"},"filter":"status == 'ok'","sink":{"topic":"%s"}`

// engine measures the engine on a node, on one core and on all of them, beside a loop
// that is written by hand for one query.
func (b *bench) engine() error {
	node, err := b.startOnOneCore()
	if err != nil {
		return err
	}
	defer node.kill()
	if err := b.fillEvents(node, "events", 1, eventsToRead); err != nil {
		return err
	}
	if err := b.fillEvents(b.leat, "events", 2, eventsToRead); err != nil {
		return err
	}
	text := newEvents().append(nil, eventsToRead/2)
	window := fmt.Sprintf(windowQuery, "events", "10s")
	all, err := alternate(b.rounds,
		contestant{"the loop", func() (outcome, error) { return loop(text, false), nil }},
		contestant{"the loop over whole records", func() (outcome, error) { return loop(text, true), nil }},
		contestant{"a query on one core", func() (outcome, error) { return b.runQuery(node, window, "") }},
		contestant{"a query on all cores", func() (outcome, error) { return b.runQuery(b.leat, window, "") }},
	)
	if err != nil {
		return err
	}
	b.add(
		eventRow("**leat query**, filter, 1000 keys, tumbling, on 1 core of a node", all[2],
			fmt.Sprintf("%.2f of the loop, %.2f of that over whole records", all[2].ratio(all[0]), all[2].ratio(all[1]))),
		eventRow("the same written by hand, the members it needs", all[0], ""),
		eventRow("the same written by hand, whole records", all[1], ""),
		eventRow("**leat query**, the same, 2 partitions, all cores", all[3], fmt.Sprintf("%.2f of 1 core", all[3].ratio(all[2]))))
	return nil
}

// toTopic measures a query that filters, up to where its rows are in a topic.
func (b *bench) toTopic() error {
	for _, partitions := range []int{1, partitions} {
		source, sink := fmt.Sprint("events-", partitions), fmt.Sprint("sink-", partitions)
		if err := b.fillEvents(b.leat, source, partitions, eventsToRead); err != nil {
			return err
		}
		all, err := alternate(b.rounds, contestant{"a query with a sink", func() (outcome, error) {
			return b.runQuery(b.leat, fmt.Sprintf(filterQuery, source, sink), sink)
		}})
		if err != nil {
			return err
		}
		b.add(eventRow(fmt.Sprintf("**leat query**, 3 of 4 records to a topic, %s", plural(partitions, "partition")), all[0], ""))
	}
	return nil
}

// flat measures the most memory that a node has while a query goes over 20 windows, and
// over 100 times as many, after it has been warmed up.
func (b *bench) flat() error {
	node, err := startLeat(b.ctx, b.binary, b.data+"/flat")
	if err != nil {
		return err
	}
	defer node.kill()
	query := func(topic string) contestant {
		return contestant{topic, func() (outcome, error) {
			if err := node.forgetPeak(); err != nil {
				return outcome{}, err
			}
			if out, err := b.runQuery(node, fmt.Sprintf(windowQuery, topic, "1s"), ""); err != nil {
				return out, err
			}
			bytes, err := node.peakBytes()
			return outcome{perSecond: float64(bytes) / (1 << 20)}, err
		}}
	}
	if err := b.fillEvents(node, "short", 2, eventsToRead/100); err != nil {
		return err
	}
	if err := b.fillEvents(node, "long", 2, eventsToRead); err != nil {
		return err
	}
	if _, err := query("long").do(); err != nil {
		return err
	}
	all, err := alternate(b.rounds, query("short"), query("long"))
	if err != nil {
		return err
	}
	b.add(row{
		what: "memory of a node at most, a query over 20 windows, over 2000",
		rate: fmt.Sprintf("%.0f, %.0f MiB", all[0].perSecond(), all[1].perSecond()),
	})
	return nil
}

func eventRow(what string, s series, against string) row {
	return row{what: what, rate: amount(s.perSecond()) + " events/s", cpu: s.cpu(), against: against}
}

func loop(text []byte, whole bool) outcome {
	began := time.Now()
	newSums(whole).lines(text)
	return outcome{perSecond: eventsToRead / 2 / time.Since(began).Seconds()}
}

// fillEvents makes a topic of so many partitions and deals events out to them.
func (b *bench) fillEvents(s *server, topic string, partitions, number int) error {
	if _, err := s.call(b.ctx, "POST", "/broker/topics", fmt.Appendf(nil, `{"name":%q,"partitions":%d}`, topic, partitions)); err != nil {
		return err
	}
	const lines = 5000
	e := newEvents()
	var body []byte
	for n := 0; n < number; n += lines {
		body = e.append(body[:0], min(lines, number-n))
		path := fmt.Sprintf("/broker/topics/%s/produce-ndjson?partition=%d", topic, n/lines%partitions)
		if _, err := s.call(b.ctx, "POST", path, body); err != nil {
			return err
		}
	}
	return nil
}

// standing is what is needed of the status of a query.
type standing struct {
	State string `json:"state"`
	Rows  struct {
		In  int64 `json:"in"`
		Out int64 `json:"out"`
	} `json:"rows"`
	Sinks []struct {
		Written int64 `json:"written"`
	} `json:"sinks"`
	Error json.RawMessage `json:"error"`
}

// done tells whether all rows have been given out and, where there is a sink, written
// to it.
func (s *standing) done(sink string) bool {
	return s.State == "completed" && (sink == "" || len(s.Sinks) == 1 && s.Sinks[0].Written == s.Rows.Out)
}

// runQuery runs a bounded query until it is done, and deletes it and the topic that it
// writes to, "" for none.
func (b *bench) runQuery(s *server, spec, sink string) (out outcome, err error) {
	const patience = 5 * time.Minute
	before, err := s.cpu()
	if err != nil {
		return out, err
	}
	began := time.Now()
	if _, err := s.call(b.ctx, "POST", "/queries", []byte(`{"name":"measured",`+spec+"}")); err != nil {
		return out, err
	}
	var now standing
	for !now.done(sink) {
		time.Sleep(10 * time.Millisecond)
		answer, err := s.call(b.ctx, "GET", "/queries/measured", nil)
		if err == nil {
			now = standing{}
			err = json.Unmarshal(answer, &now)
		}
		if err == nil && (now.State == "failed" || time.Since(began) > patience) {
			err = fmt.Errorf("a query is %s after %v: %s", now.State, time.Since(began), clip(answer))
		}
		if err != nil {
			return out, err
		}
	}
	took := time.Since(began)
	after, err := s.cpu()
	if err != nil {
		return out, err
	}
	out = outcome{perSecond: float64(now.Rows.In) / took.Seconds(), answers: uint64(now.Rows.In), cpu: after - before}
	for _, path := range []string{"/queries/measured", "/broker/topics/" + sink} {
		if strings.HasSuffix(path, "/") {
			continue
		}
		if _, err := s.call(b.ctx, "DELETE", path, nil); err != nil {
			return out, err
		}
	}
	return out, nil
}
