package filerun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/internal/fault"
	"leat/internal/testenv"
	"leat/queries"
	"leat/queries/fakebus"
)

// stillClock stands still.
type stillClock struct{}

func (stillClock) Now() time.Time                       { return time.UnixMilli(0) }
func (stillClock) After(time.Duration) <-chan time.Time { return nil }

// input is one from memory.
func input(topic, text string) Input {
	return Input{Topic: topic, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

// collected is what a run has put out.
type collected struct {
	rows, late, dead []string
	counts           queries.RowCounts
}

func (c *collected) output() queries.LocalOutput {
	keep := func(into *[]string) func([]byte) error {
		return func(row []byte) error {
			*into = append(*into, string(row))
			return nil
		}
	}
	return queries.LocalOutput{Results: keep(&c.rows), Late: keep(&c.late), DeadLetters: keep(&c.dead)}
}

func runOver(ctx context.Context, spec string, partitions int32, inputs ...Input) (collected, error) {
	var c collected
	var err error
	c.counts, err = Run(ctx, Config{
		Spec: []byte(spec), Inputs: inputs, Partitions: partitions, AppendMs: 1000, Clock: stillClock{}, Output: c.output(),
		Options: queries.RunOptions{LeadBytes: 1}, // what lags behind is read first, and waited for
	})
	return c, err
}

// overLog is the same query over the same lines in a log.
func overLog(t *testing.T, spec string, partitions int32, lines []string) collected {
	t.Helper()
	b := fakebus.New()
	b.SetTime(1000)
	if err := b.CreateTopic("in", partitions); err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		if err := b.Append("in", int32(i)%partitions, []byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	_, plan, _, problems := queries.Compile(t.Context(), []byte(spec), b)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	plan.Sources[0].UntilEnd = true
	trial, err := queries.RunTrial(t.Context(), queries.JobConfig{
		ID: "q", Owner: "q", Shard: fakebus.DataShard, Plan: plan, Topics: b, Docs: b, Clock: stillClock{},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := collected{counts: trial.Rows}
	for _, row := range trial.Results {
		c.rows = append(c.rows, string(row))
	}
	for _, row := range trial.Late {
		c.late = append(c.late, string(row))
	}
	for _, row := range trial.DeadLetters {
		c.dead = append(c.dead, string(row))
	}
	return c
}

// TestRunAgainstLog: files give what the same lines in a topic give. What belongs to
// no window comes in the order of the job, which with more partitions is any.
func TestRunAgainstLog(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	lines := make([]string, 8_000)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"t":%d,"k":"k%d","v":%d}`, i/2+r.IntN(40), r.IntN(9), r.IntN(100))
		if r.IntN(500) == 0 {
			lines[i] = fmt.Sprintf("broken %d", i)
		}
	}
	text := strings.Join(lines, "\n")
	for _, spec := range []string{
		`{"name":"q","source":{"topic":"in","event_time":"t","max_out_of_orderness":20},
		"group_by":["k"],"window":{"tumbling":10},"aggregate":{"n":"count()","v":"sum(v)"}}`,
		`{"name":"q","source":{"topic":"in"},"group_by":["k"],"window":{"tumbling":"1s"},"aggregate":{"v":"collect(t % 7)"},"having":"k != \"k3\""}`,
		`{"name":"q","source":{"topic":"in","event_time":"t"},"filter":"v > 30","select":{"v":"100 / (v - 50)"}}`,
	} {
		for _, partitions := range []int32{1, 3} {
			want := overLog(t, spec, partitions, lines)
			got, err := runOver(t.Context(), spec, partitions, input("in", text))
			if err != nil {
				t.Fatal(err)
			}
			if got.counts != want.counts || got.counts.In != int64(len(lines)) || len(got.rows) == 0 {
				t.Errorf("counts %+v, want %+v", got.counts, want.counts)
			}
			for _, logs := range [][2]*[]string{{&got.rows, &want.rows}, {&got.late, &want.late}, {&got.dead, &want.dead}} {
				if partitions > 1 && (logs[0] != &got.rows || !strings.Contains(spec, "window")) {
					slices.Sort(*logs[0])
					slices.Sort(*logs[1])
				}
				if !slices.Equal(*logs[0], *logs[1]) {
					t.Errorf("%d partitions: %d rows differ from the %d there should be of\n%s", partitions, len(*logs[0]), len(*logs[1]), spec)
				}
			}
		}
	}
}

const plain = `{"name":"q","source":{"topic":"in"}}`

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec   string
		inputs []Input
		code   string
	}{
		{`{"name":"q"`, []Input{input("", "")}, "invalid_query"},
		{`{"name":"q","source":{"topic":"in"},"fliter":1}`, []Input{input("", "")}, "invalid_query"},
		{`{"name":"q","source":{"topic":"in","event_time":"a b"}}`, []Input{input("", "")}, "invalid_query"},
		{plain, nil, CodeInvalidInput},
		{plain, []Input{input("other", "")}, CodeInvalidInput},
		{plain, []Input{input("", ""), input("in", "")}, CodeInvalidInput},
	} {
		_, err := runOver(t.Context(), c.spec, 1, c.inputs...)
		f := fault.As(err)
		if f == nil || f.Code != c.code || (len(Problems(err)) > 0) != (c.code == "invalid_query") {
			t.Errorf("%s with %d inputs: %v", c.spec, len(c.inputs), err)
		}
	}
	if _, err := runOver(t.Context(), plain, 300, input("", "")); fault.KindOf(err) != fault.Invalid {
		t.Errorf("300 partitions: %v", err)
	}
}

// TestRunBrokenFile: what was read before counts, and the error names the place.
func TestRunBrokenFile(t *testing.T) {
	t.Parallel()
	gone := errors.New("no such file")
	_, err := runOver(t.Context(), plain, 1, Input{Open: func() (io.ReadCloser, error) { return nil, gone }})
	if !errors.Is(err, gone) {
		t.Errorf("a file that is not there: %v", err)
	}
	whole := zip(t, strings.Repeat("{}\n", 10))
	_, err = runOver(t.Context(), plain, 1, Input{Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(whole[:len(whole)-8])), nil
	}})
	if err == nil || err.Error() != `read the input of topic "in": line 11: unexpected EOF` {
		t.Errorf("a file that is cut off: %v", err)
	}
}

// TestRunInterrupted: a run ends with its context, also while the file gives nothing.
func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	defer out.Close()
	var c collected
	output := c.output()
	output.Results = func([]byte) error {
		cancel()
		return nil
	}
	go func() { _, _ = io.WriteString(out, "{}\n") }()
	counts, err := Run(ctx, Config{
		Spec: []byte(plain), Inputs: []Input{{Open: func() (io.ReadCloser, error) { return in, nil }}}, Clock: stillClock{}, Output: output,
	})
	if !errors.Is(err, context.Canceled) || counts.In != 1 {
		t.Errorf("%v, %+v", err, counts)
	}
}

func BenchmarkRun(b *testing.B) {
	const rows = 200_000
	var text strings.Builder
	r := rand.New(rand.NewPCG(1, 2))
	for i := range rows {
		fmt.Fprintf(&text, `{"id":"evt-%08d","ts":%d,"user":"u%04d","amount":%d.5,"note":"%s"}`+"\n", i, i, r.IntN(1000), r.IntN(100), strings.Repeat("x", 110))
	}
	for _, c := range []struct{ name, spec string }{
		{"tumbling", `{"name":"q","source":{"topic":"in","event_time":"ts"},"group_by":["user"],"window":{"tumbling":"10s"},"aggregate":{"n":"count()","total":"sum(amount)"}}`},
		{"filter", `{"name":"q","source":{"topic":"in"},"filter":"amount > 50"}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				counts, err := Run(b.Context(), Config{Spec: []byte(c.spec), Inputs: []Input{input("in", text.String())}, Clock: stillClock{}})
				if err != nil || counts.In != rows {
					b.Fatal(counts, err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
