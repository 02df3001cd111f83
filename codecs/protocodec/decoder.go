package protocodec

import (
	"fmt"
	"math"

	"leat/codecs"
)

var _ codecs.Decoder = (*Decoder)(nil)

const (
	// maxDepth is how many messages may lie inside each other in a record, as in the
	// implementations in C++, Java and Python. A group counts as three, for what is in it
	// is passed over once for every group around it.
	maxDepth    = 100
	groupLevels = 3

	// What a record may have in text of defaults that are not written in it, and so much
	// more for each of its bytes.
	fillPerRecord = 1 << 18
	fillPerByte   = 128

	// What one object or array may have as JSON text, and so much more for each byte of its
	// record: names of fields and of values of enums can be a thousand times what stands for
	// them in the record.
	textPerRecord = 1 << 20
	textPerByte   = 128
)

// Decoder implements codecs.Decoder for bare messages of one type, without a frame in
// front. docs/formats/protobuf.md says what the types become. Messages, maps and lists are
// JSON text in the decoder's memory; strings, bytes and names of enums are views into the
// record or the schema.
//
// A record is bad if it breaks the encoding's rules (a number of more than 64 bits, a
// length that points outside, a field number out of range, a group without an end or an
// end without a group, an unknown wire type), if a string is not UTF-8, if a required
// field is missing, if messages nest deeper than 100, if it stands for far more
// defaults than it has bytes, or if what is asked for of it is far more text. Fields that
// are not in the schema, and fields written with another wire type than the schema's, are
// passed over.
//
// Not safe for concurrent use. It allocates only for bad rows, and while it grows to the
// size of the batches.
type Decoder struct {
	main  *program
	rest  *want // what main does not set; nil for nothing
	all   *want
	root  *message
	width int
	again []copied
	machine
}

// copied is a path that was asked for twice.
type copied struct{ from, to int32 }

// machine is the state of a run.
type machine struct {
	cols   []codecs.Column // of the batch being decoded
	row    int
	record []byte
	arena  []byte // JSON text of this batch
	fill   int    // text of defaults that the record may still have
	stamp  uint64 // counts records
	once   []uint64
	twice  bool // something came twice that main expects but once
	fault  fault
	bad    []codecs.RowError

	occurrences []occurrence
	heads       []head
	lean        bool // what is noted is for complete
	lacking     bool // a message of a list or map has not what is required
	room        int  // length of the arena that the text being written may reach
}

// NewDecoder makes a decoder whose k-th column is the value at paths[k].
func NewDecoder(m *Message, paths []codecs.Path) *Decoder {
	d := &Decoder{root: m.root, width: len(paths), all: newWant()}
	fast, rest := newWant(), newWant()
	for k, path := range paths {
		if first := d.all.add(path.Steps(), int32(k)); first != int32(k) {
			d.again = append(d.again, copied{first, int32(k)})
			continue
		}
		switch reach(m.root, path.Steps()) {
		case straight:
			fast.add(path.Steps(), int32(k))
		case winding:
			rest.add(path.Steps(), int32(k))
			d.rest = rest
		}
	}
	m.built.mu.Lock()
	defer m.built.mu.Unlock()
	c := compiler{programs: m.built.programs}
	d.main = c.compile(m.root, fast)
	d.once = make([]uint64, c.slots)
	return d
}

// Decode implements codecs.Decoder.
func (d *Decoder) Decode(values [][]byte, into *codecs.Columns) []codecs.RowError {
	into.Reset(len(values), d.width)
	d.cols, d.arena, d.bad = into.Cols, d.arena[:0], d.bad[:0]
	for row, b := range values {
		d.row = row
		if d.one(b) {
			continue
		}
		into.ClearRow(row)
		d.bad = append(d.bad, codecs.RowError{Row: row, Reason: d.fault.String()})
		d.fault = fault{}
	}
	for _, c := range d.again {
		into.Cols[c.to].Copy(&into.Cols[c.from])
	}
	d.cols, d.record = nil, nil
	return d.bad
}

// one decodes a record into the cells of its row.
func (d *Decoder) one(b []byte) bool {
	if len(b) > math.MaxInt32 {
		d.fault.at(0, "a message of more than 2 GiB")
		return false
	}
	d.stamp++
	d.twice = false
	d.record, d.occurrences, d.heads = b, d.occurrences[:0], d.heads[:0]
	d.fill = fillPerRecord + fillPerByte*len(b)
	d.main.setDefaults(&d.machine)
	if d.run(d.main, b, 0, 0, 1) < 0 {
		return false
	}
	if d.root.needs {
		d.lean, d.lacking = true, false
		complete := d.complete(d.root, d.whole())
		d.lean = false
		if !complete {
			return false
		}
	}
	switch {
	case d.twice:
		for k := range d.cols {
			d.cols[k].Set(d.row, codecs.Value{})
		}
		d.evaluate(d.all, d.root, d.whole())
	case d.rest != nil:
		d.evaluate(d.rest, d.root, d.whole())
	}
	return d.fault.reason == ""
}

// String words the fault as the reason of a bad row.
func (f *fault) String() string {
	if f.field == "" {
		return fmt.Sprintf("not valid Protobuf at offset %d: %s", f.offset, f.reason)
	}
	return fmt.Sprintf("not valid Protobuf at offset %d, field %q: %s", f.offset, f.field, f.reason)
}

// begin starts a text, and returns where in the arena it begins.
func (m *machine) begin() (from int) {
	m.room = len(m.arena) + textPerRecord + textPerByte*len(m.record)
	return len(m.arena)
}

// full tells that the text has become too long, which is a fault of the record.
func (m *machine) full() bool {
	if len(m.arena) <= m.room {
		return false
	}
	m.fault.at(0, fmt.Sprintf("more than %d bytes as JSON text", textPerRecord+textPerByte*len(m.record)))
	return true
}

// set fills a cell.
func (m *machine) set(col int32, v codecs.Value) { m.cols[col].Set(m.row, v) }
