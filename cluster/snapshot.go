package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"leat/cluster/internal/wire"
	"leat/cluster/state"
	"leat/internal/fault"
	"leat/log"
)

// A snapshot is a stream of sections, see sections.go:
//
//	+-------+----------------------+-------+----------------------+-------+
//	| index | pieces of the image  | empty | runs of records      | empty |
//	+-------+----------------------+-------+----------------------+-------+
//
// The first body is the raft index as a uvarint. The image is that of the state at this
// index, in pieces of whole operations. A run is records of one partition with one
// append time: topic, partition, base offset, time, count as uvarints, then the
// encoded block. The runs of a partition follow each other without a gap from
// its first offset on.
const snapshotRead = 1 << 20

// snapshotCut is what a snapshot holds: the state at one index and where each
// partition ended then. While it is held no file is removed.
type snapshotCut struct {
	index uint64
	view  *state.View
	parts []snapshotPart
}

type snapshotPart struct {
	id          state.PartitionID
	log         *log.Partition
	first, next log.Offset
}

// PrepareSnapshot takes the cut that SaveSnapshot streams.
func (m *machine) PrepareSnapshot() (any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pins++
	c := &snapshotCut{index: m.applied, view: m.state.Freeze()}
	for _, id := range m.state.Partitions() {
		p := m.logs[id]
		c.parts = append(c.parts, snapshotPart{id: id, log: p, first: m.state.Partition(id).First, next: p.Next()})
	}
	return c, nil
}

// SaveSnapshot streams a cut, paced; Update goes on meanwhile.
func (m *machine) SaveSnapshot(cut any, to io.Writer, done <-chan struct{}) error {
	defer m.unpin()
	return cut.(*snapshotCut).save(newPacedWriter(to, done, m.taken.Load), done)
}

// save streams the cut.
func (c *snapshotCut) save(to io.Writer, done <-chan struct{}) error {
	w := bufio.NewWriterSize(to, snapshotRead)
	if err := writeSection(w, wire.AppendUint(nil, c.index)); err != nil {
		return err
	}
	if err := writeImage(w, c.view); err != nil {
		return err
	}
	c.view = nil // what has changed since need not be kept any more
	for i := range c.parts {
		if err := c.parts[i].save(w, done); err != nil {
			return fmt.Errorf("stream partition %v: %w", c.parts[i].id, err)
		}
	}
	if err := writeSection(w, nil); err != nil {
		return err
	}
	return w.Flush()
}

func (m *machine) unpin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pins--
}

// save streams the records of a partition from its first offset to where the cut
// was made.
func (p *snapshotPart) save(w io.Writer, done <-chan struct{}) error {
	var frames log.Frames
	var run log.Block
	for from := p.first; from < p.next; from = frames.Next() {
		select {
		case <-done:
			return sm.ErrSnapshotStopped
		default:
		}
		var err error
		if frames, err = p.log.Read(from, snapshotRead, frames.Bytes()); err != nil {
			return err
		}
		base, timeMs := from, int64(0)
		records := frames.Records(from)
		for r, ok := records.Next(); ok && r.Offset < p.next; r, ok = records.Next() {
			if run.Count > 0 && r.TimeMs != timeMs {
				if err := p.saveRun(w, base, timeMs, &run); err != nil {
					return err
				}
			}
			if run.Count == 0 {
				base, timeMs = r.Offset, r.TimeMs
			}
			run.Add(r.Key, r.Value)
		}
		if err := records.Err(); err != nil {
			return err
		}
		if err := p.saveRun(w, base, timeMs, &run); err != nil {
			return err
		}
	}
	return nil
}

// saveRun writes a run and empties it.
func (p *snapshotPart) saveRun(w io.Writer, base log.Offset, timeMs int64, run *log.Block) error {
	if run.Count == 0 {
		return nil
	}
	body := appendPartitionID(nil, p.id)
	body = wire.AppendUint(body, base)
	body = wire.AppendUint(body, timeMs)
	body = wire.AppendUint(body, run.Count)
	err := writeSection(w, append(body, run.Bytes...))
	run.Count, run.Bytes = 0, run.Bytes[:0]
	return err
}

