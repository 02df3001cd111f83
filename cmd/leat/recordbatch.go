package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"leat/codecs/avrocodec"
)

// batches is what a file is sent in.
type batches interface {
	// next returns the next batch, false at the end.
	next() (batch, bool, error)
}

// openBatches finds out what a file is: an Avro container file, whose rows are written in
// the format, or lines, each of which is a row of it, as JSON, or a record. binary tells that
// the batches are base64.
func openBatches(in io.Reader, f *rowFormat) (b batches, binary bool, err error) {
	r := bufio.NewReaderSize(in, 64<<10)
	if head, err := r.Peek(4); err == nil && avrocodec.IsContainer(head) {
		file, err := avrocodec.NewContainerReader(r)
		if err != nil {
			return nil, false, err
		}
		c := &containerBatches{file: file, out: batch{number: -1}}
		if f != nil {
			if c.rows, err = avroRows(file.Text()); err != nil {
				return nil, false, err
			}
			c.format = f
		}
		return c, f == nil || !f.isPlain(), nil
	}
	lines, err := newBatcher(r)
	if err != nil || f.isPlain() {
		return lines, false, err
	}
	return &encodedBatches{lines: lines, format: f}, true, nil
}

// encodedBatches encodes every line.
type encodedBatches struct {
	lines  *batcher
	format *rowFormat
	record []byte
	buf    []byte
}

func (e *encodedBatches) next() (batch, bool, error) {
	b, ok, err := e.lines.next()
	if err != nil || !ok {
		return b, ok, err
	}
	e.buf = e.buf[:0]
	rest := b.bytes
	for i := range b.lines {
		end := 0
		for rest[end] != '\n' {
			end++
		}
		if e.record, err = e.format.appendRecord(e.record[:0], rest[:end]); err != nil {
			return b, false, fmt.Errorf("line %d: %w", b.at[i], err)
		}
		e.buf = appendBase64Line(e.buf, e.record)
		rest = rest[end+1:]
	}
	b.bytes = e.buf
	return b, true, nil
}

// appendBase64Line appends a record as produce-ndjson takes it with encoding=b64.
func appendBase64Line(dst, record []byte) []byte {
	if len(record) == 0 {
		return append(dst, "=\n"...)
	}
	return append(base64.StdEncoding.AppendEncode(dst, record), '\n')
}

// containerBatches sends the records of an Avro container file: as they are, or their rows
// as JSON or in another format.
type containerBatches struct {
	file   *avrocodec.ContainerReader
	rows   *rowFormat // nil: as they are
	format *rowFormat // of what is sent
	buf    []byte
	record []byte
	out    batch
	total  int
	done   bool
}

func (c *containerBatches) next() (batch, bool, error) {
	c.buf = c.buf[:0]
	lines := 0
	for !c.done && lines < batchLines && len(c.buf) < batchBytes {
		record, err := c.file.Next()
		if errors.Is(err, io.EOF) {
			c.done = true
			break
		}
		if err != nil {
			return batch{}, false, err
		}
		lines++
		if err := c.add(record); err != nil {
			return batch{}, false, fmt.Errorf("record %d: %w", c.total+lines, err)
		}
	}
	if lines == 0 {
		return batch{}, false, nil
	}
	c.out = batch{number: c.out.number + 1, line: c.total + 1, lines: lines, bytes: c.buf}
	c.total += lines
	return c.out, true, nil
}

func (c *containerBatches) add(record []byte) error {
	if c.rows == nil {
		c.buf = appendBase64Line(c.buf, record)
		return nil
	}
	row, reason := c.rows.row(record)
	if reason != "" {
		return errors.New(reason)
	}
	if c.format.isPlain() {
		c.buf = append(append(c.buf, row...), '\n')
		return nil
	}
	var err error
	if c.record, err = c.format.appendRecord(c.record[:0], row); err != nil {
		return err
	}
	c.buf = appendBase64Line(c.buf, c.record)
	return nil
}
