package queries

import (
	"leat/internal/fault"
	"leat/log"
)

// SinkStatus is how far one of the query's own logs has been written to a topic.
type SinkStatus struct {
	Log     string     `json:"log"` // results, late, dead
	Topic   string     `json:"topic"`
	Written log.Offset `json:"written"` // rows of the log that certainly are in the topic
}

// startPumps has the sinks of a query filled, also after its job has ended.
func (m *Manager) startPumps(r *queryRun) {
	spec, problems := Parse(r.entry.Spec)
	if len(problems) > 0 {
		return // the job says what is wrong
	}
	for _, sink := range sinkPlans(spec) {
		r.goroutines.Go(func() { m.fill(r, spec.Source.Topic, sink) })
	}
}

// fill runs pumps for one sink until the query is stopped or an error is there to
// stay, which ends the query.
func (m *Manager) fill(r *queryRun, source string, sink SinkPlan) {
	backoff := firstRunBackoff
	for {
		p := &pump{
			id: r.entry.ID, shard: r.entry.Shard, source: source, sink: sink,
			topics: m.topics, target: m.sinks, docs: m.docs,
		}
		err := p.run(r.ctx)
		if r.ctx.Err() != nil {
			return
		}
		// After a conflict the standing is another one, or what was created is there.
		if !passing(err) && fault.KindOf(err) != fault.Conflict {
			m.logger.Error("queries: a sink has failed", "query", r.entry.Name, "topic", sink.Topic, "err", err)
			r.fail(err)
			return
		}
		m.logger.Warn("queries: a sink is tried again", "query", r.entry.Name, "topic", sink.Topic, "err", err)
		if p.applied {
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

// sinkStatus tells about the sinks that have begun.
func (m *Manager) sinkStatus(e entry) ([]SinkStatus, error) {
	var list []SinkStatus
	for _, of := range []string{sinkResults, sinkLate, sinkDead} {
		doc, found := m.docs.Doc(e.Shard, sinkKey(e.ID, of))
		if !found {
			continue
		}
		s, err := decodeDoc[sinkStanding](doc)
		if err != nil {
			return nil, err
		}
		list = append(list, SinkStatus{Log: of, Topic: s.Topic, Written: s.From})
	}
	return list, nil
}
