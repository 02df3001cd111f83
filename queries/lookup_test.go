package queries

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/queries/fakebus"
)

// airports are the namespace "airports" of the tests here.
func airports() *fakebus.Values {
	v := &fakebus.Values{}
	v.Put("airports", "JFK", `{"name":"Kennedy","size":3,"at":{"lat":40.5}}`)
	v.Put("airports", "EWR", `{"name":"Newark","size":2}`)
	v.Put("airports", "LGA", ` "LaGuardia" `)
	v.Put("airports", "NIL", `null`)
	v.Put("airports", "BAD", `{"name":`)
	v.Put("airports", "TWO", `1,"v":2`)
	v.Put("airports", "17", `{"name":"seventeen"}`)
	v.Put("airports", "true", `{"name":"truth"}`)
	v.Put("others", "JFK", `{"name":"another"}`)
	return v
}

func lookupTrial(t testing.TB, b *fakebus.Bus, v *fakebus.Values, spec string, o RunOptions) Trial {
	t.Helper()
	c := trialConfig(b, compilePlan(t, b, spec), o)
	c.Values = v
	got, err := RunTrial(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := got.Rows; r.In != r.Used+r.Filtered+r.Late+r.DeadLettered {
		t.Errorf("rows %+v do not add up", r)
	}
	return got
}

const lookupSource = `{"name":"q","source":{"topic":"in","event_time":"t","until":"end"},"lookup":{"kv":"airports","key":"o","as":"airport"`

// TestLookup: a key finds what it holds, in whatever form keys are equal, and rows
// without go or stay; the filter, the groups and the aggregates see what was found.
func TestLookup(t *testing.T) {
	t.Parallel()
	rows := []string{
		`{"t":1,"o":"JFK"}`, `{"t":2,"o":"LGA"}`, `{"t":3,"o":"nowhere"}`, `{"t":4,"o":null}`, `{"t":5}`,
		`{"t":6,"o":17.0}`, `{"t":7,"o":"17"}`, `{"t":8,"o":true}`, `{"t":9,"o":"NIL"}`,
	}
	for _, c := range []struct {
		name, rest string
		want       []string
		counts     RowCounts
	}{
		{"inner", `},"select":{"t":"t","name":"airport.name","lat":"airport.at.lat","has":"has(airport)"}`, []string{
			`{"t":1,"name":"Kennedy","lat":40.5,"has":true}`, `{"t":2,"name":null,"lat":null,"has":true}`,
			`{"t":6,"name":"seventeen","lat":null,"has":true}`, `{"t":7,"name":"seventeen","lat":null,"has":true}`,
			`{"t":8,"name":"truth","lat":null,"has":true}`, `{"t":9,"name":null,"lat":null,"has":true}`,
		}, RowCounts{In: 9, Used: 6, Filtered: 3, Out: 6}},
		{"left", `,"type":"left"},"select":{"t":"t","airport":"airport","has":"has(airport)"}`, []string{
			`{"t":1,"airport":{"name":"Kennedy","size":3,"at":{"lat":40.5}},"has":true}`, `{"t":2,"airport":"LaGuardia","has":true}`,
			`{"t":3,"airport":null,"has":false}`, `{"t":4,"airport":null,"has":false}`, `{"t":5,"airport":null,"has":false}`,
			`{"t":6,"airport":{"name":"seventeen"},"has":true}`, `{"t":7,"airport":{"name":"seventeen"},"has":true}`,
			`{"t":8,"airport":{"name":"truth"},"has":true}`, `{"t":9,"airport":null,"has":true}`,
		}, RowCounts{In: 9, Used: 9, Out: 9}},
		{"filter", `,"type":"left"},"filter":"airport.size >= 3 or not has(airport) and t == 4","select":{"t":"t"}`, []string{
			`{"t":1}`, `{"t":4}`,
		}, RowCounts{In: 9, Used: 2, Filtered: 7, Out: 2}},
		{"nothing of the value", `},"select":{"t":"t"}`, []string{
			`{"t":1}`, `{"t":2}`, `{"t":6}`, `{"t":7}`, `{"t":8}`, `{"t":9}`,
		}, RowCounts{In: 9, Used: 6, Filtered: 3, Out: 6}},
		{"whole records", `}`, []string{
			`{"t":1,"o":"JFK","airport":{"name":"Kennedy","size":3,"at":{"lat":40.5}}}`, `{"t":2,"o":"LGA","airport":"LaGuardia"}`,
			`{"t":6,"o":17.0,"airport":{"name":"seventeen"}}`, `{"t":7,"o":"17","airport":{"name":"seventeen"}}`,
			`{"t":8,"o":true,"airport":{"name":"truth"}}`, `{"t":9,"o":"NIL","airport":null}`,
		}, RowCounts{In: 9, Used: 6, Filtered: 3, Out: 6}},
		{"windows", `,"type":"left"},"group_by":["airport.name"],"window":{"tumbling":100},
			"aggregate":[{"fn":"count","as":"n"},{"fn":"sum","field":"airport.size","as":"s"},{"fn":"count","as":"f","filter":"airport.size == 3"},{"fn":"max_by","field":"t","by":"airport.size","as":"m"}]`, []string{
			`{"airport.name":null,"n":5,"s":null,"f":0,"m":null,"window_start":0,"window_end":100}`,
			`{"airport.name":"Kennedy","n":1,"s":3,"f":1,"m":1,"window_start":0,"window_end":100}`,
			`{"airport.name":"seventeen","n":2,"s":null,"f":0,"m":null,"window_start":0,"window_end":100}`,
			`{"airport.name":"truth","n":1,"s":null,"f":0,"m":null,"window_start":0,"window_end":100}`,
		}, RowCounts{In: 9, Used: 9, Out: 4}},
	} {
		for _, o := range []RunOptions{{}, {BatchRows: 1, EpochRows: 2}, {BatchRows: 3, Workers: 1}} {
			got := lookupTrial(t, newBus(t, rows), airports(), lookupSource+c.rest+"}", o)
			wantRows(t, c.name, got.Results, c.want...)
			if got.Rows != c.counts {
				t.Errorf("%s: rows %+v, want %+v", c.name, got.Rows, c.counts)
			}
		}
	}
}

// TestLookupOwnMember: where rows are whole records, what is looked up takes the place
// of a member of that name, and expressions see it and not the record's own.
func TestLookupOwnMember(t *testing.T) {
	t.Parallel()
	got := lookupTrial(t, newBus(t, []string{`{ "airport" : [1, {"airport":2}] , "o":"JFK","t":1, "airpor\u0074":5, "z":{"airport": 1}}`, `{"t":2,"o":"EWR","airport":{"size":7}}`}),
		airports(), lookupSource+`},"filter":"airport.size < 7"}`, RunOptions{})
	wantRows(t, "results", got.Results,
		`{"o":"JFK","t":1,"z":{"airport":1},"airport":{"name":"Kennedy","size":3,"at":{"lat":40.5}}}`,
		`{"t":2,"o":"EWR","airport":{"name":"Newark","size":2}}`)
}

// TestLookupDeadLetters: a key that cannot be computed or is none, and a value that is
// not JSON, make the row a dead letter of the lookup.
func TestLookupDeadLetters(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{`{"t":1,"o":"BAD"}`, `{"t":2,"o":"JFK"}`, `{"t":3,"o":{"x":1}}`, `{"t":4,"o":[1]}`, `{"t":5,"o":"TWO"}`, `{"t":6,"o":"` + strings.Repeat("x", 100_000) + `"}`})
	got := lookupTrial(t, b, airports(), lookupSource+`,"type":"left"},"select":{"t":"t"}}`, RunOptions{})
	wantRows(t, "results", got.Results, `{"t":2}`, `{"t":6}`)
	reasons := []string{}
	for _, l := range got.DeadLetters {
		_, reason, _ := strings.Cut(string(l), `"operator":"lookup","reason":"`)
		reason, _, _ = strings.Cut(reason, `","value_b64"`)
		reasons = append(reasons, reason)
	}
	wantRows(t, "reasons", reasons,
		`the value of key \"BAD\" in namespace \"airports\": not valid JSON at offset 8: the text ends where a value is expected`,
		`the key to look up is object: it has to be a string, a number or a bool`,
		`the key to look up is array: it has to be a string, a number or a bool`,
		`the value of key \"TWO\" in namespace \"airports\": not valid JSON at offset 1: ',' where the end is expected`)
	got = lookupTrial(t, newBus(t, []string{`{"t":1,"o":1}`, `{"t":2,"o":"JFK"}`, `{"t":3,"o":"JFKx"}`}), airports(),
		strings.Replace(lookupSource, `"key":"o"`, `"key":"o[0:3]"`, 1)+`},"select":{"t":"t"}}`, RunOptions{})
	wantRows(t, "results", got.Results, `{"t":2}`, `{"t":3}`)
	if len(got.DeadLetters) != 1 {
		t.Errorf("dead letters %s", got.DeadLetters)
	}
}

