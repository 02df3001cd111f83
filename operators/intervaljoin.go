package operators

import "leat/dataflow"

// intervalJoin joins a left row at t and the right rows from t - before to t + after,
// both included. A row is late iff it is below the watermark it carries. A left row
// goes out unmatched when the watermark is above t + after, a right one when it is above
// t + before. So that all joined rows leave in the order of their event times, all of
// them are held back by the largest of these that can happen: not at all in an inner
// join.
type intervalJoin struct {
	reach [2]int64 // by side: how far behind its rows those of the other side may be
	hold  int64
	once  bool
}

// IntervalJoin joins a left row and the right rows from beforeMs before to afterMs after
// it; neither is negative. outer says of which sides unmatched rows go out, once whether
// a left row matches but the first of them.
func IntervalJoin(beforeMs, afterMs int64, outer [2]bool, once bool) Reach {
	r := intervalJoin{reach: [2]int64{Left: afterMs, Right: beforeMs}, once: once}
	for side, is := range outer {
		if is {
			r.hold = max(r.hold, r.reach[side])
		}
	}
	return r
}

func (r intervalJoin) late(side int, t, w dataflow.Time) (late bool, start, end dataflow.Time) {
	start, end = r.span(side, t)
	return t < w, start, end
}

func (r intervalJoin) span(side int, t dataflow.Time) (from, to dataflow.Time) {
	return t.Minus(r.reach[1-side]), t.Plus(r.reach[side])
}

func (r intervalJoin) arrived(w dataflow.Time) dataflow.Time { return w }

func (r intervalJoin) final(w dataflow.Time) dataflow.Time { return behind(w, r.hold) }

// needed: a row may still be joined to one of the other side that is as far behind it as
// can be. To know that a left row has matched another one before, the right rows that it
// could have matched are kept as long as the left row is.
func (r intervalJoin) needed(side int, final dataflow.Time) dataflow.Time {
	t := behind(final, r.reach[side])
	if r.once && side == Right {
		t = behind(t, r.reach[Left])
	}
	return t
}

func behind(t dataflow.Time, by int64) dataflow.Time {
	if t == dataflow.MaxTime {
		return t
	}
	return t.Minus(by)
}

func (r intervalJoin) window(dataflow.Time) (start, end dataflow.Time) {
	return dataflow.MinTime, dataflow.MaxTime
}

// bucket is a quarter of the time that a row may be kept behind the watermark.
func (r intervalJoin) bucket() int64 {
	return max(minBucketMs, int64(dataflow.Time(r.reach[Left]).Plus(r.reach[Right]))/4)
}
