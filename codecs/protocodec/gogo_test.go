package protocodec

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gogo "github.com/gogo/protobuf/proto"
	"github.com/gogo/protobuf/proto/proto3_proto"
	"github.com/gogo/protobuf/proto/test_proto"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"leat/internal/testenv"
)

// The second reference is gogo/protobuf, whose decoder shares no code with protobuf-go. It
// knows types for which code was generated, and has some for its own tests: every scalar
// required, optional, repeated, packed and with a default, groups, maps, enums, both
// syntaxes.
//
// What it takes and is refused here:
//
//   - numbers of fields beyond 2^29-1;
//   - a group that ends with the number of another, which it does not look at;
//   - messages inside each other without a limit;
//   - text that is not UTF-8, in proto2 and in google.protobuf.Any.
//
// A map, or a member of google.protobuf.Any, that is written with another wire type than
// its own it refuses, where others pass it by as a field that they do not know.
//
// It asks of each piece of a message that comes in pieces that it has what is required.
// Here, as in protobuf-go, the message as a whole has to have it, and so gogo's word for
// that is not taken: what it has read is asked.
//
// A sint32 that is written with more than 32 bits it takes as one of 64 bits, and cuts off
// what is too much of the number: here, as in protobuf-go and in C++, it is cut before.
//
// Of a oneof it does not merge the pieces of a message, and stops at a member that is
// written with another wire type, so types with a oneof are left to protobuf-go.

// gogoType is a type that gogo has code for, and the same type here.
type gogoType struct {
	make func() gogo.Message
	m    *Message
}

