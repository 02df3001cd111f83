package operators

import "leat/dataflow"

// windowJoin joins rows of the same window [k*size, (k+1)*size), aligned to the Unix
// epoch. A row is late iff its window's end is at or below the watermark it carries; a
// window goes out, and is dropped, when the watermark has reached its end.
type windowJoin struct {
	size int64
}

// minBucketMs is the least time that is dropped as a whole: what would be smaller would
// cost more to keep than it saves.
const minBucketMs = 1000

// TumblingJoin joins rows of the same tumbling window of sizeMs, which is positive.
func TumblingJoin(sizeMs int64) Reach { return windowJoin{sizeMs} }

func (r windowJoin) late(_ int, t, w dataflow.Time) (late bool, start, end dataflow.Time) {
	start, end = tumblingWindow(t, r.size)
	return end <= w, start, end
}

func (r windowJoin) span(_ int, t dataflow.Time) (from, to dataflow.Time) {
	start, end := tumblingWindow(t, r.size)
	return start, end - 1
}

func (r windowJoin) arrived(w dataflow.Time) dataflow.Time { return r.final(w) }

// final is the start of the first window that is open at w.
func (r windowJoin) final(w dataflow.Time) dataflow.Time {
	if w == dataflow.MaxTime || w == dataflow.MinTime {
		return w
	}
	start, _ := tumblingWindow(w, r.size)
	return start
}

func (r windowJoin) needed(_ int, final dataflow.Time) dataflow.Time { return final }

func (r windowJoin) window(t dataflow.Time) (start, end dataflow.Time) {
	return tumblingWindow(t, r.size)
}

// bucket is as many windows as make a second.
func (r windowJoin) bucket() int64 {
	if r.size >= minBucketMs {
		return r.size
	}
	return (minBucketMs + r.size - 1) / r.size * r.size
}
