package torture

import (
	"strings"
	"testing"
	"time"
)

// ledger is an honest history of a partition: 40 records, one by one and read
// after each, a batch, a key tried three times, a trim.
func ledger() (*partition, *int64) {
	p := newPartition("t", 0)
	now := new(int64)
	span := func() (int64, int64) { *now += 10; return *now - 10, *now - 5 }
	for id := range uint64(40) {
		call, ret := span()
		p.send([]uint64{id}, false)
		p.appended(appended{call: call, ret: ret, ids: []uint64{id}, stored: stored{at: int64(id)}})
		readLedger(p, now, int64(id), id)
	}
	call, ret := span()
	p.send([]uint64{50, 51, 52}, true)
	p.appended(appended{call: call, ret: ret, ids: []uint64{50, 51, 52}, key: "k", outcome: unknown})
	call, ret = span()
	p.appended(appended{call: call, ret: ret, ids: []uint64{50, 51, 52}, key: "k", stored: stored{at: 40, duplicate: true}})
	call, ret = span()
	p.send([]uint64{60}, false)
	p.appended(appended{call: call, ret: ret, ids: []uint64{60}, outcome: unknown}) // it never happened
	call, ret = span()
	p.trimmed(trimmed{call: call, ret: ret, before: 10, deleted: 10})
	readLedger(p, now, 10, 10, 11, 12)
	return p, now
}

// readLedger notes a read of records that lie one after the other up to the end.
func readLedger(p *partition, now *int64, from int64, ids ...uint64) {
	*now += 10
	got := page{ids: ids, next: from + int64(len(ids)), truncated: len(ids) > 1}
	for i := range ids {
		got.offsets = append(got.offsets, from+int64(i))
	}
	p.consumed(consumed{call: *now - 10, ret: *now - 5, from: from, limit: 100, page: got})
}

// TestPartitionCheckSees: a check that never failed proves nothing.
func TestPartitionCheckSees(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		doctor func(p *partition, now *int64)
		first  int64
		next   int64
		want   string
	}{
		"nothing wrong":   {func(*partition, *int64) {}, 10, 43, ""},
		"lost at the end": {func(*partition, *int64) {}, 10, 42, "and it ends at 42"},
		"all lost":        {func(*partition, *int64) {}, 10, 20, "and it ends at 20"},
		"lost inside":     {func(p *partition, _ *int64) { delete(p.at, 20) }, 10, 43, "nothing is at offset 20"},
		"replaced":        {func(p *partition, now *int64) { readLedger(p, now, 20, 21) }, 10, 43, "offset 20 holds record 20 and then record 21"},
		"doubled":         {func(p *partition, now *int64) { readLedger(p, now, 43, 50) }, 10, 44, "lies at offset 40 and at offset 43"},
		"invented":        {func(p *partition, now *int64) { readLedger(p, now, 43, 99) }, 10, 44, "never sent"},
		"twice acknowledged": {func(p *partition, now *int64) {
			p.appended(appended{call: *now, ret: *now + 5, ids: []uint64{50, 51, 52}, key: "k", stored: stored{at: 43}})
		}, 10, 46, "lies at offset 40 and at offset 43"},
		"key taken for new": {func(p *partition, now *int64) {
			p.appended(appended{call: *now, ret: *now + 5, ids: []uint64{50, 51, 52}, key: "k", stored: stored{at: 40}})
		}, 10, 43, "the end of the log: no order"},
		"out of order": {func(p *partition, _ *int64) {
			a, b := &p.appends[3], &p.appends[30]
			a.call, a.ret, b.call, b.ret = b.call, b.ret, a.call, a.ret
		}, 10, 43, "the end of the log: no order"},
		"stale read": {func(p *partition, now *int64) {
			p.consumed(consumed{call: *now, ret: *now + 5, from: 42, limit: 100, page: page{next: 42}})
		}, 10, 43, "the end of the log: no order"},
		"stale page": {func(p *partition, _ *int64) { p.reads[len(p.reads)-1].page.truncated = false }, 10, 43, "the end of the log: no order"},
		"read ahead": {func(p *partition, _ *int64) { p.reads[5].call, p.reads[5].ret = 1, 2 }, 10, 43, "the end of the log: no order"},
		"gap in a read": {func(p *partition, now *int64) {
			p.consumed(consumed{call: *now, ret: *now + 5, from: 20, limit: 100, page: page{ids: []uint64{20, 22}, offsets: []int64{20, 22}, next: 23, truncated: true}})
		}, 10, 43, "answers 2 records and skipped 0"},
		"trimmed too much":        {func(*partition, *int64) {}, 11, 43, "the beginning of the log: no order"},
		"trimmed comes back":      {func(*partition, *int64) {}, 9, 43, "the beginning of the log: no order"},
		"read of what is trimmed": {func(p *partition, now *int64) { readLedger(p, now, 5, 5, 6) }, 10, 43, "the beginning of the log: no order"},
		"miscounted trim":         {func(p *partition, _ *int64) { p.trims[0].deleted = 9 }, 10, 43, "the beginning of the log: no order"},
		"back in a life":          {func(p *partition, _ *int64) { p.first = 12 }, 10, 43, "back to"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, now := ledger()
			c.doctor(p, now)
			*now += 100
			expect(t, p.settle(c.first, c.next, *now), c.want)
		})
	}
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("the check says %v, not %q", err, want)
	}
}

