package avrocodec

import (
	"iter"
	"maps"
	"slices"

	"leat/codecs"
)

// op is what one step of a program does with the bytes in front of it. Each step that
// has a column sets the cell there; with the column -1 it only checks.
type op uint8

const (
	opSkip     op = iota // n bytes of which every value is good
	opBool               // to opDouble: the kinds of the same name
	opInt                //
	opLong               //
	opFloat              //
	opDouble             //
	opUint32             //
	opString             //
	opBytes              //
	opFixed              // n bytes
	opEnum               // symbols
	opNull               // no bytes: sets the cell
	opNullable           // a union of null and another: passes n steps if it is null
	opUnion              // branches
	opLoop               // the items of an array or a map
	opEnter              // a record: depth and idle values
	opCall               // body, a record that may contain itself
	opText               // plan, as JSON
	opPeek               // body, and then goes back to where it started
	opConst              // the cells of a field that is not written
	opRefuse             // a value that the reader's schema has no place for
	opJSONNum            // a decimal
	opUUID               // 16 bytes
)

// step is one instruction.
type step struct {
	op   op
	as   conversion
	null uint8 // of opNullable: the index of the null branch
	col  int32 // or -1
	n    int   // bytes, steps or levels
	x    *detail
}

// detail is what the rarer instructions need besides.
type detail struct {
	body     *program
	branches []*program
	symbols  []symbol
	plan     *plan
	consts   []constant
	name     string

	// of a loop
	isMap    bool
	min      int // fewest bytes of an item; of a map with its key
	idle     int
	fixed    int // bytes of every item if it needs no check, else -1
	members  map[string]*target
	elements []element
	scale    int
}

type constant struct {
	col   int32
	value codecs.Value
}

// target is what a loop runs for an item that is asked for, after it has cleared what an
// earlier item of the same key has set.
type target struct {
	body  *program
	below []int32
}

type element struct {
	index int64
	target
}

// program is a run of steps over the bytes of one value.
type program struct {
	steps []step
	where []string // the field of each step, for messages
	fence int      // no step from here on has been jumped to yet
	texts bool     // of a main program: it, or one that it leads to, makes JSON text
}

// trie holds what the paths ask for below one value.
type trie struct {
	col      int32 // -1 if the value itself is not asked for
	members  map[string]*trie
	elements map[int]*trie
}

func newTrie() *trie { return &trie{col: -1} }

// add makes column the one of the value at steps. If it has one already, add returns it.
func (t *trie) add(steps []codecs.Step, column int32) (first int32) {
	for _, s := range steps {
		t = t.child(s)
	}
	if t.col < 0 {
		t.col = column
	}
	return t.col
}

func (t *trie) child(s codecs.Step) *trie {
	if s.IsIndex {
		if t.elements == nil {
			t.elements = map[int]*trie{}
		}
		if t.elements[s.Index] == nil {
			t.elements[s.Index] = newTrie()
		}
		return t.elements[s.Index]
	}
	if t.members == nil {
		t.members = map[string]*trie{}
	}
	if t.members[s.Member] == nil {
		t.members[s.Member] = newTrie()
	}
	return t.members[s.Member]
}

// steps are what t asks for inside of an array, or of a map or record.
func (t *trie) steps(ofArray bool) iter.Seq2[codecs.Step, *trie] {
	return func(yield func(codecs.Step, *trie) bool) {
		switch {
		case t == nil:
		case ofArray:
			for _, index := range slices.Sorted(maps.Keys(t.elements)) {
				if !yield(codecs.Step{Index: index, IsIndex: true}, t.elements[index]) {
					return
				}
			}
		default:
			for _, name := range slices.Sorted(maps.Keys(t.members)) {
				if !yield(codecs.Step{Member: name}, t.members[name]) {
					return
				}
			}
		}
	}
}

// below lists the columns of t and everything under it.
func (t *trie) below() []int32 {
	var cols []int32
	if t.col >= 0 {
		cols = append(cols, t.col)
	}
	for _, c := range t.members {
		cols = append(cols, c.below()...)
	}
	for _, c := range t.elements {
		cols = append(cols, c.below()...)
	}
	return cols
}
