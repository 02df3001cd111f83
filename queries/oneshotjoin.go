package queries

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sort"
	"strconv"

	"leat/codecs"
	"leat/log"
)

// OneShotJoin is a checked body of POST /broker/join.
type OneShotJoin struct {
	Left, Right OneShotSource

	sides  [2]shotSide
	span   int64 // |Δt| at most
	outer  [2]bool
	once   bool
	most   int  // rows
	blanks bool // a side that is missing is {}, not null
}

// shotSide is how one side of a join is read.
type shotSide struct {
	keys []int
	rows shotProjection
}

// OneShotJoined is the answer of a OneShotJoin. Rows are JSON objects: the pairs by
// the left and then the right row, then the unmatched left rows, then the unmatched
// right ones, each in log order; right rows of one left row by time.
type OneShotJoined struct {
	Rows      []json.RawMessage
	Next      [2]log.Offset
	Scanned   [2]int
	Outer     [2]int // rows of a side that match nothing, given out or not
	Watermark *int64 // the lower of the highest times of both sides, nil where one is empty
	Once      bool
	Truncated bool // there are more rows than the answer holds
}

// ParseOneShotJoin reads a body. The join is nil where there are problems; it is not
// safe for concurrent use. Without formats all records are JSON.
func ParseOneShotJoin(ctx context.Context, body []byte, formats OneShotFormats) (*OneShotJoin, Problems) {
	p, root := newShotParser(body, formats)
	if root == nil {
		return nil, p.problems
	}
	j := &OneShotJoin{}
	var names [2]sourceScope
	j.Left, j.Right = p.source(root, "left", &names[0]), p.source(root, "right", &names[1])
	if on := p.of(root, "on", codecs.Object); on != nil {
		p.keys(on, &j.sides, &names)
	} else if p.get(root, "on") == nil {
		p.invalid(root, `member "on" is missing: {"left_key", "right_key"}`)
	}
	j.span = maxShotTime
	if w := p.of(root, "window", codecs.Object); w != nil {
		j.span = p.integer(w, "size_ms", 0, maxShotTime, maxShotTime)
		p.integer(w, "allowed_lateness_ms", 0, maxShotTime, 0) // nothing read is late
	}
	kind := p.word(p.of(root, "join", codecs.Object), "type", "inner", "left", "right", "full")
	j.outer = [2]bool{kind == "left" || kind == "full", kind == "right" || kind == "full"}
	j.once = p.bool(root, "dedupe_once")
	emit := p.of(root, "emit", codecs.Object)
	j.most = int(p.integer(emit, "max_rows", 0, math32, math32))
	j.blanks = p.word(emit, "missing_as", "null", "empty") == "empty"
	j.sides[0].rows = p.projection(emit, "left_fields", &names[0])
	j.sides[1].rows = p.projection(emit, "right_fields", &names[1])
	p.decoder(ctx, &j.Left, names[0].paths)
	p.decoder(ctx, &j.Right, names[1].paths)
	if problems := p.done(); len(problems) > 0 {
		return nil, problems
	}
	return j, nil
}

// keys reads the fields that have to be equal.
func (p shotParser) keys(on *jsonNode, sides *[2]shotSide, names *[2]sourceScope) {
	for i, name := range []string{"left", "right"} {
		fields := p.fields(on, name+"_keys", maxGroupBy)
		if m := p.get(on, name+"_key"); m != nil && len(fields) == 0 {
			if f, ok := p.field(m); ok {
				fields = []FieldSpec{f}
			}
		}
		for _, f := range fields {
			sides[i].keys = append(sides[i].keys, p.column(&names[i], f))
		}
	}
	if n := len(sides[0].keys); n == 0 || n != len(sides[1].keys) {
		p.invalid(on, `"on" needs as many left keys as right keys, and at least one: {"left_key", "right_key"} or {"left_keys", "right_keys"}`)
	}
}

// shotRow is one row of a side.
type shotRow struct {
	key  string // canonical, "" where a part is null: it matches nothing
	text string // for people
	time int64
	row  []byte // JSON
}

// Run reads both ranges and joins them.
func (j *OneShotJoin) Run(ctx context.Context, reader OneShotReader, ranges [2]OneShotRange, limits OneShotLimits) (OneShotJoined, error) {
	out := OneShotJoined{Rows: []json.RawMessage{}, Once: j.once}
	var rows [2][]shotRow
	for i, source := range []*OneShotSource{&j.Left, &j.Right} {
		scan := newShotScan(source)
		kept := 0
		take := func() bool {
			kept += j.keep(scan, &j.sides[i], &rows[i])
			return kept < limits.Bytes
		}
		var err error
		if out.Next[i], out.Scanned[i], err = scan.run(ctx, reader, ranges[i], limits.Records, take); err != nil {
			return out, err
		}
	}
	out.Watermark = shotWatermark(rows)
	j.join(rows[0], rows[1], &out, limits.Answer)
	return out, nil
}

