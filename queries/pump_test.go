package queries

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
	"leat/log"
	"leat/queries/fakebus"
)

// records lists a partition as "key=value", with "-" for no key.
func records(t testing.TB, b *fakebus.Bus, topic string, p int32) []string {
	t.Helper()
	var list []string
	for at := log.Offset(0); ; {
		frames, err := b.Read(topic, p, at, 1<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		if frames.Empty() {
			return list
		}
		cursor := frames.Records(at)
		for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
			key := "-"
			if r.Key != nil {
				key = string(r.Key)
			}
			list = append(list, key+"="+string(r.Value))
			at = r.Offset + 1
		}
	}
}

// endOfPump is a bus that cancels once a pump, this one or another, has written
// everything.
type endOfPump struct {
	*fakebus.Bus
	log  string
	key  string
	done context.CancelFunc
}

func (e *endOfPump) look() {
	doc, found := e.Doc(fakebus.DataShard, e.key)
	if s, bad := decodeDoc[sinkStanding](doc); found && bad == nil {
		if own, bad := e.Partition(e.log, 0); bad == nil && s.From == own.Next {
			e.done()
		}
	}
}

func (e *endOfPump) Transact(ctx context.Context, t bus.Txn) (bus.TxnResult, error) {
	result, err := e.Bus.Transact(ctx, t)
	e.look()
	return result, err
}

// Wait is where a pump comes that finds everything written.
func (e *endOfPump) Wait(topic string, partition int32, after log.Offset) (<-chan struct{}, error) {
	e.look()
	return e.Bus.Wait(topic, partition, after)
}

// pumpAll runs pumps one after the other until one has copied the whole log.
func pumpAll(t *testing.T, b *fakebus.Bus, sinks *fakebus.Sinks, sink SinkPlan, known ...Formats) (pumps int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for ctx.Err() == nil {
		pumps++
		end := &endOfPump{b, sink.logTopic("q1"), sinkKey("q1", sink.Log), cancel}
		p := &pump{
			id: "q1", shard: fakebus.DataShard, sources: []string{"in"}, sink: sink, topics: end, target: sinks, docs: end, settled: func() {},
		}
		if len(known) > 0 {
			p.formats = known[0]
		}
		err := p.run(ctx)
		if ctx.Err() == nil && !errors.Is(err, fakebus.ErrKilled) && !passing(err) && fault.KindOf(err) != fault.Conflict {
			t.Fatal(err)
		}
		if pumps > 10_000 {
			t.Fatal("no end")
		}
	}
	return pumps
}

// TestSemantics09Sinks: whatever fails at whatever write, each row is in the topic
// once, in the partition of its source row, in order.
func TestSemantics09Sinks(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	r := rand.New(rand.NewPCG(seed, 0))
	outcomes := []fakebus.Outcome{
		fakebus.LostUnknown, fakebus.AppliedUnknown, fakebus.DelayedUnknown, fakebus.Refused,
		fakebus.KillBefore, fakebus.KillAfter, fakebus.KillDelayed,
	}
	var mu sync.Mutex
	judge := func(int) fakebus.Outcome {
		mu.Lock()
		defer mu.Unlock()
		if r.IntN(2) == 0 {
			return outcomes[r.IntN(len(outcomes))]
		}
		return fakebus.Pass
	}
	rows := [][]string{nil, nil, nil}
	for i := range 60_000 {
		p := r.IntN(2) * r.IntN(3) // skewed
		rows[p] = append(rows[p], fmt.Sprintf(`{"a":%d,"k":"%d"}`, i, i%11))
	}
	b := newBus(t, rows...)
	spec := `{"name":"q","source":{"topic":"in","until":"end"},"filter":"a % 3 != 0","sink":{"topic":"out","key":"k"}}`
	runTrial(t, b, spec, RunOptions{ReadSeed: seed | 1})
	sinks := b.Sinks()
	b.Interfere(func(call int, _ bus.Txn) fakebus.Outcome { return judge(call) })
	sinks.Interfere(judge)
	if pumps := pumpAll(t, b, sinks, compilePlan(t, b, spec).Sinks[0]); pumps < 3 {
		t.Errorf("only %d pumps: nothing was tested", pumps)
	}
	for p := range rows {
		var want []string
		for _, row := range rows[p] {
			var a, k int
			if _, err := fmt.Sscanf(row, `{"a":%d,"k":"%d"}`, &a, &k); err != nil {
				t.Fatal(err)
			}
			if a%3 != 0 {
				want = append(want, fmt.Sprintf("%d=%s", k, row))
			}
		}
		if got := records(t, b, "out", int32(p)); !slices.Equal(got, want) {
			t.Errorf("partition %d: %d records, want %d", p, len(got), len(want))
		}
	}
}

