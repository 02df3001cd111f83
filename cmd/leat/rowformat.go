package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/jsoncodec"
	"leat/codecs/protocodec"
)

// The formats that rows lie in.
const (
	rowsJSON     = "json"
	rowsAvro     = "avro"
	rowsProtobuf = "protobuf"
)

// formatFlags say how rows lie in records.
type formatFlags struct {
	format  string
	schema  string // file
	subject string
	message string
}

func (f *formatFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.schema, "schema", "", "file with the schema of the records, Avro (JSON) or Protobuf (.proto)")
	flags.StringVar(&f.subject, "subject", "", "registered schema of the records: SUBJECT or SUBJECT:VERSION")
	flags.StringVar(&f.message, "message", "", "message of a Protobuf schema; the first by default")
}

// rowFormat turns rows into records and records into rows. Its functions are nil for
// JSON, where a row is its own record. Not safe for concurrent use.
type rowFormat struct {
	name   string
	text   string             // of an Avro schema
	types  *protocodec.Schema // of registered Protobuf, whose frames name the message
	frame  []byte             // goes in front of every record
	mark   *uint64            // fingerprint of an Avro schema
	encode func(dst, row []byte) ([]byte, error)
	decode codecs.Decoder // of the whole row, without the frame
}

// rowReader shows records as rows in JSON, or says why one is none.
type rowReader interface {
	row(record []byte) (row []byte, reason string)
}

// load reads the schema that the flags name. c asks for registered ones.
func (f *formatFlags) load(ctx context.Context, c *client) (*rowFormat, error) {
	switch {
	case f.schema != "" && f.subject != "":
		return nil, usage("take --schema or --subject, not both")
	case f.subject != "":
		return f.registered(ctx, c)
	case f.schema == "" && (f.format == rowsAvro || f.format == rowsProtobuf):
		return nil, usage("--format %s needs --schema FILE or --subject SUBJECT", f.format)
	case f.schema == "" && f.message != "":
		return nil, usage("--message needs --schema FILE or --subject SUBJECT")
	case f.schema == "":
		return &rowFormat{name: rowsJSON, decode: jsoncodec.New([]codecs.Path{{}})}, nil
	case f.format == rowsJSON:
		return nil, usage("--format json takes no --schema")
	}
	return f.read(ctx)
}

// read reads the file with the schema.
func (f *formatFlags) read(ctx context.Context) (*rowFormat, error) {
	text, err := os.ReadFile(f.schema)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &failure{exit: exitNotFound, code: "no_such_file", text: err.Error()}
	}
	if err != nil {
		return nil, err
	}
	format := f.format
	if format == "" {
		format = rowsAvro
		if filepath.Ext(f.schema) == ".proto" {
			format = rowsProtobuf
		}
	}
	var r *rowFormat
	if format == rowsAvro {
		r, err = avroRows(string(text))
	} else {
		r, err = protobufRows(ctx, string(text), f.message)
	}
	if err != nil {
		return nil, &failure{exit: exitFailure, code: "invalid_schema", text: fmt.Sprintf("%s: %v", f.schema, err)}
	}
	return r, nil
}

func avroRows(text string) (*rowFormat, error) {
	schema, err := avrocodec.ParseSchema(text, nil)
	if err != nil {
		return nil, err
	}
	return avroRowsOf(schema, text)
}

func avroRowsOf(schema *avrocodec.Schema, text string) (*rowFormat, error) {
	decoder, err := avrocodec.NewDecoder(schema, nil, []codecs.Path{{}})
	if err != nil {
		return nil, err
	}
	mark := schema.Fingerprint()
	return &rowFormat{
		name: rowsAvro, text: text, mark: &mark, encode: avrocodec.NewEncoder(schema).AppendJSON, decode: decoder,
	}, nil
}

func protobufRows(ctx context.Context, text, message string) (*rowFormat, error) {
	schema, err := protocodec.ParseSchema(ctx, text, nil)
	if err != nil {
		return nil, err
	}
	m, err := schema.Message(message)
	if err != nil {
		return nil, err
	}
	return protobufRowsOf(m), nil
}

func protobufRowsOf(m *protocodec.Message) *rowFormat {
	return &rowFormat{
		name: rowsProtobuf, encode: protocodec.NewEncoder(m).AppendJSON, decode: protocodec.NewDecoder(m, []codecs.Path{{}}),
	}
}

// appendRecord appends a row as a record. Nothing is done to a row in JSON but that its
// frame, if it has one, goes in front.
func (f *rowFormat) appendRecord(dst, row []byte) ([]byte, error) {
	dst = append(dst, f.frame...)
	if f.encode == nil {
		return append(dst, row...), nil
	}
	return f.encode(dst, row)
}

// isPlain reports whether rows are their own records.
func (f *rowFormat) isPlain() bool { return f == nil || f.encode == nil && f.frame == nil }

// row is a record as JSON text, or why it is none of the format.
func (f *rowFormat) row(record []byte) (row []byte, reason string) {
	var into codecs.Columns
	if bad := f.decode.Decode([][]byte{record}, &into); len(bad) > 0 {
		return nil, bad[0].Reason
	}
	return codecs.AppendJSON(nil, into.Cols[0].Value(0)), ""
}

// known checks the name of a format.
func (f *formatFlags) known(names ...string) error {
	for _, name := range names {
		if f.format == "" || f.format == name {
			return nil
		}
	}
	return usage("--format is %s, not %q", strings.Join(names, ", "), f.format)
}
