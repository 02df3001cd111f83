package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
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

// maxSchemas bounds the schemas that one may refer to, as the server does.
const maxSchemas = 200

// subjectVersion asks for a version of a subject: a number, or "latest".
func (c *client) subjectVersion(ctx context.Context, subject, version string) (registeredSchema, error) {
	return c.versionWith(ctx, subject, version, nil)
}

func (c *client) versionWith(ctx context.Context, subject, version string, query url.Values) (s registeredSchema, err error) {
	body, err := c.get(ctx, route("subjects", subject, "versions", version), query)
	if err == nil {
		err = readAnswer(body, &s)
	}
	return s, err
}

// schemasPage is how many versions of all subjects the server lists at a time.
const schemasPage = 1000

// listSchemas asks for the versions of all subjects, page by page, and makes one list of
// them.
func (c *client) listSchemas(ctx context.Context, query url.Values) ([]byte, error) {
	var list [][]byte
	for {
		query.Set("offset", strconv.Itoa(len(list)))
		var page []json.RawMessage
		body, err := c.get(ctx, "/schemas", query)
		if err == nil {
			err = readAnswer(body, &page)
		}
		if err != nil {
			return nil, err
		}
		for _, version := range page {
			list = append(list, version)
		}
		if len(page) < schemasPage {
			return slices.Concat([]byte{'['}, bytes.Join(list, []byte{','}), []byte{']'}), nil
		}
	}
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
		// What a schema refers to may have been deleted with it; records have its id still.
		other, err := c.versionWith(ctx, r.Subject, strconv.Itoa(r.Version), url.Values{"deleted": {"true"}})
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
