package torture

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// checkTime bounds the search for an order of one history.
const checkTime = 30 * time.Second

// place names a partition.
type place struct {
	topic     string
	partition int
}

func (p place) String() string { return fmt.Sprintf("%s/%d", p.topic, p.partition) }

// appended is one attempt to append records.
type appended struct {
	call, ret int64
	ids       []uint64
	key       string // of idempotency, "" = none
	outcome   outcome
	stored    stored
}

// consumed is one read that was answered.
type consumed struct {
	call, ret   int64
	from, limit int64
	page        page
}

// trimmed is one attempt to delete before an offset.
type trimmed struct {
	call, ret int64
	before    int64
	outcome   outcome
	deleted   int64
}

// record is where a record was seen, by an acknowledgement or a read.
type record struct {
	at    int64 // -1 = nowhere yet
	call  int64 // when the request began that was acknowledged, 0 = none
	keyed bool
}

// partition is the history of a partition. What was seen where is kept for good;
// the operations are kept for one life of the process, between two states that
// are known: nothing in flight survives the process. It is safe for concurrent use.
type partition struct {
	place place
	// shrinks: the node takes records away by itself, unseen.
	shrinks bool

	mu          sync.Mutex
	first, next int64 // at the beginning of this life
	seen        int64 // one past the last offset seen
	records     map[uint64]*record
	at          map[int64]uint64
	appends     []appended
	reads       []consumed
	trims       []trimmed
	wrong       []error
	tally       tally
}

func newPartition(topic string, number int) *partition {
	return &partition{place: place{topic, number}, records: make(map[uint64]*record), at: make(map[int64]uint64)}
}

// send notes records that are about to be sent.
func (p *partition) send(ids []uint64, keyed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.records[id] = &record{at: -1, keyed: keyed}
	}
}

func (p *partition) problem(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Errorf("%s: "+format, append([]any{p.place}, args...)...))
}

// saw notes that a record lies at an offset. An offset holds one record for good,
// and a record has one offset.
func (p *partition) saw(id uint64, offset int64) {
	r := p.records[id]
	if r == nil {
		p.problem("record %d at offset %d was never sent here", id, offset)
		return
	}
	if have, known := p.at[offset]; known && have != id {
		p.tally.lost++
		p.problem("offset %d holds record %d and then record %d", offset, have, id)
	}
	if r.at >= 0 && r.at != offset {
		p.tally.doubled++
		p.problem("record %d (idempotency key: %t) lies at offset %d and at offset %d", id, r.keyed, r.at, offset)
	}
	r.at = offset
	p.at[offset] = id
	p.seen = max(p.seen, offset+1)
}

// still is the longest time in this life between two answers that said a record is there.
func (p *partition) still() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var answered []int64
	for i := range p.appends {
		if p.appends[i].outcome == done {
			answered = append(answered, p.appends[i].ret)
		}
	}
	slices.Sort(answered)
	longest := int64(0)
	for i := range max(1, len(answered)) - 1 {
		longest = max(longest, answered[i+1]-answered[i])
	}
	return time.Duration(longest)
}

func (p *partition) appended(a appended) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.appends = append(p.appends, a)
	if a.outcome != done {
		return
	}
	for i, id := range a.ids {
		p.saw(id, a.stored.at+int64(i))
		if r := p.records[id]; r != nil && r.call == 0 {
			r.call = a.call
			p.tally.acknowledged++
		}
	}
}

func (p *partition) consumed(c consumed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads = append(p.reads, c)
	for i, id := range c.page.ids {
		p.saw(id, c.page.offsets[i])
	}
	if n := len(c.page.offsets); n > 0 && (c.page.next != c.page.offsets[n-1]+1 || c.page.offsets[0] < c.from) {
		p.problem("a read from %d answers offsets %d to %d and next %d", c.from, c.page.offsets[0], c.page.offsets[n-1], c.page.next)
	}
	if span := c.page.next - c.from; span != int64(len(c.page.ids))+c.page.skipped {
		p.problem("a read from %d to %d answers %d records and skipped %d", c.from, c.page.next, len(c.page.ids), c.page.skipped)
	}
}