// TestLookupBehindJoin: behind a join the key is of the joined row; joined rows without
// are dropped like those that a filter drops.
func TestLookupBehindJoin(t *testing.T) {
	t.Parallel()
	sides := `"join":{"type":"full","on":[["k","k"]],"window":{"tumbling":10},
		"left":{"topic":"in","event_time":"t","until":"end"},"right":{"topic":"other","event_time":"t","until":"end"}}`
	bus := func() *fakebus.Bus {
		b := newBus(t, []string{`{"t":1,"k":1,"o":"JFK"}`, `{"t":2,"k":2,"o":"nowhere"}`, `{"t":3,"k":3,"o":"BAD"}`, `{"t":12,"k":1,"o":"EWR"}`})
		if err := b.CreateTopic("other", 2); err != nil {
			t.Fatal(err)
		}
		if err := b.Append("other", 1, []byte(`{"t":5,"k":1}`), []byte(`{"t":6,"k":7}`)); err != nil {
			t.Fatal(err)
		}
		return b
	}
	const key = `"key":"left.o","as":"airport"`
	got := lookupTrial(t, bus(), airports(), `{"name":"q",`+sides+`,"lookup":{"kv":"airports",`+key+`},"filter":"airport.size > 0",
		"select":{"k":"left.k","right":"right.t","name":"airport.name"}}`, RunOptions{})
	wantRows(t, "inner", got.Results, `{"k":1,"right":5,"name":"Kennedy"}`, `{"k":1,"right":null,"name":"Newark"}`)
	if got.Rows != (RowCounts{In: 6, Used: 6, Out: 2, FailedPanes: 1}) {
		t.Errorf("rows %+v", got.Rows)
	}
	got = lookupTrial(t, bus(), airports(), `{"name":"q",`+sides+`,"lookup":{"kv":"airports",`+key+`,"type":"left"}}`, RunOptions{})
	wantRows(t, "left", got.Results,
		`{"left":{"t":2,"k":2,"o":"nowhere"},"right":null,"window_start":0,"window_end":10,"airport":null}`,
		`{"left":{"t":1,"k":1,"o":"JFK"},"right":{"t":5,"k":1},"window_start":0,"window_end":10,"airport":{"name":"Kennedy","size":3,"at":{"lat":40.5}}}`,
		`{"left":null,"right":{"t":6,"k":7},"window_start":0,"window_end":10,"airport":null}`,
		`{"left":{"t":12,"k":1,"o":"EWR"},"right":null,"window_start":10,"window_end":20,"airport":{"name":"Newark","size":2}}`)
	got = lookupTrial(t, bus(), airports(), `{"name":"q",`+sides+`,"lookup":{"kv":"airports",`+key+`,"type":"left"},
		"group_by":["airport.name"],"window":{"tumbling":20},"aggregate":{"n":"count()","s":"sum(airport.size)"}}`, RunOptions{})
	wantRows(t, "grouped", got.Results,
		`{"airport.name":null,"n":2,"s":null,"window_start":0,"window_end":20}`,
		`{"airport.name":"Kennedy","n":1,"s":3,"window_start":0,"window_end":20}`,
		`{"airport.name":"Newark","n":1,"s":2,"window_start":0,"window_end":20}`)
}

