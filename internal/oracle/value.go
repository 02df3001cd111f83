package oracle

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind is what a value is, in the order in which values of different kinds sort,
// numbers of both kinds among each other by value.
type kind uint8

const (
	missing kind = iota
	null
	boolean
	integer
	float
	text
	array
	object
)

// value is one JSON value, or a member that is not there.
type value struct {
	kind kind
	b    bool
	i    int64
	f    float64
	s    string
	in   *container // of an array or object
}

// container is what an array or object holds.
type container struct {
	raw   []byte   // as it stands in the record; nil in a joined row
	names []string // of an object, in order
	list  []value  // the elements, or the members in the order of their names
}

func ofBool(b bool) value     { return value{kind: boolean, b: b} }
func ofInt(i int64) value     { return value{kind: integer, i: i} }
func ofFloat(f float64) value { return value{kind: float, f: f} }
func ofText(s string) value   { return value{kind: text, s: s} }

func (v value) none() bool   { return v.kind <= null }
func (v value) number() bool { return v.kind == integer || v.kind == float }
func (v value) isTrue() bool { return v.kind == boolean && v.b }

func (v value) float() float64 {
	if v.kind == integer {
		return float64(v.i)
	}
	return v.f
}

// maxDepth is how deep a record may nest.
const maxDepth = 512

// parseRecord is the record as an object, or false for what cannot be decoded: text
// that is not one JSON object in UTF-8, a lone surrogate, a number beyond float64,
// nesting beyond maxDepth.
func parseRecord(record []byte) (value, bool) {
	if !json.Valid(record) || !utf8.Valid(record) || loneSurrogate(record) {
		return value{}, false
	}
	v, ok := (&scanner{text: record}).value(0)
	return v, ok && v.kind == object
}

// loneSurrogate finds an escape of one half of a surrogate pair in valid JSON.
func loneSurrogate(record []byte) bool {
	unit := func(at int) int64 {
		if at+6 > len(record) || record[at] != '\\' || record[at+1] != 'u' {
			return -1
		}
		n, _ := strconv.ParseInt(string(record[at+2:at+6]), 16, 64)
		return n
	}
	for i := 0; i < len(record); i++ {
		if record[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case u >= 0xDC00 && u <= 0xDFFF:
			return true
		case u >= 0xD800 && u <= 0xDBFF:
			if low := unit(i + 6); low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 11
		default:
			i++
		}
	}
	return false
}

// parse reads valid JSON, which may nest deeper than a record: what is made of records does.
func parse(text []byte) value {
	v, ok := (&scanner{text: text}).value(-maxDepth)
	if !ok {
		panic("no value: " + string(text))
	}
	return v
}

// scanner reads text that encoding/json has found valid.
type scanner struct {
	text []byte
	at   int
}

// next is the byte behind white space.
func (s *scanner) next() byte {
	for strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
	return s.text[s.at]
}

// value reads one value inside so many arrays and objects. It is false for a number beyond
// float64 and for nesting beyond maxDepth.
func (s *scanner) value(depth int) (value, bool) {
	switch c := s.next(); c {
	case 'n':
		s.at += len("null")
		return value{kind: null}, true
	case 't':
		s.at += len("true")
		return ofBool(true), true
	case 'f':
		s.at += len("false")
		return ofBool(false), true
	case '"':
		return ofText(s.string()), true
	case '[', '{':
		if depth == maxDepth {
			return value{}, false
		}
		return s.container(c == '{', depth+1)
	}
	from := s.at
	for s.at < len(s.text) && strings.IndexByte("+-.0123456789eE", s.text[s.at]) >= 0 {
		s.at++
	}
	number := string(s.text[from:s.at])
	if i, err := strconv.ParseInt(number, 10, 64); err == nil {
		return ofInt(i), true
	}
	f, err := strconv.ParseFloat(number, 64)
	return ofFloat(f), err == nil
}

func (s *scanner) string() (text string) {
	from := s.at
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	quoted := s.text[from:s.at]
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	must(json.Unmarshal(quoted, &text))
	return text
}