// gogoTypes compiles the descriptors that come with the generated code.
func gogoTypes(t testing.TB) []gogoType {
	t.Helper()
	files := &protoregistry.Files{}
	find := func(name string) protoreflect.FileDescriptor {
		if f, err := protoregistry.GlobalFiles.FindFileByPath(name); err == nil {
			return f
		}
		f, err := files.FindFileByPath(name)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	load := func(name, as string) {
		unzipped, err := gzip.NewReader(bytes.NewReader(gogo.FileDescriptor(name)))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(unzipped)
		if err != nil {
			t.Fatal(err)
		}
		var p descriptorpb.FileDescriptorProto
		if err := proto.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		for _, dependency := range p.Dependency {
			find(dependency)
		}
		withoutExtensions(&p)
		p.Name = &as
		f, err := protodesc.NewFile(&p, resolver{files})
		if err != nil {
			t.Fatal(err)
		}
		if err := files.RegisterFile(f); err != nil {
			t.Fatal(err)
		}
	}
	load("test.proto", "test_proto/test.proto") // as it is imported
	load("proto3.proto", "proto3.proto")
	message := func(file, name string) *Message {
		return newBuilder().message(find(file).Messages().ByName(protoreflect.Name(name)))
	}
	const two, three = "test_proto/test.proto", "proto3.proto"
	return []gogoType{
		{func() gogo.Message { return &test_proto.GoTest{} }, message(two, "GoTest")},
		{func() gogo.Message { return &test_proto.MessageWithMap{} }, message(two, "MessageWithMap")},
		{func() gogo.Message { return &test_proto.Defaults{} }, message(two, "Defaults")},
		{func() gogo.Message { return &test_proto.MessageList{} }, message(two, "MessageList")},
		{func() gogo.Message { return &test_proto.MoreRepeated{} }, message(two, "MoreRepeated")},
		{func() gogo.Message { return &test_proto.GroupNew{} }, message(two, "GroupNew")},
		{func() gogo.Message { return &proto3_proto.Message{} }, message(three, "Message")},
		{func() gogo.Message { return &proto3_proto.IntMaps{} }, message(three, "IntMaps")},
		{func() gogo.Message { return &proto3_proto.MessageWithMap{} }, message(three, "MessageWithMap")},
	}
}

// withoutExtensions takes what is passed over here out of a file, and the sets of messages
// of proto1, which protobuf-go does not know.
func withoutExtensions(p *descriptorpb.FileDescriptorProto) {
	p.Extension = nil
	p.MessageType = slices.DeleteFunc(p.MessageType, func(m *descriptorpb.DescriptorProto) bool {
		m.Extension = nil
		return m.GetOptions().GetMessageSetWireFormat()
	})
}

// resolver finds files and what is in them here first, then among those of the program.
type resolver struct{ files *protoregistry.Files }

func (r resolver) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if f, err := r.files.FindFileByPath(path); err == nil {
		return f, nil
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

func (r resolver) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := r.files.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}

// agreeGogo decodes a record with gogo, and here: both refuse it, or both find the same in
// it. It reports which.
func agreeGogo(t testing.TB, g gogoType, record []byte) (good bool) {
	t.Helper()
	into := g.make()
	theirs := gogo.Unmarshal(record, into)
	if theirs != nil && (strings.Contains(theirs.Error(), "bad wiretype for map field") || strings.Contains(theirs.Error(), "wrong wireType")) {
		return false
	}
	var missing *gogo.RequiredNotSetError
	var again []byte
	if theirs == nil || errors.As(theirs, &missing) {
		var err error
		if again, err = gogo.Marshal(into); err != nil && !errors.As(err, &missing) {
			t.Fatalf("%s % x: gogo cannot write what it read: %v", g.m.Name(), record, err)
		}
		theirs = nil
	}
	cells, reason := decodeOne(t, g.m, record, "")
	read := dynamicpb.NewMessage(g.m.descriptor)
	if theirs == nil {
		// What it passes over it keeps, and writes again, good or not.
		if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(again, read); err != nil && looser(reason) {
			return false
		} else if err != nil {
			t.Fatalf("%s % x: gogo writes it as % x: %v; here: %q", g.m.Name(), record, again, err, reason)
		}
		theirs = proto.CheckInitialized(read)
	}
	if (theirs != nil) != (reason != "") {
		if theirs == nil && looser(reason) {
			return false
		}
		t.Fatalf("%s % x\ngogo: %v\nhere: %q", g.m.Name(), record, theirs, reason)
	}
	if reason != "" {
		return false
	}
	want, got := tree(read).(map[string]any), map[string]any{}
	dec := json.NewDecoder(strings.NewReader(cells[0].Str))
	dec.UseNumber()
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	for _, name := range wideNumbers(t, g.m.descriptor, record) {
		delete(want, name)
		delete(got, name)
	}
	if a, b := textOf(t, got), textOf(t, want); !sameText(a, b) {
		t.Fatalf("%s % x\nis   %s\nwant %s", g.m.Name(), record, a, b)
	}
	return true
}

// wideNumbers are the sint32 fields of a good record that are written with more bits than
// they have.
func wideNumbers(t testing.TB, d protoreflect.MessageDescriptor, record []byte) (names []string) {
	t.Helper()
	for len(record) > 0 {
		number, typ, n := protowire.ConsumeTag(record)
		size := protowire.ConsumeFieldValue(number, typ, record[max(n, 0):])
		if n < 0 || size < 0 {
			t.Fatalf("% x: %v", record, protowire.ParseError(min(n, size)))
		}
		value := record[n : n+size]
		record = record[n+size:]
		fd := d.Fields().ByNumber(number)
		if fd == nil || fd.Kind() != protoreflect.Sint32Kind {
			continue
		}
		if typ == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		} else if typ != protowire.VarintType {
			continue
		}
		for len(value) > 0 {
			v, n := protowire.ConsumeVarint(value)
			if n < 0 || v > math.MaxUint32 {
				names = append(names, string(fd.Name()))
				break
			}
			value = value[n:]
		}
	}
	return names
}

// looser reports whether gogo may take a record that is refused here for the reason.
func looser(reason string) bool {
	for _, rule := range []string{": field number ", ": the end of a group ", "nested more than", "not UTF-8"} {
		if strings.Contains(reason, rule) {
			return true
		}
	}
	return false
}

// TestAgainstGogo: random messages, merged, and cut and changed.
func TestAgainstGogo(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	accepted, refused := 0, 0
	count := func(good bool) {
		if good {
			accepted++
		} else {
			refused++
		}
	}
	for _, g := range gogoTypes(t) {
		for range 150 {
			record := randomRecord(t, r, g.m.descriptor)
			count(agreeGogo(t, g, record))
			if len(record) > 0 {
				record[r.IntN(len(record))] ^= 1 << r.IntN(8)
				count(agreeGogo(t, g, record[:len(record)-r.IntN(2)]))
			}
		}
	}
	if accepted < 500 || refused < 100 {
		t.Errorf("%d accepted and %d refused: too few of one to mean anything", accepted, refused)
	}
}

// FuzzDecodeGogo decodes any bytes as one of the types that gogo has.
func FuzzDecodeGogo(f *testing.F) {
	types := gogoTypes(f)
	for i, g := range types {
		for seed := range uint64(3) {
			f.Add(uint8(i), randomRecord(f, rand.New(rand.NewPCG(seed, 1)), g.m.descriptor))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, record []byte) {
		agreeGogo(t, types[int(which)%len(types)], record)
	})
}
