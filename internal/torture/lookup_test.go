package torture

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"leat/internal/testenv"
)

// lookups is a load of values that change and records that look them up.
type lookups struct {
	f       *fleet
	c       *client
	spaces  int
	records int // of each round
	rounds  int // there have been
}

// send repeats a request until it is answered with 200.
func (l *lookups) send(t *testing.T, path string, query url.Values, body string) {
	t.Helper()
	testenv.Succeeds(t, path, func() error {
		if a := l.c.call(t.Context(), "POST", path, query, body); a.status != http.StatusOK {
			return fmt.Errorf("status %d, %v: %.200s", a.status, a.err, a.body)
		}
		return nil
	})
}

// round raises the values of all namespaces, and then produces records.
func (l *lookups) round(t *testing.T) {
	t.Helper()
	n := l.rounds
	l.rounds++
	for s := range l.spaces {
		l.send(t, fmt.Sprintf("/kv/ns%d/k", s), nil, fmt.Sprintf(`{"n":%d}`, n))
	}
	for i := range l.records {
		id := fmt.Sprintf("%d-%d", n, i)
		l.send(t, "/broker/topics/events/produce", url.Values{"partition": {fmt.Sprint(i % 3)}, "idempotency_key": {id}},
			fmt.Sprintf(`{"id":%q,"round":%d,"k":"k"}`, id, n))
	}
}

// check holds the rows of a query: each record once, with a value that is not older than
// the record.
func (l *lookups) check(t *testing.T, query string) {
	t.Helper()
	testenv.Succeeds(t, query+" has all rows", func() error {
		a := l.c.call(t.Context(), "GET", "/queries/"+query+"/results", url.Values{"limit": {"1000"}}, "")
		var page struct {
			Rows []struct {
				ID       string
				Round, N *int
			}
		}
		if err := a.read(&page); a.status != http.StatusOK || err != nil {
			return errors.Join(fmt.Errorf("status %d, %v", a.status, a.err), err)
		}
		seen := map[string]bool{}
		for _, row := range page.Rows {
			if seen[row.ID] || row.N == nil || *row.N < *row.Round {
				t.Fatalf("%s has %s twice, or with a value that is too old: %.300s", query, row.ID, a.body)
			}
			seen[row.ID] = true
		}
		if want := l.rounds * l.records; len(seen) != want {
			return fmt.Errorf("%d rows of %d", len(seen), want)
		}
		return nil
	})
}

// TestClusterLookups: queries look up values of several namespaces, which are led
// elsewhere than the queries, while values change and nodes are killed, two of three at
// the same time once. Each record is put out once, beside a value that is not older than
// itself, and none is dropped for want of a leader.
func TestClusterLookups(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	l := &lookups{f: f, c: f.dial(t), spaces: 4, records: 6}
	l.c.must(t, "POST", "/broker/topics", nil, `{"name":"events","partitions":3}`)
	for s := range l.spaces {
		spec := fmt.Sprintf(`{"name":"q%d","source":{"topic":"events"},"lookup":{"kv":"ns%d","key":"k","as":"v"},"select":{"id":"id","round":"round","n":"v.n"}}`, s, s)
		testenv.Succeeds(t, "a query starts", func() error {
			if a := l.c.call(t.Context(), "POST", "/queries", nil, spec); a.status != http.StatusCreated && a.status != http.StatusConflict && a.status != http.StatusOK {
				return fmt.Errorf("status %d, %v: %.200s", a.status, a.err, a.body)
			}
			return nil
		})
	}
	for n := range 6 {
		l.round(t)
		switch {
		case n == 2:
			f.kill(0)
			f.kill(1)
			f.launch(t, 0)
			f.launch(t, 1)
			f.await(t, 0)
			f.await(t, 1)
		case n > 0 && n < 5:
			f.kill(n % 3)
			l.round(t)
			f.launch(t, n%3)
			f.await(t, n%3)
		}
	}
	for s := range l.spaces {
		l.check(t, fmt.Sprintf("q%d", s))
	}
}
