package avrocodec

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	hamba "github.com/hamba/avro/v2"
	twmb "github.com/twmb/avro"

	"leat/codecs"
	"leat/internal/testenv"
)

// byHamba decodes a record with hamba/avro, which is for records that are known to be
// good: a bad one can take all memory.
func byHamba(t testing.TB, text string, root *node, record []byte) any {
	t.Helper()
	schema, err := hamba.ParseBytesWithCache([]byte(text), "", &hamba.SchemaCache{})
	if err != nil {
		t.Fatalf("hamba: %s: %v", text, err)
	}
	var v any
	if err := hamba.Unmarshal(schema, record, &v); err != nil {
		t.Fatalf("hamba: %s: % x: %v", text, record, err)
	}
	return normal(root, v, true)
}

// decodeTwmb decodes a record with twmb/avro.
func decodeTwmb(schema *twmb.Schema, root *node, record []byte) (any, error) {
	var v any
	rest, err := schema.Decode(record, &v)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes left over", len(rest))
	}
	return normal(root, v, false), nil
}

// normal turns what a library decodes into what a recordMaker makes. wrapped tells that
// unions of more than a null and another come as a map of the branch's name.
func normal(n *node, v any, wrapped bool) any {
	if n.kind == union {
		return normalUnion(n, v, wrapped)
	}
	rv := reflect.ValueOf(v)
	switch n.kind {
	case intType, long:
		return rv.Int()
	case float, double:
		return rv.Float()
	case fixed:
		if rv.Kind() == reflect.Array {
			raw := make([]byte, rv.Len())
			reflect.Copy(reflect.ValueOf(raw), rv)
			return raw
		}
	case array:
		items := make([]any, rv.Len())
		for i := range items {
			items[i] = normal(n.items, rv.Index(i).Interface(), wrapped)
		}
		return items
	case mapType, record:
		entries := map[string]any{}
		for key, inside := range v.(map[string]any) {
			in := n.items
			if n.kind == record {
				in = n.child(key).node
			}
			entries[key] = normal(in, inside, wrapped)
		}
		return entries
	}
	return v
}

func normalUnion(n *node, v any, wrapped bool) any {
	if v == nil {
		return nil
	}
	if len(n.branches) == 2 && n.takesNull() {
		rv := reflect.ValueOf(v)
		if rv.Kind() == reflect.Pointer {
			v = rv.Elem().Interface()
		}
		only := n.branches[0]
		if only.kind == null {
			only = n.branches[1]
		}
		if tagged, ok := v.(map[string]any); !wrapped || !ok || len(tagged) != 1 || tagged[only.typeName()] == nil {
			return normal(only, v, wrapped)
		}
	}
	if wrapped {
		for name, inside := range v.(map[string]any) {
			for _, b := range n.branches {
				if b.typeName() == name {
					return normal(b, inside, wrapped)
				}
			}
		}
	}
	return normalByValue(n, v)
}

// normalByValue finds the branch of a value that does not say which it is of.
func normalByValue(n *node, v any) any {
	for _, b := range n.branches {
		var fits bool
		switch v := v.(type) {
		case map[string]any:
			fits = b.kind == mapType || b.kind == record && len(b.fields) == len(v) && allFields(b, v)
		case []any:
			fits = b.kind == array
		case int32, int64:
			fits = b.kind == intType || b.kind == long
		case float32, float64:
			fits = b.kind == float || b.kind == double
		default:
			return v
		}
		if fits {
			return normal(b, v, false)
		}
	}
	return v
}

func allFields(n *node, v map[string]any) bool {
	for name := range v {
		if n.child(name) == nil {
			return false
		}
	}
	return true
}

// TestReferencesAgree: hamba/avro and twmb/avro find the same in good records, and
// twmb/avro accepts exactly those damaged records that are accepted here, but for the
// rules that this package has and it does not.
func TestReferencesAgree(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	accepted, refused := 0, 0
	for range 250 {
		text := randomSchema(r)
		schema := parse(t, text)
		m := &recordMaker{r: r}
		tree := m.value(schema.root, 5)
		want := cellOf(tree)
		if got := cellOf(byHamba(t, text, schema.root, m.b)); codecs.Compare(got, want) != 0 {
			t.Fatalf("%s: hamba reads % x as %s, want %s", text, m.b, got.Str, want.Str)
		}
		reference := twmb.MustParse(text)
		for try := range 40 {
			record := append([]byte(nil), m.b...)
			if try > 0 && len(record) > 0 {
				record[r.IntN(len(record))] = []byte{0, 1, 2, 3, 0x7F, 0x80, 0xFF, byte(r.Uint32())}[r.IntN(8)]
			}
			if checkTwmb(t, text, schema, reference, record) {
				accepted++
			} else {
				refused++
			}
		}
	}
	if accepted < 100 || refused < 100 {
		t.Errorf("%d accepted and %d refused: too few of one to mean anything", accepted, refused)
	}
}

// stricter are the rules for which records are refused here and not by twmb/avro, by the
// reasons that name them.
//
// Of the size of a block the specification says (1.12, "Binary Encoding", arrays and
// maps): "a long block size indicating the number of bytes in the block". A reader that
// passes by a block goes by its size, one that reads it by its count: a block of which
// the two differ is two different records, and so it is none here. twmb/avro reads the
// size and ignores it.
var stricter = []struct{ reason, rule string }{
	{"a boolean of", "a boolean is a byte of 0 or 1"},
	{"not UTF-8", "a string is UTF-8"},
	{"a block that ends at", "a block is as long as its size says"},
	{"bytes that says that it has", "a block is as long as its size says: it has no room for its items"},
	{"a block size of", "a block is as long as its size says: not negative, and within the record"},
	{"values nested more", "the limit of depth"},
	{"take no bytes", "the limit of values without bytes"},
}

// checkTwmb compares what twmb/avro makes of a record, and returns whether it is good.
func checkTwmb(t testing.TB, text string, schema *Schema, reference *twmb.Schema, record []byte) bool {
	t.Helper()
	cells, reason := decodeOne(t, text, record, "")
	tree, err := decodeTwmb(reference, schema.root, record)
	switch {
	case reason != "" && err != nil:
		return false
	case reason == "" && err == nil:
		if want := cellOf(tree); codecs.Compare(cells[0], want) != 0 {
			t.Fatalf("%s: % x is %s, twmb reads %s", text, record, cells[0].Str, want.Str)
		}
		return true
	case reason != "":
		for _, rule := range stricter {
			if strings.Contains(reason, rule.reason) {
				return false
			}
		}
	}
	t.Fatalf("%s: % x: %q, twmb says %v", text, record, reason, err)
	return false
}
