// Package oracle says what a query has to give, from the definitions alone: it reads
// whole logs at once, keeps every row in memory and knows neither batches, watermark
// handlers, panes, epochs nor restarts. It shares no code with the engine: values,
// their order, expressions and aggregates are written a second time here, in the
// slowest and plainest way. A generator makes random queries over random logs, so
// that engine and oracle can be held against each other.
package oracle

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Record is a record of a source partition. Its offset is its place in the log.
type Record struct {
	AppendMs int64
	Value    []byte // JSON
	Stored   []byte // what is in the log for it; nil = Value
}

func (r Record) stored() []byte {
	if r.Stored != nil {
		return r.Stored
	}
	return r.Value
}

// Outcome is all that a query gives.
//
// A late row is the JSON of its letter. A dead row is its offset, the operator that
// refused it and its value in base64, with spaces between; a grouped row that could
// not be given has no offset, and its JSON as the value; of a joined row only the
// operator is there.
type Outcome struct {
	Rows        []string   // of a windowed query or a join, in order
	ByPartition [][]string // of a stateless query: what each partition gives, in order
	Late, Dead  [][]string // by partition, in order of offsets
	Failed      []string   // grouped rows that could not be given, in order
	Counts      Counts
	// Present are the rows of windows that have not closed, of a query that gives changes;
	// PresentFailed is how many more there would be.
	Present       []string
	PresentFailed int
}

// Counts count rows. In = Used + Filtered + Late + DeadLettered.
type Counts struct {
	In           int64 `json:"in"`
	Used         int64 `json:"used"`
	Filtered     int64 `json:"filtered"`
	Late         int64 `json:"late"`
	DeadLettered int64 `json:"dead_lettered"`
	LateWindows  int64 `json:"late_windows"`
	Out          int64 `json:"out"`
	FailedPanes  int64 `json:"failed_panes"`
}

// Mark is an idle mark: from offset on, partition is judged as if its watermark were at
// least this. When there are marks is not for the oracle to say: it takes those that were
// recorded.
type Mark struct {
	Partition, Offset int
	Watermark         int64
}

// Evaluate runs a query over the logs of all its source partitions. The logs of a
// query that is not bounded are taken for all that has come so far.
func Evaluate(c *Case, marks ...Mark) *Outcome {
	q, n := c.Query, len(c.Logs)
	e := &evaluation{c: c, q: q, windows: map[int64]map[string]*group{}, sessions: map[string]*group{}, out: &Outcome{
		ByPartition: make([][]string, n), Late: make([][]string, n), Dead: make([][]string, n),
	}}
	lowest, all := int64(math.MaxInt64), true // of the watermarks
	for p, log := range c.Logs {
		start := q.Start
		side, _, number := c.place(p)
		if side == 1 {
			start = q.Join.Start
		}
		from := max(start.offset(number, log), c.Trimmed[p])
		own := slices.DeleteFunc(slices.Clone(marks), func(m Mark) bool { return m.Partition != p })
		w, moved := e.partition(p, log, from, own)
		lowest, all = min(lowest, w), all && moved
	}
	if q.Join != nil {
		lowest = q.Join.behind(lowest)
		switch {
		case q.UntilEnd:
			e.joined(nil)
		case all:
			e.joined(&lowest)
		}
	}
	e.sessionWindows()
	for _, end := range slices.Sorted(maps.Keys(e.windows)) {
		if q.UntilEnd || all && end <= lowest {
			e.close(end)
		} else if q.Changes {
			out := e.out
			e.out = &Outcome{}
			maps.DeleteFunc(e.windows[end], func(_ string, g *group) bool { return g.replaced })
			e.close(end)
			out.Present, out.PresentFailed = append(out.Present, e.out.Rows...), out.PresentFailed+len(e.out.Failed)
			e.out = out
		}
	}
	return e.out
}

type evaluation struct {
	c       *Case
	sides   [2][]*sideRow // of a join
	q       *Query
	windows map[int64]map[string]*group // by end, by key
	// sessions has all rows of each key, of session windows.
	sessions map[string]*group
	out      *Outcome
}

// group is what one window has under one key, by partition.
type group struct {
	keys  []value
	rows  [][]entry
	start int64 // of the window
	// replaced tells of a session of a running group that a later one follows. Its rows are
	// not those that the group has last.
	replaced bool
}

