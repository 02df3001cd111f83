package oracle

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// Schema is a schema that records of a case are written with.
type Schema struct {
	Language string // AVRO, or JSON for records that are JSON behind a frame
	Text     string
	Topic    string // that has it when the query is made; "" for none
}

// InFormats is the case with its records written in several formats and, among those that
// are Avro, with other schemas from one record to the next: what the query gives is the
// same. Records that cannot be decoded stay as they are.
func InFormats(c *Case) *Case {
	m := &mixer{generator: &generator{Rand: rand.New(rand.NewPCG(c.Seed, 2))}, ids: map[Schema]int{}}
	mixed := *c
	mixed.Logs = make([][]Record, len(c.Logs))
	plain, shapes, cut := m.Float64(), pick(m.generator, 0, 0.5, 1), pick(m.generator, 0, 0, 0.05, 0.3)
	for p, log := range c.Logs {
		for _, r := range log {
			if !m.chance(plain) {
				r = m.record(r, shapes, cut)
			}
			mixed.Logs[p] = append(mixed.Logs[p], r)
		}
	}
	mixed.Schemas = m.schemas
	return &mixed
}

// mixer writes Avro, by the specification and nothing else.
type mixer struct {
	*generator
	ids     map[Schema]int
	schemas []Schema
	b       []byte
	names   int // of the schema that is being written
}

// id is what the schema is registered under: the first has 1.
func (m *mixer) id(s Schema) int {
	if m.ids[s] == 0 {
		m.schemas = append(m.schemas, s)
		m.ids[s] = len(m.schemas)
	}
	return m.ids[s]
}

// record is r in another form. shapes is how likely it has a schema of its own shape, and
// cut that it loses its last byte.
func (m *mixer) record(r Record, shapes, cut float64) Record {
	v, ok := parseRecord(r.Value)
	if !ok {
		return r
	}
	deep := v.depth()
	if m.chance(0.1) || deep > 4 {
		id := m.id(Schema{Language: "JSON", Text: "{}"})
		r.Stored = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), r.Value...)
		return r
	}
	if v.blurred() {
		v, _ = parseRecord([]byte(v.plain()))
	}
	m.b, m.names = nil, 0
	var text string
	if m.chance(shapes) {
		text = m.exact(v)
	} else {
		text = `{"type":"map","values":` + anyOf(deep-1) + "}"
		m.entries(v, deep-1)
	}
	id := m.id(Schema{Language: "AVRO", Text: text})
	r.Stored = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), m.b...)
	if r.Value = []byte(v.plain()); m.chance(cut) && len(m.b) > 0 {
		r.Value, r.Stored = nil, r.Stored[:len(r.Stored)-1]
	}
	return r
}

// depth is how many arrays and objects lie inside each other.
func (v value) depth() int {
	deepest := 0
	for _, inside := range v.inside() {
		deepest = max(deepest, inside.depth())
	}
	if v.kind < array {
		return 0
	}
	return deepest + 1
}

// blurred tells that the value has a float which as text, once it has been decoded, looks
// like an integer: it would be one for whoever reads the text. plain makes it another.
func (v value) blurred() bool {
	if v.kind == float && v.f == math.Trunc(v.f) && math.Abs(v.f) < 1e21 {
		return true
	}
	return slices.ContainsFunc(v.inside(), value.blurred)
}

