package avrocodec

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"leat/codecs"
)

// schemaMaker writes random schemas without logical types.
type schemaMaker struct {
	r     *rand.Rand
	named []string // complete names of types to use again
	open  []string // records that are being written
	count int
}

// randomSchema is the text of a random record schema.
func randomSchema(r *rand.Rand) string {
	m := &schemaMaker{r: r}
	return m.record(4)
}

func (m *schemaMaker) name(prefix string) string {
	m.count++
	return prefix + strconv.Itoa(m.count)
}

func (m *schemaMaker) record(depth int) string {
	name := m.name("R")
	m.open = append(m.open, name)
	var fields []string
	for k := range m.r.IntN(6) {
		fields = append(fields, fmt.Sprintf(`{"name":"%c","type":%s}`, 'a'+rune(k), m.any(depth-1)))
	}
	m.open = m.open[:len(m.open)-1]
	m.named = append(m.named, name)
	return fmt.Sprintf(`{"type":"record","name":%q,"fields":[%s]}`, name, strings.Join(fields, ","))
}

func (m *schemaMaker) any(depth int) string {
	n := m.r.IntN(20)
	if depth <= 0 {
		n = m.r.IntN(11)
	}
	switch n {
	default:
		return strconv.Quote(kindNames[n%8])
	case 8:
		name := m.name("E")
		m.named = append(m.named, name)
		return fmt.Sprintf(`{"type":"enum","name":%q,"symbols":["A","BB","C_3"]}`, name)
	case 9:
		name := m.name("F")
		m.named = append(m.named, name)
		return fmt.Sprintf(`{"type":"fixed","name":%q,"size":%d}`, name, m.r.IntN(5))
	case 10, 11:
		if len(m.named) > 0 {
			return strconv.Quote(m.named[m.r.IntN(len(m.named))])
		}
		return `"string"`
	case 12, 13:
		return fmt.Sprintf(`{"type":"array","items":%s}`, m.any(depth-1))
	case 14, 15:
		return fmt.Sprintf(`{"type":"map","values":%s}`, m.any(depth-1))
	case 16:
		if len(m.open) > 0 {
			return fmt.Sprintf(`["null",%q]`, m.open[m.r.IntN(len(m.open))])
		}
		return `"int"`
	case 17:
		return m.record(depth)
	case 18:
		if b := strconv.Quote(kindNames[1+m.r.IntN(7)]); m.r.IntN(2) == 0 {
			return `["null",` + b + `]`
		} else {
			return `[` + b + `,"null"]`
		}
	case 19:
		branches := []string{`"null"`, `"boolean"`, `"string"`, `"bytes"`, `"double"`}[m.r.IntN(3):]
		branches = append(branches, `"long"`, fmt.Sprintf(`{"type":"array","items":%s}`, m.any(depth-1)), m.record(depth-1))
		return "[" + strings.Join(branches[m.r.IntN(len(branches)-1):], ",") + "]"
	}
}

// recordMaker writes random records, together with what they hold: nil, bool, int64,
// float64, string, []byte, []any and map[string]any. It knows the encoding on its own.
type recordMaker struct {
	r     *rand.Rand
	plain bool // one block per array or map, without its size
	b     []byte
}

func (m *recordMaker) long(v int64) { m.b = binary.AppendVarint(m.b, v) }

func (m *recordMaker) value(n *node, depth int) any {
	switch n.kind {
	case null:
		return nil
	case boolean:
		v := m.r.IntN(2)
		m.b = append(m.b, byte(v))
		return v == 1
	case intType:
		v := int64(int32(m.integer()))
		m.long(v)
		return v
	case long:
		v := m.integer()
		m.long(v)
		return v
	case float:
		v := float32(m.float())
		if math.IsInf(float64(v), 0) { // JSON has none
			v = -math.MaxFloat32
		}
		m.b = binary.LittleEndian.AppendUint32(m.b, math.Float32bits(v))
		return float64(v)
	case double:
		v := m.float()
		m.b = binary.LittleEndian.AppendUint64(m.b, math.Float64bits(v))
		return v
	case bytesType:
		v := []byte(m.text() + "\xff\x00")[:m.r.IntN(3)]
		m.long(int64(len(v)))
		m.b = append(m.b, v...)
		return v
	case stringType:
		v := m.text()
		m.long(int64(len(v)))
		m.b = append(m.b, v...)
		return v
	case fixed:
		v := make([]byte, n.size)
		for k := range v {
			v[k] = byte(m.r.Uint32())
		}
		m.b = append(m.b, v...)
		return v
	case enum:
		v := m.r.IntN(len(n.symbols))
		m.long(int64(v))
		return n.symbols[v]
	case union:
		return m.union(n, depth)
	case record:
		v := map[string]any{}
		for k := range n.fields {
			v[n.fields[k].name] = m.value(n.fields[k].node, depth-1)
		}
		return v
	}
	return m.blocks(n, depth)
}

func (m *recordMaker) union(n *node, depth int) any {
	k := m.r.IntN(len(n.branches))
	if depth <= 0 && n.branches[0].kind == null {
		k = 0
	}
	m.long(int64(k))
	return m.value(n.branches[k], depth)
}

