package protocodec

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
)

// The kinds of incompatibilities.
const (
	messageRemoved     = "MESSAGE_REMOVED"
	kindChanged        = "FIELD_KIND_CHANGED"
	scalarKindChanged  = "FIELD_SCALAR_KIND_CHANGED"
	namedTypeChanged   = "FIELD_NAMED_TYPE_CHANGED"
	labelChanged       = "FIELD_NUMERIC_LABEL_CHANGED"
	requiredAdded      = "REQUIRED_FIELD_ADDED"
	requiredRemoved    = "REQUIRED_FIELD_REMOVED"
	oneofFieldRemoved  = "ONEOF_FIELD_REMOVED"
	movedIntoOneof     = "FIELD_MOVED_TO_EXISTING_ONEOF"
	manyMovedIntoOneof = "MULTIPLE_FIELDS_MOVED_TO_ONEOF"
)

// Canonical is the same text for two files that say the same: the descriptor without
// positions and comments. It is no text for people.
func (s *Schema) Canonical() (string, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(protodesc.ToFileDescriptorProto(s.file))
	if err != nil {
		return "", fmt.Errorf("write the Protobuf schema in its normal form: %w", err)
	}
	return string(b), nil
}

// Incompatibilities lists why s cannot read everything that is written with the writer's
// file, by the rules of updating message types and those that the Confluent Schema
// Registry adds about oneofs and required fields; none where it can. Messages are found
// by name without the package, fields by number.
func (s *Schema) Incompatibilities(writer *Schema) []codecs.Incompatibility {
	c := &comparison{seen: map[[2]protoreflect.FullName]bool{}}
	c.messages(writer.file.Messages(), s.file.Messages(), "#")
	return c.list
}

type comparison struct {
	seen map[[2]protoreflect.FullName]bool // pairs of messages
	list []codecs.Incompatibility
}

func (c *comparison) add(kind, path, where, fault string) {
	c.list = append(c.list, codecs.Incompatibility{Kind: kind, Path: path, Where: where, Fault: fault})
}

func (c *comparison) messages(w, r protoreflect.MessageDescriptors, path string) {
	for i := range w.Len() {
		m := w.Get(i)
		if m.IsMapEntry() {
			continue
		}
		at := path + "/" + string(m.Name())
		if other := r.ByName(m.Name()); other != nil && !other.IsMapEntry() {
			c.message(m, other, at)
		} else {
			c.add(messageRemoved, at, "The message", "is missing, and there in the writer's schema")
		}
	}
}

func (c *comparison) message(w, r protoreflect.MessageDescriptor, path string) {
	pair := [2]protoreflect.FullName{w.FullName(), r.FullName()}
	if c.seen[pair] {
		return
	}
	c.seen[pair] = true
	c.messages(w.Messages(), r.Messages(), path)
	fields := r.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		at := path + "/" + strconv.Itoa(int(f.Number()))
		old := w.Fields().ByNumber(f.Number())
		if f.Cardinality() == protoreflect.Required && (old == nil || old.Cardinality() != protoreflect.Required) {
			c.add(requiredAdded, at, fieldName(f), "is required, and not in the writer's schema")
		}
		if old != nil {
			c.field(old, f, at)
		}
	}
	written := w.Fields()
	for i := range written.Len() {
		old := written.Get(i)
		f := fields.ByNumber(old.Number())
		if old.Cardinality() == protoreflect.Required && (f == nil || f.Cardinality() != protoreflect.Required) {
			c.add(requiredRemoved, path+"/"+strconv.Itoa(int(old.Number())), fieldName(old), "is not required, and required in the writer's schema")
		}
	}
	c.oneofs(w, r, path)
}

func fieldName(f protoreflect.FieldDescriptor) string { return fmt.Sprintf("The field '%s'", f.Name()) }

