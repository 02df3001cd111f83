package protocodec

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
)

// Takes tells why rows of a type have no place in messages of the type, nil where they
// have: a member without a field, a required field that the rows lack, or a value of a
// kind that its field never holds. With every, each kind that a value can have needs a
// place, and null a field that can be left unset; else one of them that is not null does.
// Neither looks at ranges and the names of enums, nor at what is not known of the rows.
func (m *Message) Takes(row *codecs.Type, every bool) *codecs.MemberError {
	f := fit{every: every, seen: map[fitPair]bool{}}
	return f.message(m.root, row)
}

// fit compares types of rows with those of a schema.
type fit struct {
	every bool
	seen  map[fitPair]bool // that are looked at, or have been
}

type fitPair struct {
	message *message
	fields  *codecs.TypeField
}

// field compares all values of f.
func (f *fit) field(to *field, t *codecs.Type) *codecs.MemberError {
	switch {
	case t.Anything():
		return nil
	case t.Kinds.Nullable() && (to.required || f.every && !to.explicit && !to.list && !to.isMap && !to.takesNull()):
		return wrong("it may be null, and the schema has %s without presence there", to.describe())
	case to.list:
		return f.items(to, t)
	case to.isMap:
		return f.entries(to, t)
	}
	return f.one(to, t)
}

func (f *fit) items(to *field, t *codecs.Type) *codecs.MemberError {
	if err := f.kinds(t, codecs.Kinds(codecs.Array), "a list"); err != nil || t.Items == nil {
		return err
	}
	if err := f.element(to, t.Items); err != nil {
		return err.Within(codecs.Step{IsIndex: true})
	}
	return nil
}

// element compares the values of a list or a map.
func (f *fit) element(to *field, t *codecs.Type) *codecs.MemberError {
	if !t.Anything() && f.every && t.Kinds.Nullable() && !to.takesNull() {
		return wrong("it may be null, which Protobuf has not inside of lists and maps")
	}
	return f.one(to, t)
}

func (f *fit) entries(to *field, t *codecs.Type) *codecs.MemberError {
	if err := f.kinds(t, codecs.Kinds(codecs.Object), "a map"); err != nil {
		return err
	}
	key, value := to.msg.entry()
	if t.Values != nil {
		if f.every && to.msg.fields[key].kind != protoreflect.StringKind {
			return wrong("any members where the schema has a map of %s", to.msg.fields[key].describe())
		}
		return f.element(&to.msg.fields[value], t.Values)
	}
	for _, m := range t.Fields {
		if err := f.element(&to.msg.fields[value], m.Type.Without(codecs.Kinds(codecs.Missing))); err != nil {
			return err.Within(codecs.Step{Member: m.Name})
		}
	}
	return nil
}

// one compares one value of a field.
func (f *fit) one(to *field, t *codecs.Type) *codecs.MemberError {
	if to.msg != nil {
		return f.message(to.msg, t)
	}
	return f.kinds(t, to.holds(f.every), to.describe())
}

// holds are the kinds that values of f are written from: as a rule, or where always is
// not asked for, in some cases.
func (f *field) holds(always bool) codecs.KindSet {
	sometimes := func(kinds codecs.KindSet) codecs.KindSet {
		if always {
			return 0
		}
		return kinds
	}
	switch f.kind {
	case protoreflect.BoolKind:
		return codecs.Kinds(codecs.Bool)
	case protoreflect.EnumKind:
		if f.enum.isNull {
			return codecs.Kinds(codecs.Null)
		}
		return codecs.Kinds(codecs.String) | sometimes(codecs.Kinds(codecs.Int))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return codecs.Kinds(codecs.Int, codecs.Float) | sometimes(codecs.Kinds(codecs.String))
	case protoreflect.StringKind:
		return codecs.Kinds(codecs.String)
	case protoreflect.BytesKind:
		return codecs.Kinds(codecs.Bytes) | sometimes(codecs.Kinds(codecs.String))
	}
	if f.isLong() {
		return codecs.Kinds(codecs.Int) | sometimes(codecs.Kinds(codecs.Float, codecs.String))
	}
	return codecs.Kinds(codecs.Int) | sometimes(codecs.Kinds(codecs.Float))
}

// kinds compares the kinds of values other than null with those that there is a place for.
func (f *fit) kinds(t *codecs.Type, held codecs.KindSet, what string) *codecs.MemberError {
	values := t.Kinds.Values()
	if t.Anything() || values == 0 || values&held != 0 && (!f.every || values&^held == 0) {
		return nil
	}
	return wrong("%s where the schema has %s", values, what)
}

func (f *fit) message(to *message, t *codecs.Type) *codecs.MemberError {
	held := codecs.Kinds(codecs.Object)
	switch to.special {
	case anyValue:
		return nil
	case wrapper:
		return f.one(&to.fields[0], t.Without(codecs.Kinds(codecs.Null, codecs.Missing)))
	case timestamp, duration:
		if held = codecs.Kinds(codecs.Int); !f.every {
			held |= codecs.Kinds(codecs.Float, codecs.String)
		}
	case list:
		held = codecs.Kinds(codecs.Array)
	}
	err := f.kinds(t, held, to.name)
	switch {
	case err != nil || to.special != general:
		return err
	case t.Fields != nil:
		return f.members(to, t.Fields)
	case t.Values != nil && f.every:
		return wrong("any members where the schema has %s", to.name)
	}
	return nil
}

func (f *fit) members(to *message, members []codecs.TypeField) *codecs.MemberError {
	if len(members) > 0 {
		pair := fitPair{to, &members[0]}
		if f.seen[pair] {
			return nil
		}
		f.seen[pair] = true
	}
	for _, m := range members {
		field := to.named(m.Name)
		if field == nil {
			return to.unknown(m.Name)
		}
		if err := f.field(field, m.Type); err != nil {
			return err.Within(codecs.Step{Member: m.Name})
		}
	}
	for i := range to.fields {
		field := &to.fields[i]
		if field.required && !slices.ContainsFunc(members, func(m codecs.TypeField) bool { return to.named(m.Name) == field }) {
			return wrong("the schema %s requires the field %q, and the rows have no such member", to.name, field.name)
		}
	}
	return nil
}

// named is the field that a member is written to; nil if there is none.
func (t *message) named(name string) *field {
	place, known := t.byName[name]
	if !known {
		if place, known = t.byJSONName[name]; !known {
			return nil
		}
	}
	return &t.fields[place]
}
