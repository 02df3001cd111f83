package queries

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"leat/codecs"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
	"leat/log"
	"leat/queries/fakebus"
)

// groupedLog writes rows of random groups and windows into a result log, numbered from
// first on, and returns for each row its group and the start of its window.
func groupedLog(t *testing.T, b *fakebus.Bus, r *rand.Rand, first, rows, groups int) (of []int, starts []int64) {
	t.Helper()
	topic := resultsTopic("v")
	if _, ok := b.Topic(topic); !ok {
		if _, err := b.CreateInternal(t.Context(), topic, fakebus.DataShard); err != nil {
			t.Fatal(err)
		}
	}
	var block blockOf
	for i := range rows {
		of = append(of, r.IntN(groups))
		starts = append(starts, int64(i/100*10+r.IntN(3)*10)) // forwards on the whole
		key := append(route(nil, -1), codecs.AppendKey(nil, codecs.IntValue(starts[i]))...)
		block.Add(codecs.AppendKey(key, codecs.IntValue(int64(of[i]))), fmt.Appendf(nil, `{"row":%d}`, first+i))
	}
	block.commit(t, b, topic)
	return of, starts
}

// TestViewFindsTheLastRow holds the index against a search by eye, also where it has
// forgotten most of what it read, and where groups share a hash.
func TestViewFindsTheLastRow(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	const groups = 300
	b := fakebus.New()
	of, starts := groupedLog(t, b, r, 0, 10_000, groups)
	index := newViewIndex(b, resultsTopic("v"))
	small := newViewIndex(b, resultsTopic("v"))
	small.most = 20
	clash := newViewIndex(b, resultsTopic("v"))
	exact := clash.hash
	clash.hash = func(group []byte) uint64 { return exact(group) % 7 }
	for range 400 {
		if r.IntN(50) == 0 {
			more, at := groupedLog(t, b, r, len(of), r.IntN(300), groups)
			of, starts = append(of, more...), append(starts, at...)
		}
		group, start := r.IntN(groups+10), (*int64)(nil)
		if r.IntN(2) == 0 {
			start = new(int64)
			*start = int64(r.IntN(len(starts)/100+4) * 10)
		}
		want := -1
		for i := range of {
			if of[i] == group && (start == nil || starts[i] == *start) {
				want = i
			}
		}
		key := codecs.AppendKey(nil, codecs.IntValue(int64(group)))
		for i, v := range []*viewIndex{index, small, clash} {
			row, found, err := v.find(t.Context(), [][]byte{key}, start)
			if err != nil {
				t.Fatal(err)
			}
			if found != (want >= 0) || found && string(row) != fmt.Sprintf(`{"row":%d}`, want) {
				t.Fatalf("index %d, group %d, window %v: got %s, want row %d", i, group, start, row, want)
			}
		}
	}
	if len(small.latest) > small.most || small.floor == 0 {
		t.Errorf("the small index holds %d groups, from offset %d", len(small.latest), small.floor)
	}
}

// TestViewEndsWithItsCaller: what was read is kept for the next one.
func TestViewEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	b := fakebus.New()
	groupedLog(t, b, rand.New(rand.NewPCG(1, 1)), 0, 10, 2)
	v := newViewIndex(b, resultsTopic("v"))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	key := codecs.AppendKey(nil, codecs.IntValue(1))
	if _, _, err := v.find(over, [][]byte{key}, nil); fault.As(err) == nil || fault.As(err).Code != "view_behind" {
		t.Errorf("got %v", err)
	}
	if _, found, err := v.find(t.Context(), [][]byte{key}, nil); err != nil || !found {
		t.Errorf("found %v, %v", found, err)
	}
}

