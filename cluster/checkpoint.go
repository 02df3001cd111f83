package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"leat/cluster/state"
	"leat/internal/fault"
	"leat/log"
)

// recoveringName marks a directory whose contents are being replaced by a
// snapshot: they are worth nothing until the mark is gone.
const recoveringName = "recovering"

// Open brings the machine back, unless the node has done so already, and returns
// the raft index it stands at, never less than a checkpoint vouched for. The node
// comes first so that damage ends its start with an error: dragonboat panics.
func (m *machine) Open(<-chan struct{}) (uint64, error) {
	m.checkpointing.Lock()
	defer m.checkpointing.Unlock()
	m.writer.Lock()
	defer m.writer.Unlock()
	if m.stateLog != nil {
		return m.applied, nil
	}
	index, err := m.open()
	if err != nil {
		return 0, fmt.Errorf("open shard %d: %w", m.shard, err)
	}
	return index, nil
}

func (m *machine) open() (uint64, error) {
	if err := makeDurable(m.fs, filepath.Join(m.dir, "p")); err != nil {
		return 0, err
	}
	if err := m.clearInterrupted(); err != nil {
		return 0, err
	}
	c, err := readCheckpoint(m.fs, m.dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return 0, err
	}
	if fresh {
		if c, err = m.firstCheckpoint(); err != nil {
			return 0, err
		}
	}
	kept := c.boot == m.boot
	if err := m.openFiles(c, kept); err != nil {
		return 0, err
	}
	if kept && m.torn() {
		kept = false
		if err := m.closeFiles(); err != nil {
			return 0, err
		}
		if err := m.openFiles(c, kept); err != nil {
			return 0, err
		}
	}
	if err := m.findOrphans(); err != nil {
		return 0, err
	}
	if kept {
		return m.applied, nil
	}
	return m.applied, m.checkpoint()
}

