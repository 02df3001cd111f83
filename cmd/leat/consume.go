package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// consumption is what a consume command asks for.
type consumption struct {
	topic     string
	group     string
	partition int   // -1 = all
	offset    int64 // -1 = after the group's commit, else the first
	limit     int64 // 0 = none
	follow    bool
	commit    bool
	decode    bool
	rows      formatFlags
	to        string // container file
}

const (
	consumePage = 1000
	// anonymous names readers without a group: it is never committed.
	anonymous = "leat-cli"
)

func newConsume(s *session) *cobra.Command {
	r := consumption{}
	c := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Read records",
		Long: `Read records of one partition, or of all, one after the other. Without a group
reading starts at the first record and changes nothing. With --group it starts
after what the group has committed, and what was printed is committed. With
-o json every record is a line of its own.

With --decode the values are shown as rows in JSON, and of a record that cannot be read why
not: -o json has a member "row" or the members "error" and "value_b64". A record with a
schema's id in front is read by that, one with a fingerprint (C3 01) by the version of the
subject TOPIC-value that has it; others by --schema or --subject, else by the newest
schema of that subject, else as JSON. With --to the rows are written to an Avro
container file instead, with the schema that --schema names; --format json says that the
records are JSON.`,
		Example: `  leat consume flights
  leat consume flights --partition 0 --offset 2 --limit 5 -o json
  leat consume flights --group billing
  leat consume flights --follow
  leat consume flights --decode
  leat consume weather --decode --schema weather.avsc --limit 5 -o json
  leat consume weather --decode --format json --schema weather.avsc --to out.avro`,
		Args: exactArgs("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.topic = args[0]
			flags := cmd.Flags()
			switch {
			case r.limit < 0:
				return usage("--limit has to be 0 or above")
			case flags.Changed("offset") && (r.offset < 0 || r.partition < 0):
				return usage("--offset has to be 0 or above and needs --partition")
			case flags.Changed("partition") && r.partition < 0:
				return usage("--partition has to be 0 or above")
			case !r.decode && (r.rows != (formatFlags{}) || r.to != ""):
				return usage("--schema, --subject, --message, --format and --to need --decode")
			case r.to != "" && r.follow:
				return usage("--to writes what there is and does not go with --follow")
			case r.follow && !flags.Changed("limit"):
				r.limit = 0
			}
			if err := r.rows.known(rowsJSON, rowsAvro, rowsProtobuf); err != nil {
				return err
			}
			return s.withClient(func(c *client) error { return s.consume(cmd.Context(), c, r) })
		},
	}
	flags := c.Flags()
	flags.StringVar(&r.group, "group", "", "consumer group to read and commit as")
	flags.BoolVar(&r.commit, "commit", true, "commit what was printed, with --group")
	flags.IntVar(&r.partition, "partition", -1, "partition to read; all by default")
	flags.Int64Var(&r.offset, "offset", -1, "offset to start at")
	flags.Int64Var(&r.limit, "limit", 100, "most records to print, 0 for all there are; no limit with --follow")
	flags.BoolVarP(&r.follow, "follow", "f", false, "wait for more records, until interrupted")
	flags.BoolVar(&r.decode, "decode", false, "show the values as rows in JSON, and why one cannot be read")
	flags.StringVar(&r.rows.format, "format", "", "with --decode: what the records are, json, avro or protobuf; by default what the schema is for")
	flags.StringVar(&r.to, "to", "", "with --decode: Avro container file to write the rows to")
	r.rows.register(c)
	s.clientFlags(c)
	return c
}

// page is one answer of the consume call.
type page struct {
	Messages []json.RawMessage `json:"messages"`
	Next     int64             `json:"next_offset"`
	Skipped  int64             `json:"skipped"`
}

func (s *session) consume(ctx context.Context, c *client, r consumption) error {
	partitions := []int{r.partition}
	if r.partition < 0 {
		topic, _, err := c.describeTopic(ctx, r.topic)
		if err != nil {
			return err
		}
		partitions = partitions[:0]
		for _, p := range topic.Detail {
			partitions = append(partitions, p.Partition)
		}
	}
	printer := &messagePrinter{session: s}
	if r.to != "" {
		return s.consumeTo(ctx, c, r, partitions, printer)
	}
	if r.decode {
		var err error
		if printer.rows, err = r.reader(ctx, c); err != nil {
			return err
		}
	}
	return s.consumeAll(ctx, c, r, partitions, printer)
}

