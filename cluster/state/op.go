package state

import (
	"fmt"

	"leat/cluster/internal/wire"
	"leat/log"
)

// An operation is encoded as its tag and its fields; integers are uvarints,
// strings and bytes are preceded by their length as a uvarint:
//
//	1 clock      time
//	2 topic      id, internal, created, name, n, n × shard
//	3 untopic    name
//	4 open       topic, partition
//	5 drop       topic
//	6 trim       topic, partition, first
//	7 commit     topic, partition, group, offset
//	8 key        topic, partition, key (16 bytes), body (8 bytes), base, count
//	9 put        key, value, version, created, updated, expires
//	10 delete    key, version
//	11 expired   key, time
//
// A state record of the shard's state log is the operations of one or more raft
// entries, back to back.
const (
	tagClock = 1 + iota
	tagTopic
	tagUntopic
	tagOpen
	tagDrop
	tagTrim
	tagCommit
	tagKey
	tagPut
	tagDelete
	tagExpired
)

// Op is a change of state that has been decided: applying it cannot fail.
type Op interface {
	// Append encodes the operation behind dst.
	Append(dst []byte) []byte
	// Apply changes the state.
	Apply(s *State)
}

// Clock moves log time.
type Clock struct{ TimeMs int64 }

// CreateTopic enters a topic in the table.
type CreateTopic struct{ Topic Topic }

// DeleteTopic takes a topic out of the table.
type DeleteTopic struct{ Name string }

// Open makes a partition known to the shard that stores it.
type Open struct{ ID PartitionID }

// Drop forgets all partitions of a topic with their groups and keys.
type Drop struct{ Topic uint64 }

// Trim moves the first offset of a partition.
type Trim struct {
	ID    PartitionID
	First log.Offset
}

// Commit sets the committed offset of a group.
type Commit struct {
	ID     GroupID
	Offset log.Offset
}

// Remember enters an idempotency key.
type Remember struct {
	ID    PartitionID
	Key   KeyHash
	Entry KeyEntry
}

// Put writes a document.
type Put struct {
	Key string
	Doc Doc // its value is kept by the state
}

// Expired enters a document that expired, in images.
type Expired struct {
	Key  string
	AtMs int64
}

// Delete removes a document; Version is the number the removal used up.
type Delete struct {
	Key     string
	Version uint64
}

// Append and Apply of every operation follow, one pair each.

func (o Clock) Append(dst []byte) []byte {
	return wire.AppendUint(append(dst, tagClock), o.TimeMs)
}

func (o Clock) Apply(s *State) {
	s.logTimeMs = max(s.logTimeMs, o.TimeMs)
	s.expire()
}

func (o CreateTopic) Append(dst []byte) []byte {
	t := o.Topic
	dst = wire.AppendUint(append(dst, tagTopic), t.ID)
	dst = wire.AppendBool(dst, t.Internal)
	dst = wire.AppendUint(dst, t.CreatedMs)
	dst = wire.AppendBytes(dst, t.Name)
	dst = wire.AppendUint(dst, len(t.Shards))
	for _, shard := range t.Shards {
		dst = wire.AppendUint(dst, shard)
	}
	return dst
}

func (o CreateTopic) Apply(s *State) {
	t := o.Topic
	s.topics.Set(t.Name, &t)
	s.lastTopic = max(s.lastTopic, t.ID)
}

func (o DeleteTopic) Append(dst []byte) []byte {
	return wire.AppendBytes(append(dst, tagUntopic), o.Name)
}

func (o DeleteTopic) Apply(s *State) { s.topics.Delete(o.Name) }

func (o Open) Append(dst []byte) []byte { return appendPartition(append(dst, tagOpen), o.ID) }

func (o Open) Apply(s *State) {
	if s.partitions[o.ID] == nil {
		s.partitions[o.ID] = &Partition{}
	}
}

func (o Drop) Append(dst []byte) []byte {
	return wire.AppendUint(append(dst, tagDrop), o.Topic)
}

func (o Drop) Apply(s *State) {
	for id, p := range s.partitions {
		if id.Topic == o.Topic {
			if len(p.keys.kept) > 0 {
				s.keyed--
			}
			delete(s.partitions, id)
		}
	}
	var gone []groupOffset
	s.groups.Ascend(groupsOf(o.Topic), func(g groupOffset) bool {
		if g.id.Topic == o.Topic {
			gone = append(gone, g)
		}
		return g.id.Topic == o.Topic
	})
	for _, g := range gone {
		s.groups.Delete(g)
	}
}

