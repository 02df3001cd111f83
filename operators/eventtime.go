package operators

import (
	"fmt"
	"math"

	"leat/codecs"
	"leat/dataflow"
)

// AppendTime in place of a column takes the append time of the record as its event
// time.
const AppendTime = -1

// EventTime finds the event time of each row and moves the watermark of its
// partition: W(p,o) is the highest event time of partition p before offset o, less
// the delay, or the mark that was set for p before o where that is higher. An event time is an integer of epoch milliseconds, also one written as
// a float, or RFC 3339 text; anything else is a dead letter and moves nothing.
type EventTime struct {
	column  int
	delay   int64 // max_out_of_orderness + allowed_lateness
	highest []dataflow.Time
	marks   []dataflow.Time
}

// NewEventTime makes the operator for a number of source partitions. column is the
// column that holds the event time, or AppendTime: then Times already holds it.
func NewEventTime(column int, delayMs int64, partitions int) *EventTime {
	e := &EventTime{column: column, delay: delayMs, highest: make([]dataflow.Time, partitions), marks: make([]dataflow.Time, partitions)}
	for i := range e.highest {
		e.highest[i], e.marks[i] = dataflow.MinTime, dataflow.MinTime
	}
	return e
}

// Highest is the highest event time seen in a partition, MinTime before the first.
func (e *EventTime) Highest(source int) dataflow.Time { return e.highest[source] }

// SetHighest has a partition go on from what Highest returned at the last checkpoint.
func (e *EventTime) SetHighest(source int, t dataflow.Time) { e.highest[source] = t }

// SetMark has the watermark of a partition be at least t from its next row on.
func (e *EventTime) SetMark(source int, t dataflow.Time) { e.marks[source] = max(e.marks[source], t) }

// Watermark is W(p,o) of the next row of a partition, MinTime before the first one and
// without a mark.
func (e *EventTime) Watermark(source int) dataflow.Time {
	return e.watermark(source, e.highest[source])
}

func (e *EventTime) watermark(source int, highest dataflow.Time) dataflow.Time {
	if highest == dataflow.MinTime {
		return e.marks[source]
	}
	return max(e.marks[source], highest.Minus(e.delay))
}

// Process implements dataflow.Operator. It sets Times and Watermarks.
func (e *EventTime) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	b.Times = resize(b.Times, b.Rows)
	b.Watermarks = resize(b.Watermarks, b.Rows)
	highest := e.highest[b.Source]
	w := e.watermark(b.Source, highest)
	kept := b.Selected[:0]
	for _, row := range b.Selected {
		t := b.Times[row]
		if e.column != AppendTime {
			var reason string
			if t, reason = timeOf(b.Columns.Cols[e.column].Value(int(row))); reason != "" {
				out.Dead(b, int(row), reason)
				continue
			}
			b.Times[row] = t
		}
		b.Watermarks[row] = w
		if t > highest {
			highest = t
			w = e.watermark(b.Source, highest)
		}
		kept = append(kept, row)
	}
	e.highest[b.Source] = highest
	b.Selected = kept
	return out.Emit(b)
}

// timeOf reads an event time, or says why there is none.
func timeOf(v codecs.Value) (t dataflow.Time, reason string) {
	switch v.Kind {
	case codecs.Int:
		t = dataflow.Time(v.Int())
	case codecs.Float:
		f := v.Float()
		if f != math.Trunc(f) || math.Abs(f) > MaxEventTime {
			return 0, fmt.Sprintf("event time %v is not an integer of milliseconds within range", f)
		}
		t = dataflow.Time(f)
	case codecs.String:
		ms, ok := codecs.ParseTime(v.Str)
		if !ok {
			return 0, "event time is text that is not an RFC 3339 time"
		}
		t = dataflow.Time(ms)
	default:
		return 0, "event time is " + v.Kind.String()
	}
	if t > MaxEventTime || t < -MaxEventTime {
		return 0, fmt.Sprintf("event time %d is out of range", t)
	}
	return t, ""
}
