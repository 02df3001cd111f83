package queries

import "slices"

// maxPassed is how many rounds others may take while a lane has rows.
const maxPassed = 64

// pick chooses the lanes to read in the next round, in ascending order, none if there
// is nothing to be read: those with the lowest watermarks, so that state stays small,
// unless another has waited too long.
func (j *Job) pick() ([]int, error) {
	if err := j.survey(); err != nil {
		return nil, err
	}
	most := j.options.Workers
	if j.random != nil {
		most = 1 + j.random.IntN(most)
	}
	chosen := j.chosen[:0]
	for len(chosen) < most {
		best := j.choose()
		if best < 0 || j.lanes[best].alone && len(chosen) > 0 {
			break
		}
		chosen = append(chosen, best)
		j.lanes[best].chosen = true
		if j.lanes[best].alone {
			break
		}
	}
	slices.Sort(chosen)
	for _, l := range j.lanes {
		if l.chosen || !l.ready || l.held {
			l.passed = 0
		} else {
			l.passed++
		}
		l.chosen = false
	}
	j.chosen = chosen
	return chosen, nil
}

// survey finds the lanes that are ready and, of them, those that are held: while the
// state that the watermark drops is above its soft bound, only lanes at the watermark of
// the query are read. What is ahead of it would make that state grow and closes no window.
func (j *Job) survey() error {
	held := j.graph.StateBytes()
	if j.endless > 0 {
		held -= j.graph.StateBytesOf(j.endless) // it grows whichever lane is read
	}
	bounded := held > j.options.LeadBytes
	for _, l := range j.lanes {
		var err error
		if l.ready, err = l.hasRows(j.topics); err != nil {
			return err
		}
	}
	lowest := j.watermark()
	for i, l := range j.lanes {
		l.held = bounded && l.ready && j.times[i].Watermark(i) > lowest
	}
	return nil
}

// choose returns the lane to read before all others but those already chosen, -1 if
// there is none.
func (j *Job) choose() int {
	best, seen := -1, 0
	for i, l := range j.lanes {
		if !l.ready || l.held || l.chosen {
			continue
		}
		seen++
		switch {
		case best < 0:
			best = i
		case j.random != nil:
			if j.random.IntN(seen) == 0 {
				best = i
			}
		case j.before(l, i, best):
			best = i
		}
	}
	return best
}

// before tells whether lane i is to be read before lane best.
func (j *Job) before(l *lane, i, best int) bool {
	waited, other := l.passed >= maxPassed, j.lanes[best].passed >= maxPassed
	if waited != other {
		return waited
	}
	return j.times[i].Watermark(i) < j.times[best].Watermark(best)
}
