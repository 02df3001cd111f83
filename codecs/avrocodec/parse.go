package avrocodec

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"leat/codecs"
)

// parser reads schemas that share their names.
type parser struct {
	names   map[string]*node
	records []*node // in the order they were defined
	types   int
	where   []string // names of the types and fields around what is being read
}

func newParser() *parser { return &parser{names: map[string]*node{}} }

func (p *parser) schema(text string) (*node, error) {
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("the Avro schema is not JSON: %w", err)
	}
	p.where = p.where[:0]
	n, err := p.parse(v, "", 1)
	if err != nil {
		if len(p.where) > 0 {
			return nil, fmt.Errorf("the Avro schema, %s: %w", strings.Join(p.where, "."), err)
		}
		return nil, fmt.Errorf("the Avro schema: %w", err)
	}
	return n, nil
}

// count adds to what the schema has and refuses too much of it.
func (p *parser) count(types int) error {
	if p.types += types; p.types > MaxSchemaTypes {
		return fmt.Errorf("more than %d types, fields and symbols", MaxSchemaTypes)
	}
	return nil
}

// parse reads a type in the namespace around it. On an error p.where keeps the place.
func (p *parser) parse(v any, namespace string, depth int) (*node, error) {
	if depth > MaxSchemaDepth {
		return nil, fmt.Errorf("types defined more than %d deep inside each other", MaxSchemaDepth)
	}
	if err := p.count(1); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case string:
		return p.named(v, namespace)
	case []any:
		return p.union(v, namespace, depth)
	case map[string]any:
		switch t := v["type"].(type) {
		case string:
			return p.complex(t, v, namespace, depth)
		case []any, map[string]any:
			return p.parse(t, namespace, depth+1)
		case nil:
			return nil, errors.New(`a type without the member "type"`)
		}
		return nil, errors.New(`the member "type" is neither a name nor a type`)
	}
	return nil, errors.New("a type is a name, an object or an array of types")
}

// named is the type of a name.
func (p *parser) named(name, namespace string) (*node, error) {
	if k, ok := primitive(name); ok {
		return &node{kind: k}, nil
	}
	full := qualify(name, namespace)
	if n := p.names[full]; n != nil {
		return n, nil
	}
	known := slices.DeleteFunc(slices.Clone(kindNames[:]), func(name string) bool { return name == union.String() })
	for other := range p.names {
		known = append(known, other)
	}
	slices.Sort(known)
	if near := codecs.NearestNames(full, known); len(near) > 0 {
		return nil, fmt.Errorf("unknown type %q; did you mean %q?", full, near[0])
	}
	if len(full) > MaxNameBytes {
		return nil, fmt.Errorf("a name of %d bytes, more than %d", len(full), MaxNameBytes)
	}
	return nil, fmt.Errorf("unknown type %q", full)
}

func qualify(name, namespace string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
}

func (p *parser) union(v []any, namespace string, depth int) (*node, error) {
	n := &node{kind: union}
	seen := map[string]bool{}
	for _, branch := range v {
		b, err := p.parse(branch, namespace, depth+1)
		if err != nil {
			return nil, err
		}
		if b.kind == union {
			return nil, errors.New("a union directly inside a union")
		}
		if seen[b.typeName()] {
			return nil, fmt.Errorf("a union with two branches of type %q", b.typeName())
		}
		seen[b.typeName()] = true
		n.branches = append(n.branches, b)
	}
	return n, nil
}

// complex reads the type that an object with the member "type" describes.
func (p *parser) complex(t string, v map[string]any, namespace string, depth int) (*node, error) {
	switch t {
	case "record", "error":
		return p.record(t, v, namespace, depth)
	case "enum":
		return p.enum(v, namespace)
	case "fixed":
		return p.fixed(v, namespace)
	case "array":
		return p.collection(array, "items", v, namespace, depth)
	case "map":
		return p.collection(mapType, "values", v, namespace, depth)
	}
	n, err := p.named(t, namespace)
	if err != nil || n.name != "" {
		return n, err
	}
	setLogical(n, v)
	return n, nil
}

func (p *parser) collection(k kind, member string, v map[string]any, namespace string, depth int) (*node, error) {
	inside, ok := v[member]
	if !ok {
		return nil, fmt.Errorf("%s without the member %q", k, member)
	}
	items, err := p.parse(inside, namespace, depth+1)
	if err != nil {
		return nil, err
	}
	return &node{kind: k, items: items}, nil
}

// setLogical gives n the logical type of v, where there is one and it fits.
func setLogical(n *node, v map[string]any) {
	name, _ := v["logicalType"].(string)
	switch name {
	case "decimal":
		setDecimal(n, v)
	case "uuid":
		if n.kind == stringType || n.kind == fixed && n.size == 16 {
			n.logical = uuid
		}
	case "duration":
		if n.kind == fixed && n.size == 12 {
			n.logical = duration
		}
	}
	for _, l := range [...]struct {
		name string
		kind kind
		is   logical
	}{
		{"date", intType, date},
		{"time-millis", intType, timeMillis},
		{"time-micros", long, timeMicros},
		{"timestamp-millis", long, timestampMillis},
		{"timestamp-micros", long, timestampMicros},
		{"timestamp-nanos", long, timestampNanos},
		{"local-timestamp-millis", long, timestampMillis},
		{"local-timestamp-micros", long, timestampMicros},
		{"local-timestamp-nanos", long, timestampNanos},
	} {
		if l.name == name && l.kind == n.kind {
			n.logical = l.is
		}
	}
	if n.logical != none {
		n.meant = name
	}
}

func setDecimal(n *node, v map[string]any) {
	precision, ok := integer(v["precision"])
	scale := int64(0)
	if s, has := v["scale"]; ok && has {
		scale, ok = integer(s)
	}
	fits := n.kind == bytesType || n.kind == fixed && n.size <= maxDecimalBytes && precision <= fixedDigits(n.size)
	if !ok || !fits || precision < 1 || precision > maxPrecision || scale < 0 || scale > precision {
		return
	}
	n.logical, n.digits, n.scale = decimal, int(precision), int(scale)
}

// fixedDigits is how many decimal digits every number of that many digits has room in
// size bytes: floor(log10(2^(8*size-1) - 1)).
func fixedDigits(size int) int64 {
	return max(0, (8*int64(size)-1)*30103/100000)
}

// integer is a number without fraction that fits in an int64.
func integer(v any) (int64, bool) {
	number, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := number.Int64()
	return i, err == nil
}
