package torture

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/testenv"
)

const (
	reader    = "reader" // the group of those who read and never commit
	keysAlive = 6        // keys that a round begins
	keptBytes = 16 << 10
	keptFor   = 1500 * time.Millisecond
)

// world is everything the clients know, over all lives of the process.
type world struct {
	watch     watch
	damaged   bool // the node may answer that something is broken
	serial    atomic.Uint64
	answered  atomic.Int64
	round     int
	plain     *partition // single records
	mixed     *partition // batches, keys, deleted from below
	bulk      *partition // large batches, deleted from below
	kept      *partition // bounded in bytes
	young     *partition // bounded in age
	registers *registers
	commits   *commits
	retries   []*retry // one of each client with idempotency keys
	trimmers  []*trimmer

	mu         sync.Mutex
	wrong      []error
	unanswered []time.Time // when requests under load began that had no answer
}

// retry is what a client with idempotency keys has to bring to an end.
type retry struct {
	key  string
	ids  []uint64
	size int
}

// trimmer deletes what it has read.
type trimmer struct {
	partition *partition
	read      int64
}

func newWorld() *world {
	w := &world{
		watch: newWatch(), plain: newPartition("events", 0), mixed: newPartition("events", 1), bulk: newPartition("bulk", 0),
		kept: newPartition("kept", 0), young: newPartition("young", 0), registers: newRegisters(), commits: newCommits(),
		retries: make([]*retry, 3),
	}
	w.kept.shrinks, w.young.shrinks = true, true
	w.trimmers = []*trimmer{{partition: w.mixed}, {partition: w.bulk}}
	return w
}

// going waits until so much is answered.
func (w *world) going(t *testing.T, enough int64) {
	t.Helper()
	testenv.Succeeds(t, "the load gets going", func() error {
		if have := w.answered.Load(); have < enough {
			return fmt.Errorf("%d are answered, not yet %d", have, enough)
		}
		return nil
	})
}

func (w *world) partitions() []*partition {
	return []*partition{w.plain, w.mixed, w.bulk, w.kept, w.young}
}

// prepare makes the topics and says what they keep.
func (w *world) prepare(t *testing.T, c *client) {
	t.Helper()
	for topic, partitions := range map[string]int{"events": 2, "bulk": 1, "kept": 1, "young": 1} {
		c.must(t, "POST", "/broker/topics", nil, fmt.Sprintf(`{"name":%q,"partitions":%d}`, topic, partitions))
	}
	c.must(t, "POST", "/broker/retention", nil, fmt.Sprintf(`{"topic":"kept","max_bytes":%d}`, keptBytes))
	c.must(t, "POST", "/broker/retention", nil, fmt.Sprintf(`{"topic":"young","ttl_ms":%d}`, keptFor.Milliseconds()))
}

func (w *world) ids(n int) []uint64 {
	ids := make([]uint64, n)
	last := w.serial.Add(uint64(n))
	for i := range ids {
		ids[i] = last - uint64(n-1-i)
	}
	return ids
}

// fail notes an answer that should not have come.
func (w *world) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.damaged && errors.Is(err, errDamage) {
		return
	}
	w.wrong = append(w.wrong, err)
}

func (w *world) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.wrong...)
}

// worker does one operation; false means that no answer came.
type worker func(ctx context.Context, c *client, r *rand.Rand) bool

// workers are the clients of one life of the process.
func (w *world) workers() []worker {
	all := []worker{
		w.single(w.plain), w.single(w.plain), w.single(w.kept), w.single(w.young), w.lines(w.mixed, 100, 300),
		w.paced(50*time.Millisecond, w.lines(w.bulk, 60, maxPayload)), w.paced(3*time.Millisecond, w.read),
		w.paced(2*time.Millisecond, w.commit), w.paced(2*time.Millisecond, w.commit),
		w.touch, w.touch, w.touch, w.paced(40*time.Millisecond, w.glance),
	}
	for i := range w.retries {
		all = append(all, w.repeat(i))
	}
	for _, d := range w.trimmers {
		all = append(all, w.paced(30*time.Millisecond, d.trim(w)))
	}
	return all
}

// paced lets a worker rest between operations.
func (w *world) paced(every time.Duration, work worker) worker {
	return func(ctx context.Context, c *client, r *rand.Rand) bool {
		<-time.After(time.Duration(r.Int64N(int64(2 * every))))
		return work(ctx, c, r)
	}
}

