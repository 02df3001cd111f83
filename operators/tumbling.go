package operators

import "leat/dataflow"

// Tumbling assigns each row to its window [k*size, (k+1)*size), aligned to the Unix
// epoch. A row is late, and leaves here, iff its window's end is at or below the
// watermark that the row itself carries: lateness is a matter of the row's
// partition alone.
type Tumbling struct {
	size int64
}

// NewTumbling makes a Tumbling of windows of sizeMs, which is positive.
func NewTumbling(sizeMs int64) *Tumbling { return &Tumbling{size: sizeMs} }

// Process implements dataflow.Operator. It sets Windows of the rows it keeps.
func (w *Tumbling) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	b.Windows = resize(b.Windows, b.Rows)
	kept := b.Selected[:0]
	start, end := dataflow.MaxTime, dataflow.MinTime // of the window of the row before
	for _, row := range b.Selected {
		if t := b.Times[row]; t < start || t >= end {
			start, end = tumblingWindow(t, w.size)
		}
		if end <= b.Watermarks[row] {
			out.Late(b, int(row), start, end)
			continue
		}
		b.Windows[row] = start
		kept = append(kept, row)
	}
	b.Selected = kept
	return out.Emit(b)
}

// tumblingWindow is the window of t. Event times are bounded, so only windows of
// absurd sizes are cut at the ends of time.
func tumblingWindow(t dataflow.Time, size int64) (start, end dataflow.Time) {
	into := int64(t) % size
	if into < 0 {
		into += size
	}
	start = t.Minus(into)
	return start, t.Plus(size - into)
}
