package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lni/dragonboat/v4"
	dbconfig "github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/raftio"
	sm "github.com/lni/dragonboat/v4/statemachine"

	"leat/cluster/peer"
	"leat/cluster/raftlog"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// Raft's clock, alone and in a cluster: an election follows 15 to 30 ticks without
// a heartbeat, 0.75 to 1.5 s in a cluster. With less, nodes that share a busy
// processor lose their leaders without need.
const (
	loneTickMs    = 10
	clusterTickMs = 50
	heartbeatTick = 2
	electionTick  = 15
)

// Node is one running node: its replicas of the metadata shard and of the data
// shards. All methods are safe for concurrent use, and answer only while Run
// runs.
//
// A write of a shard that another node leads is refused with NotLeader
// "not_leader", with member leader for the address of that node; through the Node
// that Forwarding returns it is done there.
type Node struct {
	*core
	forwards bool
}

// core is what a Node and its Forwarding are views of.
type core struct {
	config   Config
	book     *book         // nil of a lone node
	network  *peer.Network // nil of a lone node
	roster   atomic.Pointer[roster]
	adopting sync.Mutex
	identity identity
	lock     *os.File
	host     *dragonboat.NodeHost
	raftLog  *logStore
	shards   map[uint64]*shard
	data     []uint64 // ids of the data shards
	topicOps turnLock
	turns    sync.Map // topic number → *turns
	ready    atomic.Bool
	taking   atomic.Bool                   // commands of other nodes
	ending   atomic.Bool                   // nobody is to hand back what is handed over
	moved    atomic.Pointer[chan struct{}] // closed at the next change of a leader
	space    spaceGuard
}

// Open starts the node's replicas and returns once each is back where the raft
// log ends. It serves nothing until Run.
func Open(config Config) (*Node, error) {
	if config.FS == nil {
		config.FS = log.OS()
	}
	_, invitation, err := invited(&config)
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	config.Invitation = invitation
	config = config.withDefaults()
	if err := refuseForeignSettings(); err != nil {
		return nil, err
	}
	bridgeLogging(config.Logger)
	if err := makeDurable(config.FS, config.Dir); err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	lock, err := lockDir(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	n := &Node{core: &core{config: config, lock: lock, shards: make(map[uint64]*shard), topicOps: make(turnLock, 1)}}
	moved := make(chan struct{})
	n.moved.Store(&moved)
	if err := n.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open node in %s: %w", config.Dir, err), n.closeNetwork(), lock.Close())
	}
	return n, nil
}

// Forwarding is the same node with writes of shards led elsewhere done there.
func (n *Node) Forwarding() *Node { return &Node{core: n.core, forwards: true} }

func (n *Node) open() error {
	config := n.config
	if err := errors.Join(refuseDiverged(config), refuseFullDisk(config)); err != nil {
		return err
	}
	id, isNew, err := loadIdentity(config)
	if err != nil {
		return err
	}
	n.identity = id
	if err := n.meet(isNew); err != nil {
		return err
	}
	if isNew {
		if err := id.write(config, identityName(config)); err != nil {
			return err
		}
	}
	for i := range id.DataShards {
		n.data = append(n.data, firstDataShard+uint64(i))
	}
	if err := n.checkBegun(); err != nil {
		return err
	}
	n.raftLog = &logStore{factory: raftlog.NewFactory(filepath.Join(config.Dir, "raft"), raftlog.Options{FS: config.FS})}
	for _, shardID := range n.shardIDs() {
		if err := n.openShard(shardID); err != nil {
			return fmt.Errorf("open shard %d: %w", shardID, err)
		}
	}
	if n.host, err = openHost(n.hostConfig()); err != nil {
		return err
	}
	if err = n.startShards(); err != nil {
		n.host.Close()
	}
	return err
}

