package oracle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Join is what a query over two topics has beside that of the left one, which is
// described in the query itself.
type Join struct {
	Type string // inner, left, right or full
	On   [][2]*Expr
	// Window > 0 joins rows of the same tumbling window; else a right row is at most
	// Before ms before a left one and After ms after it.
	Window, Before, After int64
	Once                  bool // a left row matches at most one right row
	// Of the right side.
	Topic      string
	Start      Start
	EventTime  *Expr
	OutOfOrder int64
}

func (j *Join) outer(side int) bool {
	return j.Type == "full" || j.Type == []string{"left", "right"}[side]
}

// sideRow is a used row of one side. Its keys are nil where one of them is null.
type sideRow struct {
	partition, offset int
	t                 int64
	keys              []value
	record            value
}

func (r *sideRow) compare(other *sideRow) int {
	switch {
	case r == nil && other == nil:
		return 0
	case r == nil:
		return -1
	case other == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(r.partition, other.partition), cmp.Compare(r.offset, other.offset))
}

// joinedRow is a pair, or one row alone.
type joinedRow struct {
	t           int64
	left, right *sideRow
}

// lateForJoin tells whether a row is late, and what its letter says of windows.
func (j *Join) lateForJoin(side int, t, w int64, moved bool) (late bool, start, end int64) {
	switch {
	case j.Window > 0:
		start = floor(t, j.Window)
		return moved && start+j.Window <= w, start, start + j.Window
	case side == 0:
		return moved && t < w, t - j.Before, t + j.After
	}
	return moved && t < w, t - j.After, t + j.Before
}

func (j *Join) matches(l, r *sideRow) bool {
	if l.keys == nil || r.keys == nil {
		return false
	}
	for i := range l.keys {
		if compare(l.keys[i], r.keys[i]) != 0 {
			return false
		}
	}
	if j.Window > 0 {
		return floor(l.t, j.Window) == floor(r.t, j.Window)
	}
	return r.t >= l.t-j.Before && r.t <= l.t+j.After
}

// pairs are all joined rows, in order: every left row is held against every right one.
func (j *Join) pairs(rows [2][]*sideRow) (all []joinedRow) {
	matched := map[*sideRow]bool{}
	for _, l := range rows[0] {
		var partners []*sideRow
		for _, r := range rows[1] {
			if j.matches(l, r) {
				partners = append(partners, r)
			}
		}
		slices.SortFunc(partners, func(a, b *sideRow) int { return cmp.Or(cmp.Compare(a.t, b.t), a.compare(b)) })
		if j.Once && len(partners) > 1 {
			partners = partners[:1]
		}
		for _, r := range partners {
			all = append(all, joinedRow{max(l.t, r.t), l, r})
			matched[l], matched[r] = true, true
		}
	}
	for side, list := range rows {
		for _, r := range list {
			if matched[r] || !j.outer(side) {
				continue
			}
			alone := joinedRow{t: r.t, left: r}
			if side == 1 {
				alone.left, alone.right = nil, r
			}
			all = append(all, alone)
		}
	}
	slices.SortFunc(all, func(a, b joinedRow) int {
		return cmp.Or(cmp.Compare(a.t, b.t), a.left.compare(b.left), a.right.compare(b.right))
	})
	return all
}

// behind is the watermark behind the join, at watermark w.
func (j *Join) behind(w int64) int64 {
	if j.Window > 0 {
		return floor(w, j.Window)
	}
	hold := int64(0)
	if j.outer(0) {
		hold = j.After
	}
	if j.outer(1) {
		hold = max(hold, j.Before)
	}
	return w - hold
}

// joined puts out the joined rows before the watermark behind the join, all of them
// where there is none, or hands them to windows.
func (e *evaluation) joined(final *int64) {
	q := e.q
	for _, row := range q.Join.pairs(e.sides) {
		if final != nil && row.t >= *final {
			break
		}
		in := &container{names: []string{"left", "right"}, list: []value{{kind: null}, {kind: null}}}
		for side, r := range []*sideRow{row.left, row.right} {
			if r != nil {
				in.list[side] = r.record
			}
		}
		if q.Join.Window > 0 {
			start := floor(row.t, q.Join.Window)
			in.names = append(in.names, "window_end", "window_start")
			in.list = append(in.list, ofInt(start+q.Join.Window), ofInt(start))
		}
		record := value{kind: object, in: in}
		e.joinedRow(record, row.t)
	}
}

var sideNames = []string{"left", "right"}