// found notes what a node has that others may be ahead of: where, and not when.
func (p *partition) found(got page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, id := range got.ids {
		p.saw(id, got.offsets[i])
	}
}

func (p *partition) trimmed(c trimmed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trims = append(p.trims, c)
}

// end is one past the last offset that was seen.
func (p *partition) end() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// keeps checks that of what is gone, being below first, nothing was sent and
// acknowledged after a time. It looks at the last hundred.
func (p *partition) keeps(first, since int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for offset := max(0, first-100); offset < first; offset++ {
		id, known := p.at[offset]
		if r := p.records[id]; known && r != nil && r.call > max(0, since+early) {
			p.problem("record %d at offset %d is gone too early: the first is %d", id, offset, first)
		}
	}
}

// settle checks a life of the process that has ended. The whole partition, or all
// from the offset at which this life began, has been read since with nobody
// writing: first and next is what that reading found, at when it was over.
func (p *partition) settle(first, next, at int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.totals(first, next)
	if len(p.wrong) > 0 {
		return p.wrong[0]
	}
	if err := p.order(first, next, at); err != nil {
		return err
	}
	p.tally.operations += len(p.appends) + len(p.reads) + len(p.trims)
	p.first, p.next = first, next
	p.appends, p.reads, p.trims = nil, nil, nil
	return nil
}

// totals checks what needs no order.
func (p *partition) totals(first, next int64) {
	if first < p.first || next < p.next {
		p.problem("it went from [%d, %d) back to [%d, %d)", p.first, p.next, first, next)
	}
	for i := range p.appends {
		a := &p.appends[i]
		if over := a.stored.at + int64(len(a.ids)) - next; a.outcome == done && over > 0 {
			p.tally.lost += min(int(over), len(a.ids))
			p.problem("records were acknowledged at offset %d, and it ends at %d", a.stored.at, next)
		}
	}
	for offset := max(p.next, first); offset < next; offset++ {
		if _, known := p.at[offset]; !known {
			p.problem("nothing is at offset %d of [%d, %d)", offset, first, next)
		}
	}
}

// order looks for an order of the operations that a log could have done.
func (p *partition) order(first, next, at int64) error {
	if p.shrinks {
		return nil // of what is gone unseen nobody knows whether it was there
	}
	ends := append(p.ends(), porcupine.Operation{Input: endOf{kind: sees, at: next, exact: true}, Call: at, Return: at + 1})
	if err := linearizable(endModel(p.next), ends); err != nil {
		return fmt.Errorf("%s, the end of the log: %w", p.place, err)
	}
	starts := append(p.starts(), porcupine.Operation{Input: endOf{kind: sees, at: first, exact: true}, Call: at, Return: at + 1})
	if err := linearizable(startModel(p.first), starts); err != nil {
		return fmt.Errorf("%s, the beginning of the log: %w", p.place, err)
	}
	return nil
}

// endOf is an operation on one end of the log.
type endOf struct {
	kind  endKind
	at    int64 // where it happens, or what a read saw
	count int64
	exact bool // of a read: the end is at, and not only beyond it
}

type endKind uint8

const (
	grows  endKind = iota // puts count records at an offset
	repeat                // was told that they are there already
	tries                 // may have put them there, or found them there, with a key
	sees                  // reads
	empty                 // reads nothing from an offset
	trims                 // moves the beginning to an offset, over count records
	trim                  // the same without an answer
)