// load runs the clients until the function it returns is called. That waits for the
// answers to what is under way: afterwards nothing is, but in a process that is gone.
func (w *world) load(t *testing.T, server string, r *rand.Rand) (stop func()) {
	var ended atomic.Bool
	var wg sync.WaitGroup
	for _, work := range w.workers() {
		c, own := dial(t, server), rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		wg.Go(func() {
			for !ended.Load() && work(t.Context(), c, own) {
				w.answered.Add(1)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.unanswered = append(w.unanswered, c.lost...)
		})
	}
	return func() { ended.Store(true); wg.Wait() }
}

// append does one attempt and notes it.
func (w *world) append(ctx context.Context, c *client, p *partition, ids []uint64, size int, key string) outcome {
	a := appended{call: w.watch.now(), ids: ids, key: key}
	var err error
	a.stored, a.outcome, err = c.append(ctx, p.place, ids, size, key)
	if err != nil {
		w.fail(err)
	}
	a.ret = w.watch.now()
	p.appended(a)
	return a.outcome
}

// single appends one record after the other.
func (w *world) single(p *partition) worker {
	return func(ctx context.Context, c *client, r *rand.Rand) bool {
		ids := w.ids(1)
		p.send(ids, false)
		return w.append(ctx, c, p, ids, 30+r.IntN(300), "") != unknown
	}
}

// lines appends batches.
func (w *world) lines(p *partition, most, size int) worker {
	return func(ctx context.Context, c *client, r *rand.Rand) bool {
		ids := w.ids(1 + r.IntN(most))
		p.send(ids, false)
		return w.append(ctx, c, p, ids, 30+r.IntN(size-30), "") != unknown
	}
}

// repeat appends with an idempotency key until that is acknowledged, over as many
// kills as it takes, and now and then once more.
func (w *world) repeat(i int) worker {
	return func(ctx context.Context, c *client, r *rand.Rand) bool {
		k := w.retries[i]
		if k == nil {
			k = &retry{ids: w.ids(1 + r.IntN(2)*r.IntN(5)), size: 30 + r.IntN(300)}
			k.key = fmt.Sprintf("key-%d", k.ids[0])
			w.retries[i] = k
			w.mixed.send(k.ids, true)
		}
		for again := true; again; again = r.IntN(3) == 0 {
			if w.append(ctx, c, w.mixed, k.ids, k.size, k.key) != done {
				return false
			}
		}
		w.retries[i] = nil
		return true
	}
}

// consume reads a page and notes it.
func (w *world) consume(ctx context.Context, c *client, p *partition, group string, from int64, limit int) (page, bool) {
	began := w.watch.now()
	got, ok, err := c.consume(ctx, p.place, group, from, limit)
	ended := w.watch.now()
	switch {
	case err != nil:
		w.fail(err)
		return got, false
	case !ok:
		return got, false
	}
	p.consumed(consumed{call: began, ret: ended, from: from, limit: int64(limit), page: got})
	if group != reader {
		w.commits.committed(group, committed{call: began, ret: ended, offset: -1, stands: got.committed})
	}
	return got, true
}

// read reads somewhere, more often near the end.
func (w *world) read(ctx context.Context, c *client, r *rand.Rand) bool {
	p := []*partition{w.plain, w.mixed}[r.IntN(2)]
	end := p.end()
	from := max(0, end+2-r.Int64N(20))
	if r.IntN(5) == 0 {
		from = r.Int64N(end + 1)
	}
	_, ok := w.consume(ctx, c, p, reader, from, 1+r.IntN(40))
	return ok
}

// glance looks where the young begin: none of them may be gone yet.
func (w *world) glance(ctx context.Context, c *client, _ *rand.Rand) bool {
	got, ok := w.consume(ctx, c, w.young, reader, 0, 1)
	if ok {
		w.young.keeps(got.skipped, w.watch.now()-int64(keptFor))
	}
	return ok
}

// group is a group of this round or of the one before.
func (w *world) group(r *rand.Rand) string { return fmt.Sprintf("g%d", max(0, w.round-r.IntN(2))) }

// commit moves a group on, tries to move it back, or looks where it stands.
func (w *world) commit(ctx context.Context, c *client, r *rand.Rand) bool {
	group := w.group(r)
	if r.IntN(4) == 0 {
		_, ok := w.consume(ctx, c, w.plain, group, math.MaxInt32, 1)
		return ok
	}
	done := committed{call: w.watch.now(), offset: r.Int64N(w.answered.Load() + 1)}
	var err error
	done.stands, done.outcome, err = c.commit(ctx, w.plain.place, group, done.offset)
	done.ret = w.watch.now()
	if err != nil {
		w.fail(err)
	}
	w.commits.committed(group, done)
	return done.outcome != unknown
}

// touch reads, sets or deletes a key of this round or of the one before.
func (w *world) touch(ctx context.Context, c *client, r *rand.Rand) bool {
	o := &touched{key: fmt.Sprintf("r%d/k%d", max(0, w.round-r.IntN(2)), r.IntN(keysAlive)), kind: []touchKind{get, get, put, put, put, remove}[r.IntN(6)], cas: -1}
	if o.kind != get && r.IntN(3) > 0 {
		seen := &touched{key: o.key, kind: get, cas: -1}
		if !w.finish(ctx, c, seen) {
			return false
		}
		o.cas = seen.version // 0, only create, where there is nothing
		if o.kind == remove && o.cas == 0 {
			o.cas = -1
		}
	}
	if o.kind == put {
		o.value = w.ids(1)[0]
		if r.IntN(3) == 0 {
			o.ttl = time.Duration(20+r.IntN(1000)) * time.Millisecond
		}
	}
	return w.finish(ctx, c, o)
}

func (w *world) finish(ctx context.Context, c *client, o *touched) bool {
	o.call = w.watch.now()
	if err := c.touch(ctx, o); err != nil {
		o.outcome = unknown
		w.fail(err)
	}
	if o.ret = w.watch.now(); o.outcome == unknown {
		o.ret = math.MaxInt64
	}
	w.registers.touched(o)
	return o.outcome != unknown
}

// trim reads on and deletes some of what it has read.
func (d *trimmer) trim(w *world) worker {
	return func(ctx context.Context, c *client, r *rand.Rand) bool {
		got, ok := w.consume(ctx, c, d.partition, reader, d.read, 1000)
		if !ok {
			return false
		}
		d.read = max(d.read, got.next)
		if r.IntN(3) > 0 {
			return true
		}
		o := trimmed{call: w.watch.now(), before: max(0, d.read-r.Int64N(2000))}
		var err error
		o.deleted, o.outcome, err = c.deleteBefore(ctx, d.partition.place, o.before)
		if err != nil {
			w.fail(err)
		}
		o.ret = w.watch.now()
		d.partition.trimmed(o)
		return o.outcome != unknown
	}
}

// settle reads what there is, with nobody writing, and checks the life of the
// process before. Where whole is set it reads from the very beginning; after the
// last life it checks the keys and groups that are in use, too.
func (w *world) settle(t *testing.T, c *client, whole, last bool) {
	t.Helper()
	w.askAgain(t, c)
	for _, p := range w.partitions() {
		p.mu.Lock()
		from := p.next
		p.mu.Unlock()
		if whole {
			from = 0
		}
		first, next := w.readOn(t, c, p, from)
		if err := p.settle(first, next, w.watch.now()); err != nil {
			t.Fatal(err)
		}
	}
	ripe := func(name string) bool { return last || !w.alive(name) }
	if err := errors.Join(w.failed(), w.registers.check(ripe), w.commits.check(ripe)); err != nil {
		t.Fatal(err)
	}
}

// alive tells whether a key or group is of this round or the one before.
func (w *world) alive(name string) bool {
	for _, round := range []int{w.round, w.round - 1} {
		if name == fmt.Sprintf("g%d", round) || strings.HasPrefix(name, fmt.Sprintf("r%d/", round)) {
			return true
		}
	}
	return false
}

// askAgain reads every key and group that may be about to be checked.
func (w *world) askAgain(t *testing.T, c *client) {
	for round := max(0, w.round-1); round <= w.round; round++ {
		w.consume(t.Context(), c, w.plain, fmt.Sprintf("g%d", round), math.MaxInt32, 1)
		for key := range keysAlive {
			w.finish(t.Context(), c, &touched{key: fmt.Sprintf("r%d/k%d", round, key), kind: get, cas: -1})
		}
	}
}

// readOn reads a partition from an offset to the end and tells where it begins
// and ends.
func (w *world) readOn(t *testing.T, c *client, p *partition, from int64) (first, next int64) {
	t.Helper()
	got, ok := w.consume(t.Context(), c, p, reader, 0, 1)
	first = got.skipped
	for next = max(from, first); ok; next = got.next {
		if got, ok = w.consume(t.Context(), c, p, reader, next, 1000); ok && len(got.ids) == 0 && got.skipped == 0 {
			return first, next
		}
	}
	t.Fatalf("read %s: %v", p.place, errors.Join(w.failed(), errors.New("no answer")))
	return first, next
}

// forgets checks that the bounds of the topics are kept, and not overdone.
func (w *world) forgets(t *testing.T, c *client) {
	t.Helper()
	sizes := func(topic string) (first, next, bytes int64) {
		var d struct {
			Partitions []struct {
				First int64 `json:"first_offset"`
				Next  int64 `json:"next_offset"`
				Bytes int64 `json:"bytes"`
			} `json:"detail"`
		}
		if err := c.must(t, "GET", "/broker/topics/"+url.PathEscape(topic), nil, "").read(&d); err != nil || len(d.Partitions) != 1 {
			t.Fatalf("%d partitions, %v", len(d.Partitions), err)
		}
		return d.Partitions[0].First, d.Partitions[0].Next, d.Partitions[0].Bytes
	}
	testenv.Succeeds(t, "the young forget", func() error {
		if first, next, _ := sizes("young"); first != next || next == 0 {
			return fmt.Errorf("%d to %d are there", first, next)
		}
		return nil
	})
	first, next, bytes := sizes("kept")
	const largest = 600 // bytes of a record there, with room
	if first == 0 || next-first < keptBytes/largest {
		t.Errorf("kept: %d to %d, %d bytes", first, next, bytes)
	}
}
