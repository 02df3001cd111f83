package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Case is a query with the logs it reads.
type Case struct {
	Seed  uint64
	Query *Query
	Logs  [][]Record
	Left  int // of a join: how many of the logs are the left side's
	// Trimmed is the offset of the first record that each log still has. A query that
	// begins at a time has nothing trimmed.
	Trimmed [2 * maxPartitions]int
	Schemas []Schema          // what is registered; the first has the id 1
	Held    map[string]string // what keys hold of the namespace that a lookup reads
	Crowd   bool              // one window has many groups: more than leave it at once
}

const maxPartitions = 7

// Generate makes the case of a seed: the same case for the same seed. A few of the
// queries are refused when they are compiled, for what is certain about literals.
func Generate(seed uint64) *Case {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	g.temper()
	q := g.query()
	c := &Case{Seed: seed, Query: q, Crowd: g.crowd}
	if q.Lookup != nil {
		c.Held = g.held()
	}
	n := 1 + g.IntN(maxPartitions)
	if g.crowd {
		n = maxPartitions - g.IntN(3)
	}
	if q.Join != nil {
		n = 1 + g.IntN(3)
	}
	for p := range n {
		c.Logs = append(c.Logs, g.log(p))
	}
	q.Start = g.start(c.Logs)
	if q.Join != nil {
		c.Left = n
		for p := range 1 + g.IntN(3) {
			c.Logs = append(c.Logs, g.log(n+p))
		}
		q.Join.Start = g.start(c.Logs[n:])
	}
	if g.chance(0.05) && q.Start.Kind != "timestamp" && (q.Join == nil || q.Join.Start.Kind != "timestamp") {
		for p, log := range c.Logs {
			c.Trimmed[p] = g.IntN(len(log) + 1)
		}
	}
	if !q.UntilEnd && (q.Window > 0 || q.Join != nil) && g.chance(0.7) {
		q.Idle = 1 + g.Int64N(1+pick(g, g.step, 20*g.step))
	}
	if q.Window > 0 && g.chance(0.4) {
		q.Changes = true
		g.fallBelow(q)
		if q.UntilEnd { // at the end of a live one some would still be due
			q.ChangesEvery = pick[int64](g, 0, 1, second, 60*second)
		}
	}
	return c
}

// fallBelow has a query keep groups as long as they have few rows.
func (g *generator) fallBelow(q *Query) {
	for _, a := range q.Aggregates {
		if a.Fn == "count" && !strings.Contains(a.Name, " ") && g.chance(0.6) {
			q.Having, q.HavingList = op("<", &Expr{Op: "field", Text: a.Name}, lit(ofInt(1+g.Int64N(5)))), false
		}
	}
}

type generator struct {
	*rand.Rand
	leaf leaves
	// The temper of a case: how likely a value is null, missing or of another type, and
	// a record broken; how event times are written, where they begin, how they go on.
	nulls, missing, wrong, broken float64
	textTimes                     bool
	nested                        bool // event times lie at e.t
	appendTime                    bool
	base, step, jitter            int64
	window                        int64 // ms; 0 = stateless
	keys                          int
	floats                        []string
	crowd                         bool
	join                          bool
}

func (g *generator) chance(p float64) bool { return g.Float64() < p }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

const (
	second = 1000
	hour   = 3600 * second
	day    = 24 * hour
)

