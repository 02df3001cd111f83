package queries

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
)

// ManagerConfig is what a manager needs. Topics, Docs, Clock and Owner have to be set.
type ManagerConfig struct {
	Topics Topics
	Docs   Documents
	Sinks  SinkTopics // what queries write to; nil where none does
	Spaces SinkSpaces // the namespaces they write to; nil where none does
	Values Values     // the namespaces they look things up in; nil where none does
	// Formats are how records can be written; nil: all are JSON.
	Formats Formats
	// Leaders says which queries run here; nil where all do.
	Leaders Leaders
	Clock   Clock
	Logger  *slog.Logger // nil = silent
	// Owner is different for every manager ever made, over restarts too.
	Owner string
	// Options are those of all jobs; may be zero.
	Options RunOptions
	// StateBytes is what the state of all queries that run here may take together, about;
	// the query that would take more fails. 0 = no bound but that of each.
	StateBytes int64
}

// Manager runs the queries of the catalogue. All its methods may be called at any
// time; queries make progress while Run runs.
type Manager struct {
	topics  Topics
	docs    Documents
	sinks   SinkTopics
	spaces  SinkSpaces
	values  Values
	formats Formats
	clock   Clock
	logger  *slog.Logger
	owner   string
	options RunOptions
	budget  *stateBudget // nil = none
	leaders Leaders

	views views

	mu   sync.Mutex
	runs map[string]*queryRun // by id
}

// NewManager makes a manager that runs nothing until Run is called.
func NewManager(c ManagerConfig) *Manager {
	logger := c.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		topics: c.Topics, docs: c.Docs, sinks: c.Sinks, spaces: c.Spaces, values: c.Values, formats: c.Formats, clock: c.Clock, logger: logger,
		owner: c.Owner, options: c.Options, leaders: c.Leaders, runs: map[string]*queryRun{},
	}
	if c.StateBytes > 0 {
		m.budget = &stateBudget{most: c.StateBytes}
	}
	return m
}

// Run keeps a job running for each query of the catalogue that this node is to run,
// and cleans up after deleted ones, until ctx ends; all jobs have ended when it
// returns. It may be called once.
//
// Two nodes may take themselves for the one to run a query for a moment. The one that
// has claimed it later goes on: what the other one writes is refused.
func (m *Manager) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer m.stopAll()
	defer stop()
	for {
		changed := m.docs.DocsChanged(bus.MetaShard)
		var moved <-chan struct{}
		if m.leaders != nil {
			moved = m.leaders.LeadersChanged()
		}
		var again <-chan time.Time
		if err := m.reconcile(ctx); err != nil && ctx.Err() == nil {
			m.logger.Error("queries: the catalogue could not be followed", "err", err)
			again = m.clock.After(maxRunBackoff)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-moved:
		case <-again:
		}
	}
}

// leads tells whether this node is to do what belongs to a shard.
func (m *Manager) leads(shard uint64) bool { return m.leaders == nil || m.leaders.Leads(shard) }

func (m *Manager) stopAll() {
	m.mu.Lock()
	runs := m.runs
	m.runs = map[string]*queryRun{}
	m.mu.Unlock()
	for _, r := range runs {
		r.stop()
	}
	for _, r := range runs {
		r.wait()
		close(r.gone)
	}
}

// reconcile starts and stops jobs so that there is one for each query, then cleans
// up. A document that cannot be read does not keep the others from their jobs.
func (m *Manager) reconcile(ctx context.Context) error {
	var failed error
	wanted, resting := map[string]bool{}, map[string]bool{}
	for _, doc := range m.docs.Docs(bus.MetaShard, entryPrefix) {
		e, err := decodeDoc[entry](doc)
		if err != nil {
			failed = err
			continue
		}
		wanted[e.ID] = true
		if e.Paused || !m.leads(e.Shard) {
			resting[e.ID] = true
		} else {
			m.start(ctx, e)
		}
	}
	m.stopUnwanted(wanted, resting)
	ctx, stop := context.WithTimeout(ctx, cleanTime)
	defer stop()
	for _, doc := range m.docs.Docs(bus.MetaShard, leavingsPrefix) {
		if wanted[strings.TrimPrefix(doc.Key, leavingsPrefix)] {
			continue // deleted since; the next round sees it
		}
		if err := m.clean(ctx, doc); err != nil {
			failed = err
		}
	}
	return failed
}

// cleanTime is how long the other queries wait for what is deleted, once: a shard may have
// no quorum for now.
const cleanTime = 5 * time.Second

func (m *Manager) start(ctx context.Context, e entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs[e.ID] != nil {
		return
	}
	r := newQueryRun(ctx, e)
	m.runs[e.ID] = r
	r.goroutines.Go(func() { m.supervise(r) })
	m.startPumps(r)
}

