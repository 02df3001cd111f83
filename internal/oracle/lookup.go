package oracle

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Lookup is what a query looks up in a namespace, which holds Case.Held all the time.
type Lookup struct {
	KV, As string
	Key    *Expr
	Left   bool // rows without a value stay
}

func (l *Lookup) json() string {
	kind := ""
	if l.Left {
		kind = `,"type":"left"`
	}
	return fmt.Sprintf(`"lookup":{"kv":%s,"key":%s,"as":%s%s}`, quote(l.KV), quote(l.Key.String()), quote(l.As), kind)
}

// lookedUp is a record or joined row with what is looked up for it. keep is false where
// it is dropped. An error makes it a dead letter.
func (e *evaluation) lookedUp(record value) (with value, keep bool, err error) {
	l := e.q.Lookup
	if l == nil {
		return record, true, nil
	}
	key, err := l.Key.eval(record.field)
	if err != nil {
		return record, false, err
	}
	found := value{}
	if !key.none() {
		name, err := keyText(key)
		if err != nil {
			return record, false, err
		}
		if held, ok := e.c.Held[name]; ok {
			if found, ok = heldValue(held); !ok {
				return record, false, errType
			}
		}
	}
	if found.kind == missing && !l.Left {
		return record, false, nil
	}
	in := &container{raw: record.in.raw, names: slices.Clone(record.in.names), list: slices.Clone(record.in.list)}
	place, there := slices.BinarySearch(in.names, l.As)
	if !there {
		in.names, in.list = slices.Insert(in.names, place, l.As), slices.Insert(in.list, place, value{})
	}
	in.list[place] = found
	return value{kind: object, in: in}, true, nil
}

// keyText is the key that a value stands for.
func keyText(v value) (string, error) {
	switch {
	case v.kind == text:
		return v.s, nil
	case v.kind == array || v.kind == object, math.IsNaN(v.f) || math.IsInf(v.f, 0):
		return "", errType
	case v.number() && v.float() == 0:
		return "0", nil
	}
	return v.json(), nil
}

// heldValue is what a key holds, false where that is not JSON. An object may nest as deep as
// a record, any other value as deep as one in a record.
func heldValue(text string) (value, bool) {
	if !json.Valid([]byte(text)) {
		return value{}, false
	}
	if v, ok := parseRecord([]byte(text)); ok {
		return v, true
	}
	within, ok := parseRecord([]byte(`{"v":` + text + "}"))
	if !ok {
		return value{}, false
	}
	return within.member("v"), true
}

// wholeRow is the record as it comes out, with what was looked up.
func (q *Query) wholeRow(record value) string {
	row := record.json()
	if q.Lookup == nil {
		return row
	}
	more := quote(q.Lookup.As) + ":" + record.member(q.Lookup.As).json() + "}"
	if row == "{}" {
		return "{" + more
	}
	return strings.TrimSuffix(row, "}") + "," + more
}

// lookup makes a lookup over the rows that the leaves are of, and adds its own.
func (g *generator) lookup() *Lookup {
	l := &Lookup{KV: pick(g, "names", "n-1.x"), As: pick(g, "found", "found", "the one"), Left: g.chance(0.5)}
	keys := field("k")
	if g.join {
		keys = keys.of(pick(g, "left", "right"))
	}
	switch g.IntN(8) {
	case 0:
		l.Key = g.number(g.IntN(2))
	case 1:
		l.Key = g.text(1)
	case 2:
		l.Key = g.anything(1)
	case 3:
		l.Key = op("??", keys, lit(ofText("k0")))
	default:
		l.Key = keys
	}
	of := func(steps ...any) *Expr { return field(append([]any{l.As}, steps...)...) }
	g.leaf.numbers = append(g.leaf.numbers, of("size"), of("size"))
	g.leaf.texts = append(g.leaf.texts, of("name"), of("deep", "x"))
	g.leaf.bools = append(g.leaf.bools, of("ok"))
	g.leaf.all = append(g.leaf.all, of(), of("name"), of("size"), of("deep"), of("list", 1))
	return l
}

// held is what the keys of a namespace hold.
func (g *generator) held() map[string]string {
	held := map[string]string{}
	for n := range g.keys {
		for _, key := range []string{fmt.Sprint("k", n), fmt.Sprint(n)} {
			if g.chance(0.7) {
				held[key] = g.heldText()
			}
		}
	}
	for _, key := range []string{"", "a", "true", "1.5", "-2", "é"} {
		if g.chance(0.4) {
			held[key] = g.heldText()
		}
	}
	return held
}

func (g *generator) heldText() string {
	var members []string
	put := func(name string, make func() string) {
		if s, ok := g.cell(make); ok {
			members = append(members, g.name(name)+g.space()+":"+g.space()+s)
		}
	}
	put("name", func() string { return g.string(pick(g, "Kennedy", "é", "", "a")) })
	put("size", g.integer)
	put("ok", func() string { return pick(g, "true", "false") })
	put("deep", func() string { return `{"x":` + g.scalar() + "}" })
	put("list", func() string { return "[1," + g.scalar() + "]" })
	text := g.space() + "{" + strings.Join(members, ",") + "}" + g.space()
	switch g.IntN(12) {
	case 0:
		text = g.space() + g.scalar() + g.space()
	case 1:
		if g.chance(g.broken) {
			text = string(g.damage([]byte(text)))
		}
	case 2:
		if g.chance(g.broken) {
			text += ",1"
		}
	}
	return text
}