// makeDurable makes a directory with the parents it lacks, and their names
// durable. Parents that were there already are somebody else's to vouch for.
func makeDurable(files log.FS, dir string) error {
	root := dir
	for root != filepath.Dir(root) {
		_, err := files.List(root)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		root = filepath.Dir(root)
	}
	if err := files.MkdirAll(dir); err != nil {
		return err
	}
	for ; dir != root; dir = filepath.Dir(dir) {
		if err := files.SyncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// clearInterrupted empties the directory when a snapshot was being put in.
func (m *machine) clearInterrupted() error {
	mark := filepath.Join(m.dir, recoveringName)
	f, err := m.fs.Open(mark)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := m.removeAll(); err != nil {
		return err
	}
	return m.fs.Remove(mark)
}

// firstCheckpoint is that of a shard that has applied nothing. A directory that
// holds data but no checkpoint has lost it.
func (m *machine) firstCheckpoint() (*checkpoint, error) {
	for _, dir := range []string{m.stateDir(), filepath.Join(m.dir, "p")} {
		names, err := m.fs.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if len(names) > 0 {
			return nil, fault.New(fault.Corrupt, "corrupt", "%s holds data, but %s is gone", dir, checkpointName(m.dir))
		}
	}
	c := &checkpoint{boot: m.boot}
	return c, writeFile(m.fs, checkpointName(m.dir), c.encode())
}

// openStateLog applies the operations that came after the image: all of them, if the
// kernel that took them is still the one running; otherwise what came after the
// checkpoint may have gaps in time against the other files, and is cut off.
func (m *machine) openStateLog(c *checkpoint, kept bool) error {
	p, err := log.Open(m.stateDir(), m.logOptions(&c.stateSync))
	if err != nil {
		return err
	}
	m.stateLog, m.applied = p, c.index
	if !kept {
		if err := p.CutAfter(log.Mark(c.index)); err != nil {
			return err
		}
	}
	var frames log.Frames
	for from := c.image.next; from < p.Next(); from = frames.Next() {
		frames, err = p.Read(from, 1<<20, frames.Bytes())
		if err != nil {
			return err
		}
		records := frames.Records(from)
		for r, ok := records.Next(); ok; r, ok = records.Next() {
			if err := m.state.Replay(r.Value); err != nil {
				return fault.New(fault.Corrupt, "corrupt", "state log %s, record %d: %w", m.stateDir(), r.Offset, err)
			}
			m.state.TakeChanges()
			m.logged.Add(int64(len(r.Value)))
		}
		if err := records.Err(); err != nil {
			return err
		}
	}
	m.applied = max(m.applied, uint64(p.LastMark()))
	m.recent.reset(m.state.DocVersion())
	return nil
}

func (m *machine) openPartitions(c *checkpoint) error {
	points := make(map[state.PartitionID]log.SyncPoint, len(c.partitions))
	for _, p := range c.partitions {
		points[p.id] = p.point
	}
	for _, id := range m.state.Partitions() {
		point := points[id]
		p, err := m.openPartition(id, &point)
		if err != nil {
			return err
		}
		p.Trim(m.state.Partition(id).First)
		m.logs[id] = p
	}
	return nil
}

// openFiles brings back what a checkpoint has, and where kept is set what came after it.
func (m *machine) openFiles(c *checkpoint, kept bool) error {
	m.logged.Store(0)
	if err := m.openImage(c.image); err != nil {
		return err
	}
	if err := m.openStateLog(c, kept); err != nil {
		return err
	}
	return m.openPartitions(c)
}

// closeFiles closes what openFiles has opened.
func (m *machine) closeFiles() error {
	err := m.stateLog.Close()
	for id, p := range m.logs {
		err = errors.Join(err, p.Close())
		delete(m.logs, id)
	}
	return err
}

// torn tells whether the files of a partition ended in what is no frame. Of a process that
// was killed only the last Update may have left that, but damage looks the same, and what
// it has cost is of entries that the state log has as applied: gone on from there, the
// records after it would get the offsets of those that are gone. So the machine goes back
// to the checkpoint, as after a crash of the machine: raft applies what came after it
// again, and what a partition still has is not written twice.
func (m *machine) torn() bool {
	for _, p := range m.logs {
		if p.Torn() {
			return true
		}
	}
	return false
}

// openPartition opens the files of a partition. A nil point is for one that is
// new to the state: what an Update that did not finish has left is verified like
// a tail.
func (m *machine) openPartition(id state.PartitionID, point *log.SyncPoint) (*log.Partition, error) {
	if point == nil {
		point = &log.SyncPoint{}
	}
	return log.Open(m.partitionDir(id), m.logOptions(point))
}

func (m *machine) logOptions(point *log.SyncPoint) log.Options {
	return log.Options{FS: m.fs, Synced: point, Root: filepath.Dir(m.dir)}
}

// findOrphans finds the files of partitions the state does not know: dropped
// ones, or new ones of an Update that did not finish. They go after the next
// checkpoint.
func (m *machine) findOrphans() error {
	names, err := m.fs.List(filepath.Join(m.dir, "p"))
	if err != nil {
		return err
	}
	for _, name := range names {
		id, ok := parsePartitionDir(name)
		if ok && m.state.Partition(id) == nil {
			m.dropped = append(m.dropped, id)
		}
	}
	return nil
}

func parsePartitionDir(name string) (state.PartitionID, bool) {
	topic, partition, ok := strings.Cut(name, "-")
	t, err1 := strconv.ParseUint(topic, 10, 64)
	p, err2 := strconv.ParseInt(partition, 10, 32)
	return state.PartitionID{Topic: t, Partition: int32(p)}, ok && err1 == nil && err2 == nil
}

// Sync takes a checkpoint. Dragonboat calls it before it compacts the raft log;
// the node calls checkpoint in between so that little is left to do here.
func (m *machine) Sync() error {
	if err := m.takeCheckpoint(); err != nil {
		return fmt.Errorf("checkpoint shard %d: %w", m.shard, err)
	}
	return nil
}

// takeCheckpoint may run beside Update.
func (m *machine) takeCheckpoint() error {
	m.checkpointing.Lock()
	defer m.checkpointing.Unlock()
	m.writer.Lock()
	cut := m.cut()
	m.writer.Unlock()
	return m.finish(cut)
}

// checkpoint is takeCheckpoint for those who hold checkpointing and writer.
func (m *machine) checkpoint() error { return m.finish(m.cut()) }

// cutPoint is a consistent cut, before it is durable.
type cutPoint struct {
	checkpoint
	logs    map[state.PartitionID]*log.Partition
	first   map[state.PartitionID]log.Offset
	dropped []state.PartitionID
	state   *log.Partition
}

// cut needs writer: no Update is under way.
func (m *machine) cut() *cutPoint {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := &cutPoint{
		checkpoint: checkpoint{index: m.applied, boot: m.boot, image: m.image},
		logs:       make(map[state.PartitionID]*log.Partition, len(m.logs)),
		first:      make(map[state.PartitionID]log.Offset, len(m.logs)),
		dropped:    append([]state.PartitionID{}, m.dropped...),
		state:      m.stateLog,
	}
	for id, p := range m.logs {
		c.logs[id], c.first[id] = p, m.state.Partition(id).First
	}
	return c
}

// finish makes a cut durable, then lets go of the files nobody needs any more.
// The files are synced after the cut was made and may hold more than it: what is
// newer is recognised by its mark. It needs checkpointing.
func (m *machine) finish(c *cutPoint) error {
	if c.state == nil {
		return errShuttingDown()
	}
	if m.standing().Checkpointed > c.index {
		return nil // a later cut was faster: what it says has been let go of since
	}
	var err error
	if c.stateSync, err = c.state.Sync(); err != nil {
		return err
	}
	for id, p := range c.logs {
		point, err := p.Sync()
		if err != nil {
			if m.gone(id) {
				continue // dropped meanwhile: its entries come after the cut
			}
			return fmt.Errorf("sync partition %v: %w", id, err)
		}
		c.partitions = append(c.partitions, partitionSync{id: id, point: point})
	}
	if err := writeFile(m.fs, checkpointName(m.dir), c.encode()); err != nil {
		return err
	}
	return m.letGo(c)
}

// gone tells whether a partition has been dropped or the machine closed.
func (m *machine) gone(id state.PartitionID) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.logs[id] == nil
}

// letGo removes what the durable checkpoint c no longer needs, unless a snapshot
// is being read.
func (m *machine) letGo(c *cutPoint) error {
	m.mu.Lock()
	m.checkpointed, m.named = c.index, c.image.index
	pinned := m.pins > 0
	if !pinned {
		m.dropped = slices.DeleteFunc(m.dropped, func(id state.PartitionID) bool { return slices.Contains(c.dropped, id) })
	}
	m.mu.Unlock()
	if err := m.removeImages(c.image.index); err != nil {
		return err
	}
	if pinned {
		return nil
	}
	for _, id := range c.dropped {
		if err := m.removeDropped(id); err != nil {
			return err
		}
	}
	for id, p := range c.logs {
		if p.First() == 0 || p.First() != c.first[id] {
			continue // trimmed further since: next time
		}
		if _, err := p.DropTrimmed(); err != nil && !m.gone(id) {
			return err
		}
	}
	c.state.Trim(c.image.next)
	_, err := c.state.DropTrimmed()
	return err
}

// removeDropped removes the files of a partition unless they have been found as
// an orphan's and then been opened again.
func (m *machine) removeDropped(id state.PartitionID) error {
	m.files.Lock()
	defer m.files.Unlock()
	if !m.gone(id) {
		return nil
	}
	return log.Remove(m.fs, m.partitionDir(id))
}

// removeAll empties the machine's directory but for the recovering mark.
func (m *machine) removeAll() error {
	names, err := m.fs.List(filepath.Join(m.dir, "p"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		if err := log.Remove(m.fs, filepath.Join(m.dir, "p", name)); err != nil {
			return err
		}
	}
	if err := log.Remove(m.fs, m.stateDir()); err != nil {
		return err
	}
	if names, err = m.fs.List(m.dir); err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, imagePrefix) {
			continue
		}
		if err := m.fs.Remove(filepath.Join(m.dir, name)); err != nil {
			return err
		}
	}
	if err := m.fs.Remove(checkpointName(m.dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return m.fs.SyncDir(m.dir)
}
