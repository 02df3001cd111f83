package queries

import (
	"encoding/json"

	"leat/dataflow"
	"leat/internal/bus"
	"leat/log"
)

// Status is the standing of a query as of its last epoch.
type Status struct {
	Name       string            `json:"name"`
	State      string            `json:"state"` // running, paused, completed, failed
	Rows       RowCounts         `json:"rows"`
	Partitions []PartitionStatus `json:"partitions"`
	Sinks      []SinkStatus      `json:"sinks,omitempty"`
	StateBytes int64             `json:"state_bytes"`
	Checkpoint CheckpointStatus  `json:"checkpoint"`
	Error      string            `json:"error,omitempty"`
	Warnings   Warnings          `json:"warnings,omitempty"`
	CreatedMs  int64             `json:"created_ms"`
	Spec       json.RawMessage   `json:"spec"`

	Topics []string `json:"-"` // the source topics
}

// PartitionStatus is how far one source partition has been read. Lag counts the
// records up to the end of the partition, or to where a bounded run stops; LagMs is
// the age of the first of them by append time. Holds tells that the partition holds
// back the watermark of the query. Idle tells that the partition has been passed over at
// its end: it holds nothing back, unless all do nothing.
type PartitionStatus struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Lag       int64  `json:"lag"`
	LagMs     int64  `json:"lag_ms"`
	Watermark *int64 `json:"watermark"` // null before the first event time
	Holds     bool   `json:"holds"`
	Idle      bool   `json:"idle"`
}

// CheckpointStatus tells of the last epoch that was committed: its number; the generation
// of the job, which grows with every start; where in the state log the last full snapshot
// begins, and the bytes it holds from there on.
type CheckpointStatus struct {
	Epoch         uint64 `json:"epoch"`
	Generation    uint64 `json:"generation"`
	StateFrom     int64  `json:"state_from"`
	StateLogBytes int64  `json:"state_log_bytes"`
}

// Sources returns the topics that a query reads, none of one whose spec cannot be read any
// more; NotFound "unknown_query" if there is no query.
func (m *Manager) Sources(name string) (topics []string, err error) {
	e, err := m.lookup(name)
	if err != nil {
		return nil, err
	}
	sources, err := sourcesOf(e)
	if err != nil {
		return nil, nil // the status says why
	}
	for i := range sources {
		topics = append(topics, sources[i].Topic)
	}
	return topics, nil
}

// Get returns the status of a query; NotFound "unknown_query" if there is none.
func (m *Manager) Get(name string) (Status, error) {
	e, err := m.lookup(name)
	if err != nil {
		return Status{}, err
	}
	return m.status(e, true)
}