// RecoverFromSnapshot replaces everything by what the stream holds. It marks the
// directory first, so that a crash in the middle leaves an empty machine and not
// a mixture; dragonboat then recovers again.
func (m *machine) RecoverFromSnapshot(from io.Reader, done <-chan struct{}) error {
	m.imaging.Lock()
	defer m.imaging.Unlock()
	m.checkpointing.Lock()
	defer m.checkpointing.Unlock()
	m.writer.Lock()
	defer m.writer.Unlock()
	err := m.restore(bufio.NewReaderSize(from, snapshotRead), done)
	if err == nil {
		mark, at, view := m.freeze()
		err = m.keepImage(mark, at, view, atOnce)
	}
	if err == nil {
		err = m.checkpoint()
	}
	if err != nil {
		return fmt.Errorf("recover shard %d from a snapshot: %w", m.shard, err)
	}
	mark := filepath.Join(m.dir, recoveringName)
	if err := m.fs.Remove(mark); err != nil {
		return err
	}
	return m.fs.SyncDir(m.dir)
}

func (m *machine) restore(from io.Reader, done <-chan struct{}) error {
	if err := writeFile(m.fs, filepath.Join(m.dir, recoveringName), nil); err != nil {
		return err
	}
	if err := m.discard(); err != nil {
		return err
	}
	m.digests.forget()
	sections := &sectionReader{from: from}
	head, err := sections.next()
	if err != nil {
		return err
	}
	r := &wire.Reader{Rest: head}
	index := r.Uint()
	if r.Err != nil {
		return fault.New(fault.Corrupt, "corrupt", "the head of a snapshot does not decode")
	}
	s, err := readImage(sections, done)
	if err != nil {
		return err
	}
	stateLog, err := log.Open(m.stateDir(), m.logOptions(&log.SyncPoint{Mark: log.Mark(index)}))
	if err != nil {
		return err
	}
	logs := make(map[state.PartitionID]*log.Partition)
	for _, id := range s.Partitions() {
		first := s.Partition(id).First
		point := log.SyncPoint{Segment: first, Next: first}
		if logs[id], err = m.openPartition(id, &point); err != nil {
			return err
		}
	}
	if err := restoreRecords(sections, logs, log.Mark(index), done); err != nil {
		return errors.Join(err, closeLogs(stateLog, logs))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.stateLog, m.logs, m.applied, m.dropped, m.restoring = s, stateLog, logs, index, nil, false
	m.recent.reset(s.DocVersion())
	close(m.changed)
	m.changed = make(chan struct{})
	m.advance()
	return nil
}

// discard closes and removes what the machine holds. Until the new state is there readers
// have the old one, and are told to come again for the records.
func (m *machine) discard() error {
	m.mu.Lock()
	logs, stateLog := m.logs, m.stateLog
	m.logs, m.stateLog, m.restoring = make(map[state.PartitionID]*log.Partition), nil, true
	m.image, m.images = imageMark{}, nil
	m.mu.Unlock()
	return errors.Join(closeLogs(stateLog, logs), m.removeAll())
}

// closeLogs gives up the files of a machine; there may be no state log.
func closeLogs(stateLog *log.Partition, logs map[state.PartitionID]*log.Partition) error {
	var errs []error
	if stateLog != nil {
		errs = append(errs, stateLog.Close())
	}
	for _, p := range logs {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

func restoreRecords(sections *sectionReader, logs map[state.PartitionID]*log.Partition, mark log.Mark, done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return sm.ErrSnapshotStopped
		default:
		}
		body, err := sections.next()
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return nil
		}
		r := &wire.Reader{Rest: body}
		id, base, timeMs := readPartitionID(r), log.Offset(r.Uint()), int64(r.Uint())
		block := log.Block{Count: int(r.Uint()), Bytes: r.Rest}
		p := logs[id]
		if r.Err != nil || p == nil || block.Check() != nil {
			return fault.New(fault.Corrupt, "corrupt", "a snapshot section does not decode")
		}
		got, err := p.Append(log.Batch{Mark: mark, TimeMs: timeMs, Blocks: []log.Block{block}})
		if err != nil {
			return err
		}
		if got != base {
			return fault.New(fault.Corrupt, "corrupt", "a snapshot goes on at offset %d of partition %v where %d was due", base, id, got)
		}
	}
}
