package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"leat/examples"
)

// inFog is the query of the demonstration that joins two formats.
const inFog = "flights_in_fog"

// fogFlight is a result of the query inFog.
type fogFlight struct {
	Dep     int64       `json:"dep"`
	Airport string      `json:"airport"`
	Carrier string      `json:"carrier"`
	Flight  int64       `json:"flight"`
	Delay   int64       `json:"dep_delay"`
	Visib   json.Number `json:"visib"`
}

// fog sends the same data as Avro and as Protobuf and joins the two.
func (d *demonstration) fog(ctx context.Context) error {
	schema, err := examples.Format("flight.avsc")
	if err != nil {
		return err
	}
	avro, err := avroRows(string(schema))
	if err != nil {
		return err
	}
	if schema, err = examples.Format("weather.proto"); err != nil {
		return err
	}
	protobuf, err := protobufRows(ctx, string(schema), "")
	if err != nil {
		return err
	}
	if err := d.send(ctx, "flights", "flights_avro", 4, avro); err != nil {
		return err
	}
	if err := d.send(ctx, "weather", "weather_protobuf", 3, protobuf); err != nil {
		return err
	}
	spec, err := examples.Format(inFog + ".json")
	if err != nil {
		return err
	}
	if _, err := d.call(ctx, request{method: http.MethodPost, path: "/queries", body: spec, json: true}); err != nil {
		return fmt.Errorf("start %s: %w", inFog, err)
	}
	rows, err := d.completed(ctx, inFog)
	if err != nil {
		return err
	}
	d.out.printf(`
The flights again as Avro, over 4 partitions, and the weather as Protobuf, over 3:
%s joins them by airport and hour. %s left in an hour with a
visibility of less than a quarter mile; the first of them:

`, inFog, plural(len(rows), "flight"))
	flights := make([]fogFlight, len(rows))
	for i, text := range rows {
		if err := readAnswer(text, &flights[i]); err != nil {
			return err
		}
	}
	slices.SortFunc(flights, func(a, b fogFlight) int {
		return cmp.Or(cmp.Compare(a.Dep, b.Dep), cmp.Compare(a.Carrier, b.Carrier), cmp.Compare(a.Flight, b.Flight))
	})
	g := &grid{header: []string{"LEFT (UTC)", "AIRPORT", "FLIGHT", "DELAY (min)", "VISIBILITY (mi)"}, right: map[int]bool{3: true, 4: true}}
	for _, f := range flights[:min(5, len(flights))] {
		g.add(minute(f.Dep), f.Airport, fmt.Sprintf("%s %d", f.Carrier, f.Flight), f.Delay, f.Visib)
	}
	d.out.table(g)
	return nil
}

// completed waits for the end of a bounded query and answers its rows.
func (d *demonstration) completed(ctx context.Context, name string) ([]json.RawMessage, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		page, err := d.rows(ctx, name, "results", rowRange{})
		switch {
		case err != nil:
			return nil, err
		case page.Complete != nil && *page.Complete:
			return page.Rows, nil
		}
		q, _, err := d.query(ctx, name)
		switch {
		case err != nil:
			return nil, err
		case q.State == "failed":
			return nil, fmt.Errorf("query %s has failed: %v", name, q.Error)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("query %s has not come to an end: %w", name, ctx.Err())
		}
	}
}

// send writes the lines of one of the example topics to another, as records of a format.
func (d *demonstration) send(ctx context.Context, from, to string, partitions int, format *rowFormat) error {
	if _, err := d.post(ctx, "/broker/topics", map[string]any{"name": to, "partitions": partitions}); err != nil {
		return err
	}
	topics, err := examples.Topics()
	if err != nil {
		return err
	}
	for _, topic := range topics {
		if topic.Name != from {
			continue
		}
		p := production{topic: to, partition: -1, format: format}
		if _, err := d.produceLines(ctx, p, bytes.NewReader(topic.Lines), func(produced) {}); err != nil {
			return fmt.Errorf("load %s: %w", to, err)
		}
	}
	return nil
}
