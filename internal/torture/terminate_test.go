package torture

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

// TestTerminate: SIGTERM under load ends the process well and soon, every request
// that was made before is answered, and nothing acknowledged is lost.
func TestTerminate(t *testing.T) {
	t.Parallel()
	w, dir := newWorld(), t.TempDir()
	n := start(t, dir)
	w.prepare(t, dial(t, n.url))
	for round := range 2 {
		w.round = round
		before := w.answered.Load()
		polls := longPolls(t, n, 4)
		stop := w.load(t, n.url, rand.New(rand.NewPCG(8, uint64(round))))
		defer stop()
		w.going(t, before+300)
		asked := time.Now()
		exit, took := n.Terminate(t)
		stop()
		if exit != 0 || took > 5*time.Second {
			t.Errorf("exit %d after %s, the log:\n%s", exit, took, n.Logs)
		}
		for _, a := range polls() {
			if a.status != http.StatusOK {
				t.Errorf("a long poll has the answer %d, %v: %s", a.status, a.err, a.body)
			}
		}
		for _, began := range w.unanswered {
			if began.Before(asked) {
				t.Errorf("a request that began %s before SIGTERM has no answer", asked.Sub(began))
			}
		}
		t.Logf("ended %s after SIGTERM; %d requests came too late to be answered", took, len(w.unanswered))
		w.unanswered = nil
		n = start(t, dir)
		w.settle(t, dial(t, n.url), round == 1, round == 1)
	}
}

// longPolls asks for records that do not come. The function it returns waits for
// the answers.
func longPolls(t *testing.T, n *node, count int) func() []answer {
	answers := make([]answer, count)
	var wg sync.WaitGroup
	for i := range answers {
		c := dial(t, n.url)
		wg.Go(func() {
			query := url.Values{"wait_ms": {"30000"}, "offset": {"1000000000"}}
			answers[i] = c.call(t.Context(), http.MethodGet, "/broker/consume/events/poll/0", query, "")
		})
	}
	return func() []answer { wg.Wait(); return answers }
}