// TestPumpsAtOnce: an owner that does not know it has been replaced doubles nothing.
func TestPumpsAtOnce(t *testing.T) {
	t.Parallel()
	var rows []string
	for i := range 40_000 {
		rows = append(rows, fmt.Sprintf(`{"a":%d}`, i))
	}
	b := newBus(t, rows)
	spec := `{"name":"q","source":{"topic":"in","until":"end"},"sink":{"topic":"out"}}`
	runTrial(t, b, spec, RunOptions{})
	sinks := b.Sinks()
	if err := b.CreateTopic("out", 1); err != nil {
		t.Fatal(err)
	}
	sink := compilePlan(t, b, spec).Sinks[0]
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { pumpAll(t, b, sinks, sink) })
	}
	all.Wait()
	got := records(t, b, "out", 0)
	for i, row := range got {
		if row != "-="+rows[i] {
			t.Fatalf("record %d is %s", i, row)
		}
	}
	if len(got) != len(rows) {
		t.Errorf("%d records, want %d", len(got), len(rows))
	}
}

// TestPumpIsFenced: what the next batch is, only one of two pumps gets to say.
func TestPumpIsFenced(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{`{"a":1}`, `{"a":2}`})
	spec := `{"name":"q","source":{"topic":"in","until":"end"},"sink":{"topic":"out"}}`
	runTrial(t, b, spec, RunOptions{})
	own := resultsTopic("q1")
	var pumps [2]*pump
	for i := range pumps {
		pumps[i] = &pump{
			id: "q1", shard: fakebus.DataShard, sources: []string{"in"}, sink: compilePlan(t, b, spec).Sinks[0],
			topics: b, target: b.Sinks(), docs: b, settled: func() {},
		}
		if err := pumps[i].open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := pumps[0].next(t.Context(), own, 1); err != nil {
		t.Fatal(err)
	}
	if err := pumps[1].next(t.Context(), own, 2); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the second pump: %v", err)
	}
	wantRows(t, "out", records(t, b, "out", 0), `-={"a":1}`)
}

func sinkManager(t *testing.T, b *fakebus.Bus, sinks *fakebus.Sinks, owner string) *managed {
	t.Helper()
	return startManager(t, b, owner, func(c *ManagerConfig) { c.Sinks = sinks })
}

// TestSinksOfAGroupedQuery: results by key, late rows and dead letters by partition.
func TestSinksOfAGroupedQuery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":25,"k":"b"}`}, []string{`{"t":31,"k":"a"}`, `{"t":2,"k":"a"}`, `broken`})
		if err := b.CreateTopic("out", 5); err != nil {
			t.Fatal(err)
		}
		sinks := b.Sinks()
		m := sinkManager(t, b, sinks, "one")
		m.create(strings.Replace(liveSpec, `"group_by"`, `"sink":{"topic":"out","key":"k","format":"json"},"late":{"topic":"late"},"on_error":{"topic":"dead"},"group_by"`, 1))
		m.wantResults(firstOne)
		m.stop()
		appendRows(t, b, 0, `{"t":50,"k":"b"}`)
		appendRows(t, b, 1, `{"t":50,"k":"b"}`)
		m = sinkManager(t, b, sinks, "two")
		synctest.Wait()
		second, third := `{"k":"b","n":1,"window_start":20,"window_end":30}`, `{"k":"a","n":1,"window_start":30,"window_end":40}`
		a, bee := sinks.KeyPartition([]byte("a"), 5), sinks.KeyPartition([]byte("b"), 5)
		wantRows(t, "out, a", records(t, b, "out", a), "a="+firstOne, "a="+third)
		wantRows(t, "out, b", records(t, b, "out", bee), "b="+second)
		wantRows(t, "late/0", records(t, b, "late", 0))
		if late, dead := records(t, b, "late", 1), records(t, b, "dead", 1); len(late) != 1 || len(dead) != 1 ||
			!strings.Contains(late[0], `"offset":1`) || !strings.Contains(dead[0], `"offset":2`) {
			t.Errorf("late %v, dead %v", late, dead)
		}
		s := m.status("q")
		want := []SinkStatus{{Log: "results", Topic: "out", Written: 3}, {Log: "late", Topic: "late", Written: 1}, {Log: "dead", Topic: "dead", Written: 1}}
		if !slices.Equal(s.Sinks, want) {
			t.Errorf("sinks %+v", s.Sinks)
		}
		m.must(m.Delete)
		if names := b.TopicNames(); !slices.Equal(names, []string{"dead", "in", "late", "out"}) {
			t.Errorf("topics: %v", names)
		}
		if docs := b.Docs(fakebus.DataShard, ""); len(docs) != 0 {
			t.Errorf("documents are left: %v", docs)
		}
		m.stop()
	})
}

