package protocodec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/structpb"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/internal/testenv"
)

// byReference is the type as protobuf-go builds it from the compiled file.
func byReference(t testing.TB, m *Message) protoreflect.MessageDescriptor {
	t.Helper()
	file, err := protodesc.NewFile(protodesc.ToFileDescriptorProto(m.descriptor.ParentFile()), protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().ByName(m.descriptor.Name())
}

// tree is what a message means by the table in docs/formats/protobuf.md, made from what
// protobuf-go has decoded: nil, bool, json.Number, string, []any or map[string]any.
func tree(m protoreflect.Message) any {
	d := m.Descriptor()
	field := func(name protoreflect.Name) protoreflect.Value { return m.Get(d.Fields().ByName(name)) }
	switch d.FullName() {
	case "google.protobuf.Timestamp", "google.protobuf.Duration":
		return timeTree(field("seconds").Int(), field("nanos").Int())
	case "google.protobuf.Struct":
		return mapTree(d.Fields().Get(0), field("fields").Map())
	case "google.protobuf.ListValue":
		return listTree(d.Fields().Get(0), field("values").List())
	case "google.protobuf.Value":
		fd := m.WhichOneof(d.Oneofs().Get(0))
		if fd == nil {
			return nil
		}
		return oneTree(fd, m.Get(fd))
	}
	if specialOf(d) == wrapper {
		return oneTree(d.Fields().Get(0), field("value"))
	}
	members := map[string]any{}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		switch {
		case fd.IsMap():
			members[string(fd.Name())] = mapTree(fd, m.Get(fd).Map())
		case fd.IsList():
			members[string(fd.Name())] = listTree(fd, m.Get(fd).List())
		case m.Has(fd) || !fd.HasPresence() || fd.HasDefault():
			members[string(fd.Name())] = oneTree(fd, m.Get(fd))
		}
	}
	return members
}

// timeTree is a time in milliseconds by arithmetic that cannot overflow.
func timeTree(seconds, nanos int64) any {
	ms := new(big.Int).Mul(big.NewInt(seconds), big.NewInt(1_000_000_000))
	ms.Add(ms, big.NewInt(nanos))
	ms.Div(ms, big.NewInt(1_000_000)) // towards the past
	switch {
	case ms.IsInt64():
		return json.Number(ms.String())
	case ms.Sign() > 0:
		return json.Number(strconv.Itoa(math.MaxInt64))
	}
	return json.Number(strconv.Itoa(math.MinInt64))
}

func mapTree(fd protoreflect.FieldDescriptor, entries protoreflect.Map) any {
	members := map[string]any{}
	entries.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		members[k.String()] = oneTree(fd.MapValue(), v)
		return true
	})
	return members
}

func listTree(fd protoreflect.FieldDescriptor, values protoreflect.List) any {
	elements := make([]any, values.Len())
	for i := range elements {
		elements[i] = oneTree(fd, values.Get(i))
	}
	return elements
}

func oneTree(fd protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return tree(v.Message())
	case protoreflect.BoolKind:
		return v.Bool()
	case protoreflect.StringKind:
		return v.String()
	case protoreflect.BytesKind:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	case protoreflect.EnumKind:
		if fd.Enum().FullName() == "google.protobuf.NullValue" {
			return nil
		}
		if value := fd.Enum().Values().ByNumber(v.Enum()); value != nil {
			return string(value.Name())
		}
		return json.Number(strconv.Itoa(int(v.Enum())))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
		return json.Number(strconv.FormatFloat(v.Float(), 'e', -1, 64))
	}
	return json.Number(fmt.Sprint(v.Interface()))
}

