package dataflow

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"leat/log"
)

// stub is an operator that drops its highest row, and holds a counter as state.
type stub struct {
	seen    int
	held    int // batches it emits when the watermark comes
	restore []StateEntry
	fail    error
}

func (s *stub) Process(input int, b *Batch, out Emitter) error {
	s.seen++
	if s.fail != nil {
		return s.fail
	}
	last := len(b.Selected) - 1
	out.Dead(b, int(b.Selected[last]), fmt.Sprint("input ", input))
	b.Selected = b.Selected[:last]
	return out.Emit(b)
}

func (s *stub) OnWatermark(w Time, out Emitter) (bool, error) {
	if s.held == 0 {
		return true, nil
	}
	s.held--
	return false, out.Emit(&Batch{Source: -1, Rows: 1, Selected: []int32{0}})
}

func (s *stub) Snapshot(w *StateWriter) error {
	w.Put(7, []byte("seen"), []byte{byte(s.seen)})
	w.Put(3, nil, nil)
	w.Delete(0, []byte("gone"))
	return nil
}

func (s *stub) Restore(e StateEntry) error {
	s.restore = append(s.restore, e)
	return s.fail
}

func (s *stub) StateBytes() int64   { return 10 }
func (s *stub) ChangedBytes() int64 { return 1 }

// record is a Sink that remembers.
type record struct{ lines []string }

func (r *record) Rows(b *Batch) error { return r.line("rows %v of %d", b.Selected, b.Source) }

func (r *record) Dead(b *Batch, row int, operator, reason string) {
	_ = r.line("dead %d %s %s", row, operator, reason)
}
func (r *record) Late(_ *Batch, row int, _, _ Time) { _ = r.line("late %d", row) }
func (r *record) LateWindows(windows int64)         { _ = r.line("late windows %d", windows) }
func (r *record) Filtered(rows int)                 { _ = r.line("filtered %d", rows) }
func (r *record) Used(rows int)                     { _ = r.line("used %d", rows) }
func (r *record) Full() bool                        { return false }

func (r *record) line(format string, args ...any) error {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
	return nil
}

// diamond is source → a → (b, c) → d, where d tells its inputs apart.
func diamond() (*Graph, []*stub) {
	ops := []*stub{{}, {}, {}, {}}
	g := NewGraph(Input{"topic", 1})
	a := g.Add("a", "first", ops[0], 0)
	b := g.Add("b", "", ops[1], a)
	c := g.Add("c", "", ops[2], a)
	g.Add("d", "join", ops[3], b, c)
	return g, ops
}

func TestGraph(t *testing.T) {
	t.Parallel()
	g, ops := diamond()
	const want = "0 source topic\n1 a first <- 0\n2 b <- 1\n3 c <- 1\n4 d join <- 2 3\n"
	if got := g.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	var out record
	if err := g.Process(&Batch{Rows: 5, Selected: []int32{0, 1, 2, 3, 4}}, &out); err != nil {
		t.Fatal(err)
	}
	// Each branch has a selection of its own.
	lines := []string{
		"dead 4 a input 0", "dead 3 b input 0", "dead 2 d input 0", "rows [0 1] of 0",
		"dead 3 c input 0", "dead 2 d input 1", "rows [0 1] of 0",
	}
	if !slices.Equal(out.lines, lines) {
		t.Errorf("got %q, want %q", out.lines, lines)
	}
	if g.StateBytes() != 40 || g.ChangedBytes() != 4 {
		t.Errorf("state of %d bytes, %d changed", g.StateBytes(), g.ChangedBytes())
	}
	ops[2].fail = errors.New("broken")
	if err := g.Process(&Batch{Rows: 3, Selected: []int32{0, 1, 2}}, &out); !errors.Is(err, ops[2].fail) {
		t.Errorf("error %v", err)
	}
}

