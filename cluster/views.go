package cluster

import (
	"strings"

	"leat/cluster/state"
	"leat/internal/bus"
	"leat/log"
)

// What readers see of a machine: each method takes one look under the lock.

func (m *machine) appliedIndex() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.applied
}

// ended tells whether the machine has been closed: because the node ends, or because
// raft has taken the replica out.
func (m *machine) ended() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.closed
}

// imageNamed tells whether the last checkpoint has the last image.
func (m *machine) imageNamed() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.named == m.image.index
}

func (m *machine) standing() bus.Shard {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return bus.Shard{
		Applied: m.applied, Checkpointed: m.checkpointed,
		LogTimeMs: m.state.LogTimeMs(), DocBytes: m.state.DocBytes(),
	}
}

func (m *machine) docBytes() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.DocBytes()
}

func (m *machine) logTimeMs() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.LogTimeMs()
}

func (m *machine) topic(name string) *state.Topic {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.Topic(name)
}

func (m *machine) topics() []*state.Topic {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.Topics()
}

func (m *machine) partition(id state.PartitionID) *log.Partition {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.logs[id]
}

// find is partition for who needs to know why there is none: an error says that there will
// be again, or that this replica is over.
func (m *machine) find(id state.PartitionID) (*log.Partition, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	switch p := m.logs[id]; {
	case p != nil:
		return p, nil
	case m.closed:
		return nil, errShuttingDown()
	case m.restoring:
		return nil, errRestoring(m.shard)
	}
	return nil, nil
}

func (m *machine) hasPartition(id state.PartitionID) bool { return m.partition(id) != nil }

func (m *machine) keysAtRisk(id state.PartitionID, key state.KeyHash) []state.KeyPlace {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.KeysAtRisk(id, key)
}

func (m *machine) group(id state.GroupID) (log.Offset, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.Group(id)
}

func (m *machine) groupNames(topic uint64, after string, limit int) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.GroupNames(topic, after, limit)
}

func (m *machine) groupCount() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.GroupCount()
}

func (m *machine) doc(key string) state.Doc {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.Doc(key)
}

func (m *machine) docs(prefix, after string, limit int) []bus.Doc {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []bus.Doc
	m.state.DocsFrom(max(prefix, after), func(key string, d state.Doc) bool {
		if !strings.HasPrefix(key, prefix) || len(found) >= limit {
			return false
		}
		if key > after {
			found = append(found, busDoc(key, d))
		}
		return true
	})
	return found
}

func (m *machine) docExpired(key string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.Expired(key)
}

func (m *machine) nextExpiryMs() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.NextExpiryMs()
}

func (m *machine) docVersion() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.DocVersion()
}

func (m *machine) docChanges(since uint64, prefix string) (changes []bus.DocChange, next uint64, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	recent, ok := m.recent.after(since, prefix)
	for _, c := range recent {
		changes = append(changes, bus.DocChange(c))
	}
	return changes, m.state.DocVersion(), ok
}

func (m *machine) docsChanged() <-chan struct{} {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.changed
}
