package queries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/queries/fakebus"
)

// stillClock is a clock that stands still and whose timers fire at once.
type stillClock struct{}

func (stillClock) Now() time.Time { return time.UnixMilli(0) }
func (stillClock) After(time.Duration) <-chan time.Time {
	ch := make(chan time.Time, 1)
	ch <- time.UnixMilli(0)
	return ch
}

func compilePlan(t testing.TB, b *fakebus.Bus, spec string) *Plan {
	t.Helper()
	_, plan, _, problems := Compile(context.Background(), []byte(spec), b)
	if len(problems) > 0 {
		t.Fatalf("compile %s: %v", spec, problems)
	}
	return plan
}

// newBus makes a bus with a topic "in" of the given partitions.
func newBus(t testing.TB, partitions ...[]string) *fakebus.Bus {
	t.Helper()
	b := fakebus.New()
	if err := b.CreateTopic("in", int32(len(partitions))); err != nil {
		t.Fatal(err)
	}
	for p, rows := range partitions {
		appendRows(t, b, int32(p), rows...)
	}
	return b
}

func appendRows(t testing.TB, b *fakebus.Bus, p int32, rows ...string) {
	t.Helper()
	for chunk := range slices.Chunk(rows, 500) {
		values := make([][]byte, len(chunk))
		for i, r := range chunk {
			values[i] = []byte(r)
		}
		if err := b.Append("in", p, values...); err != nil {
			t.Fatal(err)
		}
	}
}

func trialConfig(b *fakebus.Bus, plan *Plan, o RunOptions) JobConfig {
	return JobConfig{
		ID: "q1", Owner: "test", Shard: fakebus.DataShard, Plan: plan,
		Topics: b, Docs: b, Clock: stillClock{}, Options: o,
	}
}

func runTrial(t testing.TB, b *fakebus.Bus, spec string, o RunOptions) Trial {
	t.Helper()
	got, err := RunTrial(context.Background(), trialConfig(b, compilePlan(t, b, spec), o), nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wantRows[T ~[]byte | ~string](t testing.TB, what string, got []T, want ...string) {
	t.Helper()
	var lines []string
	for _, r := range got {
		lines = append(lines, string(r))
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

const countSpec = `{"name":"q","source":{"topic":"in","event_time":"t","until":"end"},` +
	`"group_by":["k"],"window":{"tumbling":10},"aggregate":{"n":"count()","s":"sum(v)"}}`

func TestWindowsCloseInOrder(t *testing.T) {
	t.Parallel()
	b := newBus(t,
		[]string{`{"t":1,"k":"b","v":1}`, `{"t":2,"k":"a","v":2}`, `{"t":15,"k":"a","v":3}`},
		[]string{`{"t":3,"k":"a","v":0.5}`, `{"t":25,"v":4}`})
	got := runTrial(t, b, countSpec, RunOptions{})
	wantRows(t, "results", got.Results,
		`{"k":"a","n":2,"s":2.5,"window_start":0,"window_end":10}`,
		`{"k":"b","n":1,"s":1,"window_start":0,"window_end":10}`,
		`{"k":"a","n":1,"s":3,"window_start":10,"window_end":20}`,
		`{"k":null,"n":1,"s":4,"window_start":20,"window_end":30}`)
	if got.Rows != (RowCounts{In: 5, Used: 5, Out: 4}) {
		t.Errorf("rows %+v", got.Rows)
	}
}

func TestStateless(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{`{"a": 1, "b":"x"}`, `{"a":2}`, `nonsense`, `{"a":"x"}`})
	got := runTrial(t, b, `{"name":"q","source":{"topic":"in","until":"end"},"filter":"a < 2"}`, RunOptions{})
	wantRows(t, "results", got.Results, `{"a":1,"b":"x"}`)
	if len(got.DeadLetters) != 2 || got.Rows != (RowCounts{In: 4, Used: 1, Filtered: 1, DeadLettered: 2, Out: 1}) {
		t.Errorf("rows %+v, dead %s", got.Rows, got.DeadLetters)
	}
}

// randomRows makes rows with disorder, nulls, wrong types, floats and nonsense.
func randomRows(r *rand.Rand, n int) []string {
	rows := make([]string, n)
	for i := range rows {
		at := i*3 - r.IntN(60)
		switch r.IntN(20) {
		case 0:
			rows[i] = `{"t":null,"k":"a"}`
		case 1:
			rows[i] = `{broken`
		case 2:
			rows[i] = fmt.Sprintf(`{"t":%d,"k":null,"v":"text"}`, at)
		case 3:
			rows[i] = fmt.Sprintf(`{"t":%d,"v":null,"x":"%d"}`, at, r.IntN(9))
		case 4, 5, 6:
			rows[i] = fmt.Sprintf(`{"t":%d,"k":"k%d","v":%v,"x":"s%d"}`, at, r.IntN(7), r.NormFloat64(), r.IntN(100))
		case 7:
			rows[i] = fmt.Sprintf(`{"t":%d,"k":"k%d","v":%d,"y":5000000000000000000}`, at, r.IntN(7), r.IntN(5))
		default:
			rows[i] = fmt.Sprintf(`{"t":%d,"k":"k%d","v":%d,"x":%d}`, at, r.IntN(7), r.IntN(100), r.IntN(100))
		}
	}
	return rows
}

const randomSpec = `{"name":"q","source":{"topic":"in","event_time":"t","max_out_of_orderness":20,"until":"end"},` +
	`"filter":"v == nil or v != 3","group_by":["k"],"window":{"tumbling":50},"allowed_lateness":5,` +
	`"aggregate":{"n":"count()","m":"count(v)","big":"sum(y)","s":"sum(v)","a":"avg(v)","lo":"min(x)","hi":"max(x)"}}`

const statelessSpec = `{"name":"q","source":{"topic":"in","event_time":"t","until":"end"},` +
	`"filter":"v == nil or v != 3","select":{"k":"k","at":"t","twice":"v * 2"}}`

// TestSemantics05And09Determinism runs one log under random knobs, kills and unknown
// outcomes: everything must come out as in a plain run.
func TestSemantics05And09Determinism(t *testing.T) {
	t.Parallel()
	for i := range 60 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			compareWithPlainRun(t, uint64(i), randomSpec)
			if t.Failed() {
				t.Logf("rerun: go test ./queries -run TestSemantics05And09Determinism/%d$", i)
			}
		})
	}
}