// List returns the status of all queries, by name.
func (m *Manager) List() ([]Status, error) {
	docs := m.docs.Docs(bus.MetaShard, entryPrefix)
	list := make([]Status, 0, len(docs))
	for _, doc := range docs {
		e, err := decodeDoc[entry](doc)
		if err != nil {
			return nil, err
		}
		s, err := m.status(e, true)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// status is that of a query, LagMs only where ages are asked for: they have records of the
// sources be read.
func (m *Manager) status(e entry, ages bool) (Status, error) {
	s := Status{
		Name: e.Name, State: stateRunning, Partitions: []PartitionStatus{}, CreatedMs: e.CreatedMs, Spec: e.Spec,
	}
	r := m.run(e.ID)
	if r != nil {
		state, err := r.standing()
		if s.State = state; err != nil {
			s.Error = err.Error()
		}
	}
	if e.Paused {
		s.State = statePaused
	}
	sources, err := sourcesOf(e)
	if err != nil {
		s.State, s.Error = stateFailed, err.Error()
		return s, nil
	}
	for i := range sources {
		s.Topics = append(s.Topics, sources[i].Topic)
	}
	if s.Sinks, err = m.sinkStatus(e); err != nil {
		return s, err
	}
	doc, found := m.docs.Doc(e.Shard, checkpointKey(e.ID))
	var saved checkpoint
	if found {
		if saved, err = decodeCheckpoint(doc); err != nil {
			return s, err
		}
	}
	if r == nil && !e.Paused {
		v, err := m.verdict(e, saved.Generation)
		if err != nil {
			return s, err
		}
		if v != nil {
			s.State, s.Error = stateFailed, v.Error
		}
	}
	if !found {
		return s, nil
	}
	if saved.Completed && s.State != stateFailed {
		s.State = stateCompleted
	}
	s.Rows, s.StateBytes, s.Warnings = saved.Rows, saved.StateBytes, saved.Warnings
	s.Checkpoint = CheckpointStatus{
		Epoch: saved.Epoch, Generation: saved.Generation,
		StateFrom: int64(saved.StateFrom), StateLogBytes: saved.StateLogBytes,
	}
	s.Partitions = m.partitions(sources, saved, ages)
	return s, nil
}

// sourcesOf reads the sources of a spec that was good when it was stored.
func sourcesOf(e entry) ([]SourcePlan, error) {
	spec, problems := Parse(e.Spec)
	if len(problems) > 0 {
		return nil, problems.Fault()
	}
	return sourcePlans(spec), nil
}

// partitions are those of all sources. A partition holds the watermark back if it is the
// lowest of those that are not idle, or of all where all are.
func (m *Manager) partitions(sources []SourcePlan, saved checkpoint, ages bool) []PartitionStatus {
	list := []PartitionStatus{}
	lowest, active := dataflow.MaxTime, dataflow.MaxTime
	var buf []byte
	for i := range saved.Sources {
		topic := sources[i].Topic
		for number, p := range saved.Sources[i].Partitions {
			s := PartitionStatus{Topic: topic, Partition: int32(number), Offset: int64(p.Offset)}
			if s.Lag = m.lag(topic, s.Partition, p); ages && s.Lag > 0 {
				s.LagMs = m.age(topic, s.Partition, p.Offset, &buf)
			}
			s.Idle = p.Idle != nil && p.Idle.Offset == p.Offset && s.Lag == 0
			mark := p.watermark(sources[i])
			if w := int64(mark); mark != dataflow.MinTime {
				s.Watermark = &w
			}
			if !p.finished() {
				lowest = min(lowest, mark)
			}
			if !p.finished() && !s.Idle {
				active = min(active, mark)
			}
			list = append(list, s)
		}
	}
	at := 0
	for i := range saved.Sources {
		for _, p := range saved.Sources[i].Partitions {
			s, mark := &list[at], p.watermark(sources[i])
			if s.Holds = !p.finished() && mark == lowest; active < dataflow.MaxTime {
				s.Holds = !p.finished() && !s.Idle && mark == active
			}
			at++
		}
	}
	return list
}

func (p *standing) finished() bool { return p.Stop != nil && p.Offset >= *p.Stop }

func (p *standing) watermark(source SourcePlan) dataflow.Time {
	w := dataflow.MinTime
	if p.Highest != nil {
		w = dataflow.Time(*p.Highest).Minus(source.delay())
	}
	if p.Idle != nil {
		w = max(w, p.Idle.Watermark)
	}
	return w
}

// lag is 0 where it cannot be told.
func (m *Manager) lag(topic string, p int32, s standing) (records int64) {
	now, err := m.topics.Partition(topic, p)
	if err != nil {
		return 0
	}
	end := now.Next
	if s.Stop != nil {
		end = min(end, *s.Stop)
	}
	return max(0, int64(end-s.Offset))
}

// age is that of the first record from an offset on, 0 where it cannot be told.
func (m *Manager) age(topic string, p int32, from log.Offset, buf *[]byte) (ms int64) {
	now, err := m.topics.Partition(topic, p)
	if err != nil {
		return 0
	}
	frames, err := m.topics.Read(topic, p, max(from, now.First), 1, *buf)
	if err != nil {
		return 0
	}
	*buf = frames.Bytes()
	cursor := frames.Records(from)
	if r, ok := cursor.Next(); ok {
		ms = max(0, m.clock.Now().UnixMilli()-r.TimeMs)
	}
	return ms
}
