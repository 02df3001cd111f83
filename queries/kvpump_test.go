package queries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"leat/codecs"
	"leat/codecs/jsoncodec"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
	"leat/log"
	"leat/queries/fakebus"
)

// spaceShard is that of all namespaces here, another than that of the queries.
const spaceShard uint64 = 3

// fakeSpaces are namespaces in a fake bus.
type fakeSpaces struct {
	mu   sync.Mutex
	full bool
}

func (f *fakeSpaces) Space(namespace string) (uint64, string) {
	return spaceShard, "kv/" + namespace + "/"
}

func (f *fakeSpaces) Check(key string, value []byte) error {
	switch {
	case key == "":
		return fault.New(fault.Invalid, "invalid_key", "the key is empty")
	case len(value) > 200:
		return fault.New(fault.TooLarge, "value_too_large", "the value is too large")
	}
	return nil
}

func (f *fakeSpaces) Room(uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return fault.New(fault.Exhausted, "quota_exceeded", "the shard is full")
	}
	return nil
}

func (f *fakeSpaces) fill(full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = full
}

// space lists a namespace as "key=value".
func space(b *fakebus.Bus, namespace string) map[string]string {
	found := map[string]string{}
	prefix := "kv/" + namespace + "/"
	for _, doc := range b.Docs(spaceShard, prefix) {
		found[strings.TrimPrefix(doc.Key, prefix)] = string(doc.Value)
	}
	return found
}

// endOfKVPump is a bus that cancels once everything is written, and tells a watcher
// of every transaction.
type endOfKVPump struct {
	*fakebus.Bus
	done  context.CancelFunc
	after func()
}

func (e *endOfKVPump) look() {
	doc, found := e.Doc(spaceShard, sinkKey("q1", sinkResults))
	if s, bad := decodeDoc[kvStanding](doc); found && bad == nil {
		if own, bad := e.Partition(resultsTopic("q1"), 0); bad == nil && s.Next == own.Next {
			e.done()
		}
	}
}

func (e *endOfKVPump) Transact(ctx context.Context, t bus.Txn) (bus.TxnResult, error) {
	result, err := e.Bus.Transact(ctx, t)
	e.after()
	e.look()
	return result, err
}

func (e *endOfKVPump) Wait(topic string, partition int32, after log.Offset) (<-chan struct{}, error) {
	e.look()
	return e.Bus.Wait(topic, partition, after)
}

