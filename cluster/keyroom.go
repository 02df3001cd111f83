package cluster

import (
	"sync"
	"time"

	"leat/cluster/state"
	"leat/internal/fault"
	"leat/log"
)

// keyAge is how long an idempotency key is remembered at least, whatever comes after it:
// twice as long as a call is waited for unless it asks for more time, so that a retry at
// the end of that finds its copy.
const keyAge = 10 * time.Second

// keyRoom refuses new idempotency keys where they would have younger ones forgotten than
// keyAge. The state forgets by number alone, the same on every replica; when a key came
// is told by its record.
type keyRoom struct {
	mu  sync.Mutex
	old map[state.PartitionID]log.Offset // records up to here were found to be old enough
}

// admit is Exhausted "quota_exceeded" where there is no room for a key. Calls under way
// are not counted: the keys at risk are chosen with a share for them.
func (r *keyRoom) admit(s *shard, id state.PartitionID, key state.KeyHash) error {
	for _, risk := range s.machine.keysAtRisk(id, key) {
		r.mu.Lock()
		known := r.old[risk.ID] >= risk.Base && r.old[risk.ID] > 0
		r.mu.Unlock()
		if known {
			continue
		}
		timeMs, err := s.machine.timeOf(risk.ID, risk.Base)
		if err != nil {
			return err
		}
		if s.clock.nowMs()-timeMs < keyAge.Milliseconds() {
			return fault.New(fault.Exhausted, "quota_exceeded",
				"So many idempotency keys came within %v that a new one would have a younger one forgotten: "+
					"try again in a moment, and send more records in a call or use more partitions", keyAge).
				With("retryable", true)
		}
		r.mu.Lock()
		if r.old == nil {
			r.old = make(map[state.PartitionID]log.Offset)
		}
		r.old[risk.ID] = risk.Base
		r.mu.Unlock()
	}
	return nil
}

// timeOf is the append time of a record, where it was deleted that of the first one left
// after it, or of the last one there was.
func (m *machine) timeOf(id state.PartitionID, offset log.Offset) (int64, error) {
	p := m.partition(id)
	if p == nil {
		return 0, nil
	}
	for {
		from := max(offset, p.First())
		frames, err := p.Read(from, 1, nil)
		if fault.KindOf(err) == fault.OutOfRange {
			continue // trimmed meanwhile
		}
		if err != nil {
			return 0, err
		}
		if frames.Empty() {
			_, last, _ := p.Tail()
			return last, nil
		}
		records := frames.Records(from)
		r, _ := records.Next()
		return r.TimeMs, records.Err()
	}
}
