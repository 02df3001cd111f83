package oracle

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// InVersions is the case over topics with an Avro schema, that of the query, and records
// written with others: its earlier and later versions, and some that it has nothing to do
// with. Members lie in records, in records in records, and in those of unions, arrays and
// maps. What a record is read as is made first, and then a schema and bytes that
// by the rules of the specification are read as that: under other names, with narrower types,
// with defaults left out, with symbols that become the default; what the query does not use is
// anything, and what it uses and does not fit is there as it is written. The second result
// counts what has been written.
func InVersions(c *Case) (*Case, map[string]int) {
	m := &mixer{generator: &generator{Rand: rand.New(rand.NewPCG(c.Seed, 3))}, ids: map[Schema]int{}}
	v := &versions{mixer: m, wrote: map[string]int{}, odd: pick(m.generator, 0, 0.1, 0.5), misfits: pick(m.generator, 0, 0, 0.1)}
	moved := *c
	v.prefixes, moved.Query = v.places(c.Query)
	records := v.rows(c)
	v.used = usedPaths(moved.Query)
	v.loose = pick(m.generator, 0.3, 0.9)
	top := v.slots(records)
	reader := top.schema()
	topics := []string{c.Query.Topic}
	if c.Query.Join != nil {
		topics = append(topics, c.Query.Join.Topic)
	}
	for _, topic := range topics {
		v.id(Schema{Language: "AVRO", Text: reader, Topic: topic})
	}
	moved.Logs = make([][]Record, len(c.Logs))
	for p, log := range c.Logs {
		for i, r := range log {
			side, _, _ := c.place(p)
			moved.Logs[p] = append(moved.Logs[p], v.version(r, records[p][i], top, side))
		}
	}
	moved.Schemas = v.schemas
	return &moved, v.wrote
}

// versions writes records with schemas that differ from that of the query.
type versions struct {
	*mixer
	prefixes     map[string][]any // of members that lie elsewhere than at the top
	used         [2][][]Step      // by side
	odd, misfits float64
	loose        float64 // how likely a leaf takes everything
	wrote        map[string]int
}

// containers are where members may lie, and the paths to them.
var containers = map[string][]any{
	"top": nil, "deep": {"deep", "in"}, "list": {"list", 1}, "opt": {"opt"}, "bag": {"bag", "k-1"},
}

// members are the names that records have at the top.
var members = []string{"a", "arr", "b", "flag", "id", "k", "n", "obj", "s", "t", "e", "u"}

// places finds a place for each member, and has the query look for it there.
func (v *versions) places(q *Query) (map[string][]any, *Query) {
	places := map[string][]any{}
	for _, name := range members {
		places[name] = containers[pick(v.generator, "top", "top", "deep", "list", "opt", "bag")]
	}
	move := func(e *Expr) *Expr { return e.moved(places, q.Join != nil) }
	after := *q
	after.EventTime, after.Filter, after.Having = move(q.EventTime), move(q.Filter), move(q.Having)
	after.GroupBy = nil
	for _, e := range q.GroupBy {
		after.GroupBy = append(after.GroupBy, move(e))
	}
	after.Aggregates, after.Select = slices.Clone(q.Aggregates), slices.Clone(q.Select)
	for i := range after.Aggregates {
		a := &after.Aggregates[i]
		a.Arg, a.By, a.Filter = move(a.Arg), move(a.By), move(a.Filter)
	}
	for i := range after.Select {
		after.Select[i].Expr = move(after.Select[i].Expr)
	}
	if q.Lookup != nil {
		l := *q.Lookup
		l.Key = move(l.Key)
		after.Lookup = &l
	}
	if q.Join != nil {
		j := *q.Join
		after.EventTime, j.EventTime, j.On = q.EventTime.moved(places, false), j.EventTime.moved(places, false), nil
		for _, pair := range q.Join.On {
			j.On = append(j.On, [2]*Expr{pair[0].moved(places, false), pair[1].moved(places, false)})
		}
		after.Join = &j
	}
	return places, &after
}

// moved is the expression over members in their places; sided tells that a path begins with
// a side of a join.
func (e *Expr) moved(places map[string][]any, sided bool) *Expr {
	if e == nil {
		return nil
	}
	after := *e
	after.Args = nil
	for _, a := range e.Args {
		after.Args = append(after.Args, a.moved(places, sided))
	}
	var steps []any
	rest := e.Path
	if sided && len(rest) > 0 && slices.Contains(sideNames[:], rest[0].Member) {
		steps, rest = append(steps, rest[0].Member), rest[1:]
	} else if sided {
		return &after
	}
	if len(rest) == 0 {
		return &after
	}
	steps = append(steps, places[rest[0].Member]...)
	for _, s := range rest {
		if s.Member != "" {
			steps = append(steps, s.Member)
		} else {
			steps = append(steps, s.Index)
		}
	}
	at := field(steps...)
	after.Path, after.Text = at.Path, at.Text
	return &after
}

