package protocodec

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
)

// Shape is how messages of the type are written as plain JSON: as Protobuf's JSON mapping,
// by either name of a field, numbers of 64 bits as numbers or texts.
func (m *Message) Shape() *codecs.Shape { return shapes{}.message(m.root) }

type shapes map[*message]*codecs.Shape

func (all shapes) message(t *message) *codecs.Shape {
	if s := all[t]; s != nil {
		return s
	}
	s := &codecs.Shape{Kind: codecs.ShapeScalar, Nullable: true}
	all[t] = s
	switch t.special {
	case timestamp:
		s.Kinds, s.Text = codecs.Kinds(codecs.Int), codecs.TextIsInstant
	case duration:
		s.Kinds, s.Text = codecs.Kinds(codecs.Int), codecs.TextIsDuration
	case wrapper:
		*s = *all.one(&t.fields[0])
	case object:
		s.Kinds = codecs.Kinds(codecs.Object)
	case list:
		s.Kinds = codecs.Kinds(codecs.Array)
	case anyValue:
		s.Kinds, s.Nullable = t.kinds()|codecs.Kinds(codecs.Int), false
	default:
		s.Kind = codecs.ShapeRecord
		for i := range t.fields {
			s.Fields = append(s.Fields, all.field(t, i))
		}
	}
	return s
}

func (all shapes) field(t *message, place int) codecs.ShapeField {
	f := &t.fields[place]
	out := codecs.ShapeField{Name: f.name, Default: string(f.text)}
	for name, at := range t.byJSONName {
		if at == place && name != f.name && (out.Also == "" || name < out.Also) {
			out.Also = name
		}
	}
	switch {
	case f.list:
		out.Shape = &codecs.Shape{Kind: codecs.ShapeArray, Items: all.one(f), Nullable: true}
	case f.isMap:
		_, value := f.msg.entry()
		out.Shape = &codecs.Shape{Kind: codecs.ShapeMap, Items: all.one(&f.msg.fields[value]), Nullable: true}
	default:
		out.Shape = all.one(f)
	}
	return out
}

// one is the shape of one value of f.
func (all shapes) one(f *field) *codecs.Shape {
	if f.msg != nil {
		return all.message(f.msg)
	}
	s := &codecs.Shape{Nullable: true}
	switch f.kind {
	case protoreflect.BoolKind:
		s.Kinds = codecs.Kinds(codecs.Bool)
	case protoreflect.EnumKind:
		s.Kinds = codecs.Kinds(codecs.String, codecs.Int)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		s.Kinds = codecs.Kinds(codecs.Int, codecs.Float)
	case protoreflect.StringKind, protoreflect.BytesKind:
		s.Kinds = codecs.Kinds(codecs.String)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind: // above an int64 JSON has a float
		s.Kinds, s.Text = codecs.Kinds(codecs.Int, codecs.Float), codecs.TextIsInteger
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		s.Kinds, s.Text = codecs.Kinds(codecs.Int), codecs.TextIsInteger
	default:
		s.Kinds = codecs.Kinds(codecs.Int)
	}
	return s
}
