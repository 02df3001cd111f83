package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/testenv"
)

const (
	faultPartitions = 3
	faultGroup      = "g"
)

// TestFaultsKill is the loop of SIGKILLs: a server under load, with a stateless and a
// windowed query running, is killed at a random moment and started again. Whatever
// was acknowledged has to be there, once; the rows of the queries have to be those
// of the log, none lost and none doubled.
func TestFaultsKill(t *testing.T) {
	t.Parallel()
	rounds := variable(t, "LEAT_FAULT_ROUNDS", 3)
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	defer func() {
		if t.Failed() {
			t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./cmd/leat -run TestFaultsKill", seed, rounds)
		}
	}()
	t.Logf("seed %d, %d rounds", seed, rounds)
	f := &faults{dir: t.TempDir(), rand: rand.New(rand.NewPCG(uint64(seed), 0)), history: newHistory(), windows: map[string]int64{}}
	f.start(t)
	f.prepare(t)
	for round := range rounds {
		f.work(t, round)
		f.restart(t)
		if err := f.history.check(f.readAll(t)); err != nil {
			t.Fatalf("round %d: %v\nthe log of the server:\n%s", round, err, f.server.Logs)
		}
		f.checkCommits(t)
	}
	f.checkQueries(t)
	t.Logf("summary: R1, R23 SIGKILL of a lone node with queries: %d rounds, %d records sent, %d acknowledged, 0 lost, 0 doubled", rounds, len(f.history.sent), len(f.history.acks))
	if exit, took := f.server.Terminate(t); exit != exitOK || took > 5*time.Second {
		t.Errorf("the last end: exit %d after %s", exit, took)
	}
}

func variable(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%s is not a number", name, text)
	}
	return n
}

// faults is the state of the loop over its rounds.
type faults struct {
	dir     string
	rand    *rand.Rand
	history *history
	server  *child
	clock   atomic.Int64 // steps of event time
	serial  atomic.Int64
	pending []*keyed         // of each keyed producer, what it has to bring to an end
	windows map[string]int64 // of each key of the namespace, the start of the last window seen
	stale   string           // how a key went back, if one did
}

// keyed is a record with an idempotency key that is not acknowledged yet.
type keyed struct {
	key, value string
	partition  int
}

func (f *faults) start(t *testing.T) { f.server = start(t, f.dir) }

func (f *faults) prepare(t *testing.T) {
	c := dial(t, f.server.url)
	c.mustPost(t, "/broker/topics", map[string]any{"name": "events", "partitions": faultPartitions})
	c.mustStart(t, []byte(evenSpec))
	c.mustStart(t, []byte(perKey))
	f.pending = make([]*keyed, 2)
}

// restart starts the server again. Now and then it kills it on its way up.
func (f *faults) restart(t *testing.T) {
	for f.rand.IntN(3) == 0 {
		c := launch(t, f.dir)
		select {
		case <-c.First:
		case <-time.After(time.Duration(f.rand.IntN(600)) * time.Millisecond):
		}
		c.Kill()
	}
	f.start(t)
}

// work loads the server and kills it at a random moment.
func (f *faults) work(t *testing.T, round int) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	c := dial(t, f.server.url)
	worker := func(run func(context.Context, *client, *rand.Rand) error) {
		r := rand.New(rand.NewPCG(f.rand.Uint64(), f.rand.Uint64()))
		wg.Go(func() {
			for ctx.Err() == nil && run(ctx, c, r) == nil {
			}
		})
	}
	for range 4 {
		worker(f.single)
	}
	for i := range f.pending {
		worker(func(ctx context.Context, c *client, r *rand.Rand) error { return f.repeat(ctx, c, r, i) })
	}
	worker(f.lines)
	worker(f.commit)
	worker(f.watch)
	before := f.serial.Load()
	testenv.Succeeds(t, "the load gets going", func() error {
		if f.serial.Load() < before+500 {
			return errors.New("too few records yet")
		}
		return nil
	})
	<-time.After(time.Duration(f.rand.IntN(1200)) * time.Millisecond)
	f.server.Kill()
	cancel()
	wg.Wait()
	f.history.mu.Lock()
	t.Logf("round %d: %d values sent, %d acknowledged", round, len(f.history.sent), len(f.history.acks))
	f.history.mu.Unlock()
}

