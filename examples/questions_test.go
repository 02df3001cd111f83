package examples

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"

	"leat/queries/filerun"
)

// stillClock stands still.
type stillClock struct{}

func (stillClock) Now() time.Time                       { return time.UnixMilli(0) }
func (stillClock) After(time.Duration) <-chan time.Time { return nil }

const questions = "questions"

// TestQuestions runs the cases as "leat query test examples/questions" does.
func TestQuestions(t *testing.T) {
	t.Parallel()
	cases, err := filerun.FindCases([]string{questions}, nil)
	if err != nil || len(cases) < 20 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	for i := range cases {
		r := cases[i].Run(t.Context(), stillClock{}, false)
		if r.Err != nil {
			t.Errorf("%s: %v", r.Name, r.Err)
		}
		for _, d := range r.Differences {
			var text strings.Builder
			if err := d.Write(&text, ""); err != nil {
				t.Fatal(err)
			}
			t.Errorf("%s: %s", r.Name, &text)
		}
	}
}

// TestQuestionsIndex: README.md says of every case what it asks, as its SQL file does.
func TestQuestionsIndex(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := filerun.FindCases([]string{questions}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		text, err := os.ReadFile(filepath.Join(questions, c.Name+".sql"))
		question, _, found := strings.Cut(strings.TrimPrefix(string(text), "-- "), "\n")
		row := fmt.Sprintf("| [`%s`](questions/%s.json) | %s |\n", c.Name, c.Name, question)
		if err != nil || !found || !strings.Contains(string(readme), row) {
			t.Errorf("README.md has no row %q: %v", row, err)
		}
	}
}

// TestQuestionsAgainstSQLite: what is expected is what SQLite says to the same
// question, asked in SQL.
func TestQuestionsAgainstSQLite(t *testing.T) {
	t.Parallel()
	db := openTables(t)
	files, err := filepath.Glob(filepath.Join(questions, "*.sql"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".sql")
		expected := base + ".ndjson"
		if !strings.HasSuffix(base, ".late") && !strings.HasSuffix(base, ".dead_letters") {
			expected = base + ".expected.ndjson"
		}
		query, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(filepath.Base(base), ".")
		loadInput(t, db, filepath.Join(questions, name+".input.ndjson"))
		want := answers(t, db, string(query))
		got := rowsOf(t, expected)
		if len(got) != len(want) || len(want) == 0 {
			t.Errorf("%s has %d rows, SQLite %d", expected, len(got), len(want))
			continue
		}
		for i := range want {
			if err := sameRow(got[i], want[i], expected == base+".expected.ndjson"); err != nil {
				t.Errorf("%s, line %d: %v\nis     %v\nSQLite %v", expected, i+1, err, got[i], want[i])
			}
		}
	}
}

// openTables makes tables of the example data; i is the number of the line, from 0.
func openTables(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	topics, err := Topics()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE input(i INTEGER PRIMARY KEY, line)"); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		z, err := gzip.NewReader(bytes.NewReader(topic.Lines))
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if _, err := text.ReadFrom(z); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		if err := createTable(db, topic.Name, lines); err != nil {
			t.Fatal(err)
		}
	}
	names, err := os.ReadFile("nyc2013/airlines.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE airlines AS SELECT l.value ->> 'key' AS key, l.value ->> '$.value.name' AS name, l.value ->> '$.value.regional' AS regional
		FROM json_each(?) AS l`, "["+strings.Join(strings.Split(strings.TrimSpace(string(names)), "\n"), ",")+"]"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE INDEX flights_by_time ON flights(origin, dep)"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE INDEX weather_by_time ON weather(origin, time)"); err != nil {
		t.Fatal(err)
	}
	return db
}

// createTable makes a table with a column for each member of the first line; SQLite
// reads the JSON itself.
func createTable(db *sql.DB, name string, lines []string) error {
	var members map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &members); err != nil {
		return err
	}
	columns := []string{"l.key AS i"}
	for member := range members {
		columns = append(columns, fmt.Sprintf("l.value ->> '%s' AS %s", member, member))
	}
	_, err := db.Exec(fmt.Sprintf("CREATE TABLE %s AS SELECT %s FROM json_each(?) AS l", name, strings.Join(columns, ", ")),
		"["+strings.Join(lines, ",")+"]")
	return err
}

// loadInput fills the table input with the lines of a case's own input.
func loadInput(t *testing.T, db *sql.DB, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("DELETE FROM input"); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if _, err := db.Exec("INSERT INTO input VALUES (?, ?)", i, line); err != nil {
			t.Fatal(err)
		}
	}
}

// answers asks SQLite. Integers are int64, other numbers float64.
func answers(t *testing.T, db *sql.DB, query string) []map[string]any {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%v in\n%s", err, query)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for rows.Next() {
		values, into, row := make([]any, len(names)), make([]any, len(names)), map[string]any{}
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			row[name] = values[i]
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%v in\n%s", err, query)
	}
	return all
}

func rowsOf(t *testing.T, file string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for line := range strings.Lines(string(text)) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

// sameRow compares a row with SQLite's: all its members, or those that SQLite names.
func sameRow(got, want map[string]any, all bool) error {
	if all && len(got) != len(want) {
		return fmt.Errorf("%d members instead of %d", len(got), len(want))
	}
	for name, w := range want {
		g, found := got[name]
		if !found {
			return fmt.Errorf("there is no %q", name)
		}
		if list, ok := g.([]any); ok {
			var other []any
			if text, ok := w.(string); !ok || json.Unmarshal([]byte(text), &other) != nil || !reflect.DeepEqual(list, other) {
				return fmt.Errorf("%q differs", name)
			}
			continue
		}
		if n, ok := w.(int64); ok {
			w = float64(n)
		}
		x, number := g.(float64)
		y, alike := w.(float64)
		if number && alike && math.Abs(x-y) <= 1e-9*math.Max(1, math.Abs(y)) {
			continue
		}
		if !reflect.DeepEqual(g, w) {
			return fmt.Errorf("%q differs", name)
		}
	}
	return nil
}
