package queries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/queries/fakebus"
)

// maxTxnBytes is what a transaction has to stay below.
const maxTxnBytes = 4 << 20

// TestHugeWindowLeavesOverManyEpochs closes 200,000 groups at once, with kills in
// the middle of it.
func TestHugeWindowLeavesOverManyEpochs(t *testing.T) {
	t.Parallel()
	const keys = 200_000
	var logs [2][]string
	for i := range keys {
		logs[i%2] = append(logs[i%2], fmt.Sprintf(`{"t":1,"k":"key-%06d","v":%d}`, (i*7919)%keys, i))
	}
	b := newBus(t, logs[0], logs[1])
	plan := compilePlan(t, b, countSpec)
	const seed = 5
	r := rand.New(rand.NewPCG(seed, seed))
	kills := 0
	b.Interfere(func(int, bus.Txn) fakebus.Outcome {
		if r.IntN(8) == 0 && kills < 12 {
			kills++
			return []fakebus.Outcome{fakebus.KillBefore, fakebus.KillAfter, fakebus.KillDelayed}[r.IntN(3)]
		}
		return fakebus.Pass
	})
	config := trialConfig(b, plan, RunOptions{})
	got, err := RunTrial(t.Context(), config, func(err error) bool { return errors.Is(err, fakebus.ErrKilled) })
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Results) != keys || got.Rows.Out != keys || got.Rows.Used != keys {
		t.Fatalf("%d results, rows %+v", len(got.Results), got.Rows)
	}
	for i, row := range got.Results {
		if want := fmt.Sprintf(`{"k":"key-%06d","n":1,`, i); !strings.HasPrefix(string(row), want) {
			t.Fatalf("row %d is %s, want %s…", i, row, want)
		}
	}
	if kills < 5 || b.BiggestTxn() >= maxTxnBytes {
		t.Errorf("%d kills, a transaction of %d bytes", kills, b.BiggestTxn())
	}
}

// TestLargeRecords has records, letters and output rows of the largest sizes.
func TestLargeRecords(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20-100)
	rows := []string{`{"a":"` + long + `"}`, `{"a":"` + long, `{"a":"short"}`}
	for range 600 {
		rows = append(rows, `{"a":"`+strings.Repeat("y", 2000)+`"}`)
	}
	b := newBus(t, rows)
	whole := runTrial(t, b, `{"name":"q","source":{"topic":"in","until":"end"}}`, RunOptions{})
	if whole.Rows != (RowCounts{In: 603, Used: 602, DeadLettered: 1, Out: 602}) || string(whole.Results[0]) != rows[0] {
		t.Errorf("rows %+v", whole.Rows)
	}
	// Ten times the input: what has no room in an epoch is undone and taken in parts.
	b2 := newBus(t, rows)
	more := runTrial(t, b2, `{"name":"q","source":{"topic":"in","until":"end"},`+
		`"select":{"b":"a+a+a+a+a","c":"a+a+a+a+a"}}`, RunOptions{})
	if more.Rows != (RowCounts{In: 603, Used: 601, DeadLettered: 2, Out: 601}) || len(more.Results[5]) < 20000 {
		t.Errorf("rows %+v", more.Rows)
	}
	checkConservation(t, more)
	byPlace(t, more.DeadLetters)
	if b.BiggestTxn() >= maxTxnBytes || b2.BiggestTxn() >= maxTxnBytes {
		t.Errorf("transactions of %d and %d bytes", b.BiggestTxn(), b2.BiggestTxn())
	}
}

