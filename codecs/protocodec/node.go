package protocodec

import (
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/codecs"
)

// special is what a message type of Google's stands for, where that is not an object.
type special uint8

const (
	general   special = iota
	timestamp         // milliseconds since 1970
	duration          // milliseconds
	wrapper           // its value
	object            // Struct: an object of any members
	anyValue          // Value: anything JSON has
	list              // ListValue: an array of anything
)

// message is a message type, or the entry of a map. Types of recursive schemas form
// cycles. Immutable once it is built.
type message struct {
	name       string
	fields     []field // as they are declared
	special    special
	byName     map[string]int // index of a field by its name
	byJSONName map[string]int
	byNumber   map[uint32]int
	dense      []int16 // index of a field by its number, -1 for none, if the numbers are small
	oneofs     int
	// fill is what a message without any bytes may cost at most: the text of its defaults
	// and some for every field.
	fill int
	// needs tells that the type, or one inside it, has required fields.
	needs bool
}

// field is one field of a message, or the key or value of a map.
type field struct {
	name     string
	key      []byte // the name as JSON with a colon
	number   uint32
	kind     protoreflect.Kind
	wire     wireType
	list     bool // of any number of values
	isMap    bool // msg is the type of its entries
	packed   bool // how the values of a list are written
	required bool
	explicit bool // whether it is set can be told from its value
	oneof    int  // -1 if it is in none
	enum     *enum
	msg      *message
	absent   codecs.Value // the cell where it is not set
	text     []byte       // absent as JSON; nil if the member is left out
}

// enum is an enum type: of two names of a number the first is used.
type enum struct {
	name    string
	names   map[int32]string
	numbers map[string]int32
	listed  []string
	closed  bool
	isNull  bool // google.protobuf.NullValue
}

// isMessage reports whether values of f are messages, also as groups.
func (f *field) isMessage() bool { return f.msg != nil && !f.isMap }

// packable reports whether the values of a list may lie packed in one.
func (f *field) packable() bool { return f.list && f.wire != wireBytes && f.wire != wireGroup }

// find is the index of the field with a number, or -1.
func (m *message) find(number uint32) int {
	if m.dense != nil {
		if int(number) < len(m.dense) {
			return int(m.dense[number])
		}
		return -1
	}
	if i, ok := m.byNumber[number]; ok {
		return i
	}
	return -1
}

// builder makes the types of a schema, and the programs that pass by their messages, each
// once: a file of many messages that share a large one is not much larger than its text,
// whichever of them records name. Safe for concurrent use.
type builder struct {
	mu       sync.Mutex
	messages map[protoreflect.FullName]*message
	enums    map[protoreflect.FullName]*enum
	programs map[*message]*program
	made     []*message // in this call
}

func newBuilder() *builder {
	return &builder{messages: map[protoreflect.FullName]*message{}, enums: map[protoreflect.FullName]*enum{}, programs: map[*message]*program{}}
}

// message is the type of d, with all that are inside.
func (b *builder) message(d protoreflect.MessageDescriptor) *Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made = b.made[:0]
	root := b.build(d)
	users := map[*message][]*message{}
	var needy []*message
	for _, m := range b.made {
		for k := range m.fields {
			f := &m.fields[k]
			m.needs = m.needs || f.required || f.msg != nil && f.msg.needs
			if f.msg != nil {
				users[f.msg] = append(users[f.msg], m)
			}
		}
		if m.needs {
			needy = append(needy, m)
		}
	}
	for ; len(needy) > 0; needy = needy[1:] {
		for _, user := range users[needy[0]] {
			if !user.needs {
				user.needs = true
				needy = append(needy, user)
			}
		}
	}
	return &Message{descriptor: d, root: root, built: b}
}

func (b *builder) build(d protoreflect.MessageDescriptor) *message {
	if m := b.messages[d.FullName()]; m != nil {
		return m
	}
	m := &message{
		name: string(d.FullName()), byName: map[string]int{}, byJSONName: map[string]int{}, byNumber: map[uint32]int{},
		special: specialOf(d), oneofs: d.Oneofs().Len(),
	}
	b.messages[d.FullName()] = m
	b.made = append(b.made, m)
	fields := d.Fields()
	highest := uint32(0)
	for i := range fields.Len() {
		fd := fields.Get(i)
		f := b.field(fd, d.IsMapEntry())
		m.fields = append(m.fields, f)
		m.byName[f.name], m.byNumber[f.number] = i, i
		m.byJSONName[fd.TextName()] = i // of a group the type's name
		m.byJSONName[fd.JSONName()] = i
		highest = max(highest, f.number)
		m.fill += 8 + len(f.text)
		if f.text != nil {
			m.fill += len(f.key)
		}
	}
	if highest <= 4096 && len(m.fields) < 1<<15 {
		m.dense = make([]int16, highest+1)
		for i := range m.dense {
			m.dense[i] = -1
		}
		for i := range m.fields {
			m.dense[m.fields[i].number] = int16(i)
		}
	}
	return m
}