// openHost opens what dragonboat keeps for itself. Of damage there it panics, or gives
// neither a host nor an error.
func openHost(c dbconfig.NodeHostConfig) (host *dragonboat.NodeHost, err error) {
	defer func() {
		if cause := recover(); cause != nil || host == nil && err == nil {
			host, err = nil, fault.New(fault.Corrupt, "corrupt", "NODEHOST.ID or dragonboat.ds in %s is damaged: %v", c.NodeHostDir, cause).With("file", c.NodeHostDir)
		}
	}()
	return dragonboat.NewNodeHost(c)
}

// startShards has raft begin, unless this node has lost what raft relies on.
func (n *Node) startShards() error {
	for _, check := range []func() error{n.checkEnds, n.checkRemembered, n.begun} {
		if err := check(); err != nil {
			return err
		}
	}
	for _, shardID := range n.shardIDs() {
		if err := n.startShard(shardID); err != nil {
			return fmt.Errorf("start shard %d: %w", shardID, err)
		}
	}
	return nil
}

// shardIDs are the numbers of all shards, that of the metadata first.
func (n *Node) shardIDs() []uint64 { return append([]uint64{bus.MetaShard}, n.data...) }

// logStore remembers the raft log dragonboat opened, for its size.
type logStore struct {
	factory *raftlog.Factory
	db      atomic.Pointer[raftlog.DB]
}

// Name is that of the raft log's format.
func (s *logStore) Name() string { return s.factory.Name() }

// Create opens the raft log.
func (s *logStore) Create(c dbconfig.NodeHostConfig, info dbconfig.LogDBCallback, dirs, wals []string) (raftio.ILogDB, error) {
	opened, err := s.factory.Create(c, info, dirs, wals)
	if err != nil {
		return nil, err
	}
	if db, ok := opened.(*raftlog.DB); ok {
		s.db.Store(db)
	}
	return opened, nil
}

func (s *logStore) sizeBytes() int64 {
	if db := s.db.Load(); db != nil {
		return db.SizeBytes()
	}
	return 0
}

// tend keeps starts short: it saves the index, and verifies a part of what the last
// start did not.
func (s *logStore) tend() error {
	db := s.db.Load()
	if db.TailBytes() > indexBytes {
		if err := db.SaveIndex(); err != nil {
			return err
		}
	}
	_, err := db.VerifyNext(verifyBytes)
	return err
}

func (n *Node) hostConfig() dbconfig.NodeHostConfig {
	c := dbconfig.NodeHostConfig{
		NodeHostDir:       filepath.Join(n.config.Dir, "nodehost"),
		RTTMillisecond:    loneTickMs,
		RaftAddress:       n.identity.RaftAddress,
		RaftEventListener: leaderEvents{n.core},
		Expert: dbconfig.ExpertConfig{
			LogDBFactory:     n.raftLog,
			TransportFactory: loneTransport{},
			Engine:           engineConfig(),
			LogDB:            dbconfig.GetTinyMemLogDBConfig(),
		},
	}
	if n.network != nil {
		c.Expert.TransportFactory = n.network
		c.RTTMillisecond = clusterTickMs
		c.MaxSendQueueSize, c.MaxReceiveQueueSize = queueBytes, queueBytes
	}
	return c
}

// engineConfig is part of the on-disk format: dragonboat refuses to open a node
// with another number of execution shards.
func engineConfig() dbconfig.EngineConfig {
	return dbconfig.EngineConfig{ExecShards: 4, CommitShards: 4, ApplyShards: 4, SnapshotShards: 4, CloseShards: 4}
}

// openShard brings a shard's state back. Raft has no part in it yet.
func (n *Node) openShard(id uint64) error {
	m := newMachine(id, filepath.Join(n.config.Dir, "shards", strconv.FormatUint(id, 10)), n.config.FS, n.config.BootID)
	if _, err := m.Open(nil); err != nil {
		return err
	}
	s := &shard{id: id, self: n.identity.ReplicaID, machine: m, clock: newLogClock(n.config.Clock, n.agreedMs, m.logTimeMs())}
	s.lead.Store(&leadership{changed: make(chan struct{})})
	s.coalescer = newCoalescer(s, s.clock.nowMs)
	s.reads = newReadGate(s.confirm)
	n.shards[id] = s
	return nil
}

