package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/internal/testenv"
)

// fleet is a cluster of processes. What is said by node is by its index.
type fleet struct {
	dir         string
	lists       []string   // --nodes, by node
	urls        []string   // by node
	args        []string   // further ones, of all
	environment []string   // further, of all
	within      [][]string // commands that run another one somewhere else, by node; nil = none
	nodes       []*node    // nil = down
}

// startFleet starts n processes as one cluster, with further arguments.
func startFleet(t *testing.T, n int, args ...string) *fleet {
	t.Helper()
	f := &fleet{dir: t.TempDir(), nodes: make([]*node, n), args: args}
	ports := freePorts(t, 2*n)
	var entries []string
	for i := range n {
		entries = append(entries, fmt.Sprintf("n%d:127.0.0.1:%d:1:%d", i, ports[2*i], ports[2*i+1]))
		f.urls = append(f.urls, fmt.Sprintf("http://127.0.0.1:%d", ports[2*i+1]))
	}
	for i := range n {
		f.lists = append(f.lists, strings.Join(entries, ","))
		f.launch(t, i)
	}
	for i := range n {
		f.await(t, i)
	}
	return f
}

// freePorts finds ports that nobody listens on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// launch starts a node and does not wait until it is ready.
func (f *fleet) launch(t *testing.T, i int) {
	t.Helper()
	f.begin(t, i, "--nodes", f.lists[i])
}

