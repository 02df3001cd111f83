package operators

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"leat/codecs"
	"leat/dataflow"
	"leat/internal/testenv"
	"leat/log"
)

// givenRow is a row of a test: its key is null below 0.
type givenRow struct {
	t      dataflow.Time
	offset log.Offset
	key    int64
}

// joinRun feeds a Join of sides of two partitions each, whose rows are named by source
// and offset.
type joinRun struct {
	t      *testing.T
	config JoinConfig
	j      *Join
	rows   []string
	room   int
	used   int
	late   []string
}

func newJoinRun(t *testing.T, reach Reach, outer [2]bool, once bool) *joinRun {
	r := &joinRun{t: t, config: JoinConfig{
		Reach: reach, Keys: [2][]int{{0}, {0}}, Outer: outer, Once: once, Partitions: [2]int{2, 2},
		Columns: []JoinColumn{{Side: Left, Column: 1, Whole: true}, {Side: Right, Column: 1, Whole: true}},
	}}
	r.j = NewJoin(r.config)
	return r
}

func (r *joinRun) feed(source int, w dataflow.Time, rows ...givenRow) {
	r.t.Helper()
	b := &dataflow.Batch{Source: source, Rows: len(rows)}
	b.Columns.Reset(len(rows), 2)
	for i, row := range rows {
		key := codecs.IntValue(row.key)
		if row.key < 0 {
			key = codecs.NullValue()
		}
		b.Columns.Cols[0].Set(i, key)
		b.Columns.Cols[1].Set(i, codecs.StringValue(fmt.Sprintf("%d/%d", source, row.offset)))
		b.Times, b.Offsets = append(b.Times, row.t), append(b.Offsets, row.offset)
		b.Watermarks, b.Selected = append(b.Watermarks, w), append(b.Selected, int32(i))
	}
	if err := r.j.Process(0, b, r); err != nil {
		r.t.Fatal(err)
	}
}

// advance has all rows out that a watermark lets out.
func (r *joinRun) advance(w dataflow.Time) {
	r.t.Helper()
	for {
		done, err := r.j.OnWatermark(w, r)
		if err != nil {
			r.t.Fatal(err)
		}
		if done {
			return
		}
	}
}

func (r *joinRun) Emit(b *dataflow.Batch) error {
	if r.room > 0 && len(b.Selected) > r.room {
		return dataflow.ErrFull
	}
	text := func(v codecs.Value) string {
		if v.IsNull() {
			return "-"
		}
		return v.Str
	}
	for _, row := range b.Selected {
		r.rows = append(r.rows, fmt.Sprintf("%s %s at %d",
			text(b.Columns.Cols[0].Value(int(row))), text(b.Columns.Cols[1].Value(int(row))), b.Times[row]))
	}
	return nil
}

func (r *joinRun) Filtered(int)      {}
func (r *joinRun) Used(n int)        { r.used += n }
func (r *joinRun) LateWindows(int64) {}
func (r *joinRun) Full() bool        { return false }

func (r *joinRun) Late(b *dataflow.Batch, row int, start, end dataflow.Time) {
	r.late = append(r.late, fmt.Sprintf("%d-%d", start, end))
}

func (r *joinRun) Dead(_ *dataflow.Batch, _ int, reason string) { r.t.Errorf("dead: %s", reason) }

// TestSemantics03UnmatchedRowsLeaveOnce: never before the watermark has passed all that
// they could match, and in the order of event times.
func TestSemantics03UnmatchedRowsLeaveOnce(t *testing.T) {
	t.Parallel()
	r := newJoinRun(t, IntervalJoin(0, 10, [2]bool{true, false}, false), [2]bool{true, false}, false)
	r.feed(0, dataflow.MinTime, givenRow{100, 0, 1}, givenRow{105, 1, 2}, givenRow{106, 2, -1})
	r.feed(2, dataflow.MinTime, givenRow{110, 0, 1}, givenRow{116, 1, 2})
	for _, step := range []struct {
		w    dataflow.Time
		rows string
	}{
		{110, ""}, {111, ""}, {115, ""}, {116, "0/1 - at 105"}, {117, "0/2 - at 106"}, {121, "0/0 2/0 at 110"},
		{dataflow.MaxTime, ""},
	} {
		r.rows = nil
		if r.advance(step.w); strings.Join(r.rows, ", ") != step.rows {
			t.Errorf("at watermark %d: %q, want %q", step.w, r.rows, step.rows)
		}
	}
	if r.j.StateBytes() != 0 || r.used != 5 {
		t.Errorf("%d bytes of state, %d rows used", r.j.StateBytes(), r.used)
	}
}

func TestJoinLateness(t *testing.T) {
	t.Parallel()
	r := newJoinRun(t, IntervalJoin(5, 10, [2]bool{}, false), [2]bool{}, false)
	r.feed(0, 100, givenRow{100, 0, 1}, givenRow{99, 1, 1})
	r.feed(2, 100, givenRow{99, 1, 1})
	w := newJoinRun(t, TumblingJoin(10), [2]bool{}, false)
	w.feed(0, 100, givenRow{100, 0, 1}, givenRow{99, 1, 1}, givenRow{90, 1, 1})
	w.feed(0, 99, givenRow{90, 2, 1})
	if late := strings.Join(append(r.late, w.late...), " "); late != "94-109 89-104 90-100 90-100" {
		t.Errorf("late: %s", late)
	}
}