// TestAdvanceInTurns: an operator that holds more is asked again, and those behind
// it wait.
func TestAdvanceInTurns(t *testing.T) {
	t.Parallel()
	g := NewGraph(Input{"", 1})
	first, second := &stub{held: 2}, &stub{held: 1}
	g.Add("first", "", first, 0)
	g.Add("second", "", second, 0)
	var out record
	for _, held := range [][2]int{{1, 1}, {0, 1}, {0, 0}} {
		if done, _, err := g.Advance(5, &out); err != nil || done || first.held != held[0] || second.held != held[1] {
			t.Fatalf("done %v, %v, held %d and %d, want %v", done, err, first.held, second.held, held)
		}
	}
	if done, _, err := g.Advance(5, &out); err != nil || !done || len(out.lines) != 3 {
		t.Errorf("done %v, %v, %q", done, err, out.lines)
	}
}

// reporter is an operator that accounts for rows in every way there is, has changes to
// give out, and keeps no state.
type reporter struct {
	held int // batches of changes
	fail error
}

func (r *reporter) Process(_ int, b *Batch, out Emitter) error {
	out.Filtered(1)
	out.Used(2)
	out.LateWindows(3)
	out.Late(b, 4, 0, 1)
	out.Dead(b, 5, "why")
	if !out.Full() {
		return errors.New("the sink is full")
	}
	return nil
}

func (r *reporter) OnChanges(out Emitter) (bool, error) {
	if r.fail != nil || r.held == 0 {
		return r.fail == nil, r.fail
	}
	r.held--
	return false, out.Emit(&Batch{Source: -1, Rows: 1, Selected: []int32{int32(r.held)}})
}

// full is a Sink that has no room.
type full struct{ record }

func (f *full) Full() bool { return true }

// TestAllGoesToTheSink: what an operator accounts for is told to the sink, in its name.
func TestAllGoesToTheSink(t *testing.T) {
	t.Parallel()
	g := NewGraph(Input{"", 2})
	g.Add("tell", "", &reporter{}, 0)
	var out full
	if err := g.Process(&Batch{Source: 1}, &out); err != nil {
		t.Fatal(err)
	}
	if want := []string{"filtered 1", "used 2", "late windows 3", "late 4", "dead 5 tell why"}; !slices.Equal(out.lines, want) {
		t.Errorf("got %q, want %q", out.lines, want)
	}
	if g.Stateful() {
		t.Error("the graph keeps state")
	}
	if d, _ := diamond(); !d.Stateful() {
		t.Error("the diamond keeps none")
	}
}

// TestChangesInTurns: operators that have changes give them out one after the other, to
// the sink of the call; the others are left out.
func TestChangesInTurns(t *testing.T) {
	t.Parallel()
	g := NewGraph(Input{"", 1})
	first, second := &reporter{held: 2}, &reporter{held: 1}
	g.Add("first", "", first, 0)
	g.Add("other", "", &stub{}, 0)
	g.Add("second", "", second, 0)
	var out record
	for _, want := range []string{"rows [1] of -1", "rows [0] of -1", "rows [0] of -1"} {
		out.lines = nil
		if done, moved, err := g.Changes(&out); err != nil || done || !moved || !slices.Equal(out.lines, []string{want}) {
			t.Errorf("done %v, moved %v, %v, %q, want %q", done, moved, err, out.lines, want)
		}
	}
	if done, moved, err := g.Changes(&out); err != nil || !done || !moved {
		t.Errorf("at the end: done %v, moved %v, %v", done, moved, err)
	}
	second.fail = errors.New("broken")
	if done, _, err := g.Changes(&out); done || !errors.Is(err, second.fail) || err.Error() != "second: broken" {
		t.Errorf("done %v, %v", done, err)
	}
}

// failingTimer is an operator that fails when the watermark comes.
type failingTimer struct{ stub }

func (f *failingTimer) OnWatermark(Time, Emitter) (bool, error) { return true, f.fail }

