package queries

import (
	"fmt"

	"leat/dataflow"
	"leat/log"
)

// lane is where a job stands in one source partition.
type lane struct {
	topic     string
	partition int32
	next      log.Offset // of the next row to process
	stop      log.Offset // where a bounded run ends, -1 for a continuous one
	cursor    log.Cursor // behind next
	buf       []byte

	// What the epoch has of it: up to which offset, with which highest event time.
	counted log.Offset
	highest dataflow.Time

	idleMs int64      // idle_timeout of its source, 0 for none
	quiet  log.Offset // it was found quiet while it ended here, notQuiet for never
	mark   *idleMark  // its last one, nil for none

	ready  bool // it has rows
	chosen bool // for the next round
	held   bool // but they have to wait: see Job.survey
	alone  bool // its next record is too large for a share of a round
	passed int  // rounds of other lanes while this one was ready
}

// String names the partition.
func (l *lane) String() string { return fmt.Sprintf("%s/%d", l.topic, l.partition) }

// finished tells that a bounded run has read all of the lane.
func (l *lane) finished() bool { return l.stop >= 0 && l.next >= l.stop }

// hasRows tells whether there is something to read.
func (l *lane) hasRows(topics Topics) (bool, error) {
	if l.finished() {
		return false, nil
	}
	p, err := topics.Partition(l.topic, l.partition)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", l, err)
	}
	if p.Sealed {
		l.stop = p.Next
	}
	return p.Next > l.next, nil
}

// take moves rows of one batch, at most so many and, beyond the first one, with at most
// so many bytes, from the lane to the fill. It reads the partition where it has to.
func (l *lane) take(f *fill, topics Topics, readBytes, rows, bytes int) error {
	f.reset()
	if err := l.move(f, rows, bytes); err != nil || len(f.values) > 0 || l.finished() {
		return err
	}
	frames, err := topics.Read(l.topic, l.partition, l.next, readBytes, l.buf)
	if err != nil {
		return fmt.Errorf("read %s from offset %d: %w", l, l.next, err)
	}
	l.buf = frames.Bytes()
	l.cursor = frames.Records(l.next)
	return l.move(f, rows, bytes)
}

func (l *lane) move(f *fill, rows, bytes int) error {
	f.from = l.cursor
	for len(f.values) < rows {
		before := l.cursor
		offset, timeMs, value, ok := l.cursor.NextValue()
		if !ok {
			if err := l.cursor.Err(); err != nil {
				return fmt.Errorf("read %s: %w", l, err)
			}
			break
		}
		if l.stop >= 0 && offset >= l.stop {
			l.cursor = log.Cursor{}
			break
		}
		if len(f.values) > 0 && f.bytes+len(value) > bytes {
			l.cursor = before
			break
		}
		f.values = append(f.values, value)
		f.offsets = append(f.offsets, offset)
		f.times = append(f.times, dataflow.Time(timeMs))
		f.bytes += len(value)
	}
	return nil
}

// back returns the rows of the fill to the lane.
func (l *lane) back(f *fill) {
	l.cursor = f.from
	f.reset()
}

// done moves past the rows of the fill.
func (l *lane) done(f *fill) {
	if n := len(f.offsets); n > 0 {
		l.next = f.offsets[n-1] + 1
	}
}

// fill is the rows of a batch. They are views into the buffer of their lane.
type fill struct {
	from    log.Cursor // of the lane, before them
	values  [][]byte
	offsets []log.Offset
	times   []dataflow.Time // append times
	bytes   int
	batch   dataflow.Batch
}

func (f *fill) reset() {
	f.values, f.offsets, f.times, f.bytes = f.values[:0], f.offsets[:0], f.times[:0], 0
}

// of is the batch of the rows, as those of a source.
func (f *fill) of(source int) *dataflow.Batch {
	b := &f.batch
	b.Source, b.Rows = source, len(f.values)
	b.Values, b.Offsets = f.values, f.offsets
	b.Times = append(b.Times[:0], f.times...)
	return b
}
