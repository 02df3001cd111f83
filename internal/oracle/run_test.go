package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
	"leat/queries"
	"leat/queries/fakebus"
)

// observed is what a query has left behind.
type observed struct {
	rows, late, dead []string // the query's logs
	keys             []string // of the records of rows
	counts           Counts
	stateBytes       int64
	marks            []Mark
}

// schedule is one way to run a case. None of it may show in what is observed.
type schedule struct {
	options queries.RunOptions
	trouble float64 // chance of each transaction to go wrong
	output  bool    // only those go wrong that carry results
	chunk   int     // records in one append
	before  float64 // of a live query: part of the log that is there when it starts
	rival   bool    // of a bounded query: two jobs fight for it
	*rand.Rand
}

func newSchedule(c *Case) *schedule {
	g := &generator{Rand: rand.New(rand.NewPCG(c.Seed, 1))}
	s := &schedule{
		options: queries.RunOptions{
			BatchRows: pick(g, 1, 2, 7, 64, 0), BatchBytes: pick(g, 100, 1000, 0), ReadBytes: pick(g, 1, 1000, 0),
			EpochRows: pick(g, 1, 3, 20, 100, 0), EpochBytes: pick(g, 1, 2000, 0), EpochInterval: time.Second,
			StateChunkBytes: pick(g, 1, 500, 0), StateLogBytes: pick[int64](g, 1, 3000, 0),
			ReadSeed: pick(g, 0, g.Uint64()), FixedEpochs: g.chance(0.5),
		},
		trouble: pick(g, 0, 0.01, 0.05, 0.3, 0.6), output: g.chance(0.4), chunk: pick(g, 1, 5, 100),
		before: pick(g, 0, 0.5, 1), rival: g.chance(0.1), Rand: g.Rand,
	}
	s.options.Workers = pick(g, 1, 2, 4)
	if c.Query.UntilEnd { // a live query would wait for rows that never come
		s.options.LeadBytes = pick[int64](g, 1, 2000, 0)
	}
	if c.Query.Changes { // have many be given
		s.options.EpochRows = pick(g, 1, 3, 20)
	}
	if c.Crowd { // have it killed while the window leaves
		s.trouble, s.output = pick(g, 0.3, 0.9), true
		s.options.EpochBytes, s.options.EpochRows = pick(g, 1, 2000), pick(g, 100, 0)
	}
	return s
}

const queryID = "q1"

// errRefused says that a generated query does not compile.
var errRefused = errors.New("refused")

// engine runs one case.
type engine struct {
	*fakebus.Bus
	c    *Case
	s    *schedule
	plan *queries.Plan
	held *fakebus.Values

	mu     sync.Mutex
	at     []log.Offset // where each lane of a live query waits
	caught func()       // called once all of them wait at the end
	feed   *feeding     // of a query with an idle timeout: it is fed when it waits
	marks  *markKeeper
}

func runEngine(ctx context.Context, c *Case, s *schedule) (*observed, error) {
	e := &engine{Bus: fakebus.New(), c: c, s: s, at: make([]log.Offset, len(c.Logs)), caught: func() {}, held: &fakebus.Values{}}
	for key, value := range c.Held {
		e.held.Put(c.Query.Lookup.KV, key, value)
	}
	for i := range e.at {
		e.at[i] = -1
	}
	q := c.Query
	left := len(c.Logs)
	if q.Join != nil {
		left = c.Left
		if err := e.CreateTopic(q.Join.Topic, int32(len(c.Logs)-left)); err != nil {
			return nil, err
		}
	}
	if err := e.CreateTopic(q.Topic, int32(left)); err != nil {
		return nil, err
	}
	names, register := e.names()
	_, plan, _, problems := names.Compile(ctx, q.JSON())
	if err := problems.Fault(); err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	e.plan = plan
	register()
	e.marks = watchMarks(e.Bus, c)
	feed := e.newFeed()
	part := 1.0
	if !q.UntilEnd && q.Start.Kind == "" && (q.Join == nil || q.Join.Start.Kind == "") && c.Trimmed == [2 * maxPartitions]int{} {
		part = s.before
	}
	if err := feed.run(func(f *feeding) bool { return f.left > int(float64(f.total)*(1-part)) }); err != nil {
		return nil, err
	}
	for p := range c.Logs {
		_, topic, number := c.place(p)
		if err := e.Trim(topic, int32(number), log.Offset(c.Trimmed[p])); err != nil {
			return nil, err
		}
	}
	e.Interfere(e.judge())
	if err := e.run(ctx, feed); err != nil {
		return nil, err
	}
	return e.observe()
}

