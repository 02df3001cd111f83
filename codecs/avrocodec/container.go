package avrocodec

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"leat/codecs/internal/varint"
)

// An object container file (Avro specification 1.12, "Object Container Files"):
//
//	"Obj" 01
//	map of bytes        "avro.schema": the schema's JSON; "avro.codec": null or deflate
//	16 bytes            the sync marker
//	then blocks:
//	  long              how many records
//	  long              how many bytes they have, compressed
//	  the records
//	  16 bytes          the sync marker again
//
// ContainerMagic is what every one starts with.
const ContainerMagic = "Obj\x01"

const syncBytes = 16

// The limits of a container file that is read.
const (
	// MaxContainerBlock is the size of a block, compressed or not.
	MaxContainerBlock = 64 << 20
	// maxHeader is the size of all metadata, and maxBlockRecords how many records a block
	// may have, which bounds those that take no bytes.
	maxHeader       = MaxSchemaBytes + 64<<10
	maxBlockRecords = 1 << 24
)

// The codecs of blocks. Others need libraries of their own.
const (
	codecNull    = "null"
	codecDeflate = "deflate"
)

// IsContainer reports whether a file that starts like this is a container file.
func IsContainer(head []byte) bool { return bytes.HasPrefix(head, []byte(ContainerMagic)) }

// ContainerReader reads the records of a container file. It trusts nothing in it: lengths
// are looked at before memory is taken, and every record is checked. Not safe for
// concurrent use.
type ContainerReader struct {
	in      *bufio.Reader
	text    string
	schema  *Schema
	cutter  *Decoder
	deflate bool
	sync    [syncBytes]byte
	block   []byte // what is left of it
	left    int64  // records in it
	number  int64  // of the record that Next returned last, from 1
}

// NewContainerReader reads the head of a file.
func NewContainerReader(in io.Reader) (*ContainerReader, error) {
	r := &ContainerReader{in: bufio.NewReader(in)}
	var magic [len(ContainerMagic)]byte
	if _, err := io.ReadFull(r.in, magic[:]); err != nil || string(magic[:]) != ContainerMagic {
		return nil, errors.New("not an Avro container file")
	}
	meta, err := r.metadata()
	if errors.Is(err, io.EOF) {
		err = errors.New("cut short")
	}
	if err != nil {
		return nil, fmt.Errorf("the head of the Avro container file: %w", err)
	}
	switch codec := meta["avro.codec"]; codec {
	case "", codecNull:
	case codecDeflate:
		r.deflate = true
	default:
		return nil, fmt.Errorf("the Avro container file is compressed with %q; null and deflate are read", codec)
	}
	r.text = meta["avro.schema"]
	if r.schema, err = ParseSchema(r.text, nil); err != nil {
		return nil, fmt.Errorf("the schema of the Avro container file: %w", err)
	}
	if r.cutter, err = NewDecoder(r.schema, nil, nil); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(r.in, r.sync[:]); err != nil {
		return nil, errors.New("the head of the Avro container file is cut short")
	}
	return r, nil
}

// Schema is what the records are written with, and Text its JSON.
func (r *ContainerReader) Schema() *Schema { return r.schema }

// Text is the JSON of the schema as the file has it.
func (r *ContainerReader) Text() string { return r.text }

// metadata reads a map of bytes.
func (r *ContainerReader) metadata() (map[string]string, error) {
	meta := map[string]string{}
	left := int64(maxHeader)
	for {
		count, err := r.long()
		if err != nil || count == 0 {
			return meta, err
		}
		if count < 0 {
			if _, err := r.long(); err != nil { // the size, which nothing is skipped by
				return nil, err
			}
			count = -count
		}
		for ; count != 0; count-- {
			key, err := r.bytes(&left)
			if err != nil {
				return nil, err
			}
			value, err := r.bytes(&left)
			if err != nil {
				return nil, err
			}
			meta[string(key)] = string(value)
		}
	}
}

// bytes reads bytes with their length in front, of which there may be left in all.
func (r *ContainerReader) bytes(left *int64) ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	if *left -= 8 + n; n < 0 || n > maxHeader || *left < 0 {
		return nil, errors.New("its metadata is too large")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, errors.New("cut short")
	}
	return b, nil
}

// long reads a number. io.EOF is the end of the file right before it.
func (r *ContainerReader) long() (int64, error) {
	var raw [varint.MaxBytes]byte
	for n := range raw {
		c, err := r.in.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return 0, errors.New("cut short")
		case err != nil:
			return 0, err
		}
		if raw[n] = c; c < 0x80 {
			v, next := readLong(raw[:n+1], 0)
			if next < 0 {
				break
			}
			return v, nil
		}
	}
	return 0, errors.New("a number out of range")
}

