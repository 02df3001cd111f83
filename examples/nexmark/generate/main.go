// Command generate writes events of the Nexmark benchmark to standard output, one JSON
// object a line.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"leat/examples/nexmark"
)

func main() {
	if err := command(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "generate:", err)
		}
		os.Exit(2)
	}
}

func command(args []string, out, problems io.Writer) error {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	flags.SetOutput(problems)
	kind := flags.String("kind", "bid", "which events: person, auction or bid")
	events := flags.Int64("events", 100_000, "how many events of all kinds to go through; 46 of 50 are bids")
	from := flags.Int64("from", 0, "number of the first event")
	var g nexmark.Generator
	flags.Int64Var(&g.Rate, "rate", 10_000, "events in a second of event time")
	flags.Int64Var(&g.StartMs, "start", 0, "event time of event 0 in epoch ms (default: 2015-07-15)")
	flags.Int64Var(&g.Disorder, "disorder", 1, "size of the groups in which events are shuffled")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted := nexmark.Person
	for wanted <= nexmark.Bid && wanted.Topic() != *kind {
		wanted++
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case wanted > nexmark.Bid:
		return fmt.Errorf("-kind is person, auction or bid, not %q", *kind)
	case *from < 0 || *events < 0 || g.Rate < 1 || g.Disorder < 1:
		return errors.New("-from and -events are at least 0, -rate and -disorder at least 1")
	}
	buffered := bufio.NewWriterSize(out, 1<<20)
	var line []byte
	for n := *from; n < *from+*events; n++ {
		var k nexmark.Kind
		if line, k = g.Append(line[:0], n); k != wanted {
			continue
		}
		if _, err := buffered.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("write events: %w", err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}
