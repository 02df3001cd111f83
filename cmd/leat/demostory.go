package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"leat/examples"
)

// The queries of the demonstration, files of package examples.
const (
	byDay      = "delays_by_day"
	bySchedule = "delays_by_schedule"
	visibility = "low_visibility"
)

// demonstration is one run of the demonstration against a node.
type demonstration struct {
	*client
	url, dir string
	once     bool
	out      *printer

	loaded map[string]int64 // topic → records
	days   []dayRow         // results of byDay, as followed
}

// dayRow is a result of the queries byDay and bySchedule.
type dayRow struct {
	Day     int64    `json:"day"`
	Airport string   `json:"airport"`
	Flights int64    `json:"flights"`
	Average *float64 `json:"avg_delay"`
	Least   *float64 `json:"least_delay"`
	Worst   *float64 `json:"worst_delay"`
}

func (d *demonstration) run(ctx context.Context) error {
	started := time.Now()
	if err := d.begin(ctx); err != nil {
		return err
	}
	if err := d.watch(ctx); err != nil {
		return err
	}
	d.out.printf("\nAll of it took %s, from the first record to the last result.\n", time.Since(started).Round(10*time.Millisecond))
	for _, part := range []func(context.Context) error{d.counters, d.worst, d.late, d.gusts, d.fog} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return d.invite()
}

// begin makes the topics and starts the queries.
func (d *demonstration) begin(ctx context.Context) error {
	d.out.printf("This is a Leat node at %s. Its data is in %s until this command ends.\n\n", d.url, d.dir)
	for _, topic := range []string{"flights", "weather"} {
		if _, err := d.post(ctx, "/broker/topics", map[string]any{"name": topic, "partitions": 1}); err != nil {
			return err
		}
	}
	specs, err := examples.Specs()
	if err != nil {
		return err
	}
	about := map[string]string{
		byDay:      "flights and delays per airport and day, by when they left",
		bySchedule: "the same by when they should have left, which is out of order",
		visibility: "weather with a visibility of less than a quarter mile",
	}
	d.out.printf("Continuous queries, from the spec files in examples/:\n")
	for _, spec := range specs {
		if _, err := d.call(ctx, request{method: http.MethodPost, path: "/queries", body: spec.JSON, json: true}); err != nil {
			return fmt.Errorf("start %s: %w", spec.File, err)
		}
		d.out.printf("  %-24s %s\n", spec.File, about[spec.Name])
	}
	return nil
}

// watch loads the data and prints results meanwhile, until the queries have read
// all of it.
func (d *demonstration) watch(ctx context.Context) error {
	d.out.printf(`
Loading departures of 2013 from New York's airports (every tenth) and the hourly
weather there. As days close, %s gives the average delay in minutes, of
which this shows the first of each month:

  %-10s  %8s  %8s  %8s
`, byDay, "DAY (UTC)", "EWR", "JFK", "LGA")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, total := make(chan dayRow), make(chan int64, 1)
	failed := make(chan error, 2)
	go func() { failed <- d.follow(ctx, rows) }()
	go func() {
		n, err := d.load(ctx)
		if err != nil {
			failed <- err
			return
		}
		total <- n
	}()
	want := int64(-1)
	for want != int64(len(d.days)) {
		select {
		case row := <-rows:
			d.days = append(d.days, row)
			d.showDay()
		case want = <-total:
		case err := <-failed:
			return err
		}
	}
	return nil
}

