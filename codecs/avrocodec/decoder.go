package avrocodec

import (
	"fmt"
	"unsafe"

	"leat/codecs"
	"leat/codecs/internal/jsontext"
)

var _ codecs.Decoder = (*Decoder)(nil)

const (
	// maxDepth is how many records, arrays and maps may lie inside each other in a
	// record: what JSON text may have as well.
	maxDepth = jsontext.MaxDepth

	// A record may have so many values that take no bytes (nulls, empty records,
	// defaults of the reader's schema) in the items of arrays and maps, and so many more
	// for each of its bytes: they make JSON text out of nothing.
	idlePerRecord = 1 << 10
	idlePerByte   = 16

	// What one object or array may have as JSON text, and so much more for each byte of its
	// record: names of fields and symbols can be a thousand times what stands for them in
	// the record.
	textPerRecord = 1 << 20
	textPerByte   = 128
)

// Decoder implements codecs.Decoder for bare Avro records, without a frame in front.
// docs/formats/mapping.md says what the types become. Records, maps and arrays are JSON
// text in the decoder's memory; strings, bytes and symbols are views into the record or
// the schema.
//
// A record is bad if it breaks the encoding's rules (a number too long or out of range, a
// length, count or index that points outside, a boolean other than 0 and 1, a block that
// is not as long as it says), if bytes are left over, if a string is not UTF-8, if a
// decimal has more than 128 bytes, if it nests deeper than 512, if it has too many values
// that take no bytes, if it has a value that the reader's schema has no place for, or if
// what is asked for of it is far more text than it has bytes.
//
// Not safe for concurrent use. It allocates only for bad rows, for decimals of more than
// 8 bytes, and while it grows to the size of the batches.
type Decoder struct {
	main  *program
	check *program // before main, where that makes text: no text is made of a bad record
	width int
	again []copied
	free  int // values without bytes that a record of no bytes may have
	most  int // text that an object or array of it may have
	machine
}

// copied is a path that was asked for twice.
type copied struct{ from, to int32 }

// machine is the state of a run.
type machine struct {
	cols    []codecs.Column // of the batch being decoded
	row     int
	arena   []byte // JSON text and UUIDs of this batch
	idle    int    // values without bytes that the record may still have
	longest int    // text that an object or array may have
	room    int    // length of the arena that the text being written may reach
	deepest int    // how deep the texts nest
	fault   fault
	bad     []codecs.RowError
}

// NewDecoder makes a decoder of records written with the schema writer, whose k-th
// column is the value at paths[k]. If reader is not nil, records are read as its by the
// rules of schema resolution, and the paths lead through it; what no path leads to need
// not fit. The error says why what they lead to can never be read as reader's.
func NewDecoder(writer, reader *Schema, paths []codecs.Path) (*Decoder, error) {
	d, t := newDecoder(paths)
	if reader == nil {
		reader = writer
	}
	p, err := resolve(writer.root, reader.root, t)
	if err != nil {
		return nil, fmt.Errorf("the Avro schemas do not resolve: %w", err)
	}
	d.build(p, t)
	return d, nil
}

// NewFittingDecoder is NewDecoder for a writer whose schema may have gone beyond the
// reader's: a field that does not fit is read as it is written, and is missing where the
// writer has none and the reader no default; all other fields are read as the reader's.
// A record of another name is read as it is written. The misfits say which these are, a
// line each; none if the schemas resolve. The error is of schemas without any records.
func NewFittingDecoder(writer, reader *Schema, paths []codecs.Path) (d *Decoder, misfits []string, err error) {
	d, t := newDecoder(paths)
	p, misfits, err := resolveWhatFits(writer.root, reader.root, t)
	if err != nil {
		return nil, nil, fmt.Errorf("the Avro schema has no records: %w", err)
	}
	d.build(p, t)
	return d, misfits, nil
}

// newDecoder makes a decoder without a program, and what that has to set.
func newDecoder(paths []codecs.Path) (*Decoder, *trie) {
	d := &Decoder{width: len(paths), free: idlePerRecord, most: textPerRecord}
	t := newTrie()
	for k, path := range paths {
		if first := t.add(path.Steps(), int32(k)); first != int32(k) {
			d.again = append(d.again, copied{first, int32(k)})
		}
	}
	return d, t
}

// build makes the programs of d, which read values of p and set what t asks for.
func (d *Decoder) build(p *plan, t *trie) {
	if d.main = compile(p, t, d.width); d.main.texts {
		d.check = compile(p, nil, 0)
	}
}

// Decode implements codecs.Decoder.
func (d *Decoder) Decode(values [][]byte, into *codecs.Columns) []codecs.RowError {
	into.Reset(len(values), d.width)
	d.cols, d.arena, d.bad = into.Cols, d.arena[:0], d.bad[:0]
	for row, b := range values {
		d.row = row
		end := len(b)
		if d.check != nil {
			end = d.pass(d.check, b)
		}
		if end == len(b) {
			end = d.pass(d.main, b)
		}
		if end == len(b) {
			continue
		}
		if end >= 0 {
			d.fault.at(end, fmt.Sprintf("%d bytes are left over", len(b)-end))
		}
		into.ClearRow(row)
		d.bad = append(d.bad, codecs.RowError{Row: row, Reason: d.fault.String()})
		d.fault = fault{}
	}
	for _, c := range d.again {
		into.Cols[c.to].Copy(&into.Cols[c.from])
	}
	d.cols = nil
	return d.bad
}

// pass runs a program over a record.
func (d *Decoder) pass(pr *program, b []byte) int {
	d.idle, d.longest = d.free+idlePerByte*len(b), d.most+textPerByte*len(b)
	return d.run(pr, b, 0, 0)
}

// String words the fault as the reason of a bad row.
func (f *fault) String() string {
	if f.field == "" {
		return fmt.Sprintf("not valid Avro at offset %d: %s", f.offset, f.reason)
	}
	return fmt.Sprintf("not valid Avro at offset %d, field %q: %s", f.offset, f.field, f.reason)
}

// spend takes from the values without bytes that a record may have.
func (m *machine) spend(i, values int) bool {
	if m.idle -= values; m.idle >= 0 {
		return true
	}
	m.fault.at(i, "too many values that take no bytes")
	return false
}

// set fills a cell; -1 is none.
func (m *machine) set(col int32, kind codecs.Kind, num uint64, text string) {
	if col >= 0 {
		m.cols[col].Set(m.row, codecs.Value{Kind: kind, Num: num, Str: text})
	}
}

// decodeDefault decodes what t asks for of the default of f.
func decodeDefault(f *planField, t *trie, width int) []codecs.Value {
	d := Decoder{main: compile(f.p, t, width), width: width, free: beyond, most: beyond}
	var into codecs.Columns
	cells := make([]codecs.Value, width)
	if bad := d.Decode([][]byte{f.value}, &into); len(bad) > 0 {
		return cells // a default has been checked: it is never bad
	}
	for k := range cells {
		cells[k] = into.Cols[k].Value(0).Clone()
	}
	return cells
}

// view is b as a string that shares its memory.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
