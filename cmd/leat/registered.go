package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/jsoncodec"
	"leat/codecs/protocodec"
)

// registeredSchema is a schema as the schema calls of the server answer it.
type registeredSchema struct {
	ID         uint32 `json:"id"`
	Language   string `json:"schemaType"` // "" = AVRO
	Text       string `json:"schema"`
	References []struct {
		Name    string `json:"name"`
		Subject string `json:"subject"`
		Version int    `json:"version"`
	} `json:"references"`
}

// maxSchemas bounds the schemas that one may refer to.
const maxSchemas = 128

// subjectVersion asks for a version of a subject: a number, or "latest".
func (c *client) subjectVersion(ctx context.Context, subject, version string) (s registeredSchema, err error) {
	body, err := c.get(ctx, route("subjects", subject, "versions", version), nil)
	if err == nil {
		err = readAnswer(body, &s)
	}
	return s, err
}

// schemaByID asks for the schema of an id.
func (c *client) schemaByID(ctx context.Context, id uint32) (s registeredSchema, err error) {
	body, err := c.get(ctx, route("schemas", "ids", strconv.FormatUint(uint64(id), 10)), nil)
	if err == nil {
		err = readAnswer(body, &s)
	}
	s.ID = id
	return s, err
}

// references lists what s refers to, each after those that it needs itself.
func (c *client) references(ctx context.Context, s *registeredSchema, known map[string]bool) (list []protocodec.Reference, err error) {
	for _, r := range s.References {
		if known[r.Name] {
			continue
		}
		if known[r.Name] = true; len(known) > maxSchemas {
			return nil, fmt.Errorf("the schema refers to more than %d others", maxSchemas)
		}
		other, err := c.subjectVersion(ctx, r.Subject, strconv.Itoa(r.Version))
		if err != nil {
			return nil, fmt.Errorf("the reference %q: %w", r.Name, err)
		}
		below, err := c.references(ctx, &other, known)
		if err != nil {
			return nil, err
		}
		list = append(append(list, below...), protocodec.Reference{Name: r.Name, Text: other.Text})
	}
	return list, nil
}

// rowsOf compiles a registered schema. Records are written with a frame in front.
func (c *client) rowsOf(ctx context.Context, s registeredSchema, message string) (*rowFormat, error) {
	references, err := c.references(ctx, &s, map[string]bool{})
	if err != nil {
		return nil, err
	}
	frame := codecs.AppendConfluent(nil, s.ID)
	switch s.Language {
	case "", "AVRO":
		others := make([]avrocodec.Reference, len(references))
		for i, r := range references {
			others[i] = avrocodec.Reference(r)
		}
		schema, err := avrocodec.ParseSchema(s.Text, others)
		if err != nil {
			return nil, err
		}
		r, err := avroRowsOf(schema, s.Text)
		if err == nil {
			r.frame = frame
		}
		return r, err
	case "PROTOBUF":
		schema, err := protocodec.ParseSchema(ctx, s.Text, references)
		if err != nil {
			return nil, err
		}
		m, err := schema.Message(message)
		if err != nil {
			return nil, err
		}
		r := protobufRowsOf(m)
		r.frame = protocodec.AppendIndex(frame, m.Index())
		r.types = schema
		return r, nil
	}
	return &rowFormat{name: rowsJSON, frame: frame, decode: jsoncodec.New([]codecs.Path{{}})}, nil
}

// registered finds the schema of the subject that the flags name.
func (f *formatFlags) registered(ctx context.Context, c *client) (*rowFormat, error) {
	subject, version := f.subject, "latest"
	if i := strings.LastIndexByte(subject, ':'); i >= 0 {
		subject, version = subject[:i], subject[i+1:]
	}
	s, err := c.subjectVersion(ctx, subject, version)
	if err != nil {
		return nil, err
	}
	r, err := c.rowsOf(ctx, s, f.message)
	if err != nil {
		return nil, fmt.Errorf("the schema of %q: %w", f.subject, err)
	}
	if f.format != "" && f.format != r.name {
		return nil, usage("--format is %s, and the schema of %q is one of %s", f.format, f.subject, r.name)
	}
	return r, nil
}

// framedRows reads records that may name their schema in front; others by the topic's.
// Not safe for concurrent use.
type framedRows struct {
	ctx    context.Context
	client *client
	bare   *rowFormat            // of records without a frame
	byID   map[uint32]*rowFormat // nil: there is no such schema
	types  map[string]*rowFormat // of Protobuf, by id and message index
}

// row implements rowReader.
func (f *framedRows) row(record []byte) (row []byte, reason string) {
	id, value, framed := codecs.CutConfluent(record)
	if !framed {
		return f.bare.row(record)
	}
	format, known := f.byID[id]
	if !known {
		var err error
		if format, err = f.find(id); err != nil {
			return nil, fmt.Sprintf("the schema with the id %d: %v", id, err)
		}
		f.byID[id] = format
	}
	if format == nil {
		row, reason = f.bare.row(record)
		if reason != "" {
			reason += fmt.Sprintf("; it starts like a frame of the schema id %d, which is not registered", id)
		}
		return row, reason
	}
	if format.types == nil {
		return format.row(value)
	}
	return f.message(format, id, value)
}

// message reads a framed Protobuf record, of the type that its index names.
func (f *framedRows) message(format *rowFormat, id uint32, value []byte) (row []byte, reason string) {
	index, message, ok := protocodec.CutIndex(nil, value)
	if !ok {
		return nil, "there is no message index behind the schema's id"
	}
	key := fmt.Sprint(id, index)
	typed := f.types[key]
	if typed == nil {
		m, err := format.types.MessageAt(index)
		if err != nil {
			return nil, err.Error()
		}
		typed = protobufRowsOf(m)
		f.types[key] = typed
	}
	return typed.row(message)
}

// find asks the server for a schema; nil where there is none.
func (f *framedRows) find(id uint32) (*rowFormat, error) {
	s, err := f.client.schemaByID(f.ctx, id)
	var refused *failure
	if errors.As(err, &refused) && refused.exit == exitNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f.client.rowsOf(f.ctx, s, "")
}

// newFramedRows makes the reader of a topic's records without a frame: by the newest
// version of its subject, or as JSON.
func (c *client) newFramedRows(ctx context.Context, topic string, bare *rowFormat) (*framedRows, error) {
	if bare == nil {
		bare = &rowFormat{name: rowsJSON, decode: jsoncodec.New([]codecs.Path{{}})}
		s, err := c.subjectVersion(ctx, topic+"-value", "latest")
		var refused *failure
		switch {
		case errors.As(err, &refused) && refused.exit == exitNotFound:
		case err != nil:
			return nil, err
		default:
			if bare, err = c.rowsOf(ctx, s, ""); err != nil {
				return nil, err
			}
		}
	}
	return &framedRows{ctx: ctx, client: c, bare: bare, byID: map[uint32]*rowFormat{}, types: map[string]*rowFormat{}}, nil
}
