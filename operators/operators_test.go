package operators

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"leat/codecs"
	"leat/dataflow"
	"leat/log"
)

// collector is an Emitter that remembers.
type collector struct {
	rows     []string // of emitted batches: their Values
	selected []int32  // of the batch emitted last
	used     int
	missed   int64
	filtered int
	late     []int
	dead     []string
	room     int // rows taken by one Emit, 0 = any
}

func (c *collector) Emit(b *dataflow.Batch) error {
	if c.room > 0 && len(b.Selected) > c.room {
		return dataflow.ErrFull
	}
	c.selected = slices.Clone(b.Selected)
	for _, row := range b.Selected {
		if b.Values != nil {
			c.rows = append(c.rows, string(b.Values[row]))
		}
	}
	return nil
}

func (c *collector) Filtered(n int) { c.filtered += n }
func (c *collector) Used(n int)     { c.used += n }
func (c *collector) Full() bool     { return false }

func (c *collector) LateWindows(n int64) { c.missed += n }

func (c *collector) Late(_ *dataflow.Batch, row int, _, _ dataflow.Time) {
	c.late = append(c.late, row)
}

func (c *collector) Dead(_ *dataflow.Batch, _ int, reason string) { c.dead = append(c.dead, reason) }

// column makes a batch of one column with all rows selected.
func column(values ...codecs.Value) *dataflow.Batch {
	b := &dataflow.Batch{Rows: len(values)}
	b.Columns.Reset(len(values), 1)
	for row, v := range values {
		b.Columns.Cols[0].Set(row, v)
		b.Selected = append(b.Selected, int32(row))
		b.Times = append(b.Times, dataflow.Time(row))
	}
	return b
}

func TestEventTime(t *testing.T) {
	t.Parallel()
	i, f, s := codecs.IntValue, codecs.FloatValue, codecs.StringValue
	for _, c := range []struct {
		v    codecs.Value
		want dataflow.Time
		ok   bool
	}{
		{i(5), 5, true}, {i(-5), -5, true}, {f(7), 7, true}, {f(7.5), 0, false},
		{f(math.NaN()), 0, false}, {f(math.Inf(1)), 0, false}, {f(1e300), 0, false},
		{i(MaxEventTime), MaxEventTime, true}, {i(MaxEventTime + 1), 0, false},
		{i(-MaxEventTime), -MaxEventTime, true}, {i(math.MinInt64), 0, false},
		{s("1970-01-01T00:00:01Z"), 1000, true}, {s("1970-01-01"), 0, false}, {s("7"), 0, false},
		{codecs.Value{}, 0, false}, {codecs.NullValue(), 0, false}, {codecs.BoolValue(true), 0, false},
		{codecs.ObjectValue("{}"), 0, false}, {codecs.ArrayValue("[]"), 0, false},
	} {
		got, reason := timeOf(c.v)
		if (reason == "") != c.ok || c.ok && got != c.want {
			t.Errorf("time of %v: %d, %q", c.v, got, reason)
		}
	}
}

// TestWatermarkIsThatBeforeTheRow: W(p,o) is of the rows before, whatever the
// batches, and rows without event time do not move it.
func TestWatermarkIsThatBeforeTheRow(t *testing.T) {
	t.Parallel()
	i := codecs.IntValue
	b := column(i(10), i(30), codecs.NullValue(), i(20), i(40))
	e := NewEventTime(0, 5, 2)
	b.Source = 1
	var c collector
	if err := e.Process(0, b, &c); err != nil {
		t.Fatal(err)
	}
	want := []dataflow.Time{dataflow.MinTime, 5, 0, 25, 25}
	for row, w := range want {
		if row != 2 && b.Watermarks[row] != w {
			t.Errorf("row %d has the watermark %d, want %d", row, b.Watermarks[row], w)
		}
	}
	if e.Watermark(1) != 35 || e.Watermark(0) != dataflow.MinTime || len(c.dead) != 1 {
		t.Errorf("watermarks %d and %d, dead %q", e.Watermark(1), e.Watermark(0), c.dead)
	}
}

func TestTumblingWindow(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	for range 10000 {
		at := dataflow.Time(r.Int64N(2*MaxEventTime) - MaxEventTime)
		size := 1 + r.Int64N(1<<r.IntN(60))
		start, end := tumblingWindow(at, size)
		if start > at || end <= at || int64(end-start) != size || int64(start)%size != 0 {
			t.Fatalf("%d lies in [%d, %d) of size %d", at, start, end, size)
		}
	}
}