// keep adds the rows of a batch, and returns about how much memory they take.
func (j *OneShotJoin) keep(scan *shotScan, side *shotSide, rows *[]shotRow) (kept int) {
	var key, text []byte
	for row := range scan.batch.Rows {
		if scan.bad[row] {
			continue
		}
		key, text = key[:0], text[:0]
		null := false
		for i, column := range side.keys {
			v := scan.batch.Columns.Cols[column].Value(row)
			null = null || v.IsNull()
			key = codecs.AppendKey(key, v)
			if i > 0 {
				text = append(text, '|')
			}
			text = shotText(text, v)
		}
		if null {
			key = key[:0]
		}
		r := shotRow{
			key: string(key), text: string(text), time: int64(scan.batch.Times[row]), row: side.rows.append(nil, &scan.batch, row),
		}
		*rows = append(*rows, r)
		kept += len(r.key) + len(r.text) + len(r.row) + 96
	}
	return kept
}

// shotWatermark is the lower of the highest times of both sides.
func shotWatermark(rows [2][]shotRow) *int64 {
	if len(rows[0]) == 0 || len(rows[1]) == 0 {
		return nil
	}
	byTime := func(a, b shotRow) int { return cmp.Compare(a.time, b.time) }
	low := min(slices.MaxFunc(rows[0], byTime).time, slices.MaxFunc(rows[1], byTime).time)
	return &low
}

// candidates are the right rows of one key, by time and then in log order.
type candidates struct {
	rows []int
	// cover[i] is how many more left rows match rows[i] than rows[i-1].
	cover []int
}

// join pairs the rows. Which rows match something is known in time proportional to
// the rows, not to the pairs; those are made only as far as the answer takes them.
func (j *OneShotJoin) join(left, right []shotRow, out *OneShotJoined, room int) {
	byKey := make(map[string]*candidates)
	for i := range right {
		if key := right[i].key; key != "" {
			if byKey[key] == nil {
				byKey[key] = &candidates{}
			}
			byKey[key].rows = append(byKey[key].rows, i)
		}
	}
	for _, c := range byKey {
		sort.SliceStable(c.rows, func(a, b int) bool { return right[c.rows[a]].time < right[c.rows[b]].time })
		c.cover = make([]int, len(c.rows)+1)
	}
	e := &emission{join: j, out: out, room: room}
	var lone []*shotRow
	for i := range left {
		l := &left[i]
		from, to, c := 0, 0, byKey[l.key]
		if c != nil {
			from = sort.Search(len(c.rows), func(n int) bool { return right[c.rows[n]].time >= l.time-j.span })
			to = sort.Search(len(c.rows), func(n int) bool { return right[c.rows[n]].time > l.time+j.span })
		}
		if from >= to {
			lone = append(lone, l)
			continue
		}
		if j.once {
			to = from + 1
		}
		c.cover[from]++
		c.cover[to]--
		for n := from; n < to && e.emit(l, &right[c.rows[n]]); n++ {
		}
	}
	out.Outer[0] = len(lone)
	matched := make([]bool, len(right))
	for _, c := range byKey {
		for n, depth := 0, 0; n < len(c.rows); n++ {
			depth += c.cover[n]
			matched[c.rows[n]] = depth > 0
		}
	}
	for i := 0; j.outer[0] && i < len(lone) && e.emit(lone[i], nil); i++ {
	}
	going := true
	for i := range right {
		if matched[i] {
			continue
		}
		out.Outer[1]++
		going = going && j.outer[1] && e.emit(nil, &right[i])
	}
}

// emission fills the answer.
type emission struct {
	join *OneShotJoin
	out  *OneShotJoined
	room int // bytes
}

// emit adds a row, one side of which may be missing; false where there is no room.
func (e *emission) emit(left, right *shotRow) bool {
	if len(e.out.Rows) >= e.join.most || e.room <= 0 {
		e.out.Truncated = true
		return false
	}
	present := left
	if left == nil {
		present = right
	}
	dst := []byte(`{"key":`)
	if present.key == "" {
		dst = append(dst, "null"...)
	} else {
		dst = codecs.AppendJSONString(dst, present.text)
	}
	dst = appendShotTime(dst, `,"left_ts_ms":`, left)
	dst = appendShotTime(dst, `,"right_ts_ms":`, right)
	dst = e.appendSide(dst, `,"left":`, left)
	dst = append(e.appendSide(dst, `,"right":`, right), '}')
	e.out.Rows = append(e.out.Rows, dst)
	e.room -= len(dst)
	return true
}

func appendShotTime(dst []byte, name string, r *shotRow) []byte {
	dst = append(dst, name...)
	if r == nil {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, r.time, 10)
}

func (e *emission) appendSide(dst []byte, name string, r *shotRow) []byte {
	dst = append(dst, name...)
	switch {
	case r != nil:
		return append(dst, r.row...)
	case e.join.blanks:
		return append(dst, "{}"...)
	}
	return append(dst, "null"...)
}
