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
// the reader, which may be nil, is Avro like s, it reads as the reader what of the paths
// can be resolved with s, and the rest as it is written: the misfits say what that is.
func (s *schema) decoder(reader *schema, paths []codecs.Path) (d codecs.Decoder, misfits []string, err error) {
	switch {
	case s.err != nil:
		return nil, nil, s.err
	case s.message != nil:
		return protocodec.NewDecoder(s.message, paths), reader.misfits(s.message, paths), nil
	case s.avro == nil:
		return jsoncodec.New(paths), nil, nil
	case reader == nil || reader == s || reader.id == s.id && s.id != 0:
		d, err = avrocodec.NewDecoder(s.avro, nil, paths)
		return d, nil, err
	case reader.avro == nil:
		d, err = avrocodec.NewDecoder(s.avro, nil, paths)
		return d, reader.misfits(s.avro, paths), err
	}
	return avrocodec.NewFittingDecoder(s.avro, reader.avro, paths)
}

// misfits are the paths at which records that are read as they are written have
// other values than those of s, or none; s may be nil.
func (s *schema) misfits(written interface {
	TypeOf(codecs.Path) (codecs.KindSet, error)
}, paths []codecs.Path) []string {
	var misfits []string
	for _, p := range paths {
		if s == nil {
			break
		}
		wanted, err := s.typeOf(p)
		if err != nil {
			continue
		}
		fit := wanted
		if fit.Has(codecs.Float) {
			fit |= codecs.Kinds(codecs.Int)
		}
		switch has, err := written.TypeOf(p); {
		case err != nil:
			misfits = append(misfits, fmt.Sprintf("it has no field %q", p))
		case has.Values()&^fit != 0:
			misfits = append(misfits, fmt.Sprintf("%q is %s, not %s", p, has.Values(), wanted.Values()))
		}
	}
	return misfits
}
