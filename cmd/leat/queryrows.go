package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// rowsPage is what the calls for rows answer.
type rowsPage struct {
	OK       bool              `json:"ok"`
	Rows     []json.RawMessage `json:"rows"`
	Next     int64             `json:"next_offset"`
	Complete *bool             `json:"complete,omitempty"`
}

// rowRange is a run of rows asked for.
type rowRange struct {
	offset int64
	limit  int64 // 0 = all there are
}

func (r *rowRange) flags(c *cobra.Command) {
	c.Flags().Int64Var(&r.offset, "offset", 0, "offset of the first row")
	c.Flags().Int64Var(&r.limit, "limit", 100, "most rows to print, 0 for all there are")
}

func (r *rowRange) check() error {
	if r.offset < 0 || r.limit < 0 {
		return usage("--offset and --limit have to be 0 or above")
	}
	return nil
}

// rows reads rows of one of a query's logs: results, late or dead-letters.
func (c *client) rows(ctx context.Context, query, log string, r rowRange) (rowsPage, error) {
	all := rowsPage{OK: true, Rows: []json.RawMessage{}, Next: r.offset}
	for r.limit == 0 || int64(len(all.Rows)) < r.limit {
		body, err := c.get(ctx, route("queries", query, log), url.Values{
			"offset": {strconv.FormatInt(all.Next, 10)},
			"limit":  {strconv.FormatInt(pageSize(r.limit, r.limit-int64(len(all.Rows))), 10)},
		})
		if err != nil {
			return all, err
		}
		var page rowsPage
		if err := readAnswer(body, &page); err != nil {
			return all, err
		}
		all.Rows = append(all.Rows, page.Rows...)
		all.Next, all.Complete = page.Next, page.Complete
		if len(page.Rows) == 0 {
			break
		}
	}
	return all, nil
}

// rowCommand makes a command that prints rows of one of a query's logs.
func (s *session) rowCommand(use, log, short, example string, draw func([]json.RawMessage) (*grid, error)) *cobra.Command {
	var r rowRange
	c := &cobra.Command{
		Use: use, Short: short, Example: example, Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.check(); err != nil {
				return err
			}
			return s.printRows(cmd.Context(), args[0], log, r, draw)
		},
	}
	r.flags(c)
	return c
}

func (s *session) printRows(ctx context.Context, query, log string, r rowRange, draw func([]json.RawMessage) (*grid, error)) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.close()
	page, err := c.rows(ctx, query, log, r)
	if err != nil {
		return err
	}
	if s.format == formatTable {
		g, err := draw(page.Rows)
		if err != nil || len(g.rows) == 0 {
			return err
		}
		return g.write(s.out, "")
	}
	body, err := json.Marshal(page)
	if err != nil {
		return fmt.Errorf("encode the rows: %w", err)
	}
	return writeDocument(s.out, s.format, body)
}

func newQueryResults(s *session) *cobra.Command {
	var follow bool
	var r rowRange
	c := &cobra.Command{
		Use:   "results NAME",
		Short: "Print the rows a query has produced",
		Example: `  leat query results delays_by_day
  leat query results delays_by_day --offset 3 --limit 3 -o json
  leat query results delays_by_day --follow`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.check(); err != nil {
				return err
			}
			if !follow {
				return s.printRows(cmd.Context(), args[0], "results", r, drawRows)
			}
			if !cmd.Flags().Changed("limit") {
				r.limit = 0
			}
			return s.followRows(cmd.Context(), args[0], r)
		},
	}
	r.flags(c)
	c.Flags().BoolVar(&follow, "follow", false, "print rows as they come, until interrupted or the query is complete; no limit by default")
	return c
}

func drawRows(rows []json.RawMessage) (*grid, error) {
	g := rowGrid(rows)
	timeColumns(g)
	return g, nil
}

// timeColumns shows the members that are named as bounds of a window as times.
func timeColumns(g *grid) {
	for i, name := range g.header {
		if name != "window_start" && name != "window_end" {
			continue
		}
		for _, row := range g.rows {
			if ms, err := strconv.ParseInt(row[i], 10, 64); err == nil {
				row[i] = instant(ms)
			}
		}
	}
}

func newQueryLate(s *session) *cobra.Command {
	return s.rowCommand("late NAME", "late", "Print the rows that came after their window was closed",
		"  leat query late delays_by_schedule --limit 5", drawLate)
}

