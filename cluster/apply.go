package cluster

import (
	"encoding/binary"
	"slices"

	"leat/cluster/internal/wire"
	"leat/cluster/state"
	"leat/internal/fault"
	"leat/log"
)

// applyCommand appends the answer to one command. Errors are damage on our side.
func (m *machine) applyCommand(dst []byte, index uint64, kind commandKind, body []byte) ([]byte, error) {
	r := &wire.Reader{Rest: body}
	switch kind {
	case cmdAppend:
		c := decodeAppend(r)
		if r.Err != nil {
			break
		}
		return m.applyAppend(dst, index, &c)
	case cmdTxn:
		c := decodeTxn(r)
		if r.Err != nil {
			break
		}
		return m.applyTxn(dst, index, &c)
	case cmdCommit:
		id := state.GroupID{PartitionID: readPartitionID(r), Group: r.String()}
		offset := log.Offset(r.Uint())
		if r.Err != nil {
			break
		}
		return m.applyCommit(dst, id, offset), nil
	case cmdCreateTopic:
		return m.applyCreateTopic(dst, r), nil
	case cmdDeleteTopic:
		return m.applyDeleteTopic(dst, r), nil
	case cmdOpen:
		return m.applyOpen(dst, r)
	case cmdDrop:
		return m.applyDrop(dst, r), nil
	case cmdTick:
		return appendAnswer(dst, answered, nil), nil
	case cmdCompare:
		return m.applyCompare(dst, index), nil
	}
	return appendAnswer(dst, answerUnreadable, nil), nil
}

// tick moves log time to that of a proposal.
func (m *machine) tick(timeMs int64) {
	if timeMs > m.state.LogTimeMs() {
		m.do(state.Clock{TimeMs: timeMs})
	}
}

// frameFor opens the frame that this entry writes to a partition, nil where the
// partition is not open.
func (m *machine) frameFor(index uint64, id state.PartitionID) (*openFrame, error) {
	if f := m.groups[id]; f != nil {
		return f, nil
	}
	p := m.logs[id]
	if p == nil {
		return nil, nil
	}
	f := &openFrame{id: id, log: p}
	if p.LastMark() >= log.Mark(index) {
		f.replay = true
		base, _, found := p.FindMark(log.Mark(index))
		if !found {
			// The entry appended nothing here the first time either: it had
			// only duplicates.
			base = p.Next()
		}
		f.base = base
	} else {
		f.base = p.Next()
	}
	f.next = f.base
	m.groups[id] = f
	m.order = append(m.order, f)
	return f, nil
}

// forgetFrame drops what the entry under way has appended to a partition.
func (m *machine) forgetFrame(id state.PartitionID) {
	if f := m.groups[id]; f != nil {
		delete(m.groups, id)
		m.order = slices.DeleteFunc(m.order, func(o *openFrame) bool { return o == f })
	}
}

func (f *openFrame) add(b log.Block) (base log.Offset) {
	base = f.next
	f.next += log.Offset(b.Count)
	if !f.replay {
		f.batch.Blocks = append(f.batch.Blocks, b)
	}
	return base
}

// The answer to an append: base offset, whether it is a duplicate, count.
func (m *machine) applyAppend(dst []byte, index uint64, c *appendCommand) ([]byte, error) {
	if c.block.Count == 0 || c.block.Check() != nil {
		return appendAnswer(dst, answerUnreadable, nil), nil
	}
	f, err := m.frameFor(index, c.id)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return appendAnswer(dst, answerNotOpen, nil), nil
	}
	var buf [2*binary.MaxVarintLen64 + 1]byte
	if c.keyed {
		if seen, ok := m.state.Key(c.id, c.key); ok {
			if seen.Body != c.body {
				return appendAnswer(dst, answerKeyOther, nil), nil
			}
			return appendAnswer(dst, answered, appendPlace(buf[:0], seen.Base, true, seen.Count)), nil
		}
	}
	base := f.add(c.block)
	if c.keyed {
		m.do(state.Remember{ID: c.id, Key: c.key, Entry: state.KeyEntry{Base: base, Count: c.block.Count, Body: c.body}})
	}
	return appendAnswer(dst, answered, appendPlace(buf[:0], base, false, c.block.Count)), nil
}

