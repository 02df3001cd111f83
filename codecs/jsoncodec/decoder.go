// Package jsoncodec decodes JSON records, and only the fields that are asked for,
// while it checks the whole record: RFC 8259 to the letter, valid UTF-8 throughout, no
// lone surrogate escapes, no number beyond the range of float64 and no nesting deeper
// than 512. Of members that share a name the last one counts.
package jsoncodec

import (
	"fmt"
	"slices"
	"unsafe"

	"leat/codecs"
	"leat/codecs/internal/jsontext"
)

var _ codecs.Decoder = (*Decoder)(nil)

// notObject is the reason for a record that is not a JSON object at all.
const notObject = "not a JSON object"

// Decoder implements codecs.Decoder for JSON records, each of which is one object,
// with white space around it allowed.
//
// A number without fraction and exponent is an Int if it fits in an int64 (so -0 is
// the Int 0); every other number is the nearest Float. A string without escapes is a
// view into the record, one with escapes a view into the decoder's memory until the
// next Decode. Objects and arrays are views of their text. The zero path yields the
// whole record as an Object.
//
// Not safe for concurrent use. It allocates only for bad rows, and while it grows to
// the size of the batches.
type Decoder struct {
	root  node
	width int // number of paths

	cols  []codecs.Column // of the batch being decoded
	row   int
	stamp uint64 // counts records, to tell the nodes seen in this one
	arena []byte // text of the strings with escapes of this batch
	bad   []codecs.RowError
	fault jsontext.Fault
}

// New makes a decoder whose k-th column is the value at paths[k]. Paths may repeat,
// and may lead through one another.
func New(paths []codecs.Path) *Decoder {
	d := &Decoder{width: len(paths)}
	for k, p := range paths {
		d.root.add(p.Steps(), k)
	}
	return d
}

// Decode implements codecs.Decoder.
func (d *Decoder) Decode(values [][]byte, into *codecs.Columns) []codecs.RowError {
	into.Reset(len(values), d.width)
	d.cols, d.arena, d.bad = into.Cols, d.arena[:0], d.bad[:0]
	for row, record := range values {
		d.row = row
		d.stamp++
		if d.record(record) < 0 {
			into.ClearRow(row)
			d.bad = append(d.bad, codecs.RowError{Row: row, Reason: reason(&d.fault)})
		}
	}
	d.cols = nil
	return d.bad
}

// reason words a fault in a record.
func reason(f *jsontext.Fault) string {
	if f.Reason == notObject {
		return notObject
	}
	return fmt.Sprintf("not valid JSON at offset %d: %s", f.Offset, f.Reason)
}

// record decodes one record. Like all methods below it returns the index after what
// it has read, or -1 with d.fault set.
func (d *Decoder) record(b []byte) int {
	start := jsontext.SkipSpace(b, 0)
	if start == len(b) || b[start] != '{' {
		d.fault = jsontext.Fault{Reason: notObject, Offset: start}
		return -1
	}
	end := d.object(b, start+1, &d.root, 1)
	if end < 0 {
		return -1
	}
	d.set(&d.root, codecs.Object, 0, view(b[start:end]))
	if rest := jsontext.SkipSpace(b, end); rest != len(b) {
		return d.fault.Unexpected(b, rest, "the end")
	}
	return end
}

// object decodes the members of the object whose opening brace is b[i-1]. depth
// counts this object.
func (d *Decoder) object(b []byte, i int, n *node, depth int) int {
	if depth > jsontext.MaxDepth {
		return jsontext.TooDeep(i-1, &d.fault)
	}
	i = jsontext.SkipSpace(b, i)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for place := 0; ; {
		var child *node
		at := i
		if child, i, place = n.order.match(b, i, place); i < 0 {
			if child, i = d.name(b, at, n, place); i < 0 {
				return -1
			}
			place++
		} else if i < len(b) && b[i] <= ' ' { // more space after the colon than was learnt
			i = jsontext.SkipSpace(b, i)
		}
		switch {
		case child != nil:
			i = d.value(b, i, child, depth)
		case i < len(b) && b[i] == '"':
			i, _ = jsontext.SkipString(b, i+1, &d.fault)
		default:
			i = jsontext.Skip(b, i, depth, &d.fault)
		}
		if i < 0 {
			return -1
		}
		if i >= len(b) || b[i] != ',' {
			i = jsontext.SkipSpace(b, i)
		}
		switch {
		case i < len(b) && b[i] == ',':
			i++
		case i < len(b) && b[i] == '}':
			return i + 1
		default:
			return d.fault.Unexpected(b, i, `"," or "}"`)
		}
		if i < len(b) && b[i] != '"' {
			i = jsontext.SkipSpace(b, i)
		}
	}
}

