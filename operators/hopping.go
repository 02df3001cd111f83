package operators

import "leat/dataflow"

// Hopping assigns each row to its windows [k*every, k*every+size), aligned to the Unix
// epoch. A row is late for a window iff the window's end is at or below the watermark
// that the row itself carries. It counts in each of its windows it is not late for,
// and leaves here as late where that is none.
type Hopping struct {
	size, every int64
}

// MaxHoppingMs bounds the size of hopping windows: event times plus a size never
// overflow.
const MaxHoppingMs = MaxEventTime

// NewHopping makes a Hopping of windows of sizeMs, at most MaxHoppingMs, that begin
// everyMs apart, which is positive and at most sizeMs.
func NewHopping(sizeMs, everyMs int64) *Hopping { return &Hopping{size: sizeMs, every: everyMs} }

// Process implements dataflow.Operator. It sets Windows to the start of the first
// window that a row counts in. The late letter of a row spans all its windows.
func (h *Hopping) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	b.Windows = resize(b.Windows, b.Rows)
	kept := b.Selected[:0]
	for _, row := range b.Selected {
		earliest, latest := hoppingWindows(b.Times[row], h.size, h.every)
		start := earliest
		if w := b.Watermarks[row]; w >= earliest.Plus(h.size) {
			start = firstBehind(w, h.size, h.every)
		}
		if start > latest {
			out.Late(b, int(row), earliest, latest.Plus(h.size))
			continue
		}
		b.Windows[row] = start
		kept = append(kept, row)
	}
	b.Selected = kept
	return out.Emit(b)
}

// hoppingWindows are the starts of the first and of the last window that t lies in.
func hoppingWindows(t dataflow.Time, size, every int64) (earliest, latest dataflow.Time) {
	latest, _ = tumblingWindow(t, every)
	return firstBehind(t, size, every), latest
}

// firstBehind is the start of the first window with an end beyond t.
func firstBehind(t dataflow.Time, size, every int64) dataflow.Time {
	_, next := tumblingWindow(t.Minus(size), every)
	return next
}