func appendPlace(dst []byte, base log.Offset, duplicate bool, count int) []byte {
	dst = wire.AppendUint(dst, base)
	if duplicate {
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	return wire.AppendUint(dst, count)
}

// The answer to a transaction: a base per append, a version per put and delete, a
// count per trim. It is refused whole before anything is done.
func (m *machine) applyTxn(dst []byte, index uint64, c *txnCommand) ([]byte, error) {
	if c.fenced {
		if have := m.state.Doc(c.fence).Version; have != c.version {
			return appendAnswer(dst, answerFenced, wire.AppendUint(nil, have)), nil
		}
	}
	for i := range c.appends {
		if m.logs[c.appends[i].id] == nil {
			return appendAnswer(dst, answerNotOpen, nil), nil
		}
		if c.appends[i].block.Check() != nil {
			return appendAnswer(dst, answerUnreadable, nil), nil
		}
	}
	var body []byte
	for i := range c.appends {
		f, err := m.frameFor(index, c.appends[i].id)
		if err != nil {
			return nil, err
		}
		if c.appends[i].block.Count == 0 {
			body = wire.AppendUint(body, f.next)
			continue
		}
		body = wire.AppendUint(body, uint64(f.add(c.appends[i].block)))
	}
	if len(c.appends) > 0 && len(c.puts)+len(c.deletes) > 0 {
		m.hold()
	}
	m.publish(func() { body = m.applyDocs(body, c) })
	for _, trim := range c.trims {
		body = wire.AppendUint(body, m.applyTrim(trim))
	}
	return appendAnswer(dst, answered, body), nil
}

// applyDocs writes and removes the documents of a transaction. mu is held.
func (m *machine) applyDocs(body []byte, c *txnCommand) []byte {
	for _, put := range c.puts {
		body = wire.AppendUint(body, m.applyPut(put))
	}
	for _, key := range c.deletes {
		body = wire.AppendUint(body, m.applyDelete(key))
	}
	return body
}

// applyPut writes a document and returns its version. mu is held.
func (m *machine) applyPut(put putCommand) uint64 {
	now := m.state.LogTimeMs()
	d := state.Doc{Value: put.value, Version: m.state.DocVersion() + 1, CreatedMs: now, UpdatedMs: now}
	if have := m.state.Doc(put.key); have.Version != 0 {
		d.CreatedMs = have.CreatedMs
	}
	if put.ttlMs > 0 {
		d.ExpiresMs = now + put.ttlMs
	}
	m.doLocked(state.Put{Key: put.key, Doc: d})
	return d.Version
}

// applyDelete removes a document and returns the version of its removal, 0 where
// there was none. mu is held.
func (m *machine) applyDelete(key string) uint64 {
	if m.state.Doc(key).Version == 0 {
		return 0
	}
	version := m.state.DocVersion() + 1
	m.doLocked(state.Delete{Key: key, Version: version})
	return version
}

// applyTrim moves a partition's first offset forward and returns by how much. The
// proposer has seen to it that it is not past the end: here the end is not known
// while entries are applied again. The files go once a checkpoint knows.
func (m *machine) applyTrim(trim state.Trim) uint64 {
	p, have := m.logs[trim.ID], m.state.Partition(trim.ID)
	if p == nil || trim.First <= have.First {
		return 0
	}
	moved := uint64(trim.First - have.First)
	m.do(trim)
	p.Trim(trim.First)
	return moved
}

// The answer to a group commit: where the group stands. Going back is ignored.
func (m *machine) applyCommit(dst []byte, id state.GroupID, offset log.Offset) []byte {
	if m.logs[id.PartitionID] == nil {
		return appendAnswer(dst, answerNotOpen, nil)
	}
	have, ok := m.state.Group(id)
	if !ok || offset > have {
		m.do(state.Commit{ID: id, Offset: offset})
		have = offset
	}
	return appendAnswer(dst, answered, wire.AppendUint(nil, have))
}

// The answer to a creation, also where the topic exists: number, partitions.
func (m *machine) applyCreateTopic(dst []byte, r *wire.Reader) []byte {
	t := state.Topic{Name: r.String(), Internal: r.Byte() == 1, CreatedMs: m.state.LogTimeMs()}
	for range r.Count() {
		t.Shards = append(t.Shards, r.Uint())
	}
	if r.Err != nil {
		return appendAnswer(dst, answerUnreadable, nil)
	}
	code := answerExists
	have := m.state.Topic(t.Name)
	if have == nil {
		t.ID = m.state.LastTopic() + 1
		m.do(state.CreateTopic{Topic: t})
		code, have = answered, &t
	}
	body := wire.AppendUint(nil, have.ID)
	return appendAnswer(dst, code, wire.AppendUint(body, uint64(len(have.Shards))))
}

// The answer to a deletion: the number of the topic that is gone.
func (m *machine) applyDeleteTopic(dst []byte, r *wire.Reader) []byte {
	name := r.String()
	if r.Err != nil {
		return appendAnswer(dst, answerUnreadable, nil)
	}
	have := m.state.Topic(name)
	if have == nil {
		return appendAnswer(dst, answerNoTopic, nil)
	}
	m.do(state.DeleteTopic{Name: name})
	return appendAnswer(dst, answered, wire.AppendUint(nil, have.ID))
}

func (m *machine) applyOpen(dst []byte, r *wire.Reader) ([]byte, error) {
	topic := r.Uint()
	ids := make([]state.PartitionID, 0, 16)
	for range r.Count() {
		ids = append(ids, state.PartitionID{Topic: topic, Partition: int32(r.Uint())})
	}
	if r.Err != nil {
		return appendAnswer(dst, answerUnreadable, nil), nil
	}
	for _, id := range ids {
		if m.state.Partition(id) != nil {
			continue
		}
		if err := m.openNew(id); err != nil {
			return nil, err
		}
	}
	return appendAnswer(dst, answered, nil), nil
}

// openNew opens a partition that is new to the state. Topic numbers are never
// used again, so what its directory may hold is what an Update that did not
// finish wrote after this same entry.
func (m *machine) openNew(id state.PartitionID) error {
	if !m.held {
		m.files.Lock()
		defer m.files.Unlock()
	}
	p, err := m.openPartition(id, nil)
	if err != nil {
		return fault.New(fault.Corrupt, "corrupt", "open a new partition: %w", err)
	}
	m.do(state.Open{ID: id})
	m.publish(func() { m.logs[id] = p })
	return nil
}

// applyDrop forgets a topic's partitions at once; their files stay until a
// checkpoint is durable, because a machine that crashes before it applies the
// topic's entries again.
func (m *machine) applyDrop(dst []byte, r *wire.Reader) []byte {
	topic := r.Uint()
	if r.Err != nil {
		return appendAnswer(dst, answerUnreadable, nil)
	}
	for _, id := range m.state.Partitions() {
		if id.Topic != topic {
			continue
		}
		p := m.logs[id]
		m.forgetFrame(id)
		m.publish(func() {
			delete(m.logs, id)
			m.dropped = append(m.dropped, id)
		})
		// Readers under way finish; the file is removed after a checkpoint.
		_ = p.Close()
	}
	m.do(state.Drop{Topic: topic})
	return appendAnswer(dst, answered, nil)
}
