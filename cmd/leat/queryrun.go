package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"leat/internal/fault"
	"leat/queries"
	"leat/queries/filerun"
)

// fileRun is what a run over files asks for.
type fileRun struct {
	spec       string
	inputs     []string
	namespaces []string
	partitions int32
	appendTime string
	encoding   string // of the lines
	to         string // container file for the rows
	late, dead string // files for all of these rows
}

func newQueryRun(s *session) *cobra.Command {
	var r fileRun
	c := &cobra.Command{
		Use:   "run SPEC.json --input FILE",
		Short: "Run a query over files, without a server",
		Long: `Run a query over files, plain or gzip, with the engine a server runs it with, and print
its rows as they come, as NDJSON or in the form of -o. No server is needed and nothing is
stored; the files may be larger than memory. SPEC.json and FILE may be - for the standard
input.

A file is an Avro container file, whose records are read by the schema in it and, if the
spec has one, as that; or it has one record a line, with --encoding b64 as base64, in the
format and with the schema that the spec has. With --to the rows go to an Avro container
file, with a schema made from their types as that of a sink is. A lookup reads --kv
NAMESPACE=FILE, lines like {"key": "JFK", "value": {"name": "Kennedy"}}.

All of the input is read and then every window is closed: "start", "until" and
"idle_timeout" do not count, and nothing is written to sinks. A topic has one partition,
so that the same files always give the same output; with --partitions the lines are dealt
to several in turn. The append time of every record is --append-time.

What follows the rows goes to the standard error: the counts, fields of a file's schema that
the spec's schema has no place for, and the first of the late rows and dead letters, of
which --late and --dead-letters write all to a file.`,
		Example: `  leat query run delays_by_day.json --input flights.ndjson.gz
  leat query run low_visibility.json --input weather=weather.ndjson.gz -o table
  gunzip -c flights.ndjson.gz | leat query run delays_by_schedule.json --input - --late late.ndjson`,
		Args:              exactArgs("SPEC.json"),
		ValidArgsFunction: completeSpecs,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.spec = args[0]
			return s.runFiles(cmd.Context(), r, cmd.Flags().Changed("output"))
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&r.inputs, "input", nil, "file to read, FILE or TOPIC=FILE; repeat it for more topics")
	flags.StringArrayVar(&r.namespaces, "kv", nil, "NAMESPACE=FILE with what a lookup reads")
	flags.Int32Var(&r.partitions, "partitions", 1, "partitions of each topic")
	flags.StringVar(&r.appendTime, "append-time", "0", "append time of the records, epoch ms or RFC 3339")
	flags.StringVar(&r.encoding, "encoding", "", "b64: each line is the base64 of a record")
	flags.StringVar(&r.to, "to", "", "Avro container file to write the rows to, in place of printing them")
	flags.StringVar(&r.late, "late", "", "file to write the late rows to")
	flags.StringVar(&r.dead, "dead-letters", "", "file to write the dead letters to")
	return c
}

// completeSpecs completes files with specs.
func completeSpecs(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"json"}, cobra.ShellCompDirectiveFilterFileExt
}