func (e *evaluation) joinedRow(record value, t int64) {
	q := e.q
	failed := func(operator string) {
		e.out.Counts.FailedPanes++
		e.out.Failed = append(e.out.Failed, operator)
	}
	record, found, err := e.lookedUp(record)
	switch {
	case err != nil:
		failed("lookup")
		return
	case !found:
		return
	}
	if q.Filter != nil {
		keep, err := q.Filter.condition(record.field)
		if err != nil {
			failed("filter")
			return
		}
		if !keep.isTrue() {
			return
		}
	}
	if q.Window > 0 {
		_, _, ends, _ := q.windows(t, 0, false)
		used := e.out.Counts.Used
		e.windowed(0, record, t, ends, 0, failed)
		e.out.Counts.Used = used // the sides have counted theirs
		return
	}
	whole := *q
	if q.Select == nil {
		whole.Select = []Member{{"left", field("left")}, {"right", field("right")}}
		if q.Join.Window > 0 {
			whole.Select = append(whole.Select, Member{"window_start", field("window_start")}, Member{"window_end", field("window_end")})
		}
	}
	if l := q.Lookup; l != nil && q.Select == nil {
		whole.Select = append(whole.Select, Member{l.As, field(l.As)})
	}
	text, ok := whole.selected(record.field)
	if !ok {
		failed("select")
		return
	}
	e.out.Counts.Out++
	e.out.Rows = append(e.out.Rows, text)
}

// sideRow takes a row of a side.
func (e *evaluation) sideRow(p, offset int, t, w int64, moved bool, record value, late func(start, end int64)) {
	side, _, partition := e.c.place(p)
	if is, start, end := e.q.Join.lateForJoin(side, t, w, moved); is {
		late(start, end)
		return
	}
	e.out.Counts.Used++
	row := &sideRow{partition: partition, offset: offset, t: t, keys: []value{}, record: record}
	for _, pair := range e.q.Join.On {
		v := record.field(pair[side])
		if v.none() {
			row.keys = nil
			break
		}
		row.keys = append(row.keys, v)
	}
	e.sides[side] = append(e.sides[side], row)
}

// place is where partition p of a case lies: those of the right side follow the left.
func (c *Case) place(p int) (side int, topic string, partition int) {
	if c.Query.Join == nil || p < c.Left {
		return 0, c.Query.Topic, p
	}
	return 1, c.Query.Join.Topic, p - c.Left
}

// partitionOf is the reverse of place.
func (c *Case) partitionOf(topic string, partition int) int {
	if topic != c.Query.Topic {
		return c.Left + partition
	}
	return partition
}

// sides of a spec in JSON: the members of a source.
func sourceJSON(topic string, start Start, until bool, eventTime *Expr, outOfOrder, idle int64) string {
	source := []string{`"topic":` + quote(topic)}
	switch start.Kind {
	case "latest":
		source = append(source, `"start":"latest"`)
	case "offset":
		source = append(source, fmt.Sprintf(`"start":{"offset":%s}`, offsetsJSON(start.Offsets)))
	case "timestamp":
		source = append(source, fmt.Sprintf(`"start":{"timestamp":%d}`, start.Timestamp))
	}
	if until {
		source = append(source, `"until":"end"`)
	}
	if eventTime != nil {
		source = append(source, `"event_time":`+quote(eventTime.Text))
	}
	if outOfOrder > 0 {
		source = append(source, `"max_out_of_orderness":`+duration(outOfOrder))
	}
	if idle > 0 {
		source = append(source, `"idle_timeout":`+duration(idle))
	}
	return "{" + strings.Join(source, ",") + "}"
}

func (q *Query) joinJSON(left string) string {
	j := q.Join
	var on []string
	for _, pair := range j.On {
		on = append(on, "["+quote(pair[0].Text)+","+quote(pair[1].Text)+"]")
	}
	window := fmt.Sprintf(`{"before":%s,"after":%s}`, duration(j.Before), duration(j.After))
	switch {
	case j.Window > 0:
		window = `{"tumbling":` + duration(j.Window) + "}"
	case j.Before == j.After:
		window = `{"within":` + duration(j.Before) + "}"
	}
	parts := []string{
		`"type":` + quote(j.Type), `"on":[` + strings.Join(on, ",") + "]", `"window":` + window,
		`"left":` + left, `"right":` + sourceJSON(j.Topic, j.Start, q.UntilEnd, j.EventTime, j.OutOfOrder, q.Idle),
	}
	if j.Once {
		parts = append(parts, `"dedupe_once":true`)
	}
	if q.Lateness > 0 {
		parts = append(parts, `"allowed_lateness":`+duration(q.Lateness))
	}
	return `"join":{` + strings.Join(parts, ",") + "}"
}
