package queries

import (
	"fmt"

	"leat/dataflow"
	"leat/log"
)

// lane reads one source partition. Its batch lives until the next fill.
type lane struct {
	partition int32
	next      log.Offset // of the next row to process
	stop      log.Offset // where a bounded run ends, -1 for a continuous one
	passed    int        // batches of other lanes taken while this one had rows

	cursor  log.Cursor
	buf     []byte
	values  [][]byte
	offsets []log.Offset
	times   []dataflow.Time // append times
	taken   int             // rows of the fill already processed
	batch   dataflow.Batch
}

// finished tells that a bounded run has read all of the lane.
func (l *lane) finished() bool { return l.stop >= 0 && l.next >= l.stop }

// hasRows tells whether there is something to process.
func (l *lane) hasRows(topics Topics, topic string) (bool, error) {
	if l.taken < len(l.values) {
		return true, nil
	}
	if l.finished() {
		return false, nil
	}
	p, err := topics.Partition(topic, l.partition)
	if err != nil {
		return false, fmt.Errorf("look at %s/%d: %w", topic, l.partition, err)
	}
	return p.Next > l.next, nil
}

// fill makes the next rows available, unless there still are some.
func (l *lane) fill(topics Topics, topic string, o RunOptions) error {
	if l.taken < len(l.values) {
		return nil
	}
	l.values, l.offsets, l.times, l.taken = l.values[:0], l.offsets[:0], l.times[:0], 0
	if err := l.take(o); err != nil || len(l.values) > 0 {
		return err
	}
	frames, err := topics.Read(topic, l.partition, l.next, o.ReadBytes, l.buf)
	if err != nil {
		return fmt.Errorf("read %s/%d from offset %d: %w", topic, l.partition, l.next, err)
	}
	l.buf = frames.Bytes()
	l.cursor = frames.Records(l.next)
	return l.take(o)
}

// take moves rows from the cursor, of one batch.
func (l *lane) take(o RunOptions) error {
	size := 0
	for len(l.values) < o.BatchRows {
		before := l.cursor
		r, ok := l.cursor.Next()
		if !ok {
			if err := l.cursor.Err(); err != nil {
				return fmt.Errorf("read partition %d: %w", l.partition, err)
			}
			return nil
		}
		if l.stop >= 0 && r.Offset >= l.stop {
			l.cursor = log.Cursor{}
			return nil
		}
		if size > 0 && size+len(r.Value) > o.BatchBytes {
			l.cursor = before
			return nil
		}
		l.values = append(l.values, r.Value)
		l.offsets = append(l.offsets, r.Offset)
		l.times = append(l.times, dataflow.Time(r.TimeMs))
		size += len(r.Value)
	}
	return nil
}

// rows is the batch of the next n rows of the fill.
func (l *lane) rows(source, n int) *dataflow.Batch {
	from, to := l.taken, l.taken+n
	b := &l.batch
	b.Source, b.Rows = source, n
	b.Values, b.Offsets = l.values[from:to], l.offsets[from:to]
	b.Times = append(b.Times[:0], l.times[from:to]...)
	return b
}

// done moves past n rows of the fill.
func (l *lane) done(n int) {
	l.taken += n
	l.next = l.offsets[l.taken-1] + 1
}