// TestLateIffEndAtOrBelowWatermark is the definition, at its edge.
func TestLateIffEndAtOrBelowWatermark(t *testing.T) {
	t.Parallel()
	b := column(make([]codecs.Value, 4)...)
	b.Times = []dataflow.Time{0, 9, 9, 10}
	b.Watermarks = []dataflow.Time{9, 9, 10, 10}
	var c collector
	if err := NewTumbling(10).Process(0, b, &c); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.late, []int{2}) || !slices.Equal(c.selected, []int32{0, 1, 3}) {
		t.Errorf("late %v, kept %v", c.late, c.selected)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	b := column(codecs.BoolValue(true), codecs.BoolValue(false), codecs.NullValue(), codecs.IntValue(1), codecs.BoolValue(true))
	var c collector
	if err := NewFilter(dataflow.Column(0)).Process(0, b, &c); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.selected, []int32{0, 4}) || c.filtered != 2 || len(c.dead) != 1 {
		t.Errorf("kept %v, filtered %d, dead %q", c.selected, c.filtered, c.dead)
	}
}

// newAggregate makes an Aggregate of column 0 by itself over windows of 10 ms.
func newAggregate(t testing.TB) *Aggregate {
	t.Helper()
	arg := dataflow.Column(0)
	a, err := NewAggregate(AggregateConfig{SizeMs: 10, EveryMs: 10, Keys: []int{0}, Partitions: 2, Aggregates: []AggregateSpec{
		{Fn: "count", Text: "count()"}, {Fn: "sum", Arg: oneInt{}, Text: "sum(1)"}, {Fn: "max", Arg: arg, Text: "max(x)"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type oneInt struct{}

func (oneInt) Eval(*dataflow.Batch, int) (codecs.Value, error) { return codecs.IntValue(1), nil }

func feed(t testing.TB, a *Aggregate, r *rand.Rand, rows int) {
	t.Helper()
	values := make([]codecs.Value, rows)
	for i := range values {
		values[i] = randomValue(r)
	}
	b := column(values...)
	b.Source = r.IntN(2)
	b.Windows = make([]dataflow.Time, rows)
	for i := range b.Windows {
		b.Windows[i] = dataflow.Time(10 * r.IntN(3))
	}
	if err := a.Process(0, b, &collector{}); err != nil {
		t.Fatal(err)
	}
}

// drain closes all windows and returns the rows.
func drain(t testing.TB, a *Aggregate, room int) []string {
	t.Helper()
	p := NewProject([]Member{{"k", dataflow.Column(0)}, {"n", dataflow.Column(1)}, {"s", dataflow.Column(2)},
		{"m", dataflow.Column(3)}, {"end", dataflow.Column(5)}}, 0)
	out := &collector{room: room}
	for {
		done, err := a.OnWatermark(dataflow.MaxTime, through{p, out})
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return out.rows
		}
	}
}

// through sends batches through a Project.
type through struct {
	*Project
	*collector
}

func (t through) Emit(b *dataflow.Batch) error { return t.Process(0, b, t.collector) }

// TestStateRoundTrip: an Aggregate restored from its snapshots, incremental or full,
// goes on as the one that wrote them, also from the middle of a window's close.
func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 21))
		a := newAggregate(t)
		var log []dataflow.StateEntry
		for range 1 + r.IntN(5) {
			feed(t, a, r, 1+r.IntN(300))
			if r.IntN(2) == 0 {
				log = snapshot(t, a, log, r.IntN(4) == 0)
			}
		}
		p := NewProject([]Member{{"k", dataflow.Column(0)}}, 0)
		for range r.IntN(4) {
			if _, err := a.OnWatermark(10, through{p, &collector{room: 20}}); err != nil {
				t.Fatal(err)
			}
		}
		log = snapshot(t, a, log, r.IntN(4) == 0)
		b := newAggregate(t)
		for _, e := range log {
			if err := b.Restore(e); err != nil {
				t.Fatal(err)
			}
		}
		want, got := drain(t, a, 0), drain(t, b, 1+r.IntN(50))
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d rows\n%q\nwant %d\n%q", seed, len(got), got, len(want), want)
		}
		if a.StateBytes() != 0 || b.StateBytes() != 0 || a.ChangedBytes() != 0 {
			t.Errorf("seed %d: state is left: %d, %d, %d", seed, a.StateBytes(), b.StateBytes(), a.ChangedBytes())
		}
	}
}