// blocks writes an array or a map.
func (m *recordMaker) blocks(n *node, depth int) any {
	items, entries := []any{}, map[string]any{}
	left := 0
	if depth > 0 {
		left = m.r.IntN(5)
	}
	for left > 0 {
		count := left
		if !m.plain {
			count = 1 + m.r.IntN(left)
		}
		inner := &recordMaker{r: m.r, plain: m.plain}
		for range count {
			if n.kind == array {
				items = append(items, inner.value(n.items, depth-1))
				continue
			}
			key := m.text()
			for _, taken := entries[key]; taken; _, taken = entries[key] {
				key += "x"
			}
			inner.long(int64(len(key)))
			inner.b = append(inner.b, key...)
			entries[key] = inner.value(n.items, depth-1)
		}
		if m.plain || m.r.IntN(2) == 0 {
			m.long(int64(count))
		} else {
			m.long(-int64(count))
			m.long(int64(len(inner.b)))
		}
		m.b = append(m.b, inner.b...)
		left -= count
	}
	m.b = append(m.b, 0)
	if n.kind == array {
		return items
	}
	return entries
}

func (m *recordMaker) integer() int64 {
	edges := []int64{0, 1, -1, 63, 64, -64, -65, 1 << 31, -1 << 31, 1<<53 + 1, math.MaxInt64, math.MinInt64}
	if k := m.r.IntN(2 * len(edges)); k < len(edges) {
		return edges[k]
	}
	return int64(m.r.Uint64()) >> m.r.IntN(64)
}

func (m *recordMaker) float() float64 {
	edges := []float64{0, math.Copysign(0, -1), 1, -2.5, 0.1, math.MaxFloat32, math.SmallestNonzeroFloat64, 1e300, 1 << 53}
	return edges[m.r.IntN(len(edges))]
}

func (m *recordMaker) text() string {
	texts := []string{"", "a", "b", "x\"y\\\n", "é😀", "a text of more than sixteen bytes", "eight by", "seven b\u00fc"}
	return texts[m.r.IntN(len(texts))]
}

// jsonOf is the JSON text of what a recordMaker made.
func jsonOf(dst []byte, v any) []byte {
	switch v := v.(type) {
	case []any:
		dst = append(dst, '[')
		for i, item := range v {
			dst = jsonOf(comma(dst, i), item)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for i, key := range sortedKeys(v) {
			dst = append(codecs.AppendJSONString(comma(dst, i), key), ':')
			dst = jsonOf(dst, v[key])
		}
		return append(dst, '}')
	}
	return codecs.AppendJSON(dst, cellOf(v))
}

// cellOf is the cell of what a recordMaker made.
func cellOf(v any) codecs.Value {
	switch v := v.(type) {
	case bool:
		return codecs.BoolValue(v)
	case int64:
		return codecs.IntValue(v)
	case float64:
		return codecs.FloatValue(v)
	case string:
		return codecs.StringValue(v)
	case []byte:
		return codecs.BytesValue(string(v))
	case []any:
		return codecs.ArrayValue(string(jsonOf(nil, v)))
	case map[string]any:
		return codecs.ObjectValue(string(jsonOf(nil, v)))
	}
	return codecs.NullValue()
}

// lookup is the cell at a path of what a recordMaker made.
func lookup(v any, path codecs.Path) codecs.Value {
	for _, s := range path.Steps() {
		var ok bool
		if s.IsIndex {
			var items []any
			if items, ok = v.([]any); ok && s.Index < len(items) {
				v = items[s.Index]
				continue
			}
			return codecs.Value{}
		}
		if v, ok = member(v, s.Member); !ok {
			return codecs.Value{}
		}
	}
	return cellOf(v)
}

func member(v any, name string) (any, bool) {
	entries, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	v, ok = entries[name]
	return v, ok
}

// same reports whether two cells are equal: the kind, and the value or, of JSON text,
// what it means.
func same(a, b codecs.Value) bool {
	if a.Kind == codecs.Object || a.Kind == codecs.Array {
		return a.Kind == b.Kind && json.Valid([]byte(a.Str)) && codecs.Compare(a, b) == 0
	}
	return a == b
}

// randomPath leads from v to somewhere, and now and then beyond.
func randomPath(r *rand.Rand, v any) codecs.Path {
	var steps []codecs.Step
	for r.IntN(6) > 0 {
		switch inside := v.(type) {
		case map[string]any:
			keys := append(sortedKeys(inside), "none")
			key := keys[r.IntN(len(keys))]
			steps = append(steps, codecs.Step{Member: key})
			v = inside[key]
		case []any:
			index := r.IntN(len(inside) + 1)
			steps = append(steps, codecs.Step{Index: index, IsIndex: true})
			v = nil
			if index < len(inside) {
				v = inside[index]
			}
		default:
			if r.IntN(4) > 0 {
				return codecs.NewPath(steps...)
			}
			steps = append(steps, codecs.Step{Member: "a"})
			v = nil
		}
	}
	return codecs.NewPath(steps...)
}
