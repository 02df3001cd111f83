package oracle

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// A session of a key is a longest run of its rows, in the order of their event times
// and over all partitions, each less than the gap behind the one before. It begins
// with its first event time and ends a gap behind its last one.
//
// In a partition the rows of a session are folded in partial sessions, as the log
// brings them: a row joins the partial sessions of its partition that it is less than
// the gap away from, the earlier one before the later one, and is added to what
// they have become; one that is near none begins a new one. What is left of them at the
// end is joined by partition and, in a partition, by time.

// windows makes windows of the sessions that all used rows have.
func (e *evaluation) sessionWindows() {
	for key, rows := range e.sessions {
		type place struct {
			t            int64
			partition, i int
		}
		var all []place
		for p, list := range rows.rows {
			for i, entry := range list {
				all = append(all, place{entry.t, p, i})
			}
		}
		slices.SortFunc(all, func(a, b place) int { return cmp.Compare(a.t, b.t) })
		for from := 0; from < len(all); {
			to := from + 1
			for to < len(all) && all[to].t-all[to-1].t < e.q.Window {
				to++
			}
			g := &group{keys: rows.keys, rows: make([][]entry, len(rows.rows)), start: all[from].t}
			end := all[to-1].t + e.q.Window
			if e.q.Window == endless {
				end = math.MaxInt64
			}
			run := all[from:to]
			slices.SortFunc(run, func(a, b place) int {
				return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.i, b.i))
			})
			for _, at := range run {
				g.rows[at.partition] = append(g.rows[at.partition], rows.rows[at.partition][at.i])
			}
			if e.windows[end] == nil {
				e.windows[end] = map[string]*group{}
			}
			e.windows[end][key] = g
			g.replaced = e.q.Running && to < len(all)
			from = to
		}
	}
}

// part is rows that are folded for themselves: what was joined first, and then the
// cells in the order of the log.
type part struct {
	joined []part
	cells  []cell
}

// all are the cells of a part in the order in which they are looked at.
func (p part) all() (list []cell) {
	for _, j := range p.joined {
		list = append(list, j.all()...)
	}
	return append(list, p.cells...)
}

// panes divides the rows of one partition by the windows that they count in, or into
// partial sessions, in the order of time. add adds a row to a part.
func panes(rows []entry, add func(*part, entry)) (list []part) {
	if len(rows) > 0 && rows[0].gap > 0 {
		return partialSessions(rows, add)
	}
	byPane := map[[2]int64]*part{}
	for _, e := range rows {
		if byPane[e.pane] == nil {
			byPane[e.pane] = &part{}
		}
		add(byPane[e.pane], e)
	}
	for _, pane := range slices.SortedFunc(maps.Keys(byPane), func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) }) {
		list = append(list, *byPane[pane])
	}
	return list
}

func partialSessions(rows []entry, add func(*part, entry)) (list []part) {
	type session struct {
		part
		first, last int64
	}
	var open []session // by time
	for _, e := range rows {
		joined := session{first: e.t, last: e.t}
		var near, others []session
		for _, s := range open {
			if e.t < s.last+e.gap && s.first < e.t+e.gap {
				near = append(near, s)
				joined.first, joined.last = min(joined.first, s.first), max(joined.last, s.last)
			} else {
				others = append(others, s)
			}
		}
		if len(near) == 1 {
			joined.part = near[0].part
		} else {
			for _, s := range near {
				joined.joined = append(joined.joined, s.part)
			}
		}
		add(&joined.part, e)
		open = append(others, joined)
		slices.SortFunc(open, func(a, b session) int { return cmp.Compare(a.first, b.first) })
	}
	for _, s := range open {
		list = append(list, s.part)
	}
	return list
}