// snapshot appends to log, or replaces it by a full one.
func snapshot(t testing.TB, a dataflow.Stateful, log []dataflow.StateEntry, full bool) []dataflow.StateEntry {
	t.Helper()
	w := dataflow.StateWriter{Full: full, ChunkBytes: 1 << 10}
	if err := a.Snapshot(&w); err != nil {
		t.Fatal(err)
	}
	if full {
		log = nil
	}
	for _, chunk := range w.Chunks {
		cursor := chunk.Records(0, 0)
		for rec, ok := cursor.Next(); ok; rec, ok = cursor.Next() {
			log = append(log, dataflow.StateEntry{
				Group: rec.Key[1], Key: rec.Key[2:], Value: rec.Value[1:], Deleted: rec.Value[0] == 0,
			})
		}
	}
	return log
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte("p\x80\x00\x00\x00\x00\x00\x00\x0a\x80\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x01\x05key\x00\x01"), []byte("\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), false)
	f.Add([]byte("p\x80\x00\x00\x00\x00\x00\x00\x0a\x80\x00\x00\x00\x00\x00\x00\x0e\x00\x00\x00\x01\x01"), []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), false)
	f.Add([]byte("w"), []byte("\x80\x00\x00\x00\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x0a\x01"), false)
	f.Add([]byte("s\x80\x00\x00\x00\x00\x00\x00\x0a\x80\x00\x00\x00\x00\x00\x00\x14"), []byte(nil), true)
	f.Fuzz(func(t *testing.T, key, value []byte, deleted bool) {
		for _, a := range []*Aggregate{newAggregate(t), newHopping(t, 0)} {
			if err := a.Restore(dataflow.StateEntry{Key: key, Value: value, Deleted: deleted}); err == nil {
				drain(t, a, 0) // what was accepted can be used
			}
		}
	})
}

func BenchmarkAggregate(b *testing.B) {
	a, err := NewAggregate(AggregateConfig{SizeMs: 10_000, EveryMs: 10_000, Keys: []int{0}, Partitions: 1, Aggregates: []AggregateSpec{
		{Fn: "count", Text: "count()"}, {Fn: "sum", Arg: dataflow.Column(0), Text: "sum(x)"},
	}})
	if err != nil {
		b.Fatal(err)
	}
	values := make([]codecs.Value, 4096)
	for i := range values {
		values[i] = codecs.IntValue(int64(i * 31 % 1000))
	}
	batch := column(values...)
	batch.Windows = make([]dataflow.Time, len(values))
	out := &collector{}
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Process(0, batch, out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*4096/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

// TestSemantics04StateIsCounted: StateBytes, by which state is bounded, is not much less
// than the memory that state takes, however it is made up.
func TestSemantics04StateIsCounted(t *testing.T) {
	const many = 20_000
	x := dataflow.Column(0)
	hour := func(aggregates ...AggregateSpec) dataflow.Stateful {
		a, err := NewAggregate(AggregateConfig{SizeMs: many, EveryMs: many, Keys: []int{0}, Aggregates: aggregates, Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	moment, err := NewAggregate(AggregateConfig{SizeMs: 1, EveryMs: 1, Aggregates: []AggregateSpec{{Fn: "count", Text: "count()"}}, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	session, err := NewSessionAggregate(SessionAggregateConfig{GapMs: 10, Keys: []int{0}, Aggregates: []AggregateSpec{{Fn: "count", Text: "count()"}}, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	join := NewJoin(JoinConfig{
		Reach: TumblingJoin(1000), Keys: [2][]int{{0}, {0}}, Partitions: [2]int{1, 1}, Columns: []JoinColumn{{Side: Left, Column: 0}},
	})
	for name, tt := range map[string]struct {
		state dataflow.Stateful
		apart dataflow.Time // event times of two rows
	}{
		"groups": {hour(AggregateSpec{Fn: "sum", Arg: x, Text: "sum(x)"}), 0}, "sessions": {session, 1}, "windows": {moment, 1}, "buckets of a join": {join, 1000},
		"tallies": {hour(AggregateSpec{Fn: "count_distinct", Arg: x, Text: "count_distinct(x)"}), 0},
		"lists":   {hour(AggregateSpec{Fn: "collect", Arg: x, Text: "collect(x)"}), 0},
	} {
		heap := func() int64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		b := column(make([]codecs.Value, many)...)
		b.Watermarks, b.Windows, b.Offsets = make([]dataflow.Time, many), make([]dataflow.Time, many), make([]log.Offset, many)
		for row := range b.Rows {
			b.Columns.Cols[0].Set(row, codecs.IntValue(int64(row)))
			b.Times[row], b.Watermarks[row] = dataflow.Time(row)*tt.apart, dataflow.MinTime
			b.Offsets[row] = log.Offset(row)
			if name == "windows" {
				b.Windows[row] = b.Times[row]
			}
		}
		before := heap()
		if err := tt.state.(dataflow.Operator).Process(0, b, &collector{}); err != nil {
			t.Fatal(err)
		}
		if err := tt.state.Snapshot(&dataflow.StateWriter{ChunkBytes: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		taken, counted := heap()-before, tt.state.StateBytes()
		t.Logf("%s: %d bytes, counted %d", name, taken, counted)
		if taken > counted*3/2 || counted > 3*taken {
			t.Errorf("%s take %d bytes, and %d are counted", name, taken, counted)
		}
		runtime.KeepAlive(tt.state)
		runtime.KeepAlive(b)
	}
}
