package avrocodec

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/hamba/avro/v2/ocf"

	"leat/codecs"
)

// containerRecords encodes n rows of the sample of the benchmarks.
func containerRecords(t testing.TB, n int) (schema *Schema, records [][]byte) {
	t.Helper()
	return parse(t, orderSchema), orders(t, n)
}

func readContainer(file []byte) (records [][]byte, err error) {
	r, err := NewContainerReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	for {
		record, err := r.Next()
		if err != nil {
			return records, err
		}
		records = append(records, slices.Clone(record))
	}
}

func writeContainer(t testing.TB, schema string, records [][]byte) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewContainerWriter(&file, schema, [16]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		if err := w.Append(record); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestContainerByHamba: hamba/avro reads what is written here, and the other way round.
func TestContainerByHamba(t *testing.T) {
	t.Parallel()
	_, records := containerRecords(t, 3000)
	file := writeContainer(t, orderSchema, records)
	theirs, err := ocf.NewDecoder(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for ; theirs.HasNext(); read++ {
		var o order
		if err := theirs.Decode(&o); err != nil {
			t.Fatal(err)
		}
	}
	if err := theirs.Error(); err != nil || read != len(records) {
		t.Fatalf("hamba reads %d records of %d, %v", read, len(records), err)
	}
	for _, codec := range []ocf.CodecName{ocf.Null, ocf.Deflate} {
		var out bytes.Buffer
		w, err := ocf.NewEncoder(orderSchema, &out, ocf.WithCodec(codec), ocf.WithBlockLength(70))
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			if _, err := w.Write(record); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := readContainer(out.Bytes())
		if !errors.Is(err, io.EOF) || !slices.EqualFunc(got, records, bytes.Equal) {
			t.Errorf("%s: %d records of %d, %v", codec, len(got), len(records), err)
		}
	}
}

// TestContainerCutShort: a file that ends anywhere but behind a block says so.
func TestContainerCutShort(t *testing.T) {
	t.Parallel()
	_, records := containerRecords(t, 3)
	file := writeContainer(t, orderSchema, records)
	head := writeContainer(t, orderSchema, nil)
	for end := range len(file) {
		got, err := readContainer(file[:end])
		if good := end == len(head); errors.Is(err, io.EOF) != good || len(got) > 0 {
			t.Fatalf("%d of %d bytes: %d records, %v", end, len(file), len(got), err)
		}
	}
}

func TestContainerRefuses(t *testing.T) {
	t.Parallel()
	head := func(meta ...string) []byte {
		b := appendLong([]byte(ContainerMagic), int64(len(meta)/2))
		for _, text := range meta {
			b = append(appendLong(b, int64(len(text))), text...)
		}
		return append(appendLong(b, 0), make([]byte, syncBytes)...)
	}
	plain := head("avro.schema", `"int"`)
	block := func(count, size int64, data string) []byte {
		b := appendLong(appendLong(slices.Clone(plain), count), size)
		return append(append(b, data...), make([]byte, syncBytes)...)
	}
	for want, file := range map[string][]byte{
		"not an Avro container file":                                         []byte("Obj"),
		"the head of the Avro container file: a number out of range":         append([]byte(ContainerMagic), bytes.Repeat([]byte{0xFF}, 11)...),
		"the head of the Avro container file: its metadata is too large":     appendLong(appendLong([]byte(ContainerMagic), 1), 1<<40),
		`the Avro container file is compressed with "snappy"; null and`:      head("avro.schema", `"int"`, "avro.codec", "snappy"),
		"the schema of the Avro container file: an Avro schema without":      head(),
		"after record 0: a block of -1 records":                              block(-1, 1, "\x02"),
		"after record 0: a block of 1099511627776 records":                   block(1<<40, 1, "\x02"),
		"after record 0: a block of 1099511627776 bytes, more than 67108864": block(1, 1<<40, "\x02"),
		"after record 1: 1 bytes of the block are left over":                 block(1, 2, "\x02\x02"),
		"record 2 of the Avro container file: not valid Avro at offset 0":    block(2, 1, "\x02"),
		"after record 0: a block of no records and 1 bytes":                  block(0, 1, "\x02"),
		"after record 0: a block that does not end with the sync marker":     block(1, 0, "\x02"),
	} {
		if _, err := readContainer(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := NewContainerWriter(io.Discard, `"none"`, [16]byte{}); err == nil {
		t.Error("a file of no schema is written")
	}
}

// TestContainerBomb: a block that decompresses to more than its limit is refused.
func TestContainerBomb(t *testing.T) {
	t.Parallel()
	file := writeContainer(t, `"bytes"`, [][]byte{append(appendLong(nil, MaxContainerBlock), make([]byte, MaxContainerBlock)...)})
	if _, err := readContainer(file); err == nil || !strings.Contains(err.Error(), "a block of more than 67108864 bytes") {
		t.Errorf("%d bytes are read as %v", len(file), err)
	}
}

// FuzzContainer reads any bytes: what comes out are records of the file's schema.
func FuzzContainer(f *testing.F) {
	_, records := containerRecords(f, 3)
	f.Add(writeContainer(f, orderSchema, records))
	f.Add(writeContainer(f, `{"type":"array","items":"null"}`, [][]byte{{4, 0}, {0}}))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewContainerReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		d, err := NewDecoder(r.Schema(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var into codecs.Columns
		for range 1000 {
			record, err := r.Next()
			if err != nil {
				return
			}
			if bad := d.Decode([][]byte{record}, &into); len(bad) > 0 {
				t.Fatalf("% x: %s", record, bad[0].Reason)
			}
		}
	})
}
