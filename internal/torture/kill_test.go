package torture

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// TestKill: under load the process is killed at a random moment, sometimes after
// a pause, sometimes again on its way up. What the clients were told has to be
// what a log, registers with TTL and groups that only move forward could have
// answered. LEAT_FAULT_ROUNDS says how often, LEAT_FAULT_SEED repeats the choices.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := variable(t, "LEAT_FAULT_ROUNDS", 2)
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestKill$'", seed, rounds)
	k := &killer{dir: t.TempDir(), rand: rand.New(rand.NewPCG(uint64(seed), 0)), world: newWorld()}
	told := k.world.summarize(t)
	n := start(t, k.dir)
	k.world.prepare(t, dial(t, n.url))
	for round := range rounds {
		k.world.round = round
		last := round == rounds-1
		n = k.life(t, n)
		k.world.settle(t, dial(t, n.url), last || round%10 == 9, last)
		told.round("R1 SIGKILL of a lone node, its start included", k.resumed[round])
	}
	k.world.forgets(t, dial(t, n.url))
	k.report(t)
	if exit, took := n.Terminate(t); exit != 0 || took > 5*time.Second {
		t.Errorf("the last end: exit %d after %s, the log:\n%s", exit, took, n.Logs)
	}
}

// killer is the state of the loop.
type killer struct {
	dir     string
	rand    *rand.Rand
	world   *world
	starts  []time.Duration // from the start of the process to ready
	resumed []time.Duration // and to the first acknowledged write
}

func (k *killer) upTo(d time.Duration) time.Duration { return time.Duration(k.rand.Int64N(int64(d))) }

// life loads a process, kills it and starts the next one.
func (k *killer) life(t *testing.T, n *node) *node {
	before := k.world.answered.Load()
	stop := k.world.load(t, n.url, k.rand)
	k.world.going(t, before+300)
	<-time.After(k.upTo(1500 * time.Millisecond))
	if k.rand.IntN(3) == 0 {
		n.Signal(t, syscall.SIGSTOP)
		<-time.After(k.upTo(800 * time.Millisecond))
		n.Signal(t, syscall.SIGCONT)
		<-time.After(k.upTo(200 * time.Millisecond))
	}
	n.Kill()
	stop()
	for k.rand.IntN(3) == 0 {
		early := launch(t, k.dir)
		select {
		case <-early.First:
		case <-time.After(k.upTo(400 * time.Millisecond)):
		}
		early.Kill()
	}
	next := start(t, k.dir)
	k.starts = append(k.starts, next.took)
	return k.resume(t, next)
}

// resume writes a record, and notes how long that took since the start.
func (k *killer) resume(t *testing.T, n *node) *node {
	began := time.Now()
	ids := k.world.ids(1)
	k.world.plain.send(ids, false)
	if o := k.world.append(t.Context(), dial(t, n.url), k.world.plain, ids, 100, ""); o != done {
		t.Fatalf("the first write after a start is not acknowledged: %v, the log:\n%s", k.world.failed(), n.Logs)
	}
	k.resumed = append(k.resumed, n.took+time.Since(began))
	return n
}

func (k *killer) report(t *testing.T) {
	t.Helper()
	for _, p := range k.world.partitions() {
		t.Logf("%s: offsets %d to %d, %d operations checked", p.place, p.first, p.next, p.tally.operations)
	}
	t.Logf("keys: %d operations checked; groups: %d", k.world.registers.operations, k.world.commits.operations)
	if len(k.starts) > 0 {
		ready, slowest := middle(k.starts)
		write, latest := middle(k.resumed)
		t.Logf("%d starts after a kill: ready in %s, at most %s; the first write acknowledged in %s, at most %s", len(k.starts), ready, slowest, write, latest)
	}
}
