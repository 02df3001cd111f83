package oracle

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"

	"leat/cluster"
	"leat/internal/bus"
	"leat/log"
	"leat/queries"
	"leat/queries/fakebus"
)

// flightQuery is a query over a year of flights, day by day and by origin.
type flightQuery struct {
	name, eventTime, outOfOrder string
	delayMs                     int64
}

func flightQueries() []flightQuery {
	return []flightQuery{
		{"by_departure", "dep", "0s", 0},
		{"by_schedule", "sched_dep", "24h", day},
		{"by_schedule_strict", "sched_dep", "0s", 0},
	}
}

// spec is the query over a source with more members.
func (q flightQuery) spec(members string) []byte {
	return fmt.Appendf(nil, `{"name":%q,"source":{"topic":"flights","until":"end","event_time":%q,"max_out_of_orderness":%q%s},
		"group_by":["origin"],"window":{"tumbling":"24h"},
		"aggregate":{"flights":"count()","avg_delay":"avg(dep_delay)","least":"min(dep_delay)","most":"max(dep_delay)"}}`,
		q.name, q.eventTime, q.outOfOrder, members)
}

// flightLines are the records of the example data in their order.
func flightLines(t *testing.T) [][]byte {
	t.Helper()
	lines := exampleLines(t, "flights")
	if len(lines) != 32_735 {
		t.Fatalf("%d flights", len(lines))
	}
	return lines
}

// flightTable is the flights in the order of the lines, in SQLite too.
type flightTable struct {
	lines   [][]byte
	members string          // of the source, that say how the lines are written
	formats queries.Formats // nil: JSON only
	db      *sql.DB
	answers map[string]flightAnswer
}

// flightAnswer is what SQLite says of a query: its rows, and by partition the late
// ones.
type flightAnswer struct {
	rows []string
	late [][]string
}