// names are what the spec is compiled with, and register what is done then. But for those
// of topics, schemas are registered when the query is there, and not known here before
// somebody asks.
func (e *engine) names() (names queries.Names, register func()) {
	names.Topics = e
	if e.c.Schemas == nil {
		return names, func() {}
	}
	registry := formatstest.New()
	known := 0
	for ; known < len(e.c.Schemas) && e.c.Schemas[known].Topic != ""; known++ {
		s := e.c.Schemas[known]
		registry.Register(s.Topic+"-value", s.Language, s.Text)
	}
	registry.Lag()
	names.Formats = formats.New(registry)
	return names, func() {
		for _, s := range e.c.Schemas[known:] {
			registry.Register("others", s.Language, s.Text)
		}
	}
}

// feeding appends the logs, in random turns.
type feeding struct {
	e           *engine
	next        []int
	left, total int
}

func (e *engine) newFeed() *feeding {
	f := &feeding{e: e, next: make([]int, len(e.c.Logs))}
	for _, l := range e.c.Logs {
		f.total += len(l)
	}
	f.left = f.total
	return f
}

func (f *feeding) run(while func(*feeding) bool) error {
	for f.left > 0 && while(f) {
		p := f.e.s.IntN(len(f.next))
		if err := f.one(p); err != nil {
			return err
		}
	}
	return nil
}

// one appends the next records of a partition, as far as they share an append time.
func (f *feeding) one(p int) error {
	from := f.next[p]
	l := f.e.c.Logs[p][from:]
	if len(l) == 0 {
		return nil
	}
	var values [][]byte
	for _, r := range l {
		if len(values) == f.e.s.chunk || r.AppendMs != l[0].AppendMs {
			break
		}
		values = append(values, r.stored())
	}
	f.e.SetTime(l[0].AppendMs)
	f.next[p] += len(values)
	f.left -= len(values)
	_, topic, number := f.e.c.place(p)
	return f.e.Append(topic, int32(number), values...)
}

// judge spoils some transactions, though not for ever.
func (e *engine) judge() func(int, bus.Txn) fakebus.Outcome {
	random := rand.New(rand.NewPCG(e.s.Uint64(), 2))
	left := 25
	return func(_ int, t bus.Txn) fakebus.Outcome {
		results := func(a bus.Append) bool { return a.Topic == "$results/"+queryID }
		if e.s.output && !slices.ContainsFunc(t.Appends, results) {
			return fakebus.Pass
		}
		if left == 0 || random.Float64() >= e.s.trouble {
			return fakebus.Pass
		}
		left--
		return 1 + fakebus.Outcome(random.IntN(int(fakebus.KillDelayed)))
	}
}

// run has jobs work on the query, each going on where the one before has died, until
// the bounded query is done or the live one has nothing more to do.
func (e *engine) run(ctx context.Context, feed *feeding) error {
	live := !e.c.Query.UntilEnd
	if live {
		e.s.options.FixedEpochs = false
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		e.mu.Lock()
		e.caught = stop
		e.mu.Unlock()
	}
	var feeder sync.WaitGroup
	var feedErr error
	if e.c.Query.Idle > 0 {
		e.feed = feed
	} else {
		feeder.Go(func() { feedErr = feed.run(func(*feeding) bool { return true }) })
	}
	defer feeder.Wait()
	for n := range 60 {
		err := e.jobs(ctx, n)
		switch {
		case err == nil || live && errors.Is(err, context.Canceled):
			feeder.Wait()
			return feedErr
		case errors.Is(err, fakebus.ErrKilled):
		case fault.KindOf(err) == fault.Timeout, fault.KindOf(err) == fault.Unavailable, fault.KindOf(err) == fault.Conflict:
		default:
			return err
		}
		if err := e.grow(); err != nil {
			return err
		}
	}
	return errors.New("60 jobs did not finish the query")
}

// jobs runs one job, or two that fight for the query. It returns nil if one of them
// has finished it.
func (e *engine) jobs(ctx context.Context, n int) error {
	if !e.s.rival || !e.c.Query.UntilEnd {
		return e.job(n).Run(ctx)
	}
	var rival error
	var both sync.WaitGroup
	both.Go(func() { rival = e.job(-1 - n).Run(ctx) })
	err := e.job(n).Run(ctx)
	both.Wait()
	if rival == nil {
		return nil
	}
	return err
}