// letter is one row of a query's late or dead-letter log.
type letter struct {
	Topic       *string `json:"topic"`
	Partition   *int64  `json:"partition"`
	Offset      *int64  `json:"offset"`
	EventTime   int64   `json:"event_time"`
	Watermark   int64   `json:"watermark"`
	WindowStart int64   `json:"window_start"`
	WindowEnd   int64   `json:"window_end"`
	Operator    string  `json:"operator"`
	Reason      string  `json:"reason"`
	Value       []byte  `json:"value_b64"`
}

func readLetters(rows []json.RawMessage) ([]letter, error) {
	letters := make([]letter, len(rows))
	for i, row := range rows {
		if err := readAnswer(row, &letters[i]); err != nil {
			return nil, err
		}
	}
	return letters, nil
}

func drawLate(rows []json.RawMessage) (*grid, error) {
	g := &grid{header: []string{"TOPIC", "PARTITION", "OFFSET", "EVENT TIME", "WATERMARK", "WINDOW START", "WINDOW END", "VALUE"}}
	letters, err := readLetters(rows)
	for _, l := range letters {
		g.add(optional(l.Topic), optional(l.Partition), optional(l.Offset), instant(l.EventTime), instant(l.Watermark),
			instant(l.WindowStart), instant(l.WindowEnd), clip(l.Value))
	}
	return g, err
}

func newQueryDead(s *session) *cobra.Command {
	return s.rowCommand("dead-letters NAME", "dead-letters", "Print the rows a query could not work on, with the reason",
		"  leat query dead-letters delays_by_day", drawDead)
}

func drawDead(rows []json.RawMessage) (*grid, error) {
	g := &grid{header: []string{"TOPIC", "PARTITION", "OFFSET", "OPERATOR", "REASON", "VALUE"}}
	letters, err := readLetters(rows)
	for _, l := range letters {
		g.add(optional(l.Topic), optional(l.Partition), optional(l.Offset), l.Operator, l.Reason, clip(l.Value))
	}
	return g, err
}

// clip shortens a record to what fits into a table.
func clip(value []byte) string {
	const most = 60
	if runes := []rune(string(value[:min(len(value), 4*most)])); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(value)
}

func optional[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}

// followRows prints rows as the server sends them.
func (s *session) followRows(ctx context.Context, query string, r rowRange) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.close()
	q := url.Values{"follow": {"1"}, "offset": {strconv.FormatInt(r.offset, 10)}}
	if r.limit > 0 {
		q.Set("limit", strconv.FormatInt(r.limit, 10))
	}
	printer := &rowPrinter{w: s.out}
	return c.followResults(ctx, query, q, func(line []byte, row json.RawMessage) error {
		if s.format != formatTable {
			return writeItem(s.out, s.format, line)
		}
		return printer.print(row)
	})
}

// followResults hands every row to each until the stream ends. line is the row
// with its offset.
func (c *client) followResults(ctx context.Context, query string, q url.Values, each func(line []byte, row json.RawMessage) error) error {
	response, err := c.open(ctx, request{
		method: http.MethodGet, path: route("queries", query, "results"), query: q, accept: "application/x-ndjson",
	})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return c.failed(ctx, err)
		}
		var item struct {
			Row   json.RawMessage `json:"row"`
			Error string          `json:"error"`
		}
		if err := readAnswer(line, &item); err != nil {
			return err
		}
		switch {
		case item.Error != "":
			return refusal(http.StatusServiceUnavailable, bytes.TrimSpace(line))
		case item.Row == nil: // meta, heartbeat, complete
			continue
		}
		if err := each(line, item.Row); err != nil {
			return err
		}
	}
}

// rowPrinter prints rows one at a time, in columns that grow with what comes.
type rowPrinter struct {
	w      io.Writer
	header []string
	widths []int
}

func (p *rowPrinter) print(row json.RawMessage) error {
	g := rowGrid([]json.RawMessage{row})
	timeColumns(g)
	if strings.Join(g.header, "\x00") != strings.Join(p.header, "\x00") {
		p.header, p.widths = g.header, make([]int, len(g.header))
		if err := p.line(g.header, g.rows[0]); err != nil {
			return err
		}
	}
	return p.line(g.rows[0], nil)
}

// line prints cells; the columns are at least as wide as those of next too.
func (p *rowPrinter) line(cells, next []string) error {
	var b strings.Builder
	for i, cell := range cells {
		cell = printable(cell)
		p.widths[i] = max(p.widths[i], len(cell))
		if next != nil {
			p.widths[i] = max(p.widths[i], len(next[i]))
		}
		fmt.Fprintf(&b, "%-*s  ", p.widths[i], cell)
	}
	_, err := fmt.Fprintf(p.w, "%s\n", strings.TrimRight(b.String(), " "))
	return err
}

func trimNewline(text []byte) []byte { return bytes.TrimRight(text, "\n") }
