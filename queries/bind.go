package queries

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"leat/codecs"
	"leat/internal/bus"
	"leat/internal/fault"
)

// TopicLookup is what a spec's names are resolved against.
type TopicLookup interface {
	Topic(name string) (bus.Topic, bool)
	Partition(topic string, p int32) (bus.Partition, error)
}

// Bound is a spec whose names are resolved and whose expressions are checked. It is
// immutable.
type Bound struct {
	Spec     *Spec
	Warnings Warnings

	sources    []boundSource // one for each of the spec's
	join       *boundJoin    // nil = there is one source
	lookup     *boundLookup  // nil = nothing is looked up
	filter     *term         // nil = every row
	keys       []Key
	aggregates []boundAggregate
	having     *term // nil = every grouped row
	selects    []boundSelect
	sinks      []SinkPlan
	row        *codecs.Type // of the output
	whole      int          // index into paths of the whole record, -1 where it is not needed
	keyKinds   []kindSet    // of keys
}

// boundSource is a topic that is read, with what the query takes out of its records.
type boundSource struct {
	topic     bus.Topic
	paths     []codecs.Path
	eventTime int           // index into paths, -1 = append time
	format    codecs.Format // of the records; nil = JSON without frames
}

type boundAggregate struct {
	name string
	fn   string
	arg  *term // nil for count()
	by   *term // of min_by and max_by
	// param is that of percentile, in thousandths of a percent, and of top_k.
	param  int64
	filter *term // nil = every row
}

// kinds is what the aggregate evaluates to.
func (a *boundAggregate) kinds() kindSet {
	switch a.fn {
	case "count", "count_distinct", "approx_count_distinct":
		return kindInt
	case "avg", "stddev":
		return kindFloat | kindNull
	case "sum", "percentile":
		if a.arg == nil {
			return kindNumber | kindNull
		}
		return a.arg.kinds&kindNumber | kindNull
	case "top_k", "collect":
		return kindOther
	}
	if a.arg == nil {
		return kindAny
	}
	return a.arg.kinds | kindNull
}

func (a *boundAggregate) String() string {
	if a.arg == nil {
		return a.fn + "()"
	}
	text := a.fn + "(" + a.arg.String()
	switch {
	case a.by != nil:
		text += ", " + a.by.String()
	case a.fn == "percentile":
		text += ", " + strconv.FormatFloat(float64(a.param)/1000, 'f', -1, 64)
	case a.fn == "top_k":
		text += ", " + strconv.FormatInt(a.param, 10)
	}
	return text + ")"
}

type boundSelect struct {
	name string
	term *term
}

// The members of a grouped row that every windowed query has.
const (
	windowStart = "window_start"
	windowEnd   = "window_end"
)

// Bind resolves a spec. Of one that Parse has already found problems with it finds
// further ones. The result is nil if there are problems, and where there is no source,
// which is one of Parse's.
func Bind(ctx context.Context, spec *Spec, names Names) (*Bound, Problems) {
	topics := names.Topics
	b := &binder{
		reporter: &reporter{doc: spec.doc},
		spec:     spec,
		bound:    &Bound{Spec: spec, sources: make([]boundSource, len(spec.Sources)), whole: -1},
		sources:  make([]sourceScope, len(spec.Sources)),
	}
	b.rows = &sourceScope{} // of a spec without a source
	switch {
	case spec.Join != nil:
		b.bound.join = &boundJoin{}
		b.rows = &joinedScope{sides: b.sources, bound: b.bound.join, windows: spec.Join.TumblingMs > 0, flawed: spec.flawed}
	case len(spec.Sources) > 0:
		b.rows = &b.sources[0]
	}
	b.names = b.rows
	for i := range spec.Sources {
		b.topic(topics, &spec.Sources[i], &b.bound.sources[i])
		b.format(ctx, names, i)
	}
	b.sourceExpressions()
	b.grouping()
	b.output()
	if spec.Join != nil {
		b.wholeRows()
	}
	b.sinks(ctx, names)
	b.withdrawals()
	if len(b.problems) > 0 || len(spec.Sources) == 0 {
		b.problems.sort()
		return nil, b.problems
	}
	b.bound.row = b.rowType()
	for i := range b.bound.sources {
		b.bound.sources[i].paths = b.sources[i].paths
	}
	b.bound.settleLookup()
	b.warn(topics)
	return b.bound, nil
}

type binder struct {
	*reporter
	spec    *Spec
	bound   *Bound
	sources []sourceScope
	rows    scope // of the rows of the source, or the joined ones
	names   scope // of the conditions that are read
}