var inputTopic = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,248})=(.+)$`)

// splitInput reads TOPIC=FILE or FILE.
func splitInput(text string) (topic, file string) {
	if m := inputTopic.FindStringSubmatch(text); m != nil {
		return m[1], m[2]
	}
	return "", text
}

func (s *session) runFiles(ctx context.Context, r fileRun, formatGiven bool) (err error) {
	config, err := s.fileConfig(r)
	if err != nil {
		return err
	}
	out := &runOutput{rows: s.rowWriter(formatGiven)}
	defer func() { err = errors.Join(err, out.close()) }()
	put := out.rows.put
	if r.to != "" {
		if formatGiven && s.format == formatTable {
			return usage("--to writes a file, -o table the terminal: take one")
		}
		file := &runFile{name: r.to}
		defer file.drop()
		config.Planned, put, out.file = file.begin, file.add, file
	}
	if out.late.file, err = createFile(r.late); err != nil {
		return err
	}
	if out.dead.file, err = createFile(r.dead); err != nil {
		return err
	}
	config.Output = queries.LocalOutput{
		Results: put, Late: out.late.add, DeadLetters: out.dead.add, Committed: out.rows.w.Flush,
		Warned: func(warnings queries.Warnings) { out.warnings = warnings },
	}
	began := time.Now()
	counts, err := filerun.Run(ctx, config)
	if problems := filerun.Problems(err); problems != nil {
		return specRefusal(fault.As(err), problems)
	}
	if f := fault.As(err); f != nil && f.Code == filerun.CodeInvalidInput {
		return usage("%s", f.Message)
	}
	if err != nil && counts.In == 0 {
		return err
	}
	return errors.Join(out.rows.w.Flush(), out.file.end(err), s.sumUp(counts, time.Since(began), out), err)
}

func (s *session) fileConfig(r fileRun) (filerun.Config, error) {
	c := filerun.Config{Partitions: r.partitions, Clock: wallClock{}}
	if r.partitions < 1 || r.partitions > filerun.MaxPartitions {
		return c, usage("--partitions has to be from 1 to %d", filerun.MaxPartitions)
	}
	if len(r.inputs) == 0 {
		return c, usage("--input FILE is missing; - reads the standard input")
	}
	if r.encoding != "" && r.encoding != "b64" {
		return c, usage("--encoding is b64, not %q", r.encoding)
	}
	var err error
	if c.AppendMs, err = readTime(r.appendTime); err != nil {
		return c, err
	}
	standard := r.spec == "-"
	for _, text := range r.inputs {
		topic, file := splitInput(text)
		if file == "-" && standard {
			return c, usage("the standard input can be read once only")
		}
		standard = standard || file == "-"
		c.Inputs = append(c.Inputs, filerun.Input{Topic: topic, Base64: r.encoding != "", Open: func() (io.ReadCloser, error) {
			in, _, err := s.openInput(file)
			return in, err
		}})
	}
	for _, text := range r.namespaces {
		name, file := splitInput(text)
		if name == "" || file == "-" {
			return c, usage("--kv takes NAMESPACE=FILE, not %q", text)
		}
		c.Namespaces = append(c.Namespaces, filerun.Namespace{Name: name, Open: func() (io.ReadCloser, error) { return os.Open(file) }})
	}
	c.Spec, err = s.readSpec(r.spec)
	return c, err
}

// readTime reads epoch ms or RFC 3339.
func readTime(text string) (int64, error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, usage("--append-time has to be epoch milliseconds or RFC 3339, not %q", text)
	}
	return t.UnixMilli(), nil
}

// specRefusal shows the problems of a spec as those that a server finds.
func specRefusal(f *fault.Error, problems []queries.Problem) error {
	status := http.StatusBadRequest
	if f.Kind == fault.NotFound {
		status = http.StatusNotFound
	}
	first := problems[0]
	body, err := json.Marshal(struct {
		OK       bool              `json:"ok"`
		Error    string            `json:"error"`
		Message  string            `json:"message"`
		Pointer  string            `json:"pointer"`
		Line     int               `json:"line"`
		Column   int               `json:"column"`
		Problems []queries.Problem `json:"problems"`
	}{false, f.Code, first.Message, first.Pointer, first.Line, first.Column, problems})
	if err != nil {
		return fmt.Errorf("encode the problems: %w", err)
	}
	return refusal(status, body)
}

// rowWriter writes result rows in a form.
type rowWriter struct {
	w     *bufio.Writer
	table *rowPrinter // nil: format
	yaml  bool
}

// rowWriter makes one for the form asked for; lines of JSON where none was.
func (s *session) rowWriter(given bool) *rowWriter {
	w := &rowWriter{w: bufio.NewWriterSize(s.out, 64<<10), yaml: s.format == formatYAML}
	if given && s.format == formatTable {
		w.table = &rowPrinter{w: w.w}
	}
	return w
}

func (w *rowWriter) put(row []byte) error {
	switch {
	case w.table != nil:
		return w.table.print(row)
	case w.yaml:
		return writeItem(w.w, formatYAML, row)
	}
	_, err := w.w.Write(row)
	return errors.Join(err, w.w.WriteByte('\n'))
}

// runOutput is where a run over files puts its rows.
type runOutput struct {
	rows       *rowWriter
	file       *runFile // in place of rows; nil = none
	late, dead letterKeeper
	warnings   queries.Warnings
}

func (o *runOutput) close() error { return errors.Join(o.late.file.close(), o.dead.file.close()) }

// letterKeeper keeps the first letters and writes all to a file, if there is one.
type letterKeeper struct {
	first []json.RawMessage
	file  *letterFile
}

const keptLetters = 5

func (k *letterKeeper) add(row []byte) error {
	if len(k.first) < keptLetters {
		k.first = append(k.first, append(json.RawMessage(nil), row...))
	}
	if k.file == nil {
		return nil
	}
	_, err := k.file.w.Write(row)
	return errors.Join(err, k.file.w.WriteByte('\n'))
}

type letterFile struct {
	file *os.File
	w    *bufio.Writer
}

// createFile makes a file to write letters to, none without a name.
func createFile(name string) (*letterFile, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return &letterFile{f, bufio.NewWriter(f)}, nil
}

func (f *letterFile) close() error {
	if f == nil {
		return nil
	}
	return errors.Join(f.w.Flush(), f.file.Close())
}

// sumUp prints what follows the rows.
func (s *session) sumUp(counts queries.RowCounts, took time.Duration, out *runOutput) error {
	if s.format != formatTable {
		body, err := json.Marshal(struct {
			Rows      queries.RowCounts `json:"rows"`
			ElapsedMs int64             `json:"elapsed_ms"`
			Warnings  queries.Warnings  `json:"warnings,omitempty"`
		}{counts, took.Milliseconds(), out.warnings})
		if err != nil {
			return fmt.Errorf("encode the counts: %w", err)
		}
		return writeDocument(s.err, s.format, body)
	}
	for _, warning := range out.warnings {
		fmt.Fprintf(s.err, "warning: %s\n", warning)
	}
	for _, part := range []struct {
		kept  *letterKeeper
		title string
		all   int64
		flag  string
		draw  func([]json.RawMessage) (*grid, error)
	}{
		{&out.late, "late rows", counts.Late, "--late", drawLate},
		{&out.dead, "dead letters", counts.DeadLettered + counts.FailedPanes, "--dead-letters", drawDead},
	} {
		if len(part.kept.first) == 0 {
			continue
		}
		fmt.Fprintf(s.err, "%s", part.title)
		if n := int64(len(part.kept.first)); n < part.all {
			fmt.Fprintf(s.err, ", the first %d of %s", n, thousands(part.all))
			if part.kept.file == nil {
				fmt.Fprintf(s.err, "; %s FILE writes all", part.flag)
			}
		}
		fmt.Fprintln(s.err)
		g, err := part.draw(part.kept.first)
		if err != nil {
			return err
		}
		if err := g.write(s.err, "  "); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(s.err, "%s in %s\n", rowCounts{
		In: counts.In, Used: counts.Used, Filtered: counts.Filtered, Late: counts.Late, Dead: counts.DeadLettered, Out: counts.Out,
	}, took.Round(time.Millisecond))
	return err
}