// TestSemantics02Conservation: every way a row can go, counted and kept.
func TestSemantics02Conservation(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{
		`{"t":25,"k":"a","v":1}`,   // used; the watermark is 25 now
		`{"t":3,"k":"a","v":1}`,    // late
		`{"t":3,"k":"a","v":-1}`,   // filtered, though it would be late
		`{"t":21,"k":"a","v":"x"}`, // dead: the filter fails
		`{"t":21,"k":"a","v":1,"w":"x"}`,
		`{"k":"a","v":1}`, `{"t":"soon","v":1}`, `{"t":1.5,"v":1}`, `[]`,
		`{"t":41,"v":-1}`,        // filtered, and moves the watermark
		`{"t":29,"k":"a","v":1}`, // late by it
		`{"t":"1970-01-01T00:00:00.045Z","k":"b","v":7}`,
	})
	got := runTrial(t, b, `{"name":"q","source":{"topic":"in","event_time":"t","until":"end"},"filter":"v > 0",`+
		`"group_by":["k"],"window":{"tumbling":10},"aggregate":{"n":"count()","s":"sum(w)"}}`, RunOptions{BatchRows: 3})
	checkConservation(t, got)
	if got.Rows != (RowCounts{In: 12, Used: 2, Filtered: 2, Late: 2, DeadLettered: 6, Out: 2}) {
		t.Errorf("rows %+v", got.Rows)
	}
	wantRows(t, "results", got.Results,
		`{"k":"a","n":1,"s":null,"window_start":20,"window_end":30}`,
		`{"k":"b","n":1,"s":null,"window_start":40,"window_end":50}`)
	var reasons []string
	for _, l := range got.DeadLetters {
		var dead struct{ Operator, Reason string }
		if err := json.Unmarshal(l, &dead); err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, dead.Operator+": "+dead.Reason)
	}
	if len(reasons) != 6 {
		t.Fatalf("reasons %q", reasons)
	}
	for i, want := range []string{"filter: ", "aggregate: sum(w): string is not a number", "event_time: event time is missing",
		"event_time: event time is text that is not an RFC 3339 time", "event_time: event time 1.5 is not an integer",
		"decode: not a JSON object"} {
		if !strings.HasPrefix(reasons[i], want) {
			t.Errorf("reason %d is %q, want %q", i, reasons[i], want)
		}
	}
}