// consumeAll reads the partitions and prints what they have.
func (s *session) consumeAll(ctx context.Context, c *client, r consumption, partitions []int, printer *messagePrinter) error {
	if r.follow {
		return s.followPartitions(ctx, c, r, partitions, printer)
	}
	left := r.limit
	for _, partition := range partitions {
		p := &partitionReader{client: c, consumption: r, partition: partition, next: r.offset}
		for r.limit == 0 || left > 0 {
			page, err := p.read(ctx, pageSize(r.limit, left))
			if err != nil {
				return err
			}
			if len(page.Messages) == 0 {
				break
			}
			left -= int64(len(page.Messages))
			if err := printer.print(ctx, p, page); err != nil {
				return err
			}
		}
	}
	return nil
}

func pageSize(limit, left int64) int64 {
	if limit == 0 {
		return consumePage
	}
	return min(left, consumePage)
}

// partitionReader reads one partition from next on.
type partitionReader struct {
	*client
	consumption
	partition int
	next      int64 // -1 = let the server say
}

func (p *partitionReader) read(ctx context.Context, limit int64) (page, error) {
	group := orText(p.group, anonymous)
	q := url.Values{"limit": {strconv.FormatInt(limit, 10)}}
	if p.decode {
		q.Set("encoding", "b64")
	}
	if p.next < 0 && p.group == "" {
		p.next = 0
	}
	if p.next >= 0 {
		q.Set("offset", strconv.FormatInt(p.next, 10))
	}
	body, err := p.get(ctx, route("broker", "consume", p.topic, group, strconv.Itoa(p.partition)), q)
	if err != nil {
		return page{}, err
	}
	var answer page
	if err := readAnswer(body, &answer); err != nil {
		return page{}, err
	}
	p.next = answer.Next
	return answer, nil
}

// commitRead says that the group has come to the end of the page before next.
func (p *partitionReader) commitRead(ctx context.Context) error {
	_, err := p.post(ctx, "/broker/commit", map[string]any{
		"topic": p.topic, "group": p.group, "partition": p.partition, "offset": p.next - 1,
	})
	return err
}

// messagePrinter prints pages of any partitions, one at a time.
type messagePrinter struct {
	*session
	titled bool
	rows   rowReader // nil: values are shown as they are
	file   *rowFile  // where rows go to, nil for the output
}

// print prints a page and commits it where that is asked for.
func (m *messagePrinter) print(ctx context.Context, p *partitionReader, page page) error {
	if page.Skipped > 0 {
		fmt.Fprintf(m.err, "leat: %s of partition %d are gone: the log begins later\n", plural(int(page.Skipped), "record"), p.partition)
	}
	for _, message := range page.Messages {
		if err := m.printOne(message); err != nil {
			return err
		}
	}
	if p.group != "" && p.commit && len(page.Messages) > 0 {
		return p.commitRead(ctx)
	}
	return nil
}

func (m *messagePrinter) printOne(message json.RawMessage) error {
	if m.rows != nil {
		return m.printRow(message)
	}
	if m.format != formatTable {
		return writeItem(m.out, m.format, message)
	}
	var record struct {
		Offset    int64   `json:"offset"`
		Partition int     `json:"partition"`
		Key       *string `json:"key"`
		Value     string  `json:"value"`
	}
	if err := readAnswer(message, &record); err != nil {
		return err
	}
	return m.line(record.Partition, record.Offset, record.Key, record.Value)
}

// line prints a record as one of a table.
func (m *messagePrinter) line(partition int, offset int64, name *string, value string) error {
	if !m.titled {
		m.titled = true
		if _, err := fmt.Fprintf(m.out, "%-9s  %-10s  %-12s  %s\n", "PARTITION", "OFFSET", "KEY", "VALUE"); err != nil {
			return err
		}
	}
	key := "-"
	if name != nil {
		key = *name
	}
	_, err := fmt.Fprintf(m.out, "%-9d  %-10d  %-12s  %s\n", partition, offset, printable(key), printable(value))
	return err
}