func newFlightTable(t *testing.T) *flightTable {
	t.Helper()
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE flights(i INTEGER PRIMARY KEY, origin, dep_delay, dep, sched_dep)`); err != nil {
		t.Fatal(err)
	}
	table := &flightTable{lines: flightLines(t), db: db, answers: map[string]flightAnswer{}}
	for from := 0; from < len(table.lines); {
		var values []any
		to := min(from+1000, len(table.lines))
		for i, line := range table.lines[from:to] {
			var f struct {
				Origin   string `json:"origin"`
				Dep      int64  `json:"dep"`
				SchedDep int64  `json:"sched_dep"`
				DepDelay *int64 `json:"dep_delay"`
			}
			if err := json.Unmarshal(line, &f); err != nil {
				t.Fatal(err)
			}
			values = append(values, from+i, f.Origin, f.DepDelay, f.Dep, f.SchedDep)
		}
		if _, err := db.Exec("INSERT INTO flights VALUES "+strings.Repeat("(?,?,?,?,?),", to-from-1)+"(?,?,?,?,?)", values...); err != nil {
			t.Fatal(err)
		}
		from = to
	}
	return table
}

// answer asks SQLite about a query over n partitions that take turns.
func (f *flightTable) answer(t *testing.T, q flightQuery, n int) flightAnswer {
	t.Helper()
	name := fmt.Sprint(q.name, n)
	if a, ok := f.answers[name]; ok {
		return a
	}
	const judged = `CREATE TEMP TABLE judged AS SELECT i, i %% %[2]d AS p, i / %[2]d AS o, origin, dep_delay, %[1]s AS t,
		%[1]s - %[1]s %% 86400000 AS start,
		max(%[1]s) OVER (PARTITION BY i %% %[2]d ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - %[3]d AS w
		FROM flights`
	if _, err := f.db.Exec("DROP TABLE IF EXISTS temp.judged; " + fmt.Sprintf(judged, q.eventTime, n, q.delayMs)); err != nil {
		t.Fatal(err)
	}
	a := flightAnswer{rows: f.days(t), late: make([][]string, n)}
	missed, err := f.db.Query(`SELECT i, p, o, t, w, start FROM judged WHERE start + 86400000 <= w ORDER BY p, o`)
	if err != nil {
		t.Fatal(err)
	}
	defer missed.Close()
	for missed.Next() {
		var i, p, o, at, w, start int64
		if err := missed.Scan(&i, &p, &o, &at, &w, &start); err != nil {
			t.Fatal(err)
		}
		a.late[p] = append(a.late[p], fmt.Sprintf(`{"topic":"flights","partition":%d,"offset":%d,"event_time":%d,"watermark":%d,"window_start":%d,"window_end":%d,"value_b64":%q}`,
			p, o, at, w, start, start+day, base64.StdEncoding.EncodeToString(f.lines[i])))
	}
	if err := missed.Err(); err != nil {
		t.Fatal(err)
	}
	f.answers[name] = a
	return a
}

// days are the rows of those flights that are not late.
func (f *flightTable) days(t *testing.T) (rows []string) {
	t.Helper()
	days, err := f.db.Query(`SELECT origin, count(*), avg(dep_delay), min(dep_delay), max(dep_delay), start FROM judged
		WHERE w IS NULL OR start + 86400000 > w GROUP BY start, origin ORDER BY start, origin`)
	if err != nil {
		t.Fatal(err)
	}
	defer days.Close()
	for days.Next() {
		var origin string
		var count, least, most, start int64
		var average float64
		if err := days.Scan(&origin, &count, &average, &least, &most, &start); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprintf(`{"origin":%q,"flights":%d,"avg_delay":%s,"least":%d,"most":%d,"window_start":%d,"window_end":%d}`,
			origin, count, ofFloat(average).json(), least, most, start, start+day))
	}
	if err := days.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// compare holds what the engine has given against SQLite's answer.
func (f *flightTable) compare(t *testing.T, q flightQuery, n int, rows, late []string) {
	t.Helper()
	want := f.answer(t, q, n)
	if err := sameList("row", want.rows, rows); err != nil {
		t.Errorf("%s, %d partitions: %v", q.name, n, err)
	}
	got := make([][]string, n)
	for _, text := range late {
		var l letter
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		got[*l.Partition] = append(got[*l.Partition], text)
	}
	for p := range n {
		if err := sameList(fmt.Sprintf("late row of partition %d", p), want.late[p], got[p]); err != nil {
			t.Errorf("%s, %d partitions: %v", q.name, n, err)
		}
	}
	if none := q.name != "by_schedule_strict"; len(want.rows) < 3*365 || none != (len(late) == 0) {
		t.Errorf("%s, %d partitions: %d rows, %d late ones", q.name, n, len(want.rows), len(late))
	}
}

// deal gives the lines to n partitions in turn, in blocks.
func deal(t *testing.T, lines [][]byte, n int, put func(p int32, b log.Block) error) {
	t.Helper()
	const size = 2000
	for p := range n {
		var b log.Block
		for i := p; i < len(lines); i += n {
			if b.Add(nil, lines[i]); b.Count == size || i+n >= len(lines) {
				if err := put(int32(p), b); err != nil {
					t.Fatal(err)
				}
				b = log.Block{}
			}
		}
	}
}

// TestFlightsAgainstSQLite asks about a year of flights over one partition, over four,
// and over four of a real node.
func TestFlightsAgainstSQLite(t *testing.T) {
	t.Parallel()
	table := newFlightTable(t)
	t.Run("one partition", func(t *testing.T) { table.onBus(t, 1) })
	t.Run("four partitions", func(t *testing.T) { table.onBus(t, 4) })
	t.Run("node", func(t *testing.T) { table.onNode(t, 4) })
}

func (f *flightTable) onBus(t *testing.T, n int) {
	b := fakebus.New()
	if err := b.CreateTopic("flights", int32(n)); err != nil {
		t.Fatal(err)
	}
	deal(t, f.lines, n, func(p int32, block log.Block) error {
		var values [][]byte
		cursor := block.Records(0, 0)
		for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
			values = append(values, r.Value)
		}
		return b.Append("flights", p, values...)
	})
	for i, q := range flightQueries() {
		_, plan, _, problems := queries.Names{Topics: b, Formats: f.formats}.Compile(t.Context(), q.spec(f.members))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		job := queries.NewJob(queries.JobConfig{
			ID: q.name, Owner: q.name, Shard: fakebus.DataShard, Plan: plan, Topics: b, Docs: b,
			Clock:   &hurry{random: rand.New(rand.NewPCG(uint64(n), uint64(i)))},
			Options: queries.RunOptions{ReadSeed: uint64(1 + i), BatchRows: 1000},
		})
		if err := job.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := readAll(b, "$results/"+q.name)
		if err != nil {
			t.Fatal(err)
		}
		late, err := readAll(b, "$late/"+q.name)
		if err != nil {
			t.Fatal(err)
		}
		f.compare(t, q, n, rows, late)
	}
}

// wallClock is the clock of a real node.
type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// onNode asks a real node, all three queries at once.
func (f *flightTable) onNode(t *testing.T, n int) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	node := startNode(t, ctx)
	if _, err := node.CreateTopic(ctx, "flights", int32(n)); err != nil {
		t.Fatal(err)
	}
	deal(t, f.lines, n, func(p int32, b log.Block) error {
		_, err := node.Append(ctx, bus.Append{Topic: "flights", Partition: p, Block: b})
		return err
	})
	manager := queries.NewManager(queries.ManagerConfig{Topics: node, Docs: node, Clock: wallClock{}, Owner: "one"})
	running, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(running) }()
	defer func() {
		end()
		if err := <-ended; err != nil {
			t.Errorf("manager: %v", err)
		}
	}()
	for _, q := range flightQueries() {
		if _, _, _, err := manager.Create(ctx, q.spec("")); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range flightQueries() {
		rows := collect(t, ctx, manager, q.name, manager.Results)
		f.compare(t, q, n, rows, collect(t, ctx, manager, q.name, manager.Late))
	}
}

// startNode runs a node until the test ends.
func startNode(t *testing.T, ctx context.Context) *cluster.Node {
	t.Helper()
	node, err := cluster.Open(cluster.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- node.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("node: %v", err)
		}
	})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for node.Ready() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the node is not ready: %v", node.Ready())
		}
	}
	return node
}

// collect reads one of a query's logs until it is complete.
func collect(t *testing.T, ctx context.Context, m *queries.Manager, name string, read func(string, log.Offset, int) (queries.Rows, error)) []string {
	t.Helper()
	var list []string
	for at := log.Offset(0); ; {
		changed, err := m.WaitResults(name, at)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := read(name, at, 1000)
		if err != nil || rows.Stopped != nil {
			t.Fatal(err, rows.Stopped)
		}
		for _, r := range rows.Rows {
			list = append(list, string(r))
		}
		at = rows.Next
		switch {
		case rows.Complete:
			return list
		case len(rows.Rows) > 0:
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s: not complete after %d rows", name, len(list))
		}
	}
}
