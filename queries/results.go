package queries

import (
	"encoding/json"
	"fmt"
	"slices"

	"leat/internal/fault"
	"leat/log"
)

// Rows are records of one of a query's own logs, in commit order, dense from 0: row
// i has offset From+i. The rows belong to the caller.
type Rows struct {
	Rows []json.RawMessage
	From log.Offset
	Next log.Offset // where the next call goes on
	// Complete tells that the query has ended and nothing follows Next.
	Complete bool
	// Watermark is that of the query, epoch ms, nil where there is none yet.
	Watermark *int64
	// Run tells runs of a query apart: another one begins anew, from row 0.
	Run string
	// Stopped is why the query has failed, nil as long as it has not.
	Stopped error
}

const (
	maxRows      = 1000
	maxRowsBytes = 16 << 20
	readRows     = 256 << 10
)

// readLog reads up to limit rows from one of the query's own logs, fewer where they
// would take more than 16 MiB. A log that does not exist yet is empty.
func readLog(topics Topics, topic string, from log.Offset, limit int) (Rows, error) {
	rows := Rows{From: from, Next: from}
	if from < 0 {
		return rows, fault.New(fault.Invalid, "invalid_offset", "offset %d is negative", from)
	}
	if _, ok := topics.Topic(topic); !ok {
		return rows, nil
	}
	limit = max(0, min(limit, maxRows))
	var buf []byte
	for size := 0; len(rows.Rows) < limit && size < maxRowsBytes; {
		frames, err := topics.Read(topic, 0, rows.Next, readRows, buf)
		if f := fault.As(err); f != nil && f.Code == codeUnknownTopic && len(rows.Rows) == 0 {
			return rows, nil // named already, and not open yet
		}
		if err != nil {
			return rows, fmt.Errorf("read rows from offset %d: %w", rows.Next, err)
		}
		if frames.Empty() {
			break
		}
		buf = frames.Bytes()
		cursor := frames.Records(rows.Next)
		for len(rows.Rows) < limit && size < maxRowsBytes {
			r, ok := cursor.Next()
			if !ok {
				break
			}
			rows.Rows = append(rows.Rows, slices.Clone(r.Value))
			rows.Next = r.Offset + 1
			size += len(r.Value)
		}
		if err := cursor.Err(); err != nil {
			return rows, fmt.Errorf("read rows: %w", err)
		}
	}
	return rows, nil
}

// Results returns rows of a query's result log.
func (m *Manager) Results(name string, offset log.Offset, limit int) (Rows, error) {
	return m.rows(name, resultsTopic, offset, limit)
}

// Late returns rows of a query's late log: see letterWriter for their shape.
func (m *Manager) Late(name string, offset log.Offset, limit int) (Rows, error) {
	return m.rows(name, lateTopic, offset, limit)
}

// DeadLetters returns rows of a query's dead-letter log.
func (m *Manager) DeadLetters(name string, offset log.Offset, limit int) (Rows, error) {
	return m.rows(name, deadTopic, offset, limit)
}

func (m *Manager) rows(name string, topicOf func(id string) string, offset log.Offset, limit int) (Rows, error) {
	e, err := m.lookup(name)
	if err != nil {
		return Rows{}, err
	}
	// Standing first: a checkpoint is seen only with the rows that came with it.
	s, err := m.status(e, false)
	if err != nil {
		return Rows{}, err
	}
	topic := topicOf(e.ID)
	rows, err := readLog(m.topics, topic, offset, limit)
	if err != nil {
		return rows, err
	}
	rows.Run = e.ID
	for _, p := range s.Partitions {
		if p.Holds {
			rows.Watermark = p.Watermark
		}
	}
	if s.State == stateFailed {
		rows.Stopped = fault.New(fault.Conflict, "query_failed", "query %q has failed: %s", name, s.Error)
	}
	if s.State == stateCompleted {
		p, err := m.topics.Partition(topic, 0)
		rows.Complete = err != nil || rows.Next >= p.Next
	}
	return rows, nil
}

// WaitResults returns a channel that is closed once there may be a row at or above
// after, the query has ended, or it is worth looking again for another reason.
func (m *Manager) WaitResults(name string, after log.Offset) (<-chan struct{}, error) {
	e, err := m.lookup(name)
	if err != nil {
		return nil, err
	}
	changed := m.docs.DocsChanged(e.Shard)
	r := m.run(e.ID)
	p, err := m.topics.Partition(resultsTopic(e.ID), 0)
	if r == nil || err != nil || r.ctx.Err() != nil {
		return changed, nil // it has yet to begin, or is paused
	}
	// A row that is far off is waited for step by step.
	next := min(after, p.Next)
	grown, err := m.topics.Wait(resultsTopic(e.ID), 0, next)
	if err != nil {
		return nil, fmt.Errorf("wait for results: %w", err)
	}
	return r.notify(next, grown), nil
}
