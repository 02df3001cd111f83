package queries

import (
	"database/sql"
	"math"
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver"

	"leat/codecs"
	"leat/internal/testenv"
)

// sqliteTable is random rows, and a table with the same ones in the order of rowid.
type sqliteTable struct {
	*sql.DB
	rows []exprRow
}

func newSQLiteTable(t *testing.T, g exprGen) *sqliteTable {
	t.Helper()
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE t(i, j, f, g, s, u, p, q)"); err != nil {
		t.Fatal(err)
	}
	table := &sqliteTable{DB: db}
	for range 40 {
		r := g.sampleRow(true)
		table.rows = append(table.rows, r)
		values := make([]any, 0, 8)
		for _, name := range []string{"i", "j", "f", "g", "s", "u", "p", "q"} {
			values = append(values, sqlValue(r[name]))
		}
		if _, err := db.Exec("INSERT INTO t VALUES (?,?,?,?,?,?,?,?)", values...); err != nil {
			t.Fatal(err)
		}
	}
	return table
}

func sqlValue(v codecs.Value) any {
	switch v.Kind {
	case codecs.Int:
		return v.Int()
	case codecs.Float:
		return v.Float()
	case codecs.String:
		return v.Str
	case codecs.Bool:
		return int64(v.Num)
	}
	return nil
}

// column evaluates a SQL expression for every row.
func (s *sqliteTable) column(t *testing.T, expr string) []any {
	t.Helper()
	result, err := s.Query("SELECT " + expr + " FROM t ORDER BY rowid")
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer result.Close()
	var values []any
	for result.Next() {
		var v any
		if err := result.Scan(&v); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	if err := result.Err(); err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return values
}

// TestExprSQLite compares values and filters with SQLite where the two mean the same.
func TestExprSQLite(t *testing.T) {
	t.Parallel()
	g := exprGen{testenv.Rand(t)}
	table := newSQLiteTable(t, g)
	compared, kept := 0, 0
	for n := range 600 {
		var text, query string
		isFilter := false
		switch n % 4 {
		case 0:
			text, query = g.number(3)
		case 1:
			text, query = g.text(3)
		case 2:
			text, query = g.logic(4)
		default:
			text, query = g.filter(3)
			isFilter = true
		}
		c, err := compileText(text)
		if err != nil {
			continue // a constant part of it fails, such as 1 / 0
		}
		filter := compileFilter(c.term)
		batch := batchOf(c.paths, table.rows...)
		for r, want := range table.column(t, query) {
			if isFilter {
				v, err := filter.Eval(batch, r)
				if err == nil && v.Bool() != (want != nil && want != int64(0)) {
					t.Fatalf("%s = %v, SQLite says %v of %s, row %v", text, v.Bool(), want, query, table.rows[r])
				}
				kept += int(v.Num)
			} else if v, err := c.expr.Eval(batch, r); err == nil && !sameAsSQL(v, want) {
				t.Fatalf("%s = %s, SQLite says %v of %s, row %v", text, literalText(v), want, query, table.rows[r])
			}
			compared++
		}
	}
	if compared < 10_000 || kept < 200 {
		t.Fatalf("%d values compared, %d rows kept: the generator has lost its point", compared, kept)
	}
}

func sameAsSQL(v codecs.Value, want any) bool {
	switch want := want.(type) {
	case nil:
		return v.IsNull()
	case int64:
		return v.Kind == codecs.Bool && v.Num == uint64(want) || v.IsNumber() && v.AsFloat() == float64(want)
	case float64:
		return v.IsNumber() && math.Abs(v.AsFloat()-want) <= 1e-12*math.Abs(want)
	case string:
		return v.Kind == codecs.String && v.Str == want
	case []byte:
		return v.Kind == codecs.String && v.Str == string(want)
	}
	return false
}
