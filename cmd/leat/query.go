package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newQuery(s *session) *cobra.Command {
	commands := []*cobra.Command{
		newQueryCreate(s), newQueryList(s), newQueryShow(s), newQueryResults(s), newQueryView(s), newQueryPlan(s),
		newQueryValidate(s), newQueryLate(s), newQueryDead(s), newQueryDelete(s),
	}
	s.clientFlags(commands...)
	commands = append(commands, newQueryRun(s), newQueryTest(s)) // which need no server
	return commandGroup("query", "Start, watch and delete queries, and run them over files", commands...)
}

// readSpec reads the file of -f.
func (s *session) readSpec(name string) ([]byte, error) {
	if name == "" {
		return nil, usage("-f SPEC.json is missing; - reads the standard input")
	}
	in, _, err := s.openInput(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	spec, err := io.ReadAll(io.LimitReader(in, 1<<20+1)) // one byte more, so that the server refuses what is too long
	if err != nil {
		return nil, fmt.Errorf("read the spec: %w", err)
	}
	return spec, nil
}

// specCommand completes a command that posts a query spec to a path. outcome is what it
// prints where the server takes the query of that name.
func (s *session) specCommand(c *cobra.Command, path string, outcome func(name string) string) *cobra.Command {
	var file string
	c.Flags().StringVarP(&file, "file", "f", "", "file with the query spec, - for the standard input")
	c.Args = noArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		spec, err := s.readSpec(file)
		if err != nil {
			return err
		}
		return s.withClient(func(c *client) error {
			body, err := c.call(cmd.Context(), request{method: http.MethodPost, path: path, body: spec, json: true})
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error {
				var accepted struct {
					Name     string   `json:"name"`
					Warnings []string `json:"warnings"`
				}
				if err := readAnswer(body, &accepted); err != nil {
					return err
				}
				for _, warning := range accepted.Warnings {
					fmt.Fprintf(s.err, "warning: %s\n", warning)
				}
				_, err := fmt.Fprintln(w, outcome(accepted.Name))
				return err
			})
		})
	}
	return c
}

func newQueryCreate(s *session) *cobra.Command {
	return s.specCommand(&cobra.Command{
		Use:     "create -f SPEC.json",
		Short:   "Start a query; the same spec again is no error",
		Example: "  leat query create -f delays_by_day.json",
	}, "/queries", func(name string) string { return "query " + name + " is running" })
}

func newQueryValidate(s *session) *cobra.Command {
	return s.specCommand(&cobra.Command{
		Use:     "validate -f SPEC.json",
		Short:   "Check a query spec and list all that is wrong with it",
		Example: "  leat query validate -f delays_by_day.json",
	}, "/queries/validate", func(string) string { return "the spec is good" })
}

// standing is the status of a query.
type standing struct {
	Name       string    `json:"name"`
	State      string    `json:"state"`
	Rows       rowCounts `json:"rows"`
	Partitions []struct {
		Topic     string `json:"topic"`
		Partition int    `json:"partition"`
		Offset    int64  `json:"offset"`
		Lag       int64  `json:"lag"`
		Watermark *int64 `json:"watermark"`
		Holds     bool   `json:"holds"`
		Idle      bool   `json:"idle"`
	} `json:"partitions"`
	Sinks []struct {
		Log     string `json:"log"`
		Topic   string `json:"topic"`
		KV      string `json:"kv"`
		Written int64  `json:"written"`
		Skipped int64  `json:"skipped"`
		Error   string `json:"error"`
	} `json:"sinks"`
	StateBytes int64    `json:"state_bytes"`
	Error      any      `json:"error"`
	Warnings   []string `json:"warnings"`
}

// rowCounts are the counters of a query: In = Used + Filtered + Late + Dead.
type rowCounts struct {
	In       int64 `json:"in"`
	Used     int64 `json:"used"`
	Filtered int64 `json:"filtered"`
	Late     int64 `json:"late"`
	Dead     int64 `json:"dead_lettered"`
	Out      int64 `json:"out"`
}

// lag is how many records are still to be read.
func (q *standing) lag() (lag int64) {
	for _, p := range q.Partitions {
		lag += p.Lag
	}
	return lag
}

