package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

// serverDeadline is how long a node tries to do what it is asked, and room for a busy
// machine.
const serverDeadline = 5*time.Second + 3*time.Second

const (
	// longRound is the one with a long cut: TCP repeats itself ever more rarely.
	longRound = 10
	longCut   = 40 * time.Second
)

// shape is a way to part the nodes of a cluster.
type shape struct {
	name string
	// leader and follower are those of the partition most is written to; alone is the
	// node that then has no majority, -1 = none.
	part func(t *testing.T, n *network, leader, follower int) (alone int)
}

// toOthers calls f for all nodes but one.
func (n *network) toOthers(node int, f func(other int)) {
	for other := range n.nodes {
		if other != node {
			f(other)
		}
	}
}

// shapes are those of FAULTS R10 and R11, in turn.
func shapes() []shape {
	return []shape{
		{"R11 the leader alone", func(t *testing.T, n *network, leader, _ int) int {
			n.isolate(t, leader)
			return leader
		}},
		{"R10 a bridge: leader and follower apart, one sees both", func(t *testing.T, n *network, leader, follower int) int {
			n.part(t, leader, follower)
			return -1
		}},
		{"R11 a leader that is not heard", func(t *testing.T, n *network, leader, _ int) int {
			n.toOthers(leader, func(other int) { n.cut(t, leader, other) })
			return leader
		}},
		{"R10 a follower alone", func(t *testing.T, n *network, _, follower int) int {
			n.isolate(t, follower)
			return follower
		}},
		{"R11 a leader that hears nobody", func(t *testing.T, n *network, leader, _ int) int {
			n.toOthers(leader, func(other int) { n.cut(t, other, leader) })
			return leader
		}},
		{"R10 a follower that does not hear the leader", func(t *testing.T, n *network, leader, follower int) int {
			n.cut(t, leader, follower)
			return -1
		}},
	}
}

// TestParted: under load the network between the nodes is cut in all ways there are,
// while the clients reach every node. Who has no majority acknowledges nothing and
// answers no linearizable read, but tells within the deadline that there is no quorum;
// the others go on; and when the network is whole again everything is as if there had
// been one log, one register a key and one position a group.
func TestParted(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	rounds := 3
	if r := variable(t, "LEAT_FAULT_ROUNDS", 0); r > 0 {
		rounds = 2 * r // each of R10 and R11
	}
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestParted$'", seed, (rounds+1)/2)
	r := rand.New(rand.NewPCG(uint64(seed), 2))
	w := newWorld()
	told := w.summarize(t)
	n := makeNetwork(t, 3)
	f := n.startFleet(t)
	w.registers.late = lateParted
	f.dial(t).must(t, "POST", "/broker/topics", nil, `{"name":"events","partitions":2}`)
	f.level(t, "events")
	var healed []time.Duration
	for round := range rounds {
		w.round = round
		before := w.answered.Load()
		stop := w.loadCluster(t, f, r)
		w.going(t, before+100)
		leader := f.leader(t, w.plain.place)
		follower := (leader + 1 + r.IntN(2)) % 3
		old := w.setMark(t, f, -1)
		s := shapes()[round%len(shapes())]
		began := time.Now()
		alone := s.part(t, n, leader, follower)
		w.probeBut(t, f, w.plain, alone)
		resumed := time.Since(began)
		if alone >= 0 {
			w.setMark(t, f, alone)
			w.checkAlone(t, f, alone, old)
		} else {
			<-time.After(2*time.Second + time.Duration(r.Int64N(int64(time.Second))))
		}
		if round == longRound {
			<-time.After(longCut)
		}
		n.heal(t)
		began = time.Now()
		for i := range f.nodes {
			f.serves(t, i)
		}
		healed = append(healed, time.Since(began))
		if round == longRound && healed[round] > longCut/2 {
			t.Errorf("cut for %s, and then it took %s more to heal", longCut, healed[round])
		}
		stop()
		w.decide(t, f, round == rounds-1)
		told.round(s.name, resumed)
		t.Logf("%s: written after %s, healed after %s", s.name, resumed, healed[round])
	}
	median, worst := middle(healed)
	t.Logf("%d rounds: all nodes healed after %s, at most %s", rounds, median, worst)
	f.end(t)
	f.sameFiles(t)
}

// end ends all nodes in good order.
func (f *fleet) end(t *testing.T) {
	t.Helper()
	for i, n := range f.nodes {
		if exit, took := n.Terminate(t); exit != 0 || took > 5*time.Second {
			t.Errorf("the end of node %d: exit %d after %s, the log:\n%s", i, exit, took, n.Logs)
		}
	}
}

