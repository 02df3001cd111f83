package protocodec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
)

// SchemaOf is the text of a schema for rows of a type, the first message of a proto3 file:
// the same for the same arguments. Whole numbers are int64 and others double; what may be
// null is optional, but lists and maps, which are empty then; objects are messages, called
// after where they are, or maps.
//
// Where there has been a message before, which may be nil, fields keep their numbers and,
// if they take all values of the member, their types; new ones get numbers that no field
// has had, and those that are gone are reserved.
//
// The error says of which member the type is not known, or has no place in Protobuf.
func SchemaOf(name string, row *codecs.Type, before *Message) (string, *codecs.MemberError) {
	d := deriver{names: map[string]bool{}, messages: map[*codecs.TypeField]string{}, fit: fit{every: true, seen: map[fitPair]bool{}}}
	head := "syntax = \"proto3\";\n"
	var old protoreflect.MessageDescriptor
	if before != nil {
		old = before.descriptor
		if space := old.ParentFile().Package(); space != "" {
			head += "package " + string(space) + ";\n"
		}
	}
	if row.Fields == nil {
		return "", &codecs.MemberError{Reason: "its members are not known", Unknown: true}
	}
	if _, err := d.message(row, old, name); err != nil {
		return "", err
	}
	return head + "\n" + strings.Join(d.texts, "\n"), nil
}

type deriver struct {
	names    map[string]bool // that are taken
	messages map[*codecs.TypeField]string
	texts    []string // of messages, each at its place
	fit      fit
}

// message writes a message, where it has not been, and is its name.
func (d *deriver) message(t *codecs.Type, before protoreflect.MessageDescriptor, name string) (string, *codecs.MemberError) {
	if len(t.Fields) > 0 {
		if known := d.messages[&t.Fields[0]]; known != "" {
			return known, nil
		}
	}
	short := name
	if before != nil && before.Parent() == protoreflect.Descriptor(before.ParentFile()) {
		short = string(before.Name())
	}
	for n := 2; d.names[short]; n++ {
		short = name + strconv.Itoa(n)
	}
	d.names[short] = true
	if len(t.Fields) > 0 {
		d.messages[&t.Fields[0]] = short
	}
	place := len(d.texts)
	d.texts = append(d.texts, "")
	numbers := numbersOf(before)
	lines := []string{"message " + short + " {"}
	camel := map[string]string{}
	for _, m := range t.Fields {
		line, err := d.field(m, before, name)
		if other := camel[jsonName(m.Name)]; err == nil && other != "" {
			err = wrong("it is called like %q in the JSON of Protobuf", other)
		}
		if err != nil {
			return "", err.Within(codecs.Step{Member: m.Name})
		}
		camel[jsonName(m.Name)] = m.Name
		lines = append(lines, fmt.Sprintf("  %s %s = %d;", line, m.Name, numbers.take(m.Name)))
	}
	lines = append(lines, numbers.reserved(t.Fields)...)
	d.texts[place] = strings.Join(append(lines, "}\n"), "\n")
	return short, nil
}

