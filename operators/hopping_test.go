package operators

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"leat/codecs"
	"leat/dataflow"
)

// TestHoppingWindows: the windows of a time are all that hold it.
func TestHoppingWindows(t *testing.T) {
	t.Parallel()
	const seed = 5
	r := rand.New(rand.NewPCG(seed, seed))
	for range 10000 {
		size := 1 + r.Int64N(1<<r.IntN(50))
		every := 1 + r.Int64N(size)
		at := dataflow.Time(r.Int64N(2*MaxEventTime) - MaxEventTime)
		earliest, latest := hoppingWindows(at, size, every)
		span := int64(latest - earliest)
		if int64(earliest)%every != 0 || span%every != 0 || span < 0 ||
			latest > at || int64(latest)+every <= int64(at) || // the last that begins by then
			int64(earliest)+size <= int64(at) || int64(earliest)-every+size > int64(at) { // the first that ends behind
			t.Fatalf("seed %d: %d lies in windows of %d every %d from %d to %d", seed, at, size, every, earliest, latest)
		}
	}
}

// TestHoppingLateness: a row counts in the windows it is not late for, and is late
// where that is none.
func TestHoppingLateness(t *testing.T) {
	t.Parallel()
	b := column(make([]codecs.Value, 5)...)
	b.Times = []dataflow.Time{7, 7, 7, 7, 7} // windows -4..6, 0..10, 4..14 hold 7 but for the first
	b.Watermarks = []dataflow.Time{dataflow.MinTime, 9, 10, 13, 14}
	var c collector
	if err := NewHopping(10, 4).Process(0, b, &c); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.late, []int{4}) || !slices.Equal(c.selected, []int32{0, 1, 2, 3}) || !slices.Equal(b.Windows[:4], []dataflow.Time{0, 0, 4, 4}) {
		t.Errorf("late %v, kept %v in windows from %v", c.late, c.selected, b.Windows)
	}
}