// entry is what a row gives to the aggregates. pane holds the ends of the last and of
// the first window that it counts in.
type entry struct {
	args, bys []value
	t         int64
	pane      [2]int64
	gap       int64 // of session windows; 0 = others
}

// watermark is W of partition p before offset, behind rows the highest of whose event
// times is given, nil for none.
func (e *evaluation) watermark(p int, highest *int64, offset int, marks []Mark) (w int64, moved bool) {
	outOfOrder := e.q.OutOfOrder
	if side, _, _ := e.c.place(p); side == 1 {
		outOfOrder = e.q.Join.OutOfOrder
	}
	if highest != nil {
		w, moved = *highest-outOfOrder-e.q.Lateness, true
	}
	for _, m := range marks {
		if m.Offset <= offset && (!moved || m.Watermark > w) {
			w, moved = m.Watermark, true
		}
	}
	return w, moved
}

// partition takes the rows of partition p and returns W behind all of them.
func (e *evaluation) partition(p int, log []Record, from int, marks []Mark) (w int64, moved bool) {
	var highest *int64
	counts := &e.out.Counts
	for offset := from; offset < len(log); offset++ {
		r := log[offset]
		counts.In++
		dead := func(operator string) {
			counts.DeadLettered++
			e.out.Dead[p] = append(e.out.Dead[p], fmt.Sprintf("%d %s %s", offset, operator, base64.StdEncoding.EncodeToString(r.stored())))
		}
		record, ok := parseRecord(r.Value)
		if !ok {
			dead("decode")
			continue
		}
		t, ok := e.eventTime(p, record, r.AppendMs)
		if !ok {
			dead("event_time")
			continue
		}
		w, moved := e.watermark(p, highest, offset, marks)
		if highest == nil || t > *highest {
			highest = &t
		}
		late := func(start, end int64) {
			_, topic, number := e.c.place(p)
			counts.Late++
			e.out.Late[p] = append(e.out.Late[p], fmt.Sprintf(
				`{"topic":%s,"partition":%d,"offset":%d,"event_time":%d,"watermark":%d,"window_start":%d,"window_end":%d,"value_b64":"%s"}`,
				quote(topic), number, offset, t, w, start, end, base64.StdEncoding.EncodeToString(r.stored())))
		}
		if e.q.Join != nil {
			e.sideRow(p, offset, t, w, moved, record, late)
			continue
		}
		record, found, err := e.lookedUp(record)
		switch {
		case err != nil:
			dead("lookup")
			continue
		case !found:
			counts.Filtered++
			continue
		}
		if e.q.Filter != nil {
			keep, err := e.q.Filter.condition(record.field)
			if err != nil {
				dead("filter")
				continue
			}
			if !keep.isTrue() {
				counts.Filtered++
				continue
			}
		}
		if e.q.Window == 0 {
			e.stateless(p, record, dead)
			continue
		}
		start, end, ends, missed := e.q.windows(t, w, moved)
		if len(ends) == 0 {
			late(start, end)
			continue
		}
		e.windowed(p, record, t, ends, missed, dead)
	}
	return e.watermark(p, highest, len(log), marks)
}

// windows are the ends of the windows that a row counts in, from the last to the
// first, the number of those that it is late for, and from where to where all of them
// reach.
func (q *Query) windows(t, w int64, moved bool) (start, end int64, ends []int64, missed int64) {
	if q.Session {
		if moved && t < w && q.Window != endless {
			return t, t + q.Window, nil, 0
		}
		return t, t + q.Window, []int64{t + q.Window}, 0
	}
	every := q.Every
	if every == 0 {
		every = q.Window
	}
	start = floor(t, every)
	end = start + q.Window
	for ; start+q.Window > t; start -= every {
		if e := start + q.Window; !moved || e > w {
			ends = append(ends, e)
		} else {
			missed++
		}
	}
	return start + every, end, ends, missed
}

// floor is the largest multiple of size that is not above t.
func floor(t, size int64) int64 {
	into := t % size
	if into < 0 {
		into += size
	}
	return t - into
}

func (v value) field(e *Expr) value { return v.at(e.Path) }

func (e *evaluation) stateless(p int, record value, dead func(string)) {
	row := e.q.wholeRow(record)
	if e.q.Select != nil {
		var ok bool
		if row, ok = e.q.selected(record.field); !ok {
			dead("select")
			return
		}
	}
	e.out.Counts.Used++
	e.out.Counts.Out++
	e.out.ByPartition[p] = append(e.out.ByPartition[p], row)
}

