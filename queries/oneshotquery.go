package queries

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"leat/codecs"
	"leat/dataflow"
	"leat/log"
)

// OneShotQuery is a checked body of POST /broker/query.
type OneShotQuery struct {
	Source OneShotSource

	filter    dataflow.Expr // nil = every record
	grouped   bool          // "aggregate" is there
	keys      []Key
	aggs      []shotAggregate
	windowMs  int64 // 0 = no windows
	rows      shotProjection
	emitRows  int
	listsAggs bool
}

// shotAggregate is one of "aggs".
type shotAggregate struct {
	name   string
	fn     string
	column int // -1 for count()
}

// OneShotRows is the answer of a OneShotQuery. Rows and Aggregates are JSON objects.
type OneShotRows struct {
	Rows       []json.RawMessage
	Aggregates []json.RawMessage // by window and key
	Next       log.Offset        // after the last record read
	Consumed   int               // records read
}

// ParseOneShotQuery reads a body. The query is nil where there are problems; it is not
// safe for concurrent use. Without formats all records are JSON.
func ParseOneShotQuery(ctx context.Context, body []byte, formats OneShotFormats) (*OneShotQuery, Problems) {
	p, root := newShotParser(body, formats)
	if root == nil {
		return nil, p.problems
	}
	q, names := &OneShotQuery{}, &sourceScope{}
	q.Source = p.source(root, "source", names)
	if n := p.get(root, "filter"); n != nil {
		prune(n, []string{"field", "op", "value", "and", "or", "not"})
		if n.kind != codecs.Array || len(n.children) > 0 {
			q.filter = p.shotFilter(n, names)
		}
	}
	if n := p.of(root, "aggregate", codecs.Object); n != nil {
		q.grouped = true
		for _, f := range p.fields(n, "group_by", maxGroupBy) {
			q.keys = append(q.keys, Key{Name: f.Text, Column: p.column(names, f)})
		}
		if list := p.of(n, "aggs", codecs.Array); list != nil && len(list.children) > 0 {
			q.listsAggs = true
			q.aggs = p.shotAggregates(list, names)
		}
	}
	if n := p.of(root, "window", codecs.Object); n != nil && q.listsAggs {
		q.windowMs = p.integer(n, "size_ms", 1, maxShotTime, 0)
	}
	transform := p.of(root, "transform", codecs.Object)
	q.emitRows = int(p.integer(transform, "emit_rows", 0, math32, 0))
	q.rows = p.projection(transform, "left_fields", names)
	p.decoder(ctx, &q.Source, names.paths)
	if problems := p.done(); len(problems) > 0 {
		return nil, problems
	}
	return q, nil
}

// math32 is the largest count that is an int everywhere.
const math32 = 1<<31 - 1

// shotFilter compiles a filter in one of its two forms, nil after a problem.
func (p shotParser) shotFilter(n *jsonNode, names *sourceScope) dataflow.Expr {
	before := p.found
	f := p.filter(n)
	if f == nil || p.found > before {
		return nil
	}
	b := &binder{reporter: p.reporter, spec: p.spec, rows: names, names: names}
	var t *term
	if f.Expr != "" {
		t = b.expr(n, f.Expr, names)
	} else {
		t = b.conditionsTerm(opAnd, f.Conditions)
	}
	if t != nil && t.kinds.outside(kindBool) {
		p.invalid(n, "a filter is a condition, and this is %s", t.kinds)
	}
	if t == nil || p.found > before {
		return nil
	}
	return compileFilter(t)
}

func (p shotParser) shotAggregates(list *jsonNode, names *sourceScope) (aggs []shotAggregate) {
	if len(list.children) > maxAggregates {
		p.invalid(list, `"aggs" has more than %d elements`, maxAggregates)
		return nil
	}
	taken := map[string]bool{"key": true, "window_start": true}
	for _, n := range list.children {
		prune(n, []string{"fn", "field", "as"})
		a, ok := p.listedAggregate(n)
		if !ok {
			continue
		}
		if taken[a.Name] || a.Name == "" || a.Name == "count" && (a.Fn != "count" || a.Arg != nil) {
			p.invalid(n, "%q cannot be the name of this aggregate: it is taken or empty", a.Name)
			continue
		}
		taken[a.Name] = true
		s := shotAggregate{name: a.Name, fn: a.Fn, column: -1}
		if a.Arg != nil {
			s.column = p.column(names, FieldSpec{Path: a.Arg.Path, node: n})
		}
		aggs = append(aggs, s)
	}
	return aggs
}

// shotGroup is one group with its accumulators.
type shotGroup struct {
	window int64
	key    string
	count  int64
	sums   []shotSum
}