// TestSemantics04StateIsBounded: fresh keys over 200 times the span of a window
// leave neither state nor an ever longer state log.
func TestSemantics04StateIsBounded(t *testing.T) {
	t.Parallel()
	var rows []string
	for i := range 20_000 {
		rows = append(rows, fmt.Sprintf(`{"t":%d,"k":"key-%d","v":1}`, i/10, i))
	}
	b := newBus(t, rows)
	var most checkpoint
	b.Interfere(func(_ int, txn bus.Txn) fakebus.Outcome {
		for _, d := range txn.Puts {
			saved, err := decodeCheckpoint(d)
			if err != nil {
				t.Error(err)
			}
			most.StateBytes = max(most.StateBytes, saved.StateBytes)
			most.StateLogBytes = max(most.StateLogBytes, saved.StateLogBytes)
			most.StateFrom = max(most.StateFrom, saved.StateFrom)
		}
		return fakebus.Pass
	})
	got := runTrial(t, b, countSpec, RunOptions{BatchRows: 50, EpochRows: 50, StateLogBytes: 10_000})
	if got.StateBytes != 0 || most.StateBytes == 0 || most.StateBytes > 100_000 {
		t.Errorf("state of %d bytes at most, %d in the end", most.StateBytes, got.StateBytes)
	}
	log, err := b.Partition(stateTopic("q1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if most.StateLogBytes > 500_000 || most.StateFrom == 0 || log.First != most.StateFrom {
		t.Errorf("the state log had %d bytes, begins at %d and was cut to %d", most.StateLogBytes, log.First, most.StateFrom)
	}
}

// TestSemantics04Budget: a query whose state goes beyond its budget fails and says why;
// its rows so far are there, and the others go on.
func TestSemantics04Budget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`})
		m := startManager(t, b, "one", func(c *ManagerConfig) { c.Options.StateLimit = 100_000 })
		m.create(liveSpec)
		m.create(`{"name":"stateless","source":{"topic":"in"}}`)
		if s := m.status("q"); s.State != "running" || s.Rows.Out != 1 {
			t.Errorf("within the budget: %+v", s)
		}
		for i := range 5000 {
			appendRows(t, b, 0, fmt.Sprintf(`{"t":%d,"k":"key-%d"}`, 13+i/1000, i))
		}
		s := m.status("q")
		if s.State != "failed" || !strings.Contains(s.Error, "bytes of state, more than the 100000 it may hold") {
			t.Errorf("beyond the budget: %+v", s)
		}
		m.wantResults(firstRow)
		if s := m.status("stateless"); s.State != "running" || s.Rows.Out != 5003 {
			t.Errorf("the other one: %+v", s)
		}
		m.stop()
	})
}

// TestSemantics04NodeBudget: of the queries of a node the one fails that would take more
// state than all may together. The others go on, and so does this one once there is room.
func TestSemantics04NodeBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, nil)
		if err := b.CreateTopic("other", 1); err != nil {
			t.Fatal(err)
		}
		m := startManager(t, b, "one", func(c *ManagerConfig) { c.StateBytes = 400_000 })
		counting := func(name, topic string) string {
			return fmt.Sprintf(`{"name":%q,"source":{"topic":%q,"event_time":"t"},"group_by":["k"],"window":{"tumbling":10},"aggregate":{"n":"count()"}}`, name, topic)
		}
		m.create(counting("first", "in"))
		m.create(counting("second", "other"))
		fill := func(topic string, n int) {
			for i := range n {
				if err := b.Append(topic, 0, fmt.Appendf(nil, `{"t":1,"k":"key-%d"}`, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		fill("in", 5000)
		first := m.status("first")
		if first.State != "running" || first.StateBytes < 200_000 || first.StateBytes > 400_000 {
			t.Fatalf("the first: %+v", first)
		}
		fill("other", 5000)
		second := m.status("second")
		if second.State != "failed" || !strings.Contains(second.Error, "together more than the 400000 that all may hold") {
			t.Errorf("the second: %+v", second)
		}
		if err := b.Append("in", 0, []byte(`{"t":11,"k":"a"}`)); err != nil { // closes the window
			t.Fatal(err)
		}
		if s := m.status("first"); s.State != "running" || s.Rows.Out != 5000 {
			t.Errorf("the first goes on: %+v", s)
		}
		if err := m.Pause(t.Context(), "second"); err != nil {
			t.Fatal(err)
		}
		if err := m.Resume(t.Context(), "second"); err != nil {
			t.Fatal(err)
		}
		if s := m.status("second"); s.State != "running" || s.Rows.In != 5000 {
			t.Errorf("the second with room: %+v", s)
		}
		m.stop()
		if held := m.budget.held; held != 0 {
			t.Errorf("%d bytes are still taken", held)
		}
	})
}

func TestIntegerOverflowIsADeadRow(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{
		`{"t":1,"k":"a","v":9223372036854775807}`, `{"t":1,"k":"a","v":1}`, `{"t":1,"k":"b","v":9223372036854775807}`,
		`{"t":1,"k":"c","v":9223372036854775807}`, `{"t":1,"k":"c","v":5}`, `{"t":1,"k":"c","v":-5}`,
	})
	got := runTrial(t, b, countSpec, RunOptions{})
	checkConservation(t, got)
	wantRows(t, "results", got.Results,
		`{"k":"b","n":1,"s":9223372036854775807,"window_start":0,"window_end":10}`,
		`{"k":"c","n":3,"s":9223372036854775807,"window_start":0,"window_end":10}`)
	// {"k":"a","n":2,"s":null,"window_start":0,"window_end":10}
	wantRows(t, "dead letters", got.DeadLetters, `{"topic":"in","partition":null,"offset":null,"operator":"aggregate",`+
		`"reason":"integer overflow in sum(v)",`+
		`"value_b64":"eyJrIjoiYSIsIm4iOjIsInMiOm51bGwsIndpbmRvd19zdGFydCI6MCwid2luZG93X2VuZCI6MTB9"}`)
	if got.Rows.FailedPanes != 1 || got.Rows.Used != 6 {
		t.Errorf("rows %+v", got.Rows)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	for start, want := range map[string][]string{
		`"earliest"`:          {`{"i":1}`, `{"i":2}`, `{"i":3}`},
		`"latest"`:            nil,
		`{"offset":{"0":2}}`:  {`{"i":2}`, `{"i":3}`},
		`{"offset":{"0":99}}`: nil,
		`{"timestamp":1500}`:  {`{"i":3}`},
	} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()
			b := fakebus.New()
			if err := b.CreateTopic("in", 1); err != nil {
				t.Fatal(err)
			}
			b.SetTime(1000)
			appendRows(t, b, 0, `{"i":0}`, `{"i":1}`, `{"i":2}`)
			b.SetTime(2000)
			appendRows(t, b, 0, `{"i":3}`)
			if err := b.Trim("in", 0, 1); err != nil {
				t.Fatal(err)
			}
			got := runTrial(t, b, `{"name":"q","source":{"topic":"in","start":`+start+`,"until":"end"}}`, RunOptions{})
			wantRows(t, "results", got.Results, want...)
		})
	}
}

// TestFencedByAnotherOwner: of two jobs of one query the older one stops.
func TestFencedByAnotherOwner(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{`{"t":1,"k":"a"}`})
	config := trialConfig(b, compilePlan(t, b, liveSpec), RunOptions{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	start := func(owner string) chan error {
		changed := b.DocsChanged(fakebus.DataShard)
		config.Owner = owner
		ended := make(chan error, 1)
		go func() { ended <- NewJob(config).Run(ctx) }()
		<-changed
		return ended
	}
	first := start("first")
	second := start("second")
	appendRows(t, b, 0, `{"t":12,"k":"a"}`)
	if err := <-first; fault.KindOf(err) != fault.Conflict {
		t.Errorf("the first owner ended with %v", err)
	}
	stop()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the second owner ended with %v", err)
	}
}

// TestRecordsRemovedUnderAQuery: what retention took away before it was read is an
// error, not a gap.
func TestRecordsRemovedUnderAQuery(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{`{"t":1}`, `{"t":2}`, `{"t":3}`})
	killed := false
	b.Interfere(func(_ int, txn bus.Txn) fakebus.Outcome {
		if len(txn.Appends) > 0 && !killed {
			killed = true
			return fakebus.KillBefore
		}
		return fakebus.Pass
	})
	config := trialConfig(b, compilePlan(t, b, `{"name":"q","source":{"topic":"in","until":"end"}}`), RunOptions{})
	_, err := RunTrial(t.Context(), config, func(err error) bool {
		if err := b.Trim("in", 0, 2); err != nil {
			t.Error(err)
		}
		return errors.Is(err, fakebus.ErrKilled)
	})
	if fault.KindOf(err) != fault.OutOfRange {
		t.Errorf("got %v", err)
	}
}

// TestReadingIsFair: a lane that is ahead in event time is read too.
func TestReadingIsFair(t *testing.T) {
	t.Parallel()
	var old, fresh []string
	for range 500 {
		old = append(old, `{"t":1}`)
		fresh = append(fresh, `{"t":1000}`)
	}
	b := newBus(t, old, fresh, nil)
	j := NewJob(trialConfig(b, compilePlan(t, b, liveSpec), RunOptions{BatchRows: 1, Workers: 1}))
	j.options = j.options.withDefaults(3)
	j.lastCut = j.clock.Now()
	if err := j.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 125 {
		lanes, err := j.pick()
		if err != nil || len(lanes) != 1 {
			t.Fatal(lanes, err)
		}
		if err := j.round(t.Context(), lanes); err != nil {
			t.Fatal(err)
		}
	}
	var read [3]int
	for i, l := range j.lanes {
		read[i] = int(l.next)
	}
	if read[0] < 400 || read[1] < roundBatches || read[2] != 0 {
		t.Errorf("rows by lane: %v", read)
	}
}

// hookClock runs something before its first timer fires.
type hookClock struct {
	stillClock
	hook func()
}

func (c *hookClock) After(d time.Duration) <-chan time.Time {
	if hook := c.hook; hook != nil {
		c.hook = nil
		hook()
	}
	return c.stillClock.After(d)
}

// TestClaimsAreToldApart: an owner that does not know the outcome of its claim does
// not take another's claim, of the same generation, for its own.
func TestClaimsAreToldApart(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{`{"t":1,"k":"a"}`})
	b.Interfere(func(call int, _ bus.Txn) fakebus.Outcome {
		if call == 0 {
			return fakebus.LostUnknown
		}
		return fakebus.Pass
	})
	config := trialConfig(b, compilePlan(t, b, liveSpec), RunOptions{})
	open := func(owner string, clock Clock) *Job {
		config.Owner, config.Clock = owner, clock
		j := NewJob(config)
		j.options = j.options.withDefaults(1)
		if err := j.open(t.Context()); err != nil {
			t.Error(err)
		}
		return j
	}
	var other *Job
	j := open("first", &hookClock{hook: func() { other = open("second", stillClock{}) }})
	if j.saved.Owner != "first" || j.saved.Generation != 2 || other.saved.Generation != 1 {
		t.Errorf("saved %+v and %+v", j.saved, other.saved)
	}
	doc, _ := b.Doc(fakebus.DataShard, checkpointKey("q1"))
	if saved, err := decodeCheckpoint(doc); err != nil || saved.Owner != "first" || doc.Version != j.version {
		t.Errorf("stored %+v, %v", saved, err)
	}
}

// TestSemantics08And11Keys: missing and null are one group, numbers meet by value
// whatever their notation, other kinds stay apart; groups leave in the order of keys.
func TestSemantics08And11Keys(t *testing.T) {
	t.Parallel()
	b := newBus(t,
		[]string{`{"t":1,"k":1,"v":null}`, `{"t":1,"k":1.0,"v":2}`, `{"t":1,"k":"1"}`, `{"t":1}`, `{"t":1,"k":true,"v":1}`},
		[]string{`{"t":1,"k":1e0,"v":3}`, `{"t":1,"k":null,"v":4}`, `{"t":1,"k":[ 1 ],"v":4}`, `{"t":1,"k":[1.0],"v":4}`})
	got := runTrial(t, b, `{"name":"q","source":{"topic":"in","event_time":"t","until":"end"},"group_by":["k"],`+
		`"window":{"tumbling":10},"aggregate":{"n":"count()","m":"count(v)","s":"sum(v)","a":"avg(v)","lo":"min(v)"},`+
		`"select":{"k":"k","n":"n","m":"m","s":"s","a":"a","lo":"lo"}}`, RunOptions{})
	wantRows(t, "results", got.Results,
		`{"k":null,"n":2,"m":1,"s":4,"a":4,"lo":4}`,
		`{"k":true,"n":1,"m":1,"s":1,"a":1,"lo":1}`,
		`{"k":1,"n":3,"m":2,"s":5,"a":2.5,"lo":2}`,
		`{"k":"1","n":1,"m":0,"s":null,"a":null,"lo":null}`,
		`{"k":[1],"n":2,"m":2,"s":8,"a":4,"lo":4}`)
}

// TestJoinedRowsFailOnce: joined rows that have no room and are offered again leave one
// dead letter each, whichever operator refuses them.
func TestJoinedRowsFailOnce(t *testing.T) {
	t.Parallel()
	const rows = 600
	lines := make([]string, rows)
	for i := range lines {
		v := `1`
		if i%10 == 0 {
			v = `"no number"`
		}
		lines[i] = fmt.Sprintf(`{"t":1,"id":%d,"v":%s,"text":"%s"}`, i, v, strings.Repeat("x", 10_000))
	}
	for _, refused := range []string{`"filter":"left.v - 1 == 0"`, `"lookup":{"kv":"ns","key":"string(left.v - 1)","as":"found","type":"left"}`} {
		b := newBus(t, lines)
		c := trialConfig(b, compilePlan(t, b, `{"name":"q","join":{"on":[["id","id"]],"window":{"tumbling":10},
			"left":{"topic":"in","event_time":"t","until":"end"},"right":{"topic":"in","event_time":"t","until":"end"}},
			"select":{"a":"left.text","b":"left.text","c":"left.text + left.text + left.text + left.text + left.text + left.text","d":"left.text"},`+refused+`}`), RunOptions{})
		c.Values = &fakebus.Values{}
		got, err := RunTrial(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := (RowCounts{In: 2 * rows, Used: 2 * rows, Out: rows * 9 / 10, FailedPanes: rows / 10}); got.Rows != want || len(got.DeadLetters) != rows/10 {
			t.Errorf("%s: rows %+v and %d dead letters, want %+v", refused, got.Rows, len(got.DeadLetters), want)
		}
	}
}
