package formats

import (
	"context"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/protocodec"
)

// Sink finds the format that rows are written to a topic in: the newest version of the
// subject that the spec names, or of "{topic}-value". Errors are those of Source; a schema
// that is not registered is Invalid, for records are framed with its id.
func (l *Library) Sink(ctx context.Context, spec codecs.FormatSpec) (codecs.RowFormat, error) {
	if spec.Pin == "" && isText(spec.Schema) {
		return nil, invalid("records are written behind the id of a schema: register it and name its subject")
	}
	if err := l.catchUp(ctx); err != nil {
		return nil, err
	}
	f := &format{library: l}
	find := f.registered
	if spec.Pin != "" {
		find = f.again
	}
	if err := find(spec); err != nil {
		return nil, err
	}
	if err := f.check(spec); err != nil {
		return nil, err
	}
	return f, nil
}

// Writer implements codecs.RowFormat.
func (f *format) Writer() codecs.RowWriter {
	if f.reader.message != nil {
		frame := protocodec.AppendIndex(codecs.AppendConfluent(nil, uint32(f.reader.id)), f.reader.message.Index())
		return &rowWriter{frame: frame, encoder: protocodec.NewEncoder(f.reader.message)}
	}
	return &rowWriter{frame: codecs.AppendConfluent(nil, uint32(f.reader.id)), encoder: avrocodec.NewEncoder(f.reader.avro)}
}

// rowWriter implements codecs.RowWriter.
type rowWriter struct {
	frame   []byte
	encoder interface {
		AppendJSON(dst, text []byte) ([]byte, error)
	}
}

// Append implements codecs.RowWriter.
func (w *rowWriter) Append(dst, row []byte) ([]byte, error) {
	out, err := w.encoder.AppendJSON(append(dst, w.frame...), row)
	if err != nil {
		return dst, err
	}
	return out, nil
}