func (m *managed) view(windowStart int64, keys ...string) string {
	m.t.Helper()
	var start *int64
	if windowStart >= 0 {
		start = &windowStart
	}
	row, err := m.View(context.Background(), "q", keys, start)
	if f := fault.As(err); f != nil {
		return f.Code
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return string(row)
}

// TestViewOfARunningQuery: by key and by window, with a sink beside it, over a restart
// of the process and one of the query.
func TestViewOfARunningQuery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`, `{"t":2,"k":"b"}`, `{"t":12,"k":"a"}`, `{"t":31,"k":"b"}`})
		m := sinkManager(t, b, b.Sinks(), "one")
		if got := m.view(-1, "a"); got != "unknown_query" {
			t.Errorf("without the query: %s", got)
		}
		m.create(strings.Replace(liveSpec, `"group_by"`, `"sink":{"topic":"out","key":"k"},"group_by"`, 1))
		row := func(k string, start int) string {
			return fmt.Sprintf(`{"k":%q,"n":1,"window_start":%d,"window_end":%d}`, k, start, start+10)
		}
		check := func(m *managed) {
			t.Helper()
			synctest.Wait()
			for _, c := range []struct {
				start int64
				keys  []string
				want  string
			}{
				{-1, []string{"a"}, row("a", 10)}, {0, []string{"a"}, row("a", 0)}, {10, []string{"a"}, row("a", 10)},
				{-1, []string{"b"}, row("b", 0)}, {10, []string{"b"}, "not_found"}, {-1, []string{"c"}, "not_found"},
				{5, []string{"a"}, "not_found"}, {-1, []string{`"a"`}, row("a", 10)},
				{-1, nil, "invalid_parameter"}, {-1, []string{"a", "b"}, "invalid_parameter"},
			} {
				if got := m.view(c.start, c.keys...); got != c.want {
					t.Errorf("%v, window %d: %s, want %s", c.keys, c.start, got, c.want)
				}
			}
		}
		check(m)
		m.stop()
		m = sinkManager(t, b, b.Sinks(), "two")
		check(m)
		m.must(m.Restart)
		check(m)
		appendRows(t, b, 0, `{"t":45,"k":"b"}`)
		synctest.Wait()
		if got := m.view(-1, "b"); got != row("b", 30) {
			t.Errorf("after more rows: %s", got)
		}
		wantRows(t, "out", records(t, b, "out", 0)[:1], "a="+row("a", 0))
		m.must(m.Delete)
		if len(m.views.list) != 0 {
			t.Error("the index of a deleted query is kept")
		}
		m.stop()
	})
}

// TestViewKeys: what a text in an address means.
func TestViewKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{
			`{"t":1,"k":5,"j":"x"}`, `{"t":1,"k":"5","j":"x"}`, `{"t":1,"k":"6","j":"x"}`, `{"t":1,"k":null,"j":true}`,
			`{"t":1,"k":"null","j":"x"}`, `{"t":1,"k":{"b":1,"a":2},"j":"x"}`, `{"t":1,"k":"","j":"a b/c"}`, `{"t":1,"k":7.5,"j":"8"}`, `{"t":99}`,
		})
		m := startManager(t, b, "one")
		m.create(strings.Replace(liveSpec, `["k"]`, `["k","j"]`, 1))
		for _, c := range []struct{ k, j, want string }{
			{"5", "x", `"k":5,`}, {`"5"`, "x", `"k":"5",`}, {"6", "x", `"k":"6",`}, {"5.0", `"x"`, `"k":5,`},
			{"null", "true", `"k":null,`}, {"null", "x", `"k":"null",`}, {`{"a":2,"b":1.0}`, "x", `"k":{"a":2,"b":1},`},
			{"", "a b/c", `"k":"",`}, {"7.50", "8", `"k":7.5,`}, {"6", `"true"`, "not_found"},
		} {
			if got := m.view(-1, c.k, c.j); !strings.Contains(got, c.want) {
				t.Errorf("%s, %s: %s, want %s", c.k, c.j, got, c.want)
			}
		}
		m.must(m.Delete)
		m.create(`{"name":"q","source":{"topic":"in"},"filter":"t > 0"}`)
		if got := m.view(-1); got != "not_grouped" {
			t.Errorf("without groups: %s", got)
		}
		m.must(m.Delete)
		m.create(strings.Replace(liveSpec, `"group_by":["k"],`, "", 1))
		if got := m.view(0); got != `{"n":8,"window_start":0,"window_end":10}` {
			t.Errorf("of all rows: %s", got)
		}
		m.must(m.Delete)
		m.create(strings.Replace(liveSpec, `"tumbling"`, `"session"`, 1))
		if got := m.view(1, "6"); got != `{"k":"6","n":1,"window_start":1,"window_end":11}` {
			t.Errorf("of a session: %s", got)
		}
		m.stop()
	})
	if _, err := groupKeys(slices.Repeat([]string{"1"}, maxAmbiguousKeys+1)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("too many ways to read a key: %v", err)
	}
}

// FuzzViewKeys: in quotes a text is that string and nothing else; without them it also
// is, unless it is a string in quotes.
func FuzzViewKeys(f *testing.F) {
	for _, seed := range []string{"", "JFK", "5", "-0.0", "1e400", "null", `"a"`, `{"a":[1]}`, " true ", "\xff", `"\ud800"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := groupKeys([]string{text})
		if err != nil || len(keys) < 1 || len(keys) > 2 {
			t.Fatalf("%q: %d keys, %v", text, len(keys), err)
		}
		for _, key := range keys {
			if _, rest, err := codecs.DecodeKey(key); err != nil || len(rest) != 0 {
				t.Fatalf("%q: key %x: %v", text, key, err)
			}
		}
		quoted := codecs.AppendJSONString(nil, text)
		if !utf8.ValidString(text) {
			return
		}
		exact, err := groupKeys([]string{string(quoted)})
		if want := codecs.AppendKey(nil, codecs.StringValue(text)); err != nil || len(exact) != 1 || !bytes.Equal(exact[0], want) {
			t.Fatalf("%q in quotes: %x, %v", text, exact, err)
		} else if !bytes.Equal(keys[len(keys)-1], want) && !strings.Contains(text, `"`) {
			t.Fatalf("%q is not found as a string", text)
		}
	})
}

