package cluster

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/log"
)

// running is a node under test.
type running struct {
	*Node
	stop func() error
	over chan error // why it has ended by itself; who takes it there is nobody to stop
}

// start opens a node and runs it until the test ends or stop is called.
func start(t testing.TB, c Config) *running {
	t.Helper()
	n, err := Open(c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return serve(t, n)
}

// serve runs an open node until the test ends or stop is called, and waits until it
// is ready.
func serve(t testing.TB, n *Node) *running {
	t.Helper()
	r := run(t, n)
	r.awaitReady(t)
	return r
}

// run is serve without waiting.
func run(t testing.TB, n *Node) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	stopped := false
	r := &running{Node: n, over: ended}
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return r
}

func (r *running) awaitReady(t testing.TB) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for r.Ready() != nil {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not ready: %v", r.Ready())
		}
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func block(values ...string) log.Block {
	var b log.Block
	for _, v := range values {
		b.Add(nil, []byte(v))
	}
	return b
}

// values reads a whole partition.
func (r *running) values(t testing.TB, topic string, partition int32) []string {
	t.Helper()
	p, err := r.Partition(topic, partition)
	if err != nil {
		t.Fatalf("partition: %v", err)
	}
	var got []string
	for from := p.First; from < p.Next; {
		frames, err := r.Read(topic, partition, from, 1<<20, nil)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		c := frames.Records(from)
		for rec, ok := c.Next(); ok; rec, ok = c.Next() {
			if rec.Offset != from {
				t.Fatalf("offset %d where %d was due", rec.Offset, from)
			}
			got = append(got, string(rec.Value))
			from++
		}
		if c.Err() != nil {
			t.Fatalf("records: %v", c.Err())
		}
	}
	return got
}

func TestRecordsSurviveRestart(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir()}
	r := start(t, c)
	ctx := within(t, 30*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 2); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 50 {
		v := fmt.Sprintf("record %d", i)
		a, err := r.Append(ctx, bus.Append{Topic: "orders", Partition: 1, Block: block(v)})
		if err != nil {
			t.Fatal(err)
		}
		if a.Base != log.Offset(i) || a.BatchID == 0 {
			t.Fatalf("append %d: %+v", i, a)
		}
		want = append(want, v)
	}
	for range 2 {
		if got := r.values(t, "orders", 1); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %v", got)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r = start(t, c)
	}
}

func TestAsyncAppendsAreAnsweredWhenQueued(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir()})
	ctx := within(t, 30*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 1); err != nil {
		t.Fatal(err)
	}
	a, err := r.Append(ctx, bus.Append{Topic: "orders", Block: block("x"), Async: true})
	if err != nil || a.BatchID != 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	// A later append that is waited for comes after it.
	b, err := r.Append(ctx, bus.Append{Topic: "orders", Block: block("y")})
	if err != nil || b.Base != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	shards := r.Shards()
	if len(shards) != 2 || shards[1].LeaderID != r.ID() || shards[1].Applied < b.BatchID {
		t.Fatalf("shards %+v", shards)
	}
}

// TestMemoryOfIdlePartitions holds what docs/faults.md says an idle partition costs.
func TestMemoryOfIdlePartitions(t *testing.T) {
	r := start(t, Config{Dir: t.TempDir()})
	ctx := within(t, 60*time.Second)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const topics, partitions = 2, 128
	before := heap()
	var all sync.WaitGroup
	for i := range topics {
		name := fmt.Sprint("t", i)
		if _, err := r.CreateTopic(ctx, name, partitions); err != nil {
			t.Fatal(err)
		}
		for p := range int32(partitions) {
			all.Go(func() {
				if _, err := r.Append(ctx, bus.Append{Topic: name, Partition: p, Block: block("a record")}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	each := (heap() - before) / (topics * partitions)
	t.Logf("%d bytes each", each)
	if each > 4<<10 {
		t.Errorf("a partition takes %d bytes", each)
	}
}
