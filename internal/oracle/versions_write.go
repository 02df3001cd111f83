package oracle

import (
	"fmt"
	"slices"
	"strings"
)

// writing is one record that is being written.
type writing struct {
	*versions
	side int
	dead bool // the query uses a value that its schema has no place for
}

// slot writes a value of a slot, and returns the text of what it is read as and the schema
// that it is written with.
func (w *writing) slot(s *slot, x value) (text, schema string) {
	switch {
	case s.fields == nil:
		return w.leaf(s, x)
	case w.chance(w.misfits / 5):
		w.wrote["foreign"]++
		return x.plain(), w.exact(x)
	}
	outer := w.b
	w.b = nil
	switch s.around {
	case "array":
		text, schema = w.record(s, x.in.list[0])
		text = "[" + text + "," + text + "]"
	case "map":
		text, schema = w.record(s, x.in.list[0])
		text = `{"k-1":` + text + `,"k-2":` + text + "}"
	case "optional":
		if x.none() {
			w.b = append(outer, 0)
			return "null", s.wrap(`"string"`)
		}
		text, schema = w.record(s, x)
		if w.chance(0.5) {
			w.b = append(outer, w.b...)
			return text, schema // without the union
		}
		outer = append(outer, 2)
	default:
		text, schema = w.record(s, x)
	}
	inside := w.b
	w.b = outer
	if s.around != "array" && s.around != "map" {
		w.b = append(w.b, inside...)
		return text, s.wrap(schema)
	}
	w.blocks(2, func(i int) {
		if s.around == "map" {
			w.text(fmt.Sprint("k-", i+1))
		}
		w.b = append(w.b, inside...)
	})
	return text, s.wrap(schema)
}

// record writes the fields of a record, in any order.
func (w *writing) record(s *slot, x value) (text, schema string) {
	var parts, left, fields []string
	order := slices.Clone(s.fields)
	w.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	absent := map[*slot]bool{}
	for _, f := range order {
		y := x.member(f.name)
		name := f.name
		if f.alias != "" && w.chance(0.5) {
			w.wrote["alias"]++
			name = f.alias
		}
		switch {
		case !f.used[w.side] && w.chance(w.odd):
			w.wrote["unused"]++
			if w.chance(0.3) {
				continue // the query's schema may have no default
			}
			fields = append(fields, fmt.Sprintf(`{"name":%q,"type":%s}`, name, w.garbage()))
			continue
		case y.kind == missing:
			absent[f] = true
			continue
		case y.kind == f.def.kind && compare(y, f.def) == 0 && w.chance(0.5):
			absent[f] = true
			continue
		}
		value, typ := w.slot(f, y)
		parts = append(parts, quote(f.name)+":"+value)
		fields = append(fields, fmt.Sprintf(`{"name":%q,"type":%s}`, name, typ))
	}
	for _, f := range s.fields {
		switch {
		case absent[f] && f.def.kind != missing:
			w.wrote["default"]++
			left = append(left, quote(f.name)+":"+f.def.plain())
		case absent[f] && f.used[w.side]:
			w.wrote["gone"]++
		}
	}
	schema = fmt.Sprintf(`{"type":"record","name":"%s","fields":[%s]}`, avroText("R", s.at), strings.Join(fields, ","))
	return "{" + strings.Join(append(parts, left...), ",") + "}", schema
}

// garbage writes something that nobody asks for.
func (w *writing) garbage() string {
	w.names++
	switch w.IntN(6) {
	case 0:
		w.text("x")
		return `"string"`
	case 1:
		w.long(5)
		return `"int"`
	case 2:
		w.long(1)
		return fmt.Sprintf(`{"type":"enum","name":"E%d","symbols":["P","Q"]}`, w.names)
	case 3:
		w.long(2)
		w.text("y")
		return `["null","boolean","string"]`
	case 4:
		w.b = append(w.b, 1)
		return `"boolean"`
	}
	w.long(-7)
	return fmt.Sprintf(`{"type":"record","name":"X%d","fields":[{"name":"q","type":"long"}]}`, w.names)
}

// leaf writes a value that is no record of the query's schema.
func (w *writing) leaf(s *slot, x value) (text, schema string) {
	text = x.plain()
	if s.enum && isText(x) && avroName.MatchString(x.s) && w.chance(0.7) {
		return w.symbol(s, x)
	}
	if x.kind >= array || w.chance(0.7) {
		schema = w.bare(x)
		if !s.reads(schema, x) {
			w.wrote["misfit"]++
		}
		return text, schema
	}
	// A union of which one branch may be read and the other not.
	at := len(w.b)
	branch := `"boolean"`
	if x.kind == null {
		w.b = append(w.b, 0)
	} else {
		w.b = append(w.b, 2)
		branch = w.bare(x)
	}
	nulls, others := s.reads(`"null"`, value{kind: null}), s.reads(branch, x)
	if x.kind == null {
		others = slices.Contains(s.kinds, boolean)
	}
	mine, other := others, nulls
	if x.kind == null {
		mine, other = nulls, others
	}
	switch {
	case !mine && other && s.used[w.side] && !w.chance(w.misfits):
		w.b = w.b[:at]
		return text, w.bare(x)
	case !mine && other && s.used[w.side]:
		w.dead = true
	case !mine && !other:
		w.wrote["misfit"]++
	}
	return text, `["null",` + branch + "]"
}

func isText(x value) bool { return x.kind == text }

// symbol writes a text as a symbol of the slot's enum, one that it need not have.
func (w *writing) symbol(s *slot, x value) (text, schema string) {
	sym := x.s
	if w.chance(0.2) {
		sym = "zz_"
	}
	w.long(1)
	if text = sym; !slices.Contains(s.syms, quote(sym)) {
		w.wrote["symbol"]++
		text = "other_"
	}
	return quote(text), fmt.Sprintf(`{"type":"enum","name":"%s","symbols":["first_",%s]}`, avroText("E", s.at), quote(sym))
}

// reads tells whether a type that x is written with is one that the slot's can be read from.
func (s *slot) reads(schema string, x value) bool {
	if s.narrow && schema == `"long"` || strings.HasPrefix(schema, `{"type":"enum"`) || strings.HasPrefix(schema, `{"type":"record"`) {
		return false
	}
	return slices.Contains(s.kinds, x.kind) && (!s.enum || !isText(x))
}
