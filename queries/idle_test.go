package queries

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"leat/log"
	"leat/queries/fakebus"
)

const idleSpec = `{"name":"q","source":{"topic":"in","event_time":"t","idle_timeout":"30s"},"group_by":["k"],` +
	`"window":{"tumbling":10},"aggregate":{"n":"count()"}}`

// pass has log time go on by ms, and the job as much time and more to ask for it.
func pass(b *fakebus.Bus, ms int64) {
	b.Pass(ms)
	time.Sleep(time.Minute)
	synctest.Wait()
}

// partitionsOf says of each partition its watermark and whether it holds or is idle.
func partitionsOf(s Status) string {
	var list []string
	for _, p := range s.Partitions {
		text := "none"
		if p.Watermark != nil {
			text = FormatDuration(*p.Watermark)
		}
		if p.Holds {
			text += " holds"
		}
		if p.Idle {
			text += " idle"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func (m *managed) wantPartitions(want string) {
	m.t.Helper()
	if got := partitionsOf(m.status("q")); got != want {
		m.t.Errorf("partitions: %s, want %s", got, want)
	}
}

// TestSemantics01IdlePartition: a partition that never has data stops holding the windows
// once its log time has gone on by the timeout, and not because a reader's time has. When
// it wakes, its rows are judged against the mark, also by the next owner.
func TestSemantics01IdlePartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`}, nil)
		m := startManager(t, b, "one")
		m.create(idleSpec)
		pass(b, 29_999)
		appendRows(t, b, 0, `{"t":16,"k":"a"}`)
		pass(b, 0)
		m.wantResults()
		m.wantPartitions("16ms, none holds")
		pass(b, 1)
		m.wantResults(firstRow)
		m.wantPartitions("16ms holds, 16ms idle")

		appendRows(t, b, 0, `{"t":25,"k":"a"}`) // the mark is raised without a new wait
		m.wantResults(firstRow, secondRow)
		m.wantPartitions("25ms holds, 25ms idle")

		appendRows(t, b, 1, `{"t":19,"k":"a"}`, `{"t":21,"k":"a"}`)
		synctest.Wait()
		m.wantPartitions("25ms holds, 25ms holds")
		m.stop()
		appendRows(t, b, 1, `{"t":18,"k":"a"}`, `{"t":31,"k":"a"}`)
		m = startManager(t, b, "two")
		synctest.Wait()
		m.wantPartitions("25ms holds, 31ms")
		late, err := m.Late("q", 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		wantRows(t, "late", late.Rows,
			`{"topic":"in","partition":1,"offset":0,"event_time":19,"watermark":25,"window_start":10,"window_end":20,"value_b64":"eyJ0IjoxOSwiayI6ImEifQ=="}`,
			`{"topic":"in","partition":1,"offset":2,"event_time":18,"watermark":25,"window_start":10,"window_end":20,"value_b64":"eyJ0IjoxOCwiayI6ImEifQ=="}`)
		if s := m.status("q"); s.Rows != (RowCounts{In: 8, Used: 6, Late: 2, Out: 2}) {
			t.Errorf("rows %+v", s.Rows)
		}
		m.stop()
	})
}

// lateQuiet is a bus on which partition 1 is quiet, partition 2 as well from the second time
// on that it is asked about, and partition 0 never.
type lateQuiet struct {
	*fakebus.Bus
	asked int
}

func (b *lateQuiet) Quiet(ctx context.Context, name string, p int32, spanMs int64) (leftMs int64, end log.Offset, err error) {
	_, end, err = b.Bus.Quiet(ctx, name, p, spanMs)
	if p == 2 {
		b.asked++
	}
	if p == 1 || p == 2 && b.asked > 1 {
		return 0, end, err
	}
	return spanMs, end, err
}

// leapClock leaps with each look at it, and its timers never fire.
type leapClock struct{ now time.Time }

func (c *leapClock) Now() time.Time {
	c.now = c.now.Add(time.Hour)
	return c.now
}
func (c *leapClock) After(time.Duration) <-chan time.Time { return nil }

// TestSemantics01MarkInBetween: a mark that is made while windows leave over several epochs
// is acted on at once, not when the job is woken the next time.
func TestSemantics01MarkInBetween(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &lateQuiet{Bus: newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":35,"k":"a"}`}, []string{`{"t":2,"k":"a"}`}, []string{`{"t":3,"k":"a"}`, `{"t":12,"k":"b"}`})}
		config := trialConfig(b.Bus, compilePlan(t, b.Bus, idleSpec), RunOptions{EpochBytes: 1, Workers: 3})
		config.Topics, config.Clock = b, &leapClock{}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- NewJob(config).Run(ctx) }()
		synctest.Wait()
		rows, err := readLog(b, resultsTopic("q1"), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		wantRows(t, "result", rows.Rows, `{"k":"a","n":3,"window_start":0,"window_end":10}`, `{"k":"b","n":1,"window_start":10,"window_end":20}`)
		stop()
		<-done
	})
}

