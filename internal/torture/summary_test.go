package torture

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// tally is what was counted of a history.
type tally struct {
	operations   int // that an order was found for
	acknowledged int // records
	lost         int // of the acknowledged, at another offset or at none
	doubled      int // records at more than one offset
}

func (a tally) add(b tally, sign int) tally {
	return tally{a.operations + sign*b.operations, a.acknowledged + sign*b.acknowledged, a.lost + sign*b.lost, a.doubled + sign*b.doubled}
}

// tally counts over everything the clients know.
func (w *world) tally() (sum tally) {
	for _, p := range w.partitions() {
		p.mu.Lock()
		sum = sum.add(p.tally, 1)
		p.mu.Unlock()
	}
	sum.operations += w.registers.operations + w.commits.operations
	return sum
}

// summary gathers what a test has to say in the end, a line for each fault; make faults
// collects the lines.
type summary struct {
	w      *world
	before tally
	lines  []*line
}

// line is about one fault.
type line struct {
	fault   string
	rounds  int
	tally   tally
	resumed []time.Duration // from the fault, or the last write before it, until a write was acknowledged
}

// summarize has a summary written when the test ends, however it ends.
func (w *world) summarize(t *testing.T) *summary {
	s := &summary{w: w}
	t.Cleanup(func() {
		if now := w.tally(); now != s.before {
			s.round("after the last round")
		}
		for _, l := range s.lines {
			t.Logf("summary: %-56s %3d rounds %8d operations %8d acknowledged %d lost %d doubled%s", l.fault, l.rounds,
				l.tally.operations, l.tally.acknowledged, l.tally.lost, l.tally.doubled, l.took())
		}
	})
	return s
}

// round counts what has happened since the last one as a round of a fault.
func (s *summary) round(fault string, resumed ...time.Duration) {
	i := slices.IndexFunc(s.lines, func(l *line) bool { return l.fault == fault })
	if i < 0 {
		i, s.lines = len(s.lines), append(s.lines, &line{fault: fault})
	}
	now := s.w.tally()
	l := s.lines[i]
	l.rounds++
	l.tally, s.before = l.tally.add(now.add(s.before, -1), 1), now
	l.resumed = append(l.resumed, resumed...)
}

func (l *line) took() string {
	if len(l.resumed) == 0 {
		return ""
	}
	median, worst := middle(l.resumed)
	return fmt.Sprintf(", written again after %s, at most %s", median.Round(time.Millisecond), worst.Round(time.Millisecond))
}

// middle is the median and the largest of some times, of which there is one.
func middle(all []time.Duration) (median, worst time.Duration) {
	slices.Sort(all)
	return all[len(all)/2], all[len(all)-1]
}

// TestTally: what a summary counts is what the checks find.
func TestTally(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		doctor func(p *partition, now *int64)
		next   int64
		want   tally
	}{
		"nothing wrong": {func(*partition, *int64) {}, 43, tally{operations: 85, acknowledged: 43}},
		"lost":          {func(*partition, *int64) {}, 41, tally{acknowledged: 43, lost: 2}},
		"replaced":      {func(p *partition, now *int64) { readLedger(p, now, 20, 21) }, 43, tally{acknowledged: 43, lost: 1, doubled: 1}},
		"doubled":       {func(p *partition, now *int64) { readLedger(p, now, 43, 50) }, 44, tally{acknowledged: 43, doubled: 1}},
	} {
		p, now := ledger()
		c.doctor(p, now)
		if err := p.settle(10, c.next, *now+100); (err == nil) != (name == "nothing wrong") || p.tally != c.want {
			t.Errorf("%s: %+v, want %+v; %v", name, p.tally, c.want, err)
		}
	}
}
