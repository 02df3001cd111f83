// Package inline reads records of which a request says itself how they are written, with
// the schema in the request.
package inline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/protocodec"
	"leat/internal/fault"
)

// Formats makes decoders. It is safe for concurrent use.
type Formats struct{}

// The formats that have schemas.
const (
	avroFormat     = "avro"
	protobufFormat = "protobuf"
)

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "invalid_format", format, args...)
}

// Inline makes a decoder of records that f describes, without frames, whose k-th column
// is the value at paths[k]. The error is a fault of the kind Invalid.
func (Formats) Inline(ctx context.Context, f codecs.InlineFormat, paths []codecs.Path) (codecs.Decoder, error) {
	text := unquoted(f.Schema)
	var shape *codecs.Shape
	switch f.Format {
	case avroFormat:
		s, err := avrocodec.ParseSchema(text, nil)
		if err != nil {
			return nil, invalid("the schema: %w", err)
		}
		kinds, err := s.TypeOf(codecs.Path{})
		if err == nil && kinds != codecs.Kinds(codecs.Object) {
			err = fmt.Errorf("records are objects, and its values are %s", kinds)
		}
		if err != nil {
			return nil, invalid("the schema: %w", err)
		}
		if !f.JSON {
			d, err := avrocodec.NewDecoder(s, nil, paths)
			if err != nil {
				return nil, invalid("the schema: %w", err)
			}
			return d, nil
		}
		shape = s.Shape()
	case protobufFormat:
		s, err := protocodec.ParseSchema(ctx, text, nil)
		if err != nil {
			return nil, invalid("the schema: %w", err)
		}
		m, err := s.Message(f.Message)
		if err != nil {
			return nil, fault.New(fault.Invalid, codecs.CodeNoMessage, "%w", err)
		}
		if !f.JSON {
			return protocodec.NewDecoder(m, paths), nil
		}
		shape = m.Shape()
	default:
		return nil, invalid("records are %q or %q, not %q", avroFormat, protobufFormat, f.Format)
	}
	return newShaped(shape, &f, paths), nil
}

// unquoted is the text that a JSON string literal stands for. The name of a type of Avro
// in quotes is a schema itself.
func unquoted(text string) string {
	var inside string
	if !strings.HasPrefix(strings.TrimSpace(text), `"`) || json.Unmarshal([]byte(text), &inside) != nil {
		return text
	}
	if strings.ContainsAny(inside, `{["`) || strings.Contains(inside, ";") {
		return inside
	}
	return text
}
