package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"leat/codecs/avrocodec"
)

// decodedMessage is a record whose value has been read as a row, or could not be.
type decodedMessage struct {
	Offset    int64           `json:"offset"`
	Partition int             `json:"partition"`
	Key       *string         `json:"key,omitempty"`
	KeyB64    []byte          `json:"key_b64,omitempty"`
	Row       json.RawMessage `json:"row,omitempty"`
	Error     string          `json:"error,omitempty"`
	ValueB64  []byte          `json:"value_b64,omitempty"`
}

// printRow prints a record as a row, or says why it is none.
func (m *messagePrinter) printRow(message json.RawMessage) error {
	var record decodedMessage
	if err := readAnswer(message, &record); err != nil {
		return err
	}
	if record.KeyB64 != nil {
		key := string(record.KeyB64)
		record.Key, record.KeyB64 = &key, nil
	}
	row, reason := m.rows.row(record.ValueB64)
	if m.file != nil {
		if reason == "" {
			reason = m.file.add(row)
		}
		if reason != "" {
			m.file.left++
			fmt.Fprintf(m.err, "leat: partition %d, offset %d is left out: %s\n", record.Partition, record.Offset, reason)
		}
		return m.file.err
	}
	if m.format == formatTable {
		text := string(row)
		if reason != "" {
			text = fmt.Sprintf("(%s)", reason)
		}
		return m.line(record.Partition, record.Offset, record.Key, text)
	}
	record.Row, record.Error = row, reason
	if reason == "" {
		record.ValueB64 = nil
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // the row stays as it is
	if err := e.Encode(&record); err != nil {
		return fmt.Errorf("encode the record: %w", err)
	}
	return writeItem(m.out, m.format, out.Bytes())
}

// reader is what shows the records of the topic as rows.
func (r *consumption) reader(ctx context.Context, c *client) (rowReader, error) {
	var bare *rowFormat
	if r.rows != (formatFlags{}) {
		var err error
		if bare, err = r.rows.load(ctx, c); err != nil {
			return nil, err
		}
	}
	return c.newFramedRows(ctx, r.topic, bare)
}

// rowFile is an Avro container file that is being written.
type rowFile struct {
	format  *rowFormat
	out     *avrocodec.ContainerWriter
	record  []byte
	written int
	left    int // rows that did not fit
	err     error
}

// add writes a row, or says why it does not fit.
func (f *rowFile) add(row []byte) (reason string) {
	var err error
	if f.record, err = f.format.encode(f.record[:0], row); err != nil {
		return err.Error()
	}
	f.written++
	f.err = f.out.Append(f.record)
	return ""
}

// consumeTo writes the rows to an Avro container file, which is there only when it is
// complete.
func (s *session) consumeTo(ctx context.Context, c *client, r consumption, partitions []int, printer *messagePrinter) error {
	if r.rows.schema == "" {
		return usage("--to needs --schema FILE, which is what the file is written with")
	}
	schema := formatFlags{format: rowsAvro, schema: r.rows.schema}
	format, err := schema.read(ctx)
	if err != nil {
		return err
	}
	switch r.rows.format {
	case "", rowsAvro:
		printer.rows, err = c.newFramedRows(ctx, r.topic, format)
	default:
		source := formatFlags{format: r.rows.format, subject: r.rows.subject}
		printer.rows, err = source.load(ctx, c)
	}
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(".", ".leat-*.avro")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var sync [16]byte
	if _, err := rand.Read(sync[:]); err != nil {
		return err
	}
	file := &rowFile{format: format}
	if file.out, err = avrocodec.NewContainerWriter(f, format.text, sync); err != nil {
		return err
	}
	printer.file = file
	if err := s.consumeAll(ctx, c, r, partitions, printer); err != nil {
		return err
	}
	if err := file.out.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), r.to); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"ok": true, "file": r.to, "rows": file.written, "left_out": file.left})
	if err != nil {
		return fmt.Errorf("encode the summary: %w", err)
	}
	return s.answer(body, func(w io.Writer) error {
		note := ""
		if file.left > 0 {
			note = fmt.Sprintf(", %d left out", file.left)
		}
		_, err := fmt.Fprintf(w, "%s to %s%s\n", plural(file.written, "row"), r.to, note)
		return err
	})
}
