package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"leat/cluster/state"
	"leat/internal/fault"
	"leat/log"
)

// machine is the state machine of one shard on one node: the records of its
// partitions in segment files, and a state.State in memory that its state log
// and checkpoint bring back.
//
// Update takes nothing but its entries: no clock, no randomness, no order of a
// map. It is the only writer; mu lets readers look at what it publishes.
//
// What survives what: entries reach Update after the raft log has them on stable
// storage, so nothing here is synced before an answer. After a crash of the
// process the page cache is intact and Open goes on from the last finished
// Update; after a crash of the machine it goes back to the checkpoint, and raft
// applies the entries above it again. An entry that a partition already has is
// recognised by its mark and not written twice.
type machine struct {
	shard uint64
	dir   string
	fs    log.FS
	boot  string

	writer  sync.Mutex // what Update and a background checkpoint must not do at once
	mu      sync.RWMutex
	state   *state.State
	logs    map[state.PartitionID]*log.Partition
	applied uint64

	checkpointed uint64        // index of the last durable checkpoint
	changed      chan struct{} // closed when a document changes
	advanced     chan struct{} // closed when applied grows; nil where nobody waits for it
	recent       recentChanges
	closed       bool
	restoring    bool // a snapshot is being put in: there are no records to be read
	stateLog     *log.Partition
	dropped      []state.PartitionID // files to remove after the next checkpoint
	digests      digests

	image    imageMark    // the last one that is durable; guarded by mu
	imagedAt int64        // logged when it was made; guarded by mu
	images   []uint64     // the images there are files of; guarded by mu
	named    uint64       // the image of the last durable checkpoint; guarded by mu
	logged   atomic.Int64 // bytes of the state log that were written or read since Open

	taken atomic.Uint64 // bytes of entries applied since Open

	// Of Update alone.
	ops    []byte                           // encoded operations of the Update under way
	groups map[state.PartitionID]*openFrame // appends of the entry under way
	order  []*openFrame
	held   bool // files and mu are held until the entry's frames are written

	// Whoever needs several locks takes them in this order, then writer, files, mu.
	imaging       sync.Mutex // one image at a time
	checkpointing sync.Mutex // one checkpoint at a time
	files         sync.Mutex // opening a new partition against removing an old one
	pins          int        // snapshots being streamed: files stay; guarded by mu
}

// openFrame gathers what one entry appends to one partition.
type openFrame struct {
	id     state.PartitionID
	log    *log.Partition
	replay bool // the partition has this entry's records already
	base   log.Offset
	next   log.Offset
	batch  log.Batch
}

func newMachine(shard uint64, dir string, files log.FS, boot string) *machine {
	return &machine{
		shard:   shard,
		dir:     dir,
		fs:      files,
		boot:    boot,
		state:   state.New(),
		logs:    make(map[state.PartitionID]*log.Partition),
		changed: make(chan struct{}),
		groups:  make(map[state.PartitionID]*openFrame),
	}
}

func (m *machine) partitionDir(id state.PartitionID) string {
	return filepath.Join(m.dir, "p", strconv.FormatUint(id.Topic, 10)+"-"+strconv.Itoa(int(id.Partition)))
}

func (m *machine) stateDir() string { return filepath.Join(m.dir, "state") }

