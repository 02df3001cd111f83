package operators

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"leat/codecs"
	"leat/dataflow"
)

// TestSessionLateness: a row is late below its watermark, whatever its session.
func TestSessionLateness(t *testing.T) {
	t.Parallel()
	b := column(make([]codecs.Value, 4)...)
	b.Times = []dataflow.Time{5, 5, 5, 4}
	b.Watermarks = []dataflow.Time{dataflow.MinTime, 5, 6, 5}
	var c collector
	if err := NewSession(10).Process(0, b, &c); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.late, []int{2, 3}) || !slices.Equal(c.selected, []int32{0, 1}) {
		t.Errorf("late %v, kept %v", c.late, c.selected)
	}
}

const (
	testGap     = 10
	testSources = 3
)

// newSessionAggregate groups by column 0 and aggregates column 1.
func newSessionAggregate(t testing.TB, having dataflow.Expr, fns ...string) *SessionAggregate {
	t.Helper()
	var specs []AggregateSpec
	for _, fn := range fns {
		x := dataflow.Column(1)
		specs = append(specs, AggregateSpec{Fn: fn, Arg: x, By: x, Param: 3, Text: fn + "(x)"})
	}
	a, err := NewSessionAggregate(SessionAggregateConfig{GapMs: testGap, Keys: []int{0}, Aggregates: specs, Having: having, Partitions: testSources})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sessionRow is a row of a source partition.
type sessionRow struct {
	key   int64
	t     dataflow.Time
	value codecs.Value
}

// batchOfSessions is a batch of rows, in which none is late.
func batchOfSessions(source int, rows []sessionRow) *dataflow.Batch {
	b := &dataflow.Batch{Source: source, Rows: len(rows)}
	b.Columns.Reset(len(rows), 2)
	for i, r := range rows {
		b.Columns.Cols[0].Set(i, codecs.IntValue(r.key))
		b.Columns.Cols[1].Set(i, r.value)
		b.Selected = append(b.Selected, int32(i))
		b.Times = append(b.Times, r.t)
	}
	return b
}

// sessionRun runs logs of several source partitions in some order.
type sessionRun struct {
	*testing.T
	*rand.Rand
	make     func() *SessionAggregate
	logs     [][]sessionRow
	delay    dataflow.Time
	restores bool

	a     *SessionAggregate
	state []dataflow.StateEntry
	out   collector
}

func (s *sessionRun) rows() []string {
	s.a = s.make()
	next, highest := make([]int, len(s.logs)), make([]dataflow.Time, len(s.logs))
	for {
		w := dataflow.MaxTime
		var left []int
		for source, log := range s.logs {
			if next[source] == len(log) {
				continue
			}
			left = append(left, source)
			if next[source] == 0 {
				w = dataflow.MinTime
			} else {
				w = min(w, highest[source]-s.delay)
			}
		}
		s.advance(w)
		if len(left) == 0 {
			return s.out.rows
		}
		source := left[s.IntN(len(left))]
		from := next[source]
		next[source] = min(len(s.logs[source]), from+1+s.IntN(20))
		batch := s.logs[source][from:next[source]]
		if from == 0 {
			highest[source] = batch[0].t
		}
		for _, r := range batch {
			highest[source] = max(highest[source], r.t)
		}
		if err := s.a.Process(0, batchOfSessions(source, batch), &s.out); err != nil {
			s.Fatal(err)
		}
		s.check()
	}
}

// advance has the operator act on w in chunks, and perhaps restores it between them.
func (s *sessionRun) advance(w dataflow.Time) {
	var members []Member
	for i := range 1 + len(s.a.list) + 2 {
		members = append(members, Member{fmt.Sprint("c", i), dataflow.Column(i)})
	}
	for {
		s.out.room = s.IntN(4)
		done, err := s.a.OnWatermark(w, through{NewProject(members, 0), &s.out})
		if err != nil {
			s.Fatal(err)
		}
		if s.restores && s.IntN(2) == 0 {
			s.state = snapshot(s, s.a, s.state, s.IntN(5) == 0)
			if n := s.a.ChangedBytes(); n != 0 {
				s.Fatalf("%d bytes have changed since the snapshot", n)
			}
			if s.IntN(3) == 0 {
				s.a = s.make()
				for _, e := range s.state {
					if err := s.a.Restore(e); err != nil {
						s.Fatal(err)
					}
				}
			}
		}
		s.check()
		if done {
			return
		}
	}
}

// check holds what sessions say of themselves.
func (s *sessionRun) check() {
	for _, store := range s.a.stores {
		seen := 0
		for at, entry := range store.table {
			if entry == 0 {
				continue
			}
			newest := entry - 1
			if found, slot, ok := store.find(store.cells.hashes[newest], store.groupKey(newest)); !ok || slot != newest || found != uint64(at) {
				s.Fatalf("the newest session of a key is not found: %d", newest)
			}
			for slot := newest; ; slot = store.slots[slot].older {
				x := store.slots[slot]
				if seen++; !x.live || seen > store.len() {
					s.Fatalf("session %d is out of its ring", slot)
				}
				if x.older == newest {
					break
				}
				if o := store.slots[x.older]; o.last+testGap > x.first || store.slots[x.older].newer != slot {
					s.Fatalf("session [%d, %d] is behind [%d, %d]", x.first, x.last, o.first, o.last)
				}
			}
		}
		if seen != store.len() {
			s.Fatalf("%d sessions of %d are in rings", seen, store.len())
		}
	}
}

// randomSessionLogs makes logs without late rows of delay.
func randomSessionLogs(r *rand.Rand, delay dataflow.Time, value func() codecs.Value) [][]sessionRow {
	logs := make([][]sessionRow, testSources)
	keys := 1 + r.Int64N(5)
	step := 1 + r.Int64N(8)
	for source := range logs {
		highest := dataflow.Time(-20)
		for range r.IntN(120) {
			t := max(highest-delay, highest+dataflow.Time(r.Int64N(step)+1)-dataflow.Time(r.Int64N(int64(delay)+1)))
			highest = max(highest, t)
			logs[source] = append(logs[source], sessionRow{r.Int64N(keys), t, value()})
		}
	}
	return logs
}

// naiveSessions counts, sums and collects integers by the definition.
func naiveSessions(logs [][]sessionRow) (rows []string) {
	byKey := map[int64][]sessionRow{}
	for _, log := range logs {
		for _, r := range log {
			byKey[r.key] = append(byKey[r.key], r)
		}
	}
	type session struct {
		end dataflow.Time
		key int64
		row string
	}
	var all []session
	for key, list := range byKey {
		slices.SortStableFunc(list, func(x, y sessionRow) int { return cmp.Compare(x.t, y.t) })
		for from := 0; from < len(list); {
			sum, items := int64(0), []string{}
			to := from
			for ; to == from || to < len(list) && list[to].t-list[to-1].t < testGap; to++ {
				sum += list[to].value.Int()
				items = append(items, fmt.Sprint(list[to].value.Int()))
			}
			end := list[to-1].t + testGap
			all = append(all, session{end, key, fmt.Sprintf(`{"c0":%d,"c1":%d,"c2":%d,"c3":[%s],"c4":%d,"c5":%d}`,
				key, to-from, sum, strings.Join(items, ","), list[from].t, end)})
			from = to
		}
	}
	slices.SortFunc(all, func(x, y session) int { return cmp.Or(cmp.Compare(x.end, y.end), cmp.Compare(x.key, y.key)) })
	for _, s := range all {
		rows = append(rows, s.row)
	}
	return rows
}

// TestSessionsAreThoseOfTheDefinition: whatever the batches, the order of partitions,
// the steps of the watermark, the chunks and the restarts.
func TestSessionsAreThoseOfTheDefinition(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 77))
		n := int64(0)
		delay := dataflow.Time(r.IntN(60))
		logs := randomSessionLogs(r, delay, func() codecs.Value { n++; return codecs.IntValue(n) })
		run := sessionRun{T: t, Rand: r, logs: logs, delay: delay, restores: seed%2 == 0,
			make: func() *SessionAggregate { return newSessionAggregate(t, nil, "count", "sum", "collect") }}
		got, want := run.rows(), naiveSessions(logs)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d rows\n%s\nwant %d\n%s", seed, len(got), strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
		}
		if run.a.StateBytes() != 0 {
			t.Fatalf("seed %d: %d bytes of state are left", seed, run.a.StateBytes())
		}
	}
}

