package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/testenv"
)

// outputQuery is a query whose output has to survive kills. Its rows, late rows and dead
// letters go to the topics out-NAME, late-NAME and dead-NAME, those of changes to the
// namespace NAME instead of the first.
type outputQuery struct {
	name, spec string
	windowed   bool
	changes    bool
	joins      bool // events and marks
}

func outputQueries() []outputQuery {
	const sides = `"left":{"topic":"events","event_time":"t","max_out_of_orderness":"1s"},"right":{"topic":"marks","event_time":"t","max_out_of_orderness":"1s"}`
	named := func(key, kind string) string {
		return fmt.Sprintf(`"lookup":{"kv":"names","key":%q,"as":"name","type":%q}`, key, kind)
	}
	const timed = `"source":{"topic":"events","event_time":"t","max_out_of_orderness":"1s"},`
	return []outputQuery{
		{name: "even", spec: `"source":{"topic":"events"},"filter":"v % 2 == 0","select":{"id":"id","v":"v"},"sink":{"topic":"out-even","key":"id"}`},
		{name: "window", windowed: true, spec: timed + `"filter":"v >= 10","group_by":["k"],"window":{"hopping":"2s","every":"1s"},
			"aggregate":{"n":"count()","total":"sum(v)","mean":"avg(v * 0.1)","last":"last(id)"},"sink":{"topic":"out-window","key":"k"}`},
		{name: "session", windowed: true, spec: timed + `"group_by":["k"],"window":{"session":100},
			"aggregate":{"n":"count()","mean":"avg(v * 0.1)","most":"max_by(id, v)"},"sink":{"topic":"out-session","key":"k"}`},
		{name: "running", changes: true, spec: timed + `"group_by":["k"],"max_state_bytes":100000000,"aggregate":{"n":"count()","total":"sum(v)","last":"last(id)"},
			"having":"n % 3 != 0","emit":"changes","sink":{"kv":"running","key":"k"}`},
		{name: "merging", windowed: true, changes: true, spec: timed + `"group_by":["k"],"window":{"session":100},"aggregate":{"n":"count()","mean":"avg(v * 0.1)"},
			"emit":"changes","sink":{"kv":"merging","key":["k","window_start"]}`},
		{name: "named", spec: `"source":{"topic":"events"},` + named("k", "inner") + `,"filter":"name.rank > 0",
			"select":{"id":"id","label":"name.label"},"sink":{"topic":"out-named","key":"id"}`},
		{name: "pairs", windowed: true, joins: true, spec: `"join":{"type":"full","on":[["k","k"]],"window":{"before":60,"after":20},` + sides + `},
			"select":{"left":"left.id","right":"right.id","k":"left.k ?? right.k"},"sink":{"topic":"out-pairs","key":"k"}`},
		{name: "joined", windowed: true, joins: true, spec: `"join":{"type":"left","on":[["k","k"]],"window":{"tumbling":500},` + sides + `},` + named("left.k", "left") + `,
			"group_by":["name.label"],"window":{"tumbling":"1s"},
			"aggregate":{"n":"count()","mean":"avg(right.v * 0.1)","ranks":"sum(name.rank)","last":"last(left.id)"},"sink":{"topic":"out-joined"}`},
	}
}

// topics are those that the query writes to.
func (q *outputQuery) topics() []string {
	list := []string{"dead-" + q.name}
	if !q.changes {
		list = append(list, "out-"+q.name)
	}
	if q.windowed {
		list = append(list, "late-"+q.name)
	}
	return list
}

func (q *outputQuery) json() []byte {
	late := ""
	if q.windowed {
		late = fmt.Sprintf(`,"late":{"topic":"late-%s"}`, q.name)
	}
	return fmt.Appendf(nil, `{"name":%q,%s%s,"on_error":{"topic":"dead-%s"}}`, q.name, q.spec, late, q.name)
}

// partitions is how many partitions the query reads.
func (q *outputQuery) partitions() int {
	if q.joins {
		return 2 * faultPartitions
	}
	return faultPartitions
}