// container reads an array or object; of members that share a name the last counts.
func (s *scanner) container(members bool, depth int) (v value, ok bool) {
	in, from := &container{}, s.at
	if members && depth == 1 { // as many as most records have
		in.names, in.list = make([]string, 0, 12), make([]value, 0, 12)
	}
	s.at++
	for c := s.next(); c != ']' && c != '}'; c = s.next() {
		if c == ',' {
			s.at++
			s.next()
		}
		place := len(in.list)
		if members {
			name, found := s.string(), false
			if place, found = slices.BinarySearch(in.names, name); !found {
				in.names = slices.Insert(in.names, place, name)
				in.list = slices.Insert(in.list, place, value{})
			}
			s.next()
			s.at++ // the colon
		} else {
			in.list = append(in.list, value{})
		}
		if in.list[place], ok = s.value(depth); !ok {
			return value{}, false
		}
	}
	s.at++
	in.raw = s.text[from:s.at]
	if members {
		return value{kind: object, in: in}, true
	}
	return value{kind: array, in: in}, true
}

// must is for what has been checked before.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// inside are the elements of an array, or the members of an object in the order of their
// names.
func (v value) inside() []value {
	if v.in == nil {
		return nil
	}
	return v.in.list
}

// member of an object; there may be none of that name.
func (v value) member(name string) value {
	if i, found := slices.BinarySearch(v.in.names, name); found {
		return v.in.list[i]
	}
	return value{}
}

// Step is one move of a path: to a member, or, where Member is "", to an element.
type Step struct {
	Member string
	Index  int
}

func (v value) at(path []Step) value {
	for _, step := range path {
		switch {
		case step.Member != "" && v.kind == object:
			v = v.member(step.Member)
		case step.Member == "" && v.kind == array && step.Index < len(v.in.list):
			v = v.in.list[step.Index]
		default:
			return value{}
		}
	}
	return v
}

// compare orders all values: null < false < true < numbers by exact value < strings
// bytewise < arrays by element < objects by their members in order of names.
func compare(a, b value) int {
	if c := cmp.Compare(a.rank(), b.rank()); c != 0 {
		return c
	}
	switch a.kind {
	case boolean:
		return strings.Compare(strconv.FormatBool(a.b), strconv.FormatBool(b.b)) // "false" < "true"
	case integer, float:
		return a.exact().Cmp(b.exact())
	case text:
		return strings.Compare(a.s, b.s)
	case array:
		return slices.CompareFunc(a.in.list, b.in.list, compare)
	case object:
		return compareObjects(a, b)
	}
	return 0
}

func compareObjects(a, b value) int {
	an, bn := a.in.names, b.in.names
	for i := range min(len(an), len(bn)) {
		if c := strings.Compare(an[i], bn[i]); c != 0 {
			return c
		}
		if c := compare(a.in.list[i], b.in.list[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(an), len(bn))
}

func (v value) rank() kind {
	switch v.kind {
	case missing:
		return null
	case float:
		return integer
	}
	return v.kind
}

func (v value) exact() *big.Float {
	if v.kind == integer {
		return new(big.Float).SetInt64(v.i)
	}
	return big.NewFloat(v.f)
}

// json is the value as it is put out: containers as they stand in the record, without
// white space.
func (v value) json() string {
	switch v.kind {
	case boolean:
		return strconv.FormatBool(v.b)
	case integer:
		return strconv.FormatInt(v.i, 10)
	case float:
		b, err := json.Marshal(v.f)
		must(err)
		return string(b)
	case text:
		return quote(v.s)
	case array, object:
		var b bytes.Buffer
		must(json.Compact(&b, v.in.raw))
		return b.String()
	}
	return "null"
}

// key is the value in the one form that all values equal to it share, as it is put
// out where it is a group key: integral numbers as integers, members by name.
func (v value) key() string {
	switch v.kind {
	case float:
		if f := v.f; f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63 {
			return strconv.FormatInt(int64(f), 10)
		}
	case array:
		var parts []string
		for _, e := range v.in.list {
			parts = append(parts, e.key())
		}
		return "[" + strings.Join(parts, ",") + "]"
	case object:
		var parts []string
		for i, name := range v.in.names {
			parts = append(parts, quote(name)+":"+v.in.list[i].key())
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	return v.json()
}

// quote writes a JSON string with the fewest escapes.
func quote(s string) string {
	const hex = "0123456789abcdef"
	b := []byte{'"'}
	for _, c := range []byte(s) {
		switch at := strings.IndexByte("\b\f\n\r\t\"\\", c); {
		case at >= 0:
			b = append(b, '\\', `bfnrt"\`[at])
		case c < ' ':
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