// ends are the operations on the end of the log. Of an append without an answer
// the log tells whether it happened: what is not there never did.
func (p *partition) ends() []porcupine.Operation {
	first := make(map[string]bool) // keys whose first copy was acknowledged as such
	for _, a := range p.appends {
		if a.outcome == done && !a.stored.duplicate {
			first[a.key] = true
		}
	}
	var all []porcupine.Operation
	add := func(call, ret int64, o endOf) {
		all = append(all, porcupine.Operation{Input: o, Call: call, Return: ret})
	}
	for _, a := range p.appends {
		o := endOf{kind: grows, at: p.records[a.ids[0]].at, count: int64(len(a.ids))}
		switch {
		case a.outcome == done && a.stored.duplicate:
			o.kind = repeat
			add(a.call, a.ret, o)
		case a.outcome == done:
			add(a.call, a.ret, o)
		case a.outcome == full || o.at < p.next || a.key != "" && first[a.key]:
			// It did nothing, or found what an earlier life had written.
		case a.key != "":
			o.kind = tries
			add(a.call, math.MaxInt64, o)
		default:
			add(a.call, math.MaxInt64, o)
		}
	}
	for _, c := range p.reads {
		if c.page.next == c.from {
			add(c.call, c.ret, endOf{kind: empty, at: c.from})
			continue
		}
		full := int64(len(c.page.ids)) >= c.limit || c.page.truncated
		add(c.call, c.ret, endOf{kind: sees, at: c.page.next, exact: !full})
	}
	return all
}

// starts are the operations on the beginning of the log.
func (p *partition) starts() []porcupine.Operation {
	var all []porcupine.Operation
	for _, c := range p.trims {
		switch c.outcome {
		case done:
			all = append(all, porcupine.Operation{Input: endOf{kind: trims, at: c.before, count: c.deleted}, Call: c.call, Return: c.ret})
		case unknown:
			all = append(all, porcupine.Operation{Input: endOf{kind: trim, at: c.before}, Call: c.call, Return: math.MaxInt64})
		}
	}
	for _, c := range p.reads {
		whole := c.page.next-c.from == int64(len(c.page.ids))+c.page.skipped
		start := c.from + c.page.skipped
		if n := len(c.page.offsets); n > 0 && c.page.offsets[0] != start {
			whole = false // it was overtaken while it read
		}
		if whole && c.page.skipped > 0 {
			all = append(all, porcupine.Operation{Input: endOf{kind: sees, at: start, exact: true}, Call: c.call, Return: c.ret})
		} else if whole && len(c.page.ids) > 0 {
			all = append(all, porcupine.Operation{Input: endOf{kind: sees, at: start}, Call: c.call, Return: c.ret})
		}
	}
	return all
}

// endModel is the end of a log as an object: the next offset.
func endModel(next int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return next },
		Step: func(state, input, _ any) (bool, any) {
			next, o := state.(int64), input.(endOf)
			switch o.kind {
			case grows:
				return next == o.at, o.at + o.count
			case repeat:
				return next >= o.at+o.count, next
			case tries:
				return next == o.at || next >= o.at+o.count, max(next, o.at+o.count)
			case empty:
				return next <= o.at, next
			}
			return next == o.at || !o.exact && next > o.at, next
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
	}
}

// startModel is the beginning of a log as an object: the first offset.
func startModel(first int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return first },
		Step: func(state, input, _ any) (bool, any) {
			first, o := state.(int64), input.(endOf)
			after := max(first, o.at)
			switch o.kind {
			case trims:
				return after-first == o.count, after
			case trim:
				return true, after
			}
			return first == o.at || !o.exact && first < o.at, first
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
	}
}

// linearizable looks for an order in which the model could have done all that.
func linearizable(m porcupine.Model, history []porcupine.Operation) error {
	switch porcupine.CheckOperationsTimeout(m, history, checkTime) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("no order of %d operations found in %s", len(history), checkTime)
	}
	return fmt.Errorf("no order of the %d operations explains the answers%s", len(history), listing(m, history))
}

// listing writes a history down, as far as somebody may want to read it.
func listing(m porcupine.Model, history []porcupine.Operation) string {
	var b strings.Builder
	sorted := slices.SortedFunc(slices.Values(history), func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, o := range sorted[:min(len(sorted), 400)] {
		fmt.Fprintf(&b, "\n%12d %20d %s", o.Call, o.Return, m.DescribeOperation(o.Input, o.Output))
	}
	return b.String()
}