// Run reads the range and answers. It does not wait: a deadline of ctx that passes
// while it reads ends the range.
func (q *OneShotQuery) Run(ctx context.Context, reader OneShotReader, r OneShotRange, limits OneShotLimits) (OneShotRows, error) {
	out := OneShotRows{Rows: []json.RawMessage{}, Aggregates: []json.RawMessage{}}
	groups := make(map[string]*shotGroup)
	if q.grouped && len(q.keys) == 0 && q.windowMs == 0 {
		groups[string(q.groupKey(nil, nil, 0))] = q.newGroup(0, "") // counts, even nothing
	}
	scan := newShotScan(&q.Source)
	kept, answer := 0, 0
	var key []byte
	take := func() bool {
		for row := range scan.batch.Rows {
			if scan.bad[row] || !q.holds(&scan.batch, row) {
				continue
			}
			if len(out.Rows) < q.emitRows && answer < limits.Answer {
				text := q.rows.append(nil, &scan.batch, row)
				out.Rows = append(out.Rows, text)
				answer += len(text)
			}
			if !q.grouped {
				continue
			}
			key = q.groupKey(key[:0], &scan.batch, row)
			g := groups[string(key)]
			if g == nil {
				g = q.newGroup(q.window(scan.batch.Times[row]), string(key[groupKeyStart:]))
				groups[string(key)] = g
				kept += 2*len(key) + 64 + 64*len(q.aggs)
			}
			g.count++
			for i := range q.aggs {
				if a := &q.aggs[i]; a.column >= 0 {
					kept += g.sums[i].add(a.fn, scan.batch.Columns.Cols[a.column].Value(row))
				}
			}
		}
		return kept < limits.Bytes && (answer < limits.Answer || q.grouped)
	}
	var err error
	if out.Next, out.Consumed, err = scan.run(ctx, reader, r, limits.Records, take); err != nil {
		return out, err
	}
	sorted := slices.SortedFunc(maps.Values(groups), func(a, b *shotGroup) int {
		return cmp.Or(cmp.Compare(a.window, b.window), cmp.Compare(a.key, b.key))
	})
	for _, g := range sorted {
		out.Aggregates = append(out.Aggregates, q.appendGroup(nil, g))
	}
	return out, nil
}

// holds tells whether the filter holds.
func (q *OneShotQuery) holds(b *dataflow.Batch, row int) bool {
	if q.filter == nil {
		return true
	}
	v, err := q.filter.Eval(b, row)
	return err == nil && v.Bool()
}

func (q *OneShotQuery) window(t dataflow.Time) int64 {
	if q.windowMs == 0 {
		return 0
	}
	into := int64(t) % q.windowMs
	if into < 0 {
		into += q.windowMs
	}
	return int64(t) - into
}

// groupKeyStart is where the text of a group's key begins, after its window.
const groupKeyStart = 8

// groupKey appends what tells groups apart: the window and the text of the key. What
// reads the same is the same group.
func (q *OneShotQuery) groupKey(dst []byte, b *dataflow.Batch, row int) []byte {
	var window int64
	if b != nil {
		window = q.window(b.Times[row])
	}
	for shift := 56; shift >= 0; shift -= 8 {
		dst = append(dst, byte(uint64(window)>>shift))
	}
	for i, k := range q.keys {
		if i > 0 {
			dst = append(dst, '|')
		}
		dst = append(append(dst, k.Name...), '=')
		dst = shotText(dst, b.Columns.Cols[k.Column].Value(row))
	}
	return dst
}

func (q *OneShotQuery) newGroup(window int64, key string) *shotGroup {
	return &shotGroup{window: window, key: key, sums: make([]shotSum, len(q.aggs))}
}

// appendGroup appends the JSON of a group.
func (q *OneShotQuery) appendGroup(dst []byte, g *shotGroup) []byte {
	dst = codecs.AppendJSONString(append(dst, `{"key":`...), g.key)
	dst = append(dst, `,"count":`...)
	dst = strconv.AppendInt(dst, g.count, 10)
	for i, a := range q.aggs {
		if a.name == "count" {
			continue // said already
		}
		dst = append(codecs.AppendJSONString(append(dst, ','), a.name), ':')
		if a.column < 0 {
			dst = strconv.AppendInt(dst, g.count, 10)
		} else {
			dst = codecs.AppendJSON(dst, g.sums[i].value(a.fn))
		}
	}
	if q.windowMs > 0 {
		dst = append(dst, `,"window_start":`...)
		dst = strconv.AppendInt(dst, g.window, 10)
	}
	return append(dst, '}')
}