func (b *binder) topic(topics TopicLookup, source *SourceSpec, bound *boundSource) {
	bound.eventTime = -1
	if source.Topic == "" {
		return // a problem of Parse
	}
	topic, ok := topics.Topic(source.Topic)
	if !ok || topic.Internal {
		b.add(source.topic, fault.NotFound, codeUnknownTopic, "there is no topic %q", source.Topic)
		return
	}
	bound.topic = topic
	if source.Start.Kind != StartOffset {
		return
	}
	for _, m := range source.start.children[0].children {
		partition, err := strconv.ParseInt(m.name, 10, 32)
		if err == nil && int32(partition) >= topic.Partitions {
			b.addName(m, fault.Invalid, codeInvalid, "topic %q has no partition %d: it has %d, from 0", topic.Name, partition, topic.Partitions)
		}
	}
}

// expr reads the expression at n. The result is nil after a problem.
func (b *binder) expr(n *jsonNode, text string, names scope) *term {
	t, failure := parseExpr(text, names)
	if failure != nil {
		b.invalid(n, "%v", failure)
		return nil
	}
	return t
}

func (b *binder) sourceExpressions() {
	for i := range b.spec.Sources {
		if field := b.spec.Sources[i].EventTime; field != nil {
			b.eventTime(field, i)
		}
	}
	b.joinKeys()
	b.lookup()
	if f := b.spec.Filter; f != nil {
		b.bound.filter = b.condition(f, "a filter")
	}
}

func (b *binder) eventTime(field *FieldSpec, source int) {
	col, kinds, err := b.sources[source].field(field.Path)
	switch {
	case err != nil:
		b.invalid(field.node, "%v", err)
	case kinds.outside(kindNumber | kindText):
		b.invalid(field.node, "an event time is a number of milliseconds or an RFC 3339 text, and %q is %s", field.Text, kinds)
	}
	b.bound.sources[source].eventTime = col
}

// condition reads a condition over the records of the source, in either form. The result
// is nil for an empty list and after a problem.
func (b *binder) condition(f *FilterSpec, what string) (t *term) {
	if f.Expr != "" {
		t = b.expr(f.node, f.Expr, b.rows)
	} else {
		t = b.conditionsTerm(opAnd, f.Conditions)
	}
	if t != nil && t.kinds.outside(kindBool) {
		b.invalid(f.node, "%s is a condition, and this is %s", what, t.kinds)
	}
	return t
}

// names keeps the members of a row apart.
type names struct {
	*reporter
	taken map[string]string // member → what has it
}

func (s *names) take(n *jsonNode, name, what string) {
	switch owner := s.taken[name]; {
	case name == "":
		s.invalid(n, "%s has an empty name", what)
	case owner == what:
		s.invalid(n, "two members of the row are named %q, each %s", name, what)
	case owner != "":
		s.invalid(n, "two members of the row are named %q: %s and %s", name, owner, what)
	default:
		s.taken[name] = what
	}
}

func (b *binder) grouping() {
	row := &names{reporter: b.reporter, taken: map[string]string{}}
	if !b.spec.running() {
		row.taken[windowStart], row.taken[windowEnd] = "the window's start", "the window's end"
	}
	for _, field := range b.spec.GroupBy {
		col, kinds, err := b.rows.field(field.Path)
		if err != nil {
			b.invalid(field.node, "%v", err)
			kinds = kindAny
		}
		for _, k := range b.bound.keys {
			if err == nil && k.Name != field.Text && k.Column == col {
				b.invalid(field.node, "%q and %q are the same field", k.Name, field.Text)
			}
		}
		row.take(field.node, field.Text, `a "group_by" field`)
		b.bound.keys = append(b.bound.keys, Key{Name: field.Text, Column: col})
		b.bound.keyKinds = append(b.bound.keyKinds, kinds)
	}
	for i := range b.spec.Aggregate {
		a := &b.spec.Aggregate[i]
		row.take(a.node, a.Name, "an aggregate")
		b.aggregate(a)
	}
}

func (b *binder) aggregate(a *AggregateSpec) {
	bound := boundAggregate{name: a.Name, fn: a.Fn, param: a.Param}
	defer func() { b.bound.aggregates = append(b.bound.aggregates, bound) }() // a faulty one keeps its name
	if a.Filter != nil {
		bound.filter = b.condition(a.Filter, "a filter")
	}
	switch {
	case a.Fn == "":
		var failure *exprError
		bound, failure = parseAggregate(a.Expr, b.rows)
		bound.name = a.Name
		if failure != nil {
			b.invalid(a.node, "%v", failure)
			return
		}
		if !b.aggregateName(a.node, bound.fn, aggregateNames) {
			return
		}
	case a.Arg != nil:
		if bound.arg = b.operand(a.Arg); bound.arg == nil {
			return
		}
		if a.By == nil {
			break
		}
		if bound.by = b.operand(a.By); bound.by == nil {
			return
		}
	}
	if numeric := []string{"sum", "avg", "stddev", "percentile"}; slices.Contains(numeric, bound.fn) && bound.arg.kinds.outside(kindNumber) {
		b.invalid(a.node, "%s() takes numbers, not %s", bound.fn, bound.arg.kinds)
	}
}