func (g *generator) temper() {
	rates := []float64{0, 0, 0.02, 0.3}
	g.nulls, g.missing, g.wrong = pick(g, rates...), pick(g, rates...), pick(g, rates...)
	g.broken = pick(g, 0, 0, 0.02, 0.2)
	g.textTimes, g.nested = g.chance(0.3), g.chance(0.2)
	g.appendTime = g.chance(0.1)
	g.keys = pick(g, 1, 3, 8, 40)
	g.floats = []string{"0.5", "-0.5", "0.1", "0.2", "1.0", "3.0", "-0.0", "2.5e3", "1e-7", "123456.789", "1e15", "9007199254740993.0", "1E2", "2.675"}
	if g.chance(0.1) {
		g.floats = append(g.floats, "1e300", "-1e300", "1.7e308", "5e-324", "1e-400", "9223372036854775808", "-9223372036854775809", "1e19")
	}
	g.window = pick[int64](g, 1, 2, 7, 50, second, 60*second, hour, hour, day, 3*day, 400*day)
	g.step = max(1, int64(float64(g.window)*pick(g, 0.01, 0.1, 0.3, 1, 2.5)))
	g.jitter = int64(float64(g.step) * pick[float64](g, 0, 0, 1, 5, 30))
	g.base = pick[int64](g, 0, 0, 0, 1, -1, -10*g.step, -g.step/2, 1_357_016_400_000, 1_357_016_400_000, -62_135_596_800_000, -8_600_000_000_000_000, maxTime-5*g.step)
	if g.appendTime {
		g.base = pick[int64](g, 0, 1_357_016_400_000)
	}
	switch {
	case g.chance(0.25):
		g.join = true
		if g.chance(0.5) {
			g.window = 0
		}
	case g.chance(0.3):
		g.window = 0
	case g.chance(0.04):
		g.crowd = true
		g.window, g.step, g.jitter, g.base = 400*day, second, 0, 0
		g.nulls, g.missing, g.wrong, g.broken = 0, 0, 0, 0
	}
}

func (g *generator) query() *Query {
	q := &Query{Name: "q", Topic: pick(g, "events", "t-1.x"), UntilEnd: g.chance(0.8), Window: g.window}
	if !g.appendTime {
		q.EventTime = field("t")
		if g.nested {
			q.EventTime = field("e", "t")
		}
	}
	if g.chance(0.6) {
		q.OutOfOrder = g.Int64N(1 + pick(g, g.step, g.jitter, 3*g.jitter))
	}
	if (g.window > 0 || g.join) && g.chance(0.3) {
		q.Lateness = g.Int64N(1 + 2*g.step)
	}
	g.leaf = sourceLeaves()
	if g.join {
		q.Join = g.joinOf()
		g.leaf = joinedLeaves(q.Join)
	}
	if !g.crowd && g.chance(0.15) {
		q.Lookup = g.lookup()
	}
	switch g.IntN(5) {
	case 0, 1:
		q.Filter = g.condition(1 + g.IntN(3))
	case 2:
		q.Filter, q.FilterList = g.listCondition(1+g.IntN(2)), true
	}
	if g.crowd {
		q.Filter, q.FilterList = nil, false
	}
	if g.window > 0 {
		g.grouping(q)
		if q.Running = g.chance(0.25) && !g.crowd; q.Running && g.chance(0.4) {
			if q.Window = endless; q.Join == nil {
				q.Lateness = 0
			}
		}
		if q.Running && g.chance(0.3) {
			q.GroupBy = nil
		}
		g.leaf = groupedLeaves(q)
		if q.Session = q.Running || g.chance(0.3); !q.Session && g.chance(0.5) && !g.crowd {
			q.Every = max(1, pick(g, g.window/2, g.window/3, g.window/6, 1+g.window*2/3, g.window-1, g.window))
		}
		switch g.IntN(6) {
		case 0:
			q.Having = g.condition(1 + g.IntN(2))
		case 1:
			q.Having, q.HavingList = g.listCondition(1+g.IntN(2)), true
		}
	}
	if g.window == 0 && g.chance(0.2) { // much of what is made of text
		for i := range 5 {
			q.Select = append(q.Select, Member{Name: fmt.Sprint("text", i), Expr: g.text(2)})
		}
	} else if g.chance(0.4) {
		for i := range 1 + g.IntN(4) {
			q.Select = append(q.Select, Member{Name: pick(g, "x", "naïve", "a b", "\"q\\") + fmt.Sprint(i), Expr: g.anything(2)})
		}
	}
	return q
}

