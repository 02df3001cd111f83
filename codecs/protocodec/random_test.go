package protocodec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"leat/codecs"
)

// schemaMaker writes the text of random schemas.
type schemaMaker struct {
	r      *rand.Rand
	b      strings.Builder
	syntax string
	types  []string // messages that fields may have
	enums  []string
}

var scalarTypes = []string{
	"double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64",
	"bool", "string", "bytes",
}

var keyTypes = []string{"int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64", "bool", "string"}

var wellKnown = []string{
	"Timestamp", "Duration", "Struct", "Value", "ListValue", "DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value",
	"UInt32Value", "BoolValue", "StringValue", "BytesValue", "Empty", "Any",
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// randomSchema is a file of a random syntax with a few messages that may contain each
// other and themselves.
func randomSchema(r *rand.Rand) string {
	m := &schemaMaker{r: r, syntax: pick(r, []string{"proto2", "proto3", "2023"})}
	if m.syntax == "2023" {
		m.b.WriteString("edition = \"2023\";\n")
	} else {
		fmt.Fprintf(&m.b, "syntax = %q;\n", m.syntax)
	}
	m.b.WriteString("package p;\n")
	for _, file := range []string{"timestamp", "duration", "struct", "wrappers", "empty", "any"} {
		fmt.Fprintf(&m.b, "import \"google/protobuf/%s.proto\";\n", file)
	}
	n := 1 + r.IntN(3)
	for i := range n {
		m.types = append(m.types, fmt.Sprintf("M%d", i))
	}
	m.enums = []string{"E"}
	m.b.WriteString("enum E { E_ZERO = 0; E_ONE = 1; E_MINUS = -1; E_FAR = 2147483647; }\n")
	for _, name := range m.types {
		m.message(name)
	}
	return m.b.String()
}

func (m *schemaMaker) message(name string) {
	fmt.Fprintf(&m.b, "message %s {\n", name)
	number := 0
	next := func() int {
		number += 1 + m.r.IntN(4)*m.r.IntN(4)
		if m.r.IntN(12) == 0 {
			number += 300
		}
		return number
	}
	for i := range m.r.IntN(8) {
		m.field(fmt.Sprintf("f%d", i), next())
	}
	if m.r.IntN(2) == 0 {
		m.b.WriteString("  oneof choice {\n")
		for i := range 1 + m.r.IntN(3) {
			fmt.Fprintf(&m.b, "    %s o%d = %d;\n", m.typeName(), i, next())
		}
		m.b.WriteString("  }\n")
	}
	if m.syntax == "proto2" && m.r.IntN(3) == 0 {
		fmt.Fprintf(&m.b, "  %s group Group = %d { optional int32 inside = 1; optional %s below = 2; }\n",
			pick(m.r, []string{"optional", "repeated"}), next(), m.types[0])
	}
	m.b.WriteString("}\n")
}

func (m *schemaMaker) typeName() string {
	switch m.r.IntN(8) {
	case 0:
		return pick(m.r, m.types)
	case 1:
		return "google.protobuf." + pick(m.r, wellKnown)
	case 2:
		return pick(m.r, m.enums)
	}
	return pick(m.r, scalarTypes)
}

func (m *schemaMaker) field(name string, number int) {
	label, options := "", ""
	typ := m.typeName()
	isMessage := strings.HasPrefix(typ, "M") || strings.HasPrefix(typ, "google")
	switch kind := m.r.IntN(6); {
	case kind == 0:
		fmt.Fprintf(&m.b, "  map<%s, %s> %s = %d;\n", pick(m.r, keyTypes), typ, name, number)
		return
	case kind == 1:
		label = "repeated "
		if m.syntax != "2023" && !isMessage && typ != "string" && typ != "bytes" {
			options = pick(m.r, []string{"", " [packed = true]", " [packed = false]"})
		} else if m.syntax == "2023" && !isMessage && typ != "string" && typ != "bytes" && m.r.IntN(2) == 0 {
			options = " [features.repeated_field_encoding = EXPANDED]"
		}
	case m.syntax == "proto2":
		label = "optional "
		if m.r.IntN(5) == 0 && typ != "M0" && typ != "M1" && typ != "M2" {
			label = "required "
		}
		if m.r.IntN(3) == 0 {
			options = map[string]string{
				"int32": " [default = -5]", "uint64": " [default = 18446744073709551615]", "string": ` [default = "a\"b"]`, "bool": " [default = true]",
				"double": " [default = inf]", "E": " [default = E_MINUS]", "bytes": ` [default = "\377\000"]`, "float": " [default = 0.1]",
			}[typ]
		}
	case m.syntax == "proto3" && m.r.IntN(3) == 0:
		label = "optional "
	case m.syntax == "2023" && !isMessage && m.r.IntN(2) == 0:
		options = " [features.field_presence = IMPLICIT]"
	case m.syntax == "2023" && strings.HasPrefix(typ, "M") && m.r.IntN(2) == 0:
		options = " [features.message_encoding = DELIMITED]"
	case m.syntax == "2023" && !isMessage && m.r.IntN(6) == 0:
		options = " [features.field_presence = LEGACY_REQUIRED]"
	}
	fmt.Fprintf(&m.b, "  %s%s %s = %d%s;\n", label, typ, name, number, options)
}

// randomMessage fills some fields of a message.
func randomMessage(r *rand.Rand, d protoreflect.MessageDescriptor, depth int) *dynamicpb.Message {
	m := dynamicpb.NewMessage(d)
	fields := d.Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.Cardinality() != protoreflect.Required && (r.IntN(3) == 0 || depth <= 0 && fd.Message() != nil) {
			continue
		}
		switch {
		case fd.IsMap():
			entries := m.Mutable(fd).Map()
			for range r.IntN(3) {
				entries.Set(randomScalar(r, fd.MapKey()).MapKey(), randomOne(r, fd.MapValue(), depth))
			}
		case fd.IsList():
			values := m.Mutable(fd).List()
			for range r.IntN(4) {
				values.Append(randomOne(r, fd, depth))
			}
		default:
			m.Set(fd, randomOne(r, fd, depth))
		}
	}
	switch d.FullName() { // only those that the JSON mapping has as well
	case "google.protobuf.Timestamp":
		m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(r.Int64N(4e9)-2e9))
		m.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(r.Int32N(1000)*1_000_000))
	case "google.protobuf.Duration":
		m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(r.Int64N(1e6)))
		m.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(r.Int32N(1e9)))
	case "google.protobuf.Any":
		return dynamicpb.NewMessage(d)
	case "google.protobuf.Value":
		if m.WhichOneof(d.Oneofs().Get(0)) == nil {
			m.Set(fields.ByName("null_value"), protoreflect.ValueOfEnum(0))
		}
		if v := m.Get(fields.ByName("number_value")).Float(); math.IsNaN(v) || math.IsInf(v, 0) {
			m.Set(fields.ByName("number_value"), protoreflect.ValueOfFloat64(1.5))
		}
		if m.Get(fields.ByName("null_value")).Enum() != 0 {
			m.Set(fields.ByName("null_value"), protoreflect.ValueOfEnum(0))
		}
	}
	return m
}

