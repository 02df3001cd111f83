package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

// questions are a windowed query, one of sessions and a join over the topics clicks and
// views, without name and end.
func questions() map[string]string {
	source := func(topic string) string { return fmt.Sprintf(`{"topic":%q,"event_time":"at"UNTIL}`, topic) }
	return map[string]string{
		"windows":  `"source":` + source("clicks") + `,"group_by":["user"],"window":{"tumbling":"2s"},"aggregate":{"n":"count()","total":"sum(id)","last":"max(id)"}`,
		"sessions": `"source":` + source("views") + `,"group_by":["user"],"window":{"session":"700ms"},"aggregate":{"n":"count()","total":"sum(id)"}`,
		"joined": `"join":{"type":"inner","on":[["user","user"]],"window":{"within":"300ms"},"left":` + source("clicks") + `,"right":` + source("views") +
			`},"select":{"click":"left.id","view":"right.id","user":"left.user"}`,
	}
}

// asked is the questions as queries that run, and what they are about.
type asked struct {
	f    *fleet
	c    *client
	r    *rand.Rand
	at   int64 // event time of the last record
	next int   // number of the next record
}

// askAll starts the queries.
func (f *fleet) askAll(t *testing.T, r *rand.Rand) *asked {
	t.Helper()
	a := &asked{f: f, c: f.dial(t), r: r, at: 1_700_000_000_000}
	for _, topic := range []string{"clicks", "views"} {
		a.c.must(t, http.MethodPost, "/broker/topics", nil, fmt.Sprintf(`{"name":%q,"partitions":1}`, topic))
	}
	f.level(t, "clicks", "views")
	for name, question := range questions() {
		ask(t, a.c, name, strings.ReplaceAll(question, "UNTIL", ""))
	}
	return a
}

// produce appends records, each once.
func (a *asked) produce(t *testing.T, n int) {
	t.Helper()
	a.c.others = a.f.urls
	for range n {
		a.at += a.r.Int64N(120)
		recordOnce(t, a.c, []string{"clicks", "views"}[a.r.IntN(2)], a.next, a.at, fmt.Sprint("u", a.r.IntN(4)))
		a.next++
	}
}

// check compares what the queries give on every node that runs with what the same queries
// give that run now, without interruption, over the same records.
func (a *asked) check(t *testing.T, fault string, rounds int) {
	t.Helper()
	// What closes everything before, and meets nothing itself.
	end := a.at + 60_000
	recordOnce(t, a.c, "clicks", a.next, end, "nobody")
	recordOnce(t, a.c, "views", a.next+1, end, "nobody else")
	for name, question := range questions() {
		ask(t, a.c, name+"_again", strings.ReplaceAll(question, "UNTIL", `,"until":"end"`))
		var want []string
		testenv.Succeeds(t, name+" without interruption", func() error {
			rows, complete, err := rowsOf(t, a.c, name+"_again", end)
			if want = rows; err == nil && !complete {
				err = fmt.Errorf("not complete: %s", a.c.call(t.Context(), http.MethodGet, "/queries/"+name+"_again", nil, "").body)
			}
			return err
		})
		if len(want) == 0 {
			t.Errorf("%s has no rows to compare", name)
		}
		for i, n := range a.f.nodes {
			if n == nil {
				continue
			}
			testenv.Succeeds(t, fmt.Sprintf("%s on node %d, %d rows", name, i, len(want)), func() error {
				got, _, err := rowsOf(t, dial(t, a.f.urls[i]), name, end)
				if err == nil && !slices.Equal(got, want) {
					err = fmt.Errorf("%d rows: %.2000q, want %.2000q", len(got), got, want)
				}
				return err
			})
		}
		t.Logf("summary: %s, query %s: %d rounds, %d rows the same on all nodes", fault, name, rounds, len(want))
	}
}

// TestClusterQueries: three queries run while nodes are killed, in turn those that lead
// the data shards. Their rows are those of the same queries run without interruption
// over the same records afterwards.
func TestClusterQueries(t *testing.T) {
	t.Parallel()
	const perRound = 120
	if !apart(t) {
		return
	}
	kills := max(2, variable(t, "LEAT_FAULT_ROUNDS", 2))
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestClusterQueries$'", seed, kills)
	f := startApart(t, 3, 0)
	a := f.askAll(t, rand.New(rand.NewPCG(uint64(seed), 5)))
	for round := range kills {
		a.produce(t, perRound/2)
		victim := f.leads(t, 2+round%3)
		f.kill(victim)
		a.produce(t, perRound/2)
		f.launch(t, victim)
		f.await(t, victim)
	}
	a.check(t, "R23 SIGKILL of who leads data", kills)
	f.end(t)
}

// ask starts a query.
func ask(t *testing.T, c *client, name, question string) {
	t.Helper()
	testenv.Succeeds(t, "query "+name+" is started", func() error {
		if a := c.call(t.Context(), http.MethodPost, "/queries", nil, fmt.Sprintf(`{"name":%q,%s}`, name, question)); a.status != http.StatusCreated && a.status != http.StatusOK {
			return fmt.Errorf("%d %s, %w", a.status, a.body, a.err)
		}
		return nil
	})
}

// recordOnce appends a record once.
func recordOnce(t *testing.T, c *client, topic string, id int, at int64, user string) {
	t.Helper()
	testenv.Succeeds(t, "a record is acknowledged", func() error {
		a := c.call(t.Context(), http.MethodPost, "/broker/topics/"+topic+"/produce", url.Values{"idempotency_key": {fmt.Sprint("k", id)}},
			fmt.Sprintf(`{"id":%d,"at":%d,"user":%q}`, id, at, user))
		if o, err := a.result(); o != done {
			return fmt.Errorf("not acknowledged: %d %.300s, %w", a.status, a.body, errors.Join(a.err, err))
		}
		return nil
	})
}

// rowsOf reads the results of a query, sorted, but for windows that begin at the end of
// the test or later.
func rowsOf(t *testing.T, c *client, name string, end int64) (rows []string, complete bool, err error) {
	t.Helper()
	for offset := int64(0); ; {
		var body struct {
			Rows     []json.RawMessage `json:"rows"`
			Next     int64             `json:"next_offset"`
			Complete bool              `json:"complete"`
		}
		a := c.call(t.Context(), http.MethodGet, "/queries/"+name+"/results", url.Values{"offset": {fmt.Sprint(offset)}, "limit": {"1000"}}, "")
		if a.status != http.StatusOK {
			return nil, false, fmt.Errorf("%d %.300s, %w", a.status, a.body, a.err)
		}
		if err := a.read(&body); err != nil {
			return nil, false, err
		}
		for _, row := range body.Rows {
			var w struct {
				Start int64 `json:"window_start"`
			}
			if err := json.Unmarshal(row, &w); err != nil {
				return nil, false, err
			}
			if w.Start < end-2000 {
				rows = append(rows, string(row))
			}
		}
		if offset = body.Next; len(body.Rows) == 0 {
			slices.Sort(rows)
			return rows, body.Complete, nil
		}
	}
}