// TestLookupIsNotTimeOrLateness: which windows close and which rows are late is decided
// by event times alone: a row that is dropped for want of a value moves them.
func TestLookupIsNotTimeOrLateness(t *testing.T) {
	t.Parallel()
	rows := []string{`{"t":1,"o":"JFK"}`, `{"t":100,"o":"nowhere"}`, `{"t":5,"o":"JFK"}`, `{"t":6,"o":"nowhere"}`}
	got := lookupTrial(t, newBus(t, rows), airports(), lookupSource+`},"window":{"tumbling":10},"aggregate":{"n":"count()"}}`, RunOptions{})
	wantRows(t, "results", got.Results, `{"n":1,"window_start":0,"window_end":10}`)
	if want := (RowCounts{In: 4, Used: 1, Filtered: 2, Late: 1, Out: 1}); got.Rows != want {
		t.Errorf("rows %+v, want %+v", got.Rows, want)
	}
}

// TestLookupIsFresh: what had been written before a batch was read is seen by its rows;
// a batch sees one value of a key; what is remembered is dropped when it changes.
func TestLookupIsFresh(t *testing.T) {
	t.Parallel()
	v := airports()
	b := newBus(t, []string{`{"o":"x"}`, `{"o":"x"}`, `{"o":"x"}`, `{"o":"x"}`, `{"o":"x"}`, `{"o":"x"}`, `{"o":"x"}`})
	v.Interfere(func(call int) {
		switch call {
		case 1, 2:
			v.Put("airports", "x", fmt.Sprint(call))
		case 3:
			v.Delete("airports", "x")
		}
	})
	got := lookupTrial(t, b, v, `{"name":"q","source":{"topic":"in","until":"end"},"lookup":{"kv":"airports","key":"o","as":"n","type":"left"},"select":{"n":"n"}}`,
		RunOptions{BatchRows: 2})
	wantRows(t, "results", got.Results, `{"n":null}`, `{"n":null}`, `{"n":1}`, `{"n":1}`, `{"n":2}`, `{"n":2}`, `{"n":null}`)
	if fresh, value := v.Calls(); fresh != 4 || value != 4 {
		t.Errorf("asked %d times to be fresh and %d times for a value: once each for a batch and a key", fresh, value)
	}
}