const firstOne = `{"k":"a","n":1,"window_start":0,"window_end":10}`

// TestSinkGone: a topic that is deleted is not made again behind its owner's back.
func TestSinkGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"a":1}`})
		m := sinkManager(t, b, b.Sinks(), "one")
		m.create(`{"name":"q","source":{"topic":"in","until":"end"},"sink":{"topic":"out"}}`)
		wantRows(t, "out", records(t, b, "out", 0), `-={"a":1}`)
		if s := m.status("q"); s.State != "completed" {
			t.Errorf("status %+v", s)
		}
		m.stop()
		if err := b.DeleteTopic(t.Context(), "out"); err != nil {
			t.Fatal(err)
		}
		m = sinkManager(t, b, b.Sinks(), "two")
		if s := m.status("q"); s.State != "failed" || !strings.Contains(s.Error, `"out"`) {
			t.Errorf("status %+v", s)
		}
		m.stop()
	})
}

// TestSemantics12Stop: a query that is to stop at the first bad record does, has put
// out nothing that it would not have put out, and says where it stands.
func TestSemantics12Stop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ spec, row, place string }{
		{strings.Replace(liveSpec, `"group_by"`, `"on_error":"stop","group_by"`, 1), `broken`, "in/0, offset 3: decode: "},
		{`{"name":"q","source":{"topic":"in"},"filter":"t > 5","on_error":"stop"}`, `{"t":"x"}`, "in/0, offset 3: filter: "},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`})
			m := startManager(t, b, "one")
			m.create(c.spec)
			before := m.status("q").Rows
			appendRows(t, b, 0, c.row)
			s := m.status("q")
			if s.State != "failed" || !strings.Contains(s.Error, c.place) || s.Rows != before || s.Rows.Out != 1 {
				t.Errorf("status %+v", s)
			}
			m.stop()
		})
	}
}

func TestSinkPlanText(t *testing.T) {
	t.Parallel()
	b := newBus(t, nil)
	text := compilePlan(t, b, `{"name":"q","source":{"topic":"in"},"sink":{"topic":"out","key":"a.b"},"late":{"topic":"l"},"on_error":{"topic":"d"}}`).String()
	if want := "  write results to topic out, key a.b\n  write late rows to topic l\n  write dead letters to topic d\n"; !strings.HasSuffix(text, want) {
		t.Errorf("got %s", text)
	}
	plan := compilePlan(t, b, `{"name":"q","source":{"topic":"in"},"sink":{"kv":"ns","key":["a.b","c"],"ttl_ms":5000}}`)
	if want := "  write results to kv ns, key a.b/c, for 5s\n"; !strings.HasSuffix(plan.String(), want) {
		t.Errorf("got %s", plan)
	}
	if want := `"inputs":["results"],"detail":{"kv":"ns","ttl_ms":5000}}]}`; !strings.HasSuffix(string(plan.JSON()), want) {
		t.Errorf("got %s", plan.JSON())
	}
	text = compilePlan(t, b, `{"name":"q","source":{"topic":"in"},"on_error":"stop"}`).String()
	if want := "  stop at the first row that fails\n"; !strings.HasSuffix(text, want) {
		t.Errorf("got %s", text)
	}
}