// plain is the value as it is put out after it has been decoded.
func (v value) plain() string {
	var parts []string
	switch {
	case v.kind == float && v.blurred():
		if v.f += 0.5; v.blurred() {
			return "null"
		}
	case v.kind == array:
		for _, e := range v.in.list {
			parts = append(parts, e.plain())
		}
		return "[" + strings.Join(parts, ",") + "]"
	case v.kind == object:
		for i, name := range v.in.names {
			parts = append(parts, quote(name)+":"+v.in.list[i].plain())
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	return v.json()
}

func (m *mixer) long(i int64) { m.b = binary.AppendVarint(m.b, i) }

func (m *mixer) text(s string) {
	m.long(int64(len(s)))
	m.b = append(m.b, s...)
}

// anyOf is a schema of all values with so many arrays and objects inside each other.
func anyOf(deep int) string {
	branches := []string{`"null"`, `"boolean"`, `"long"`, `"double"`, `"string"`}
	if deep > 0 {
		inside := anyOf(deep - 1)
		branches = append(branches, `{"type":"array","items":`+inside+"}", `{"type":"map","values":`+inside+"}")
	}
	return "[" + strings.Join(branches, ",") + "]"
}

// any writes v as a value of anyOf.
func (m *mixer) any(v value, deep int) {
	m.long(int64(v.kind - null))
	switch v.kind {
	case array:
		m.elements(v, deep-1)
	case object:
		m.entries(v, deep-1)
	default:
		m.scalar(v)
	}
}

func (m *mixer) scalar(v value) {
	switch v.kind {
	case boolean:
		m.b = append(m.b, 0)
		if v.b {
			m.b[len(m.b)-1] = 1
		}
	case integer:
		m.long(v.i)
	case float:
		m.b = binary.LittleEndian.AppendUint64(m.b, math.Float64bits(v.f))
	case text:
		m.text(v.s)
	}
}

// blocks writes items in blocks, some with their size in front.
func (m *mixer) blocks(n int, write func(i int)) {
	for from := 0; from < n; {
		to := from + 1 + m.IntN(n-from)
		outer := m.b
		m.b = nil
		for i := from; i < to; i++ {
			write(i)
		}
		items := m.b
		m.b = outer
		if m.chance(0.5) {
			m.long(int64(to - from))
		} else {
			m.long(-int64(to - from))
			m.long(int64(len(items)))
		}
		m.b = append(m.b, items...)
		from = to
	}
	m.b = append(m.b, 0)
}

func (m *mixer) elements(v value, deep int) {
	m.blocks(len(v.in.list), func(i int) { m.any(v.in.list[i], deep) })
}

func (m *mixer) entries(v value, deep int) {
	m.blocks(len(v.in.list), func(i int) {
		m.text(v.in.names[i])
		m.any(v.in.list[i], deep)
	})
}

// avroName is what may be the name of a field or a symbol.
var avroName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// exact writes v with a schema of its own shape, and returns that.
func (m *mixer) exact(v value) string {
	if m.chance(0.2) && v.kind != object {
		branches := []string{`["null",`, `["null","bytes",`}[m.IntN(2)]
		if v.kind == null {
			m.long(0)
			return branches + `"long"]`
		}
		m.long(int64(strings.Count(branches, ",")))
		return branches + m.bare(v) + "]"
	}
	return m.bare(v)
}

func (m *mixer) bare(v value) string {
	switch v.kind {
	case boolean:
		m.scalar(v)
		return `"boolean"`
	case integer:
		m.scalar(v)
		if v.i == int64(int32(v.i)) && m.chance(0.5) {
			return `"int"`
		}
		return `"long"`
	case float:
		if single := float32(v.f); float64(single) == v.f && m.chance(0.5) {
			m.b = binary.LittleEndian.AppendUint32(m.b, math.Float32bits(single))
			return `"float"`
		}
		m.scalar(v)
		return `"double"`
	case text:
		return m.string(v)
	case array:
		deep := v.depth() - 1
		m.elements(v, deep)
		return `{"type":"array","items":` + anyOf(deep) + "}"
	case object:
		return m.object(v)
	}
	return `"null"`
}

func (m *mixer) string(v value) string {
	if m.chance(0.3) && avroName.MatchString(v.s) {
		m.names++
		m.long(1)
		return fmt.Sprintf(`{"type":"enum","name":"E%d","symbols":["other_",%s]}`, m.names, quote(v.s))
	}
	m.text(v.s)
	return `"string"`
}

func (m *mixer) object(v value) string {
	odd := func(name string) bool { return !avroName.MatchString(name) }
	if slices.ContainsFunc(v.in.names, odd) {
		deep := v.depth() - 1
		m.entries(v, deep)
		return `{"type":"map","values":` + anyOf(deep) + "}"
	}
	m.names++
	number, fields := m.names, []string(nil)
	for i, name := range v.in.names {
		fields = append(fields, fmt.Sprintf(`{"name":%q,"type":%s}`, name, m.exact(v.in.list[i])))
	}
	return fmt.Sprintf(`{"type":"record","name":"R%d","fields":[%s]}`, number, strings.Join(fields, ","))
}
