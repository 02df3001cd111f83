package queries

import (
	"context"

	"leat/codecs"
	"leat/dataflow"
	"leat/log"
	"leat/operators"
)

// Plan is a bound query in the shape the engine runs: names resolved to columns,
// expressions compiled, durations in milliseconds. It is immutable. String
// prints it for people and golden tests.
type Plan struct {
	Name    string
	Sources []SourcePlan
	Join    *JoinPlan     // of two sources; nil = there is one
	Lookup  *LookupPlan   // nil = nothing is looked up
	Filter  dataflow.Expr // over a source batch or joined rows, always a Bool; nil = every row
	// FilterText and the other texts are what String prints.
	FilterText string
	Window     *WindowPlan  // nil = no groups
	Select     []Output     // nil = the whole record, or the whole grouped row
	Row        *codecs.Type // what is known of the output rows; without Fields their members are not known
	Whole      int          // index into the source's Paths of the whole record; -1 where it is not put out, or is as it is stored
	Sinks      []SinkPlan   // topics the query's own logs are copied to
	// StopOnError has the query fail instead of writing a dead letter.
	StopOnError bool
	// Changes has present rows of open windows come out too, at least so far apart.
	Changes        bool
	ChangesEveryMs int64
	// Withdraws has rows of changes be withdrawn that do not count any more. Fixed tells of
	// which members of theirs the value is known then.
	Withdraws bool
	Fixed     []bool
	// MaxStateBytes is the memory of state beyond which the query fails; 0 = no bound.
	MaxStateBytes int64
}

// SourcePlan says what is read and how time moves.
type SourcePlan struct {
	Topic string
	// Paths are what the decoder takes out of a record: column i of a source
	// batch holds Paths[i].
	Paths             []codecs.Path
	Start             Start
	Format            codecs.Format // nil = JSON without frames
	UntilEnd          bool          // bounded: ends at the barrier taken when the run began
	EventTime         int           // index into Paths, -1 = append time
	MaxOutOfOrderness int64
	AllowedLateness   int64
	IdleTimeout       int64 // 0 = no clock is ever consulted
}

// Start is where a query begins to read.
type Start struct {
	Kind      StartKind
	Offsets   map[int32]log.Offset // StartOffset: by partition; a partition not named starts at its first record
	Timestamp int64                // StartTimestamp: append time, epoch ms
}

// StartKind tells the forms of start apart.
type StartKind uint8

// The forms of "start": where a query that has no checkpoint yet begins to read.
const (
	StartEarliest StartKind = iota
	StartLatest
	StartOffset
	StartTimestamp
)

// JoinPlan joins the rows of two sources.
type JoinPlan struct {
	Type    string   // inner, left, right or full
	Keys    [2][]int // by side: columns of its batches
	Columns []operators.JoinColumn
	Names   []string // of the columns
	Once    bool
	// TumblingMs > 0 joins rows of the same window; else a right row is from BeforeMs
	// before a left one to AfterMs after it.
	TumblingMs, BeforeMs, AfterMs int64
}

// WindowPlan is an aggregation. The grouped row has the columns: one per key, one per
// aggregate and, unless the groups are running ones, window_start and window_end, in this
// order.
type WindowPlan struct {
	SizeMs     int64 // windows [k*EveryMs, k*EveryMs+SizeMs) aligned to the epoch
	EveryMs    int64 // SizeMs for tumbling windows
	GapMs      int64 // of session windows; 0 for others, which have no SizeMs then
	Running    bool  // groups have no windows; none of the above then
	TTLMs      int64 // of running groups: a group ends so long after its last row; 0 = never
	Keys       []Key
	Aggregates []Aggregate
	Having     dataflow.Expr // over a batch of grouped rows, always a Bool; nil = every row
	HavingText string
}

// Key is one member of "group_by".
type Key struct {
	Name   string // the member name in the grouped row: the path as written
	Column int    // of the batches that are grouped
}

// Aggregate is one aggregate of a window.
type Aggregate struct {
	Name string        // member name in the grouped row
	Fn   string        // as operators.AggregateSpec has it
	Arg  dataflow.Expr // over a source batch; nil for count()
	By   dataflow.Expr // over a source batch; of min_by and max_by
	// Param is that of percentile, in thousandths of a percent, and top_k.
	Param      int64
	Filter     dataflow.Expr // over a source batch, always a Bool; nil = every row
	Text       string        // as written, normalised: "avg(dep_delay)"
	FilterText string
}

// Output is one member of an output row.
type Output struct {
	Name string
	Expr dataflow.Expr // over a source batch, or over a batch of grouped rows
	Text string
}