// TestLookupReadsEachKeyOnce holds down what a batch costs: one Fresh, and one Value for
// each key in it, however many rows there are.
func TestLookupReadsEachKeyOnce(t *testing.T) {
	t.Parallel()
	rows := make([]string, 4096)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"o":%q}`, []string{"JFK", "EWR", "nowhere"}[i%3])
	}
	v := airports()
	got := lookupTrial(t, newBus(t, rows), v, `{"name":"q","source":{"topic":"in","until":"end"},"lookup":{"kv":"airports","key":"o","as":"a"},"select":{"n":"a.name"}}`, RunOptions{})
	if fresh, value := v.Calls(); fresh != 1 || value != 3 || got.Rows.Out != 2731 {
		t.Errorf("%d rows asked %d times to be fresh and for %d values", got.Rows.Out, fresh, value)
	}
}

// TestLookupWithoutLeader: a namespace without a leader holds the query up, and nothing
// is dropped or taken for absent.
func TestLookupWithoutLeader(t *testing.T) {
	t.Parallel()
	v := airports()
	b := newBus(t, []string{`{"o":"JFK"}`, `{"o":"EWR"}`})
	c := trialConfig(b, compilePlan(t, b, `{"name":"q","source":{"topic":"in","until":"end"},"lookup":{"kv":"airports","key":"o","as":"a"},"select":{"n":"a.name"}}`), RunOptions{})
	c.Values = v
	v.Lead(false)
	tries := 0
	got, err := RunTrial(t.Context(), c, func(err error) bool {
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), `namespace "airports"`) {
			t.Errorf("it fails with %v", err)
		}
		tries++
		v.Lead(tries == 3)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, "results", got.Results, `{"n":"Kennedy"}`, `{"n":"Newark"}`)
	if got.Rows != (RowCounts{In: 2, Used: 2, Out: 2}) {
		t.Errorf("rows %+v", got.Rows)
	}
}

// TestLookupOfWhatChanges: while values change all the time and each transaction may be
// lost, delayed or the last one of its job, every row is put out once, with a value that
// its key had while the query ran; what has been committed stays; and what windows hold
// of values is what was read when their rows were taken, once for each row.
func TestLookupOfWhatChanges(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 7))
		logs := make([][]string, 1+random.IntN(3))
		total := 0
		for p := range logs {
			for i := range 40 + random.IntN(60) {
				logs[p] = append(logs[p], fmt.Sprintf(`{"t":%d,"id":"%d/%d","o":"k%d"}`, i, p, i, random.IntN(4)))
			}
			total += len(logs[p])
		}
		b, v := newBus(t, logs...), &fakebus.Values{}
		change := func(call int) {
			for k := range 4 {
				v.Put("ns", fmt.Sprint("k", k), fmt.Sprintf(`{"n":%d,"one":1}`, call))
			}
		}
		change(0)
		v.Interfere(change)
		left := 10
		b.Interfere(func(int, bus.Txn) fakebus.Outcome {
			if left == 0 || random.IntN(4) > 0 {
				return fakebus.Pass
			}
			left--
			return 1 + fakebus.Outcome(random.IntN(int(fakebus.KillDelayed)))
		})
		rest := `"select":{"id":"id","n":"v.n"}}`
		if seed%2 == 1 {
			rest = `"window":{"tumbling":1000},"aggregate":{"n":"count()","ones":"sum(v.one)","ids":"count_distinct(id)","low":"min(v.n)"}}`
		}
		c := trialConfig(b, compilePlan(t, b, `{"name":"q","source":{"topic":"in","event_time":"t","until":"end"},"lookup":{"kv":"ns","key":"o","as":"v"},`+rest), RunOptions{
			BatchRows: 1 + random.IntN(20), EpochRows: 1 + random.IntN(40), FixedEpochs: true, Workers: 1,
		})
		c.Values = v
		committed := []string{}
		got, err := RunTrial(t.Context(), c, func(error) bool {
			rows, err := readLog(b, resultsTopic("q1"), 0, maxRows)
			if err == nil && !slices.Equal(stringsOf(rows.Rows)[:len(committed)], committed) {
				t.Errorf("seed %d: rows that had been committed changed", seed)
			}
			committed = stringsOf(rows.Rows)
			return true
		})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if want := int64(total); got.Rows.In != want || got.Rows.Used != want {
			t.Errorf("seed %d: rows %+v of %d", seed, got.Rows, want)
		}
		if seed%2 == 1 {
			if row := string(got.Results[0]); len(got.Results) != 1 || !strings.HasPrefix(row, fmt.Sprintf(`{"n":%d,"ones":%d,"ids":%d,"low":`, total, total, total)) {
				t.Errorf("seed %d: %s of %d rows", seed, row, total)
			}
			continue
		}
		seen := map[string]bool{}
		for _, row := range got.Results {
			id, _, _ := strings.Cut(string(row), `,"n":`)
			if seen[id] || strings.HasSuffix(string(row), "null}") {
				t.Errorf("seed %d: %s, twice or without a value", seed, row)
			}
			seen[id] = true
		}
		if len(seen) != total {
			t.Errorf("seed %d: %d rows of %d", seed, len(seen), total)
		}
	}
}

// TestLookupForgets: what is remembered of values has a bound.
func TestLookupForgets(t *testing.T) {
	t.Parallel()
	v := &fakebus.Values{}
	b := newBus(t, []string{`{"o":"0"}`})
	plan := compilePlan(t, b, `{"name":"q","source":{"topic":"in"},"lookup":{"kv":"ns","key":"o","as":"v"}}`)
	table := newLookupTable(plan.Lookup, v, 10_000)
	for i := range 1000 {
		key := fmt.Sprint(i)
		v.Put("ns", key, `"`+strings.Repeat("x", 100)+key+`"`)
		table.Begin()
		if cells, err := table.Find([]byte(key)); err != nil || !strings.HasSuffix(cells[0].Str, "x"+key) {
			t.Fatalf("key %s: %v, %v", key, cells, err)
		}
		if table.bytes > 11_000 || len(table.known) > 50 {
			t.Fatalf("%d bytes of %d values are remembered", table.bytes, len(table.known))
		}
	}
}

// TestLookupBound is what Bind makes of lookups: names, columns and problems.
func TestLookupBound(t *testing.T) {
	t.Parallel()
	_, plan, _, problems := Compile(context.Background(), []byte(lookupSource+`},"filter":"airport.size > x and airport.name in [\"a\", \"b\"] and has(airport.name) and airport.name startsWith y",
		"group_by":["airport.name","z"],"window":{"tumbling":5},"aggregate":[{"fn":"sum","field":"airport.size","filter":[{"field":"airport.b","op":"exists"}]},{"fn":"max_by","field":"w","by":"airport[\"c d\"]"}]}`), newBus(t, nil))
	if plan == nil {
		t.Fatal(problems)
	}
	fields := len(plan.Sources[0].Paths) // t o x y z w
	if got := fmt.Sprint(plan.Lookup.Columns); fields != 6 || got != "[6 7 8 9]" {
		t.Errorf("columns %s behind %d fields", got, fields)
	}
	if w := plan.Window; w.Keys[0].Column != 7 || w.Keys[1].Column != 4 {
		t.Errorf("keys are %+v", w.Keys)
	}
	if got := string(plan.JSON()); !strings.Contains(got, `{"id":"lookup","kind":"lookup","text":"o in kv airports as airport, inner","inputs":["source"],"detail":{"as":"airport","fields":["airport.size","airport.name","airport.b","airport[\"c d\"]"],"key":"o","kv":"airports","type":"inner"}}`) {
		t.Errorf("the plan is %s", got)
	}
}
