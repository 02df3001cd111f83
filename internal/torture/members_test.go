package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

// seat adds a node, by the raft address that the fleet has for it, once no other change
// is under way.
func (f *fleet) seat(t *testing.T, i int, raft string) {
	t.Helper()
	c := f.dial(t)
	testenv.Succeeds(t, fmt.Sprintf("node %d is added", i), func() error {
		a := c.call(t.Context(), "POST", "/cluster/members", nil, fmt.Sprintf(`{"id":"n%d","raft_address":%q,"url":%q}`, i, raft, f.urls[i]))
		if a.status != 200 {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
}

// states waits until every member is voting, and node i is one or is none.
func (f *fleet) states(t *testing.T, i int, member bool) {
	t.Helper()
	c := f.dial(t)
	testenv.Succeeds(t, fmt.Sprintf("node %d is a member: %t", i, member), func() error {
		var d struct {
			Members []struct {
				ID    string `json:"id"`
				State string `json:"state"`
			} `json:"members"`
		}
		a := c.call(t.Context(), "GET", "/cluster/members", nil, "")
		if a.status != 200 || a.read(&d) != nil {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		found := false
		for _, m := range d.Members {
			found = found || m.ID == fmt.Sprintf("n%d", i)
			if m.State != "voting" {
				return errors.New(m.ID + " is " + m.State)
			}
		}
		if found != member {
			return errors.New(string(a.body))
		}
		return nil
	})
}

// join starts a node on an empty directory, kills it on its way and starts it again.
func (f *fleet) join(t *testing.T, i int, r *rand.Rand) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(f.dir, fmt.Sprintf("n%d", i))); err != nil {
		t.Fatal(err)
	}
	by := f.urls[(i+1)%3]
	f.begin(t, i, "--join", by)
	<-time.After(time.Duration(r.Int64N(int64(time.Second))))
	f.kill(i)
	f.begin(t, i, "--join", by)
	f.await(t, i)
	f.states(t, i, true)
}

// newcomer makes room for one more node and returns its index and raft address.
func (f *fleet) newcomer(t *testing.T) (i int, raft string) {
	t.Helper()
	i = len(f.nodes)
	if f.within != nil {
		f.within = append(f.within, []string{"ip", "netns", "exec", namespace(i)})
		raft = fmt.Sprintf("%s:%d", address(i), raftPort)
		f.urls = append(f.urls, fmt.Sprintf("http://%s:%d", address(i), httpPort))
	} else {
		ports := freePorts(t, 2)
		raft = fmt.Sprintf("127.0.0.1:%d", ports[0])
		f.urls = append(f.urls, fmt.Sprintf("http://127.0.0.1:%d", ports[1]))
	}
	f.nodes = append(f.nodes, nil)
	return i, raft
}

// TestMembersUnderLoad: under load a fourth node joins, then members are taken out, alive
// and dead, most times the one that leads, and come back with empty directories; each is
// killed on its way in. What was acknowledged is there once, and every node has the same
// records. Three queries run all the while, move with the members, and give what they would
// have given without. LEAT_FAULT_ROUNDS says how often, LEAT_FAULT_SEED repeats the choices.
func TestMembersUnderLoad(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	rounds := variable(t, "LEAT_FAULT_ROUNDS", 2)
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestMembersUnderLoad$'", seed, rounds)
	r := rand.New(rand.NewPCG(uint64(seed), 7))
	w := newWorld()
	told := w.summarize(t)
	f := startApart(t, 3, 1)
	raft := make(map[int]string)
	for i, entry := range strings.Split(f.lists[0], ",") {
		raft[i] = strings.Join(strings.Split(entry, ":")[1:3], ":")
	}
	f.dial(t).must(t, "POST", "/broker/topics", nil, `{"name":"events","partitions":2}`)
	f.level(t, "events")
	a := f.askAll(t, r)
	newcomer, at := f.newcomer(t)
	raft[newcomer] = at
	for round := range rounds + 1 {
		w.round = round
		before := w.answered.Load()
		stop := w.loadCluster(t, f, r)
		w.going(t, before+200)
		a.produce(t, 20)
		fault, victim := "R15 a node is added", newcomer
		if round > 0 {
			victim, fault = f.leader(t, w.plain.place), fmt.Sprintf("R15 the leader is replaced, dead: %t", round%2 == 0)
			f.take(t, victim, round%2 == 0)
		}
		a.produce(t, 20)
		f.seat(t, victim, raft[victim])
		f.join(t, victim, r)
		a.produce(t, 20)
		w.probe(t, f, w.plain)
		stop()
		still := w.plain.still()
		w.decide(t, f, round == rounds)
		told.round(fault, still)
	}
	a.check(t, "R15 members come and go", 2*rounds+1)
	f.end(t)
	f.sameRecords(t) // many have had a snapshot
}

// take takes a node out of the cluster, after it was killed or while it runs, and waits
// until it is gone.
func (f *fleet) take(t *testing.T, i int, dead bool) {
	t.Helper()
	n := f.nodes[i]
	if dead {
		f.kill(i)
	}
	c := f.dial(t)
	testenv.Succeeds(t, fmt.Sprintf("node %d is to be taken out", i), func() error {
		a := c.call(t.Context(), "DELETE", fmt.Sprintf("/cluster/members/n%d", i), nil, "")
		if a.status != 200 {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	f.states(t, i, false)
	if exit := n.Await(t, "it was taken out"); !dead && exit != 4 {
		t.Errorf("node %d ends with %d, the log:\n%s", i, exit, n.Logs)
	}
	f.nodes[i] = nil
}
