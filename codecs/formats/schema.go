package formats

import (
	"context"
	"fmt"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/jsoncodec"
	"leat/codecs/protocodec"
)

// schema is a schema in the form that its language has for it. Immutable.
type schema struct {
	id       int // 0 where it is not registered
	language string
	avro     *avrocodec.Schema
	proto    *protocodec.Schema
	message  *protocodec.Message // the first of proto
	err      error               // why it cannot be used
}

// parse reads a registered schema.
func parse(registered Schema) *schema {
	s := &schema{id: registered.ID, language: registered.Language}
	switch registered.Language {
	case Avro:
		references := make([]avrocodec.Reference, len(registered.Sources))
		for i, source := range registered.Sources {
			references[i] = avrocodec.Reference{Name: source.Name, Text: source.Text}
		}
		s.avro, s.err = avrocodec.ParseSchema(registered.Text, references)
	case Protobuf:
		references := make([]protocodec.Reference, len(registered.Sources))
		for i, source := range registered.Sources {
			references[i] = protocodec.Reference{Name: source.Name, Text: source.Text}
		}
		// The limits of a schema bound the work: there is nothing to wait for.
		if s.proto, s.err = protocodec.ParseSchema(context.Background(), registered.Text, references); s.err == nil {
			s.message, s.err = s.proto.Message("")
		}
	case JSONSchema:
	default:
		s.err = fmt.Errorf("schemas of type %q are not known", registered.Language)
	}
	return s
}

// format is the name of the format of the schema's records.
func (s *schema) format() string {
	switch s.language {
	case Avro:
		return codecs.FormatAvro
	case Protobuf:
		return codecs.FormatProtobuf
	}
	return codecs.FormatJSON
}

// typeOf is what the cells of a path can be.
func (s *schema) typeOf(path codecs.Path) (codecs.KindSet, error) {
	switch {
	case s.avro != nil:
		return s.avro.TypeOf(path)
	case s.message != nil:
		return s.message.TypeOf(path)
	}
	return codecs.AnyKind, nil
}

// decoder reads what has been written with s; of Protobuf, messages of its first type. If
// the reader, which may be nil, is Avro like s, and what the paths need of it can be
// resolved with s, it reads as the reader; else as it is written.
func (s *schema) decoder(reader *schema, paths []codecs.Path) (codecs.Decoder, error) {
	switch {
	case s.err != nil:
		return nil, s.err
	case s.message != nil:
		return protocodec.NewDecoder(s.message, paths), nil
	case s.avro == nil:
		return jsoncodec.New(paths), nil
	case reader == nil || reader.avro == nil || reader.id == s.id && s.id != 0:
		return avrocodec.NewDecoder(s.avro, nil, paths)
	}
	if d, err := avrocodec.NewDecoder(s.avro, reader.avro.Narrow(paths), paths); err == nil {
		return d, nil
	}
	return avrocodec.NewDecoder(s.avro, nil, paths)
}
