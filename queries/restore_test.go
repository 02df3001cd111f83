package queries

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
	"leat/queries/fakebus"
)

// halfMade is a bus on which topics can be in the table and not open in their shard, as
// they are while whoever makes them has done one and not yet the other.
type halfMade struct {
	*fakebus.Bus
	mu    sync.Mutex
	named map[string]bool
	fails map[string]int // how often making a log ends in the middle
}

func (b *halfMade) half(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.named[name]
}

func (b *halfMade) CreateInternal(ctx context.Context, name string, shard uint64) (bus.Topic, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind := range b.fails {
		if strings.HasPrefix(name, "$"+kind+"/") && b.fails[kind] > 0 {
			b.fails[kind]--
			b.named[name] = true
			return bus.Topic{}, fault.New(fault.Unavailable, "no_quorum", "the leader is another one")
		}
	}
	delete(b.named, name)
	return b.Bus.CreateInternal(ctx, name, shard)
}

func (b *halfMade) Topic(name string) (bus.Topic, bool) {
	if t, ok := b.Bus.Topic(name); ok || !b.half(name) {
		return t, ok
	}
	return bus.Topic{Name: name, Partitions: 1, Internal: true}, true
}

func errNotOpen(name string) error {
	return fault.New(fault.NotFound, codeUnknownTopic, "there is no topic %q", name)
}

func (b *halfMade) Partition(name string, p int32) (bus.Partition, error) {
	if b.half(name) {
		return bus.Partition{}, errNotOpen(name)
	}
	return b.Bus.Partition(name, p)
}

func (b *halfMade) Read(name string, p int32, from log.Offset, most int, buf []byte) (log.Frames, error) {
	if b.half(name) {
		return log.Frames{}, errNotOpen(name)
	}
	return b.Bus.Read(name, p, from, most, buf)
}

func (b *halfMade) Wait(name string, p int32, after log.Offset) (<-chan struct{}, error) {
	if b.half(name) {
		return nil, errNotOpen(name)
	}
	return b.Bus.Wait(name, p, after)
}

func (b *halfMade) Transact(ctx context.Context, t bus.Txn) (bus.TxnResult, error) {
	for i := range t.Appends {
		if b.half(t.Appends[i].Topic) {
			return bus.TxnResult{}, errNotOpen(t.Appends[i].Topic)
		}
	}
	return b.Bus.Transact(ctx, t)
}

// TestLogLeftHalfMade: a query gets going whose logs are in the table of topics and not
// open in their shard, because the owner before was stopped while it made them. So do
// its sinks.
func TestLogLeftHalfMade(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"results", "late", "dead", "state"} {
		for _, sink := range []string{"", `,"sink":{"topic":"out","key":"k"}`, `,"sink":{"kv":"ns","key":"k"}`} {
			t.Run(fmt.Sprint(kind, sink), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					plain := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`, `{"t":12,"k":"a"}`})
					b := &halfMade{Bus: plain, named: map[string]bool{}, fails: map[string]int{kind: 2}}
					m := startManager(t, plain, "one", func(c *ManagerConfig) {
						c.Topics, c.Docs, c.Sinks, c.Spaces = b, b, plain.Sinks(), &fakeSpaces{}
					})
					defer m.stop()
					m.create(strings.TrimSuffix(liveSpec, "}") + sink + "}")
					time.Sleep(time.Minute) // of the bubble: longer than the pauses between tries
					m.wantResults(firstRow)
					s := m.status("q")
					if s.State != stateRunning || s.Error != "" || len(s.Sinks) > 0 && s.Sinks[0].Written != 1 {
						t.Errorf("status %+v", s)
					}
					if b.fails[kind] > 0 {
						t.Errorf("nobody has made the log of %s", kind)
					}
				})
			})
		}
	}
}

// TestPartitionNotOpen: a source partition that its shard does not know on this node, now
// or for a while, does not end a query whose topic is there.
func TestPartitionNotOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		plain := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"a"}`})
		b := &halfMade{Bus: plain, named: map[string]bool{"in": true}}
		shut := func(is bool) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.named["in"] = is
		}
		m := startManager(t, plain, "one", func(c *ManagerConfig) { c.Topics = b })
		defer m.stop()
		m.create(liveSpec)
		if s := m.status("q"); s.State != stateRunning || !strings.Contains(s.Error, "not open yet") {
			t.Errorf("before the partition is open: %s, %q", s.State, s.Error)
		}
		shut(false)
		time.Sleep(time.Minute)
		if s := m.status("q"); s.State != stateRunning || s.Error != "" || s.Rows.In != 2 {
			t.Errorf("status %+v", s)
		}
		shut(true)
		appendRows(t, plain, 0, `{"t":12,"k":"a"}`)
		if s := m.status("q"); s.State != stateRunning || !strings.Contains(s.Error, "not open yet") {
			t.Errorf("while the partition is closed: %s, %q", s.State, s.Error)
		}
		shut(false)
		time.Sleep(time.Minute)
		m.wantResults(firstRow)
		shut(true)
		if err := plain.DeleteTopic(context.Background(), "in"); err != nil {
			t.Fatal(err)
		}
		shut(false)
		time.Sleep(time.Minute)
		if s := m.status("q"); s.State != stateFailed || !strings.Contains(s.Error, `source topic "in" does not exist`) {
			t.Errorf("after the topic is gone: %s, %q", s.State, s.Error)
		}
	})
}