// TestSemantics07SessionsRepeat: all aggregates are equal bit by bit, also where floats
// are folded and partial sessions joined.
func TestSemantics07SessionsRepeat(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 78))
		delay := dataflow.Time(r.IntN(60))
		logs := randomSessionLogs(r, delay, func() codecs.Value {
			switch r.IntN(3) {
			case 0:
				return codecs.IntValue(r.Int64N(9))
			case 1:
				return codecs.NullValue()
			}
			return codecs.FloatValue(r.NormFloat64() * 1e3)
		})
		var first []string
		for i := range 3 {
			run := sessionRun{T: t, Rand: rand.New(rand.NewPCG(seed, uint64(i))), logs: logs, delay: delay, restores: i > 0,
				make: func() *SessionAggregate {
					return newSessionAggregate(t, moreThan(int64(seed%3)), "count", "sum", "avg", "stddev", "min", "max", "first", "last",
						"min_by", "max_by", "count_distinct", "approx_count_distinct", "percentile", "top_k", "collect")
				}}
			switch got := run.rows(); {
			case i == 0:
				first = got
			case !slices.Equal(got, first):
				t.Fatalf("seed %d: run %d has\n%s\nthe first\n%s", seed, i, strings.Join(got, "\n"), strings.Join(first, "\n"))
			}
		}
	}
}