// value makes a record that no other is equal to. One in a hundred is no JSON.
func (f *faults) value(r *rand.Rand) string {
	id := f.serial.Add(1)
	if r.IntN(100) == 0 {
		return fmt.Sprintf("bad %d", id)
	}
	e := event{ID: strconv.FormatInt(id, 10), K: "k" + strconv.Itoa(r.IntN(7)), V: int64(r.IntN(1000))}
	e.T = 1_700_000_000_000 + f.clock.Add(5) - int64(r.IntN(400))
	if r.IntN(20) == 0 {
		e.T -= int64(r.IntN(10_000))
	}
	text, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// single produces one record, once.
func (f *faults) single(ctx context.Context, c *client, r *rand.Rand) error {
	value, partition := f.value(r), r.IntN(faultPartitions)
	f.history.send(value, false)
	return f.produce(ctx, c, value, partition, "")
}

func (f *faults) produce(ctx context.Context, c *client, value string, partition int, key string) error {
	q := url.Values{"partition": {strconv.Itoa(partition)}}
	if key != "" {
		q.Set("idempotency_key", key)
	}
	body, err := c.call(ctx, request{method: http.MethodPost, path: "/broker/topics/events/produce", query: q, body: []byte(value)})
	if err != nil {
		return err
	}
	var done struct {
		Offset *int64 `json:"offset"`
	}
	if err := readAnswer(body, &done); err != nil || done.Offset == nil {
		return errors.Join(err, errors.New("no offset"))
	}
	f.history.acknowledged(value, place{partition, *done.Offset})
	return nil
}

// repeat produces one record with an idempotency key until it is acknowledged,
// across as many kills as it takes, and sometimes once more.
func (f *faults) repeat(ctx context.Context, c *client, r *rand.Rand, i int) error {
	k := f.pending[i]
	if k == nil {
		value := f.value(r)
		k = &keyed{key: fmt.Sprintf("key-%d-%d", i, f.serial.Load()), value: value, partition: r.IntN(faultPartitions)}
		f.pending[i] = k
		f.history.send(value, true)
	}
	if err := f.produce(ctx, c, k.value, k.partition, k.key); err != nil {
		return err
	}
	if r.IntN(3) == 0 {
		if err := f.produce(ctx, c, k.value, k.partition, k.key); err != nil {
			return err
		}
	}
	f.pending[i] = nil
	return nil
}

// lines produces a batch.
func (f *faults) lines(ctx context.Context, c *client, r *rand.Rand) error {
	partition := r.IntN(faultPartitions)
	values := make([]string, 1+r.IntN(200))
	for i := range values {
		values[i] = f.value(r)
		f.history.send(values[i], false)
	}
	body, err := c.call(ctx, request{
		method: http.MethodPost, path: "/broker/topics/events/produce-ndjson",
		query: url.Values{"partition": {strconv.Itoa(partition)}}, body: []byte(strings.Join(values, "\n")),
	})
	if err != nil {
		return err
	}
	var done struct {
		First *int64 `json:"first_offset"`
		Count int    `json:"count"`
	}
	if err := readAnswer(body, &done); err != nil || done.First == nil || done.Count != len(values) {
		return errors.Join(err, errors.New("not the answer to the batch"))
	}
	for i, value := range values {
		f.history.acknowledged(value, place{partition, *done.First + int64(i)})
	}
	return nil
}

// commit moves the group on, or tries to move it back.
func (f *faults) commit(ctx context.Context, c *client, r *rand.Rand) error {
	partition := r.IntN(faultPartitions)
	body, err := c.post(ctx, "/broker/commit", map[string]any{
		"topic": "events", "group": faultGroup, "partition": partition, "offset": r.Int64N(f.serial.Load() + 1),
	})
	if err != nil {
		return err
	}
	var done struct {
		Committed int64 `json:"committed_offset"`
	}
	if err := readAnswer(body, &done); err != nil {
		return err
	}
	f.history.stands(partition, done.Committed)
	return nil
}

// readAll reads every partition whole.
func (f *faults) readAll(t *testing.T) [][]string {
	t.Helper()
	c := dial(t, f.server.url)
	log := make([][]string, faultPartitions)
	for p := range log {
		var err error
		if log[p], err = readPartition(t.Context(), c, "events", p); err != nil {
			t.Fatal(err)
		}
	}
	return log
}

// checkCommits looks where the group stands: never before what was acknowledged.
func (f *faults) checkCommits(t *testing.T) {
	t.Helper()
	c := dial(t, f.server.url)
	for p := range faultPartitions {
		body, err := c.get(t.Context(), route("broker", "consume", "events", faultGroup, strconv.Itoa(p)), url.Values{"limit": {"1"}})
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Committed *int64 `json:"committed_offset"`
		}
		if err := readAnswer(body, &page); err != nil {
			t.Fatal(err)
		}
		if page.Committed != nil {
			f.history.stands(p, *page.Committed)
		} else if _, was := f.history.group[p]; was {
			t.Errorf("the commit of partition %d is gone", p)
		}
	}
	if len(f.history.moved) > 0 {
		t.Fatal(f.history.moved[0])
	}
}

// checkQueries compares the rows of the queries with those of the log.
func (f *faults) checkQueries(t *testing.T) {
	t.Helper()
	log := f.readAll(t)
	want := evaluate(log)
	c := dial(t, f.server.url)
	even := c.awaitRows(t, "even", want.evenRows.In)
	keys := c.awaitRows(t, "per_key", want.keyRows.In)
	got := resultRows(t, c, "even", len(want.even))
	slices.Sort(got)
	if err := compareRows("even", want.even, got); err != nil {
		t.Error(err)
	}
	if err := compareRows("per_key", want.keys, resultRows(t, c, "per_key", len(want.keys))); err != nil {
		t.Error(err)
	}
	f.checkSinks(t, c, want)
	if even.Rows != want.evenRows {
		t.Errorf("even counts %s, not %s", even.Rows, want.evenRows)
	}
	if keys.Rows != want.keyRows {
		t.Errorf("per_key counts %s, not %s", keys.Rows, want.keyRows)
	}
	if len(want.even) == 0 || len(want.keys) == 0 || want.keyRows.Late == 0 || want.keyRows.Dead == 0 {
		t.Errorf("the load shows too little: %s; %s", want.evenRows, want.keyRows)
	}
	t.Logf("even: %s", even.Rows)
	t.Logf("per_key: %s", keys.Rows)
}

// resultRows reads all rows of a query, once there are at least that many.
func resultRows(t *testing.T, c *client, query string, atLeast int) []string {
	t.Helper()
	var rows []string
	testenv.Succeeds(t, "the rows of "+query, func() error {
		page, err := c.rows(t.Context(), query, "results", rowRange{})
		if err != nil {
			return err
		}
		if rows = rows[:0]; len(page.Rows) < atLeast {
			return fmt.Errorf("%d of %d", len(page.Rows), atLeast)
		}
		for _, row := range page.Rows {
			rows = append(rows, string(row))
		}
		return nil
	})
	return rows
}
