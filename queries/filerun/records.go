package filerun

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"

	"leat/codecs/avrocodec"
)

// records are those of a file.
type records interface {
	// next is the next record, valid until the call after that; io.EOF after the last one.
	next() ([]byte, error)
	// schema is the text of the Avro schema that they are written with; "" = the file says
	// nothing of it.
	schema() string
}

// openRecords finds out what a file is, plain or compressed with gzip: an Avro container
// file, or one record a line, as it is or as base64.
func openRecords(in io.Reader, base64 bool) (records, error) {
	r, err := unpack(in)
	if err != nil {
		return nil, err
	}
	if !startsLike(r, avrocodec.ContainerMagic) {
		return &lines{in: r, base64: base64}, nil
	}
	file, err := avrocodec.NewContainerReader(r)
	if err != nil {
		return nil, err
	}
	return &container{file}, nil
}

// unpack decompresses what is compressed.
func unpack(in io.Reader) (*bufio.Reader, error) {
	r := bufio.NewReaderSize(in, readBytes)
	if !startsLike(r, "\x1f\x8b") {
		return r, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return bufio.NewReaderSize(z, readBytes), nil
}

// startsLike looks no further than it has to, for a file may take its time.
func startsLike(r *bufio.Reader, mark string) bool {
	for n := 1; n <= len(mark); n++ {
		if head, err := r.Peek(n); err != nil || head[n-1] != mark[n-1] {
			return false
		}
	}
	return true
}

func (l *lines) schema() string { return "" }

// container reads the records of an Avro container file.
type container struct{ file *avrocodec.ContainerReader }

func (c *container) next() ([]byte, error) { return c.file.Next() }

func (c *container) schema() string { return c.file.Text() }