// begin is launch of a node that is told in some way where the others are.
func (f *fleet) begin(t *testing.T, i int, how ...string) {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(f.urls[i], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--host", host, "--port", port, "--node-id", fmt.Sprintf("n%d", i)}, append(how, f.args...)...)
	var within []string
	if f.within != nil {
		within = f.within[i]
	}
	f.nodes[i] = spawn(t, within, f.environment, filepath.Join(f.dir, fmt.Sprintf("n%d", i)), args...)
	f.nodes[i].url = f.urls[i]
}

// await waits until a node says that it is ready.
func (f *fleet) await(t *testing.T, i int) {
	t.Helper()
	n := f.nodes[i]
	if url := n.Ready(t); url != f.urls[i] {
		t.Fatalf("node %d is at %q, the log:\n%s", i, url, n.Logs)
	}
}

// kill ends a node at once.
func (f *fleet) kill(i int) {
	f.nodes[i].Kill()
	f.nodes[i] = nil
}

// dial makes a client that knows all nodes: it goes where it is sent, and to another
// node where one does not answer.
func (f *fleet) dial(t *testing.T) *client {
	c := dial(t, f.urls[0])
	c.others = f.urls
	return c
}

// leader is the node that leads a partition, by its index.
func (f *fleet) leader(t *testing.T, p place) int {
	t.Helper()
	found := -1
	testenv.Succeeds(t, p.String()+" has a leader", func() error {
		var d struct {
			Detail []struct {
				Leader *string `json:"leader"`
			} `json:"detail"`
		}
		for i, n := range f.nodes {
			if n == nil {
				continue
			}
			a := dial(t, f.urls[i]).call(t.Context(), "GET", "/broker/topics/"+p.topic, nil, "")
			if a.status != 200 || a.read(&d) != nil || len(d.Detail) <= p.partition || d.Detail[p.partition].Leader == nil {
				continue
			}
			if _, err := fmt.Sscanf(*d.Detail[p.partition].Leader, "n%d", &found); err == nil && f.nodes[found] != nil {
				return nil
			}
		}
		return errors.New("none is known")
	})
	return found
}

// level waits until all nodes that run have the same records.
func (f *fleet) level(t *testing.T, topics ...string) {
	t.Helper()
	testenv.Succeeds(t, "the nodes have the same records", func() error {
		for _, topic := range topics {
			var ends []string
			for i, n := range f.nodes {
				if n == nil {
					continue
				}
				var d struct {
					Detail []struct {
						Next int64 `json:"next_offset"`
					} `json:"detail"`
				}
				a := dial(t, f.urls[i]).call(t.Context(), "GET", "/broker/topics/"+topic, nil, "")
				if a.status != 200 || a.read(&d) != nil {
					return fmt.Errorf("node %d answers %d %.200s", i, a.status, a.body)
				}
				ends = append(ends, fmt.Sprint(d.Detail))
			}
			if slices.ContainsFunc(ends, func(e string) bool { return e != ends[0] }) {
				return fmt.Errorf("%s ends at %s", topic, ends)
			}
		}
		return nil
	})
}

// move asks for another leader of a partition; where that is not to be, it stays.
func (f *fleet) move(t *testing.T, p place, to int) {
	t.Helper()
	var d struct {
		Shards []struct {
			Shard  int    `json:"shard"`
			Kind   string `json:"kind"`
			Leader string `json:"leader_id"`
		} `json:"shards"`
	}
	leader := f.leader(t, p)
	if err := dial(t, f.urls[leader]).must(t, "GET", "/cluster", nil, "").read(&d); err != nil {
		t.Fatal(err)
	}
	for _, s := range d.Shards {
		if s.Kind == "data" && s.Leader == fmt.Sprintf("n%d", leader) {
			a := f.dial(t).call(t.Context(), "POST", "/cluster/transfer", nil, fmt.Sprintf(`{"shard":%d,"to":"n%d"}`, s.Shard, to))
			if a.status != 200 && a.status != 503 {
				t.Errorf("shard %d to node %d: %d %s, %v", s.Shard, to, a.status, a.body, a.err)
			}
		}
	}
}

// TestClusterKill: under load the node is killed that leads the partition most is written
// to, or another one, or all are, or the leader is stopped for a while or has to give its
// lead away. What was acknowledged is there once, in an order that the clients can have
// seen, and on every node the same to the byte; keys are registers, groups only move
// forward. LEAT_FAULT_ROUNDS says how often for each of them, LEAT_FAULT_SEED repeats the
// choices.
func TestClusterKill(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	rounds := variable(t, "LEAT_FAULT_ROUNDS", 1)
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestClusterKill$'", seed, rounds)
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	w := newWorld()
	told := w.summarize(t)
	f := startApart(t, 3, 0)
	c := f.dial(t)
	c.must(t, "POST", "/broker/topics", nil, `{"name":"events","partitions":2}`)
	f.level(t, "events")
	for w.round = range rounds * len(hurts()) {
		before := w.answered.Load()
		stop := w.loadCluster(t, f, r)
		w.going(t, before+200)
		<-time.After(time.Duration(r.Int64N(int64(time.Second))))
		h := hurts()[w.round%len(hurts())]
		took := h.do(t, f, w, r, f.leader(t, w.plain.place))
		stop()
		for i, n := range f.nodes {
			if n == nil {
				f.launch(t, i)
				f.await(t, i)
			}
		}
		w.decide(t, f, w.round == rounds*len(hurts())-1)
		told.round(h.fault, took...)
	}
	f.end(t)
	f.sameFiles(t)
}

// hurt is something that befalls nodes.
type hurt struct {
	fault string
	// do returns how long it took until a write was acknowledged again.
	do func(t *testing.T, f *fleet, w *world, r *rand.Rand, leader int) []time.Duration
}

func hurts() []hurt {
	return []hurt{
		{"R1 SIGKILL of the leader", func(t *testing.T, f *fleet, w *world, r *rand.Rand, leader int) []time.Duration {
			return w.without(t, f, r, leader)
		}},
		{"R13 SIGSTOP of the leader for 2 to 3 seconds", func(t *testing.T, f *fleet, w *world, r *rand.Rand, leader int) []time.Duration {
			// Long enough for the others to choose another leader, of which it does not
			// know when it goes on.
			f.nodes[leader].Signal(t, syscall.SIGSTOP)
			stopped := time.Now()
			pause := 2*time.Second + time.Duration(r.Int64N(int64(time.Second)))
			w.probeBut(t, f, w.plain, leader)
			took := time.Since(stopped)
			<-time.After(time.Until(stopped.Add(pause)))
			f.nodes[leader].Signal(t, syscall.SIGCONT)
			w.probe(t, f, w.plain)
			return []time.Duration{took}
		}},
		{"R1 SIGKILL of a follower", func(t *testing.T, f *fleet, w *world, r *rand.Rand, leader int) []time.Duration {
			return w.without(t, f, r, (leader+1+r.IntN(len(f.nodes)-1))%len(f.nodes))
		}},
		{"leaders moved", func(t *testing.T, f *fleet, w *world, r *rand.Rand, _ int) []time.Duration {
			f.move(t, w.plain.place, r.IntN(len(f.nodes)))
			f.move(t, w.mixed.place, r.IntN(len(f.nodes)))
			return nil
		}},
		{"R2 SIGKILL of all nodes, their start included", func(t *testing.T, f *fleet, w *world, _ *rand.Rand, _ int) []time.Duration {
			for i := range f.nodes {
				f.kill(i)
			}
			killed := time.Now()
			for i := range f.nodes {
				f.launch(t, i)
			}
			w.probe(t, f, w.plain)
			took := time.Since(killed)
			for i := range f.nodes {
				f.await(t, i)
			}
			return []time.Duration{took}
		}},
	}
}

// without kills a node and writes on without it.
func (w *world) without(t *testing.T, f *fleet, r *rand.Rand, victim int) []time.Duration {
	t.Helper()
	f.kill(victim)
	killed := time.Now()
	w.probeBut(t, f, w.plain, victim)
	took := time.Since(killed)
	<-time.After(time.Duration(r.Int64N(int64(500 * time.Millisecond))))
	return []time.Duration{took}
}

// decide checks a round whose load has ended. What an earlier leader left is decided
// before what comes now.
func (w *world) decide(t *testing.T, f *fleet, last bool) {
	t.Helper()
	w.probe(t, f, w.plain)
	w.probe(t, f, w.mixed)
	f.level(t, "events")
	w.settleCluster(t, f, last)
}

// loadCluster is load with clients that go on when they have no answer, and look at
// records no more than settleCluster does: a node reads what it has.
func (w *world) loadCluster(t *testing.T, f *fleet, r *rand.Rand) (stop func()) {
	ctx, end := context.WithCancel(t.Context())
	all := []worker{w.single(w.plain), w.single(w.plain), w.lines(w.mixed, 20, 300), w.touch, w.touch,
		w.paced(5*time.Millisecond, w.commitOnly), w.paced(5*time.Millisecond, w.commitOnly)}
	for i := range w.retries {
		all = append(all, w.repeat(i))
	}
	ended := make(chan struct{}, len(all))
	for i, work := range all {
		c, own := f.dial(t), rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		c.spread = i%2 == 0
		go func() {
			defer func() { ended <- struct{}{} }()
			for ctx.Err() == nil {
				if work(t.Context(), c, own) {
					w.answered.Add(1)
				} else {
					<-time.After(time.Duration(own.Int64N(int64(50 * time.Millisecond))))
				}
			}
		}()
	}
	return func() {
		end()
		for range all {
			<-ended
		}
	}
}

// commitOnly moves a group on, or tries to move it back.
func (w *world) commitOnly(ctx context.Context, c *client, r *rand.Rand) bool {
	group := w.group(r)
	o := committed{call: w.watch.now(), offset: r.Int64N(w.answered.Load() + 1)}
	var err error
	if o.stands, o.outcome, err = c.commit(ctx, w.plain.place, group, o.offset); err != nil {
		w.fail(err)
	}
	o.ret = w.watch.now()
	w.commits.committed(group, o)
	return o.outcome != unknown
}

// probe appends to a partition until that is acknowledged.
func (w *world) probe(t *testing.T, f *fleet, p *partition) {
	t.Helper()
	w.writeOn(t, f.dial(t), p)
}

// settleCluster checks what the clients were told, with nobody writing. After the last
// round it reads everything on every node.
func (w *world) settleCluster(t *testing.T, f *fleet, last bool) {
	t.Helper()
	for round := max(0, w.round-1); round <= w.round; round++ {
		for key := range keysAlive {
			w.finish(t.Context(), f.dial(t), &touched{key: fmt.Sprintf("r%d/k%d", round, key), kind: get, cas: -1})
		}
	}
	for _, p := range []*partition{w.plain, w.mixed} {
		p.mu.Lock()
		from := p.next
		p.mu.Unlock()
		for i := range f.nodes {
			if last {
				from = 0
			}
			c := dial(t, f.urls[i])
			first, next := w.readOn(t, c, p, from)
			if i < len(f.nodes)-1 {
				continue
			}
			if err := p.settle(first, next, w.watch.now()); err != nil {
				t.Fatal(err)
			}
		}
	}
	ripe := func(name string) bool { return last || !w.alive(name) }
	if err := errors.Join(w.failed(), w.registers.check(ripe), w.commits.check(ripe)); err != nil {
		t.Fatal(err)
	}
}

// TestReferenceScenario: write to the leader, kill a follower, write, start it again,
// and read all offsets from it.
func TestReferenceScenario(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	c := f.dial(t)
	c.must(t, "POST", "/broker/topics", nil, `{"name":"scenario","partitions":1}`)
	w := newWorld()
	p := newPartition("scenario", 0)
	write := func(n int) {
		for range n {
			ids := w.ids(1)
			p.send(ids, false)
			if o := w.append(t.Context(), c, p, ids, 100, ""); o != done {
				t.Fatalf("not acknowledged: %v", w.failed())
			}
		}
	}
	write(50)
	follower := (f.leader(t, p.place) + 1) % 3
	f.kill(follower)
	write(50)
	f.launch(t, follower)
	f.await(t, follower)
	f.level(t, "scenario")
	first, next := w.readOn(t, dial(t, f.urls[follower]), p, 0)
	if err := p.settle(first, next, w.watch.now()); err != nil || next != 100 {
		t.Errorf("%d to %d: %v", first, next, err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "n0", "peers.json")); err != nil {
		t.Error(err)
	}
}

// TestProxyWrites: with --proxy-writes every node takes every write itself, and can read
// it at once.
func TestProxyWrites(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3, "--proxy-writes")
	for i := range f.nodes {
		c, topic := dial(t, f.urls[i]), fmt.Sprintf("of%d", i)
		c.must(t, "POST", "/broker/topics", nil, fmt.Sprintf(`{"name":%q,"partitions":3}`, topic))
		for p := range 3 {
			c.must(t, "POST", fmt.Sprintf("/broker/topics/%s/produce?partition=%d", topic, p), nil, payload(uint64(p+1), 50))
			if got, ok, err := c.consume(t.Context(), place{topic, p}, reader, 0, 10); !ok || len(got.ids) != 1 || got.ids[0] != uint64(p+1) {
				t.Errorf("node %d, partition %d: %+v, %v", i, p, got, err)
			}
		}
		c.must(t, "POST", fmt.Sprintf("/kv/proxy/k%d", i), nil, "v")
		c.must(t, "GET", fmt.Sprintf("/kv/proxy/k%d", i), nil, "")
		c.must(t, "POST", "/broker/commit", nil, fmt.Sprintf(`{"topic":%q,"group":"g","partition":1,"offset":0}`, topic))
	}
}
