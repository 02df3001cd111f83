package main

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver"

	"leat/examples"
	"leat/internal/testenv"
)

// yearTopic is a year of example data on its way into a topic, in a format.
type yearTopic struct {
	name, source string // source are the members of a spec
	lines        []string
	partitions   int
	format       *rowFormat
	end          string // a row behind all others, which matches nothing
}

// yearTopics are the flights as Avro and the weather as Protobuf, over different numbers of
// partitions.
func yearTopics(t *testing.T) []*yearTopic {
	t.Helper()
	lines := map[string][]string{}
	topics, err := examples.Topics()
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		z, err := gzip.NewReader(bytes.NewReader(topic.Lines))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		lines[topic.Name] = strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	schema := func(file string) string {
		text, err := examples.Format(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	flights := &yearTopic{
		name: "flights", lines: lines["flights"], partitions: 4,
		end: `{"carrier":"XX","flight":1,"tailnum":null,"origin":"EWR","dest":"X","sched_dep":4102444800000,"dep":4102444800000,"dep_delay":0,"arr_delay":0,"air_time":0,"distance":0}`,
	}
	if flights.format, err = avroRows(schema("flight.avsc")); err != nil {
		t.Fatal(err)
	}
	weather := &yearTopic{name: "weather", lines: lines["weather"], partitions: 7, end: `{"origin":"EWR","time":4102531200000}`}
	if weather.format, err = protobufRows(t.Context(), schema("weather.proto"), ""); err != nil {
		t.Fatal(err)
	}
	for topic, text := range map[*yearTopic]string{flights: schema("flight.avsc"), weather: schema("weather.proto")} {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		topic.source = fmt.Sprintf(`"topic":%q,"format":%q,"schema":%s`, topic.name, topic.format.name, quoted)
	}
	return []*yearTopic{flights, weather}
}

// send produces the lines from one to another: line i to partition i modulo their number.
func (y *yearTopic) send(t *testing.T, c *client, from, to int) {
	t.Helper()
	parts := make([]bytes.Buffer, y.partitions)
	for i, line := range y.lines[from:to] {
		fmt.Fprintln(&parts[(from+i)%y.partitions], line)
	}
	for p := range parts {
		if to == len(y.lines) {
			fmt.Fprintln(&parts[p], y.end)
		}
		if _, err := c.produceLines(t.Context(), production{topic: y.name, partition: p, format: y.format}, &parts[p], func(produced) {}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFaultsWeather joins the flights of a year, as Avro, with the weather, as Protobuf, on
// a server that is killed with half of the year read, and again as soon as more has come:
// the rows of every kind of join, in windows of an hour and within half an hour, are
// SQLite's, in the same order.
func TestFaultsWeather(t *testing.T) {
	t.Parallel()
	topics := yearTopics(t)
	db := yearTables(t, topics)
	dir := t.TempDir()
	server := start(t, dir)
	c := dial(t, server.url)
	for _, y := range topics {
		c.mustPost(t, "/broker/topics", map[string]any{"name": y.name, "partitions": y.partitions})
	}
	want := map[string][]string{}
	for _, kind := range []string{"inner", "left", "right", "full"} {
		for _, w := range []struct{ name, window, condition string }{
			{"hour", `{"tumbling":"1h"}`, "f.dep - f.dep % 3600000 = w.time - w.time % 3600000"},
			{"within", `{"within":"30m"}`, "w.time BETWEEN f.dep - 1800000 AND f.dep + 1800000"},
		} {
			name := kind + "_" + w.name
			c.mustStart(t, fmt.Appendf(nil, `{"name":%q,"join":{"type":%q,"on":[["origin","origin"]],"window":%s,
				"left":{%s,"event_time":"dep"},"right":{%s,"event_time":"time"}},
				"select":{"origin":"left.origin ?? right.origin","flight":"left.flight","dep":"left.dep","time":"right.time","wind":"right.wind_dir"}}`,
				name, kind, w.window, topics[0].source, topics[1].source))
			want[name] = yearJoin(t, db, kind, w.condition, topics)
		}
	}
	sent := 0.0
	send := func(part float64) {
		for _, y := range topics {
			y.send(t, c, int(sent*float64(len(y.lines))), int(part*float64(len(y.lines))))
		}
		sent = part
	}
	again := func() {
		server.Kill()
		server = start(t, dir)
		c = dial(t, server.url)
	}
	send(0.5)
	for name := range want {
		testenv.Succeeds(t, name+" gives rows", func() error {
			q, _, err := c.query(t.Context(), name)
			if err == nil && q.Rows.Out == 0 {
				err = fmt.Errorf("it is %s (%v), %s", q.State, q.Error, q.Rows)
			}
			return err
		})
	}
	again()
	send(0.75)
	again()
	send(1)
	for name, rows := range want {
		c.sameYear(t, name, rows)
	}
}

// sameYear waits for the rows of a query, and compares them.
func (c *client) sameYear(t *testing.T, name string, rows []string) {
	t.Helper()
	var got []json.RawMessage
	for last := int64(-1); len(got) < len(rows); last = int64(len(got)) {
		testenv.Succeeds(t, name+" goes on", func() error {
			page, err := c.rows(t.Context(), name, "results", rowRange{offset: int64(len(got))})
			if got = append(got, page.Rows...); err == nil && int64(len(got)) <= last {
				err = fmt.Errorf("it has %d rows of %d", len(got), len(rows))
			}
			return err
		})
	}
	if len(got) > len(rows) {
		t.Errorf("%s has %d rows, and SQLite %d", name, len(got), len(rows))
	}
	for i, row := range rows {
		if string(got[i]) != row {
			t.Errorf("%s: row %d is %s, and SQLite's %s", name, i, got[i], row)
			break
		}
	}
	if len(rows) < 20_000 {
		t.Errorf("%s has %d rows only", name, len(rows))
	}
	if q, _, err := c.query(t.Context(), name); err != nil || q.Rows.Late+q.Rows.Dead+q.Rows.Filtered > 0 {
		t.Errorf("%s: %v, %s", name, err, q.Rows)
	}
}

// yearTables are the lines in SQLite, numbered from 0.
func yearTables(t *testing.T, topics []*yearTopic) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	for i, columns := range []string{
		"l.value ->> 'origin' AS origin, l.value ->> 'flight' AS flight, l.value ->> 'dep' AS dep",
		"l.value ->> 'origin' AS origin, l.value ->> 'time' AS time, l.value ->> 'wind_dir' AS wind_dir",
	} {
		if _, err := db.Exec(fmt.Sprintf("CREATE TABLE %s AS SELECT l.key AS i, %s FROM json_each(?) AS l", topics[i].name, columns),
			"["+strings.Join(topics[i].lines, ",")+"]"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(`CREATE INDEX by_time ON weather(origin, time); CREATE INDEX by_dep ON flights(origin, dep);
		CREATE INDEX by_hour ON weather(origin, time - time % 3600000); CREATE INDEX by_dep_hour ON flights(origin, dep - dep % 3600000)`); err != nil {
		t.Fatal(err)
	}
	return db
}

// yearJoin is what SQLite says.
func yearJoin(t *testing.T, db *sql.DB, kind, condition string, topics []*yearTopic) (rows []string) {
	t.Helper()
	found, err := db.Query(fmt.Sprintf(`SELECT json_object('origin', coalesce(f.origin, w.origin), 'flight', f.flight, 'dep', f.dep, 'time', w.time, 'wind', w.wind_dir)
		FROM flights f %s JOIN weather w ON f.origin = w.origin AND %s
		ORDER BY max(coalesce(f.dep, w.time), coalesce(w.time, f.dep)), coalesce(f.i %% %d, -1), f.i, coalesce(w.i %% %d, -1), w.i`,
		kind, condition, topics[0].partitions, topics[1].partitions))
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var row string
		if err := found.Scan(&row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}
