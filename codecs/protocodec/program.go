package protocodec

import (
	"slices"

	"leat/codecs"
)

// want holds what the paths ask for below one value.
type want struct {
	col      int32 // -1 if the value itself is not asked for
	members  []wantMember
	elements []wantElement
}

type wantMember struct {
	name string
	w    *want
}

type wantElement struct {
	index int
	w     *want
}

func newWant() *want { return &want{col: -1} }

// add makes column the one of the value at steps. If it has one already, add returns it.
func (w *want) add(steps []codecs.Step, column int32) (first int32) {
	for _, s := range steps {
		w = w.child(s)
	}
	if w.col < 0 {
		w.col = column
	}
	return w.col
}

func (w *want) child(s codecs.Step) *want {
	if s.IsIndex {
		k := slices.IndexFunc(w.elements, func(e wantElement) bool { return e.index == s.Index })
		if k < 0 {
			k = len(w.elements)
			w.elements = append(w.elements, wantElement{s.Index, newWant()})
		}
		return w.elements[k].w
	}
	if inside := w.member(s.Member); inside != nil {
		return inside
	}
	inside := newWant()
	w.members = append(w.members, wantMember{s.Member, inside})
	return inside
}

// member is what is asked for below a member, or nil.
func (w *want) member(name string) *want {
	if w == nil {
		return nil
	}
	for k := range w.members {
		if w.members[k].name == name {
			return w.members[k].w
		}
	}
	return nil
}

// way is how the value at a path is found.
type way uint8

const (
	nowhere  way = iota // no record has it
	straight            // a single value, through single messages: by the program
	winding             // anything else: by a look at the whole message
)

// reach tells how the value at steps in a message of m is found.
func reach(m *message, steps []codecs.Step) way {
	for k, s := range steps {
		if m.special != general {
			return winding
		}
		place, known := m.byName[s.Member]
		if s.IsIndex || !known {
			return nowhere
		}
		f := &m.fields[place]
		last := k == len(steps)-1
		switch {
		case f.list || f.isMap:
			return winding
		case f.msg == nil || f.msg.special.isScalar():
			if last {
				return straight
			}
			return nowhere
		}
		m = f.msg
	}
	return winding
}

// isScalar reports whether values of s are single cells.
func (s special) isScalar() bool { return s == timestamp || s == duration || s == wrapper }

// op is what a program does with the value of a field. Each sets the cell of its action,
// or with the column -1 only checks.
type op uint8

const (
	opVarint op = iota
	opFixed
	opString
	opBytes
	opMessage
	opGroup
	opPackedVarint
	opPackedFixed
)

// action is what is done for one tag.
type action struct {
	op    op
	wire  wireType // of one value
	col   int32    // or -1
	once  int32    // what the tag shares with all that it may come only once with, or -1
	field *field
	sub   *program
}

// program checks the fields of a message and sets the cells that are asked for. It is
// right about records in which no message that is asked for comes in pieces and at most
// one field of a oneof is set; of others it says so.
type program struct {
	msg      *message
	byByte   [128]int32 // number of an action, from 1, by a tag of one byte
	small    []int32    // the same by a tag below smallTags
	byTag    map[uint32]int32
	actions  []action
	defaults []constant
}

// smallTags is above the tags of the field numbers below 256.
const smallTags = 256 << 3

type constant struct {
	col   int32
	value codecs.Value
}

func (pr *program) setDefaults(m *machine) {
	for k := range pr.defaults {
		m.set(pr.defaults[k].col, pr.defaults[k].value)
	}
}

// compiler makes the programs of one decoder.
type compiler struct {
	programs map[*message]*program // of messages of which nothing is asked for, of all decoders of a schema
	slots    int32
}

// compile makes the program for a message of m of which w, if it is not nil, is asked for.
func (c *compiler) compile(m *message, w *want) *program {
	if w == nil && c.programs[m] != nil {
		return c.programs[m]
	}
	pr := &program{msg: m, byTag: map[uint32]int32{}}
	if w == nil {
		c.programs[m] = pr
	}
	shared := c.shared(m, w)
	for i := range m.fields {
		f := &m.fields[i]
		a := action{wire: f.wire, col: -1, once: -1, field: f}
		inside := w.member(f.name)
		if inside != nil {
			a.col = inside.col
			if f.absent.Kind != codecs.Missing && a.col >= 0 {
				pr.defaults = append(pr.defaults, constant{a.col, f.absent})
			}
			if f.isMessage() {
				a.once = c.slot()
			}
		}
		if f.oneof >= 0 && shared[f.oneof] >= 0 {
			a.once = shared[f.oneof]
		}
		a.op = f.op()
		if f.msg != nil {
			if inside != nil && f.msg.special.isScalar() {
				inside = nil // the action sets the cell, the program only checks
			}
			a.sub = c.compile(f.msg, inside)
		}
		pr.add(f.number<<3|uint32(f.wire), a)
		if f.packable() {
			a.op = opPackedVarint
			if f.wire != wireVarint {
				a.op = opPackedFixed
			}
			pr.add(f.number<<3|uint32(wireBytes), a)
		}
	}
	return pr
}

func (c *compiler) slot() int32 {
	c.slots++
	return c.slots - 1
}

// shared are the slots of the oneofs of which something is asked for.
func (c *compiler) shared(m *message, w *want) []int32 {
	slots := make([]int32, m.oneofs)
	for k := range slots {
		slots[k] = -1
	}
	for i := range m.fields {
		f := &m.fields[i]
		if f.oneof >= 0 && slots[f.oneof] < 0 && w.member(f.name) != nil {
			slots[f.oneof] = c.slot()
		}
	}
	return slots
}

func (f *field) op() op {
	switch {
	case f.wire == wireGroup:
		return opGroup
	case f.msg != nil:
		return opMessage
	case f.wire == wireVarint:
		return opVarint
	case f.wire != wireBytes:
		return opFixed
	case f.isString():
		return opString
	}
	return opBytes
}

func (pr *program) add(tag uint32, a action) {
	pr.actions = append(pr.actions, a)
	n := int32(len(pr.actions))
	switch {
	case tag < 128:
		pr.byByte[tag] = n
	case tag < smallTags:
		for len(pr.small) <= int(tag) {
			pr.small = append(pr.small, 0)
		}
		pr.small[tag] = n
	default:
		pr.byTag[tag] = n
	}
}

// action is the number of the action for a tag, from 1, or 0.
func (pr *program) action(tag uint32) int32 {
	switch {
	case tag < 128: // written longer than it needs to be
		return pr.byByte[tag]
	case int(tag) < len(pr.small):
		return pr.small[tag]
	}
	return pr.byTag[tag]
}