func textOf(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sameText compares by canonical keys.
func sameText(a, b string) bool {
	return bytes.Equal(codecs.AppendKey(nil, codecs.ObjectValue(a)), codecs.AppendKey(nil, codecs.ObjectValue(b)))
}

// agree decodes a record with protobuf-go into m, and here: both refuse it, or both find
// the same in it.
func agree(t testing.TB, r *rand.Rand, what string, m *Message, into proto.Message, record []byte) {
	t.Helper()
	theirs, panicked := unmarshal(record, into)
	cells, reason := decodeOne(t, m, record, "")
	if panicked {
		everyWay(t, r, what, m, record, reason)
		return
	}
	if (theirs != nil) != (reason != "") {
		if theirs == nil && allowed(into.ProtoReflect(), reason) {
			return
		}
		t.Fatalf("%s\n% x\nprotobuf-go: %v\nhere: %q", what, record, theirs, reason)
	}
	everyWay(t, r, what, m, record, reason)
	if reason != "" {
		return
	}
	if want := textOf(t, tree(into.ProtoReflect())); !sameText(cells[0].Str, want) {
		t.Fatalf("%s\n% x\nis   %s\nwant %s", what, record, cells[0].Str, want)
	}
}

// unmarshal is proto.Unmarshal. It panics where the entry of a map has its key once as it
// should be and then with another wire type, and the schema is known only at run time.
func unmarshal(record []byte, into proto.Message) (err error, panicked bool) {
	defer func() { panicked = recover() != nil }()
	return proto.Unmarshal(record, into), false
}

// allowed reports whether a record may be refused that protobuf-go takes: for its depth,
// its defaults, or a proto2 text that is not UTF-8.
func allowed(m protoreflect.Message, reason string) bool {
	for _, part := range []string{"nested more than", "too many defaults"} {
		if bytes.Contains([]byte(reason), []byte(part)) {
			return true
		}
	}
	return bytes.Contains([]byte(reason), []byte("not UTF-8")) && m.Descriptor().ParentFile().Syntax() == protoreflect.Proto2
}

// everyWay asks for random paths, whose cells have to be what the whole row has there,
// however they are found.
func everyWay(t testing.TB, r *rand.Rand, what string, m *Message, record []byte, reason string) {
	t.Helper()
	paths := randomPaths(r, m.root, 8)
	all, again := codecstest.One(NewDecoder(m, paths), record)
	if again != reason {
		t.Fatalf("%s\n% x\nrefused as %q, with other paths as %q", what, record, reason, again)
	}
	for k, path := range paths {
		var slow codecs.Value
		if reason == "" {
			slow = definition(m, path, record)
		}
		alone, _ := codecstest.One(NewDecoder(m, paths[k:k+1]), record)
		if !sameCell(all[k], slow) || !sameCell(alone[0], slow) {
			t.Fatalf("%s\n% x\n%q is %v, alone %v, by definition %v", what, record, path, all[k], alone[0], slow)
		}
		kinds, err := m.TypeOf(path)
		var none *codecs.NoFieldError
		switch {
		case errors.As(err, &none):
			kinds = codecs.Kinds(codecs.Missing)
		case err != nil:
			t.Fatal(err)
		}
		if reason == "" && !kinds.Has(slow.Kind) {
			t.Fatalf("%s\n% x\n%q is %v, and its type says %v", what, record, path, slow, kinds)
		}
	}
}

func sameCell(a, b codecs.Value) bool {
	if a.Kind == codecs.Float && b.Kind == codecs.Float && math.IsNaN(a.Float()) && math.IsNaN(b.Float()) {
		return true
	}
	return a == b
}

// definition is the cell at a path as evaluate finds it.
func definition(m *Message, path codecs.Path, record []byte) codecs.Value {
	var into codecs.Columns
	into.Reset(1, 1)
	w := newWant()
	w.add(path.Steps(), 0)
	machine := machine{cols: into.Cols, record: record}
	machine.evaluate(w, m.root, machine.whole())
	return into.Cols[0].Value(0).Clone()
}

// TestAgainstDynamic: random messages of random schemas, merged, and cut and changed.
func TestAgainstDynamic(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 400 {
		text := randomSchema(r)
		m := parse(t, text)
		d := byReference(t, m)
		for range 8 {
			record := randomRecord(t, r, d)
			agree(t, r, text, m, dynamicpb.NewMessage(d), record)
			if len(record) > 0 {
				record[r.IntN(len(record))] ^= 1 << r.IntN(8)
				agree(t, r, text, m, dynamicpb.NewMessage(d), record[:len(record)-r.IntN(2)])
			}
		}
	}
}

// TestAgainstGenerated: protobuf-go reads its generated types with other code than those of
// a schema known only at run time.
func TestAgainstGenerated(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 400 {
		for _, into := range []proto.Message{&descriptorpb.FileDescriptorProto{}, &structpb.Struct{}} {
			d := into.ProtoReflect().Descriptor()
			m := newBuilder().message(d)
			record := randomRecord(t, r, d)
			agree(t, r, string(d.FullName()), m, into, record)
			proto.Reset(into)
			if len(record) > 0 {
				record[r.IntN(len(record))] ^= 1 << r.IntN(8)
				agree(t, r, string(d.FullName()), m, into, record)
			}
		}
	}
}

// TestEncodeAgainstJSON: what protojson writes of a message is encoded to the same message;
// and so is the row that it decodes to.
func TestEncodeAgainstJSON(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 600 {
		text := randomSchema(r)
		m := parse(t, text)
		d := byReference(t, m)
		want := randomMessage(r, d, 4)
		for _, names := range []bool{false, true} {
			row, err := protojson.MarshalOptions{UseProtoNames: names, EmitDefaultValues: names}.Marshal(want)
			if err != nil {
				t.Fatalf("%s\n%v", text, err)
			}
			record, err := NewEncoder(m).AppendJSON(nil, row)
			if err != nil {
				t.Fatalf("%s\n%s\n%v", text, row, err)
			}
			got := dynamicpb.NewMessage(d)
			if err := proto.Unmarshal(record, got); err != nil || !proto.Equal(got, want) {
				t.Fatalf("%s\n%s\n% x: %v, %v\nwant %v", text, row, record, got, err, want)
			}
			again(t, text, m, record)
		}
	}
}

// again decodes a record, encodes the row, and decodes that: the rows are the same.
func again(t testing.TB, text string, m *Message, record []byte) {
	t.Helper()
	cells, reason := decodeOne(t, m, record, "")
	if reason != "" {
		t.Fatalf("%s\n% x: %s", text, record, reason)
	}
	second, err := NewEncoder(m).AppendJSON(nil, []byte(cells[0].Str))
	if err != nil && strings.Contains(cells[0].Str, "null") && (strings.Contains(err.Error(), "null where the schema has ") ||
		strings.Contains(err.Error(), "missing, and the schema requires it")) {
		return // a number that JSON text has no notation for
	}
	if err != nil {
		t.Fatalf("%s\n%s\n%v", text, cells[0].Str, err)
	}
	if rows, reason := decodeOne(t, m, second, ""); reason != "" || !utf8.ValidString(rows[0].Str) || len(rows[0].Str) == 0 {
		t.Fatalf("%s\n%s\nbecomes %s, %q", text, cells[0].Str, rows[0].Str, reason)
	}
}