func kvPumpAll(t *testing.T, b *fakebus.Bus, sink SinkPlan, after func()) (pumps int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for ctx.Err() == nil {
		pumps++
		end := &endOfKVPump{b, cancel, after}
		p := &kvPump{
			id: "q1", shard: fakebus.DataShard, sink: sink, topics: end, docs: end, spaces: &fakeSpaces{}, settled: func() {},
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

// monotone watches a namespace: no key may ever go back to an older row.
type monotone struct {
	mu   sync.Mutex
	seen map[string]int
	back string
}

func (m *monotone) look(b *fakebus.Bus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, value := range space(b, "ns") {
		var row struct{ A int }
		if json.Unmarshal([]byte(value), &row) != nil || row.A < m.seen[key] {
			m.back = fmt.Sprintf("key %s went from row %d to %s", key, m.seen[key], value)
		}
		m.seen[key] = row.A
	}
}

// TestSemantics09KVSink: whatever fails at whatever write, and with several pumps at
// once, each key goes through the rows of the log forwards only and ends at the last.
func TestSemantics09KVSink(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	outcomes := []fakebus.Outcome{
		fakebus.LostUnknown, fakebus.AppliedUnknown, fakebus.DelayedUnknown, fakebus.Refused,
		fakebus.KillBefore, fakebus.KillAfter, fakebus.KillDelayed,
	}
	const n, keys = 60_000, 23
	var rows []string
	want, skipped := map[string]string{}, int64(0)
	for i := range n {
		row := fmt.Sprintf(`{"a":%d,"k":"%d"}`, i, i*i%keys)
		if i%100 == 0 {
			row = fmt.Sprintf(`{"a":%d}`, i)
			skipped++
		} else {
			want[fmt.Sprint(i*i%keys)] = row
		}
		rows = append(rows, row)
	}
	b := newBus(t, rows)
	spec := `{"name":"q","source":{"topic":"in","until":"end"},"sink":{"kv":"ns","key":"k"}}`
	runTrial(t, b, spec, RunOptions{})
	var mu sync.Mutex
	most := 0
	b.Interfere(func(_ int, txn bus.Txn) fakebus.Outcome {
		mu.Lock()
		defer mu.Unlock()
		most = max(most, len(txn.Puts))
		if r.IntN(2) == 0 {
			return outcomes[r.IntN(len(outcomes))]
		}
		return fakebus.Pass
	})
	watch := &monotone{seen: map[string]int{}}
	sink := compilePlan(t, b, spec).Sinks[0]
	var all sync.WaitGroup
	pumps := make([]int, 3)
	for i := range pumps {
		all.Go(func() { pumps[i] = kvPumpAll(t, b, sink, func() { watch.look(b) }) })
	}
	all.Wait()
	if pumps[0]+pumps[1]+pumps[2] < 6 {
		t.Errorf("only %v pumps: nothing was tested", pumps)
	}
	if watch.back != "" {
		t.Error(watch.back)
	}
	got := space(b, "ns")
	for key, row := range want {
		if got[key] != row {
			t.Errorf("key %s is %s, want %s", key, got[key], row)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
	doc, _ := b.Doc(spaceShard, sinkKey("q1", sinkResults))
	if s, err := decodeDoc[kvStanding](doc); err != nil || s.Next != n || s.Skipped != skipped || s.LastSkip.Offset != n-100 {
		t.Errorf("the standing is %s, %d are to be skipped", doc.Value, skipped)
	}
	if most != len(want)+1 {
		t.Errorf("a transaction of %d documents, not one for each key and the standing", most)
	}
}

func kvManager(t *testing.T, b *fakebus.Bus, spaces *fakeSpaces, owner string) *managed {
	t.Helper()
	return startManager(t, b, owner, func(c *ManagerConfig) { c.Spaces = spaces })
}

// TestKVSinkOfAQuery: what is a key, what is skipped, what is left when the query goes.
func TestKVSinkOfAQuery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{
			`{"i":1,"k":"a","j":"x"}`, `{"i":2,"k":"a","j":"x"}`, `{"i":3,"k":null,"j":"x"}`, `{"i":4,"j":"x"}`, `{"i":5,"k":"a/b%","j":7.5}`,
			`{"i":6,"k":"big","j":"` + strings.Repeat("x", 200) + `"}`, `broken`, `{"i":7,"k":true,"j":{"z":1}}`, `{"i":8,"k":"","j":""}`,
		})
		m := kvManager(t, b, &fakeSpaces{}, "one")
		m.create(`{"name":"q","source":{"topic":"in"},"sink":{"kv":"ns","key":["k","j"],"ttl_ms":5000}}`)
		want := map[string]string{
			"a/x": `{"i":2,"k":"a","j":"x"}`, "a%2Fb%25/7.5": `{"i":5,"k":"a/b%","j":7.5}`, `true/{"z":1}`: `{"i":7,"k":true,"j":{"z":1}}`,
			"/": `{"i":8,"k":"","j":""}`,
		}
		synctest.Wait()
		got := space(b, "ns")
		for key, row := range want {
			if got[key] != row {
				t.Errorf("key %s is %q, want %s", key, got[key], row)
			}
		}
		if len(got) != len(want) {
			t.Errorf("keys: %v", got)
		}
		if doc, _ := b.Doc(spaceShard, "kv/ns/a/x"); doc.TTLMs != 5000 {
			t.Errorf("ttl %d", doc.TTLMs)
		}
		s := m.status("q")
		if len(s.Sinks) != 1 || s.Sinks[0].KV != "ns" || s.Sinks[0].Written != 5 || s.Sinks[0].Skipped != 3 || s.Rows.Out != 8 ||
			*s.Sinks[0].LastSkip != (Skip{5, "the value is too large"}) || s.Sinks[0].Error != "" || s.State != stateRunning {
			t.Errorf("status %+v", s)
		}
		m.must(m.Delete)
		if left := append(b.Docs(spaceShard, "sink/"), b.Docs(fakebus.DataShard, "")...); len(left) != 0 {
			t.Errorf("documents are left: %v", left)
		}
		if got := space(b, "ns"); len(got) != len(want) {
			t.Errorf("the keys went with the query: %v", got)
		}
		m.stop()
	})
}

// TestKVSinkWaitsForRoom: a full namespace holds up the sink, and nothing else; a
// paused query writes nothing.
func TestKVSinkWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":12,"k":"a"}`})
		spaces := &fakeSpaces{full: true}
		m := kvManager(t, b, spaces, "one")
		m.create(strings.Replace(liveSpec, `"group_by"`, `"sink":{"kv":"ns","key":"k"},"group_by"`, 1))
		s := m.status("q")
		if s.State != stateRunning || s.Rows.Out != 1 || len(s.Sinks) != 1 || s.Sinks[0].Written != 0 || !strings.Contains(s.Sinks[0].Error, "full") {
			t.Errorf("while it is full: %+v", s)
		}
		spaces.fill(false)
		<-bubbleClock{}.After(2 * maxRunBackoff)
		if s = m.status("q"); s.Sinks[0].Written != 1 || s.Sinks[0].Error != "" || space(b, "ns")["a"] != firstOne {
			t.Errorf("with room: %+v, %v", s, space(b, "ns"))
		}
		m.must(m.Pause)
		appendRows(t, b, 0, `{"t":25,"k":"a"}`)
		synctest.Wait()
		if got := space(b, "ns")["a"]; got != firstOne {
			t.Errorf("while it is paused: %s", got)
		}
		m.must(m.Resume)
		if got := space(b, "ns")["a"]; !strings.Contains(got, `"window_start":10`) {
			t.Errorf("after it: %s", got)
		}
		m.stop()
	})
}