// newHopping makes an Aggregate of column 0 over windows of 10 ms every 4 ms, which
// keeps groups of more rows than above.
func newHopping(t testing.TB, above int64) *Aggregate {
	t.Helper()
	x := dataflow.Column(0)
	var specs []AggregateSpec
	for _, fn := range []string{"count", "first", "last", "count_distinct", "approx_count_distinct", "top_k", "collect", "min_by", "max_by"} {
		specs = append(specs, AggregateSpec{Fn: fn, Arg: x, By: x, Param: 3, Text: fn + "(x)"})
	}
	for _, fn := range []string{"stddev", "percentile"} {
		specs = append(specs, AggregateSpec{Fn: fn, Arg: oneInt{}, Param: 50_000, Text: fn + "(1)"})
	}
	a, err := NewAggregate(AggregateConfig{SizeMs: 10, EveryMs: 4, Keys: []int{0}, Partitions: 2, Aggregates: specs, Having: moreThan(above)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// moreThan tells whether column 1 is greater.
type moreThan int64

func (m moreThan) Eval(b *dataflow.Batch, row int) (codecs.Value, error) {
	return codecs.BoolValue(b.Columns.Cols[1].Value(row).Int() > int64(m)), nil
}

// feedHopping sends a batch of random rows through a window operator into a.
func feedHopping(t testing.TB, a *Aggregate, r *rand.Rand, rows int, w dataflow.Time) {
	t.Helper()
	values := make([]codecs.Value, rows)
	for i := range values {
		values[i] = randomValue(r)
	}
	b := column(values...)
	b.Source = r.IntN(2)
	for i := range values {
		b.Times[i] = w + dataflow.Time(r.IntN(30))
		b.Watermarks = append(b.Watermarks, w+dataflow.Time(i%7))
	}
	if err := NewHopping(a.size, a.every).Process(0, b, into{a, &collector{}}); err != nil {
		t.Fatal(err)
	}
}

// into sends batches into an Aggregate.
type into struct {
	*Aggregate
	*collector
}

func (i into) Emit(b *dataflow.Batch) error { return i.Process(0, b, i.collector) }

// drainAll closes all windows and returns every column of the rows.
func drainAll(t testing.TB, a *Aggregate, room int) []string {
	t.Helper()
	var members []Member
	for i := range len(a.keys) + len(a.list) + 2 {
		members = append(members, Member{fmt.Sprint("c", i), dataflow.Column(i)})
	}
	out := &collector{room: room}
	for {
		done, err := a.OnWatermark(dataflow.MaxTime, through{NewProject(members, 0), out})
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return out.rows
		}
	}
}

// TestHoppingStateRoundTrip: panes that go on after a window has left, and a window
// half of which has left, are restored from incremental and full snapshots.
func TestHoppingStateRoundTrip(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 33))
		a := newHopping(t, int64(seed%2))
		var log []dataflow.StateEntry
		w := dataflow.Time(0)
		for range 1 + r.IntN(6) {
			feedHopping(t, a, r, 1+r.IntN(100), w)
			if r.IntN(2) == 0 {
				log = snapshot(t, a, log, r.IntN(4) == 0)
			}
			w += dataflow.Time(r.IntN(9))
			for done := false; !done; {
				var err error
				if done, err = a.OnWatermark(w, &collector{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range r.IntN(3) { // part of the next windows
			if _, err := a.OnWatermark(w+20, through{NewProject([]Member{{"k", dataflow.Column(0)}}, 0), &collector{room: 5}}); err != nil {
				t.Fatal(err)
			}
		}
		log = snapshot(t, a, log, r.IntN(3) == 0)
		b := newHopping(t, int64(seed%2))
		for _, e := range log {
			if err := b.Restore(e); err != nil {
				t.Fatal(err)
			}
		}
		want, got := drainAll(t, a, 0), drainAll(t, b, 1+r.IntN(50))
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d rows\n%q\nwant %d\n%q", seed, len(got), got, len(want), want)
		}
		if a.StateBytes() != 0 || b.StateBytes() != 0 || a.ChangedBytes() != 0 {
			t.Errorf("seed %d: state is left: %d, %d, %d", seed, a.StateBytes(), b.StateBytes(), a.ChangedBytes())
		}
	}
}

// TestPanesMergeInOrder: the floats of a window are added pane by pane in the order of
// time, whatever came first.
func TestPanesMergeInOrder(t *testing.T) {
	t.Parallel()
	x := dataflow.Column(0)
	a, err := NewAggregate(AggregateConfig{SizeMs: 12, EveryMs: 4, Partitions: 1, Aggregates: []AggregateSpec{{Fn: "sum", Arg: x, Text: "sum(x)"}}})
	if err != nil {
		t.Fatal(err)
	}
	b := column(codecs.FloatValue(1), codecs.FloatValue(1e16), codecs.FloatValue(-1e16))
	b.Times = []dataflow.Time{8, 0, 4}
	b.Watermarks = []dataflow.Time{-10, -10, -10}
	if err := NewHopping(12, 4).Process(0, b, into{a, &collector{}}); err != nil {
		t.Fatal(err)
	}
	want := []string{ // of the windows that end at 4, 8, 12, 16 and 20
		`{"c0":10000000000000000,"c1":-8,"c2":4}`, `{"c0":0,"c1":-4,"c2":8}`, `{"c0":1,"c1":0,"c2":12}`,
		`{"c0":-10000000000000000,"c1":4,"c2":16}`, `{"c0":1,"c1":8,"c2":20}`,
	}
	if got := drainAll(t, a, 0); !slices.Equal(got, want) {
		t.Errorf("sums %q, want %q", got, want)
	}
}

// TestHoppingRestoreRefuses: what no row can have left is not taken for state.
func TestHoppingRestoreRefuses(t *testing.T) {
	t.Parallel()
	a := newHopping(t, 0)
	empty := newPanes(pane{}, a.layout)
	value := appendWords(nil, a.list, empty, empty.find(1, []byte("k")))
	for _, c := range []struct {
		of   pane
		fits bool
	}{
		{pane{10, 10}, true}, {pane{10, 18}, true}, {pane{-2, 2}, true},
		{pane{10, 22}, false}, {pane{10, 6}, false}, {pane{11, 15}, false}, {pane{10, 13}, false},
		{pane{dataflow.MinTime, dataflow.MinTime}, false}, {pane{dataflow.MaxTime, dataflow.MaxTime}, false},
	} {
		key := append(appendPane(nil, paneEntry, c.of), 0, 0, 0, 1)
		err := a.Restore(dataflow.StateEntry{Key: codecs.AppendKey(key, codecs.IntValue(1)), Value: value})
		if (err == nil) != c.fits {
			t.Errorf("a pane of %v: %v", c.of, err)
		}
	}
}

func BenchmarkHopping(b *testing.B) {
	a, err := NewAggregate(AggregateConfig{SizeMs: 60_000, EveryMs: 10_000, Keys: []int{0}, Partitions: 1, Aggregates: []AggregateSpec{
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
	batch.Watermarks = make([]dataflow.Time, len(values))
	all := slices.Clone(batch.Selected)
	h, out := NewHopping(60_000, 10_000), into{a, &collector{}}
	b.ReportAllocs()
	for b.Loop() {
		batch.Selected = append(batch.Selected[:0], all...)
		if err := h.Process(0, batch, out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*4096/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

// TestChangesOfManyWindows: changes are given by end and key, and listed for one window at
// a time: a group can be in thousands.
func TestChangesOfManyWindows(t *testing.T) {
	t.Parallel()
	const groups, windows = 50, 1000
	a, err := NewAggregate(AggregateConfig{
		SizeMs: windows, EveryMs: 1, Keys: []int{0}, Aggregates: []AggregateSpec{{Fn: "count", Text: "count()"}}, Partitions: 1, Changes: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	give := func() (lines []string) {
		t.Helper()
		var out changelog
		for done := false; !done; {
			if done, err = a.OnChanges(&out); err != nil {
				t.Fatal(err)
			}
			if len(a.pending) > groups {
				t.Fatalf("%d changes of %d groups are listed", len(a.pending), groups)
			}
		}
		return out.lines
	}
	feed := func(at dataflow.Time, keys ...int64) {
		t.Helper()
		var values []codecs.Value
		for _, k := range keys {
			values = append(values, codecs.IntValue(k))
		}
		b := column(values...)
		for i := range keys {
			b.Times[i], b.Watermarks = at, append(b.Watermarks, a.progress.closed)
		}
		if err := NewHopping(windows, 1).Process(0, b, into{a, &collector{}}); err != nil {
			t.Fatal(err)
		}
	}
	var keys []int64
	var want []string
	for k := range int64(groups) {
		keys = append(keys, k)
	}
	for start := 1 - windows; start <= 0; start++ {
		for _, k := range keys {
			want = append(want, fmt.Sprintf("put out %d at %d", k, start))
		}
	}
	feed(0, keys...)
	if got := give(); !slices.Equal(got, want) {
		t.Errorf("%d changes, want %d", len(got), len(want))
	}
	if got := give(); len(got) > 0 {
		t.Errorf("given again: %d", len(got))
	}
	for done := false; !done; { // all windows but three leave
		if done, err = a.OnWatermark(windows-3, &collector{}); err != nil {
			t.Fatal(err)
		}
	}
	feed(0, 7)
	if got := give(); !slices.Equal(got, []string{"put out 7 at -2", "put out 7 at -1", "put out 7 at 0"}) {
		t.Errorf("after the others have left: %q", got)
	}
}