func TestAdvanceFails(t *testing.T) {
	t.Parallel()
	g := NewGraph(Input{"", 1})
	op := &failingTimer{stub{fail: errors.New("broken")}}
	g.Add("timer", "", op, 0)
	if done, _, err := g.Advance(5, &record{}); done || !errors.Is(err, op.fail) || err.Error() != "timer: broken" {
		t.Errorf("done %v, %v", done, err)
	}
}

func TestStateGoesToItsOperator(t *testing.T) {
	t.Parallel()
	g, ops := diamond()
	for i, op := range ops {
		op.seen = i
	}
	w := StateWriter{ChunkBytes: 20}
	if err := g.Snapshot(&w); err != nil {
		t.Fatal(err)
	}
	if len(w.Chunks) < 2 {
		t.Errorf("%d chunks", len(w.Chunks))
	}
	other, restored := diamond()
	var bytes int64
	for _, chunk := range w.Chunks {
		bytes += int64(len(chunk.Bytes))
		cursor := chunk.Records(0, 0)
		for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
			if err := other.Restore(r.Key, r.Value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if bytes != w.Bytes() {
		t.Errorf("%d bytes, want %d", w.Bytes(), bytes)
	}
	for i, op := range restored {
		if len(op.restore) != 3 || op.restore[0].Group != 7 || op.restore[0].Value[0] != byte(i) ||
			string(op.restore[0].Key) != "seen" || op.restore[0].Deleted || !op.restore[2].Deleted ||
			op.restore[1].Group != 3 || len(op.restore[1].Key)+len(op.restore[1].Value) > 0 {
			t.Errorf("operator %d got %v", i, op.restore)
		}
	}
	for _, bad := range [][2]string{{"", ""}, {"\x01", "\x01"}, {"\x00\x00", "\x01"}, {"\x09\x00", "\x01"}, {"\x01\x00", ""}, {"\x01\x00", "\x02"}} {
		if err := other.Restore([]byte(bad[0]), []byte(bad[1])); err == nil {
			t.Errorf("the record %q was taken", bad)
		}
	}
}

// TestSnapshotAhead: chunks go ahead in order, all but the last, and are those that would
// have been kept; after an error nothing more is asked for.
func TestSnapshotAhead(t *testing.T) {
	t.Parallel()
	snapshot := func(w *StateWriter) error {
		g, operators := diamond()
		for i, op := range operators {
			op.seen = i
		}
		w.ChunkBytes = 20
		return g.Snapshot(w)
	}
	var kept, ahead StateWriter
	var chunks []log.Block
	ahead.Ahead = func(b log.Block) error {
		b.Bytes = bytes.Clone(b.Bytes)
		chunks = append(chunks, b)
		return nil
	}
	if err := errors.Join(snapshot(&kept), snapshot(&ahead)); err != nil {
		t.Fatal(err)
	}
	if got := append(chunks, ahead.Chunks...); len(ahead.Chunks) != 1 || len(got) < 3 || !reflect.DeepEqual(got, kept.Chunks) || ahead.Bytes() != kept.Bytes() {
		t.Errorf("%d chunks went ahead and %d were kept of %d", len(chunks), len(ahead.Chunks), len(kept.Chunks))
	}
	calls, broken := 0, errors.New("broken")
	if err := snapshot(&StateWriter{Ahead: func(log.Block) error { calls++; return broken }}); !errors.Is(err, broken) || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}

func TestTimeDoesNotWrap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		t    Time
		d    int64
		want Time
	}{{5, 3, 8}, {5, -8, -3}, {MaxTime, 1, MaxTime}, {MinTime, -1, MinTime}, {MaxTime - 1, 5, MaxTime}, {MinTime + 3, -5, MinTime}} {
		if got := c.t.Plus(c.d); got != c.want {
			t.Errorf("%d + %d = %d", c.t, c.d, got)
		}
		if got := c.t.Minus(-c.d); got != c.want {
			t.Errorf("%d - %d = %d", c.t, -c.d, got)
		}
	}
}