// jsonName is what Protobuf calls a field in JSON, which no two fields may share: each
// letter behind a _ is written large, without it.
func jsonName(name string) string {
	var b []byte
	for i := range len(name) {
		switch c := name[i]; {
		case c == '_':
		case i > 0 && name[i-1] == '_' && 'a' <= c && c <= 'z':
			b = append(b, c-'a'+'A')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// field is the type of a field with what stands in front.
func (d *deriver) field(m codecs.TypeField, before protoreflect.MessageDescriptor, name string) (string, *codecs.MemberError) {
	var old protoreflect.FieldDescriptor
	if before != nil {
		old = before.Fields().ByName(protoreflect.Name(m.Name))
	}
	t := m.Type
	name += "_" + m.Name
	if !t.Known() {
		return "", &codecs.MemberError{Reason: "its type is not known", Unknown: true}
	}
	switch values := t.Kinds.Values(); {
	case values == codecs.Kinds(codecs.Array):
		var items protoreflect.FieldDescriptor
		if old != nil && old.IsList() {
			items = old
		}
		text, err := d.inside(t.Items, items, name)
		if err != nil {
			return "", err.Within(codecs.Step{IsIndex: true})
		}
		return "repeated " + text, nil
	case values == codecs.Kinds(codecs.Object) && t.Fields == nil:
		var value protoreflect.FieldDescriptor
		if old != nil && old.IsMap() {
			value = old.MapValue()
		}
		text, err := d.inside(t.Values, value, name)
		return "map<string, " + text + ">", err
	}
	if old != nil && (old.IsList() || old.IsMap()) {
		old = nil
	}
	text, err := d.one(t, old, name)
	if optional := t.Kinds.Nullable() || old != nil && old.HasPresence(); optional && !t.Kinds.Has(codecs.Object) {
		text = "optional " + text
	}
	return text, err
}

// inside is the type of what is in a list or a map.
func (d *deriver) inside(t *codecs.Type, old protoreflect.FieldDescriptor, name string) (string, *codecs.MemberError) {
	switch values := t.Kinds.Values(); {
	case !t.Known():
		return "", &codecs.MemberError{Reason: "its type is not known", Unknown: true}
	case t.Kinds.Nullable():
		return "", wrong("it may be null, which Protobuf has not inside of lists and maps")
	case values.Has(codecs.Array), values.Has(codecs.Object) && t.Fields == nil:
		return "", wrong("a list or map right inside of a list or map, which Protobuf has not")
	}
	return d.one(t, old, name)
}

// one is the type of a single value.
func (d *deriver) one(t *codecs.Type, old protoreflect.FieldDescriptor, name string) (string, *codecs.MemberError) {
	values := t.Kinds.Values()
	if values.Has(codecs.Float) {
		values &^= codecs.Kinds(codecs.Int)
	}
	if values == codecs.Kinds(codecs.Object) {
		var before protoreflect.MessageDescriptor
		if old != nil && old.Message() != nil && specialOf(old.Message()) == general {
			before = old.Message()
		}
		return d.message(t, before, name)
	}
	if old != nil && old.Message() == nil && old.Enum() == nil {
		f := field{kind: old.Kind()}
		if d.fit.kinds(t, f.holds(true), "") == nil {
			return old.Kind().String(), nil
		}
	}
	switch values {
	case codecs.Kinds(codecs.Bool):
		return "bool", nil
	case codecs.Kinds(codecs.Int):
		return "int64", nil
	case codecs.Kinds(codecs.Float):
		return "double", nil
	case codecs.Kinds(codecs.String):
		return "string", nil
	case codecs.Kinds(codecs.Bytes):
		return "bytes", nil
	case 0:
		return "", wrong("it is always null, for which Protobuf has no type")
	}
	return "", wrong("it may be %s, for which Protobuf has no type", values)
}

// fieldNumbers are the numbers of a message that has been before, or of none.
type fieldNumbers struct {
	named  map[string]int
	next   int // above all that a field has had
	before protoreflect.MessageDescriptor
}

func numbersOf(before protoreflect.MessageDescriptor) *fieldNumbers {
	n := &fieldNumbers{named: map[string]int{}, next: 1, before: before}
	if before == nil {
		return n
	}
	for i := range before.Fields().Len() {
		f := before.Fields().Get(i)
		n.named[string(f.Name())] = int(f.Number())
		n.next = max(n.next, int(f.Number())+1)
	}
	for i := range before.ReservedRanges().Len() {
		n.next = max(n.next, int(before.ReservedRanges().Get(i)[1]))
	}
	return n
}

// The numbers that Protobuf keeps for itself.
const (
	firstOwnNumber = 19000
	lastOwnNumber  = 19999
)

// take is the number of a field.
func (n *fieldNumbers) take(name string) int {
	if number, known := n.named[name]; known {
		return number
	}
	if n.next >= firstOwnNumber && n.next <= lastOwnNumber {
		n.next = lastOwnNumber + 1
	}
	n.next++
	return n.next - 1
}

// reserved are the lines that keep what fields had that are gone.
func (n *fieldNumbers) reserved(members []codecs.TypeField) []string {
	if n.before == nil {
		return nil
	}
	is := func(name string) bool {
		return slices.ContainsFunc(members, func(m codecs.TypeField) bool { return m.Name == name })
	}
	var numbers, names []string
	for i := range n.before.ReservedRanges().Len() {
		r := n.before.ReservedRanges().Get(i)
		if r[1]-r[0] == 1 {
			numbers = append(numbers, strconv.Itoa(int(r[0])))
		} else {
			numbers = append(numbers, fmt.Sprintf("%d to %d", r[0], r[1]-1))
		}
	}
	for i := range n.before.ReservedNames().Len() {
		if name := string(n.before.ReservedNames().Get(i)); !is(name) {
			names = append(names, strconv.Quote(name))
		}
	}
	for i := range n.before.Fields().Len() {
		if f := n.before.Fields().Get(i); !is(string(f.Name())) {
			numbers = append(numbers, strconv.Itoa(int(f.Number())))
			names = append(names, strconv.Quote(string(f.Name())))
		}
	}
	var lines []string
	for _, list := range [][]string{numbers, names} {
		if len(list) > 0 {
			lines = append(lines, "  reserved "+strings.Join(list, ", ")+";")
		}
	}
	return lines
}