// TestFaultsOutput kills a server every two seconds, LEAT_FAULT_SECONDS long, while it is
// fed and queries write to topics: stateless and windowed ones, sessions, joins and
// lookups in a namespace that stays the same; and a query of running groups and one of
// sessions write changes, and withdraw some, to namespaces. What is in the topics in the
// end is, record by record, and what is in the namespaces, key by key, what the same
// queries write on a server that reads the same log and is left alone.
func TestFaultsOutput(t *testing.T) {
	t.Parallel()
	const every = 2 * time.Second
	seconds := variable(t, "LEAT_FAULT_SECONDS", 4)
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	defer func() {
		if t.Failed() {
			t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_SECONDS=%d go test ./cmd/leat -run TestFaultsOutput", seed, seconds)
		}
	}()
	f := &faults{dir: t.TempDir(), rand: rand.New(rand.NewPCG(uint64(seed), 0))}
	f.start(t)
	startOutput(t, dial(t, f.server.url))
	kills := max(2, seconds*int(time.Second)/int(every))
	for range kills {
		f.feed(t, every)
		f.restart(t)
	}
	killed := dial(t, f.server.url)
	awaitOutput(t, killed)
	calm := dial(t, start(t, t.TempDir()).url)
	startOutput(t, calm)
	for _, topic := range []string{"events", "marks"} {
		copyTopic(t, killed, calm, topic)
	}
	awaitOutput(t, calm)
	rows, queries := int64(0), outputQueries()
	defer func() {
		t.Logf("summary: R23 what queries write, SIGKILL of a lone node: %d rounds, %d queries, %d rows the same: %t", kills, len(queries), rows, !t.Failed())
	}()
	for _, q := range queries {
		got := q.settle(t, killed, calm)
		if q.changes {
			sameSpace(t, killed, calm, q.name)
		}
		for _, topic := range q.topics() {
			sameTopic(t, killed, calm, topic, q.joins && !strings.HasPrefix(topic, "out-"))
		}
		if r := got.Rows; r.Out < 50 && !q.changes || r.Dead == 0 || q.windowed && r.Late == 0 {
			t.Errorf("the load shows too little of %s: %s", q.name, r)
		}
		rows += got.Rows.Out + got.Rows.Dead + got.Rows.Late
		t.Logf("%d kills, seed %d, %s: %s", kills, seed, q.name, got.Rows)
	}
}

// settle waits until a query has put out the same number of rows on both servers: where it
// has read all, some may have been on their way.
func (q *outputQuery) settle(t *testing.T, killed, calm *client) (got standing) {
	t.Helper()
	testenv.Succeeds(t, q.name+" counts the same", func() error {
		var want standing
		for c, into := range map[*client]*standing{killed: &got, calm: &want} {
			var err error
			if *into, _, err = c.query(t.Context(), q.name); err != nil {
				return err
			}
			if n := into.written(); n != into.Rows.Out+into.Rows.Dead+into.Rows.Late {
				return fmt.Errorf("%d rows are written of %s", n, into.Rows)
			}
		}
		if q.changes {
			got.Rows.Out = want.Rows.Out // how often a row changes is not repeatable
		}
		if got.Rows != want.Rows {
			return fmt.Errorf("it counts %s, and %s without kills", got.Rows, want.Rows)
		}
		return nil
	})
	return got
}

// written is how many rows are in the topics.
func (s *standing) written() (n int64) {
	for _, sink := range s.Sinks {
		n += sink.Written
	}
	return n
}

