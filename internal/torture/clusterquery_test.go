package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"leat/internal/testenv"
)

// TestClusterQuery: a query whose node is killed goes on where its shard is led next.
// Its results and what it writes to a topic are what one uninterrupted run gives: every
// window once, with the right count, and the same read from every node.
func TestClusterQuery(t *testing.T) {
	t.Parallel()
	const perWindow = 25
	if !apart(t) {
		return
	}
	kills := max(3, variable(t, "LEAT_FAULT_ROUNDS", 3)) // the leader of each data shard
	windows := max(20, 2*kills)
	f := startApart(t, 3, 0)
	c := f.dial(t)
	c.must(t, "POST", "/broker/topics", nil, `{"name":"numbers","partitions":1}`)
	c.must(t, "POST", "/broker/topics", nil, `{"name":"counts","partitions":1}`)
	f.level(t, "numbers", "counts")
	if a := c.call(t.Context(), "POST", "/queries", nil, `{"name":"per_window","source":{"topic":"numbers","event_time":"at"},
		"window":{"tumbling":"1s"},"aggregate":{"n":"count()","total":"sum(id)"},"sink":{"topic":"counts"}}`); a.status != 201 {
		t.Fatalf("%d %s, %v", a.status, a.body, a.err)
	}
	next := 0
	produce := func(until int) {
		for ; next < until; next++ {
			record := fmt.Sprintf(`{"id":%d,"at":%d}`, next, 1_700_000_000_000+next*1000/perWindow)
			testenv.Succeeds(t, "a record is acknowledged", func() error {
				a := c.call(t.Context(), "POST", "/broker/topics/numbers/produce", url.Values{"idempotency_key": {fmt.Sprint("k", next)}}, record)
				if o, err := a.result(); o != done {
					return fmt.Errorf("not acknowledged: %d %.300s, %w", a.status, a.body, errors.Join(a.err, err))
				}
				return nil
			})
		}
	}
	for round := range kills {
		produce((round + 1) * perWindow * windows / (kills + 1))
		victim := f.leads(t, 2+round%3)
		f.kill(victim)
		produce(next + perWindow)
		f.launch(t, victim)
		f.await(t, victim)
	}
	produce(perWindow*windows + 1) // the one more closes the last window
	checkCounts(t, f, perWindow, windows)
	t.Logf("summary: R23 SIGKILL of the node that runs a query: %d rounds, %d windows the same on all nodes", kills, windows)
	for i, n := range f.nodes {
		if exit, took := n.Terminate(t); exit != 0 || took > 5*time.Second {
			t.Errorf("the end of node %d: exit %d after %s, the log:\n%s", i, exit, took, n.Logs)
		}
	}
}

// checkCounts waits until every node has the results of all windows, and what the query
// wrote of them.
func checkCounts(t *testing.T, f *fleet, perWindow, windows int) {
	t.Helper()
	var want []string
	for w := range windows {
		total := 0
		for id := w * perWindow; id < (w+1)*perWindow; id++ {
			total += id
		}
		want = append(want, fmt.Sprintf("%d: %d, %d", 1_700_000_000_000+w*1000, perWindow, total))
	}
	for i := range f.nodes {
		n := dial(t, f.urls[i])
		var got []string
		testenv.Succeeds(t, fmt.Sprintf("node %d has the results", i), func() error {
			var body struct {
				Rows []json.RawMessage `json:"rows"`
			}
			a := n.call(t.Context(), "GET", "/queries/per_window/results", url.Values{"limit": {"1000"}}, "")
			if a.status != 200 || a.read(&body) != nil {
				return fmt.Errorf("%d %.300s", a.status, a.body)
			}
			return counted(&got, body.Rows, want)
		})
		testenv.Succeeds(t, fmt.Sprintf("node %d has what the query wrote", i), func() error {
			var body struct {
				Messages []struct {
					Value string `json:"value"`
				} `json:"messages"`
			}
			a := n.call(t.Context(), "GET", "/broker/consume/counts/reader/0", url.Values{"offset": {"0"}, "limit": {"1000"}}, "")
			if a.status != 200 || a.read(&body) != nil {
				return fmt.Errorf("%d %.300s", a.status, a.body)
			}
			var rows []json.RawMessage
			for _, m := range body.Messages {
				rows = append(rows, json.RawMessage(m.Value))
			}
			return counted(&got, rows, want)
		})
	}
}

// leads is the node that leads a shard, by its index.
func (f *fleet) leads(t *testing.T, shard int) int {
	t.Helper()
	found := -1
	testenv.Succeeds(t, fmt.Sprintf("shard %d has a leader", shard), func() error {
		var d struct {
			Shards []struct {
				Shard  int     `json:"shard"`
				Leader *string `json:"leader_id"`
			} `json:"shards"`
		}
		if a := f.dial(t).call(t.Context(), "GET", "/cluster", nil, ""); a.status != 200 || a.read(&d) != nil {
			return fmt.Errorf("%d %.200s", a.status, a.body)
		}
		for _, s := range d.Shards {
			if s.Shard == shard && s.Leader != nil {
				_, err := fmt.Sscanf(*s.Leader, "n%d", &found)
				return err
			}
		}
		return errors.New("none is known")
	})
	return found
}

// counted compares rows with what is wanted of them; those that are still to come are
// an error, wrong ones too.
func counted(got *[]string, rows []json.RawMessage, want []string) error {
	*got = (*got)[:0]
	for _, row := range rows {
		var r struct {
			N     int   `json:"n"`
			Total int   `json:"total"`
			Start int64 `json:"window_start"`
		}
		if err := json.Unmarshal(row, &r); err != nil {
			return err
		}
		*got = append(*got, fmt.Sprintf("%d: %d, %d", r.Start, r.N, r.Total))
	}
	if !slices.Equal(*got, want) {
		return fmt.Errorf("got %q", *got)
	}
	return nil
}
