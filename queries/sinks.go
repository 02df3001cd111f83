package queries

import (
	"context"

	"leat/internal/fault"
	"leat/log"
)

// SinkStatus is how far one of the query's own logs has been written to a topic or to
// a key-value namespace.
type SinkStatus struct {
	Log      string     `json:"log"` // results, late, dead
	Topic    string     `json:"topic,omitempty"`
	KV       string     `json:"kv,omitempty"`
	Written  log.Offset `json:"written"`           // rows of the log that certainly have been
	Skipped  int64      `json:"skipped,omitempty"` // rows that cannot be in the namespace, or have no place in the schema
	LastSkip *Skip      `json:"last_skip,omitempty"`
	Error    string     `json:"error,omitempty"` // why the next ones have to wait
}

// filler empties one of the query's own logs until ctx ends or an error comes up.
type filler interface {
	run(ctx context.Context) error
	progressed() bool // something has been written
}

// startPumps has the sinks of a query filled, also after its job has ended.
func (m *Manager) startPumps(r *queryRun) {
	spec, problems := Parse(r.entry.Spec)
	if len(problems) > 0 {
		return // the job says what is wrong
	}
	var sources []string
	for i := range spec.Sources {
		sources = append(sources, spec.Sources[i].Topic)
	}
	for _, sink := range sinkPlans(spec) {
		if at := len(spec.Sources); sink.Format.Name != "" && at < len(r.entry.Formats) {
			sink.Format.Pin = r.entry.Formats[at]
		}
		r.goroutines.Go(func() { m.fill(r, sources, sink) })
	}
}

func (m *Manager) filler(r *queryRun, sources []string, sink SinkPlan) filler {
	settled := func() { r.sinkTrouble(sink.Log, nil) }
	if sink.KV != "" {
		return &kvPump{
			id: r.entry.ID, shard: r.entry.Shard, sink: sink, topics: m.topics, docs: m.docs, spaces: m.spaces, settled: settled,
		}
	}
	return &pump{
		id: r.entry.ID, shard: r.entry.Shard, sources: sources, sink: sink,
		topics: m.topics, target: m.sinks, docs: m.docs, formats: m.formats, settled: settled,
	}
}

// fill runs pumps for one sink until the query is stopped or an error is there to
// stay, which ends the query.
func (m *Manager) fill(r *queryRun, sources []string, sink SinkPlan) {
	backoff := firstRunBackoff
	for {
		p := m.filler(r, sources, sink)
		err := runFiller(r.ctx, p)
		if r.ctx.Err() != nil {
			return
		}
		// After a conflict the standing is another one, or what was created is there.
		if !passing(err) && fault.KindOf(err) != fault.Conflict {
			m.logger.Error("queries: a sink has failed", "query", r.entry.Name, "sink", sink.target(), "err", err)
			r.end(stateFailed, err) // completed or not
			m.condemn(r, err)
			r.stop()
			return
		}
		m.logger.Warn("queries: a sink is tried again", "query", r.entry.Name, "sink", sink.target(), "err", err)
		r.sinkTrouble(sink.Log, err)
		if p.progressed() {
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

// runFiller runs a filler, and has a panic over a row be an error that ends the query, not
// the process.
func runFiller(ctx context.Context, f filler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "internal", "write to a sink: %v", p)
		}
	}()
	return f.run(ctx)
}

// sinkStatus tells about the sinks that have begun.
func (m *Manager) sinkStatus(e entry) ([]SinkStatus, error) {
	spec, problems := Parse(e.Spec)
	if len(problems) > 0 {
		return nil, problems.Fault()
	}
	var list []SinkStatus
	for _, sink := range sinkPlans(spec) {
		one := SinkStatus{Log: sink.Log, Topic: sink.Topic, KV: sink.KV}
		doc, found := m.docs.Doc(m.sinkShard(e, sink), sinkKey(e.ID, sink.Log))
		if !found {
			continue
		}
		if sink.KV != "" {
			s, err := decodeDoc[kvStanding](doc)
			if err != nil {
				return nil, err
			}
			one.Written, one.Skipped, one.LastSkip = s.Next-log.Offset(s.Skipped), s.Skipped, s.LastSkip
		} else {
			s, err := decodeDoc[sinkStanding](doc)
			if err != nil {
				return nil, err
			}
			one.Written, one.Skipped, one.LastSkip = s.From-log.Offset(s.Skipped), s.Skipped, s.LastSkip
		}
		if r := m.run(e.ID); r != nil {
			one.Error = r.sinkError(sink.Log)
		}
		list = append(list, one)
	}
	return list, nil
}

// sinkShard is where the standing of a sink lies.
func (m *Manager) sinkShard(e entry, sink SinkPlan) uint64 {
	if sink.KV == "" {
		return e.Shard
	}
	shard, _ := m.spaces.Space(sink.KV)
	return shard
}