// kindGroup numbers the kinds that can be read as one another.
func kindGroup(k protoreflect.Kind) int {
	switch k {
	case protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Int64Kind, protoreflect.Uint64Kind, protoreflect.BoolKind, protoreflect.EnumKind:
		return 1
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return 2
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return 3
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return 4
	case protoreflect.StringKind, protoreflect.BytesKind:
		return 5
	case protoreflect.FloatKind:
		return 6
	case protoreflect.DoubleKind:
		return 7
	case protoreflect.MessageKind:
		return 8
	default: // GroupKind
		return 9
	}
}

// field compares a field of the writer with that of the same number.
func (c *comparison) field(w, r protoreflect.FieldDescriptor, path string) {
	was, is := kindGroup(w.Kind()), kindGroup(r.Kind())
	switch {
	case w.IsMap() != r.IsMap():
		c.add(kindChanged, path, "The kind of "+lower(r), "is "+shape(r)+", and "+shape(w)+" in the writer's schema")
		return
	case w.IsMap():
		c.field(w.MapKey(), r.MapKey(), path+"/key")
		c.field(w.MapValue(), r.MapValue(), path+"/value")
		return
	case was != is:
		kind := scalarKindChanged
		if was >= 8 || is >= 8 {
			kind = kindChanged
		}
		c.add(kind, path, "The kind of "+lower(r), "is "+shape(r)+", and "+shape(w)+" in the writer's schema")
		return
	case was < 8 && was != 5 && w.IsList() != r.IsList():
		c.add(labelChanged, path, "The label of "+lower(r), "is "+shape(r)+", and "+shape(w)+" in the writer's schema")
	}
	if w.Message() == nil {
		return
	}
	if before, now := relative(w.Message()), relative(r.Message()); before != now {
		c.add(namedTypeChanged, path, "The type of "+lower(r), "is "+now+", and "+before+" in the writer's schema")
		return
	}
	c.message(w.Message(), r.Message(), path)
}

func lower(f protoreflect.FieldDescriptor) string { return fmt.Sprintf("the field '%s'", f.Name()) }

// shape is the kind of a field in words.
func shape(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return "a map"
	case f.IsList():
		return "repeated " + f.Kind().String()
	}
	return f.Kind().String()
}

// relative is the name of a message without its package.
func relative(m protoreflect.MessageDescriptor) string {
	name := string(m.FullName())
	if in := string(m.ParentFile().Package()); in != "" {
		name = strings.TrimPrefix(name, in+".")
	}
	return name
}

// oneofs compares the oneofs of two messages.
func (c *comparison) oneofs(w, r protoreflect.MessageDescriptor, path string) {
	for i := range w.Oneofs().Len() {
		old := w.Oneofs().Get(i)
		now := r.Oneofs().ByName(old.Name())
		if old.IsSynthetic() || now == nil || now.IsSynthetic() {
			continue
		}
		for j := range old.Fields().Len() {
			if f := old.Fields().Get(j); now.Fields().ByNumber(f.Number()) == nil {
				c.add(oneofFieldRemoved, path+"/"+string(old.Name())+"/"+strconv.Itoa(int(f.Number())),
					fmt.Sprintf("The oneof '%s'", old.Name()), fmt.Sprintf("lacks the field '%s' that it has in the writer's schema", f.Name()))
			}
		}
	}
	for i := range r.Oneofs().Len() {
		now := r.Oneofs().Get(i)
		if now.IsSynthetic() {
			continue
		}
		moved := 0
		for j := range now.Fields().Len() {
			if old := w.Fields().ByNumber(now.Fields().Get(j).Number()); old != nil && (old.ContainingOneof() == nil || old.ContainingOneof().IsSynthetic()) {
				moved++
			}
		}
		where := fmt.Sprintf("The oneof '%s'", now.Name())
		switch old := w.Oneofs().ByName(now.Name()); {
		case moved > 0 && old != nil && !old.IsSynthetic():
			c.add(movedIntoOneof, path+"/"+string(now.Name()), where, "has a field that is outside of it in the writer's schema")
		case moved > 1:
			c.add(manyMovedIntoOneof, path+"/"+string(now.Name()), where, "has several fields that are in no oneof in the writer's schema")
		}
	}
}