// dialBut makes a client that knows all nodes but one.
func (f *fleet) dialBut(t *testing.T, but int) *client {
	c := f.dial(t)
	c.others = nil
	for i, url := range f.urls {
		if i != but {
			c.others = append(c.others, url)
		}
	}
	c.url = c.others[0]
	return c
}

// probeBut appends to a partition, by way of all nodes but one, until that is
// acknowledged.
func (w *world) probeBut(t *testing.T, f *fleet, p *partition, but int) {
	t.Helper()
	w.writeOn(t, f.dialBut(t, but), p)
}

// setMark sets the key that stale reads are told by, by way of all nodes but one, and
// returns its version.
func (w *world) setMark(t *testing.T, f *fleet, but int) (version int64) {
	t.Helper()
	c := f.dialBut(t, but)
	testenv.Succeeds(t, "a key is set", func() error {
		a := c.call(t.Context(), http.MethodPost, "/kv/torture/mark", nil, "v")
		if a.status != http.StatusOK {
			return fmt.Errorf("%d %s, %v", a.status, a.body, a.err)
		}
		var body struct {
			Cas int64 `json:"cas"`
		}
		err := a.read(&body)
		version = body.Cas
		return err
	})
	return version
}

// checkAlone asks a node that no majority reaches, and that had the mark at a version
// before: it acknowledges no write and answers no linearizable read, and soon says why.
// It still tells what it has to who asks for that.
func (w *world) checkAlone(t *testing.T, f *fleet, alone int, old int64) {
	t.Helper()
	asked := make(chan error, 2)
	go func() {
		asked <- w.noQuorum(dial(t, f.urls[alone]), "a write", func(c *client) {
			ids := w.ids(1)
			w.plain.send(ids, false)
			w.append(t.Context(), c, w.plain, ids, 100, "")
		})
	}()
	go func() {
		asked <- w.noQuorum(dial(t, f.urls[alone]), "a linearizable read", func(c *client) {
			c.call(t.Context(), http.MethodGet, "/kv/torture/mark", nil, "")
		})
	}()
	c := dial(t, f.urls[alone])
	ids := w.ids(1)
	w.plain.send(ids, false)
	a := appended{call: w.watch.now(), ids: ids, outcome: unknown}
	got := c.call(t.Context(), http.MethodPost, "/broker/topics/events/produce", url.Values{"partition": {"0"}, "timeout_ms": {"300"}}, payload(ids[0], 100))
	a.ret = w.watch.now()
	w.plain.appended(a)
	if got.status == http.StatusOK && !(strings.Contains(string(got.body), `"durable":false`) && strings.Contains(string(got.body), `"offset":null`)) {
		t.Errorf("a write with a time limit: %s", got.body)
	}
	var body struct {
		Cas int64 `json:"cas"`
	}
	if err := c.must(t, http.MethodGet, "/kv/torture/mark", url.Values{"stale": {"1"}}, "").read(&body); err != nil || body.Cas != old {
		t.Errorf("a stale read: version %d where %d was the last before: %v", body.Cas, old, err)
	}
	if _, ok, err := c.consume(t.Context(), w.plain.place, reader, 0, 10); !ok || err != nil {
		t.Errorf("a node alone does not tell what it has: %v", err)
	}
	if err := errors.Join(<-asked, <-asked); err != nil {
		t.Error(err)
	}
}

// noQuorum asks a node without a majority until it says that it has none, every time
// within the deadline. Anything but a refusal is an error.
func (w *world) noQuorum(c *client, what string, ask func(c *client)) error {
	for began := time.Now(); time.Since(began) < testenv.Patience; {
		asked := time.Now()
		ask(c)
		took := time.Since(asked)
		switch {
		case took > serverDeadline:
			return fmt.Errorf("%s: the answer took %s", what, took)
		case c.last.status == http.StatusServiceUnavailable && strings.Contains(string(c.last.body), `"no_quorum"`):
			return nil
		case c.last.status == http.StatusOK || c.last.status == http.StatusNotFound:
			return fmt.Errorf("%s of a node without a majority: %d %s", what, c.last.status, c.last.body)
		}
	}
	return fmt.Errorf("%s: not refused for want of a quorum in %s, but %d %s, %w", what, testenv.Patience, c.last.status, c.last.body, c.last.err)
}

// serves waits until a node is ready and answers linearizable reads.
func (f *fleet) serves(t *testing.T, i int) {
	t.Helper()
	c := dial(t, f.urls[i])
	testenv.Succeeds(t, fmt.Sprintf("node %d serves again", i), func() error {
		for _, path := range []string{"/ready", "/kv/torture/mark"} {
			if a := c.call(t.Context(), http.MethodGet, path, nil, ""); a.status != http.StatusOK {
				return fmt.Errorf("%s: %d %s, %v", path, a.status, a.body, a.err)
			}
		}
		return nil
	})
}