// Next is the next record, which is valid until the call after that. The error is io.EOF
// after the last one.
func (r *ContainerReader) Next() ([]byte, error) {
	for r.left == 0 {
		if err := r.nextBlock(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("the Avro container file, after record %d: %w", r.number, err)
		}
	}
	r.number++
	end := r.cutter.cut(r.block)
	if end < 0 {
		reason := r.cutter.fault.String()
		r.cutter.fault = fault{}
		return nil, fmt.Errorf("record %d of the Avro container file: %s", r.number, reason)
	}
	record := r.block[:end:end]
	r.block = r.block[end:]
	if r.left--; r.left == 0 && len(r.block) > 0 {
		return nil, fmt.Errorf("the Avro container file, after record %d: %d bytes of the block are left over", r.number, len(r.block))
	}
	return record, nil
}

// cut finds the end of the record at the start of b, or -1 with the fault set.
func (d *Decoder) cut(b []byte) int {
	d.idle = idlePerRecord + idlePerByte*len(b)
	end := d.run(d.main, b, 0, 0)
	if end >= 0 && d.idle < idlePerByte*(len(b)-end) { // more than a record of this length may have
		return d.fault.at(0, "too many values that take no bytes")
	}
	return end
}

func (r *ContainerReader) nextBlock() error {
	count, err := r.long()
	if err != nil {
		return err
	}
	size, err := r.long()
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("cut short")
	case err != nil:
		return err
	case count < 0 || count > maxBlockRecords:
		return fmt.Errorf("a block of %d records", count)
	case size < 0 || size > MaxContainerBlock:
		return fmt.Errorf("a block of %d bytes, more than %d", size, MaxContainerBlock)
	}
	// What the file does not have is not made room for.
	raw, err := io.ReadAll(io.LimitReader(r.in, size))
	var sync [syncBytes]byte
	if err == nil && int64(len(raw)) == size {
		_, err = io.ReadFull(r.in, sync[:])
	}
	switch {
	case err != nil || int64(len(raw)) < size:
		return errors.New("cut short")
	case sync != r.sync:
		return errors.New("a block that does not end with the sync marker")
	}
	if r.deflate {
		if raw, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(raw)), MaxContainerBlock+1)); err != nil {
			return fmt.Errorf("decompress a block: %w", err)
		}
		if len(raw) > MaxContainerBlock {
			return fmt.Errorf("a block of more than %d bytes", MaxContainerBlock)
		}
	}
	r.block, r.left = raw, count
	if count == 0 && len(raw) > 0 {
		return fmt.Errorf("a block of no records and %d bytes", len(raw))
	}
	return nil
}

// ContainerWriter writes a container file, compressed with deflate. Not safe for
// concurrent use. After an error it is of no more use.
type ContainerWriter struct {
	out   io.Writer
	sync  [syncBytes]byte
	block []byte
	count int64
}

// A block is written when it has so many bytes.
const containerBlock = 64 << 10

// NewContainerWriter writes the head of a file of records of the schema with this JSON
// text. sync marks the ends of blocks and should be random.
func NewContainerWriter(out io.Writer, schema string, sync [16]byte) (*ContainerWriter, error) {
	if _, err := ParseSchema(schema, nil); err != nil {
		return nil, err
	}
	head := []byte(ContainerMagic)
	head = appendLong(head, 2)
	for _, text := range []string{"avro.schema", strings.TrimSpace(schema), "avro.codec", codecDeflate} {
		head = append(appendLong(head, int64(len(text))), text...)
	}
	head = append(appendLong(head, 0), sync[:]...)
	w := &ContainerWriter{out: out, sync: sync}
	return w, w.write(head)
}

func (w *ContainerWriter) write(b []byte) error {
	if _, err := w.out.Write(b); err != nil {
		return fmt.Errorf("write the Avro container file: %w", err)
	}
	return nil
}

// Append adds a record, which has to be one of the schema.
func (w *ContainerWriter) Append(record []byte) error {
	w.block = append(w.block, record...)
	w.count++
	if len(w.block) < containerBlock {
		return nil
	}
	return w.Flush()
}

// Flush writes what has been appended as a block.
func (w *ContainerWriter) Flush() error {
	if w.count == 0 {
		return nil
	}
	var packed bytes.Buffer
	deflate, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err == nil {
		if _, err = deflate.Write(w.block); err == nil {
			err = deflate.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("compress a block: %w", err)
	}
	head := appendLong(appendLong(nil, w.count), int64(packed.Len()))
	w.block, w.count = w.block[:0], 0
	return w.write(slices.Concat(head, packed.Bytes(), w.sync[:]))
}
