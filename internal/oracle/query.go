package oracle

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Query is a query as the oracle understands it. JSON writes it as users do.
type Query struct {
	Name, Topic   string
	UntilEnd      bool
	Start         Start
	EventTime     *Expr   // a field; nil = append time
	OutOfOrder    int64   // ms
	Lateness      int64   // ms
	Changes       bool    // emit "changes"
	ChangesEvery  int64   // ms; 0 = with each epoch
	Idle          int64   // ms after which an idle partition is passed over; 0 = never
	Lookup        *Lookup // nil = nothing is looked up
	Filter        *Expr
	FilterList    bool // written as a list of conditions
	GroupBy       []*Expr
	Window        int64 // ms; 0 = stateless
	Session       bool  // Window is the gap of session windows
	Running       bool  // of running groups too, which are sessions without window; endless for none
	Every         int64 // ms between the starts of hopping windows; 0 = tumbling
	Having        *Expr
	HavingList    bool // written as a list of conditions
	Aggregates    []Aggregate
	AggregateList bool // written as a list
	Select        []Member
	Join          *Join // nil = one topic
}

// endless is a gap that no two event times have between them.
const endless = 2*maxTime + 1

// Start is where a query begins to read: Kind is "" for the first record, "latest",
// "offset" or "timestamp".
type Start struct {
	Kind      string
	Offsets   map[int]int // of those partitions that are named
	Timestamp int64
}

// Aggregate is one aggregate; Arg is nil for a count of rows. By is there for min_by
// and max_by; Param is the k of top_k or the percentage of percentile in thousandths.
type Aggregate struct {
	Name, Fn string
	Arg, By  *Expr
	Param    int64
	// Filter says of which rows; nil = of every one. FilterList: written as conditions.
	Filter     *Expr
	FilterList bool
}

// Member is one member of the output row.
type Member struct {
	Name string
	Expr *Expr
}

// offset is where the query begins in the log of partition p.
func (s Start) offset(p int, log []Record) int {
	switch s.Kind {
	case "latest":
		return len(log)
	case "offset":
		return min(s.Offsets[p], len(log))
	case "timestamp":
		for i, r := range log {
			if r.AppendMs >= s.Timestamp {
				return i
			}
		}
		return len(log)
	}
	return 0
}

// maxTime is how far from the epoch an event time may lie, in milliseconds.
const maxTime = 8_640_000_000_000_000

// eventTime is false where a record has none: it is missing, null or of the wrong
// type, a fraction, or out of range.
func (e *evaluation) eventTime(p int, record value, appendMs int64) (ms int64, ok bool) {
	of := e.q.EventTime
	if side, _, _ := e.c.place(p); side == 1 {
		of = e.q.Join.EventTime
	}
	if of == nil {
		return appendMs, true
	}
	return instant(record.field(of))
}

// instant is a value as epoch milliseconds. Text has to be of the given form.
func instant(v value) (ms int64, ok bool) {
	switch v.kind {
	case integer:
		ms = v.i
	case float:
		if v.f != math.Trunc(v.f) || math.Abs(v.f) > maxTime {
			return 0, false
		}
		ms = int64(v.f)
	case text:
		if !rfc3339.MatchString(v.s) {
			return 0, false
		}
		t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(v.s))
		if err != nil {
			return 0, false
		}
		ms = t.UnixMilli() // what is below milliseconds is cut
	default:
		return 0, false
	}
	return ms, -maxTime <= ms && ms <= maxTime
}

// rfc3339 is the form of event times that are text. time.Parse accepts more.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// JSON is the query as a spec.
func (q *Query) JSON() []byte {
	source := sourceJSON(q.Topic, q.Start, q.UntilEnd, q.EventTime, q.OutOfOrder, q.Idle)
	parts := []string{`"name":` + quote(q.Name)}
	if q.Join != nil {
		parts = append(parts, q.joinJSON(source))
	} else {
		parts = append(parts, `"source":`+source)
	}
	if q.Lookup != nil {
		parts = append(parts, q.Lookup.json())
	}
	if q.Filter != nil {
		filter := quote(q.Filter.String())
		if q.FilterList {
			filter = q.Filter.list()
		}
		parts = append(parts, `"filter":`+filter)
	}
	if q.Window > 0 {
		parts = append(parts, q.windowJSON()...)
	}
	if q.Select != nil {
		var members []string
		for _, m := range q.Select {
			members = append(members, quote(m.Name)+":"+quote(m.Expr.String()))
		}
		parts = append(parts, `"select":{`+strings.Join(members, ",")+"}")
	}
	return []byte("{" + strings.Join(parts, ",\n ") + "}")
}

