package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"leat/codecs"
	"leat/codecs/jsoncodec"
	"leat/codecs/protocodec"
)

// framedRows reads records that may name their schema in front: by its id, or by its
// fingerprint among the versions of the topic's subject. Others are read by the topic's
// schema. Not safe for concurrent use.
type framedRows struct {
	ctx     context.Context
	client  *client
	subject string
	bare    *rowFormat            // of records without a frame
	byID    map[uint32]*rowFormat // nil: there is no such schema
	byMark  map[uint64]*rowFormat // by fingerprint; nil: the subject has no such schema
	types   map[string]*rowFormat // of Protobuf, by id and message index
}

// row implements rowReader.
func (f *framedRows) row(record []byte) (row []byte, reason string) {
	id, value, framed := codecs.CutConfluent(record)
	if !framed {
		return f.single(record)
	}
	format, err := remembered(f.byID, id, f.find)
	if err != nil {
		return nil, fmt.Sprintf("the schema with the id %d: %v", id, err)
	}
	if format == nil {
		return f.unframed(record, fmt.Sprintf("id %d, which is not registered", id))
	}
	if format.types == nil {
		return format.row(value)
	}
	return f.message(format, id, value)
}

// remembered finds a format once, and does not remember that it could not.
func remembered[K comparable](formats map[K]*rowFormat, key K, find func(K) (*rowFormat, error)) (*rowFormat, error) {
	if format, known := formats[key]; known {
		return format, nil
	}
	format, err := find(key)
	if err == nil {
		formats[key] = format
	}
	return format, err
}

// single reads a record that has a fingerprint in front, or nothing.
func (f *framedRows) single(record []byte) (row []byte, reason string) {
	mark, value, framed := codecs.CutSingleObject(record)
	if !framed {
		return f.bare.row(record)
	}
	format, err := remembered(f.byMark, mark, f.findMark)
	if err != nil {
		return nil, fmt.Sprintf("the schema with the fingerprint %016x: %v", mark, err)
	}
	if format != nil {
		return format.row(value)
	}
	return f.unframed(record, fmt.Sprintf("fingerprint %016x, which %q does not have", mark, f.subject))
}

// unframed reads a record as one without a frame that starts like one of an unknown schema.
func (f *framedRows) unframed(record []byte, unknown string) (row []byte, reason string) {
	if row, reason = f.bare.row(record); reason != "" {
		reason += "; it starts like a frame of the schema " + unknown
	}
	return row, reason
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
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f.client.rowsOf(f.ctx, s, "")
}

// findMark looks for an Avro schema among all versions of the subject, deleted ones too;
// nil where there is none.
func (f *framedRows) findMark(mark uint64) (*rowFormat, error) {
	if f.bare.mark != nil && *f.bare.mark == mark {
		return f.bare, nil
	}
	deletedToo := url.Values{"deleted": {"true"}}
	var versions []int
	body, err := f.client.get(f.ctx, route("subjects", f.subject, "versions"), deletedToo)
	if err == nil {
		err = readAnswer(body, &versions)
	}
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, v := range slices.Backward(versions) {
		s, err := f.client.versionWith(f.ctx, f.subject, strconv.Itoa(v), deletedToo)
		if err != nil {
			return nil, err
		}
		format, err := f.client.rowsOf(f.ctx, s, "")
		if err == nil && format.mark != nil && *format.mark == mark {
			return format, nil
		}
	}
	return nil, nil
}

// isNotFound tells whether the server has answered that there is no such thing.
func isNotFound(err error) bool {
	var refused *failure
	return errors.As(err, &refused) && refused.exit == exitNotFound
}

// newFramedRows makes the reader of a topic's records without a frame: by the newest
// version of its subject, or as JSON.
func (c *client) newFramedRows(ctx context.Context, topic string, bare *rowFormat) (*framedRows, error) {
	subject := topic + "-value"
	if bare == nil {
		bare = &rowFormat{name: rowsJSON, decode: jsoncodec.New([]codecs.Path{{}})}
		s, err := c.subjectVersion(ctx, subject, "latest")
		switch {
		case isNotFound(err):
		case err != nil:
			return nil, err
		default:
			if bare, err = c.rowsOf(ctx, s, ""); err != nil {
				return nil, err
			}
		}
	}
	return &framedRows{
		ctx: ctx, client: c, subject: subject, bare: bare,
		byID: map[uint32]*rowFormat{}, byMark: map[uint64]*rowFormat{}, types: map[string]*rowFormat{},
	}, nil
}