func TestSinkSpecs(t *testing.T) {
	t.Parallel()
	b := newBus(t, nil, nil)
	if err := b.CreateTopic("narrow", 1); err != nil {
		t.Fatal(err)
	}
	const grouped = `"group_by":["k","a.b"],"window":{"tumbling":10},"aggregate":{"n":"count()"},`
	for _, c := range []struct{ members, pointer, message string }{
		{`"sink":{"topic":"out","key":"x.y"}`, "", ""},
		{`"sink":{"topic":"narrow"}`, "/sink/topic", "fewer"},
		{grouped + `"sink":{"topic":"narrow","key":"a.b"}`, "", ""},
		{grouped + `"late":{"topic":"narrow"}`, "/late/topic", "fewer"},
		{grouped + `"sink":{"topic":"out","key":"kk"}`, "/sink/key", `did you mean "k"?`},
		{`"select":{"z":"x"},"sink":{"topic":"out","key":"x"}`, "/sink/key", "no member"},
		{`"sink":{"topic":"in"}`, "/sink/topic", "already"},
		{`"sink":{"topic":"o"},"on_error":{"topic":"o"}`, "/on_error/topic", "already"},
		{`"sink":{"topic":"$results/1"}`, "/sink/topic", "characters"},
		{`"sink":{"topic":"` + strings.Repeat("a", 250) + `"}`, "/sink/topic", "characters"},
		{`"sink":{"topic":"` + strings.Repeat("a", 249) + `"}`, "", ""},
		{`"sink":{}`, "/sink", "missing"},
		{`"sink":"out"`, "/sink", "string"},
		{`"sink":{"topic":"o","key":["a"]}`, "/sink/key", "string"},
		{`"sink":{"topic":"o","ttl_ms":5}`, "/sink/ttl_ms", "retention"},
		{`"sink":{"webhook":"http://x"}`, "/sink/webhook", "not available"},
		{`"sink":{"kv":"ns","key":"x.y","ttl_ms":5,"format":"json"}`, "", ""},
		{`"sink":{"kv":"ns","key":["x.y","z"]}`, "", ""},
		{`"sink":{"kv":"in","key":"x"}`, "", ""},
		{grouped + `"sink":{"kv":"ns","key":["k","a.b","window_start"]}`, "", ""},
		{grouped + `"sink":{"kv":"ns","key":["k","kk"]}`, "/sink/key/1", `did you mean "k"?`},
		{`"sink":{"kv":"ns"}`, "/sink", `"key" is missing`},
		{`"sink":{"kv":"ns","topic":"o","key":"k"}`, "/sink/kv", "not both"},
		{`"sink":{"kv":"a/b","key":"k"}`, "/sink/kv", "characters"},
		{`"sink":{"kv":7,"key":"k"}`, "/sink/kv", "string"},
		{`"sink":{"kv":"ns","key":[]}`, "/sink/key", "list"},
		{`"sink":{"kv":"ns","key":["a",1]}`, "/sink/key/1", "string"},
		{`"sink":{"kv":"ns","key":"k","ttl_ms":0}`, "/sink/ttl_ms", "1 to"},
		{`"sink":{"kv":"ns","key":"k","ttl_ms":"5s"}`, "/sink/ttl_ms", "milliseconds"},
		{`"late":{"kv":"ns"}`, "/late/kv", "unknown member"},
		{`"sink":{"topic":"o","format":"avro"}`, "/sink/format", "not available"},
		{`"sink":{"topic":"o","format":"xml"}`, "/sink/format", "json"},
		{`"late":{"topic":"o","key":"k"}`, "/late/key", "unknown member"},
		{`"on_error":"stop"`, "", ""},
		{`"on_error":"ignore"`, "/on_error", "topic"},
	} {
		_, _, _, problems := Compile(t.Context(), []byte(`{"name":"q","source":{"topic":"in"},`+c.members+`}`), b)
		switch {
		case c.pointer == "" && len(problems) > 0:
			t.Errorf("%s: %v", c.members, problems)
		case c.pointer != "" && (len(problems) != 1 || problems[0].Pointer != c.pointer || !strings.Contains(problems[0].Message, c.message)):
			t.Errorf("%s: %v, want %s …%s…", c.members, problems, c.pointer, c.message)
		}
	}
}

// brokenSinks has a defect that one row is enough for.
type brokenSinks struct{ *fakebus.Sinks }

func (brokenSinks) KeyPartition([]byte, int32) int32 { panic("broken") }

// TestSinkPanics: a panic over a row ends the query that has it, and nothing else.
func TestSinkPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`})
		m := startManager(t, b, "one", func(c *ManagerConfig) { c.Sinks = brokenSinks{b.Sinks()} })
		m.create(liveSpec[:len(liveSpec)-1] + `,"sink":{"topic":"out","key":"k"}}`)
		if s := m.status("q"); s.State != stateFailed || !strings.Contains(s.Error, "broken") {
			t.Errorf("it is %s: %s", s.State, s.Error)
		}
		m.stop()
	})
}
