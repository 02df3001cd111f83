package avrocodec

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"leat/codecs"
)

// What the defaults of one schema may cost, values and bytes, and how deep they may nest:
// a default that leaves fields out contains those of the fields.
const (
	maxDefaultSteps = 50_000
	maxDefaultBytes = 4 * MaxSchemaBytes
	maxDefaultDepth = 256
)

// defaults writes the defaults of a schema, as the schema's text has them, as records.
type defaults struct {
	steps, bytes, depth int
}

// checkDefaults writes the defaults of all fields as records, and refuses those that do
// not fit their type.
func (p *parser) checkDefaults() error {
	var d defaults
	for _, n := range p.records {
		for i := range n.fields {
			f := &n.fields[i]
			if !f.hasDefault {
				continue
			}
			binary, err := d.append(nil, f.node, f.written)
			if err != nil {
				return fmt.Errorf("the Avro schema, %s.%s: the default does not fit: %w", n.name, f.name, err)
			}
			f.binary = slices.Clip(binary)
		}
	}
	return nil
}

func (d *defaults) append(dst []byte, n *node, v any) ([]byte, error) {
	d.steps++
	switch v := v.(type) { // what it is written as is about as long, and is looked at even if it does not fit
	case string:
		d.bytes += len(v)
	case json.Number:
		d.bytes += len(v)
	}
	d.depth++
	dst, err := d.write(dst, n, v)
	d.depth--
	if err == nil && d.exhausted() { // by keys, the last of them
		return nil, errTooManyDefaults
	}
	return dst, err
}

var errTooManyDefaults = errors.New("the defaults of the schema together are too large")

func (d *defaults) exhausted() bool {
	return d.steps > maxDefaultSteps || d.bytes > maxDefaultBytes || d.depth > maxDefaultDepth
}

func (d *defaults) write(dst []byte, n *node, v any) ([]byte, error) {
	if d.exhausted() {
		return nil, errTooManyDefaults
	}
	switch n.kind {
	case null:
		if v == nil {
			return dst, nil
		}
	case boolean:
		if b, ok := v.(bool); ok {
			return appendBool(dst, b), nil
		}
	case intType, long:
		if i, ok := integer(v); ok && (n.kind == long || i == int64(int32(i))) {
			return appendLong(dst, i), nil
		}
	case float, double:
		return appendDefaultFloat(dst, n.kind, v)
	case stringType:
		if s, ok := v.(string); ok {
			return append(appendLong(dst, int64(len(s))), s...), nil
		}
	case bytesType, fixed:
		return appendDefaultBytes(dst, n, v)
	case enum:
		if s, ok := v.(string); ok {
			if i := slices.Index(n.symbols, s); i >= 0 {
				return appendLong(dst, int64(i)), nil
			}
		}
	case array:
		return d.array(dst, n, v)
	case mapType:
		return d.mapping(dst, n, v)
	case record:
		return d.record(dst, n, v)
	case union:
		return d.union(dst, n, v)
	}
	return nil, misfit(n, v)
}

func misfit(n *node, v any) error {
	return fmt.Errorf("%s is not a value of type %s", excerpt(v), n.typeName())
}

// excerpt is a default as a message shows it.
func excerpt(v any) string {
	switch v := v.(type) {
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	case string:
		if len(v) > 60 {
			return fmt.Sprintf("a text of %d bytes", len(v))
		}
		return string(codecs.AppendJSONString(nil, v))
	case json.Number:
		if len(v) > 60 {
			return fmt.Sprintf("a number of %d characters", len(v))
		}
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}

func appendDefaultFloat(dst []byte, k kind, v any) ([]byte, error) {
	number, ok := v.(json.Number)
	f, err := number.Float64()
	switch {
	case !ok || err != nil || k == float && math.IsInf(float64(float32(f)), 0):
		return nil, misfit(&node{kind: k}, v)
	case k == float:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), nil
	}
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), nil
}

// appendDefaultBytes writes the bytes that a schema's text has as the characters U+0000
// to U+00FF.
func appendDefaultBytes(dst []byte, n *node, v any) ([]byte, error) {
	s, ok := v.(string)
	if !ok {
		return nil, misfit(n, v)
	}
	var raw []byte
	for _, r := range s {
		if r > 0xFF {
			return nil, misfit(n, v)
		}
		raw = append(raw, byte(r))
	}
	if n.kind == fixed {
		if len(raw) != n.size {
			return nil, fmt.Errorf("%d bytes for the type %s of %d", len(raw), n.name, n.size)
		}
		return append(dst, raw...), nil
	}
	if n.logical == decimal && len(raw) > maxDecimalBytes {
		return nil, fmt.Errorf("a decimal of %d bytes, more than %d", len(raw), maxDecimalBytes)
	}
	return append(appendLong(dst, int64(len(raw))), raw...), nil
}

func (d *defaults) array(dst []byte, n *node, v any) ([]byte, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, misfit(n, v)
	}
	if len(list) > 0 {
		dst = appendLong(dst, int64(len(list)))
	}
	for _, item := range list {
		var err error
		if dst, err = d.append(dst, n.items, item); err != nil {
			return nil, err
		}
	}
	return append(dst, 0), nil
}

func (d *defaults) mapping(dst []byte, n *node, v any) ([]byte, error) {
	members, ok := v.(map[string]any)
	if !ok {
		return nil, misfit(n, v)
	}
	if len(members) > 0 {
		dst = appendLong(dst, int64(len(members)))
	}
	for _, key := range sortedKeys(members) {
		d.bytes += len(key)
		dst = append(appendLong(dst, int64(len(key))), key...)
		var err error
		if dst, err = d.append(dst, n.items, members[key]); err != nil {
			return nil, err
		}
	}
	return append(dst, 0), nil
}

func sortedKeys(members map[string]any) []string {
	keys := make([]string, 0, len(members))
	for key := range members {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (d *defaults) record(dst []byte, n *node, v any) ([]byte, error) {
	members, ok := v.(map[string]any)
	if !ok {
		return nil, misfit(n, v)
	}
	for key := range members {
		if n.child(key) == nil {
			return nil, fmt.Errorf("%s has no field %q", n.name, key)
		}
	}
	for i := range n.fields {
		f := &n.fields[i]
		value, given := members[f.name]
		if !given {
			if !f.hasDefault {
				return nil, fmt.Errorf("the field %q of %s is missing", f.name, n.name)
			}
			value = f.written
		}
		var err error
		if dst, err = d.append(dst, f.node, value); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// union takes the first branch that v fits: the specification 1.12 allows any, those
// before it only the first.
func (d *defaults) union(dst []byte, n *node, v any) ([]byte, error) {
	for i, b := range n.branches {
		if out, err := d.append(appendLong(dst, int64(i)), b, v); err == nil {
			return out, nil
		}
		if d.exhausted() {
			break
		}
	}
	return nil, misfit(n, v)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendLong appends a zigzag varint.
func appendLong(dst []byte, i int64) []byte {
	return binary.AppendUvarint(dst, uint64(i)<<1^uint64(i>>63))
}
