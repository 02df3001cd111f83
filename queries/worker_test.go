package queries

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"leat/internal/bus"
	"leat/log"
	"leat/queries/fakebus"
)

const foldSpec = `{"name":"q","source":{"topic":"in","event_time":"t","max_out_of_orderness":2,"until":"end"},` +
	`"group_by":["k"],"window":{"hopping":30,"every":12},"aggregate":{"s":"sum(v)","a":"avg(v)","d":"stddev(v)",` +
	`"f":"first(x)","l":"last(x)","m":"max_by(x, v)","u":"count_distinct(x)","p":"percentile(v, 75)","c":"collect(x)"}}`

const sessionSpec = `{"name":"q","source":{"topic":"in","event_time":"t","max_out_of_orderness":40,"until":"end"},` +
	`"group_by":["k"],"window":{"session":9},"aggregate":{"n":"count()","s":"sum(v)","a":"avg(v)","d":"stddev(v)","l":"last(x)"}}`

// TestSemantics05And07Cores: results, late rows, dead letters and counters are the same
// bytes on any number of cores and workers. It is not parallel: GOMAXPROCS is of the
// whole process.
func TestSemantics05And07Cores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	const seed = 11
	r := rand.New(rand.NewPCG(seed, seed))
	var logs [][]string
	for range 5 {
		rows := randomRows(r, 3000)
		for i, row := range rows { // foldSpec takes numbers only
			rows[i] = strings.ReplaceAll(row, `"v":"text"`, `"v":0.1`)
		}
		logs = append(logs, rows)
	}
	for _, spec := range []string{foldSpec, randomSpec, sessionSpec, statelessSpec} {
		var want Trial
		for i, c := range []struct{ procs, workers int }{{1, 1}, {1, 2}, {2, 2}, {2, 4}, {8, 3}, {8, 8}} {
			runtime.GOMAXPROCS(c.procs)
			b := newBus(t, logs...)
			got := runTrial(t, b, spec, RunOptions{Workers: c.workers, BatchRows: 100, EpochRows: 1500})
			checkConservation(t, got)
			if spec == statelessSpec {
				slices.SortFunc(got.Results, func(x, y json.RawMessage) int { return bytes.Compare(x, y) })
			}
			if i == 0 {
				want = got
				continue
			}
			compareTrials(t, got, want)
			if t.Failed() {
				t.Fatalf("seed %d, %d cores, %d workers; rerun: go test ./queries -run TestSemantics05And07Cores", seed, c.procs, c.workers)
			}
		}
		if len(want.Results) < 1000 || len(want.Late) == 0 && spec != statelessSpec {
			t.Fatalf("%d results, %d late rows: the case shows nothing", len(want.Results), len(want.Late))
		}
	}
}

// TestLettersOfAllLanesHaveRoom: where every row becomes a letter, in all lanes at the
// same time, no transaction is too large, whatever the sizes of the records.
func TestLettersOfAllLanesHaveRoom(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 20, "medium": 3000, "huge": 1<<20 - 200} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const lanes = 8
			rows := min(6000, 4<<20/size)
			var logs [lanes][]string
			for i := range rows * lanes {
				row := fmt.Sprintf(`{"t":1,"k":"a","v":"%s"}`, strings.Repeat("x", size))
				logs[i%lanes] = append(logs[i%lanes], row)
			}
			b := newBus(t, logs[:]...)
			for _, spec := range []string{
				`{"name":"q","source":{"topic":"in","event_time":"t","until":"end"},"window":{"tumbling":10},"aggregate":{"s":"sum(v)"}}`,
				`{"name":"q","source":{"topic":"in","event_time":"t","until":"end"},"select":{"s":"v * 2"}}`,
				`{"name":"q","source":{"topic":"in","event_time":"t","until":"end"}}`,
			} {
				config := trialConfig(b, compilePlan(t, b, spec), RunOptions{Workers: lanes})
				config.ID = fmt.Sprint("q", len(spec))
				got, err := RunTrial(t.Context(), config, nil)
				if err != nil {
					t.Fatal(err)
				}
				checkConservation(t, got)
				if n := int64(rows * lanes); got.Rows.In != n || got.Rows.DeadLettered+got.Rows.Out != n {
					t.Errorf("rows %+v, want %d", got.Rows, n)
				}
			}
			if b.BiggestTxn() >= maxTxnBytes {
				t.Errorf("a transaction of %d bytes", b.BiggestTxn())
			}
		})
	}
}

// TestLanesHaveEpochsOfTheirOwn: what a stateless lane puts out beside the others goes
// into the next epoch where there is no room; the checkpoint between tells the one read
// but not written from the others.
func TestLanesHaveEpochsOfTheirOwn(t *testing.T) {
	t.Parallel()
	var logs [4][]string
	for i := range 12_000 {
		logs[i%4] = append(logs[i%4], fmt.Sprintf(`{"t":%d,"k":"%d","v":"%s"}`, i, i, strings.Repeat("x", 1000)))
	}
	const spec = `{"name":"q","source":{"topic":"in","event_time":"t","until":"end"}}`
	b := newBus(t, logs[:]...)
	r := rand.New(rand.NewPCG(3, 3))
	kills := 0
	b.Interfere(func(_ int, txn bus.Txn) fakebus.Outcome {
		if len(txn.Appends) > 0 && r.IntN(2) == 0 && kills < 6 {
			kills++
			return fakebus.KillAfter
		}
		return fakebus.Pass
	})
	config := trialConfig(b, compilePlan(t, b, spec), RunOptions{Workers: 4, FixedEpochs: true})
	got, err := RunTrial(t.Context(), config, func(err error) bool { return errors.Is(err, fakebus.ErrKilled) })
	if err != nil {
		t.Fatal(err)
	}
	var sorted, want []string
	for _, row := range got.Results {
		sorted = append(sorted, string(row))
	}
	want = slices.Concat(logs[:]...)
	slices.Sort(sorted)
	slices.Sort(want)
	if !slices.Equal(sorted, want) || kills < 3 {
		t.Errorf("%d results, %d kills", len(sorted), kills)
	}
	for _, logs := range logs { // each partition in its order
		at := 0
		for _, row := range got.Results {
			if at < len(logs) && logs[at] == string(row) {
				at++
			}
		}
		if at < len(logs) {
			t.Errorf("row %s is out of order", logs[at])
		}
	}
}

// panicky panics when a partition is read.
type panicky struct {
	*fakebus.Bus
	partition int32
}

func (b panicky) Read(topic string, p int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error) {
	if topic == "in" && p == b.partition {
		panic(fmt.Sprint("broken ", p))
	}
	return b.Bus.Read(topic, p, from, maxBytes, buf)
}

// TestAWorkersPanicIsTheJobs: whoever runs a job can recover what goes wrong in any of
// its goroutines.
func TestAWorkersPanicIsTheJobs(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{`{"t":1}`}, []string{`{"t":1}`}, []string{`{"t":1}`})
	for _, p := range []int32{0, 2} {
		config := trialConfig(b, compilePlan(t, b, countSpec), RunOptions{Workers: 3})
		config.Topics = panicky{b, p}
		config.ID = fmt.Sprint("q", p)
		got := func() (cause any) {
			defer func() { cause = recover() }()
			return NewJob(config).Run(t.Context())
		}()
		if got != fmt.Sprint("broken ", p) {
			t.Errorf("the run ended with %v", got)
		}
	}
}