// TestTailOfAnotherTime: a query goes on after a full snapshot that was cut off, in which
// two sessions are one that were still two when the last epoch was committed.
func TestTailOfAnotherTime(t *testing.T) {
	t.Parallel()
	const spec = `{"name":"q","source":{"topic":"in","event_time":"t","until":"end","max_out_of_orderness":1000},` +
		`"group_by":["k"],"window":{"session":5},"aggregate":{"n":"count()"}}`
	rows := []string{
		`{"t":0,"k":"a"}`, `{"t":10,"k":"a"}`, `{"t":0,"k":"b"}`, // committed
		`{"t":1,"k":"b"}`, `{"t":0,"k":"c"}`, `{"t":1,"k":"c"}`, // cut off: the next epoch writes all there is
		`{"t":4,"k":"a"}`, `{"t":8,"k":"a"}`, // cut off again: all of a is one session
		`{"t":0,"k":"d"}`,
	}
	b := newBus(t, rows)
	epochs := 0
	b.Interfere(func(_ int, txn bus.Txn) fakebus.Outcome {
		if len(txn.Puts) == 0 || len(txn.Appends) == 0 {
			return fakebus.Pass // a claim, or state that goes ahead of its epoch
		}
		if epochs++; epochs == 2 || epochs == 3 {
			return fakebus.KillBefore
		}
		return fakebus.Pass
	})
	config := trialConfig(b, compilePlan(t, b, spec), RunOptions{BatchRows: 1, StateChunkBytes: 1, FixedEpochs: true})
	var ahead []log.Offset
	for i, epochRows := range []int{3, 5} {
		config.Owner, config.Options.EpochRows = fmt.Sprint("owner ", i), epochRows
		if err := NewJob(config).Run(t.Context()); !errors.Is(err, fakebus.ErrKilled) {
			t.Fatalf("job %d ended with %v", i, err)
		}
		state, err := b.Partition(stateTopic("q1"), 0)
		if err != nil {
			t.Fatal(err)
		}
		ahead = append(ahead, state.Next)
	}
	if ahead[0] != 5 || ahead[1] <= ahead[0]+1 {
		t.Fatalf("the state log ended at %v: what was cut off is not what this test is about", ahead)
	}
	config.Owner = "the last"
	got, err := RunTrial(t.Context(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, "results", got.Results,
		`{"k":"d","n":1,"window_start":0,"window_end":5}`,
		`{"k":"b","n":2,"window_start":0,"window_end":6}`, `{"k":"c","n":2,"window_start":0,"window_end":6}`,
		`{"k":"a","n":4,"window_start":0,"window_end":15}`)
}

// pausedRestore is a bus that ends ctx when the state log is read, and counts how often.
type pausedRestore struct {
	*fakebus.Bus
	stop  context.CancelFunc
	reads int
}

func (b *pausedRestore) Read(topic string, p int32, from log.Offset, most int, buf []byte) (log.Frames, error) {
	if topic == stateTopic("q1") && b.stop != nil {
		b.reads++
		b.stop()
	}
	return b.Bus.Read(topic, p, from, most, buf)
}

// TestRestoreCanBeStopped: a query that is stopped does not read the rest of its state.
func TestRestoreCanBeStopped(t *testing.T) {
	t.Parallel()
	var rows []string
	for i := range 100 {
		rows = append(rows, fmt.Sprintf(`{"t":1,"k":"key-%d"}`, i))
	}
	b := &pausedRestore{Bus: newBus(t, rows)}
	epochs := 0
	b.Interfere(func(_ int, txn bus.Txn) fakebus.Outcome {
		if len(txn.Appends) > 0 {
			epochs++
		}
		if epochs > 50 {
			return fakebus.KillBefore
		}
		return fakebus.Pass
	})
	config := trialConfig(b.Bus, compilePlan(t, b.Bus, countSpec), RunOptions{BatchRows: 1, EpochRows: 1, ReadBytes: 1})
	config.Topics = b
	if err := NewJob(config).Run(t.Context()); !errors.Is(err, fakebus.ErrKilled) {
		t.Fatal(err)
	}
	b.Interfere(nil)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	b.stop = stop
	if err := NewJob(config).Run(ctx); !errors.Is(err, context.Canceled) || b.reads != 1 {
		t.Errorf("after %d reads it ended with %v", b.reads, err)
	}
}
