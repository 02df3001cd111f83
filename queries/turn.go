package queries

import (
	"slices"

	"leat/dataflow"
	"leat/log"
)

// turn collects what some batches of one lane put out, or what one watermark does, for
// the epoch to take. It is the sink of the graph meanwhile. What happens between begin
// and end is one step: a batch, or one call of the watermark. A step can be undone; its
// letters are written at its end, in the order of the rows, so that the order of
// operators and the sizes of batches do not show in the logs.
type turn struct {
	results, late, dead log.Block
	rows                RowCounts // of the steps that have ended
	before              int       // bytes in the epoch that the turn goes to
	full                int       // bytes at which the epoch should be cut
	letters             letterWriter
	routed              sinkSet // logs whose records have a route for a key
	route               []byte

	step         RowCounts
	rejects      []reject
	rejectBytes  int // about what their letters will take
	resultsMark  int
	resultsCount int
}

// letterBytes is about what a letter takes beside value and reason.
const letterBytes = 192

// mostLetterBytes is about what the letters of so many rows with so many bytes of
// records take at most.
func mostLetterBytes(rows, bytes int) int { return rows*(letterBytes+maxReasonBytes) + bytes*4/3 }

// reject is a row on its way to the late or the dead-letter log.
type reject struct {
	batch            *dataflow.Batch
	row              int
	late             bool
	start, end       dataflow.Time // of a late row's window
	operator, reason string        // of a dead one
}

func (j *Job) newTurn() turn {
	return turn{
		full: j.options.EpochBytes, routed: sinkSetOf(j.plan.Sinks),
		letters: letterWriter{lanes: j.lanes, grouped: j.plan.groupedNames()},
	}
}

func (t *turn) bytes() int {
	return len(t.results.Bytes) + len(t.late.Bytes) + len(t.dead.Bytes)
}

func (t *turn) begin(rows int) {
	t.step = RowCounts{In: int64(rows)}
	clear(t.rejects)
	t.rejects, t.rejectBytes = t.rejects[:0], 0
	t.resultsMark, t.resultsCount = len(t.results.Bytes), t.results.Count
}

// excessive tells that the step, as it stands, has no room in the epoch.
func (t *turn) excessive() bool { return t.before+t.bytes()+t.rejectBytes > maxOutputBytes }

// undo takes back what the step has done.
func (t *turn) undo() {
	t.results.Bytes, t.results.Count = t.results.Bytes[:t.resultsMark], t.resultsCount
	t.begin(0)
}

// end keeps what the step has done.
func (t *turn) end() {
	slices.SortStableFunc(t.rejects, func(a, b reject) int { return a.row - b.row })
	for i := range t.rejects {
		r := &t.rejects[i]
		if r.late {
			t.late.Add(t.key(t.routed.late, r.batch.Source), t.letters.late(r.batch, r.row, r.start, r.end))
		} else {
			t.dead.Add(t.key(t.routed.dead, r.batch.Source), t.letters.dead(r.batch, r.row, r.operator, r.reason))
		}
	}
	t.rows.add(t.step)
}

// key is the key of a record in one of the query's own logs.
func (t *turn) key(routed bool, source int) []byte {
	if !routed {
		return nil
	}
	partition := -1
	if source >= 0 {
		partition = int(t.letters.lanes[source].partition)
	}
	t.route = route(t.route[:0], partition)
	return t.route
}

func (t *turn) reset() {
	for _, b := range []*log.Block{&t.results, &t.late, &t.dead} {
		b.Bytes, b.Count = b.Bytes[:0], 0
	}
	t.rows = RowCounts{}
	t.begin(0)
}

// Rows implements dataflow.Sink.
func (t *turn) Rows(b *dataflow.Batch) error {
	if len(b.Selected) == 0 {
		return nil
	}
	size := t.before + t.bytes() + t.rejectBytes
	for _, row := range b.Selected {
		size += len(b.Values[row]) + 8
		if len(b.Keys) > 0 {
			size += len(b.Keys[row]) + 1
		}
	}
	if size > maxEpochBytes {
		return dataflow.ErrFull
	}
	key := t.key(t.routed.results, b.Source)
	for _, row := range b.Selected {
		if len(b.Keys) > 0 {
			t.route = append(route(t.route[:0], -1), b.Keys[row]...)
			key = t.route
		}
		t.results.Add(key, b.Values[row])
	}
	t.step.Out += int64(len(b.Selected))
	return nil
}

// Full implements dataflow.Sink.
func (t *turn) Full() bool { return t.before+t.bytes() >= t.full }

// Filtered implements dataflow.Sink.
func (t *turn) Filtered(rows int) { t.step.Filtered += int64(rows) }

// Used implements dataflow.Sink.
func (t *turn) Used(rows int) { t.step.Used += int64(rows) }

// LateWindows implements dataflow.Sink.
func (t *turn) LateWindows(windows int64) { t.step.LateWindows += windows }

// Late implements dataflow.Sink.
func (t *turn) Late(b *dataflow.Batch, row int, start, end dataflow.Time) {
	t.step.Late++
	t.rejectBytes += letterBytes + len(b.Values[row])*4/3
	t.rejects = append(t.rejects, reject{batch: b, row: row, late: true, start: start, end: end})
}

// Dead implements dataflow.Sink.
func (t *turn) Dead(b *dataflow.Batch, row int, operator, reason string) {
	if b.Source < 0 {
		t.step.FailedPanes++
		t.rejectBytes += letterBytes + min(len(reason), maxReasonBytes)
	} else {
		t.step.DeadLettered++
		t.rejectBytes += letterBytes + min(len(reason), maxReasonBytes) + len(b.Values[row])*4/3
	}
	t.rejects = append(t.rejects, reject{batch: b, row: row, operator: operator, reason: reason})
}
