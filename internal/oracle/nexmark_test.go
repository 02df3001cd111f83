package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"leat/examples/nexmark"
	"leat/internal/bus"
	"leat/queries"
	"leat/queries/fakebus"
)

// nexmarkQueries are the specs of examples/nexmark as the oracle understands them.
func nexmarkQueries() map[string]*Query {
	bid := fieldsOf("auction", "bidder", "price", "dateTime", "extra")
	inEuros := slices.Clone(bid)
	inEuros[2].Expr = op("round", euros(), whole(3))
	perBidder := []Aggregate{{Name: "bid_count", Fn: "count"}}
	window := []Member{{"starttime", field("window_start")}, {"endtime", field("window_end")}}
	all := map[string]*Query{
		"q0": ofBids(Query{Select: bid}),
		"q1": ofBids(Query{Select: inEuros}),
		"q2": ofBids(Query{
			Filter: op("==", op("%", field("auction"), whole(123)), whole(0)), Select: fieldsOf("auction", "price"),
		}),
		"q5_counts": ofBids(Query{
			Window: 10 * second, Every: 2 * second, GroupBy: []*Expr{field("auction")},
			Aggregates: []Aggregate{{Name: "num", Fn: "count"}}, Select: slices.Concat(fieldsOf("auction", "num"), window),
		}),
		"q5": {
			Topic: "q5_counts", UntilEnd: true, EventTime: field("starttime"), Window: 2 * second,
			Aggregates: []Aggregate{
				{Name: "auction", Fn: "max_by", Arg: field("auction"), By: field("num")},
				{Name: "num", Fn: "max", Arg: field("num")}, {Name: "endtime", Fn: "max", Arg: field("endtime")},
			},
			Select: append(fieldsOf("auction", "num"), Member{"starttime", field("window_start")}, Member{"endtime", field("endtime")}),
		},
		"q7": ofBids(Query{
			Window: 10 * second,
			Aggregates: []Aggregate{
				{Name: "auction", Fn: "max_by", Arg: field("auction"), By: field("price")}, {Name: "price", Fn: "max", Arg: field("price")},
				{Name: "bidder", Fn: "max_by", Arg: field("bidder"), By: field("price")},
				{Name: "dateTime", Fn: "max_by", Arg: field("dateTime"), By: field("price")},
				{Name: "extra", Fn: "max_by", Arg: field("extra"), By: field("price")},
			},
			Select: fieldsOf("auction", "price", "bidder", "dateTime", "extra"),
		}),
		"q11": ofBids(Query{
			Window: 10 * second, Session: true, GroupBy: []*Expr{field("bidder")}, Aggregates: perBidder,
			Select: slices.Concat(fieldsOf("bidder", "bid_count"), window),
		}),
		"q12": ofBids(Query{
			Window: 10 * second, GroupBy: []*Expr{field("bidder")}, Aggregates: perBidder,
			Select: slices.Concat(fieldsOf("bidder", "bid_count"), window),
		}),
		"q14": nexmarkCalculation(inEuros),
		"q21": nexmarkChannels(),
		"q22": ofBids(Query{Select: append(fieldsOf("auction", "bidder", "price", "channel"),
			Member{"dir1", directory(3)}, Member{"dir2", directory(4)}, Member{"dir3", directory(5)},
		)}),
	}
	all["q12"].EventTime, all["q12"].OutOfOrder = nil, 0
	maps.Copy(all, nexmarkDays())
	return all
}

// ofBids completes a query that reads bids.
func ofBids(q Query) *Query {
	q.Topic, q.UntilEnd = "bid", true
	if q.Window > 0 {
		q.EventTime, q.OutOfOrder = field("dateTime"), 4*second
	}
	return &q
}

func fieldsOf(names ...string) (list []Member) {
	for _, name := range names {
		list = append(list, Member{name, field(name)})
	}
	return list
}

func whole(i int64) *Expr { return lit(ofInt(i)) }

func words(s string) *Expr { return lit(ofText(s)) }

func euros() *Expr { return op("*", lit(ofFloat(0.908)), field("price")) }

func directory(i int64) *Expr { return op("part", field("url"), words("/"), whole(i)) }