// operand reads what an aggregate is taken of. The result is nil after a problem.
func (b *binder) operand(o *OperandSpec) *term {
	if o.Expr != "" {
		return b.expr(o.node, o.Expr, b.rows)
	}
	t, err := newField(b.rows, opField, o.Path)
	if err != nil {
		b.invalid(o.node, "%v", err)
		return nil
	}
	return t
}

func (b *binder) output() {
	scope := b.rows
	if b.spec.Window != nil {
		scope = &groupedScope{bound: b.bound}
		b.having(scope)
	} else if b.spec.Select == nil && b.spec.Join == nil && len(b.sources) > 0 {
		b.wholeRecords()
	}
	for i := range b.spec.Select {
		s := &b.spec.Select[i]
		if s.Name == "" {
			b.invalid(s.node, `a member of "select" has an empty name`)
		}
		if t := b.selected(s, scope); t != nil {
			b.bound.selects = append(b.bound.selects, boundSelect{s.Name, t})
		}
	}
}

// wholeRecords has a query that says nothing else put out its records, with what has been
// looked up for them.
func (b *binder) wholeRecords() {
	l := b.spec.Lookup
	if b.sources[0].format == nil && l == nil {
		return // as they are stored
	}
	b.bound.whole, _, _ = b.sources[0].field(codecs.Path{})
	if l != nil && l.As != "" {
		if _, _, err := b.rows.field(codecs.NewPath(codecs.Step{Member: l.As})); err != nil {
			b.invalid(l.node, "%v", err)
		}
	}
}

func (b *binder) having(names scope) {
	h := b.spec.Having
	switch {
	case h == nil:
		return
	case h.Expr != "":
		b.bound.having = b.expr(h.node, h.Expr, names)
	default:
		b.names = names
		b.bound.having = b.conditionsTerm(opAnd, h.Conditions)
	}
	if t := b.bound.having; t != nil && t.kinds.outside(kindBool) {
		b.invalid(h.node, "having is a condition, and this is %s", t.kinds)
	}
}

// selected reads one member of select. A grouped row has members that are no
// identifiers, such as an aggregate named "avg delay": one that stands alone is taken
// as it is written.
func (b *binder) selected(s *SelectSpec, names scope) *term {
	if grouped, ok := names.(*groupedScope); ok {
		if col, kinds, ok := grouped.member(s.Expr); ok {
			return &term{op: opField, name: s.Expr, col: col, kinds: kinds}
		}
	}
	return b.expr(s.node, s.Expr, names)
}

// warn looks for what is legal and may surprise.
func (b *binder) warn(topics TopicLookup) {
	if b.spec.Join != nil {
		b.warnKeys()
	}
	endless := b.spec.running() && b.spec.Window.TTLMs == 0
	for i := range b.spec.Sources {
		s := &b.spec.Sources[i]
		if (b.spec.Window != nil && !endless || b.spec.Join != nil) && !s.UntilEnd && s.IdleTimeout == 0 {
			b.warnEmpty(topics, b.bound.sources[i].topic)
		}
	}
	if w := b.spec.Window; b.spec.running() && !b.spec.Changes && !b.spec.Sources[0].UntilEnd {
		text := `a row comes out only when its group has ended, which without "ttl" never is; ` + changesToSee
		if w.TTLMs > 0 {
			text = fmt.Sprintf("a row comes out only when its group has had none for %s; %s", FormatDuration(w.TTLMs), changesToSee)
		}
		b.bound.Warnings = append(b.bound.Warnings, text)
	}
}

const changesToSee = `"emit": "changes" gives the present ones`

// warnEmpty warns of partitions that would hold back every window.
func (b *binder) warnEmpty(topics TopicLookup, topic bus.Topic) {
	var empty []string
	for p := range topic.Partitions {
		if part, err := topics.Partition(topic.Name, p); err == nil && part.Next == part.First {
			empty = append(empty, fmt.Sprint(p))
		}
	}
	if len(empty) > 0 {
		noun := "partition"
		if len(empty) > 1 {
			noun = "partitions"
		}
		waits := "window closes"
		if b.spec.running() {
			waits = "group ends"
		}
		b.bound.Warnings = append(b.bound.Warnings, fmt.Sprintf(
			"topic %q has no records in %s %s: no %s before every partition has some; \"idle_timeout\" passes over those that stay without",
			topic.Name, noun, strings.Join(empty, ", "), waits))
	}
}