func newQueryList(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the queries with their counters",
		Example: "  leat query list\n  leat query list -o yaml",
		Args:    noArgs,
		RunE: s.asking(func(cmd *cobra.Command, c *client, _ []string) error {
			body, err := c.get(cmd.Context(), "/queries", nil)
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error {
				var list struct {
					Queries []standing `json:"queries"`
				}
				if err := readAnswer(body, &list); err != nil {
					return err
				}
				g := &grid{header: []string{"QUERY", "STATE", "LAG", "IN", "USED", "FILTERED", "LATE", "DEAD", "OUT"}}
				for i := range list.Queries {
					q := &list.Queries[i]
					g.add(q.Name, q.State, q.lag(), q.Rows.In, q.Rows.Used, q.Rows.Filtered, q.Rows.Late, q.Rows.Dead, q.Rows.Out)
				}
				return g.write(w, "")
			})
		}),
	}
}

// query answers the status of a query.
func (c *client) query(ctx context.Context, name string) (standing, []byte, error) {
	var q standing
	body, err := c.get(ctx, route("queries", name), nil)
	if err == nil {
		err = readAnswer(body, &q)
	}
	return q, body, err
}

func newQueryShow(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show the status of a query",
		Example: "  leat query show delays_by_day",
		Args:    exactArgs("NAME"),
		RunE: s.asking(func(cmd *cobra.Command, c *client, args []string) error {
			q, body, err := c.query(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error { return drawStanding(w, &q) })
		}),
	}
}

func drawStanding(w io.Writer, q *standing) error {
	fmt.Fprintf(w, "%s is %s\n", q.Name, q.State)
	if q.Error != nil {
		fmt.Fprintf(w, "  because of: %v\n", q.Error)
	}
	for _, warning := range q.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	fmt.Fprintf(w, "rows: %s\nstate: %s bytes\n", q.Rows, thousands(q.StateBytes))
	for _, sink := range q.Sinks {
		target := "topic " + sink.Topic
		if sink.KV != "" {
			target = "kv " + sink.KV
		}
		fmt.Fprintf(w, "%s to %s: %s written", sink.Log, target, thousands(sink.Written))
		if sink.Skipped > 0 {
			fmt.Fprintf(w, ", %s skipped", thousands(sink.Skipped))
		}
		if sink.Error != "" {
			fmt.Fprintf(w, "; waiting: %s", sink.Error)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	g := &grid{header: []string{"TOPIC", "PARTITION", "OFFSET", "LAG", "WATERMARK", "HOLDS"}}
	for _, p := range q.Partitions {
		watermark, holds := "-", ""
		if p.Watermark != nil {
			watermark = instant(*p.Watermark)
		}
		switch {
		case p.Holds:
			holds = "yes"
		case p.Idle:
			holds = "idle"
		}
		g.add(p.Topic, p.Partition, p.Offset, p.Lag, watermark, holds)
	}
	return g.write(w, "")
}

// String is the conservation law with its figures.
func (r rowCounts) String() string {
	return fmt.Sprintf("%s in = %s used + %s filtered + %s late + %s dead-lettered; %s out", thousands(r.In),
		thousands(r.Used), thousands(r.Filtered), thousands(r.Late), thousands(r.Dead), thousands(r.Out))
}

func newQueryPlan(s *session) *cobra.Command {
	var mermaid bool
	c := &cobra.Command{
		Use:     "plan NAME",
		Short:   "Show how a query runs",
		Example: "  leat query plan delays_by_day\n  leat query plan delays_by_day --mermaid",
		Args:    exactArgs("NAME"),
		RunE: s.asking(func(cmd *cobra.Command, c *client, args []string) error {
			format := "json"
			if s.format == formatTable {
				format = "text"
			}
			if mermaid {
				format = "mermaid"
			}
			body, err := c.get(cmd.Context(), route("queries", args[0], "plan"), url.Values{"format": {format}})
			if err != nil {
				return err
			}
			if format == "json" {
				return writeDocument(s.out, s.format, body)
			}
			_, err = fmt.Fprintf(s.out, "%s\n", trimNewline(body))
			return err
		}),
	}
	c.Flags().BoolVar(&mermaid, "mermaid", false, "as a diagram in the language of mermaid.js")
	return c
}

func newQueryDelete(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "delete NAME",
		Short:   "Stop a query and delete its state and results",
		Example: "  leat query delete delays_by_day",
		Args:    exactArgs("NAME"),
		RunE: s.asking(func(cmd *cobra.Command, c *client, args []string) error {
			body, err := c.call(cmd.Context(), request{method: http.MethodDelete, path: route("queries", args[0])})
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "query %s is deleted\n", args[0])
				return err
			})
		}),
	}
}