func randomOne(r *rand.Rand, fd protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	if d := fd.Message(); d != nil {
		return protoreflect.ValueOfMessage(randomMessage(r, d, depth-1))
	}
	return randomScalar(r, fd)
}

func randomScalar(r *rand.Rand, fd protoreflect.FieldDescriptor) protoreflect.Value {
	bits := r.Uint64()
	switch r.IntN(4) {
	case 0:
		bits >>= 60
	case 1:
		bits = math.MaxUint64 - bits>>58
	case 2:
		bits = 0
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(bits&1 == 1)
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		if r.IntN(6) == 0 && !fd.Enum().IsClosed() {
			return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(bits)))
		}
		return protoreflect.ValueOfEnum(values.Get(r.IntN(values.Len())).Number())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(bits))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(bits))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(int64(bits))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(bits)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32([]float32{0, 0.1, -1e30, float32(math.Inf(1)), float32(math.Copysign(0, -1)), 7}[r.IntN(6)])
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64([]float64{0, 0.1, -1e300, math.Inf(-1), math.NaN(), math.Copysign(0, -1), 7}[r.IntN(7)])
	case protoreflect.StringKind:
		return protoreflect.ValueOfString([]string{"", "x", "Köln \"q\"\n", "a longer text, of more than a few words"}[r.IntN(4)])
	}
	return protoreflect.ValueOfBytes([][]byte{{}, {0xFF, 0}, []byte("bytes of some length")}[r.IntN(3)])
}

// randomRecord writes messages one behind the other, which means that they are merged, with
// fields between them that no schema has.
func randomRecord(t testing.TB, r *rand.Rand, d protoreflect.MessageDescriptor) []byte {
	t.Helper()
	var record []byte
	for range 1 + r.IntN(2)*r.IntN(3) {
		part, err := proto.MarshalOptions{AllowPartial: true}.Marshal(randomMessage(r, d, 4))
		if err != nil {
			t.Fatal(err)
		}
		record = append(record, part...)
		switch r.IntN(5) {
		case 0:
			record = protowire.AppendVarint(protowire.AppendTag(record, 3999, protowire.VarintType), r.Uint64())
		case 1:
			record = append(protowire.AppendTag(record, 3999, protowire.StartGroupType), 8, 1, 0x12, 2, 0xFF, 0xFE)
			record = protowire.AppendTag(record, 3999, protowire.EndGroupType)
		}
	}
	return record
}

// cellsAt are paths that lead everywhere in a message of a record.
func randomPaths(r *rand.Rand, m *message, n int) []codecs.Path {
	var paths []codecs.Path
	for range n {
		var steps []codecs.Step
		t := m
		for t != nil && len(steps) < 6 && (len(steps) == 0 || r.IntN(3) > 0) {
			steps, t = randomStep(r, t, steps)
		}
		paths = append(paths, codecs.NewPath(steps...))
	}
	return paths
}

func randomStep(r *rand.Rand, t *message, steps []codecs.Step) ([]codecs.Step, *message) {
	switch {
	case t.special == object || t.special == anyValue && r.IntN(2) == 0:
		return append(steps, codecs.Step{Member: pick(r, []string{"", "x", "Köln \"q\"\n"})}), t
	case t.special == list || t.special == anyValue:
		return append(steps, codecs.Step{Index: r.IntN(3), IsIndex: true}), t
	case len(t.fields) == 0 || r.IntN(20) == 0:
		return append(steps, codecs.Step{Member: "none"}), nil
	}
	f := &t.fields[r.IntN(len(t.fields))]
	steps = append(steps, codecs.Step{Member: f.name})
	switch {
	case f.list && r.IntN(4) > 0:
		return append(steps, codecs.Step{Index: r.IntN(3), IsIndex: true}), f.msg
	case f.isMap && r.IntN(4) > 0:
		_, value := f.msg.entry()
		return append(steps, codecs.Step{Member: pick(r, []string{"", "x", "0", "-1", "true", "false", "4294967295"})}), f.msg.fields[value].msg
	case f.isMap:
		return steps, nil
	}
	return steps, f.msg
}
