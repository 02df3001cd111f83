package protocodec

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
)

// TypeOf is what the cells of a path can be in messages of the type. Missing is among them
// where a record may lack the path: a field whose absence can be told from its values, an
// element of a list, an entry of a map, and what lies behind those. The error is a
// *codecs.NoFieldError if no record can have the path.
func (m *Message) TypeOf(path codecs.Path) (codecs.KindSet, error) {
	at, missing, err := m.at(path)
	if err != nil {
		return 0, err
	}
	kinds := at.kinds()
	if missing {
		kinds |= codecs.Kinds(codecs.Missing)
	}
	return kinds, nil
}

// TypeAt is TypeOf with what is inside of objects and arrays. Numbers of enums without a
// name, and unsigned ones beyond an int64, are not among its kinds.
func (m *Message) TypeAt(path codecs.Path) (*codecs.Type, error) {
	at, missing, err := m.at(path)
	if err != nil {
		return nil, err
	}
	t := types{}.of(at)
	if missing {
		t = t.With(codecs.Kinds(codecs.Missing))
	}
	return t, nil
}

// at is where a path leads to; missing tells that a record may lack it.
func (m *Message) at(path codecs.Path) (at place, missing bool, err error) {
	at = place{msg: m.root}
	for k, s := range path.Steps() {
		next, may, err := at.step(s)
		if err != nil {
			err.Path, err.Step = path, k
			if err.Reason != "" {
				err.Reason = fmt.Sprintf("%q %s", codecs.NewPath(path.Steps()[:k]...), err.Reason)
			}
			return place{}, false, err
		}
		at, missing = next, missing || may
	}
	return at, missing, nil
}

// types makes the types of messages.
type types map[*message]*codecs.Type

func (all types) of(p place) *codecs.Type {
	switch {
	case p.msg != nil:
		return all.message(p.msg)
	case p.many && p.field.list:
		return &codecs.Type{Kinds: codecs.Kinds(codecs.Array), Items: all.of(of(p.field))}
	case p.field.isMap:
		_, value := p.field.msg.entry()
		return &codecs.Type{Kinds: codecs.Kinds(codecs.Object), Values: all.of(of(&p.field.msg.fields[value]))}
	case p.field.enum != nil && !p.field.enum.isNull:
		return codecs.ScalarType(codecs.Kinds(codecs.String))
	case p.field.isLong():
		return codecs.ScalarType(codecs.Kinds(codecs.Int))
	}
	return codecs.ScalarType(p.field.kinds())
}

func (all types) message(m *message) *codecs.Type {
	if t := all[m]; t != nil {
		return t
	}
	t := &codecs.Type{Kinds: m.kinds()}
	all[m] = t
	switch m.special {
	case wrapper:
		*t = *all.of(place{field: &m.fields[0]})
	case anyValue:
		*t = *codecs.UnknownType()
	case general:
		t.Fields = make([]codecs.TypeField, len(m.fields))
		for i := range m.fields {
			f := &m.fields[i]
			inside := all.of(of(f))
			if f.list || f.isMap {
				inside = all.of(place{field: f, many: true})
			} else if f.absent.Kind == codecs.Missing && !f.required {
				inside = inside.With(codecs.Kinds(codecs.Missing))
			}
			t.Fields[i] = codecs.TypeField{Name: f.name, Type: inside}
		}
	}
	return t
}

// place is where a path has come to: a message, or one or all values of a field.
type place struct {
	msg   *message
	field *field
	many  bool
}

// of is one value of f.
func of(f *field) place {
	if f.isMessage() {
		return place{msg: f.msg}
	}
	return place{field: f}
}

// step goes on; may tells that a record may have nothing there.
func (p place) step(s codecs.Step) (next place, may bool, err *codecs.NoFieldError) {
	switch {
	case p.many && p.field.list && s.IsIndex:
		return of(p.field), true, nil
	case p.many && p.field.isMap && !s.IsIndex:
		_, value := p.field.msg.entry()
		return of(&p.field.msg.fields[value]), true, nil
	case p.msg == nil:
		return p, false, &codecs.NoFieldError{Reason: p.dead(s)}
	}
	switch p.msg.special {
	case object, list:
		return place{field: &p.msg.fields[0], many: true}.step(s)
	case anyValue:
		return p, true, nil // a value inside is a google.protobuf.Value again
	case general:
		return p.member(s)
	}
	return p, false, &codecs.NoFieldError{Reason: p.dead(s)}
}

func (p place) member(s codecs.Step) (place, bool, *codecs.NoFieldError) {
	if s.IsIndex {
		return p, false, &codecs.NoFieldError{Reason: p.dead(s)}
	}
	i, known := p.msg.byName[s.Member]
	if !known {
		var names []string
		for k := range p.msg.fields {
			names = append(names, p.msg.fields[k].name)
		}
		return p, false, &codecs.NoFieldError{Nearest: codecs.NearestNames(s.Member, names)}
	}
	f := &p.msg.fields[i]
	if f.list || f.isMap {
		return place{field: f, many: true}, false, nil
	}
	return of(f), f.absent.Kind == codecs.Missing && !f.required, nil
}

// dead says what p is instead of what s leads through.
func (p place) dead(s codecs.Step) string {
	verb := "has no members"
	if s.IsIndex {
		verb = "has no elements"
	}
	return fmt.Sprintf("is %s and %s", p.kinds().Values(), verb)
}

func (p place) kinds() codecs.KindSet {
	switch {
	case p.msg != nil:
		return p.msg.kinds()
	case p.many && p.field.list:
		return codecs.Kinds(codecs.Array)
	case p.field.isMap:
		return codecs.Kinds(codecs.Object)
	}
	return p.field.kinds()
}

func (m *message) kinds() codecs.KindSet {
	switch m.special {
	case timestamp, duration:
		return codecs.Kinds(codecs.Int)
	case wrapper:
		return m.fields[0].kinds()
	case list:
		return codecs.Kinds(codecs.Array)
	case anyValue:
		return codecs.Kinds(codecs.Null, codecs.Bool, codecs.Float, codecs.String, codecs.Object, codecs.Array)
	}
	return codecs.Kinds(codecs.Object)
}

// kinds are what one value of a field that is no message can be.
func (f *field) kinds() codecs.KindSet {
	switch f.kind {
	case protoreflect.BoolKind:
		return codecs.Kinds(codecs.Bool)
	case protoreflect.EnumKind:
		if f.enum.isNull {
			return codecs.Kinds(codecs.Null)
		}
		return codecs.Kinds(codecs.String, codecs.Int)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return codecs.Kinds(codecs.Float)
	case protoreflect.StringKind:
		return codecs.Kinds(codecs.String)
	case protoreflect.BytesKind:
		return codecs.Kinds(codecs.Bytes)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return codecs.Kinds(codecs.Int, codecs.Float)
	}
	return codecs.Kinds(codecs.Int)
}