// follow hands over the results of byDay as they come.
func (d *demonstration) follow(ctx context.Context, rows chan<- dayRow) error {
	return d.followResults(ctx, byDay, url.Values{"follow": {"1"}}, func(_ []byte, text json.RawMessage) error {
		var row dayRow
		if err := readAnswer(text, &row); err != nil {
			return err
		}
		select {
		case rows <- row:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// showDay prints the last day followed if it is whole and the first of a month.
func (d *demonstration) showDay() {
	last := len(d.days) - 1
	if last < 2 || d.days[last].Airport != "LGA" || time.UnixMilli(d.days[last].Day).UTC().Day() != 1 {
		return
	}
	d.out.printf("  %-10s  %8s  %8s  %8s\n", date(d.days[last].Day),
		minutes(d.days[last-2].Average), minutes(d.days[last-1].Average), minutes(d.days[last].Average))
}

// load sends the records, waits until the queries have read them, and answers
// how many rows byDay has given.
func (d *demonstration) load(ctx context.Context) (int64, error) {
	topics, err := examples.Topics()
	if err != nil {
		return 0, err
	}
	d.loaded = make(map[string]int64)
	for _, topic := range topics {
		done, err := d.produceLines(ctx, production{topic: topic.Name, partition: 0}, bytes.NewReader(topic.Lines), func(produced) {})
		if err != nil {
			return 0, fmt.Errorf("load %s: %w", topic.Name, err)
		}
		d.loaded[topic.Name] = done.Records
	}
	for name, topic := range map[string]string{byDay: "flights", bySchedule: "flights", visibility: "weather"} {
		if err := d.caughtUp(ctx, name, d.loaded[topic]); err != nil {
			return 0, err
		}
	}
	page, err := d.rows(ctx, byDay, "results", rowRange{})
	return page.Next, err
}

// caughtUp returns once a query has worked on that many records.
func (d *demonstration) caughtUp(ctx context.Context, name string, records int64) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		q, _, err := d.query(ctx, name)
		switch {
		case err != nil:
			return err
		case q.State != "running":
			return fmt.Errorf("query %s is %s: %v", name, q.State, q.Error)
		case q.Rows.In == records:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("query %s has worked on %s of %d: %w", name, plural(int(q.Rows.In), "record"), records, ctx.Err())
		}
	}
}

// counters shows that no record got lost on the way.
func (d *demonstration) counters(ctx context.Context) error {
	d.out.printf("\nEvery record is accounted for: in = used + filtered + late + dead-lettered.\n\n")
	g := &grid{header: []string{"QUERY", "IN", "USED", "FILTERED", "LATE", "DEAD", "ROWS OUT"}}
	for _, name := range []string{byDay, bySchedule, visibility} {
		q, _, err := d.query(ctx, name)
		if err != nil {
			return err
		}
		r := q.Rows
		if r.In != r.Used+r.Filtered+r.Late+r.Dead {
			return fmt.Errorf("query %s does not account for every record: %s", name, r)
		}
		g.add(name, r.In, r.Used, r.Filtered, r.Late, r.Dead, r.Out)
	}
	d.out.table(g)
	d.out.printf("  The last day stays open: it closes when a flight of a later day comes.\n")
	return nil
}

// worst shows the results with the longest average delay.
func (d *demonstration) worst(context.Context) error {
	days := slices.DeleteFunc(slices.Clone(d.days), func(r dayRow) bool { return r.Average == nil })
	slices.SortStableFunc(days, func(a, b dayRow) int { return cmp.Compare(*b.Average, *a.Average) })
	d.out.printf("\nOf the %s of %s, the five worst days (delays in minutes):\n\n", plural(len(d.days), "row"), byDay)
	g := &grid{header: []string{"DAY (UTC)", "AIRPORT", "FLIGHTS", "AVERAGE", "LEAST", "WORST"}, right: map[int]bool{3: true, 4: true, 5: true}}
	for _, r := range days[:min(5, len(days))] {
		g.add(date(r.Day), r.Airport, r.Flights, minutes(r.Average), minutes(r.Least), minutes(r.Worst))
	}
	d.out.table(g)
	return nil
}

// late shows rows that came after their window was closed.
func (d *demonstration) late(ctx context.Context) error {
	page, err := d.rows(ctx, bySchedule, "late", rowRange{limit: 3})
	if err != nil {
		return err
	}
	letters, err := readLetters(page.Rows)
	if err != nil {
		return err
	}
	d.out.printf("\nThe first late rows of %s: scheduled for a day that was closed when they left.\n\n", bySchedule)
	g := &grid{header: []string{"OFFSET", "FLIGHT", "SCHEDULED", "LEFT", "WATERMARK", "CLOSED WINDOW"}}
	for _, l := range letters {
		var f struct {
			Carrier string `json:"carrier"`
			Flight  int64  `json:"flight"`
			Dep     int64  `json:"dep"`
		}
		if err := readAnswer(l.Value, &f); err != nil {
			return err
		}
		g.add(optional(l.Offset), fmt.Sprintf("%s %d", f.Carrier, f.Flight), minute(l.EventTime), minute(f.Dep),
			minute(l.Watermark), date(l.WindowStart))
	}
	d.out.table(g)
	return nil
}

// gusts shows some rows of the stateless query.
func (d *demonstration) gusts(ctx context.Context) error {
	page, err := d.rows(ctx, visibility, "results", rowRange{limit: 3})
	if err != nil {
		return err
	}
	d.out.printf("\nThe first rows of %s:\n\n", visibility)
	g := &grid{header: []string{"TIME (UTC)", "AIRPORT", "VISIBILITY (mi)", "GUSTS (mph)"}, right: map[int]bool{2: true, 3: true}}
	for _, text := range page.Rows {
		var row struct {
			Time    int64       `json:"time"`
			Airport string      `json:"airport"`
			Visib   json.Number `json:"visib"`
			Gust    any         `json:"wind_gust"`
		}
		if err := readAnswer(text, &row); err != nil {
			return err
		}
		g.add(minute(row.Time), row.Airport, row.Visib, row.Gust)
	}
	d.out.table(g)
	return nil
}

// invite prints what to try next.
func (d *demonstration) invite() error {
	if len(d.days) == 0 {
		return errors.New("the queries gave no rows")
	}
	base := d.url
	if d.once {
		base = "http://127.0.0.1:1109"
		d.out.printf("\nWithout --once the node stays. Then try:\n\n")
	} else {
		d.out.printf("\nThe node stays until Ctrl-C. Try:\n\n")
	}
	d.out.printf("  %s\n", strings.Join(demoCalls(base, len(d.days)), "\n  "))
	return nil
}

// demoCalls are commands that work on the node of the demonstration, to be run in
// this order. rows is how many results byDay has.
func demoCalls(base string, rows int) []string {
	return []string{
		"curl -s " + base + "/queries/" + bySchedule,
		"curl -s '" + base + "/queries/" + byDay + "/plan?format=text'",
		"curl -s '" + base + "/queries/" + bySchedule + "/late?limit=2'",
		"curl -s '" + base + "/broker/consume/flights/me/0?offset=32734'",
		"# a flight of a later day closes the last one, and its rows come:",
		"curl -s " + base + `/broker/topics/flights/produce -d '{"origin":"JFK","dep":1388707200000,"sched_dep":1388707200000,"dep_delay":0}'`,
		fmt.Sprintf("curl -sN '%s/queries/%s/results?offset=%d&follow=1&limit=2'", base, byDay, rows),
	}
}

func date(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.DateOnly) }

func minute(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04") }

// minutes shows a delay; "-" where there is none.
func minutes(delay *float64) string {
	if delay == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *delay)
}
