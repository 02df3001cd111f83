// Package state holds what a shard knows besides records: topics, partitions,
// group offsets, idempotency keys and documents. They are pure data structures:
// no clock, no randomness, no files, no goroutines, and nothing that iterates a
// Go map decides anything. The same operations in the same order give the same
// state and the same image on every replica.
//
// A State is not safe for concurrent use; the state machine that owns it guards
// it.
package state

import (
	"math"
	"slices"

	"github.com/tidwall/btree"

	"leat/log"
)

// PartitionID names a partition by its topic's number: names can be used again,
// numbers cannot.
type PartitionID struct {
	Topic     uint64
	Partition int32
}

// GroupID names a consumer group's standing in one partition.
type GroupID struct {
	PartitionID
	Group string
}

// Topic is an entry of the topic table, which lives in the metadata shard.
type Topic struct {
	ID        uint64
	Name      string
	Internal  bool
	CreatedMs int64
	Shards    []uint64 // the shard of each partition; its length is the number of partitions
}

// Partition is a partition that this shard stores.
type Partition struct {
	First log.Offset // records before it are gone for readers
	keys  keyWindow
}

// State is the state of one shard. The zero value is not usable; see New.
type State struct {
	logTimeMs  int64
	lastTopic  uint64
	topics     btree.Map[string, *Topic]
	partitions map[PartitionID]*Partition
	keyed      int // partitions that remember idempotency keys
	groups     *btree.BTreeG[groupOffset]
	docs       btree.Map[string, Doc]
	docBytes   int64
	docVersion uint64
	expiring   btree.Set[string]        // due(time, key) of the documents that expire
	expired    btree.Map[string, int64] // documents that expired, and when
	forgetting btree.Set[string]        // due(time, key) of those, when to forget them
	changes    []Change
}

// groupOffset is a group's committed offset.
type groupOffset struct {
	id     GroupID
	offset log.Offset
}

// groupsOf is where the offsets of the groups of a topic begin.
func groupsOf(topic uint64) groupOffset {
	return groupOffset{id: GroupID{PartitionID: PartitionID{Topic: topic, Partition: math.MinInt32}}}
}

// New returns the state of a shard that has applied nothing.
func New() *State {
	before := func(a, b groupOffset) bool { return compareGroups(a.id, b.id) < 0 }
	return &State{
		partitions: make(map[PartitionID]*Partition),
		groups:     btree.NewBTreeGOptions(before, btree.Options{NoLocks: true}),
	}
}

// LogTimeMs is the largest time of an applied proposal.
func (s *State) LogTimeMs() int64 { return s.logTimeMs }

// Topic finds a topic by name, nil where there is none. The result is shared and
// not to be changed.
func (s *State) Topic(name string) *Topic {
	t, _ := s.topics.Get(name)
	return t
}

// Topics lists all topics by name, internal ones too.
func (s *State) Topics() []*Topic { return s.topics.Values() }

// LastTopic is the largest topic number ever given out.
func (s *State) LastTopic() uint64 { return s.lastTopic }

// Partition finds a partition stored here, nil where it is not open.
func (s *State) Partition(id PartitionID) *Partition { return s.partitions[id] }

// Partitions lists the partitions stored here, in order of topic and number.
func (s *State) Partitions() []PartitionID { return sortedPartitions(s.partitions) }

// Group returns a group's committed offset; ok is false before its first commit.
func (s *State) Group(id GroupID) (offset log.Offset, ok bool) {
	found, ok := s.groups.Get(groupOffset{id: id})
	return found.offset, ok
}

// GroupCount is the number of group offsets.
func (s *State) GroupCount() int { return s.groups.Len() }

// GroupNames lists the groups after a name that committed in any partition of a topic
// here, sorted, so many at most. It looks at every group offset of the topic.
func (s *State) GroupNames(topic uint64, after string, limit int) []string {
	var names []string
	s.groups.Ascend(groupsOf(topic), func(g groupOffset) bool {
		id := g.id
		if id.Topic != topic {
			return false
		}
		if id.Group <= after || len(names) == limit && id.Group >= names[limit-1] {
			return true
		}
		if at, found := slices.BinarySearch(names, id.Group); !found {
			names = slices.Insert(names, at, id.Group)
			names = names[:min(len(names), limit)]
		}
		return true
	})
	return names
}

// Key finds what an idempotency key stood for the first time.
func (s *State) Key(id PartitionID, key KeyHash) (KeyEntry, bool) {
	p := s.partitions[id]
	if p == nil {
		return KeyEntry{}, false
	}
	return p.keys.find(key)
}