// TestSemantics04JoinsGiveMemoryBack: the state of a hundred times the span, with fresh
// keys, is that of some spans, and nothing is left at the end.
func TestSemantics04JoinsGiveMemoryBack(t *testing.T) {
	t.Parallel()
	both := [2]bool{true, true}
	for name, reach := range map[string]Reach{"interval": IntervalJoin(5000, 5000, both, true), "windows": TumblingJoin(10_000)} {
		r := newJoinRun(t, reach, both, true)
		most, first := int64(0), int64(0)
		for i := range int64(100_000) {
			at := dataflow.Time(10 * i)
			r.feed(int(i%4), dataflow.MinTime, givenRow{at, log.Offset(i), i})
			if i%100 == 0 {
				r.advance(at)
				r.rows = nil
				if most = max(most, r.j.StateBytes()); i == 10_000 {
					first = most
				}
				if i%1000 == 0 {
					if err := r.j.Snapshot(&dataflow.StateWriter{ChunkBytes: 1 << 20}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if most > 2*first {
			t.Errorf("%s: %d bytes of state, %d at first", name, most, first)
		}
		if r.advance(dataflow.MaxTime); r.j.StateBytes() != 0 || r.j.ChangedBytes() != 0 {
			t.Errorf("%s: %d bytes are left, %d to be written", name, r.j.StateBytes(), r.j.ChangedBytes())
		}
	}
}

// TestJoinStateRoundTrip restores a join over and over, from snapshots of changes and
// whole ones, also amid the rows of one event time: what comes out is the same.
func TestJoinStateRoundTrip(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	for range 200 {
		outer := [2]bool{random.IntN(2) == 0, random.IntN(2) == 0}
		once := random.IntN(2) == 0
		reach := IntervalJoin(random.Int64N(2000), random.Int64N(2000), outer, once)
		if random.IntN(2) == 0 {
			reach = TumblingJoin(1 + random.Int64N(2000))
		}
		plain, restored := newJoinRun(t, reach, outer, once), newJoinRun(t, reach, outer, once)
		restored.room = random.IntN(4)
		var entries []log.Block
		w, offset := dataflow.Time(0), log.Offset(0)
		for range 40 {
			for range random.IntN(20) {
				row := givenRow{w + dataflow.Time(100*random.IntN(30)), offset, int64(random.IntN(5)) - 1}
				offset++
				source := random.IntN(4)
				plain.feed(source, w, row)
				restored.feed(source, w, row)
			}
			w += dataflow.Time(100 * random.IntN(10))
			plain.advance(w)
			for done := false; !done; {
				var err error
				if done, err = restored.j.OnWatermark(w, restored); err != nil {
					t.Fatal(err)
				}
				if random.IntN(4) > 0 {
					continue
				}
				state := dataflow.StateWriter{ChunkBytes: 500, Full: random.IntN(5) == 0}
				if state.Full {
					entries = nil
				}
				if err := restored.j.Snapshot(&state); err != nil {
					t.Fatal(err)
				}
				entries = append(entries, state.Chunks...)
				if random.IntN(2) == 0 {
					restored.j = NewJoin(restored.config)
					restoreAll(t, restored.j, entries)
				}
			}
		}
		plain.advance(dataflow.MaxTime)
		restored.advance(dataflow.MaxTime)
		if !slices.Equal(plain.rows, restored.rows) {
			t.Fatalf("%d rows\n%q\nrestored: %d rows\n%q", len(plain.rows), plain.rows, len(restored.rows), restored.rows)
		}
		if restored.j.StateBytes() != 0 {
			t.Fatalf("%d bytes are left", restored.j.StateBytes())
		}
	}
}

// restoreAll applies blocks of the state log, as a graph does.
func restoreAll(t *testing.T, j *Join, blocks []log.Block) {
	t.Helper()
	for _, block := range blocks {
		cursor := block.Records(0, 0)
		for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
			e := dataflow.StateEntry{Group: r.Key[1], Key: r.Key[2:], Value: r.Value[1:], Deleted: r.Value[0] == 0}
			if err := j.Restore(e); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// FuzzRestoreJoin: damage is refused, and what is taken can be used.
func FuzzRestoreJoin(f *testing.F) {
	row := append([]byte{joinEntry, 0, 0, 0, 0}, appendTime(appendTime(nil, 0), 7)...)
	f.Add(row, append(appendTime(nil, 5), 0, 0), false)
	f.Add([]byte{progressEntry}, append(appendTime(nil, 5), 0), false)
	f.Add(appendTime([]byte{segmentEntry, 1}, 0), []byte{}, true)
	f.Fuzz(func(t *testing.T, key, value []byte, deleted bool) {
		run := newJoinRun(t, IntervalJoin(5, 5, [2]bool{true, true}, true), [2]bool{true, true}, true)
		if run.j.Restore(dataflow.StateEntry{Key: key, Value: value, Deleted: deleted}) != nil {
			return
		}
		_ = run.j.Restore(dataflow.StateEntry{Key: key, Value: value, Deleted: deleted})
		if run.advance(dataflow.MaxTime); run.j.StateBytes() != 0 || len(run.rows) > 1 {
			t.Errorf("%d rows, %d bytes are left", len(run.rows), run.j.StateBytes())
		}
	})
}