// TestUnansweredAppends: an append without an answer may have happened, at any
// time, but not twice, and not before it was asked for.
func TestUnansweredAppends(t *testing.T) {
	t.Parallel()
	p, now := ledger()
	*now += 10
	p.send([]uint64{61}, false)
	p.appended(appended{call: *now, ret: *now + 1, ids: []uint64{61}, outcome: unknown})
	readLedger(p, now, 43, 61)
	expect(t, p.settle(10, 44, *now+10), "")
	// In the next life it is not there a second time, and what was missing stays so.
	readLedger(p, now, 44)
	expect(t, p.settle(10, 44, *now+20), "")
	p.send([]uint64{62}, false)
	readLedger(p, now, 44, 62)
	p.appended(appended{call: *now, ret: *now + 1, ids: []uint64{62}, outcome: unknown})
	expect(t, p.settle(10, 45, *now+30), "the end of the log: no order")
}

func touchedAt(at int, o touched) *touched {
	o.call, o.ret, o.key = int64(at)*int64(time.Second), int64(at)*int64(time.Second)+int64(time.Millisecond), "k"
	if o.cas == 0 {
		o.cas = -1
	}
	return &o
}

// TestRegisterCheckSees: histories of one key, each operation a second after the
// one before, and whether a register with TTL could have answered so.
func TestRegisterCheckSees(t *testing.T) {
	t.Parallel()
	const create = -2 // stands for cas=0 below
	absent, expired := touched{outcome: refused}, touched{outcome: refused, expired: true}
	write := func(value uint64, version int64) touched { return touched{kind: put, value: value, version: version} }
	read := func(value uint64, version int64) touched { return touched{value: value, version: version} }
	brief := touched{kind: put, value: 1, version: 1, ttl: 1500 * time.Millisecond, late: late}
	lost := touched{kind: put, value: 9, outcome: unknown}
	mismatch := func(cas, present int64) touched {
		return touched{kind: put, value: 5, cas: cas, version: present, outcome: refused}
	}
	deletes := func(deleted bool) touched { return touched{kind: remove, deleted: deleted} }
	for name, c := range map[string]struct {
		history []touched
		ok      bool
	}{
		"read what is written":      {[]touched{absent, write(1, 1), read(1, 1), write(2, 5), read(2, 5), deletes(true), absent, deletes(false)}, true},
		"stale read":                {[]touched{write(1, 1), write(2, 2), read(1, 1)}, false},
		"lost write":                {[]touched{write(1, 1), absent}, false},
		"read of nothing":           {[]touched{read(1, 1)}, false},
		"deleted comes back":        {[]touched{write(1, 1), deletes(true), read(1, 1)}, false},
		"deleted nothing":           {[]touched{write(1, 1), deletes(false)}, false},
		"deleted what is not there": {[]touched{absent, deletes(true)}, false},
		"version used again":        {[]touched{write(1, 3), deletes(true), write(2, 3)}, false},
		"version goes back":         {[]touched{write(1, 3), write(2, 2)}, false},
		"cas holds":                 {[]touched{write(1, 3), {kind: put, cas: 3, value: 2, version: 4}, read(2, 4)}, true},
		"cas held and should not":   {[]touched{write(1, 3), write(2, 4), {kind: put, cas: 3, value: 3, version: 5}}, false},
		"cas refused":               {[]touched{write(1, 3), mismatch(2, 3), read(1, 3)}, true},
		"cas refused and holds":     {[]touched{write(1, 3), mismatch(3, 3)}, false},
		"refused with an old cas":   {[]touched{write(1, 3), write(2, 4), mismatch(2, 3)}, false},
		"refused and written":       {[]touched{write(1, 3), mismatch(2, 3), read(5, 4)}, false},
		"created":                   {[]touched{{kind: put, cas: create, value: 1, version: 1}, mismatch(create, 1)}, true},
		"created twice":             {[]touched{write(1, 1), {kind: put, cas: create, value: 2, version: 2}}, false},
		"unanswered, and there":     {[]touched{write(1, 1), lost, read(9, 4), mismatch(1, 4)}, true},
		"unanswered, then there":    {[]touched{write(1, 1), lost, read(1, 1), read(9, 4)}, true},
		"unanswered, never there":   {[]touched{write(1, 1), lost, read(1, 1)}, true},
		"unanswered, twice":         {[]touched{write(1, 1), lost, read(9, 4), write(2, 5), read(9, 4)}, false},
		"unanswered, two versions":  {[]touched{lost, read(9, 4), read(9, 5)}, false},
		"expires":                   {[]touched{brief, read(1, 1), expired, deletes(false), expired, write(2, 4), read(2, 4)}, true},
		"expires unsaid":            {[]touched{brief, read(1, 1), absent}, true},
		"expires too early":         {[]touched{brief, expired}, false},
		"never expires":             {[]touched{brief, read(1, 1), read(1, 1), read(1, 1), read(1, 1), read(1, 1), read(1, 1)}, false},
		"expired comes back":        {[]touched{brief, read(1, 1), expired, read(1, 1)}, false},
		"expired without a ttl":     {[]touched{write(1, 1), deletes(true), expired}, false},
		"ttl cleared":               {[]touched{brief, write(2, 2), read(2, 2), read(2, 2), expired}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var history []*touched
			for i, o := range c.history {
				made := touchedAt(i, o)
				if made.cas == create {
					made.cas = 0
				}
				history = append(history, made)
			}
			if err := checkRegister(history); (err == nil) != c.ok {
				t.Errorf("the check says %v", err)
			}
		})
	}
}

