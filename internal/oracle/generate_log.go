package oracle

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// log makes the log of partition p.
func (g *generator) log(p int) []Record {
	n := pick(g, 0, 1+g.IntN(10), 1+g.IntN(10), 1+g.IntN(60), 1+g.IntN(60), 1+g.IntN(60), 1+g.IntN(300))
	switch {
	case g.crowd:
		n = 300
	case g.join:
		n = pick(g, 0, 1+g.IntN(5), 1+g.IntN(20), 1+g.IntN(40))
	}
	ahead := g.Int64N(1 + 4*g.step) // of the other partitions
	appendMs := max(0, g.base)      // never falls
	var log []Record
	for i := range n {
		if g.chance(0.4) {
			appendMs += g.Int64N(1 + 2*g.step)
		}
		t := g.base + ahead + int64(i)*g.step
		if g.jitter > 0 {
			t += g.Int64N(2*g.jitter+1) - g.jitter
		}
		value := g.record(t, fmt.Sprintf("%d-%d", p, i))
		switch {
		case g.chance(g.broken):
			value = g.damage(value)
		case i > 0 && g.chance(0.03):
			value = log[g.IntN(i)].Value
		}
		log = append(log, Record{AppendMs: appendMs, Value: value})
	}
	return log
}

// record makes an object whose members are mostly of the types that expressions
// expect.
func (g *generator) record(t int64, id string) []byte {
	var members []string
	put := func(name string, make func() string) {
		if s, ok := g.cell(make); ok {
			members = append(members, g.name(name)+g.space()+":"+g.space()+s)
		}
	}
	put("id", func() string { return quote(id) })
	if g.nested {
		put("e", func() string { return `{"t":` + g.time(t) + `,"z":[]}` })
	} else {
		put("t", func() string { return g.time(t) })
	}
	put("a", g.integer)
	put("b", func() string { return g.floats[g.IntN(len(g.floats))] })
	put("s", func() string {
		return g.string(pick(g, "a", "", "é", "日本", "tab\t\u2028", "k1", "a\"b\\", "Ab ", "12", "-3.5", "\x00\x01"))
	})
	put("k", g.key)
	put("flag", func() string { return pick(g, "true", "false") })
	put("n", func() string {
		return fmt.Sprintf(`{"x":%s,%s"odd name" : %s , "y":[%s,%s]}`, g.scalar(), g.space(), g.key(), g.scalar(), g.scalar())
	})
	put("arr", func() string { return pick(g, "[]", "[1]", "[ 1.0 ]", `["a",null]`, "[1,[2,{}]]") })
	put("obj", func() string {
		return pick(g, "{}", `{"b":1,"a":2}`, `{ "a":2.0, "b":1 }`, `{"a":1,"a":2,"b":1}`, `{"c":[true]}`)
	})
	if g.chance(0.1) {
		put("u", g.scalar)
	}
	if g.chance(0.05) {
		g.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	}
	if g.chance(0.03) && len(members) > 0 {
		members = append(members, members[g.IntN(len(members))], `"a":7`)
	}
	return []byte(g.space() + "{" + g.space() + strings.Join(members, g.space()+",") + "}" + g.space())
}

// cell is a member's value, false where it is missing.
func (g *generator) cell(make func() string) (string, bool) {
	switch {
	case g.chance(g.missing / 4):
		return "", false
	case g.chance(g.nulls / 4):
		return "null", true
	case g.chance(g.wrong / 4):
		return g.scalar(), true
	}
	return make(), true
}

func (g *generator) space() string {
	if g.chance(0.95) {
		return ""
	}
	return pick(g, " ", "\n", "\t ", "\r\n")
}

func (g *generator) name(s string) string {
	if g.chance(0.01) {
		return fmt.Sprintf(`"\u%04x%s"`, s[0], s[1:])
	}
	return quote(s)
}

