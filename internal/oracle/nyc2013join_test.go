package oracle

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"leat/codecs/formats"
	"leat/examples"
	"leat/internal/bus"
	"leat/internal/testenv"
	"leat/log"
	"leat/queries"
	"leat/queries/fakebus"
)

// weatherJoin is a join of flights and weather on their airport.
type weatherJoin struct {
	kind, window, condition string
	members                 [2]string       // of the sides, that say how the lines are written
	formats                 queries.Formats // nil: JSON only
}

func weatherJoins() (list []weatherJoin) {
	const hour, within = "f.dep - f.dep % 3600000 = w.time - w.time % 3600000", "w.time BETWEEN f.dep - 1800000 AND f.dep + 1800000"
	for _, kind := range []string{"inner", "left", "right", "full"} {
		list = append(list, weatherJoin{kind: kind, window: `{"tumbling":"1h"}`, condition: hour},
			weatherJoin{kind: kind, window: `{"within":"30m"}`, condition: within})
	}
	return list
}

func (j weatherJoin) spec() []byte {
	return fmt.Appendf(nil, `{"name":"q","join":{"type":%q,"on":[["origin","origin"]],"window":%s,
		"left":{"topic":"flights","until":"end","event_time":"dep"%s},"right":{"topic":"weather","until":"end","event_time":"time"%s}},
		"select":{"origin":"left.origin ?? right.origin","flight":"left.flight","dep":"left.dep","time":"right.time","wind":"right.wind_dir"}}`,
		j.kind, j.window, j.members[0], j.members[1])
}

// exampleLines are the records of one of the example topics.
func exampleLines(t *testing.T, name string) (lines [][]byte) {
	t.Helper()
	topics, err := examples.Topics()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(topics, func(topic examples.Topic) bool { return topic.Name == name })
	unzipped, err := gzip.NewReader(bytes.NewReader(topics[at].Lines))
	if err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(unzipped)
	for scanner.Scan() {
		lines = append(lines, slices.Clone(scanner.Bytes()))
	}
	if scanner.Err() != nil || len(lines) < 20_000 {
		t.Fatalf("%d lines of %s: %v", len(lines), name, scanner.Err())
	}
	return lines
}

// insertLines makes a table of the lines, numbered from 0.
func insertLines(t *testing.T, db *sql.DB, table string, lines [][]byte, columns ...string) {
	t.Helper()
	if _, err := db.Exec(fmt.Sprintf("CREATE TABLE %s(i INTEGER PRIMARY KEY, %s)", table, strings.Join(columns, ", "))); err != nil {
		t.Fatal(err)
	}
	mark := "(?" + strings.Repeat(",?", len(columns)) + ")"
	for from := 0; from < len(lines); {
		var values []any
		to := min(from+1000, len(lines))
		for i, line := range lines[from:to] {
			var row map[string]any
			d := json.NewDecoder(bytes.NewReader(line))
			d.UseNumber()
			if err := d.Decode(&row); err != nil {
				t.Fatal(err)
			}
			values = append(values, from+i)
			for _, c := range columns {
				v := row[c]
				if n, ok := v.(json.Number); ok {
					v, _ = n.Int64()
				}
				values = append(values, v)
			}
		}
		if _, err := db.Exec("INSERT INTO "+table+" VALUES "+strings.Repeat(mark+",", to-from-1)+mark, values...); err != nil {
			t.Fatal(err)
		}
		from = to
	}
}

