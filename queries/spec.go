package queries

import (
	"leat/codecs"
)

// Spec is a query as its author wrote it: syntax checked, defaults filled in, names
// not looked up and expressions not read. It is immutable.
type Spec struct {
	Name            string
	Sources         []SourceSpec // one, or the left and the right side of a join
	Join            *JoinSpec    // nil = there is one source
	Lookup          *LookupSpec  // nil = nothing is looked up
	Filter          *FilterSpec  // nil = every row
	GroupBy         []FieldSpec
	Aggregate       []AggregateSpec // as written
	Window          *WindowSpec     // nil = no groups
	Having          *FilterSpec     // of grouped rows; nil = every one
	Select          []SelectSpec    // as written; nil = there is no "select"
	AllowedLateness int64           // ms
	Sink            *SinkSpec       // nil = only the query's own result log
	Late            *SinkSpec       // nil = only its late log
	OnError         *SinkSpec       // nil = only its dead-letter log
	StopOnError     bool            // the first dead letter ends the query
	Changes         bool            // emit "changes"
	ChangesEveryMs  int64           // at least so far apart
	MaxStateBytes   int64           // of memory; 0 = no bound but the windows

	doc    *document
	at     specNodes
	flawed bool // Parse found problems
}

// specNodes are where the parts of a spec that Bind may complain about were written.
type specNodes struct {
	root, join, groupBy, aggregate, window, having, lateness, selects, stateBytes, ttl *jsonNode
}

// SourceSpec is the member "source".
type SourceSpec struct {
	Topic             string
	Start             Start
	UntilEnd          bool
	EventTime         *FieldSpec // nil = append time
	MaxOutOfOrderness int64      // ms
	IdleTimeout       int64      // ms; 0 = there is none
	Format            string     // "" = that of the schema, or JSON
	Schema            string     // a subject, subject:version, or text; "" = the topic's

	topic, start, format, schema *jsonNode // nil where they are not written
}

// JoinSpec is the member "join" but for its sides, which are the sources.
type JoinSpec struct {
	Type string         // inner, left, right or full
	On   [][2]FieldSpec // left and right field of each pair that has to be equal
	Once bool           // a left row matches at most one right row
	// TumblingMs > 0 joins rows of the same window. Else a right row may be BeforeMs
	// before a left one to AfterMs after it.
	TumblingMs, BeforeMs, AfterMs int64
}

// LookupSpec is the member "lookup".
type LookupSpec struct {
	KV   string // the namespace
	Key  string // an expression over the rows of the source, or joined ones
	As   string // the member that rows gain
	Left bool   // rows without a value stay

	node, key, as *jsonNode
}

// FieldSpec is a field path as written.
type FieldSpec struct {
	Text string
	Path codecs.Path

	node *jsonNode
}

// FilterSpec is the member "filter" in one of its two forms.
type FilterSpec struct {
	Expr       string      // "" where the filter is a list
	Conditions []Condition // all must hold

	node *jsonNode
}

// Condition is one element of a filter list: a comparison of a field with a value,
// or a combination of conditions.
type Condition struct {
	Op     string // eq ne lt le gt ge in contains exists, or and or not
	Field  codecs.Path
	Values []codecs.Value // one; for in, any number; for exists, one Bool
	Nested []Condition    // of and, or; one element for not

	node *jsonNode
}

// AggregateSpec is one aggregate in either form.
type AggregateSpec struct {
	Name string
	Fn   string       // "" where Expr still has to be read
	Expr string       // of the map form: "fn(expr)"
	Arg  *OperandSpec // of the list form; nil for count of rows
	By   *OperandSpec // of the list form, of min_by and max_by
	// Param is that of the list form of percentile, in thousandths of a percent, and
	// top_k.
	Param  int64
	Filter *FilterSpec // of the list form: which rows are taken; nil = every one

	node *jsonNode // where a problem with the aggregate is
}

// OperandSpec is what an aggregate of the list form is taken of.
type OperandSpec struct {
	Text string
	Expr string      // "" where Text is a path
	Path codecs.Path // where Expr is ""

	node *jsonNode
}

// WindowSpec is the member "window", or what stands in its place: a query that aggregates
// without it has running groups.
type WindowSpec struct {
	TumblingMs int64 // > 0, or 0 for others
	HoppingMs  int64 // > 0 for hopping windows, which
	EveryMs    int64 // begin this far apart: 1 to HoppingMs
	SessionMs  int64 // > 0 for session windows: the gap
	Running    bool  // groups have no windows
	TTLMs      int64 // of running groups: a group ends so long after its last row; 0 = never
}

// running tells that the query has groups without windows.
func (s *Spec) running() bool { return s.Window != nil && s.Window.Running }

// withdraws tells that rows which have been put out may be taken back.
func (s *Spec) withdraws() bool {
	return s.Changes && s.Window != nil && (s.Window.SessionMs > 0 || s.Having != nil)
}

// SelectSpec is one member of "select".
type SelectSpec struct {
	Name string
	Expr string

	node *jsonNode
}

// The longest lists a spec may hold.
const (
	maxGroupBy    = 64
	maxAggregates = 256
	maxSelect     = 1024
	maxConditions = 1000   // of one filter, nested ones included
	maxFields     = 1024   // different ones, of all expressions
	maxNesting    = 64     // of conditions and of expressions
	maxInValues   = 10_000 // of one "in"
)