func (g *generator) grouping(q *Query) {
	fields := []*Expr{field("k"), field("s"), field("n", "x"), field("a"), field("flag"), field("arr"), field("obj"), field("u"), field("b")}
	g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	q.GroupBy = fields[:g.IntN(4)]
	for i, f := range q.GroupBy {
		if q.Join != nil {
			q.GroupBy[i] = f.of(pick(g, "left", "left", "right"))
		}
	}
	if len(q.GroupBy) > 0 && q.Join == nil && g.chance(0.5) && !slices.ContainsFunc(q.GroupBy, func(e *Expr) bool { return e.Text == "k" }) {
		q.GroupBy[0] = field("k")
	}
	if q.Lookup != nil && g.chance(0.5) {
		q.GroupBy = append(q.GroupBy[:len(q.GroupBy):len(q.GroupBy)], field(q.Lookup.As, pick(g, "name", "size", "deep")))
	}
	if g.crowd {
		q.GroupBy = []*Expr{field("id")}
	}
	q.AggregateList = g.chance(0.3)
	for i := range 1 + g.IntN(5) {
		a := Aggregate{Fn: pick(g, "count", "sum", "avg", "min", "max", "count", "sum", "avg", "min", "max", "stddev", "first", "last",
			"min_by", "max_by", "count_distinct", "approx_count_distinct", "percentile", "top_k", "collect"), Name: fmt.Sprintf("agg%d", i)}
		if i == 1 && g.chance(0.3) {
			a.Name = "avg delay"
		}
		switch {
		case a.Fn == "count" && g.chance(0.6):
		case q.AggregateList && g.chance(0.5):
			a.Arg = g.leafFor(a.Fn)
		case a.numeric():
			a.Arg = g.number(g.IntN(3))
		default:
			a.Arg = g.anything(g.IntN(3))
		}
		switch a.Fn {
		case "min_by", "max_by":
			if a.By = g.leafFor(a.Fn); !q.AggregateList || g.chance(0.5) {
				a.By = g.anything(g.IntN(2))
			}
		case "percentile":
			a.Param = pick[int64](g, 0, 50_000, 99_900, 100_000, 12_345, 1)
		case "top_k":
			a.Param = pick[int64](g, 1, 2, 3, 1000)
		}
		if q.AggregateList {
			switch g.IntN(4) {
			case 0:
				a.Filter = g.condition(1 + g.IntN(2))
			case 1:
				a.Filter, a.FilterList = g.listCondition(1+g.IntN(2)), true
			}
		}
		q.Aggregates = append(q.Aggregates, a)
	}
}

func (g *generator) leafFor(fn string) *Expr {
	if (&Aggregate{Fn: fn}).numeric() {
		return g.leaf.numbers[g.IntN(len(g.leaf.numbers))]
	}
	return g.leaf.all[g.IntN(len(g.leaf.all))]
}

// start makes a query begin elsewhere than at the first record.
func (g *generator) start(logs [][]Record) (s Start) {
	switch g.IntN(20) {
	case 0:
		s.Kind = "latest"
	case 1, 2:
		s = Start{Kind: "offset", Offsets: map[int]int{}}
		for p, log := range logs {
			if g.chance(0.6) {
				s.Offsets[p] = g.IntN(len(log) + 1)
			}
		}
	case 3:
		if log := logs[g.IntN(len(logs))]; len(log) > 0 {
			s = Start{Kind: "timestamp", Timestamp: log[g.IntN(len(log))].AppendMs + g.Int64N(2)}
		}
	}
	return s
}

// joinOf makes a join, mostly on the field that has few values.
func (g *generator) joinOf() *Join {
	j := &Join{Type: pick(g, "inner", "left", "right", "full"), Topic: "other", Once: g.chance(0.3)}
	j.On = [][2]*Expr{{field("k"), field("k")}}
	switch g.IntN(6) {
	case 0:
		j.On = append(j.On, [2]*Expr{field("flag"), field("flag")})
	case 1:
		j.On = [][2]*Expr{{field("a"), field("n", "x")}}
	case 2:
		j.On = [][2]*Expr{{field("flag"), field("flag")}}
	}
	span := func() int64 { return g.Int64N(1 + pick[int64](g, 0, 1, g.step, 3*g.step, 10*g.step)) }
	switch g.IntN(3) {
	case 0:
		j.Window = 1 + span()
	case 1:
		j.Before = span()
		j.After = j.Before
	default:
		j.Before, j.After = span(), span()
	}
	if !g.appendTime && g.chance(0.95) {
		j.EventTime = field("t")
		if g.nested {
			j.EventTime = field("e", "t")
		}
	}
	if g.chance(0.6) {
		j.OutOfOrder = g.Int64N(1 + pick(g, g.step, g.jitter, 3*g.jitter))
	}
	return j
}
