package queries

import (
	"slices"

	"leat/dataflow"
	"leat/log"
)

// RowCounts count the rows of a query. In = Used + Filtered + Late + DeadLettered
// at every checkpoint. LateWindows are windows missed by rows that were used
// elsewhere; FailedPanes are grouped rows that ended in the dead-letter log.
type RowCounts struct {
	In           int64 `json:"in"`
	Used         int64 `json:"used"`
	Filtered     int64 `json:"filtered"`
	Late         int64 `json:"late"`
	DeadLettered int64 `json:"dead_lettered"`
	LateWindows  int64 `json:"late_windows"`
	Out          int64 `json:"out"`
	FailedPanes  int64 `json:"failed_panes,omitempty"`
}

func (c *RowCounts) add(d RowCounts) {
	c.In += d.In
	c.Used += d.Used
	c.Filtered += d.Filtered
	c.Late += d.Late
	c.DeadLettered += d.DeadLettered
	c.LateWindows += d.LateWindows
	c.Out += d.Out
	c.FailedPanes += d.FailedPanes
}

const (
	// maxEpochBytes bounds the results of an epoch with the letters known when they
	// come. It has room for the least: a row of the largest size behind an epoch that
	// is about to be cut.
	maxEpochBytes = 2 << 20
	// maxOutputBytes bounds all that a stateless epoch puts out. A stateful one that
	// is not yet to be cut has room for the letters of one batch.
	maxOutputBytes = 3 << 20
	// letterBytes is about what a letter takes beside value and reason.
	letterBytes = 192
)

// output collects what one epoch will append to the query's logs. It is the sink of
// the graph. What happens between begin and end is one turn: a batch of one
// partition, or one call of the watermark. A turn can be undone; its letters are
// written at its end, in the order of the rows, so that the order of operators and
// the sizes of batches do not show in the logs.
type output struct {
	results, late, dead log.Block
	rows                RowCounts // of the query up to here
	read                int       // rows since the last epoch
	full                int       // bytes at which the epoch should be cut
	letters             letterWriter
	routed              sinkSet // logs whose records have a route for a key
	route               []byte

	turn         RowCounts
	rejects      []reject
	rejectBytes  int // about what their letters will take
	resultsMark  int
	resultsCount int
}

// reject is a row on its way to the late or the dead-letter log.
type reject struct {
	batch            *dataflow.Batch
	row              int
	late             bool
	start, end       dataflow.Time // of a late row's window
	operator, reason string        // of a dead one
}

func (o *output) bytes() int {
	return len(o.results.Bytes) + len(o.late.Bytes) + len(o.dead.Bytes)
}

func (o *output) empty() bool { return o.bytes() == 0 && o.read == 0 }

func (o *output) begin(rows int) {
	o.turn = RowCounts{In: int64(rows)}
	clear(o.rejects)
	o.rejects, o.rejectBytes = o.rejects[:0], 0
	o.resultsMark, o.resultsCount = len(o.results.Bytes), o.results.Count
}

// excessive tells that the turn, as it stands, has no room in the epoch.
func (o *output) excessive() bool { return o.bytes()+o.rejectBytes > maxOutputBytes }

// undo takes back what the turn has done.
func (o *output) undo() {
	o.results.Bytes, o.results.Count = o.results.Bytes[:o.resultsMark], o.resultsCount
	o.begin(0)
}

// end keeps what the turn has done.
func (o *output) end() {
	slices.SortStableFunc(o.rejects, func(a, b reject) int { return a.row - b.row })
	for i := range o.rejects {
		r := &o.rejects[i]
		if r.late {
			o.late.Add(o.key(o.routed.late, r.batch.Source), o.letters.late(r.batch, r.row, r.start, r.end))
		} else {
			o.dead.Add(o.key(o.routed.dead, r.batch.Source), o.letters.dead(r.batch, r.row, r.operator, r.reason))
		}
	}
	o.read += int(o.turn.In)
	o.rows.add(o.turn)
}

// key is the key of a record in one of the query's own logs.
func (o *output) key(routed bool, source int) []byte {
	if !routed {
		return nil
	}
	o.route = route(o.route[:0], source)
	return o.route
}

// reset starts the next epoch.
func (o *output) reset() {
	for _, b := range []*log.Block{&o.results, &o.late, &o.dead} {
		b.Bytes, b.Count = b.Bytes[:0], 0
	}
	o.read = 0
}

// Rows implements dataflow.Sink.
func (o *output) Rows(b *dataflow.Batch) error {
	if len(b.Selected) == 0 {
		return nil
	}
	size := o.bytes() + o.rejectBytes
	for _, row := range b.Selected {
		size += len(b.Values[row]) + 8
	}
	if size > maxEpochBytes {
		return dataflow.ErrFull
	}
	key := o.key(o.routed.results, b.Source)
	for _, row := range b.Selected {
		o.results.Add(key, b.Values[row])
	}
	o.turn.Out += int64(len(b.Selected))
	return nil
}

// Full implements dataflow.Sink.
func (o *output) Full() bool { return o.bytes() >= o.full }

// Filtered implements dataflow.Sink.
func (o *output) Filtered(rows int) { o.turn.Filtered += int64(rows) }

// Used implements dataflow.Sink.
func (o *output) Used(rows int) { o.turn.Used += int64(rows) }

// LateWindows implements dataflow.Sink.
func (o *output) LateWindows(windows int64) { o.turn.LateWindows += windows }

// Late implements dataflow.Sink.
func (o *output) Late(b *dataflow.Batch, row int, start, end dataflow.Time) {
	o.turn.Late++
	o.rejectBytes += letterBytes + len(b.Values[row])*4/3
	o.rejects = append(o.rejects, reject{batch: b, row: row, late: true, start: start, end: end})
}

// Dead implements dataflow.Sink.
func (o *output) Dead(b *dataflow.Batch, row int, operator, reason string) {
	if b.Source < 0 {
		o.turn.FailedPanes++
	} else {
		o.turn.DeadLettered++
		o.rejectBytes += letterBytes + min(len(reason), maxReasonBytes) + len(b.Values[row])*4/3
	}
	o.rejects = append(o.rejects, reject{batch: b, row: row, operator: operator, reason: reason})
}
