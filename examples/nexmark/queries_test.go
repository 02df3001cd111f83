package nexmark

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/log"
	"leat/queries"
	"leat/queries/fakebus"
)

// stream is bids over several partitions, around a midnight and out of order by up to
// a second, which the queries allow for.
type stream struct {
	*fakebus.Bus
	bids   []event
	cameIn []int64 // append times
}

const streamPartitions = 4

func newStream(t *testing.T) *stream {
	t.Helper()
	const (
		events = 24_000
		rate   = 200
		chunk  = 50 // events that are appended at a time
	)
	s := &stream{Bus: fakebus.New()}
	if err := s.CreateTopic(Bid.Topic(), streamPartitions); err != nil {
		t.Fatal(err)
	}
	g := Generator{Rate: rate, StartMs: 16631*dayMs - events/rate*msPerSecond/2, Disorder: rate}
	var values [streamPartitions][][]byte
	for n := range int64(events) {
		came := 1_700_000_000_000 + n/chunk*chunk*7
		if text, kind := g.Append(nil, n); kind == Bid {
			p := n / 3 % streamPartitions
			values[p] = append(values[p], text)
			s.bids = append(s.bids, decode(t, text))
			s.cameIn = append(s.cameIn, came)
		}
		if n%chunk < chunk-1 {
			continue
		}
		s.SetTime(came)
		for p, list := range values {
			if len(list) == 0 {
				continue
			}
			if err := s.Append(Bid.Topic(), int32(p), list...); err != nil {
				t.Fatal(err)
			}
			values[p] = nil
		}
	}
	return s
}

// spec is the query of a name.
func spec(t testing.TB, name string) Spec {
	t.Helper()
	specs, err := Specs()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(specs, func(s Spec) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no spec %q", name)
	}
	return specs[i]
}