// startShard has raft take part in a shard.
func (n *Node) startShard(id uint64) error {
	s := n.shards[id]
	s.host, s.session = n.host, n.host.GetNoOPSession(id)
	create := func(uint64, uint64) sm.IOnDiskStateMachine { return s.machine }
	join := n.identity.Format == joinedFormat
	var members map[uint64]dragonboat.Target
	if !join {
		members = map[uint64]dragonboat.Target{n.identity.ReplicaID: n.identity.RaftAddress}
		for _, seat := range n.identity.Members {
			members[seat.ReplicaID] = seat.ID
		}
	}
	votes, err := n.votesAlready(id)
	if err != nil {
		return err
	}
	return n.host.StartOnDiskReplica(members, join, create, dbconfig.Config{
		IsNonVoting:        join && !votes,
		ReplicaID:          n.identity.ReplicaID,
		ShardID:            id,
		CheckQuorum:        true,
		PreVote:            true,
		ElectionRTT:        electionTick,
		HeartbeatRTT:       heartbeatTick,
		CompactionOverhead: 1000,
		WaitReady:          true,
	})
}

// Run serves until ctx ends, then closes the node and returns. It owns every
// goroutine of the node.
func (n *Node) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var tasks sync.WaitGroup
	for _, s := range n.shards {
		tasks.Go(func() { s.coalescer.run(ctx, n.config.Depth) })
		tasks.Go(func() { s.reads.run(ctx) })
	}
	lost := n.runNeighbours(ctx, stop, &tasks)
	var imaging error
	err := n.start(ctx)
	if err == nil {
		n.ready.Store(ctx.Err() == nil)
		tasks.Go(func() { n.expire(ctx) })
		tasks.Go(func() { n.enforceRetention(ctx) })
		tasks.Go(func() { n.watchSpace(ctx) })
		tasks.Go(func() {
			if imaging = n.saveImages(ctx); imaging != nil {
				stop()
			}
		})
		err = n.housekeep(ctx)
	}
	n.ready.Store(false)
	n.ending.Store(true)
	n.handOver()
	stop() // an error ends the tasks too
	tasks.Wait()
	n.host.Close()
	return errors.Join(err, imaging, lost(), n.lock.Close())
}

// start waits for leaders and finishes what a crash has left half done.
func (n *Node) start(ctx context.Context) error {
	for _, s := range n.shards {
		if err := n.awaitLeader(ctx, s); err != nil {
			return err
		}
	}
	if n.network != nil {
		return nil // whoever leads the metadata does, see runNeighbours
	}
	if err := n.reconcile(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("finish topic changes: %w", err)
	}
	for _, s := range n.shards {
		s.reads.lone.Store(ctx.Err() == nil)
	}
	return nil
}