// TestStatelessDeterminism is the same for a stateless query, the order of whose
// results is that of the partitions' reading.
func TestStatelessDeterminism(t *testing.T) {
	t.Parallel()
	for i := range 30 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			compareWithPlainRun(t, uint64(i), statelessSpec)
			if t.Failed() {
				t.Logf("rerun: go test ./queries -run TestStatelessDeterminism/%d$", i)
			}
		})
	}
}

// TestSemantics09EveryWrite kills the job at each of its transactions in turn, before it
// has taken effect, after it, and so that it takes effect when the next job has begun.
func TestSemantics09EveryWrite(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	logs := [][]string{randomRows(r, 300), randomRows(r, 200)}
	for name, spec := range map[string]string{"tumbling": randomSpec, "session": sessionSpec, "stateless": statelessSpec} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := RunOptions{BatchRows: 40, EpochRows: 80, StateChunkBytes: 800, StateLogBytes: 2000, FixedEpochs: true}
			b := newBus(t, logs...)
			writes := 0
			b.Interfere(func(call int, _ bus.Txn) fakebus.Outcome {
				writes = call + 1
				return fakebus.Pass
			})
			plan := compilePlan(t, b, spec)
			want := runTrial(t, b, spec, o)
			if writes < 7 || len(want.Results) < 50 || len(want.DeadLetters) == 0 {
				t.Fatalf("%d writes, %d rows: the case shows nothing", writes, len(want.Results))
			}
			for at := range writes {
				for _, outcome := range []fakebus.Outcome{fakebus.KillBefore, fakebus.KillAfter, fakebus.KillDelayed} {
					b := newBus(t, logs...)
					killed := false
					b.Interfere(func(call int, _ bus.Txn) fakebus.Outcome {
						if call != at || killed {
							return fakebus.Pass
						}
						killed = true
						return outcome
					})
					got, err := RunTrial(t.Context(), trialConfig(b, plan, o), func(err error) bool { return errors.Is(err, fakebus.ErrKilled) })
					if err != nil {
						t.Fatal(err)
					}
					compareTrials(t, got, want)
					if t.Failed() || !killed || got.Runs != 2 {
						t.Fatalf("outcome %d of write %d of %d, %d jobs", outcome, at, writes, got.Runs)
					}
				}
			}
		})
	}
}