// selected is the output row as JSON, false where a member cannot be computed.
func (q *Query) selected(r row) (string, bool) {
	var parts []string
	for _, m := range q.Select {
		v, err := m.Expr.eval(r)
		if err != nil {
			return "", false
		}
		parts = append(parts, quote(m.Name)+":"+v.json())
	}
	return "{" + strings.Join(parts, ",") + "}", true
}

func (e *evaluation) windowed(p int, record value, t int64, ends []int64, missed int64, dead func(string)) {
	var keys, args, bys []value
	var texts []string
	for _, k := range e.q.GroupBy {
		v := record.field(k)
		keys = append(keys, v)
		texts = append(texts, v.key())
	}
	for _, a := range e.q.Aggregates {
		v, by := ofBool(true), ofBool(true) // of count(): something
		if a.Filter != nil {
			taken, err := a.Filter.condition(record.field)
			if err != nil {
				dead("aggregate")
				return
			}
			if !taken.isTrue() {
				args, bys = append(args, value{}), append(bys, value{})
				continue
			}
		}
		if a.Arg != nil {
			var err error
			if v, err = a.Arg.eval(record.field); err != nil || a.numeric() && !v.none() && !v.number() {
				dead("aggregate")
				return
			}
		}
		if a.By != nil {
			var err error
			if by, err = a.By.eval(record.field); err != nil {
				dead("aggregate")
				return
			}
		}
		args, bys = append(args, v), append(bys, by)
	}
	e.out.Counts.Used++
	e.out.Counts.LateWindows += missed
	key := strings.Join(texts, ",")
	if e.q.Session {
		g := e.sessions[key]
		if g == nil {
			g = &group{keys: keys, rows: make([][]entry, len(e.out.Late))}
			e.sessions[key] = g
		}
		g.rows[p] = append(g.rows[p], entry{args: args, bys: bys, t: t, gap: e.q.Window})
		return
	}
	for _, end := range ends {
		if e.windows[end] == nil {
			e.windows[end] = map[string]*group{}
		}
		g := e.windows[end][key]
		if g == nil {
			g = &group{keys: keys, rows: make([][]entry, len(e.out.Late)), start: end - e.q.Window}
			e.windows[end][key] = g
		}
		g.rows[p] = append(g.rows[p], entry{args: args, bys: bys, t: t, pane: [2]int64{ends[0], ends[len(ends)-1]}})
	}
}

// close puts out a window, its groups by key.
func (e *evaluation) close(end int64) {
	groups := slices.SortedFunc(maps.Values(e.windows[end]), func(a, b *group) int {
		return slices.CompareFunc(a.keys, b.keys, compare)
	})
	for _, g := range groups {
		columns := map[string]value{}
		var names []string
		put := func(name string, v value) { names = append(names, name); columns[name] = v }
		for i, k := range e.q.GroupBy {
			put(k.Text, parse([]byte(g.keys[i].key())))
		}
		operator := ""
		for i, a := range e.q.Aggregates {
			v, ok := a.fold(g.rows, i)
			if !ok {
				operator = "aggregate"
			}
			put(a.Name, v)
		}
		if !e.q.Running {
			put("window_start", ofInt(g.start))
			put("window_end", ofInt(end))
		}
		whole := Query{}
		for _, name := range names {
			whole.Select = append(whole.Select, Member{Name: name, Expr: &Expr{Op: "field", Text: name}})
		}
		grouped := func(f *Expr) value { return columns[f.Text] }
		row, _ := whole.selected(grouped)
		if operator == "" && e.q.Having != nil {
			keep, err := e.q.Having.condition(grouped)
			if err != nil {
				operator = "aggregate"
			} else if !keep.isTrue() {
				continue
			}
		}
		if operator == "" && e.q.Select != nil {
			if selected, ok := e.q.selected(grouped); ok {
				row = selected
			} else {
				operator = "select"
			}
		}
		if operator != "" {
			e.out.Counts.FailedPanes++
			e.out.Failed = append(e.out.Failed, operator+" "+base64.StdEncoding.EncodeToString([]byte(row)))
			continue
		}
		if g.replaced && e.q.Changes {
			continue
		}
		e.out.Counts.Out++
		e.out.Rows = append(e.out.Rows, row)
	}
}
