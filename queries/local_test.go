package queries

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/queries/fakebus"
)

// sealedBus is a bus that nothing is appended to any more.
type sealedBus struct{ *fakebus.Bus }

func (b sealedBus) Partition(topic string, p int32) (bus.Partition, error) {
	standing, err := b.Bus.Partition(topic, p)
	standing.Sealed = true
	return standing, err
}

// keepRows is an output that keeps everything as text.
func keepRows(into *Trial) LocalOutput {
	return LocalOutput{
		Results:     func(row []byte) error { into.Results = append(into.Results, slices.Clone(row)); return nil },
		Late:        func(row []byte) error { into.Late = append(into.Late, slices.Clone(row)); return nil },
		DeadLetters: func(row []byte) error { into.DeadLetters = append(into.DeadLetters, slices.Clone(row)); return nil },
	}
}

// TestRunLocal: a local run of a live query puts out what a bounded run in a log does,
// and leaves nothing in it.
func TestRunLocal(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	parts := make([][]string, 3)
	for i := range 5000 {
		row := fmt.Sprintf(`{"t":%d,"k":"k%d"}`, i/2+r.IntN(40), r.IntN(9))
		if r.IntN(500) == 0 {
			row = "broken"
		}
		parts[i%3] = append(parts[i%3], row)
	}
	const spec = `{"name":"q","source":{"topic":"in","start":"latest","event_time":"t","max_out_of_orderness":20},
		"group_by":["k"],"window":{"tumbling":10},"aggregate":{"n":"count()"}}`
	want := runTrial(t, newBus(t, parts...), strings.Replace(spec, `"latest"`, `"earliest","until":"end"`, 1), RunOptions{})
	b := newBus(t, parts...)
	var got Trial
	commits := 0
	output := keepRows(&got)
	output.Committed = func() error { commits++; return nil }
	counts, err := RunLocal(t.Context(), LocalConfig{
		Plan: compilePlan(t, b, spec), Topics: sealedBus{b}, Clock: stillClock{}, Output: output,
		Options: RunOptions{EpochRows: 500, BatchRows: 200, FixedEpochs: true},
	})
	if err != nil || counts != want.Rows || counts.In != 5000 || counts.Late == 0 || counts.DeadLettered == 0 {
		t.Errorf("counts %+v, want %+v: %v", counts, want.Rows, err)
	}
	wantRows(t, "results", got.Results, texts(want.Results)...)
	wantRows(t, "late", sorted(got.Late), texts(sorted(want.Late))...)
	wantRows(t, "dead letters", sorted(got.DeadLetters), texts(sorted(want.DeadLetters))...)
	if commits < 5 {
		t.Errorf("%d commits", commits)
	}
	if names := b.TopicNames(); !slices.Equal(names, []string{"in"}) {
		t.Errorf("topics are left: %v", names)
	}
}

func texts[T ~[]byte](rows []T) []string {
	list := make([]string, len(rows))
	for i, row := range rows {
		list[i] = string(row)
	}
	return list
}

func sorted[T ~[]byte](rows []T) []T {
	return slices.SortedFunc(slices.Values(rows), func(a, b T) int { return strings.Compare(string(a), string(b)) })
}

// TestRunLocalFails: an error of the output ends the run, one that "on_error" asks for
// too; what was put out before is counted.
func TestRunLocalFails(t *testing.T) {
	t.Parallel()
	rows := slices.Repeat([]string{`{"t":1}`}, 300)
	b := newBus(t, append(rows, `{"t":true}`))
	run := func(spec string, o LocalOutput) (RowCounts, error) {
		return RunLocal(t.Context(), LocalConfig{
			Plan: compilePlan(t, b, spec), Topics: sealedBus{b}, Clock: stillClock{}, Output: o,
			Options: RunOptions{EpochRows: 100, BatchRows: 100, FixedEpochs: true},
		})
	}
	full := errors.New("full")
	n := 0
	counts, err := run(`{"name":"q","source":{"topic":"in"}}`, LocalOutput{Results: func([]byte) error {
		if n++; n > 150 {
			return full
		}
		return nil
	}})
	if !errors.Is(err, full) || counts.Out != 100 {
		t.Errorf("a full output: %v, %+v", err, counts)
	}
	counts, err = run(`{"name":"q","source":{"topic":"in"},"on_error":"stop","select":{"x":"t+1"}}`, LocalOutput{})
	if f := fault.As(err); f == nil || f.Code != "row_failed" || counts.Out != 300 || counts.In != 300 {
		t.Errorf("a row that fails: %v, %+v", err, counts)
	}
	_, err = run(`{"name":"q","source":{"topic":"in"}}`, LocalOutput{Committed: func() error { return full }})
	if !errors.Is(err, full) {
		t.Errorf("a failing commit: %v", err)
	}
}