func compareWithPlainRun(t *testing.T, seed uint64, spec string) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	var logs [][]string
	for range 1 + r.IntN(4) {
		logs = append(logs, randomRows(r, r.IntN(800)))
	}
	plain := runTrial(t, newBus(t, logs...), spec, RunOptions{})
	checkConservation(t, plain)

	b := newBus(t, logs...)
	kill := rand.New(rand.NewPCG(seed, 9))
	left := 60 // or a snapshot of many chunks would never get through
	b.Interfere(func(int, bus.Txn) fakebus.Outcome {
		if n := kill.IntN(20); n < 8 && left > 0 {
			left--
			return fakebus.Outcome(n)
		}
		return fakebus.Pass
	})
	o := RunOptions{
		BatchRows: 1 + r.IntN(100), ReadBytes: 1 + r.IntN(20000), ReadSeed: r.Uint64(), Workers: 1 + r.IntN(4),
		EpochRows: 1 + r.IntN(200), EpochBytes: 100 + r.IntN(5000), FixedEpochs: r.IntN(2) == 0,
		StateChunkBytes: 20 + r.IntN(2000), StateLogBytes: 100 + r.Int64N(5000),
	}
	plan := compilePlan(t, b, spec)
	got, err := RunTrial(t.Context(), trialConfig(b, plan, o),
		func(err error) bool { return errors.Is(err, fakebus.ErrKilled) || passing(err) })
	if err != nil {
		t.Fatal(err)
	}
	if plan.Window == nil {
		for _, rows := range [][]json.RawMessage{got.Results, plain.Results} {
			slices.SortFunc(rows, func(x, y json.RawMessage) int { return strings.Compare(string(x), string(y)) })
		}
	}
	compareTrials(t, got, plain)
}

func compareTrials(t *testing.T, got, want Trial) {
	t.Helper()
	wantRows(t, "results", got.Results, stringsOf(want.Results)...)
	wantRows(t, "late", byPlace(t, got.Late), byPlace(t, want.Late)...)
	wantRows(t, "dead letters", byPlace(t, got.DeadLetters), byPlace(t, want.DeadLetters)...)
	if got.Rows != want.Rows {
		t.Errorf("rows %+v, want %+v", got.Rows, want.Rows)
	}
	if got.StateBytes != 0 {
		t.Errorf("%d bytes of state are left", got.StateBytes)
	}
}

func checkConservation(t *testing.T, got Trial) {
	t.Helper()
	r := got.Rows
	if r.In != r.Used+r.Filtered+r.Late+r.DeadLettered {
		t.Errorf("rows are not conserved: %+v", r)
	}
	if r.Late != int64(len(got.Late)) || r.DeadLettered+r.FailedPanes != int64(len(got.DeadLetters)) ||
		r.Out != int64(len(got.Results)) {
		t.Errorf("%+v with %d results, %d late, %d dead", r, len(got.Results), len(got.Late), len(got.DeadLetters))
	}
}

// byPlace sorts letters by partition; those of one partition have to come by offset,
// and keep their order here.
func byPlace(t *testing.T, letters []json.RawMessage) []string {
	t.Helper()
	type place struct {
		Partition *int   `json:"partition"`
		Offset    *int64 `json:"offset"`
	}
	var parts [16][]string
	var last [16]int64
	var panes []string
	for _, l := range letters {
		var p place
		if err := json.Unmarshal(l, &p); err != nil {
			t.Fatal(err)
		}
		if p.Partition == nil {
			panes = append(panes, string(l))
			continue
		}
		if n := *p.Partition; len(parts[n]) > 0 && last[n] >= *p.Offset {
			t.Errorf("partition %d: a letter of offset %d after that of %d", n, *p.Offset, last[n])
		}
		parts[*p.Partition] = append(parts[*p.Partition], string(l))
		last[*p.Partition] = *p.Offset
	}
	return append(slices.Concat(parts[:]...), panes...)
}

func stringsOf(rows []json.RawMessage) []string {
	list := make([]string, len(rows))
	for i, r := range rows {
		list[i] = string(r)
	}
	return list
}