func specialOf(d protoreflect.MessageDescriptor) special {
	if d.ParentFile().Package() != "google.protobuf" || d.Parent() != protoreflect.Descriptor(d.ParentFile()) {
		return general
	}
	switch d.Name() {
	case "Timestamp":
		return timestamp
	case "Duration":
		return duration
	case "Struct":
		return object
	case "Value":
		return anyValue
	case "ListValue":
		return list
	case "DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue", "StringValue", "BytesValue":
		return wrapper
	}
	return general
}

func (b *builder) field(fd protoreflect.FieldDescriptor, ofEntry bool) field {
	f := field{
		name: string(fd.Name()), number: uint32(fd.Number()), kind: fd.Kind(), wire: wireOf(fd.Kind()), list: fd.IsList(),
		isMap: fd.IsMap(), packed: fd.IsPacked(), required: fd.Cardinality() == protoreflect.Required,
		explicit: fd.HasPresence(), oneof: -1,
	}
	f.key = append(codecs.AppendJSONString(nil, f.name), ':')
	if o := fd.ContainingOneof(); o != nil && !o.IsSynthetic() {
		f.oneof = o.Index()
	}
	if e := fd.Enum(); e != nil {
		f.enum = b.enum(e)
	}
	if d := fd.Message(); d != nil {
		f.msg = b.build(d)
	}
	switch {
	case f.list:
		f.absent = codecs.ArrayValue("[]")
	case f.isMap:
		f.absent = codecs.ObjectValue("{}")
	case f.msg != nil:
	case ofEntry || !f.explicit || fd.HasDefault():
		f.absent = f.defaultOf(fd)
	}
	if f.absent.Kind != codecs.Missing {
		f.text = codecs.AppendJSON(nil, f.absent)
		if f.absent.Kind == codecs.Float && (f.kind == protoreflect.Uint64Kind || f.kind == protoreflect.Fixed64Kind) {
			f.text = appendScalar(nil, &f, fd.Default().Uint()) // with all its digits
		}
	}
	return f
}

// defaultOf is the cell of the default value.
func (f *field) defaultOf(fd protoreflect.FieldDescriptor) codecs.Value {
	v := fd.Default()
	switch f.kind {
	case protoreflect.BoolKind:
		return codecs.BoolValue(v.Bool())
	case protoreflect.EnumKind:
		return f.enum.cell(int32(v.Enum()))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return codecs.FloatValue(v.Float())
	case protoreflect.StringKind:
		return codecs.StringValue(v.String())
	case protoreflect.BytesKind:
		return codecs.BytesValue(string(v.Bytes()))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return uintCell(v.Uint())
	}
	return codecs.IntValue(v.Int())
}

func (b *builder) enum(d protoreflect.EnumDescriptor) *enum {
	if e := b.enums[d.FullName()]; e != nil {
		return e
	}
	e := &enum{
		name: string(d.FullName()), names: map[int32]string{}, numbers: map[string]int32{},
		closed: d.IsClosed(), isNull: d.FullName() == "google.protobuf.NullValue",
	}
	b.enums[d.FullName()] = e
	values := d.Values()
	for i := range values.Len() {
		v := values.Get(i)
		name, number := string(v.Name()), int32(v.Number())
		if _, known := e.names[number]; !known {
			e.names[number] = name
		}
		e.numbers[name] = number
		e.listed = append(e.listed, name)
	}
	return e
}

// cell is the name of a number, or the number if it has none.
func (e *enum) cell(number int32) codecs.Value {
	if e.isNull {
		return codecs.NullValue()
	}
	if name, ok := e.names[number]; ok {
		return codecs.StringValue(name)
	}
	return codecs.IntValue(int64(number))
}

// uintCell is an unsigned number: exact where 63 bits hold it, else the nearest float.
func uintCell(v uint64) codecs.Value {
	if v > 1<<63-1 {
		return codecs.FloatValue(float64(v))
	}
	return codecs.IntValue(int64(v))
}
