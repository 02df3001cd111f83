package protocodec

import (
	"context"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"leat/codecs"
)

// FuzzDecode decodes any bytes with a schema that the seed makes: the same records are good
// whatever is asked for, and protobuf-go agrees on them and on what they mean.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 1))
		f.Add(seed, randomRecord(f, r, byReference(f, parse(f, randomSchema(r)))))
	}
	f.Fuzz(func(t *testing.T, seed uint64, record []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := randomSchema(r)
		m := parse(t, text)
		agree(t, r, text, m, dynamicpb.NewMessage(byReference(t, m)), record)
	})
}

// FuzzDecodeGenerated decodes any bytes as a descriptor, which protobuf-go reads with the
// code that it has for generated types.
func FuzzDecodeGenerated(f *testing.F) {
	d := (&descriptorpb.FileDescriptorProto{}).ProtoReflect().Descriptor()
	for seed := range uint64(12) {
		f.Add(seed, randomRecord(f, rand.New(rand.NewPCG(seed, 1)), d))
	}
	descriptor := protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto)
	text, err := proto.Marshal(descriptor)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint64(0), text)
	m := newBuilder().message(d)
	f.Fuzz(func(t *testing.T, seed uint64, record []byte) {
		agree(t, rand.New(rand.NewPCG(seed, 2)), "FileDescriptorProto", m, &descriptorpb.FileDescriptorProto{}, record)
	})
}

// FuzzSchema compiles any text: what is accepted has types for all that it can address.
func FuzzSchema(f *testing.F) {
	f.Add(sampleSchema)
	for seed := range uint64(8) {
		f.Add(randomSchema(rand.New(rand.NewPCG(seed, 1))))
	}
	f.Add(`edition = "2023"; package a.b; import "google/protobuf/descriptor.proto"; extend google.protobuf.FieldOptions { bool x = 50000; } message M { int32 a = 1 [(x) = true]; extensions 100 to max; }`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchema(context.Background(), text, nil)
		if err != nil {
			return
		}
		m, err := s.Message("")
		if err != nil {
			return
		}
		for i := range m.root.fields {
			if _, err := m.TypeOf(codecs.NewPath(codecs.Step{Member: m.root.fields[i].name})); err != nil {
				t.Fatal(err)
			}
		}
		if same, err := s.MessageAt(m.Index()); err != nil || same.Name() != m.Name() {
			t.Fatalf("%v leads to %v, %v", m.Index(), same, err)
		}
		decodeOne(t, m, nil, "")
	})
}

// FuzzEncode encodes any JSON text: what is accepted is a good record for protobuf-go and
// here.
func FuzzEncode(f *testing.F) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := parse(f, randomSchema(r))
		cells, reason := decodeOne(f, m, randomRecord(f, r, byReference(f, m)), "")
		if reason == "" {
			f.Add(seed, []byte(cells[0].Str))
		}
	}
	f.Fuzz(func(t *testing.T, seed uint64, row []byte) {
		text := randomSchema(rand.New(rand.NewPCG(seed, 1)))
		m := parse(t, text)
		record, err := NewEncoder(m).AppendJSON(nil, row)
		if err != nil {
			return
		}
		if err := proto.Unmarshal(record, dynamicpb.NewMessage(byReference(t, m))); err != nil {
			t.Fatalf("%s\n%s\n% x: %v", text, row, record, err)
		}
		again(t, text, m, record)
	})
}