func (e *engine) job(n int) *queries.Job {
	options := e.s.options
	if options.ReadSeed != 0 {
		options.ReadSeed += uint64(n)
	}
	return queries.NewJob(queries.JobConfig{
		ID: queryID, Owner: fmt.Sprint("owner ", n), Shard: fakebus.DataShard, Plan: e.plan,
		Topics: e, Docs: e, Values: e.held, Clock: &hurry{random: rand.New(rand.NewPCG(e.c.Seed, uint64(n)))}, Options: options,
	})
}

// grow appends behind the end of a bounded query that has begun: nothing of it counts.
func (e *engine) grow() error {
	if _, begun := e.Doc(fakebus.DataShard, "checkpoint/"+queryID); !begun || !e.c.Query.UntilEnd {
		return nil
	}
	_, topic, number := e.c.place(e.s.IntN(len(e.c.Logs)))
	return e.Append(topic, int32(number), []byte(`{"t":1,"e":{"t":1},"k":"never"}`), []byte("never"))
}

// Wait sees where the lanes of a live query have come to.
func (e *engine) Wait(name string, p int32, after log.Offset) (<-chan struct{}, error) {
	if name == e.c.Query.Topic || e.c.Query.Join != nil && name == e.c.Query.Join.Topic {
		if e.feed != nil && p == 0 {
			left := e.feed.left
			if err := e.feed.run(func(f *feeding) bool { return f.left == left }); err != nil {
				return nil, err
			}
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.at[e.c.partitionOf(name, int(p))] = after
		all := true
		for i, l := range e.c.Logs {
			all = all && e.at[i] >= log.Offset(len(l)) // a shrunk log may end before its start
		}
		if all {
			e.caught()
		}
	}
	return e.Bus.Wait(name, p, after)
}

// Quiet has log time go on now and then.
func (e *engine) Quiet(ctx context.Context, name string, p int32, spanMs int64) (leftMs int64, end log.Offset, err error) {
	if e.s.IntN(4) == 0 {
		e.Pass(e.s.Int64N(2 * spanMs))
	}
	return e.Bus.Quiet(ctx, name, p, spanMs)
}

// hurry is a clock on which all waits are over at once, and time passes in leaps.
type hurry struct {
	random *rand.Rand
	now    time.Time
}

func (h *hurry) Now() time.Time {
	h.now = h.now.Add(time.Duration(h.random.IntN(300)) * time.Millisecond)
	return h.now
}

func (h *hurry) After(time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	c <- h.now
	return c
}

func (e *engine) observe() (*observed, error) {
	o := &observed{}
	for _, own := range []struct {
		log  string
		into *[]string
	}{{"$results/", &o.rows}, {"$late/", &o.late}, {"$dead/", &o.dead}} {
		keys, values, err := readLog(e.Bus, own.log+queryID)
		if err != nil {
			return nil, err
		}
		*own.into = values
		if own.into == &o.rows {
			o.keys = keys
		}
	}
	doc, ok := e.Doc(fakebus.DataShard, "checkpoint/"+queryID)
	if !ok {
		return nil, errors.New("there is no checkpoint")
	}
	var c struct {
		Rows       Counts `json:"rows"`
		StateBytes int64  `json:"state_bytes"`
	}
	if err := json.Unmarshal(doc.Value, &c); err != nil {
		return nil, err
	}
	o.counts, o.stateBytes = c.Rows, c.StateBytes
	if e.marks != nil {
		o.marks = e.marks.marks
		return o, e.marks.err
	}
	return o, nil
}

// reader is what readAll needs of a log.
type reader interface {
	Read(topic string, p int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error)
}

func readAll(from reader, topic string) (values []string, err error) {
	_, values, err = readLog(from, topic)
	return values, err
}

func readLog(from reader, topic string) (keys, values []string, err error) {
	for at := log.Offset(0); ; {
		frames, err := from.Read(topic, 0, at, 1<<20, nil)
		if err != nil || frames.Empty() {
			return keys, values, err
		}
		cursor := frames.Records(at)
		for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
			keys, values = append(keys, string(r.Key)), append(values, string(r.Value))
		}
		at = frames.Next()
	}
}