func startOutput(t *testing.T, c *client) {
	t.Helper()
	for _, topic := range []string{"events", "marks"} {
		c.mustPost(t, "/broker/topics", map[string]any{"name": topic, "partitions": faultPartitions})
	}
	for k := range 6 { // k6 has no name, and k0 no rank
		path := route("kv", "names", fmt.Sprint("k", k))
		value := fmt.Appendf(nil, `{"label":"name %d","rank":%d}`, k/2, k)
		if _, err := c.call(t.Context(), request{method: http.MethodPost, path: path, body: value}); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range outputQueries() {
		c.mustStart(t, q.json())
	}
}

// feed produces batches at a bounded rate and kills the server on the way: after a while,
// and not before some have been taken.
func (f *faults) feed(t *testing.T, long time.Duration) {
	t.Helper()
	const least = 5
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := dial(t, f.server.url)
	r := rand.New(rand.NewPCG(f.rand.Uint64(), 1))
	var taken atomic.Int64
	var feeder sync.WaitGroup
	feeder.Go(func() {
		for ctx.Err() == nil {
			values := make([]string, 1+r.IntN(200))
			for i := range values {
				values[i] = f.value(r)
			}
			// What fails may be in the log or not: both servers read the same one.
			topic := "events"
			if r.IntN(3) == 0 {
				topic = "marks"
			}
			if produceLines(ctx, c, topic, r.IntN(faultPartitions), "", []byte(strings.Join(values, "\n"))) == nil {
				taken.Add(1)
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	<-time.After(long)
	testenv.Succeeds(t, "the load gets going", func() error {
		if n := taken.Load(); n < least {
			return fmt.Errorf("%d batches were taken", n)
		}
		return nil
	})
	f.server.Kill()
	cancel()
	feeder.Wait()
}

func produceLines(ctx context.Context, c *client, topic string, partition int, key string, lines []byte) error {
	q := url.Values{"partition": {strconv.Itoa(partition)}}
	if key != "" {
		q.Set("idempotency_key", key)
	}
	_, err := c.call(ctx, request{method: http.MethodPost, path: "/broker/topics/" + topic + "/produce-ndjson", query: q, body: lines})
	return err
}

// awaitOutput waits until all queries have worked on the whole log, and what they have
// put out is in the topics. It gives up when nothing has moved for a while.
func awaitOutput(t *testing.T, c *client) {
	t.Helper()
	for _, q := range outputQueries() {
		var now standing
		moved := func() int64 { return now.written() + now.Rows.In }
		for last := int64(-1); ; last = moved() {
			done := false
			testenv.Succeeds(t, q.name+" gets on", func() (err error) {
				if now, _, err = c.query(t.Context(), q.name); err != nil {
					return err
				}
				written := now.Rows.Out + now.Rows.Dead + now.Rows.Late
				done = now.lag() == 0 && len(now.Partitions) == q.partitions() && moved() == now.Rows.In+written
				if !done && moved() == last {
					err = fmt.Errorf("it is %s (%v), lag %d, with %s, sinks %+v", now.State, now.Error, now.lag(), now.Rows, now.Sinks)
				}
				return err
			})
			if done {
				break
			}
		}
	}
}

// copyTopic produces a topic of one server again on another one, in turn from each
// partition.
func copyTopic(t *testing.T, from, to *client, topic string) {
	t.Helper()
	var readers []*topicReader
	for p := range faultPartitions {
		readers = append(readers, newTopicReader(from, topic, p))
	}
	for copied := true; copied; {
		copied = false
		for p, r := range readers {
			var lines bytes.Buffer
			for range consumePage {
				var m struct{ Value string }
				text := r.next(t)
				if text == nil {
					break
				}
				if err := json.Unmarshal(text, &m); err != nil {
					t.Fatal(err)
				}
				lines.WriteString(m.Value + "\n")
			}
			if lines.Len() > 0 {
				copied = true
				key := strconv.FormatInt(r.partitionReader.next, 10)
				testenv.Succeeds(t, "a copy", func() error { return produceLines(t.Context(), to, topic, p, key, lines.Bytes()) })
			}
		}
	}
}

// topicReader reads a partition record by record.
type topicReader struct {
	partitionReader
	page []json.RawMessage
}

func newTopicReader(c *client, topic string, partition int) *topicReader {
	return &topicReader{partitionReader: partitionReader{client: c, consumption: consumption{topic: topic}, partition: partition}}
}

// next is the next record as the server shows it, with its offset, nil behind the last.
func (r *topicReader) next(t *testing.T) json.RawMessage {
	t.Helper()
	if len(r.page) == 0 {
		page, err := r.read(t.Context(), consumePage)
		if err != nil {
			t.Fatal(err)
		}
		if r.page = page.Messages; len(r.page) == 0 {
			return nil
		}
	}
	first := r.page[0]
	r.page = r.page[1:]
	return first
}

// sameTopic compares a topic of two servers: offsets, keys and values; or, mixed, the
// values in any order: both sides of a join write to one partition.
func sameTopic(t *testing.T, a, b *client, topic string, mixed bool) {
	t.Helper()
	for p := range faultPartitions {
		x, y := newTopicReader(a, topic, p), newTopicReader(b, topic, p)
		if mixed {
			if got, want := x.values(t), y.values(t); !slices.Equal(got, want) {
				t.Errorf("%s/%d has %d rows that are not the %d without kills", topic, p, len(got), len(want))
			}
			continue
		}
		for {
			got, want := x.next(t), y.next(t)
			if !bytes.Equal(got, want) {
				t.Errorf("%s/%d has %s, and without kills %s", topic, p, got, want)
				break
			}
			if got == nil {
				break
			}
		}
	}
}

// sameSpace compares a namespace of two servers, as soon as the last changes are in it.
func sameSpace(t *testing.T, a, b *client, namespace string) {
	t.Helper()
	testenv.Succeeds(t, "namespace "+namespace, func() error {
		got, want := spaceOf(t, a, namespace), spaceOf(t, b, namespace)
		for key := range want {
			if got[key] != want[key] {
				return fmt.Errorf("%s is %s, and without kills %s", key, got[key], want[key])
			}
		}
		if len(got) != len(want) || len(want) == 0 {
			return fmt.Errorf("there are %d keys, and without kills %d", len(got), len(want))
		}
		return nil
	})
}

func spaceOf(t *testing.T, c *client, namespace string) map[string]string {
	t.Helper()
	page, err := c.keys(t.Context(), keyRange{namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, text := range page.Keys {
		var key struct{ Key string }
		if err := readAnswer(text, &key); err != nil {
			t.Fatal(err)
		}
		body, err := c.get(t.Context(), route("kv", namespace, key.Key), nil)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct{ Value []byte }
		if err := readAnswer(body, &doc); err != nil {
			t.Fatal(err)
		}
		values[key.Key] = string(doc.Value)
	}
	return values
}

// values are those of all records, sorted.
func (r *topicReader) values(t *testing.T) (list []string) {
	t.Helper()
	for text := r.next(t); text != nil; text = r.next(t) {
		var m struct{ Value string }
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		list = append(list, m.Value)
	}
	slices.Sort(list)
	return list
}