// TestCommitCheckSees: a group's commit never goes back and never loses one.
func TestCommitCheckSees(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		history []committed
		ok      bool
	}{
		"forward":               {[]committed{{offset: -1, stands: -1}, {offset: 5, stands: 5}, {offset: 3, stands: 5}, {offset: -1, stands: 5}}, true},
		"back":                  {[]committed{{offset: 5, stands: 5}, {offset: 3, stands: 3}}, false},
		"seen back":             {[]committed{{offset: 5, stands: 5}, {offset: -1, stands: 4}}, false},
		"gone":                  {[]committed{{offset: 5, stands: 5}, {offset: -1, stands: -1}}, false},
		"from nowhere":          {[]committed{{offset: 5, stands: 5}, {offset: -1, stands: 6}}, false},
		"unanswered":            {[]committed{{offset: 5, stands: 5}, {offset: 8, outcome: unknown}, {offset: -1, stands: 5}, {offset: -1, stands: 8}}, true},
		"unanswered, then back": {[]committed{{offset: 8, outcome: unknown}, {offset: -1, stands: 8}, {offset: 5, stands: 5}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range c.history {
				c.history[i].call, c.history[i].ret = int64(i)*10, int64(i)*10+5
			}
			if err := checkCommits(c.history); (err == nil) != c.ok {
				t.Errorf("the check says %v", err)
			}
		})
	}
}
