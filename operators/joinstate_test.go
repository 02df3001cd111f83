package operators

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"leat/dataflow"
)

// TestJoinStateGolden holds the state log of a join to docs/formats/state.md: a snapshot
// of all, then one of what has changed, and what is made of both.
func TestJoinStateGolden(t *testing.T) {
	t.Parallel()
	full := [2]bool{true, true}
	run := newJoinRun(t, IntervalJoin(10, 10, full, false), full, false)
	run.feed(0, dataflow.MinTime, givenRow{100, 0, 1}, givenRow{105, 1, -1}, givenRow{140, 2, 2})
	run.feed(3, dataflow.MinTime, givenRow{108, 7, 1}, givenRow{109, 8, 1}, givenRow{-5, 9, 300})
	var got strings.Builder
	put := func(title string, w *dataflow.StateWriter) {
		fmt.Fprintf(&got, "# %s\n", title)
		for _, block := range w.Chunks {
			cursor := block.Records(0, 0)
			for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
				fmt.Fprintf(&got, "%s = %s\n", hex.EncodeToString(r.Key), hex.EncodeToString(r.Value))
			}
		}
	}
	first, second := &dataflow.StateWriter{Full: true, ChunkBytes: 1 << 20}, &dataflow.StateWriter{ChunkBytes: 1 << 20}
	run.advance(90)
	if err := run.j.Snapshot(first); err != nil {
		t.Fatal(err)
	}
	put("all, at watermark 90", first)
	run.room = 1
	if done, err := run.j.OnWatermark(130, run); done || err != nil {
		t.Fatalf("%v, %v", done, err)
	}
	run.feed(1, dataflow.MinTime, givenRow{150, 0, 2})
	if err := run.j.Snapshot(second); err != nil {
		t.Fatal(err)
	}
	put("what has changed, amid watermark 130", second)
	const path = "testdata/joinstate.golden"
	if os.Getenv("LEAT_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the state is\n%s\nwant\n%s", &got, want)
	}
	restored := newJoinRun(t, IntervalJoin(10, 10, full, false), full, false)
	restoreAll(t, restored.j, append(first.Chunks, second.Chunks...))
	run.room, run.rows = 0, nil
	run.advance(dataflow.MaxTime)
	restored.advance(dataflow.MaxTime)
	if a, b := strings.Join(run.rows, "\n"), strings.Join(restored.rows, "\n"); a != b || len(run.rows) != 4 {
		t.Errorf("restored, the rest is\n%s\nand not\n%s", b, a)
	}
}