// TestSemantics01AllIdle: where all partitions are idle nothing moves, and the first that
// has rows again holds the watermark.
func TestSemantics01AllIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":16,"k":"a"}`}, []string{`{"t":2,"k":"a"}`})
		m := startManager(t, b, "one")
		m.create(idleSpec)
		pass(b, 3_600_000)
		m.wantResults()
		m.wantPartitions("16ms, 2ms holds")
		appendRows(t, b, 1, `{"t":3,"k":"b"}`)
		pass(b, 0)
		m.wantResults()
		m.wantPartitions("16ms, 3ms holds")
		appendRows(t, b, 0, `{"t":17,"k":"a"}`)
		pass(b, 29_000)
		m.wantResults()
		appendRows(t, b, 0, `{"t":18,"k":"a"}`)
		pass(b, 1_000)
		m.wantResults(firstRow, `{"k":"b","n":1,"window_start":0,"window_end":10}`)
		m.wantPartitions("18ms holds, 18ms idle")
		m.stop()
	})
}

// TestSemantics01ReaderLagIsNotIdle: a partition that is held back with rows unread has
// had no append for an hour, and still it is not idle.
func TestSemantics01ReaderLagIsNotIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rows, want []string
		for i := range 100 {
			rows = append(rows, fmt.Sprintf(`{"t":%d,"k":"a"}`, i))
		}
		for start := 0; start < 90; start += 10 {
			want = append(want, fmt.Sprintf(`{"k":"a","n":10,"window_start":%d,"window_end":%d}`, start, start+10))
		}
		b := newBus(t, rows, nil)
		m := startManager(t, b, "one", func(c *ManagerConfig) { c.Options = RunOptions{BatchRows: 1, LeadBytes: 1, EpochRows: 1} })
		m.create(idleSpec)
		if s := m.status("q"); s.Partitions[0].Lag == 0 {
			t.Fatal("nothing was held back")
		}
		pass(b, 3_600_000)
		m.wantResults(want...)
		docs := b.Docs(fakebus.DataShard, "checkpoint/")
		saved, err := decodeCheckpoint(docs[0])
		if err != nil || saved.Sources[0].Partitions[0].Idle != nil || saved.Sources[0].Partitions[1].Idle == nil {
			t.Errorf("marks %+v and %+v, %v", saved.Sources[0].Partitions[0].Idle, saved.Sources[0].Partitions[1].Idle, err)
		}
		m.stop()
	})
}

// TestSemantics01NoTimeoutNoClock: without the timeout nobody asks for log time.
func TestSemantics01NoTimeoutNoClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":16,"k":"a"}`}, nil)
		m := startManager(t, b, "one")
		m.create(liveSpec)
		pass(b, 3_600_000)
		m.wantResults()
		if n := b.AskedQuiet(); n > 0 {
			t.Errorf("asked %d times", n)
		}
		m.stop()
	})
}

// TestSemantics01IdleSide: a side of a join without new records is passed over as any
// partition is: rows that it might still have matched go out, and what comes to it later
// is judged against the mark.
func TestSemantics01IdleSide(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ window, row string }{
		"tumbling": {`{"tumbling":10}`, `{"left":{"t":1,"k":"a"},"right":null,"window_start":0,"window_end":10}`},
		"within":   {`{"within":5}`, `{"left":{"t":1,"k":"a"},"right":null}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBus(t, []string{`{"t":1,"k":"a"}`})
			if err := b.CreateTopic("other", 2); err != nil {
				t.Fatal(err)
			}
			m := startManager(t, b, "one")
			m.create(`{"name":"q","join":{"type":"left","on":[["k","k"]],"window":` + c.window + `,
				"left":{"topic":"in","event_time":"t","idle_timeout":"30s"},"right":{"topic":"other","event_time":"t","idle_timeout":"30s"}}}`)
			pass(b, 29_999)
			appendRows(t, b, 0, `{"t":25,"k":"b"}`)
			pass(b, 0)
			m.wantResults()
			m.wantPartitions("25ms, none holds, none holds")
			pass(b, 1)
			m.wantResults(c.row)
			m.wantPartitions("25ms holds, 25ms idle, 25ms idle")
			if err := b.Append("other", 1, []byte(`{"t":2,"k":"a"}`), []byte(`{"t":26,"k":"b"}`)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			m.wantResults(c.row)
			if s := m.status("q"); s.Rows.Late != 1 || s.Rows.Used != 3 || s.Rows.In != 4 {
				t.Errorf("%s: rows %+v", name, s.Rows)
			}
			m.stop()
		})
	}
}