// TestViewsAreFew: the index of the query that was looked at longest ago goes first.
func TestViewsAreFew(t *testing.T) {
	t.Parallel()
	var v views
	b := fakebus.New()
	first := v.of(b, "0")
	for i := range maxViews {
		if v.of(b, "0") != first {
			t.Fatal("the index in use was dropped")
		}
		v.of(b, fmt.Sprint(i+1))
	}
	if len(v.list) != maxViews || v.of(b, "0") != first {
		t.Errorf("%d indexes", len(v.list))
	}
	for i := range maxViews {
		v.of(b, fmt.Sprint(i+1))
	}
	if v.of(b, "0") == first {
		t.Error("an index is never dropped")
	}
}

// BenchmarkView finds groups among a million rows, with the index made.
func BenchmarkView(b *testing.B) {
	bus := fakebus.New()
	topic := resultsTopic("v")
	if _, err := bus.CreateInternal(b.Context(), topic, fakebus.DataShard); err != nil {
		b.Fatal(err)
	}
	const rows, groups = 1 << 20, 1 << 16
	for n := 0; n < rows; {
		var block blockOf
		for range 4096 {
			key := append(route(nil, -1), codecs.AppendKey(nil, codecs.IntValue(int64(n/groups)))...)
			block.Add(codecs.AppendKey(key, codecs.StringValue(fmt.Sprint("key", n%groups))), json.RawMessage(`{"k":"abcdefgh","n":123,"window_start":0,"window_end":10}`))
			n++
		}
		block.commit(b, bus, topic)
	}
	index := newViewIndex(bus, topic)
	if err := index.follow(b.Context()); err != nil {
		b.Fatal(err)
	}
	start := int64(rows / groups / 2)
	for name, window := range map[string]*int64{"latest": nil, "window": &start} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				key := codecs.AppendKey(nil, codecs.StringValue(fmt.Sprint("key", i*7919%groups)))
				if _, found, err := index.find(b.Context(), [][]byte{key}, window); !found || err != nil {
					b.Fatal(found, err)
				}
			}
		})
	}
	b.Run("build", func(b *testing.B) {
		for b.Loop() {
			if err := newViewIndex(bus, topic).follow(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
	})
}

// blockOf is a block that a test commits by itself.
type blockOf struct{ log.Block }

func (l *blockOf) commit(t testing.TB, b *fakebus.Bus, topic string) {
	t.Helper()
	if l.Count == 0 {
		return
	}
	_, err := b.Transact(t.Context(), bus.Txn{Shard: fakebus.DataShard, Appends: []bus.Append{{Topic: topic, Block: l.Block}}})
	if err != nil {
		t.Fatal(err)
	}
}