// TestJoinIsMerge: two partials that were joined give what they give side by side.
func TestJoinIsMerge(t *testing.T) {
	t.Parallel()
	fns := []string{"count", "sum", "avg", "min", "max", "stddev", "first", "last", "min_by", "max_by",
		"count_distinct", "approx_count_distinct", "percentile", "top_k", "collect"}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 79))
		for _, fn := range fns {
			value := func() codecs.Value { return randomValue(r) }
			if fn == "sum" || fn == "avg" || fn == "stddev" || fn == "percentile" {
				value = func() codecs.Value {
					// The moments of integers and of floats are merged in another order.
					if fn == "stddev" && seed%2 == 0 || fn != "stddev" && r.IntN(2) == 0 {
						return codecs.IntValue(r.Int64())
					}
					return codecs.FloatValue(r.NormFloat64())
				}
			}
			list, size, err := compileAccumulators([]AggregateSpec{{Fn: fn, Arg: oneRow{}, By: oneRow{}, Param: 50, Text: fn}})
			if err != nil {
				t.Fatal(err)
			}
			p, apart := newPanes(pane{}, size), newPanes(pane{}, size)
			for slot := range uint32(2) {
				p.addSlot(1)
				apart.addSlot(1)
				for range r.IntN(6) {
					v := value()
					in := &operand{v: v, by: v, t: dataflow.Time(100*slot) + dataflow.Time(r.IntN(50))}
					list[0].add(p, slot, in)
					list[0].add(apart, slot, in)
				}
			}
			list[0].join(p, 0, 1)
			got, gotErr := list[0].mergeAll([]partial{{p, 0, 0}})
			want, wantErr := list[0].mergeAll([]partial{{apart, 0, 0}, {apart, 1, 1}})
			if got != want || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				t.Fatalf("seed %d: %s joined is %v, %v, side by side %v, %v", seed, fn, got, gotErr, want, wantErr)
			}
			p.clearSlot(0, list)
			p.clearSlot(1, list)
			if p.bagBytes != 0 || p.unused != len(p.text) {
				t.Fatalf("seed %d: %s leaves %d bytes in bags and %d of %d texts", seed, fn, p.bagBytes, len(p.text)-p.unused, len(p.text))
			}
		}
	}
}