// usedPaths are all paths of a query into the records of each side; the empty one is the
// whole record.
func usedPaths(q *Query) (paths [2][][]Step) {
	if q.Window == 0 && q.Select == nil {
		paths = [2][][]Step{{nil}, {nil}}
	}
	own := func(side int, e *Expr) {
		if e != nil {
			paths[side] = append(paths[side], e.Path)
		}
	}
	var walk func(e *Expr)
	walk = func(e *Expr) {
		if e == nil {
			return
		}
		for _, a := range e.Args {
			walk(a)
		}
		if e.Op != "field" && e.Op != "has" || len(e.Path) == 0 {
			return
		}
		switch side := slices.Index(sideNames[:], e.Path[0].Member); {
		case q.Join == nil:
			paths[0] = append(paths[0], e.Path)
		case side >= 0:
			paths[side] = append(paths[side], e.Path[1:])
		}
	}
	own(0, q.EventTime)
	for _, e := range append([]*Expr{q.Filter}, q.GroupBy...) {
		walk(e)
	}
	for _, a := range q.Aggregates {
		walk(a.Arg)
		walk(a.By)
		walk(a.Filter)
	}
	for _, s := range q.Select {
		if q.Window == 0 {
			walk(s.Expr)
		}
	}
	if q.Lookup != nil {
		walk(q.Lookup.Key)
	}
	if q.Join != nil {
		own(1, q.Join.EventTime)
		for _, pair := range q.Join.On {
			own(0, pair[0])
			own(1, pair[1])
		}
	}
	return paths
}

// rows are the records with their members in their places; a value of no kind where there
// is no record.
func (v *versions) rows(c *Case) [][]value {
	all := make([][]value, len(c.Logs))
	for p, log := range c.Logs {
		for _, r := range log {
			row, ok := parseRecord(r.Value)
			if ok && row.depth() <= 4 {
				row = v.place(row)
			} else {
				row = value{}
			}
			all[p] = append(all[p], row)
		}
	}
	return all
}

// place moves the members of a row to where they lie.
func (v *versions) place(row value) value {
	if row.blurred() {
		row, _ = parseRecord([]byte(row.plain()))
	}
	in := map[string][]string{}
	for i, name := range row.in.names {
		where := "top"
		if at := v.prefixes[name]; at != nil {
			where = at[0].(string)
		}
		in[where] = append(in[where], quote(name)+":"+row.in.list[i].plain())
	}
	of := func(where string) string { return "{" + strings.Join(in[where], ",") + "}" }
	opt := of("opt")
	if len(in["opt"]) == 0 {
		opt = "null"
	}
	all := append(in["top"], `"deep":{"in":`+of("deep")+`}`, `"list":[`+of("list")+`,`+of("list")+`]`, `"opt":`+opt, `"bag":{"k-1":`+of("bag")+`,"k-2":`+of("bag")+`}`)
	placed, _ := parseRecord([]byte("{" + strings.Join(all, ",") + "}"))
	return placed
}

// version is a record in the log.
func (v *versions) version(r Record, row value, top *slot, side int) Record {
	if row.kind == missing || v.chance(0.05) {
		if row.kind != missing {
			r.Value = []byte(row.plain())
		}
		v.wrote["JSON"]++
		return v.stored(r, "JSON", "{}", r.Value)
	}
	v.b, v.names = nil, 0
	w := writing{versions: v, side: side}
	text, schema := w.slot(top, row)
	r.Value = []byte(text)
	if w.dead {
		v.wrote["dead letter"]++
		r.Value = nil
	}
	return v.stored(r, "AVRO", schema, v.b)
}

func (v *versions) stored(r Record, language, schema string, record []byte) Record {
	id := v.id(Schema{Language: language, Text: schema})
	r.Stored = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), record...)
	return r
}

// uses tells whether a path of the query leads to or through a place, or to what is around it.
func (v *versions) uses(at []Step, side int) bool {
	return slices.ContainsFunc(v.used[side], func(path []Step) bool {
		n := min(len(path), len(at))
		return slices.Equal(path[:n], at[:n])
	})
}

// avroText is the name of a field with something in front of it.
func avroText(prefix string, at []Step) string {
	var b strings.Builder
	b.WriteString(prefix)
	for _, s := range at {
		fmt.Fprintf(&b, "_%s", strings.Trim(strings.ReplaceAll(s.Member, "-", "_"), "_"))
	}
	return b.String()
}
