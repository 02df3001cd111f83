package torture

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// terms are the terms of all shards, by the node that knows most.
func (f *fleet) terms(t *testing.T) map[int]int {
	t.Helper()
	all := make(map[int]int)
	for i := range f.nodes {
		var d struct {
			Shards []struct{ Shard, Term int }
		}
		if a := dial(t, f.urls[i]).must(t, http.MethodGet, "/cluster", nil, ""); a.read(&d) != nil {
			t.Fatalf("%s", a.body)
		}
		for _, s := range d.Shards {
			all[s.Shard] = max(all[s.Shard], s.Term)
		}
	}
	return all
}

// TestLossy: of what the nodes say to each other a third of the packets is lost, and the
// rest takes 50 to 200 ms. What is acknowledged stays true, writes go on, and leaders do
// not change all the time.
func TestLossy(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	rounds := variable(t, "LEAT_FAULT_ROUNDS", 1)
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestLossy$'", seed, rounds)
	r := rand.New(rand.NewPCG(uint64(seed), 3))
	w := newWorld()
	told := w.summarize(t)
	n := makeNetwork(t, 3)
	n.slow(t, 50*time.Millisecond, 200*time.Millisecond)
	f := n.startFleet(t)
	w.registers.late = lateParted
	f.dial(t).must(t, "POST", "/broker/topics", nil, `{"name":"events","partitions":2}`)
	f.level(t, "events")
	for round := range rounds {
		w.round = round
		n.lose(t, 30)
		before, answered, began := f.terms(t), w.answered.Load(), time.Now()
		stop := w.loadCluster(t, f, r)
		w.going(t, answered+50)
		<-time.After(time.Until(began.Add(lossyFor)))
		stop()
		after, took := f.terms(t), time.Since(began)
		n.heal(t)
		t.Logf("%d answers in %s of loss, terms from %v to %v", w.answered.Load()-answered, took, before, after)
		for shard, term := range after {
			if changes := term - before[shard]; time.Duration(changes) > took/leaderStays+1 {
				t.Errorf("shard %d had %d elections in %s", shard, changes, took)
			}
		}
		w.decide(t, f, round == rounds-1)
		told.round("R12 30 % of the packets lost, the rest 50 to 200 ms late")
	}
	f.end(t)
	f.sameFiles(t)
}

const (
	// lossyFor is how long packets are lost in a round, at least.
	lossyFor = 8 * time.Second
	// leaderStays is how long a leader leads on average with a third of the packets
	// lost, at least.
	leaderStays = 2 * time.Second
)

// TestPausedLeader: the leader is stopped for long, asked meanwhile, and goes on. It
// acknowledges nothing that comes before what the next leader wrote, reads nothing that
// is older, and what has a time to live has it by the time of the log: what was due
// while it stood still is gone on every node, and nothing else is.
func TestPausedLeader(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	rounds, pause := 1, 4*time.Second
	if r := variable(t, "LEAT_FAULT_ROUNDS", 0); r > 0 {
		rounds, pause = r, 10*time.Second
	}
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestPausedLeader$'", seed, rounds)
	r := rand.New(rand.NewPCG(uint64(seed), 4))
	w := newWorld()
	told := w.summarize(t)
	f := startApart(t, 3, 0)
	w.registers.late = lateParted
	f.dial(t).must(t, "POST", "/broker/topics", nil, `{"name":"events","partitions":2}`)
	f.level(t, "events")
	for round := range rounds {
		w.round = round
		before := w.answered.Load()
		stop := w.loadCluster(t, f, r)
		w.going(t, before+100)
		leader := f.leader(t, w.plain.place)
		c := f.dialBut(t, leader)
		f.dial(t).must(t, http.MethodPost, "/kv/torture/brief?ttl_ms="+fmt.Sprint(pause.Milliseconds()/2), nil, "v")
		f.dial(t).must(t, http.MethodPost, "/kv/torture/long?ttl_ms=120000", nil, "v")
		f.nodes[leader].Signal(t, syscall.SIGSTOP)
		stopped := time.Now()
		w.probeBut(t, f, w.plain, leader)
		resumed := time.Since(stopped)
		mark, end := w.setMark(t, f, leader), w.plain.end()
		writes, reads := w.askPaused(t, f, leader)
		<-time.After(time.Until(stopped.Add(pause)))
		f.nodes[leader].Signal(t, syscall.SIGCONT)
		for range askers {
			if a := <-writes; a.outcome == done && a.stored.at < end {
				t.Errorf("the leader that was stopped acknowledges offset %d, where the next one had come to %d", a.stored.at, end)
			}
			if version := <-reads; version >= 0 && version < mark {
				t.Errorf("the leader that was stopped reads version %d, where the next one had written %d", version, mark)
			}
		}
		c.others = f.urls
		for i := range f.nodes {
			f.serves(t, i)
			c.url = f.urls[i]
			if a := c.call(t.Context(), http.MethodGet, "/kv/torture/brief", nil, ""); a.status != http.StatusNotFound {
				t.Errorf("node %d, a key whose time was over: %d %s", i, a.status, a.body)
			}
			c.must(t, http.MethodGet, "/kv/torture/long", nil, "")
		}
		stop()
		w.decide(t, f, round == rounds-1)
		told.round(fmt.Sprintf("R13 SIGSTOP of the leader for %s", pause), resumed)
	}
	f.end(t)
	f.sameFiles(t)
}

// askers is how many write to a node that is stopped, and read from it.
const askers = 3

// askPaused asks a node that does not answer yet. A read tells the version, -1 where it
// is refused.
func (w *world) askPaused(t *testing.T, f *fleet, node int) (writes chan appended, reads chan int64) {
	writes, reads = make(chan appended, askers), make(chan int64, askers)
	for range askers {
		c, other := dial(t, f.urls[node]), dial(t, f.urls[node])
		go func() {
			a := appended{call: w.watch.now(), ids: w.ids(1)}
			w.plain.send(a.ids, false)
			var err error
			if a.stored, a.outcome, err = c.append(t.Context(), w.plain.place, a.ids, 100, ""); err != nil {
				w.fail(err)
			}
			a.ret = w.watch.now()
			w.plain.appended(a)
			writes <- a
		}()
		go func() {
			var body struct {
				Cas int64 `json:"cas"`
			}
			a := other.call(t.Context(), http.MethodGet, "/kv/torture/mark", nil, "")
			if a.status != http.StatusOK || a.read(&body) != nil {
				body.Cas = -1
			}
			reads <- body.Cas
		}()
	}
	return writes, reads
}
