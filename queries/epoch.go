package queries

import "leat/log"

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
)

// output collects what one epoch will append to the query's logs.
type output struct {
	results, late, dead log.Block
	rows                RowCounts // of the query up to here
	read                int       // rows since the last epoch
}

func (o *output) bytes() int {
	return len(o.results.Bytes) + len(o.late.Bytes) + len(o.dead.Bytes)
}

func (o *output) empty() bool { return o.bytes() == 0 && o.read == 0 }

// take adds what a turn has kept, and leaves the turn empty.
func (o *output) take(t *turn) {
	for _, move := range [][2]*log.Block{{&o.results, &t.results}, {&o.late, &t.late}, {&o.dead, &t.dead}} {
		move[0].Bytes = append(move[0].Bytes, move[1].Bytes...)
		move[0].Count += move[1].Count
	}
	o.read += int(t.rows.In)
	o.rows.add(t.rows)
	t.reset()
}

// reset starts the next epoch.
func (o *output) reset() {
	for _, b := range []*log.Block{&o.results, &o.late, &o.dead} {
		b.Bytes, b.Count = b.Bytes[:0], 0
	}
	o.read = 0
}