// stopUnwanted ends the runs that have no query, or one that rests here.
func (m *Manager) stopUnwanted(wanted, resting map[string]bool) {
	m.mu.Lock()
	var list []*queryRun
	for id, r := range m.runs {
		if !wanted[id] || resting[id] {
			list = append(list, r)
		}
	}
	m.mu.Unlock()
	for _, r := range list {
		r.stop()
	}
	for _, r := range list {
		r.wait()
		m.mu.Lock()
		delete(m.runs, r.entry.ID)
		m.mu.Unlock()
		close(r.gone)
	}
}

func (m *Manager) run(id string) *queryRun {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[id]
}

// Backoff between jobs of a query that fails for passing reasons.
const (
	firstRunBackoff = 100 * time.Millisecond
	maxRunBackoff   = 5 * time.Second
)

// supervise runs jobs of one query until it is completed, has failed for good or is
// stopped.
func (m *Manager) supervise(r *queryRun) {
	backoff := firstRunBackoff
	for attempt := 1; ; attempt++ {
		began := m.clock.Now()
		err := m.runJob(r, attempt)
		switch {
		case r.ctx.Err() != nil:
			return
		case err == nil:
			r.end(stateCompleted, nil)
			return
		case !passing(err) && !m.overtaken(err):
			m.logger.Error("queries: a query has failed", "query", r.entry.Name, "err", err)
			r.end(stateFailed, err)
			m.condemn(r, err)
			return
		}
		m.logger.Warn("queries: a query is tried again", "query", r.entry.Name, "err", err)
		r.trouble(err)
		if m.clock.Now().Sub(began) > time.Minute {
			backoff = firstRunBackoff
		}
		select {
		case <-r.ctx.Done():
			return
		case <-m.clock.After(backoff):
		}
		backoff = min(2*backoff, maxRunBackoff)
	}
}

// overtaken tells whether another node has claimed a query that is for this one to
// run: it claims it back, unless it is stopped because the other one is right.
func (m *Manager) overtaken(err error) bool {
	f := fault.As(err)
	return m.leaders != nil && f != nil && f.Kind == fault.Conflict && f.Code == "fenced"
}

func (m *Manager) runJob(r *queryRun, attempt int) (err error) {
	if doc, found := m.docs.Doc(r.entry.Shard, checkpointKey(r.entry.ID)); found {
		saved, err := decodeCheckpoint(doc)
		if err != nil || saved.Completed {
			return err // ended before this process began; its source may be gone
		}
		r.finds(saved.Generation)
	}
	plan, err := m.compile(r.ctx, r.entry)
	if err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "internal", "query %q: %v", r.entry.Name, p)
		}
	}()
	r.trouble(nil)
	return NewJob(JobConfig{
		ID: r.entry.ID, Owner: m.ownerOf(r.entry.ID) + strconv.Itoa(attempt), Shard: r.entry.Shard,
		Plan: plan, Topics: m.topics, Docs: m.docs, Values: m.values, Clock: m.clock, Options: m.options, budget: m.budget,
	}).Run(r.ctx)
}

func (m *Manager) names(pins []string) Names {
	return Names{Topics: m.topics, Formats: m.formats, Pins: pins}
}

// compile reads the spec of a query that was good when it was created.
func (m *Manager) compile(ctx context.Context, e entry) (*Plan, error) {
	_, plan, _, problems := m.names(e.Formats).Compile(ctx, e.Spec)
	if len(problems) > 0 {
		return nil, problems.Fault()
	}
	return plan, nil
}

// Validate refuses what Create would refuse for the spec alone, with an error of
// the same kind; its code is always "invalid_query".
func (m *Manager) Validate(ctx context.Context, body []byte) (Warnings, error) {
	_, _, warnings, problems := m.names(nil).Compile(ctx, body)
	if len(problems) > 0 {
		f := *problems.Fault()
		f.Code = codeInvalid
		return nil, &f
	}
	return warnings, nil
}

// Plan prints the plan of a query in the format json, text or mermaid. It may have to wait
// for the schemas that have been registered.
func (m *Manager) Plan(ctx context.Context, name, format string) ([]byte, error) {
	e, err := m.lookup(name)
	if err != nil {
		return nil, err
	}
	plan, err := m.compile(ctx, e)
	if err != nil {
		return nil, err
	}
	switch format {
	case "json", "":
		return plan.JSON(), nil
	case "text":
		return []byte(plan.String()), nil
	case "mermaid":
		return []byte(plan.Mermaid()), nil
	}
	return nil, fault.New(fault.Invalid, "invalid_parameter", "format is json, text or mermaid, not %q", format)
}
