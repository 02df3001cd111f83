package filerun

import (
	"context"

	"leat/codecs"
	"leat/codecs/formats"
	"leat/internal/fault"
)

// fileFormats finds how the records of files are written: as the file or the spec has it.
type fileFormats struct {
	library *formats.Library
	feeds   feeds
}

// Source implements queries.Formats. JSON has no format.
func (f fileFormats) Source(ctx context.Context, spec codecs.FormatSpec) (codecs.Format, error) {
	if file := f.feeds[spec.Topic]; file != nil && file.in != nil {
		spec.Written = file.in.schema()
	}
	if spec.Written == "" && spec.Name == "" && spec.Schema == "" {
		return nil, nil
	}
	return f.library.Source(ctx, spec)
}

// Sink implements queries.Formats: nothing is written to sinks.
func (f fileFormats) Sink(context.Context, codecs.FormatSpec, *codecs.Type) (codecs.RowFormat, error) {
	return unwritten{}, nil
}

// unwritten is the format of a sink that is not written to.
type unwritten struct{}

// String implements codecs.RowFormat.
func (unwritten) String() string { return "not written" }

// Register implements codecs.RowFormat.
func (unwritten) Register(context.Context) (string, error) { return "", nil }

// Notice implements codecs.RowFormat.
func (unwritten) Notice() string { return "" }

// Writer implements codecs.RowFormat.
func (unwritten) Writer([]string) (codecs.RowWriter, error) {
	return nil, fault.New(fault.Internal, "internal", "sinks are not written to in a run over files")
}