// name reads a member name and its colon the general way, and learns it as the one at
// place.
func (d *Decoder) name(b []byte, i int, n *node, place int) (*node, int) {
	if i >= len(b) || b[i] != '"' {
		return nil, d.fault.Unexpected(b, i, "a member name in double quotes")
	}
	end, escaped := jsontext.SkipString(b, i+1, &d.fault)
	if end < 0 {
		return nil, -1
	}
	name := b[i+1 : end-1]
	if escaped {
		from := len(d.arena)
		name = d.unescaped(b, name, i)
		d.arena = d.arena[:from]
	}
	child := n.member(name)
	next := jsontext.SkipColon(b, end, &d.fault)
	if next >= 0 {
		n.order.learn(place, b[i:next], child)
	}
	return child, next
}

// array decodes the elements of the array whose opening bracket is b[i-1].
func (d *Decoder) array(b []byte, i int, n *node, depth int) int {
	if depth > jsontext.MaxDepth {
		return jsontext.TooDeep(i-1, &d.fault)
	}
	i = jsontext.SkipSpace(b, i)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for index := 0; ; index++ {
		i = jsontext.SkipSpace(b, i)
		if child := n.element(index); child != nil {
			i = d.value(b, i, child, depth)
		} else {
			i = jsontext.Skip(b, i, depth, &d.fault)
		}
		if i < 0 {
			return -1
		}
		i = jsontext.SkipSpace(b, i)
		switch {
		case i < len(b) && b[i] == ',':
			i++
		case i < len(b) && b[i] == ']':
			return i + 1
		default:
			return d.fault.Unexpected(b, i, `"," or "]"`)
		}
	}
}

// value decodes the value at b[i] into the cells of n and of the nodes below it.
func (d *Decoder) value(b []byte, i int, n *node, depth int) int {
	if n.below != nil {
		if n.seen == d.stamp { // an earlier member of the same name
			for _, k := range n.below {
				d.cols[k].Set(d.row, codecs.Value{})
			}
		}
		n.seen = d.stamp
	}
	if i >= len(b) {
		return d.fault.Unexpected(b, i, "a value")
	}
	switch c := b[i]; c {
	case '"':
		end, escaped := jsontext.SkipString(b, i+1, &d.fault)
		if end < 0 {
			return -1
		}
		body := b[i+1 : end-1]
		if escaped {
			body = d.unescaped(b, body, i)
		}
		d.set(n, codecs.String, 0, view(body))
		return end
	case '{', '[':
		return d.composite(b, i, n, depth+1)
	case 't', 'f', 'n':
		end := jsontext.SkipLiteral(b, i, &d.fault)
		switch {
		case end < 0:
		case c == 'n':
			d.set(n, codecs.Null, 0, "")
		case c == 't':
			d.set(n, codecs.Bool, 1, "")
		default:
			d.set(n, codecs.Bool, 0, "")
		}
		return end
	}
	end, integral, bits := jsontext.Number(b, i, &d.fault)
	if end < 0 {
		return -1
	}
	if integral {
		d.set(n, codecs.Int, bits, "")
	} else {
		d.set(n, codecs.Float, bits, "")
	}
	return end
}

// unescaped puts the text of a string at b[i] into the arena, which gets room for all that
// may follow in the record: it does not grow again with each string.
func (d *Decoder) unescaped(b, body []byte, i int) []byte {
	from := len(d.arena)
	d.arena = jsontext.AppendUnescaped(slices.Grow(d.arena, len(b)-i), body)
	return d.arena[from:]
}

// composite decodes the object or array at b[i]. depth counts it.
func (d *Decoder) composite(b []byte, i int, n *node, depth int) int {
	var end int
	kind := codecs.Array
	switch {
	case b[i] == '{' && len(n.members) > 0:
		end, kind = d.object(b, i+1, n, depth), codecs.Object
	case b[i] == '{':
		end, kind = jsontext.Skip(b, i, depth-1, &d.fault), codecs.Object
	case len(n.elements) > 0:
		end = d.array(b, i+1, n, depth)
	default:
		end = jsontext.Skip(b, i, depth-1, &d.fault)
	}
	if end >= 0 {
		d.set(n, kind, 0, view(b[i:end]))
	}
	return end
}

// set fills the cells of n itself.
func (d *Decoder) set(n *node, kind codecs.Kind, num uint64, text string) {
	for _, k := range n.columns {
		d.cols[k].Set(d.row, codecs.Value{Kind: kind, Num: num, Str: text})
	}
}

// view is b as a string that shares its memory.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