// nexmarkCalculation is q14.
func nexmarkCalculation(inEuros []Member) *Query {
	hour := op("hour", field("dateTime"))
	timeOfDay := op("?:", op("and", op(">=", hour, whole(8)), op("<=", hour, whole(18))), words("dayTime"),
		op("?:", op("or", op("<=", hour, whole(6)), op(">=", hour, whole(20))), words("nightTime"), words("otherTime")))
	row := slices.Clone(inEuros)
	row = slices.Insert(row, 3, Member{"bidTimeType", timeOfDay})
	return ofBids(Query{
		Filter: op("and", op(">", euros(), whole(1_000_000)), op("<", euros(), whole(50_000_000))),
		Select: append(row, Member{"c_counts", op("regexp_count", field("extra"), words("c"))}),
	})
}

// nexmarkChannels is q21.
func nexmarkChannels() *Query {
	channel := op("lower", field("channel"))
	inURL := op("regexp_extract", field("url"), words("(&|^)channel_id=([^&]*)"), whole(2))
	id := inURL
	known := []string{"apple", "google", "facebook", "baidu"}
	for i, name := range slices.Backward(known) {
		id = op("?:", op("==", channel, words(name)), words(fmt.Sprint(i)), id)
	}
	return ofBids(Query{
		Filter: op("or", op("notnil", inURL), op("in", channel, words(known[0]), words(known[1]), words(known[2]), words(known[3]))),
		Select: append(fieldsOf("auction", "bidder", "price", "channel"), Member{"channel_id", id}),
	})
}

// nexmarkDays are the queries that sum up days.
func nexmarkDays() map[string]*Query {
	price := field("price")
	ranks := []*Expr{
		op("<", price, whole(10_000)),
		op("and", op(">=", price, whole(10_000)), op("<", price, whole(1_000_000))),
		op(">=", price, whole(1_000_000)),
	}
	ranked := func(fn string, arg *Expr, what string) []Aggregate {
		list := []Aggregate{{Name: "total_" + what, Fn: fn, Arg: arg}}
		for i, filter := range ranks {
			list = append(list, Aggregate{Name: fmt.Sprintf("rank%d_%s", i+1, what), Fn: fn, Arg: arg, Filter: filter})
		}
		return list
	}
	bids := ranked("count", nil, "bids")
	all := slices.Concat(bids, ranked("approx_count_distinct", field("bidder"), "bidders"), ranked("approx_count_distinct", field("auction"), "auctions"))
	columns := func(aggregates []Aggregate) (list []Member) {
		for _, a := range aggregates {
			list = append(list, fieldsOf(a.Name)...)
		}
		return list
	}
	today := []Member{{"day", op("date", field("window_start"))}}
	minute := []Member{{"minute", op("slice", op("rfc3339", field("last")), whole(11), whole(16))}}
	prices := []Aggregate{
		{Name: "min_price", Fn: "min", Arg: price}, {Name: "max_price", Fn: "max", Arg: price},
		{Name: "avg_price", Fn: "avg", Arg: price}, {Name: "sum_price", Fn: "sum", Arg: price},
	}
	perAuction := slices.Concat(fieldsOf("auction"), today, columns(bids), columns(prices))
	perAuction[len(perAuction)-2].Expr = op("int", field("avg_price"))
	return map[string]*Query{
		"q15": ofBids(Query{Window: day, Aggregates: all, Select: slices.Concat(today, columns(all))}),
		"q16": ofBids(Query{
			Window: day, GroupBy: []*Expr{field("channel")}, Aggregates: append(slices.Clone(all), Aggregate{Name: "last", Fn: "max", Arg: field("dateTime")}),
			Select: slices.Concat(fieldsOf("channel"), today, minute, columns(all)),
		}),
		"q17": ofBids(Query{
			Window: day, GroupBy: []*Expr{field("auction")}, Aggregates: slices.Concat(bids, prices), Select: perAuction,
		}),
	}
}

