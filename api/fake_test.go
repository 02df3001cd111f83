package api

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
	"leat/queries"
)

// fakeTopics is a node of one process whose partitions are real logs in a
// temporary directory.
type fakeTopics struct {
	dir string

	mu        sync.Mutex
	opened    []*log.Partition
	topics    map[string]*fakeTopic
	groups    map[bus.GroupOffset]log.Offset
	keys      map[string]keyed
	next      uint64
	retention []setRetention
	reading   func() // if set, runs before every read
	waits     atomic.Int64
	// before, if set, runs instead of an append when it returns an error.
	before func(ctx context.Context, a bus.Append) error
	// unheard are the topics whose partitions are here once Standing has been asked.
	unheard map[string]bool
}

type fakeTopic struct {
	bus.Topic
	logs []*log.Partition
}

type keyed struct {
	body string
	done bus.Appended
}

func newFakeTopics(t testing.TB) *fakeTopics {
	f := &fakeTopics{
		dir: t.TempDir(), next: 1,
		topics: map[string]*fakeTopic{}, groups: map[bus.GroupOffset]log.Offset{}, keys: map[string]keyed{},
	}
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, l := range f.opened {
			_ = l.Close()
		}
	})
	return f
}

func (f *fakeTopics) CreateTopic(_ context.Context, name string, partitions int32) (bus.Topic, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t, ok := f.topics[name]; ok {
		if t.Partitions != partitions {
			return bus.Topic{}, fault.New(fault.Conflict, "topic_exists", "Topic %q exists with %d partitions, not %d", name, t.Partitions, partitions)
		}
		return t.Topic, nil
	}
	f.next++
	t := &fakeTopic{Topic: bus.Topic{ID: f.next, Name: name, Partitions: partitions, CreatedMs: 1700000000000}}
	for p := range partitions {
		l, err := log.Open(filepath.Join(f.dir, strconv.Itoa(int(f.next)), strconv.Itoa(int(p))), log.Options{})
		if err != nil {
			return bus.Topic{}, err
		}
		f.opened, t.logs = append(f.opened, l), append(t.logs, l)
	}
	f.topics[name] = t
	return t.Topic, nil
}

func (f *fakeTopics) DeleteTopic(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.topics[name] == nil {
		return unknownTopic(name)
	}
	delete(f.topics, name)
	return nil
}

func (f *fakeTopics) Topic(name string) (bus.Topic, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.topics[name]; t != nil {
		return t.Topic, true
	}
	return bus.Topic{}, false
}