func (o Trim) Append(dst []byte) []byte {
	return wire.AppendUint(appendPartition(append(dst, tagTrim), o.ID), o.First)
}

func (o Trim) Apply(s *State) {
	if p := s.partitions[o.ID]; p != nil {
		p.First = max(p.First, o.First)
	}
}

func (o Commit) Append(dst []byte) []byte {
	dst = wire.AppendBytes(appendPartition(append(dst, tagCommit), o.ID.PartitionID), o.ID.Group)
	return wire.AppendUint(dst, o.Offset)
}

func (o Commit) Apply(s *State) { s.groups.Set(groupOffset{o.ID, o.Offset}) }

func (o Remember) Append(dst []byte) []byte {
	dst = appendPartition(append(dst, tagKey), o.ID)
	dst = append(append(dst, o.Key[:]...), o.Entry.Body[:]...)
	dst = wire.AppendUint(dst, o.Entry.Base)
	return wire.AppendUint(dst, o.Entry.Count)
}

func (o Remember) Apply(s *State) {
	p := s.partitions[o.ID]
	if p == nil {
		return
	}
	if len(p.keys.kept) == 0 {
		s.shareKeys()
	}
	p.keys.add(o.Key, o.Entry, keyWindowOf(s.keyed))
}

func (o Put) Append(dst []byte) []byte {
	dst = wire.AppendBytes(wire.AppendBytes(append(dst, tagPut), o.Key), o.Doc.Value)
	dst = wire.AppendUint(dst, o.Doc.Version)
	dst = wire.AppendUint(dst, o.Doc.CreatedMs)
	dst = wire.AppendUint(dst, o.Doc.UpdatedMs)
	return wire.AppendUint(dst, o.Doc.ExpiresMs)
}

func (o Put) Apply(s *State) { s.putDoc(o.Key, o.Doc) }

func (o Expired) Append(dst []byte) []byte {
	return wire.AppendUint(wire.AppendBytes(append(dst, tagExpired), o.Key), o.AtMs)
}

func (o Expired) Apply(s *State) {
	s.forgetExpired(o.Key)
	s.rememberExpired(o.Key, o.AtMs)
}

func (o Delete) Append(dst []byte) []byte {
	return wire.AppendUint(wire.AppendBytes(append(dst, tagDelete), o.Key), o.Version)
}

func (o Delete) Apply(s *State) {
	s.docVersion = max(s.docVersion, o.Version)
	if s.unputDoc(o.Key) {
		s.changes = append(s.changes, Change{Key: o.Key, Version: o.Version, Gone: true})
	}
}

// Replay applies encoded operations, in order. On an error the operations before
// it have been applied.
func (s *State) Replay(ops []byte) error {
	for len(ops) > 0 {
		if ops[0] == tagPut { // most of an image: without an Op on the heap
			r := wire.Reader{Rest: ops[1:]}
			put := readPut(&r)
			if r.Err != nil {
				return fmt.Errorf("decode state operation: %w", r.Err)
			}
			put.Apply(s)
			ops = r.Rest
			continue
		}
		op, rest, err := decodeOp(ops)
		if err != nil {
			return fmt.Errorf("decode state operation: %w", err)
		}
		op.Apply(s)
		ops = rest
	}
	return nil
}

func decodeOp(src []byte) (Op, []byte, error) {
	r := &wire.Reader{Rest: src[1:]}
	var op Op
	switch src[0] {
	case tagClock:
		op = Clock{TimeMs: int64(r.Uint())}
	case tagTopic:
		op = CreateTopic{Topic: readTopic(r)}
	case tagUntopic:
		op = DeleteTopic{Name: r.String()}
	case tagOpen:
		op = Open{ID: readPartition(r)}
	case tagDrop:
		op = Drop{Topic: r.Uint()}
	case tagTrim:
		op = Trim{ID: readPartition(r), First: log.Offset(r.Uint())}
	case tagCommit:
		id := GroupID{PartitionID: readPartition(r), Group: r.String()}
		op = Commit{ID: id, Offset: log.Offset(r.Uint())}
	case tagKey:
		op = readRemember(r)
	case tagPut:
		op = readPut(r)
	case tagDelete:
		op = Delete{Key: r.String(), Version: r.Uint()}
	case tagExpired:
		op = Expired{Key: r.String(), AtMs: int64(r.Uint())}
	default:
		return nil, nil, fmt.Errorf("unknown operation %d", src[0])
	}
	return op, r.Rest, r.Err
}
