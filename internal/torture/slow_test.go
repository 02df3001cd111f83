package torture

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"leat/internal/testenv"
)

// TestSlowDisk: under load each sync of a follower takes 30 ms longer, then each of the
// leader. What is acknowledged is there, once and everywhere; how long writes take beside
// a cluster that is well is put out, and does not decide. LEAT_FAULT_ROUNDS says how
// often, LEAT_FAULT_SEED repeats the choices.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	rounds := (variable(t, "LEAT_FAULT_ROUNDS", 1) + 4) / 5
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestSlowDisk$'", seed, 5*rounds)
	r := rand.New(rand.NewPCG(uint64(seed), 11))
	w := newWorld()
	told := w.summarize(t)
	f := startApart(t, 3, 0)
	f.dial(t).must(t, http.MethodPost, "/broker/topics", nil, `{"name":"events","partitions":2}`)
	f.level(t, "events")
	var well, follower, leader []time.Duration
	moved := 0
	for w.round = range rounds {
		stop := w.loadCluster(t, f, r)
		well = append(well, w.timeWrites(t, f)...)
		at := f.leader(t, w.plain.place)
		s := injectSync(t, f.nodes[(at+1+r.IntN(2))%3], "delay_enter=30000")
		follower = append(follower, w.timeWrites(t, f)...)
		s.leave(t)
		at = f.leader(t, w.plain.place)
		s = injectSync(t, f.nodes[at], "delay_enter=30000")
		leader = append(leader, w.timeWrites(t, f)...)
		if f.leader(t, w.plain.place) != at {
			moved++
		}
		s.leave(t)
		stop()
		w.decide(t, f, w.round == rounds-1)
		told.round("R9 syncs of a follower, then of the leader, 30 ms late")
	}
	f.end(t)
	f.sameFiles(t)
	t.Logf("summary: R9 writes, P50 and P99: all well %s, a slow follower %s, a slow leader %s; %d of %d slow leaders gave the lead away",
		percentiles(well), percentiles(follower), percentiles(leader), moved, rounds)
}

// timeWrites is how long single records take to be acknowledged, of four clients.
func (w *world) timeWrites(t *testing.T, f *fleet) (took []time.Duration) {
	t.Helper()
	const clients, each = 4, 60
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range clients {
		c := f.dial(t)
		wg.Go(func() {
			for range each {
				ids := w.ids(1)
				w.plain.send(ids, false)
				began := time.Now()
				if w.append(t.Context(), c, w.plain, ids, 100, "") == done {
					mu.Lock()
					took = append(took, time.Since(began))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return took
}

func percentiles(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	return fmt.Sprintf("%s, %s", all[len(all)/2].Round(time.Millisecond/10), all[len(all)*99/100].Round(time.Millisecond/10))
}

// leave has strace let a process go on without it.
func (s *strace) leave(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(testenv.Patience):
		t.Fatal("strace does not leave")
	}
	if trace, err := os.ReadFile(s.file); err != nil || len(trace) == 0 {
		t.Errorf("strace has seen no sync, %v", err)
	}
}
