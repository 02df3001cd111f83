//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
)

// row is one line of the table.
type row struct {
	what     string
	rate     string
	p50, p99 time.Duration // 0 = not measured
	cpu      time.Duration // of the server for an answer, 0 = not measured
	against  string        // how it compares
}

func rowOf(what, unit string, perAnswer float64, s series, against string) row {
	return row{what: what, rate: amount(s.perSecond()*perAnswer) + " " + unit, p50: s.quantile(0.5), p99: s.quantile(0.99), cpu: s.cpu(), against: against}
}

const tableHead = "| what | rate | P50 | P99 | server CPU per answer | against |\n|---|---|---|---|---|---|\n"

func (r row) String() string {
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", r.what, r.rate, latency(r.p50), latency(r.p99), processor(r.cpu), r.against)
}

// amount writes a number with three digits that count.
func amount(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e6, " M"}, {1e3, " k"}} {
		if v >= unit.size {
			return three(v/unit.size) + unit.name
		}
	}
	return three(v)
}

func three(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func latency(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d >= time.Second:
		return three(d.Seconds()) + " s"
	default:
		return three(float64(d)/float64(time.Millisecond)) + " ms"
	}
}

func processor(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return three(float64(d)/float64(time.Microsecond)) + " µs"
}

// The table stands in the document between these lines; the rest is written by
// hand.
const (
	tableBegin = "<!-- make bench -->\n"
	tableEnd   = "<!-- end -->\n"
)

// writeTable puts the rows into a document in place of those that are there; with
// some, only in place of those of the same name, and behind the others where there is
// none.
func writeTable(path, rows string, some bool) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	changed, err := replaceTable(document, rows, some)
	if err == nil {
		err = os.WriteFile(path, changed, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write the figures to %s: %w", path, err)
	}
	return nil
}

func replaceTable(document []byte, rows string, some bool) ([]byte, error) {
	before, rest, found := bytes.Cut(document, []byte(tableBegin))
	old, after, ended := bytes.Cut(rest, []byte(tableEnd))
	if !found || !ended {
		return nil, fmt.Errorf("there are no lines %q and %q", strings.TrimSpace(tableBegin), strings.TrimSpace(tableEnd))
	}
	if some {
		rows = mergeRows(strings.TrimPrefix(string(old), tableHead), rows)
	}
	return bytes.Join([][]byte{before, []byte(tableBegin), []byte(tableHead), []byte(rows), []byte(tableEnd), after}, nil), nil
}

// mergeRows puts fresh rows in the place of old ones that have the same first cell.
func mergeRows(old, fresh string) string {
	rows := make(map[string]string)
	for row := range strings.Lines(fresh) {
		rows[firstCell(row)] = row
	}
	var out strings.Builder
	for row := range strings.Lines(old) {
		name := firstCell(row)
		if again, ok := rows[name]; ok {
			row = again
			delete(rows, name)
		}
		out.WriteString(row)
	}
	for row := range strings.Lines(fresh) {
		if _, left := rows[firstCell(row)]; left {
			out.WriteString(row)
		}
	}
	return out.String()
}

func firstCell(row string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
	return name
}