// Update applies entries in order and answers each.
func (m *machine) Update(entries []sm.Entry) ([]sm.Entry, error) {
	m.writer.Lock()
	defer m.writer.Unlock()
	m.ops = m.ops[:0]
	for i := range entries {
		m.taken.Add(uint64(len(entries[i].Cmd)))
		answers, err := m.applyEntry(&entries[i])
		if err != nil {
			return nil, fmt.Errorf("apply raft entry %d of shard %d: %w", entries[i].Index, m.shard, err)
		}
		entries[i].Result = sm.Result{Value: entries[i].Index, Data: answers}
	}
	last := entries[len(entries)-1].Index
	if err := m.writeState(last); err != nil {
		return nil, fmt.Errorf("write the state log of shard %d: %w", m.shard, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied = last
	m.advance()
	if changes := m.state.TakeChanges(); len(changes) > 0 {
		m.recent.add(changes)
		close(m.changed)
		m.changed = make(chan struct{})
	}
	return entries, nil
}

// advance wakes who waits for applied. It needs mu.
func (m *machine) advance() {
	if m.advanced != nil {
		close(m.advanced)
		m.advanced = nil
	}
}

// awaitApplied returns once an entry has been applied here, or with false once ctx
// has ended or the machine is closed.
func (m *machine) awaitApplied(ctx context.Context, index uint64) bool {
	for {
		m.mu.Lock()
		if m.applied >= index || m.closed {
			defer m.mu.Unlock()
			return m.applied >= index
		}
		if m.advanced == nil {
			m.advanced = make(chan struct{})
		}
		advanced := m.advanced
		m.mu.Unlock()
		select {
		case <-advanced:
		case <-ctx.Done():
			return false
		}
	}
}

// writeState ends an Update: its one record says that all before it is written.
func (m *machine) writeState(index uint64) error {
	var block log.Block
	block.Add(nil, m.ops)
	batch := log.Batch{Mark: log.Mark(index), TimeMs: m.state.LogTimeMs(), Blocks: []log.Block{block}}
	m.logged.Add(int64(len(block.Bytes)))
	_, err := m.stateLog.Append(batch)
	return err
}

// applyEntry applies the commands of one entry. A command that cannot be done
// changes nothing and says why in its answer; an error is damage on our side and
// ends the process.
func (m *machine) applyEntry(entry *sm.Entry) ([]byte, error) {
	defer m.release()
	var answers []byte
	var failure error
	err := forEachCommand(entry.Cmd, m.tick, func(kind commandKind, body []byte) error {
		answers, failure = m.applyCommand(answers, entry.Index, kind, body)
		return failure
	})
	if err != nil && failure == nil {
		// Every replica reads the same bytes, so every replica refuses them.
		return appendAnswer(answers, answerUnreadable, nil), nil
	}
	if err != nil {
		return nil, err
	}
	return answers, m.flushFrames(entry.Index)
}

// flushFrames writes what the entry appended, a frame a partition.
func (m *machine) flushFrames(index uint64) error {
	for _, f := range m.order {
		delete(m.groups, f.id)
		m.digests.appended(f)
		if f.replay || len(f.batch.Blocks) == 0 {
			continue
		}
		f.batch.Mark, f.batch.TimeMs = log.Mark(index), m.state.LogTimeMs()
		base, err := f.log.Append(f.batch)
		if err != nil {
			return fmt.Errorf("append to partition %v: %w", f.id, err)
		}
		if base != f.base {
			return fault.New(fault.Corrupt, "corrupt", "partition %v went on at offset %d where %d was answered", f.id, base, f.base)
		}
	}
	m.order = m.order[:0]
	return nil
}

// hold keeps readers out until the frames of the entry under way are written, so that
// they see documents only with the records of the same transaction. Locks are taken as
// removeDropped does.
func (m *machine) hold() {
	if !m.held {
		m.files.Lock()
		m.mu.Lock()
		m.held = true
	}
}

// release lets readers in again.
func (m *machine) release() {
	if m.held {
		m.held = false
		m.mu.Unlock()
		m.files.Unlock()
	}
}

// publish has f change what readers see.
func (m *machine) publish(f func()) {
	if !m.held {
		m.mu.Lock()
		defer m.mu.Unlock()
	}
	f()
}

// do applies a decided operation and keeps it for the state log.
func (m *machine) do(op state.Op) {
	m.publish(func() { m.doLocked(op) })
}

// doLocked is do for those who hold mu, so that readers see several operations at once.
func (m *machine) doLocked(op state.Op) {
	m.ops = op.Append(m.ops)
	op.Apply(m.state)
}

// Lookup answers the raft index applied so far, whatever it is asked.
func (m *machine) Lookup(any) (any, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.applied, nil
}

// Close gives up the files without syncing them: their safety does not depend
// on it.
func (m *machine) Close() error {
	m.writer.Lock()
	defer m.writer.Unlock()
	m.mu.Lock()
	logs, stateLog := m.logs, m.stateLog
	m.logs, m.stateLog = nil, nil
	if !m.closed {
		m.closed = true
		close(m.changed)
		m.advance()
	}
	m.mu.Unlock()
	return closeLogs(stateLog, logs)
}

// PrepareSnapshot, SaveSnapshot and RecoverFromSnapshot are in snapshot.go, Open
// and Sync in checkpoint.go.
var _ sm.IOnDiskStateMachine = (*machine)(nil)
