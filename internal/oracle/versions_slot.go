package oracle

import (
	"fmt"
	"slices"
	"strings"
)

// slot is a place in the schema of a query: a record, with what is around it, or a leaf.
type slot struct {
	at     []Step
	name   string // of the field
	alias  string // "" for none
	around string // "array", "map", "optional" or "": what the record is in
	fields []*slot
	typ    string // of a leaf
	kinds  []kind // that typ has a place for
	narrow bool   // typ is an int
	enum   bool   // typ is an enum, with the symbols and other_ as its default
	syms   []string
	def    value   // a leaf's default; missing for none
	used   [2]bool // by side
}

// slots make the schema of a query that fits most of the records.
func (v *versions) slots(records [][]value) *slot {
	where := map[string]*slot{"top": {}, "in": {}, "list": {}, "opt": {}, "bag": {}}
	top, inner := where["top"], where["in"]
	inner.name, inner.at = "in", []Step{{Member: "deep"}, {Member: "in"}}
	deep := &slot{name: "deep", at: inner.at[:1], fields: []*slot{inner}}
	for name, around := range map[string]string{"list": "array", "opt": "optional", "bag": "map"} {
		where[name].name, where[name].around = name, around
	}
	where["list"].at, where["opt"].at, where["bag"].at = []Step{{Member: "list"}, {Index: 1}}, []Step{{Member: "opt"}}, []Step{{Member: "bag"}, {Member: "k-1"}}
	for _, name := range members {
		into := top
		if prefix := v.prefixes[name]; prefix != nil {
			into = where[map[string]string{"deep": "in"}[prefix[0].(string)]]
			if into == nil {
				into = where[prefix[0].(string)]
			}
		}
		at := append(slices.Clone(into.at), Step{Member: name})
		into.fields = append(into.fields, v.leaf(name, at, records))
	}
	top.fields = append(top.fields, deep, where["list"], where["opt"], where["bag"])
	for _, s := range top.fields {
		if s.fields != nil && v.chance(0.3) {
			s.alias = "old_" + s.name
		}
	}
	top.use(v)
	return top
}

// use notes which slots the query uses.
func (s *slot) use(v *versions) {
	s.used = [2]bool{v.uses(s.at, 0), v.uses(s.at, 1)}
	for _, f := range s.fields {
		f.use(v)
	}
}

// leaf is a slot of the type that most of its values have.
func (v *versions) leaf(name string, at []Step, records [][]value) *slot {
	s := &slot{at: at, name: name}
	if v.chance(0.4) {
		s.alias = "old_" + name
	}
	seen := map[kind]int{}
	var last value
	texts := map[string]bool{}
	for _, log := range records {
		for _, row := range log {
			if x := row.at(at); !x.none() {
				seen[x.kind]++
				last = x
				if x.kind == text && avroName.MatchString(x.s) && len(texts) < 5 {
					texts[x.s] = true
				}
			}
		}
	}
	most := text
	for k := boolean; k <= object; k++ {
		if seen[k] > seen[most] {
			most = k
		}
	}
	all := []kind{null, boolean, integer, float, text, array, object}
	switch {
	case most >= array || v.deeper(at) || v.chance(v.loose):
		s.typ, s.kinds = anyOf(4), all
	case most == boolean:
		s.typ, s.kinds = `"boolean"`, []kind{boolean}
	case most == integer:
		s.typ, s.kinds = `"long"`, []kind{integer}
		if v.chance(0.3) {
			s.typ, s.kinds = `["long","double","string"]`, []kind{integer, float, text}
		} else if v.chance(0.3) {
			s.typ, s.narrow = `"int"`, true
		}
	case most == float && seen[integer] == 0:
		s.typ, s.kinds = `"double"`, []kind{float}
	case most == float:
		s.typ, s.kinds = `["long","double"]`, []kind{integer, float}
	case len(texts) > 0 && v.chance(0.4):
		for t := range texts {
			s.syms = append(s.syms, quote(t))
		}
		slices.Sort(s.syms)
		s.enum, s.kinds = true, []kind{text}
		s.typ = fmt.Sprintf(`{"type":"enum","name":"%s","symbols":["other_",%s],"default":"other_"}`, avroText("E", at), strings.Join(s.syms, ","))
	default:
		s.typ, s.kinds = `"string"`, []kind{text}
	}
	if s.typ[0] != '[' && v.chance(0.5) {
		s.typ, s.kinds = `["null",`+s.typ+"]", append([]kind{null}, s.kinds...)
	}
	switch {
	case s.kinds[0] == null && v.chance(0.3):
		s.def = value{kind: null}
	case !s.enum && !s.narrow && last.kind >= boolean && last.kind <= text && s.kinds[0] == last.kind && v.chance(0.3):
		s.def = last
	}
	return s
}

// deeper tells whether the query looks into the values of a leaf.
func (v *versions) deeper(at []Step) bool {
	return slices.ContainsFunc(slices.Concat(v.used[0], v.used[1]), func(path []Step) bool {
		return len(path) > len(at) && slices.Equal(path[:len(at)], at)
	})
}

// schema is the text of the schema.
func (s *slot) schema() string {
	if s.fields == nil {
		return s.typ
	}
	var fields []string
	for _, f := range s.fields {
		text := fmt.Sprintf(`{"name":%q,"type":%s`, f.name, f.schema())
		if f.alias != "" {
			text += fmt.Sprintf(`,"aliases":[%q]`, f.alias)
		}
		if f.def.kind != missing {
			text += `,"default":` + f.def.json()
		}
		fields = append(fields, text+"}")
	}
	return s.wrap(fmt.Sprintf(`{"type":"record","name":"%s","fields":[%s]}`, avroText("R", s.at), strings.Join(fields, ",")))
}

// wrap puts what is around a record around its schema.
func (s *slot) wrap(record string) string {
	switch s.around {
	case "array":
		return `{"type":"array","items":` + record + "}"
	case "map":
		return `{"type":"map","values":` + record + "}"
	case "optional":
		return `["null",` + record + "]"
	}
	return record
}