// NewPlan makes of a query whose names and types are resolved what a job runs. It cannot
// fail: Bind has found all problems.
func NewPlan(b *Bound) *Plan {
	spec := b.Spec
	p := &Plan{
		Name: spec.Name, Sources: sourcePlans(spec), Whole: b.whole, Row: b.row, Sinks: b.sinks, StopOnError: spec.StopOnError,
		Withdraws: spec.withdraws(), MaxStateBytes: spec.MaxStateBytes, Changes: spec.Changes, ChangesEveryMs: spec.ChangesEveryMs,
	}
	for i := range p.Sources {
		p.Sources[i].Paths, p.Sources[i].EventTime, p.Sources[i].Format = b.sources[i].paths, b.sources[i].eventTime, b.sources[i].format
	}
	if b.join != nil {
		p.Join = newJoinPlan(spec.Join, b.join)
	}
	if b.lookup != nil {
		p.Lookup = newLookupPlan(spec.Lookup, b.lookup)
	}
	if p.Withdraws {
		p.Fixed = b.fixedMembers()
	}
	if b.filter != nil {
		p.Filter, p.FilterText = compileFilter(b.filter), b.filter.String()
	}
	if spec.Window != nil {
		p.Window = newWindowPlan(b)
	}
	for _, s := range b.selects {
		p.Select = append(p.Select, Output{Name: s.name, Expr: compileExpr(s.term), Text: s.term.String()})
	}
	return p
}

func newJoinPlan(spec *JoinSpec, b *boundJoin) *JoinPlan {
	j := &JoinPlan{
		Type: spec.Type, Keys: b.keys, Once: spec.Once,
		TumblingMs: spec.TumblingMs, BeforeMs: spec.BeforeMs, AfterMs: spec.AfterMs,
	}
	for _, c := range b.columns {
		col, name := operators.JoinColumn{Side: c.side, Column: c.column, Whole: c.side >= 0 && len(c.path.Steps()) == 1}, c.path.String()
		switch {
		case c.side >= 0:
		case c.side == lookedUp:
			col = operators.JoinColumn{Kind: operators.JoinBlank}
		case name == windowStart:
			col = operators.JoinColumn{Kind: operators.JoinWindowStart}
		default:
			col = operators.JoinColumn{Kind: operators.JoinWindowEnd}
		}
		j.Columns, j.Names = append(j.Columns, col), append(j.Names, name)
	}
	return j
}

// sourcePlans are the sources of a spec but for what Bind finds out.
func sourcePlans(spec *Spec) []SourcePlan {
	plans := make([]SourcePlan, len(spec.Sources))
	for i := range plans {
		s := &spec.Sources[i]
		plans[i] = SourcePlan{
			Topic: s.Topic, Start: s.Start, UntilEnd: s.UntilEnd,
			MaxOutOfOrderness: s.MaxOutOfOrderness, AllowedLateness: spec.AllowedLateness,
			IdleTimeout: s.IdleTimeout,
		}
	}
	return plans
}

func newWindowPlan(b *Bound) *WindowPlan {
	window := b.Spec.Window
	w := &WindowPlan{SizeMs: window.TumblingMs, EveryMs: window.TumblingMs, Keys: b.keys}
	if window.HoppingMs > 0 {
		w.SizeMs, w.EveryMs = window.HoppingMs, window.EveryMs
	}
	w.GapMs, w.Running, w.TTLMs = window.SessionMs, window.Running, window.TTLMs
	for i := range b.aggregates {
		a := &b.aggregates[i]
		compiled := Aggregate{Name: a.name, Fn: a.fn, Param: a.param, Text: a.String()}
		if a.arg != nil {
			compiled.Arg = compileExpr(a.arg)
		}
		if a.by != nil {
			compiled.By = compileExpr(a.by)
		}
		if a.filter != nil {
			compiled.Filter, compiled.FilterText = compileFilter(a.filter), a.filter.String()
		}
		w.Aggregates = append(w.Aggregates, compiled)
	}
	if b.having != nil {
		w.Having, w.HavingText = compileFilter(b.having), b.having.String()
	}
	return w
}

// Compile is Names.Compile for records that are all JSON.
func Compile(ctx context.Context, body []byte, topics TopicLookup) (*Spec, *Plan, Warnings, Problems) {
	return Names{Topics: topics}.Compile(ctx, body)
}

// Compile takes a spec from its text to its plan. Spec and plan are nil where there
// are problems.
func (n Names) Compile(ctx context.Context, body []byte) (*Spec, *Plan, Warnings, Problems) {
	spec, problems := Parse(body)
	if spec == nil {
		return nil, nil, nil, problems
	}
	bound, more := Bind(ctx, spec, n)
	if problems = append(problems, more...); len(problems) > 0 {
		problems.sort()
		return nil, nil, nil, problems
	}
	return spec, NewPlan(bound), bound.Warnings, nil
}