// awaitLeader waits for a leader and then for this node to have caught up with
// it.
func (n *Node) awaitLeader(ctx context.Context, s *shard) error {
	tick := time.NewTicker(loneTickMs * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if s.lead.Load().id != 0 {
			err := s.reads.wait(ctx)
			if err == nil || fault.KindOf(err) != fault.Unavailable {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// housekeep checkpoints the shards and keeps the raft log short, until ctx ends.
func (n *Node) housekeep(ctx context.Context) error {
	tick := time.NewTicker(n.config.CheckpointEvery)
	defer tick.Stop()
	marks := make(map[uint64]uint64)
	for {
		select {
		case <-ctx.Done():
			return n.checkpointAll(marks)
		case <-tick.C:
		}
		if err := n.checkpointAll(marks); err != nil {
			return err
		}
		for _, s := range n.shards {
			s.machine.digests.complete()
		}
		if n.raftLog.db.Load().ReplayBytes() > n.config.RaftLogBytes {
			n.compact(ctx)
		}
		if err := n.raftLog.tend(); err != nil {
			return err
		}
	}
}

// expire moves log time on in shards where a document's time has come and nobody
// writes.
func (n *Node) expire(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, s := range n.shards {
			if at := s.machine.nextExpiryMs(); !s.leads() || at == 0 || at > s.clock.nowMs() {
				continue
			}
			if _, _, _, err := s.call(ctx, commandHeader, encodeTick); err != nil && ctx.Err() == nil {
				n.config.Logger.Warn("documents not expired in time", "shard", s.id, "error", err)
			}
		}
	}
}

// checkpointAll makes durable what shards have applied since the last time.
func (n *Node) checkpointAll(marks map[uint64]uint64) error {
	for id, s := range n.shards {
		applied := s.machine.appliedIndex()
		if applied == marks[id] && s.machine.imageNamed() || s.machine.ended() {
			continue
		}
		if err := s.machine.Sync(); err != nil && !s.machine.ended() {
			return fault.New(fault.Internal, "internal", "make the state durable: %w", err)
		}
		marks[id] = applied
	}
	return nil
}

// compact asks every shard for a snapshot, which for a machine on disk is a
// mark in the raft log, and drops the entries below.
func (n *Node) compact(ctx context.Context) {
	for id := range n.shards {
		keep := n.keptEntries(id)
		option := dragonboat.SnapshotOption{OverrideCompactionOverhead: true, CompactionOverhead: keep}
		timeout, cancel := context.WithTimeout(ctx, proposeTimeout)
		_, err := n.host.SyncRequestSnapshot(timeout, id, option)
		cancel()
		if err != nil && !errors.Is(err, dragonboat.ErrRejected) && ctx.Err() == nil {
			n.config.Logger.Warn("raft log not compacted", "shard", id, "error", err)
		}
	}
}

// keptEntries is how many entries of a shard a compaction leaves: in a cluster a
// quarter, for a follower that is away for a short time.
func (n *Node) keptEntries(shard uint64) uint64 {
	const least, share = 100, 4
	if n.network == nil {
		return least
	}
	reader, err := n.host.GetLogReader(shard)
	if err != nil {
		return least
	}
	first, last := reader.GetRange()
	return max(least, (max(first, last)-first)/share)
}

// Shards tells where the node's shards stand, by number.
func (n *Node) Shards() []bus.Shard {
	var all []bus.Shard
	for _, id := range n.shardIDs() {
		s := n.shards[id]
		lead := s.lead.Load()
		stand := s.machine.standing()
		stand.ID, stand.LeaderID, stand.Term = id, lead.id, lead.term
		stand.QueuedBytes, stand.Compared = s.coalescer.queuedBytes(), s.compared.Load()
		all = append(all, stand)
	}
	return all
}

// RaftLogBytes is the size of the raft log on disk.
func (n *Node) RaftLogBytes() int64 { return n.raftLog.sizeBytes() }

// ID is the node's replica number in every shard.
func (n *Node) ID() uint64 { return n.identity.ReplicaID }

// Barrier returns once everything acknowledged before the call, by any node, can
// be read here.
func (n *Node) Barrier(ctx context.Context) error {
	for _, id := range n.shardIDs() {
		if err := n.shards[id].upToDate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Confirm is Barrier for one shard: a read after it is linearizable.
func (n *Node) Confirm(ctx context.Context, shard uint64) error {
	s := n.shards[shard]
	if s == nil {
		return fault.New(fault.Internal, "internal", "there is no shard %d", shard)
	}
	return s.upToDate(ctx)
}

// refuseForeignSettings keeps dragonboat from being configured by files that
// happen to lie in the working directory: it reads them before anything else
// runs, and some change the format on disk.
func refuseForeignSettings() error {
	for _, name := range []string{"dragonboat-hard-settings.json", "dragonboat-soft-settings.json"} {
		if _, err := os.Stat(name); err == nil {
			return fault.New(fault.Invalid, "foreign_settings",
				"%s in the working directory would change the raft library's settings; start leat elsewhere", name)
		}
	}
	return nil
}