// TestSemantics04SessionsGiveMemoryBack: with ever new keys, state is as large as what
// is open, after a crowd of them too.
func TestSemantics04SessionsGiveMemoryBack(t *testing.T) {
	t.Parallel()
	a := newSessionAggregate(t, nil, "count", "min", "collect")
	out := &collector{}
	now, key := dataflow.Time(0), int64(0)
	step := func(rows int) {
		list := make([]sessionRow, rows)
		for i := range list {
			key++
			list[i] = sessionRow{key, now, codecs.StringValue(fmt.Sprintf("%050d", key))}
		}
		if err := a.Process(0, batchOfSessions(0, list), out); err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			var err error
			if done, err = a.OnWatermark(now, out); err != nil {
				t.Fatal(err)
			}
		}
		now += testGap / 2
	}
	for range 20 {
		step(100)
	}
	low := a.StateBytes()
	step(50_000)
	high := a.StateBytes()
	for range 20 {
		step(100)
	}
	if n := a.StateBytes(); high < 20*low || n > 6*low {
		t.Errorf("%d bytes of state, then %d, then %d", low, high, n)
	}
	if s := a.stores[0]; s.len() > 300 || len(s.timers) > 2*minSlots {
		t.Errorf("%d sessions with %d timers", s.len(), len(s.timers))
	}
	snapshot(t, a, nil, false)
}

