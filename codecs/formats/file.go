package formats

import (
	"io"

	"leat/codecs"
	"leat/codecs/avrocodec"
)

// RowFile writes rows to an Avro container file, with a schema that is made of their type.
// Not safe for concurrent use.
type RowFile struct {
	out    *avrocodec.ContainerWriter
	writer rowWriter
	record []byte
}

// NewRowFile begins a file of rows of a type, which are called name. sync marks the ends
// of blocks and should be random. The error is a *codecs.MemberError where no schema can be
// made of the type.
func NewRowFile(out io.Writer, name string, row *codecs.Type, sync [16]byte) (*RowFile, error) {
	fields, err := fieldsOf(row)
	if err != nil {
		return nil, err
	}
	text, fault := avrocodec.SchemaOf(codecs.FieldName(name), fields, nil)
	if fault != nil {
		return nil, fault
	}
	schema, err := avrocodec.ParseSchema(text, nil)
	if err != nil {
		return nil, err
	}
	members := make([]string, len(row.Fields))
	for i := range members {
		members[i] = row.Fields[i].Name
	}
	f := &RowFile{writer: rowWriter{encoder: avrocodec.NewEncoder(schema), names: renamed(members)}}
	f.out, err = avrocodec.NewContainerWriter(out, text, sync)
	return f, err
}

// Append adds a row, which is JSON text. A *codecs.MemberError says why it has no place in
// the schema; the file is as it was then.
func (f *RowFile) Append(row []byte) error {
	var err error
	if f.record, err = f.writer.Append(f.record[:0], row); err != nil {
		return err
	}
	return f.out.Append(f.record)
}

// Flush writes what has been appended.
func (f *RowFile) Flush() error { return f.out.Flush() }
