//go:build linux

// Command bench measures the node and what bounds it, side by side in one run, and
// prints one table. It builds and starts the real program as a child, drives it over
// loopback connections, and ends every process it started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options of a run.
type options struct {
	dir      string
	document string
	binary   string
	rows     string
	rounds   int
	run      time.Duration
	long     bool
	records  int
	keys     int
}

func command(ctx context.Context, args []string, out io.Writer) error {
	var o options
	var noop bool
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", "", "where the data is kept while measuring (default: the system's temporary directory)")
	flags.StringVar(&o.document, "write", "", "document whose table is replaced; with -rows, the rows that are measured")
	flags.StringVar(&o.binary, "leat", "", "program to measure (default: built from the source)")
	flags.StringVar(&o.rows, "rows", "", "only the groups of rows whose name contains one of these, separated by commas")
	flags.IntVar(&o.rounds, "rounds", 3, "how often each is measured, in turn")
	flags.DurationVar(&o.run, "run", 1500*time.Millisecond, "how long each is measured in a round")
	flags.BoolVar(&o.long, "long", false, "also fill nodes, kill and restart them")
	flags.IntVar(&o.records, "records", 10_000_000, "how many records -long fills in")
	flags.IntVar(&o.keys, "keys", 1_000_000, "how many keys -long puts")
	flags.BoolVar(&noop, "serve-noop", false, "be the server that does nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if noop {
		return serveNoop(ctx)
	}
	return measure(ctx, o, out)
}

// wants tells whether a group of rows is to be measured.
func (o *options) wants(group string) bool {
	return slices.ContainsFunc(strings.Split(o.rows, ","), func(part string) bool { return strings.Contains(group, part) })
}

// bench is one run.
type bench struct {
	options
	ctx   context.Context
	out   io.Writer
	data  string // temporary directory
	leat  *server
	noop  *server
	redis *server   // nil where it is not installed
	nats  []*server // a lone one, once it is needed and is there
	peers string    // program of the other systems, "" where it could not be built
	table strings.Builder
}

// warmUp is how long a load runs before its answers count.
const warmUp = 300 * time.Millisecond

func measure(ctx context.Context, o options, out io.Writer) (err error) {
	b := &bench{options: o, ctx: ctx, out: out}
	if b.data, err = os.MkdirTemp(o.dir, "leat-bench-"); err != nil {
		return fmt.Errorf("make a directory for the data: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.data)) }()
	defer b.stop()
	if err := b.start(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d processors, %s, medians of %d rounds of %v\n\n", runtime.NumCPU(), runtime.Version(), o.rounds, o.run)
	fmt.Fprint(out, tableHead)
	for _, group := range b.groups() {
		if !o.wants(group.name) {
			continue
		}
		if err := group.measure(); err != nil {
			return fmt.Errorf("%s: %w: %s", group.name, err, lastLine(b.leat.log.String()))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if o.document == "" {
		return nil
	}
	return writeTable(o.document, b.table.String(), o.rows != "")
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// start starts the servers.
func (b *bench) start() (err error) {
	if b.binary == "" {
		if b.binary, err = build(b.ctx, b.data); err != nil {
			return err
		}
	}
	if b.noop, err = startNoop(b.ctx); err != nil {
		return err
	}
	if b.leat, err = startLeat(b.ctx, b.binary, b.data+"/node"); err != nil {
		return err
	}
	b.redis, err = startRedis(b.ctx, b.data)
	return err
}

func (b *bench) stop() {
	for _, s := range append([]*server{b.leat, b.noop, b.redis}, b.nats...) {
		if s != nil {
			s.kill()
		}
	}
}

// add prints a row.
func (b *bench) add(rows ...row) {
	for _, r := range rows {
		fmt.Fprint(b.out, r)
		b.table.WriteString(r.String())
	}
}