func offsetsJSON(offsets map[int]int) []byte {
	b, err := json.Marshal(offsets)
	must(err)
	return b
}

func (q *Query) windowJSON() (parts []string) {
	if len(q.GroupBy) > 0 {
		var fields []string
		for _, f := range q.GroupBy {
			fields = append(fields, quote(f.Text))
		}
		parts = append(parts, `"group_by":[`+strings.Join(fields, ",")+"]")
	}
	switch {
	case q.Running && q.Window == endless:
		parts = append(parts, `"max_state_bytes":1000000000`)
	case q.Running:
		parts = append(parts, `"ttl":`+duration(q.Window))
	case q.Session:
		parts = append(parts, `"window":{"session":`+duration(q.Window)+"}")
	case q.Every > 0:
		parts = append(parts, `"window":{"hopping":`+duration(q.Window)+`,"every":`+duration(q.Every)+"}")
	default:
		parts = append(parts, `"window":{"tumbling":`+duration(q.Window)+"}")
	}
	var aggregates []string
	for _, a := range q.Aggregates {
		aggregates = append(aggregates, a.json(q.AggregateList))
	}
	list := strings.Join(aggregates, ",")
	if q.AggregateList {
		parts = append(parts, `"aggregate":[`+list+"]")
	} else {
		parts = append(parts, `"aggregate":{`+list+"}")
	}
	switch {
	case q.Having != nil && q.HavingList:
		parts = append(parts, `"having":`+q.Having.list())
	case q.Having != nil:
		parts = append(parts, `"having":`+quote(q.Having.String()))
	}
	switch {
	case q.ChangesEvery > 0:
		parts = append(parts, `"emit":{"changes":{"every":`+duration(q.ChangesEvery)+"}}")
	case q.Changes:
		parts = append(parts, `"emit":"changes"`)
	}
	if q.Lateness > 0 && q.Join == nil {
		parts = append(parts, `"allowed_lateness":`+duration(q.Lateness))
	}
	return parts
}

// json is the aggregate as a member of an object or, inList, an element of a list.
func (a *Aggregate) json(inList bool) string {
	param := fmt.Sprint(a.Param)
	if a.Fn == "percentile" {
		param = strconv.FormatFloat(float64(a.Param)/1000, 'f', -1, 64)
	}
	if !inList {
		var args []string
		if a.Arg != nil {
			args = append(args, a.Arg.String())
		}
		switch {
		case a.By != nil:
			args = append(args, a.By.String())
		case a.Fn == "percentile" || a.Fn == "top_k":
			args = append(args, param)
		}
		return quote(a.Name) + ":" + quote(a.Fn+"("+strings.Join(args, ", ")+")")
	}
	members := fmt.Sprintf(`{"fn":%q,"as":%s`, a.Fn, quote(a.Name))
	if a.Arg != nil {
		members += `,"field":` + quote(a.Arg.operand())
	}
	switch {
	case a.Filter != nil && a.FilterList:
		members += `,"filter":` + a.Filter.list()
	case a.Filter != nil:
		members += `,"filter":` + quote(a.Filter.String())
	}
	switch {
	case a.By != nil:
		members += `,"by":` + quote(a.By.operand())
	case a.Fn == "percentile":
		members += `,"p":` + param
	case a.Fn == "top_k":
		members += `,"k":` + param
	}
	return members + "}"
}

// operand writes an expression where a path could stand.
func (e *Expr) operand() string {
	if e.Op == "lit" {
		return "(" + e.String() + ")" // 5 is a path
	}
	return e.String()
}

// duration writes whole days, hours and seconds as text, other durations as a number.
func duration(ms int64) string {
	for _, unit := range []struct {
		name string
		ms   int64
	}{{"d", 86_400_000}, {"h", 3_600_000}, {"s", 1000}} {
		if ms%unit.ms == 0 {
			return fmt.Sprintf(`"%d%s"`, ms/unit.ms, unit.name)
		}
	}
	return fmt.Sprint(ms)
}