// TestKVSinkIsStopped: a write that was under way when its query was deleted has no
// effect on the namespace, however late it arrives.
func TestKVSinkIsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"k":"a"}`})
		m := kvManager(t, b, &fakeSpaces{}, "one")
		var late []bus.Txn
		b.Interfere(func(_ int, t bus.Txn) fakebus.Outcome {
			if t.Shard == spaceShard && t.Fence != nil {
				late = append(late, t)
				if len(t.Puts) > 1 {
					return fakebus.LostUnknown
				}
			}
			return fakebus.Pass
		})
		m.create(`{"name":"q","source":{"topic":"in"},"sink":{"kv":"ns","key":"k"}}`)
		if s := m.status("q"); len(s.Sinks) != 1 || s.Sinks[0].Written != 0 {
			t.Fatalf("status %+v", s)
		}
		m.must(m.Delete)
		m.stop()
		b.Interfere(nil)
		rows := 0
		for _, txn := range late {
			rows += len(txn.Puts) - 1
			_, _ = b.Transact(t.Context(), txn) // nobody waits for the answer
		}
		if got := space(b, "ns"); rows == 0 || len(got) != 0 {
			t.Errorf("%d late rows left %v", rows, got)
		}
	})
}

// TestKVKeysAreApart: rows share a key of several parts only if they share the parts.
func TestKVKeysAreApart(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	part := func() string {
		var b strings.Builder
		for range r.IntN(4) {
			b.WriteByte("/%2F5a"[r.IntN(6)])
		}
		return b.String()
	}
	paths := []codecs.Path{codecs.NewPath(codecs.Step{Member: "x"}), codecs.NewPath(codecs.Step{Member: "y"}), codecs.NewPath(codecs.Step{Member: "z"})}
	p := &kvPump{sink: SinkPlan{Parts: paths}}
	decoder := jsoncodec.New(paths)
	owners := map[string][3]string{}
	for range 20_000 {
		row := [3]string{part(), part(), part()}
		text, err := json.Marshal(map[string]string{"x": row[0], "y": row[1], "z": row[2]})
		if err != nil {
			t.Fatal(err)
		}
		decoder.Decode([][]byte{text}, &p.columns)
		if err := p.makeKey(0); err != nil {
			t.Fatal(err)
		}
		key := string(p.key)
		if owner, taken := owners[key]; taken && owner != row {
			t.Fatalf("%q and %q share the key %q", owner, row, key)
		}
		owners[key] = row
	}
	if len(owners) < 5000 {
		t.Errorf("only %d keys", len(owners))
	}
}

// BenchmarkKVPump writes rows of 1000 keys.
func BenchmarkKVPump(b *testing.B) {
	const rows = 100_000
	var lines [][]byte
	for i := range rows {
		lines = append(lines, fmt.Appendf(nil, `{"k":"key%d","n":%d,"window_start":0,"window_end":3600000}`, i%1000, i))
	}
	for b.Loop() {
		b.StopTimer()
		topics := fakebus.New()
		if _, err := topics.CreateInternal(b.Context(), resultsTopic("q1"), fakebus.DataShard); err != nil {
			b.Fatal(err)
		}
		if err := topics.Append(resultsTopic("q1"), 0, lines...); err != nil {
			b.Fatal(err)
		}
		plan := SinkPlan{Log: sinkResults, KV: "ns", Parts: []codecs.Path{codecs.NewPath(codecs.Step{Member: "k"})}}
		ctx, cancel := context.WithCancel(b.Context())
		end := &endOfKVPump{topics, cancel, func() {}}
		b.StartTimer()
		p := &kvPump{id: "q1", shard: fakebus.DataShard, sink: plan, topics: end, docs: end, spaces: &fakeSpaces{}, settled: func() {}}
		if err := p.run(ctx); !errors.Is(err, context.Canceled) {
			b.Fatal(err)
		}
		cancel()
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}