func (f *fakeTopics) ListTopics() (out []bus.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.topics {
		out = append(out, t.Topic)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func (f *fakeTopics) log(topic string, p int32) (*log.Partition, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.topics[topic]; t != nil && !f.unheard[topic] {
		return t.logs[p], nil
	}
	return nil, unknownTopic(topic)
}

func (f *fakeTopics) Standing(_ context.Context, topic string, p int32) (bus.Partition, error) {
	f.mu.Lock()
	delete(f.unheard, topic)
	f.mu.Unlock()
	return f.Partition(topic, p)
}

func (f *fakeTopics) Partition(topic string, p int32) (bus.Partition, error) {
	l, err := f.log(topic, p)
	if err != nil {
		return bus.Partition{}, err
	}
	return bus.Partition{Partition: p, First: l.First(), Next: l.Next(), Bytes: l.SizeBytes(), Shard: 2}, nil
}

func (f *fakeTopics) Append(ctx context.Context, a bus.Append) (bus.Appended, error) {
	f.mu.Lock()
	before := f.before
	f.mu.Unlock()
	if before != nil {
		if err := before(ctx, a); err != nil {
			return bus.Appended{}, err
		}
	}
	if a.Partition == bus.AnyPartition {
		a.Partition = 0
	}
	l, err := f.log(a.Topic, a.Partition)
	if err != nil {
		return bus.Appended{}, err
	}
	if a.Async {
		return bus.Appended{Partition: a.Partition, Count: a.Block.Count}, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if seen, ok := f.keys[a.IdempotencyKey]; ok && a.IdempotencyKey != "" {
		if seen.body != string(a.Block.Bytes) {
			return bus.Appended{}, fault.New(fault.Unprocessable, "idempotency_conflict", "Idempotency key %q was used with another body", a.IdempotencyKey)
		}
		seen.done.Duplicate = true
		return seen.done, nil
	}
	f.next++
	base, err := l.Append(log.Batch{Mark: log.Mark(f.next), TimeMs: 1700000000000, Blocks: []log.Block{a.Block}})
	if err != nil {
		return bus.Appended{}, err
	}
	done := bus.Appended{Partition: a.Partition, Base: base, Count: a.Block.Count, BatchID: f.next, QueueUs: 3, CommitUs: 5}
	f.keys[a.IdempotencyKey] = keyed{string(a.Block.Bytes), done}
	return done, nil
}

func (f *fakeTopics) Read(topic string, p int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error) {
	l, err := f.log(topic, p)
	if err != nil {
		return log.Frames{}, err
	}
	f.mu.Lock()
	reading := f.reading
	f.mu.Unlock()
	if reading != nil {
		reading()
	}
	return l.Read(from, maxBytes, buf)
}

func (f *fakeTopics) Wait(topic string, p int32, after log.Offset) (<-chan struct{}, error) {
	l, err := f.log(topic, p)
	if err != nil {
		return nil, err
	}
	defer f.waits.Add(1)
	return l.Wait(after), nil
}

func (f *fakeTopics) CommitGroup(_ context.Context, g bus.GroupOffset, offset log.Offset) (log.Offset, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.groups[g]; !ok || offset > at {
		f.groups[g] = offset
	}
	return f.groups[g], nil
}

func (f *fakeTopics) Committed(g bus.GroupOffset) (log.Offset, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.groups[g]
	return at, ok
}

func (f *fakeTopics) Groups(topic, after string, limit int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for g := range f.groups {
		if g.Topic == topic && g.Group > after && !slices.Contains(names, g.Group) {
			names = append(names, g.Group)
		}
	}
	slices.Sort(names)
	return names[:min(len(names), limit)]
}

// failAppends makes every append end with what before returns, nil to go on.
func (f *fakeTopics) failAppends(before func(context.Context, bus.Append) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

// fakeQueries keeps specs and rows in memory.
type fakeQueries struct {
	mu       sync.Mutex
	queries  map[string]*fakeQuery
	statuses int  // asked for
	unheard  bool // this node knows no topic and no query
}

type fakeQuery struct {
	spec      []byte
	topics    []string
	rows      []json.RawMessage
	complete  bool
	stopped   error
	paused    bool
	run       int
	watermark *int64
	changed   chan struct{}
}

func newFakeQueries() *fakeQueries { return &fakeQueries{queries: map[string]*fakeQuery{}} }

type fakeSpec struct {
	Name   string `json:"name"`
	Source struct {
		Topic string `json:"topic"`
	} `json:"source"`
}

func (f *fakeQueries) parse(body []byte) (fakeSpec, error) {
	var spec fakeSpec
	if err := json.Unmarshal(body, &spec); err != nil || spec.Name == "" {
		problem := map[string]any{"pointer": "/name", "message": `member "name" is missing`, "line": 1, "column": 1}
		return spec, fault.New(fault.Invalid, "invalid_query", `member "name" is missing`).
			With("pointer", "/name").With("problems", []any{problem})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unheard {
		problems := queries.Problems{{Pointer: "/source/topic", Kind: fault.NotFound, Code: "unknown_topic", Message: "there is no topic"}}
		return spec, problems.Fault()
	}
	return spec, nil
}

func (f *fakeQueries) Create(_ context.Context, body []byte) (CreatedQuery, error) {
	spec, err := f.parse(body)
	if err != nil {
		return CreatedQuery{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if q := f.queries[spec.Name]; q != nil {
		if !bytes.Equal(q.spec, body) {
			return CreatedQuery{}, fault.New(fault.Conflict, "query_exists", "There is another query %q", spec.Name)
		}
		return CreatedQuery{Name: spec.Name, Existing: true}, nil
	}
	f.queries[spec.Name] = &fakeQuery{
		spec: bytes.Clone(body), topics: []string{spec.Source.Topic}, changed: make(chan struct{}),
	}
	return CreatedQuery{Name: spec.Name}, nil
}

func (f *fakeQueries) Validate(_ context.Context, body []byte) ([]string, error) {
	_, err := f.parse(body)
	return nil, err
}

func (f *fakeQueries) Preview(_ context.Context, body []byte, records, limit int) (Preview, error) {
	if _, err := f.parse(body); err != nil {
		return Preview{}, err
	}
	row := json.RawMessage(`{"flight":"UA1545","dep_delay":42}`)
	return Preview{Rows: []json.RawMessage{row}, Counts: map[string]int{"in": 2, "used": 1, "filtered": 1, "out": 1}, Truncated: records*limit == 1}, nil
}

func (f *fakeQueries) get(name string) (*fakeQuery, error) {
	if q := f.queries[name]; q != nil && !f.unheard {
		return q, nil
	}
	return nil, fault.New(fault.NotFound, "unknown_query", "There is no query %q", name)
}

func (f *fakeQueries) status(name string, q *fakeQuery) QueryStatus {
	state := "running"
	if q.complete {
		state = "completed"
	}
	if q.paused {
		state = "paused"
	}
	partition := map[string]any{"topic": q.topics[0], "partition": 0, "offset": 2, "lag": 0, "lag_ms": 0, "watermark": nil, "holds": false, "idle": false}
	return QueryStatus{Name: name, Topics: q.topics, Status: struct {
		Name       string          `json:"name"`
		State      string          `json:"state"`
		Rows       map[string]int  `json:"rows"`
		Partitions []any           `json:"partitions"`
		StateBytes int             `json:"state_bytes"`
		Checkpoint map[string]int  `json:"checkpoint"`
		CreatedMs  int64           `json:"created_ms"`
		Spec       json.RawMessage `json:"spec"`
	}{
		name, state,
		map[string]int{"in": 2, "used": 1, "filtered": 1, "late": 0, "dead_lettered": 0, "late_windows": 0, "out": 1},
		[]any{partition}, 0, map[string]int{"epoch": 1, "generation": 1, "state_from": 0, "state_log_bytes": 0}, fakeNowMs, q.spec,
	}, Figures: QueryFigures{
		State: state, Rows: map[string]int64{"in": 2, "used": 1, "filtered": 1, "out": 1}, StateBytes: 7,
		Partitions: []PartitionFigures{ // read twice, as the join of a topic with itself reads it
			{Topic: q.topics[0], Lag: 1, LagMs: 100, WatermarkMs: new(int64(5))},
			{Topic: q.topics[0], Lag: 3, LagMs: 1500, WatermarkMs: new(int64), Holds: true},
		},
	}}
}

func (f *fakeQueries) Get(name string) (QueryStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statuses++
	q, err := f.get(name)
	if err != nil {
		return QueryStatus{}, err
	}
	return f.status(name, q), nil
}

func (f *fakeQueries) Sources(name string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q, err := f.get(name)
	if err != nil {
		return nil, err
	}
	return f.status(name, q).Topics, nil
}

func (f *fakeQueries) List() (out []QueryStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, q := range f.queries {
		out = append(out, f.status(name, q))
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func (f *fakeQueries) Delete(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	q, err := f.get(name)
	if err == nil {
		close(q.changed)
		delete(f.queries, name)
	}
	return err
}

func (f *fakeQueries) Pause(_ context.Context, name string) error {
	return f.alter(name, func(q *fakeQuery) { q.paused = true })
}

func (f *fakeQueries) Resume(_ context.Context, name string) error {
	return f.alter(name, func(q *fakeQuery) { q.paused = false })
}

func (f *fakeQueries) Restart(_ context.Context, name string) error {
	return f.alter(name, func(q *fakeQuery) { q.paused, q.run, q.rows = false, q.run+1, nil })
}

func (f *fakeQueries) alter(name string, alter func(*fakeQuery)) error {
	if _, err := f.Get(name); err != nil {
		return err
	}
	f.change(name, alter)
	return nil
}

func (f *fakeQueries) Plan(ctx context.Context, name, format string) ([]byte, error) {
	if _, ends := ctx.Deadline(); !ends {
		return nil, fault.New(fault.Internal, "internal", "the call may go on for ever")
	}
	if format == "json" {
		return []byte(`{"name":"` + name + `","operators":["source","filter"]}`), nil
	}
	return []byte("source -> filter\n"), nil
}

func (f *fakeQueries) Results(_ context.Context, name string, offset log.Offset, limit int) (Rows, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q, err := f.get(name)
	if err != nil {
		return Rows{}, err
	}
	out := Rows{Next: offset, Run: strconv.Itoa(q.run), Watermark: q.watermark, Stopped: q.stopped}
	if int(offset) < len(q.rows) {
		out.Rows = append(out.Rows, q.rows[offset:min(int(offset)+limit, len(q.rows))]...)
		out.Next += log.Offset(len(out.Rows))
	}
	out.Complete = q.complete && int(out.Next) >= len(q.rows)
	return out, nil
}

func (f *fakeQueries) WaitResults(name string, after log.Offset) (<-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q, err := f.get(name)
	if err != nil {
		return nil, err
	}
	if int(after) < len(q.rows) {
		ready := make(chan struct{})
		close(ready)
		return ready, nil
	}
	return q.changed, nil
}

// change lets f alter a query and wakes those who wait for it.
func (f *fakeQueries) change(name string, alter func(*fakeQuery)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.queries[name]
	alter(q)
	close(q.changed)
	q.changed = make(chan struct{})
}

// View finds the last row whose member "flight" is the only key.
func (f *fakeQueries) View(_ context.Context, name string, keys []string, windowStart *int64) (json.RawMessage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q, err := f.get(name)
	if err != nil {
		return nil, err
	}
	switch {
	case len(keys) == 0:
		return nil, fault.New(fault.Unprocessable, "not_grouped", "no groups")
	case len(keys) > 1:
		return nil, fault.New(fault.Invalid, "invalid_parameter", "one key").With("parameter", "key")
	}
	for _, row := range slices.Backward(q.rows) {
		var r struct {
			Flight string `json:"flight"`
			Start  int64  `json:"window_start"`
		}
		if json.Unmarshal(row, &r) == nil && r.Flight == keys[0] && (windowStart == nil || *windowStart == r.Start) {
			return row, nil
		}
	}
	return nil, fault.New(fault.NotFound, "not_found", "There is no row for that key yet")
}

func (f *fakeQueries) Late(_ context.Context, _ string, offset log.Offset, _ int) (Rows, error) {
	row := `{"topic":"flights","partition":0,"offset":4,"event_time":5,"watermark":9,"window_start":0,"window_end":8,"value_b64":"e30="}`
	return Rows{Rows: []json.RawMessage{json.RawMessage(row)}, Next: offset + 1}, nil
}

func (f *fakeQueries) DeadLetters(_ context.Context, _ string, offset log.Offset, _ int) (Rows, error) {
	row := `{"topic":"flights","partition":0,"offset":7,"operator":"decode","reason":"not JSON","value_b64":"eA=="}`
	return Rows{Rows: []json.RawMessage{json.RawMessage(row)}, Next: offset + 1}, nil
}

// fakeReadiness is ready while it holds nil.
type fakeReadiness struct {
	mu  sync.Mutex
	err error
}

func (f *fakeReadiness) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
