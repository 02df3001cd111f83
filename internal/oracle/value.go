package oracle

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
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
	raw  json.RawMessage // of an array or object, as it stands in the record

	byName map[string]value // of the record itself, so that it is read once
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
	d := json.NewDecoder(bytes.NewReader(record))
	d.UseNumber()
	depth := 0
	for {
		token, err := d.Token()
		if err != nil {
			break // the end: the text is valid
		}
		switch token := token.(type) {
		case json.Delim:
			if token == '{' || token == '[' {
				depth++
			} else {
				depth--
			}
		case json.Number:
			if _, err := strconv.ParseFloat(string(token), 64); err != nil {
				return value{}, false
			}
		}
		if depth > maxDepth {
			return value{}, false
		}
	}
	v := parse(record)
	if v.kind != object {
		return v, false
	}
	v.byName = v.members()
	return v, true
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

// parse reads valid JSON.
func parse(raw json.RawMessage) value {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case 'n':
		return value{kind: null}
	case 't', 'f':
		return ofBool(raw[0] == 't')
	case '"':
		var s string
		must(json.Unmarshal(raw, &s))
		return ofText(s)
	case '[':
		return value{kind: array, raw: raw}
	case '{':
		return value{kind: object, raw: raw}
	}
	if i, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return ofInt(i)
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	must(err)
	return ofFloat(f)
}

// must is for what has been checked before.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (v value) elements() []value {
	var raw []json.RawMessage
	must(json.Unmarshal(v.raw, &raw))
	list := make([]value, len(raw))
	for i := range raw {
		list[i] = parse(raw[i])
	}
	return list
}

// members of an object; of those that share a name the last counts.
func (v value) members() map[string]value {
	if v.byName != nil {
		return v.byName
	}
	var raw map[string]json.RawMessage
	must(json.Unmarshal(v.raw, &raw))
	byName := make(map[string]value, len(raw))
	for name, r := range raw {
		byName[name] = parse(r)
	}
	return byName
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
			v = v.members()[step.Member]
		case step.Member == "" && v.kind == array:
			list := v.elements()
			if step.Index >= len(list) {
				return value{}
			}
			v = list[step.Index]
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
		return slices.CompareFunc(a.elements(), b.elements(), compare)
	case object:
		return compareObjects(a, b)
	}
	return 0
}

func compareObjects(a, b value) int {
	am, bm := a.members(), b.members()
	an, bn := slices.Sorted(maps.Keys(am)), slices.Sorted(maps.Keys(bm))
	for i := range min(len(an), len(bn)) {
		if c := strings.Compare(an[i], bn[i]); c != 0 {
			return c
		}
		if c := compare(am[an[i]], bm[bn[i]]); c != 0 {
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
		must(json.Compact(&b, v.raw))
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
		for _, e := range v.elements() {
			parts = append(parts, e.key())
		}
		return "[" + strings.Join(parts, ",") + "]"
	case object:
		var parts []string
		members := v.members()
		for _, name := range slices.Sorted(maps.Keys(members)) {
			parts = append(parts, quote(name)+":"+members[name].key())
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
