package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

// production is what a produce command asks for.
type production struct {
	topic          string
	file           string
	key            string
	idempotencyKey string
	partition      int // -1 = the server chooses
	rows           formatFlags
	format         *rowFormat // nil: records are what is given
}

func newProduce(s *session) *cobra.Command {
	p := production{}
	c := &cobra.Command{
		Use:   "produce TOPIC [VALUE]",
		Short: "Append one record, or each line of a file",
		Long: `Append VALUE as one record, or with -f each line of a file, plain or gzip, as a
record. A file is sent in batches of at most 1000 lines and 4 MiB; a batch is all
or nothing. With --idempotency-key the same command can be repeated after a
failure: what was written before is not written again. The batches of a file use
the key with /0, /1, … appended.

With --schema, VALUE and the lines are rows in JSON and are written as bare records of the
schema; with --subject, of the registered schema and with its id in front. A row that does
not fit it is named, and what follows is not sent. A file may also be an Avro container
file (null or deflate): its records are sent as they are, or with --format, --schema or
--subject their rows in another format.`,
		Example: `  leat produce flights '{"carrier":"UA","origin":"EWR","dep_delay":4}'
  leat produce flights -f flights.ndjson
  leat produce flights -f flights.ndjson.gz --partition 0 --idempotency-key load-1
  printf 'one\ntwo\n' | leat produce flights -f -
  leat produce weather '{"origin":"JFK","wind":12.5}' --format protobuf --schema weather.proto
  leat produce weather -f weather.ndjson --schema weather.avsc
  leat produce weather -f weather.avro --format json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			fromFile := cmd.Flags().Changed("file")
			if len(args) == 0 || len(args) > 2 || fromFile == (len(args) == 2) {
				return usage("%q takes TOPIC and either VALUE or -f FILE", cmd.CommandPath())
			}
			p.topic = args[0]
			if cmd.Flags().Changed("partition") && p.partition < 0 {
				return usage("--partition has to be 0 or above")
			}
			if err := p.rows.known(rowsJSON, rowsAvro, rowsProtobuf); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			defer c.close()
			if p.rows != (formatFlags{}) {
				if p.format, err = p.rows.load(cmd.Context(), c); err != nil {
					return err
				}
			}
			if fromFile {
				return s.produceFile(cmd.Context(), c, p)
			}
			return s.produceOne(cmd.Context(), c, p, args[1])
		},
	}
	flags := c.Flags()
	flags.StringVarP(&p.file, "file", "f", "", "file of lines to send, - for the standard input")
	flags.StringVar(&p.key, "key", "", "key of the records; it also chooses the partition")
	flags.StringVar(&p.idempotencyKey, "idempotency-key", "", "makes the command safe to repeat")
	flags.IntVar(&p.partition, "partition", -1, "partition to append to; the server chooses by default")
	flags.StringVar(&p.rows.format, "format", "", "write rows as json, avro or protobuf; by default what the schema is for")
	p.rows.register(c)
	s.clientFlags(c)
	return c
}

// query is the address of the call; batch numbers the batches of a file, -1 for
// a single record.
func (p *production) query(batch int) url.Values {
	q := url.Values{}
	if p.partition >= 0 {
		q.Set("partition", strconv.Itoa(p.partition))
	}
	if p.key != "" {
		q.Set("key", p.key)
	}
	if p.idempotencyKey != "" {
		key := p.idempotencyKey
		if batch >= 0 {
			key += "/" + strconv.Itoa(batch)
		}
		q.Set("idempotency_key", key)
	}
	return q
}

func (s *session) produceOne(ctx context.Context, c *client, p production, value string) error {
	record := []byte(value)
	if !p.format.isPlain() {
		var err error
		if record, err = p.format.appendRecord(nil, record); err != nil {
			return err
		}
	}
	body, err := c.call(ctx, request{
		method: http.MethodPost, path: route("broker", "topics", p.topic, "produce"), query: p.query(-1), body: record,
	})
	if err != nil {
		return err
	}
	return s.answer(body, func(w io.Writer) error {
		var done struct {
			Offset    *int64 `json:"offset"` // nil: queued, and not known yet
			Partition int    `json:"partition"`
			Duplicate bool   `json:"duplicate"`
		}
		if err := readAnswer(body, &done); err != nil {
			return err
		}
		if done.Offset == nil {
			_, err := fmt.Fprintf(w, "%s/%d, queued: not durable yet\n", p.topic, done.Partition)
			return err
		}
		note := ""
		if done.Duplicate {
			note = ", written before"
		}
		_, err := fmt.Fprintf(w, "%s/%d at offset %d%s\n", p.topic, done.Partition, *done.Offset, note)
		return err
	})
}

// produced sums up what a file has become.
type produced struct {
	OK         bool   `json:"ok"`
	Topic      string `json:"topic"`
	Records    int64  `json:"records"`
	Duplicates int64  `json:"duplicates"` // of Records, those that were there before
	Batches    int64  `json:"batches"`
	Bytes      int64  `json:"bytes"`
	ElapsedMs  int64  `json:"elapsed_ms"`
}

func (s *session) produceFile(ctx context.Context, c *client, p production) error {
	in, size, err := s.openInput(p.file)
	if err != nil {
		return err
	}
	defer in.Close()
	read := &countingReader{r: in}
	bar := newProgress(s.err, size)
	total, err := c.produceLines(ctx, p, read, func(done produced) { bar.update(read.n.Load(), done.Records) })
	bar.finish()
	if err != nil {
		return err
	}
	body, err := json.Marshal(total)
	if err != nil {
		return fmt.Errorf("encode the summary: %w", err)
	}
	return s.answer(body, func(w io.Writer) error {
		note := ""
		if total.Duplicates > 0 {
			note = fmt.Sprintf(", %s of them written before", thousands(total.Duplicates))
		}
		_, err := fmt.Fprintf(w, "%s to %s in %s%s\n",
			plural(int(total.Records), "record"), p.topic, time.Duration(total.ElapsedMs)*time.Millisecond, note)
		return err
	})
}

// openInput opens a file, or the standard input for "-". size is 0 where it is
// not known.
func (s *session) openInput(name string) (in io.ReadCloser, size int64, err error) {
	if name == "-" {
		return io.NopCloser(s.in), 0, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, &failure{exit: exitNotFound, code: "no_such_file", text: err.Error()}
	}
	if err != nil {
		return nil, 0, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return f, size, nil
}

// produceLines sends every line as a record. After an error the batches before
// it have been written, which the message says.
func (c *client) produceLines(ctx context.Context, p production, in io.Reader, each func(produced)) (produced, error) {
	started := time.Now()
	total := produced{OK: true, Topic: p.topic}
	b, binary, err := openBatches(in, p.format)
	if err != nil {
		return total, err
	}
	for {
		lines, ok, err := b.next()
		if err == nil && !ok {
			break
		}
		if err == nil {
			err = c.produceBatch(ctx, p, lines, binary, &total)
		}
		if err != nil {
			if total.Records > 0 {
				err = fmt.Errorf("after %s were written: %w", plural(int(total.Records), "record"), err)
			}
			return total, err
		}
		each(total)
	}
	total.ElapsedMs = time.Since(started).Milliseconds()
	return total, nil
}

func (c *client) produceBatch(ctx context.Context, p production, lines batch, binary bool, total *produced) error {
	query := p.query(lines.number)
	if binary {
		query.Set("encoding", "b64")
	}
	body, err := c.call(ctx, request{
		method: http.MethodPost, path: route("broker", "topics", p.topic, "produce-ndjson"), query: query, body: lines.bytes,
	})
	if err != nil {
		return fmt.Errorf("lines from %d on: %w", lines.line, err)
	}
	var done struct {
		Count     int64 `json:"count"`
		Duplicate bool  `json:"duplicate"`
	}
	if err := readAnswer(body, &done); err != nil {
		return err
	}
	if done.Count == 0 { // a duplicate is answered without its count
		done.Count = int64(lines.lines)
	}
	total.Records += done.Count
	total.Batches++
	total.Bytes += int64(len(lines.bytes))
	if done.Duplicate {
		total.Duplicates += done.Count
	}
	return nil
}

// countingReader knows how much was read through it.
type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