// TestSessionsInParallel processes partitions at the same time.
func TestSessionsInParallel(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 80))
	logs := randomSessionLogs(r, 30, func() codecs.Value { return codecs.IntValue(1) })
	a := newSessionAggregate(t, nil, "count", "sum", "collect")
	var all sync.WaitGroup
	for source, log := range logs {
		all.Go(func() {
			for from := range log {
				if err := a.Process(0, batchOfSessions(source, log[from:from+1]), &collector{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	run := sessionRun{T: t, Rand: r, a: a}
	run.advance(dataflow.MaxTime)
	if want := naiveSessions(logs); !slices.Equal(run.out.rows, want) {
		t.Errorf("rows %q, want %q", run.out.rows, want)
	}
}

func TestTimers(t *testing.T) {
	t.Parallel()
	const seed = 9
	r := rand.New(rand.NewPCG(seed, seed))
	var h timers
	var want []dataflow.Time
	for range 5000 {
		if r.IntN(3) > 0 || len(want) == 0 {
			at := dataflow.Time(r.IntN(100))
			h.push(timer{at, uint32(at)})
			want = append(want, at)
			continue
		}
		slices.Sort(want)
		if got := h.pop(); got.at != want[0] || got.slot != uint32(want[0]) {
			t.Fatalf("seed %d: %v goes off before %d", seed, got, want[0])
		}
		want = want[1:]
	}
}

// sessionEntryOf is a state entry of a session of key 1 in source 1.
func sessionEntryOf(born, first, last dataflow.Time, words ...byte) dataflow.StateEntry {
	key := codecs.AppendKey(appendTime([]byte{sessionEntry, 0, 0, 0, 1}, born), codecs.IntValue(1))
	return dataflow.StateEntry{Key: key, Value: append(appendTime(appendTime(nil, first), last), words...)}
}

// TestSessionRestoreRefuses: what no rows can have left is not taken for state.
func TestSessionRestoreRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		entries []dataflow.StateEntry
		fits    bool
	}{
		{"two sessions", []dataflow.StateEntry{sessionEntryOf(0, 0, 5, 1), sessionEntryOf(15, 15, 15, 1)}, true},
		{"a session twice", []dataflow.StateEntry{sessionEntryOf(3, 3, 5, 1), sessionEntryOf(3, 0, 9, 1)}, true},
		{"that overlap", []dataflow.StateEntry{sessionEntryOf(0, 0, 5, 1), sessionEntryOf(14, 14, 14, 1)}, false},
		{"that grow into each other", []dataflow.StateEntry{sessionEntryOf(0, 0, 5, 1), sessionEntryOf(15, 14, 15, 1)}, false},
		{"from the other side", []dataflow.StateEntry{sessionEntryOf(15, 15, 15, 1), sessionEntryOf(0, 0, 6, 1)}, false},
		{"born before its first row", []dataflow.StateEntry{sessionEntryOf(0, 1, 5, 1)}, false},
		{"born after its last row", []dataflow.StateEntry{sessionEntryOf(6, 1, 5, 1)}, false},
		{"out of time", []dataflow.StateEntry{sessionEntryOf(0, dataflow.MinTime, dataflow.MaxTime, 1)}, false},
		{"without accumulators", []dataflow.StateEntry{sessionEntryOf(0, 0, 0)}, false},
	} {
		a := newSessionAggregate(t, nil, "count")
		var err error
		for _, e := range c.entries {
			if err = a.Restore(e); err != nil {
				break
			}
		}
		if (err == nil) != c.fits {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// FuzzRestoreSessions: any two entries are refused, or are state that can be used.
func FuzzRestoreSessions(f *testing.F) {
	one, two := sessionEntryOf(3, 0, 5, 2, 0, 3), sessionEntryOf(20, 15, 30, 1, 0, 2)
	f.Add(one.Key, one.Value, two.Key, two.Value, false)
	f.Add(one.Key, one.Value, one.Key, []byte(nil), true)
	f.Add(one.Key, one.Value, []byte("w"), codecs.AppendKey(appendTime(nil, 15), codecs.IntValue(1)), false)
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 []byte, deleted bool) {
		a := newSessionAggregate(t, nil, "count", "collect")
		if a.Restore(dataflow.StateEntry{Key: key1, Value: value1}) != nil ||
			a.Restore(dataflow.StateEntry{Key: key2, Value: value2, Deleted: deleted}) != nil {
			return
		}
		state := snapshot(t, a, nil, true)
		b := newSessionAggregate(t, nil, "count", "collect")
		for _, e := range state {
			if err := b.Restore(e); err != nil {
				t.Fatal(err)
			}
		}
		r := rand.New(rand.NewPCG(1, 1))
		x, y := sessionRun{T: t, Rand: r, a: a}, sessionRun{T: t, Rand: r, a: b}
		x.advance(dataflow.MaxTime)
		y.advance(dataflow.MaxTime)
		if !slices.Equal(x.out.rows, y.out.rows) || a.StateBytes() != 0 {
			t.Fatalf("rows %q, restored %q", x.out.rows, y.out.rows)
		}
		if again := snapshot(t, b, nil, true); len(again) != 0 {
			t.Fatalf("state is left: %v", again)
		}
	})
}

func BenchmarkSessions(b *testing.B) {
	for _, c := range []struct {
		name      string
		span, out int64 // ms of a batch; by how much rows are out of order
	}{{"growing", 1000, 0}, {"churning", 60_000, 0}, {"out_of_order", 10_000, 30_000}} {
		b.Run(c.name, func(b *testing.B) {
			const rows, gap = 4096, 10_000
			a, err := NewSessionAggregate(SessionAggregateConfig{GapMs: gap, Keys: []int{0}, Partitions: 1, Aggregates: []AggregateSpec{
				{Fn: "count", Text: "count()"}, {Fn: "sum", Arg: dataflow.Column(0), Text: "sum(x)"},
			}})
			if err != nil {
				b.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 1))
			values, at := make([]codecs.Value, rows), make([]dataflow.Time, rows)
			for i := range values {
				values[i] = codecs.IntValue(r.Int64N(1000))
				at[i] = dataflow.Time(int64(i)*c.span/rows - r.Int64N(c.out+1))
			}
			batch := column(values...)
			now := dataflow.Time(0)
			out := &collector{}
			b.ReportAllocs()
			for b.Loop() {
				for i := range at {
					batch.Times[i] = now + at[i]
				}
				if err := a.Process(0, batch, out); err != nil {
					b.Fatal(err)
				}
				for done := false; !done; {
					if done, err = a.OnWatermark(now-dataflow.Time(c.out), out); err != nil {
						b.Fatal(err)
					}
				}
				now += dataflow.Time(c.span)
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