func (g *generator) string(s string) string {
	if g.chance(0.2) {
		var b strings.Builder
		for _, r := range s {
			if r > 0xFFFF || r < 0x80 && g.chance(0.5) {
				b.WriteString(strings.Trim(quote(string(r)), `"`))
			} else {
				fmt.Fprintf(&b, `\u%04X`, r)
			}
		}
		if !strings.ContainsAny(s, `"\`) {
			return `"` + b.String() + `"`
		}
	}
	return quote(s)
}

func (g *generator) integer() string {
	if g.chance(0.02) {
		return pick(g, "9223372036854775807", "-9223372036854775808", "9223372036854775806", "4611686018427387904", "-0", "9007199254740993")
	}
	return strconv.FormatInt(g.Int64N(41)-10, 10)
}

// key makes a key with some far more frequent than others; equal ones come in several
// notations.
func (g *generator) key() string {
	n := int(float64(g.keys) * g.Float64() * g.Float64() * g.Float64())
	if g.chance(0.2) {
		return pick(g, strconv.Itoa(n), strconv.Itoa(n)+".0", strconv.Itoa(n)+"e0")
	}
	return g.string("k" + strconv.Itoa(n))
}

func (g *generator) scalar() string {
	return pick(g, "null", "true", "false", g.integer(), "1.5", "1", "1.0", "-2", `"a"`, `""`, `"k1"`, "[]", "{}", `"2013-01-01T00:00:00Z"`, g.floats[g.IntN(len(g.floats))])
}

// The years that RFC 3339 can write.
const minYear, maxYear = -62_167_219_200_000, 253_402_300_799_999

func (g *generator) time(t int64) string {
	if g.chance(0.01) {
		return pick(g, `"2013-02-30T00:00:00Z"`, `"2013-01-01"`, `"2013-01-01T00:00:00"`, `"x"`, `""`, "1.5", "true", "[1]", "9e15", "9223372036854775807",
			`"2013-01-01T00:00:60Z"`, `"2013-01-01T24:00:00Z"`, `"2013-1-1T00:00:00Z"`, `"2013-01-01T00:00:00,5Z"`, `"2013-01-01 00:00:00Z"`)
	}
	if g.textTimes && t > minYear+day && t < maxYear-day {
		zone := time.FixedZone("", 60*pick(g, 0, 0, 60, -300, 345, 1439, -1439))
		s := time.UnixMilli(t).In(zone).Format("2006-01-02T15:04:05.000Z07:00")
		switch {
		case g.chance(0.1):
			s = strings.Replace(s, "T", "t", 1)
		case g.chance(0.1):
			s = time.UnixMilli(t).UTC().Format("2006-01-02T15:04:05.000") + "999Z"
		}
		return quote(s)
	}
	if t > -1<<53 && t < 1<<53 && g.chance(0.1) {
		return strconv.FormatFloat(float64(t), 'e', -1, 64)
	}
	return strconv.FormatInt(t, 10)
}

// damage makes a record that cannot be decoded.
func (g *generator) damage(record []byte) []byte {
	switch g.IntN(10) {
	case 0:
		return record[:g.IntN(len(record))]
	case 1:
		return append(record, pick(g, "}", ",", "x", "{}", "\x00")...)
	case 2:
		return []byte(pick(g, "", " ", "null", "1", `"x"`, "[]", "[{}]", "true", "nul", "{", "\xef\xbb\xbf{}"))
	case 3:
		return []byte(pick(g, `{"t":1,"s":"\ud800"}`, `{"t":1,"s":"\udc00\ud800"}`, `{"t":1,"s":"\ud83d\u0041"}`, "{\"t\":1,\"s\":\"\xff\"}", "{\"t\":1,\"\xc3\":1}"))
	case 4:
		return []byte(pick(g, `{"t":1,"z":1e400}`, `{"t":1,"z":[-1e999]}`, `{"t":01}`, `{"t":1.}`, `{"t":+1}`, `{"t":.5}`, `{"t":1,}`, `{t:1}`, `{'t':1}`, `{"t":1 "a":2}`, "{\"s\":\"\n\"}"))
	case 5:
		return []byte(`{"t":1,"z":` + strings.Repeat("[", 512) + strings.Repeat("]", 512) + "}")
	case 6:
		return []byte(`{"t":` + g.time(g.base) + `,"z":` + strings.Repeat("[", 511) + strings.Repeat("]", 511) + "}")
	}
	if len(record) == 0 {
		return record
	}
	at := g.IntN(len(record))
	record[at] = byte(g.IntN(256))
	return record
}