// wallClock paces jobs; it has no part in results.
type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// run runs a spec over all there is. No row may be late or dead.
func (s *stream) run(t testing.TB, id string, body []byte) []string {
	t.Helper()
	_, plan, _, problems := queries.Compile(t.Context(), body, s)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", body, problems)
	}
	got, err := queries.RunTrial(t.Context(), queries.JobConfig{
		ID: id, Owner: "test", Shard: fakebus.DataShard, Plan: plan, Topics: s, Docs: s, Clock: wallClock{},
		Options: queries.RunOptions{ReadSeed: 1, BatchRows: 512},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := got.Rows; n.In != n.Used+n.Filtered || n.Out != int64(len(got.Results)) {
		t.Errorf("rows: %+v", n)
	}
	var rows []string
	for _, r := range got.Results {
		rows = append(rows, string(r))
	}
	return rows
}

// TestAgainstSQL runs the queries and compares with what their SQL says.
func TestAgainstSQL(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	for _, c := range []struct {
		name  string
		check func(t *testing.T, rows []string)
	}{
		{"q0", func(t *testing.T, rows []string) { sameRows(t, each(s.bids, sqlQ0), rows) }},
		{"q1", func(t *testing.T, rows []string) { sameRows(t, each(s.bids, sqlQ1), rows) }},
		{"q2", func(t *testing.T, rows []string) { sameRows(t, each(s.bids, sqlQ2), rows) }},
		{"q5_counts", func(t *testing.T, rows []string) {
			if want := sqlQ5Counts(s.bids); !slices.Equal(want, rows) {
				sameRows(t, want, rows)
				t.Error("the windows are out of order")
			}
		}},
		{"q7", func(t *testing.T, rows []string) { oneOfEach(t, sqlQ7(s.bids), rows) }},
		{"q11", func(t *testing.T, rows []string) { sameRows(t, sqlQ11(s.bids), rows) }},
		{"q12", func(t *testing.T, rows []string) { sameRows(t, sqlQ12(s.bids, s.cameIn), rows) }},
		{"q14", func(t *testing.T, rows []string) { sameRows(t, each(s.bids, sqlQ14), rows) }},
		{"q17", func(t *testing.T, rows []string) { sameRows(t, sqlQ17(s.bids), rows) }},
		{"q21", func(t *testing.T, rows []string) { sameRows(t, each(s.bids, sqlQ21), rows) }},
		{"q22", func(t *testing.T, rows []string) { sameRows(t, each(s.bids, sqlQ22), rows) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := s.run(t, c.name, spec(t, c.name).Bounded())
			if len(rows) < 2 {
				t.Errorf("%d rows", len(rows))
			}
			c.check(t, rows)
		})
	}
}

// TestDistinct runs the queries that count different values, as they are and with exact
// counts in the place of the approximate ones.
func TestDistinct(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	for name, want := range map[string][]string{"q15": sqlQ15(s.bids), "q16": sqlQ16(s.bids)} {
		approximate := spec(t, name).Bounded()
		exact := bytes.ReplaceAll(approximate, []byte("approx_count_distinct"), []byte("count_distinct"))
		sameRows(t, want, s.run(t, name+"_exact", exact))
		near(t, want, s.run(t, name, approximate))
	}
}

// near compares rows, in which numbers of bidders and auctions may be off by 4 % or 1.
func near(t *testing.T, want, got []string) {
	t.Helper()
	byKey := func(rows []string) map[string]map[string]any {
		all := map[string]map[string]any{}
		for _, text := range rows {
			var row map[string]any
			if err := json.Unmarshal([]byte(text), &row); err != nil {
				t.Fatal(err)
			}
			all[fmt.Sprint(row["channel"], row["day"])] = row
		}
		return all
	}
	wanted, given := byKey(want), byKey(got)
	if len(wanted) != len(given) || len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for key, row := range wanted {
		for name, value := range row {
			n, number := value.(float64)
			m, _ := given[key][name].(float64)
			if about := strings.HasSuffix(name, "_bidders") || strings.HasSuffix(name, "_auctions"); about && number && math.Abs(n-m) <= max(1, n*0.04) {
				continue
			}
			if given[key][name] != value {
				t.Errorf("%s: %s is %v, want %v", key, name, given[key][name], value)
			}
		}
	}
}

// TestQ5 runs both of its queries as a node does, the second one over the topic that
// the first one writes.
func TestQ5(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	m := queries.NewManager(queries.ManagerConfig{Topics: s, Docs: s, Sinks: s.Sinks(), Clock: wallClock{}, Owner: "one"})
	running, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- m.Run(running) }()
	defer func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	if _, _, _, err := m.Create(ctx, spec(t, "q5_counts").Bounded()); err != nil {
		t.Fatal(err)
	}
	want := sqlQ5Counts(s.bids)
	results := s.follow(ctx, t, m, "nexmark_q5_counts")
	sameRows(t, want, results)
	s.fill(ctx, t, "q5_counts", log.Offset(len(want)))
	if _, _, _, err := m.Create(ctx, spec(t, "q5").Bounded()); err != nil {
		t.Fatal(err)
	}
	oneOfEach(t, sqlQ5(s.bids), s.follow(ctx, t, m, "nexmark_q5"))
}

// follow reads the results of a query until they are complete.
func (s *stream) follow(ctx context.Context, t *testing.T, m *queries.Manager, name string) (list []string) {
	t.Helper()
	for at := log.Offset(0); ; {
		changed, err := m.WaitResults(name, at)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := m.Results(name, at, 1000)
		if err != nil || rows.Stopped != nil {
			t.Fatal(err, rows.Stopped)
		}
		for _, r := range rows.Rows {
			list = append(list, string(r))
		}
		at = rows.Next
		switch {
		case rows.Complete:
			return list
		case len(rows.Rows) > 0:
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s: not complete after %d rows", name, len(list))
		}
	}
}

// fill waits until a topic has n records.
func (s *stream) fill(ctx context.Context, t *testing.T, topic string, n log.Offset) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var all log.Offset
		if about, ok := s.Topic(topic); ok {
			for p := range about.Partitions {
				standing, err := s.Partition(topic, p)
				if err != nil {
					t.Fatal(err)
				}
				all += standing.Next
			}
		}
		if all == n {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s has %d records, want %d", topic, all, n)
		}
	}
}