// nexmarkBids are 5520 bids over 5 partitions from each of the times on, so many events
// to a second.
func nexmarkBids(rate int64, starts ...int64) (logs [][]Record) {
	const events, partitions = 6000, 5
	logs = make([][]Record, partitions)
	random := rand.New(rand.NewPCG(1, 2))
	for i, start := range starts {
		g := nexmark.Generator{Rate: rate, StartMs: start, Disorder: 600}
		for n := range int64(events) {
			if value, kind := g.Append(nil, n); kind == nexmark.Bid {
				p, came := random.IntN(partitions), 1_700_000_000_000+(int64(i)*events+n)/10*200
				logs[p] = append(logs[p], Record{AppendMs: came, Value: value})
			}
		}
	}
	return logs
}

// TestNexmark runs the specs of the Nexmark benchmark, with jobs that die on the way.
func TestNexmark(t *testing.T) {
	t.Parallel()
	specs, err := nexmark.Specs()
	if err != nil {
		t.Fatal(err)
	}
	all := nexmarkQueries()
	const midnight = 1_436_918_400_000
	bids := nexmarkBids(50, midnight-55*second) // some so late that no window takes them
	hours := nexmarkBids(1, midnight+13*hour/2, midnight+37*hour/2)
	if len(all) != len(specs) {
		t.Errorf("%d specs, %d of which the oracle knows", len(specs), len(all))
	}
	for _, spec := range specs {
		q := all[spec.Name]
		if q == nil {
			t.Errorf("the oracle does not know %s", spec.Name)
			continue
		}
		logs := bids
		if spec.Name == "q14" { // it asks for the time of day
			logs = hours
		}
		if spec.Name == "q5" {
			logs = make([][]Record, 3)
			for i, row := range Evaluate(&Case{Query: all["q5_counts"], Logs: bids}).Rows {
				p := i * i % 3
				logs[p] = append(logs[p], Record{Value: []byte(row)})
			}
		}
		t.Run(spec.Name, func(t *testing.T) {
			t.Parallel()
			c := &Case{Query: q, Logs: logs}
			want := Evaluate(c)
			windowed := q.Window > 0 && q.EventTime != nil && q.OutOfOrder > 0
			if want.Counts.Out < 2 || want.Counts.DeadLettered > 0 || windowed && want.Counts.Late == 0 && want.Counts.LateWindows == 0 {
				t.Errorf("the bids make a poor test: %+v", want.Counts)
			}
			if err := difference(c, want, runNexmark(t, c, spec.Bounded())); err != nil {
				t.Error(err)
			}
		})
	}
}

func runNexmark(t *testing.T, c *Case, spec []byte) *observed {
	t.Helper()
	e := &engine{Bus: fakebus.New(), c: c, s: newSchedule(c)}
	e.s.chunk = 20
	if err := e.CreateTopic(c.Query.Topic, int32(len(c.Logs))); err != nil {
		t.Fatal(err)
	}
	if err := e.newFeed().run(func(*feeding) bool { return true }); err != nil {
		t.Fatal(err)
	}
	_, plan, _, problems := queries.Compile(t.Context(), spec, e)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	random, kills := rand.New(rand.NewPCG(3, 4)), 0
	e.Interfere(func(int, bus.Txn) fakebus.Outcome {
		if kills < 5 && random.IntN(4) == 0 {
			kills++
			return fakebus.KillBefore + fakebus.Outcome(kills%2)
		}
		return fakebus.Pass
	})
	trial, err := queries.RunTrial(t.Context(), queries.JobConfig{
		ID: queryID, Owner: "one", Shard: fakebus.DataShard, Plan: plan, Topics: e, Docs: e,
		Clock:   &hurry{random: rand.New(rand.NewPCG(5, 6))},
		Options: queries.RunOptions{ReadSeed: 7, BatchRows: 100, EpochRows: 1000},
	}, func(err error) bool { return errors.Is(err, fakebus.ErrKilled) })
	if err != nil {
		t.Fatal(err)
	}
	texts := func(list []json.RawMessage) (all []string) {
		for _, r := range list {
			all = append(all, string(r))
		}
		return all
	}
	o := &observed{rows: texts(trial.Results), late: texts(trial.Late), dead: texts(trial.DeadLetters), stateBytes: trial.StateBytes}
	counts, err := json.Marshal(trial.Rows)
	if err == nil {
		err = json.Unmarshal(counts, &o.counts)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("read the counts: %w", err))
	}
	return o
}
