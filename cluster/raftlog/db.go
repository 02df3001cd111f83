package raftlog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/raftio"

	"leat/internal/fault"
	"leat/log"
)

// Name is what dragonboat records about the kind of its log store.
const Name = "leat-raftlog"

const defaultSegmentBytes = 64 << 20

// Options sets a log up. The zero value is ready to use.
type Options struct {
	// FS is the file system, the machine's where nil.
	FS log.FS
	// SegmentBytes is the size at which a file is closed and the next one
	// begun, 64 MiB where zero. A round that is larger has a file for itself.
	SegmentBytes int64
	// OnDurable is called after the sync that covers a replica's entries with
	// the index of the last of them, by the goroutine that saved them; calls
	// for one shard come in order. It must not call back into the log. May be
	// nil.
	OnDurable func(shardID, index uint64)
}

// Factory opens the log for a dragonboat node host. It satisfies
// config.LogDBFactory.
type Factory struct {
	dir     string
	options Options
	db      atomic.Pointer[DB]
}

var (
	_ config.LogDBFactory = (*Factory)(nil)
	_ raftio.ILogDB       = (*DB)(nil)
)

// NewFactory returns a factory for the log in dir, which is made where it is
// missing. One process at a time may have it open; the lock dragonboat takes on
// the node host's directory sees to that.
func NewFactory(dir string, o Options) *Factory { return &Factory{dir: dir, options: o} }

// Create opens the log. The directories dragonboat offers are not used.
func (f *Factory) Create(config.NodeHostConfig, config.LogDBCallback, []string, []string) (raftio.ILogDB, error) {
	db, err := Open(f.dir, f.options)
	if err != nil {
		return nil, err
	}
	f.db.Store(db)
	return db, nil
}

// Name returns the constant Name.
func (f *Factory) Name() string { return Name }

// DB returns the log that Create opened last, nil before.
func (f *Factory) DB() *DB { return f.db.Load() }

// DB is the log of a node: a sequence of segment files and an index of them in
// memory. Its methods may be called concurrently.
//
// When SaveRaftState, SaveSnapshots, SaveBootstrapInfo, RemoveNodeData or
// ImportSnapshot return nil, what they saved survives a power cut; a change of
// the commit index alone may be lost again, which raft allows. After a write or
// a sync has failed every later write fails with the same error: what is on the
// disk is then unknown, and only opening the log anew finds out.
type DB struct {
	dir          string
	fs           log.FS
	segmentBytes int64
	onDurable    func(shardID, index uint64)

	mu       sync.Mutex // guards what follows; taken before commit.mu
	replicas map[raftio.NodeInfo]*replica
	segments []*segment // oldest first, the last one is written
	mark     watermark
	markFile log.File
	indexed  place  // where the saved index stands
	trusted  []part // what Open has not verified; VerifyNext does
	damaged  bool   // VerifyNext found damage: no index is saved any more
	failed   error  // why the log takes no more writes
	closed   bool

	commit  groupCommit
	bytes   atomic.Int64 // length of the segment files
	free    freeList
	reclaim sync.Mutex // held by the one goroutine that frees segments
}

// Open opens the log in dir. Where an index was saved it verifies what was written
// after that and what raft is about to read, otherwise every byte. A torn last write
// is cut off, and what was cut is kept beside the segment as "*.torn". Damage
// anywhere else is a fault Corrupt, raft_log_corrupt, with the file and the
// byte offset; a log that lost its end is a fault Corrupt, log_truncated.
// Nothing is changed in either case. What the index told is verified when it is read
// and by VerifyNext.
func Open(dir string, o Options) (*DB, error) {
	db := &DB{
		dir:          dir,
		fs:           o.FS,
		segmentBytes: o.SegmentBytes,
		onDurable:    o.OnDurable,
		replicas:     make(map[raftio.NodeInfo]*replica),
	}
	if db.fs == nil {
		db.fs = log.OS()
	}
	if db.segmentBytes <= 0 {
		db.segmentBytes = defaultSegmentBytes
	}
	db.commit.init()
	if err := db.recover(); err != nil {
		return nil, fmt.Errorf("open raft log: %w", errors.Join(err, db.closeFiles()))
	}
	return db, nil
}

// Name returns the constant Name.
func (db *DB) Name() string { return Name }

// BinaryFormat is the version of the format, which dragonboat compares with the
// one it recorded.
func (db *DB) BinaryFormat() uint32 { return formatVersion }

// SizeBytes is the length of the segment files, without zeros written ahead.
// It shrinks when snapshots let entries be removed.
func (db *DB) SizeBytes() int64 { return db.bytes.Load() }

// DurableIndex is the last index of a replica that this node has synced, 0
// where it has none. It falls when a new leader voids entries.
func (db *DB) DurableIndex(shardID, replicaID uint64) uint64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	if r := db.replicas[raftio.NodeInfo{ShardID: shardID, ReplicaID: replicaID}]; r != nil {
		return r.durable
	}
	return 0
}

// Close syncs what is written, saves the index and closes the files.
// Closing again does nothing.
func (db *DB) Close() error {
	db.reclaim.Lock()
	defer db.reclaim.Unlock()
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	var err error
	if db.failed == nil {
		seg := db.active()
		end := seg.base + uint64(seg.end)
		if err = seg.file.Sync(); err == nil {
			db.commit.advance(end)
			err = db.saveWatermark(db.segments[0].sequence, end)
		}
		if err == nil && db.indexed.lsn() != end && !db.damaged {
			err = db.closeIndex()
		}
		db.failed = fault.New(fault.Unavailable, "shutting_down", "the raft log is closed")
	}
	db.commit.fail(db.failed)
	if err = errors.Join(err, db.closeFiles()); err != nil {
		return fmt.Errorf("close raft log: %w", err)
	}
	return nil
}

func (db *DB) closeFiles() error {
	var errs []error
	for _, seg := range db.segments {
		errs = append(errs, seg.retire())
	}
	if db.markFile != nil {
		errs = append(errs, db.markFile.Close())
		db.markFile = nil
	}
	return errors.Join(errs...)
}

func (db *DB) sortedIDs() []raftio.NodeInfo {
	ids := make([]raftio.NodeInfo, 0, len(db.replicas))
	for id := range db.replicas {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(x, y raftio.NodeInfo) int {
		return cmp.Or(cmp.Compare(x.ShardID, y.ShardID), cmp.Compare(x.ReplicaID, y.ReplicaID))
	})
	return ids
}