// answer is what SQLite says, over n partitions of flights and m of weather.
func (j weatherJoin) answer(t *testing.T, db *sql.DB, n, m int) (rows []string) {
	t.Helper()
	kind := map[string]string{"inner": "JOIN", "left": "LEFT JOIN", "right": "RIGHT JOIN", "full": "FULL JOIN"}[j.kind]
	found, err := db.Query(fmt.Sprintf(`SELECT coalesce(f.origin, w.origin), f.flight, f.dep, w.time, w.wind_dir
		FROM flights f %s weather w ON f.origin = w.origin AND %s
		ORDER BY max(coalesce(f.dep, w.time), coalesce(w.time, f.dep)),
			coalesce(f.i %% %d, -1), f.i, coalesce(w.i %% %d, -1), w.i`, kind, j.condition, n, m))
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var origin string
		var numbers [4]sql.NullInt64
		if err := found.Scan(&origin, &numbers[0], &numbers[1], &numbers[2], &numbers[3]); err != nil {
			t.Fatal(err)
		}
		row := fmt.Sprintf(`{"origin":%q`, origin)
		for i, name := range []string{"flight", "dep", "time", "wind"} {
			text := "null"
			if numbers[i].Valid {
				text = fmt.Sprint(numbers[i].Int64)
			}
			row += fmt.Sprintf(`,%q:%s`, name, text)
		}
		rows = append(rows, row+"}")
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestWeatherAgainstSQLite joins a year of flights with the weather, over several
// numbers of partitions, batches of random sizes and jobs that are killed: in JSON, and
// the flights as Avro with the weather as Protobuf.
func TestWeatherAgainstSQLite(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	flights, weather := exampleLines(t, "flights"), exampleLines(t, "weather")
	insertLines(t, db, "flights", flights, "origin", "flight", "dep")
	insertLines(t, db, "weather", weather, "origin", "time", "wind_dir")
	if _, err := db.Exec(`CREATE INDEX by_time ON weather(origin, time); CREATE INDEX by_dep ON flights(origin, dep);
		CREATE INDEX by_hour ON weather(origin, time - time % 3600000)`); err != nil {
		t.Fatal(err)
	}
	avro, proto := flightFormats(t)[0], weatherFormat(t)
	avroFlights, protoWeather := avro.lines(t, flights), proto.lines(t, weather)
	random := testenv.Rand(t)
	for _, parts := range [][2]int{{1, 1}, {4, 7}, {7, 1}} {
		for _, j := range weatherJoins() {
			want := j.answer(t, db, parts[0], parts[1])
			mixed := j
			mixed.members, mixed.formats = [2]string{avro.members, proto.members}, formats.New(nil)
			for _, c := range []struct {
				join             weatherJoin
				flights, weather [][]byte
			}{{j, flights, weather}, {mixed, avroFlights, protoWeather}} {
				got, runs := c.join.run(t, random, c.flights, c.weather, parts)
				if err := sameList("row", want, got); err != nil {
					t.Errorf("%+v over %v partitions, %d runs: %v", c.join, parts, runs, err)
				}
				if len(want) < 20_000 || runs < 2 {
					t.Errorf("%+v over %v partitions: %d rows in %d runs", c.join, parts, len(want), runs)
				}
			}
		}
	}
}

func (j weatherJoin) run(t *testing.T, random *rand.Rand, flights, weather [][]byte, parts [2]int) (rows []string, runs int) {
	t.Helper()
	b := fakebus.New()
	for i, topic := range []struct {
		name  string
		lines [][]byte
	}{{"flights", flights}, {"weather", weather}} {
		if err := b.CreateTopic(topic.name, int32(parts[i])); err != nil {
			t.Fatal(err)
		}
		deal(t, topic.lines, parts[i], func(p int32, block log.Block) error {
			var values [][]byte
			cursor := block.Records(0, 0)
			for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
				values = append(values, r.Value)
			}
			return b.Append(topic.name, p, values...)
		})
	}
	_, plan, _, problems := queries.Names{Topics: b, Formats: j.formats}.Compile(t.Context(), j.spec())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	kills := 3
	b.Interfere(func(n int, _ bus.Txn) fakebus.Outcome {
		if n < 3 || kills == 0 || kills < 3 && random.IntN(5) > 0 {
			return fakebus.Pass
		}
		kills--
		return fakebus.KillBefore + fakebus.Outcome(random.IntN(2))
	})
	for runs = 1; ; runs++ {
		job := queries.NewJob(queries.JobConfig{
			ID: queryID, Owner: fmt.Sprint("owner ", runs), Shard: fakebus.DataShard, Plan: plan, Topics: b, Docs: b,
			Clock:   &hurry{random: rand.New(rand.NewPCG(random.Uint64(), 0))},
			Options: queries.RunOptions{ReadSeed: random.Uint64(), BatchRows: 1 + random.IntN(3000), EpochRows: 1 + random.IntN(20_000)},
		})
		err := job.Run(t.Context())
		switch {
		case err == nil:
			rows, err = readAll(b, "$results/"+queryID)
			if err != nil {
				t.Fatal(err)
			}
			return rows, runs
		case !errors.Is(err, fakebus.ErrKilled):
			t.Fatal(err)
		}
	}
}
