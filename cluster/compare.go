package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"leat/cluster/state"
	"leat/internal/fault"
	"leat/log"
)

// Replicas of a shard are the same by construction; a defect of ours, or of the memory
// of a machine, could have them differ all the same, and nobody would notice. So now and
// then the leader proposes cmdCompare. Every replica takes a digest of its state where it
// applies that, tells the others when they ask where it stands, and stops for good where
// a majority has another one at the same index.

// Digest is what a replica had at a raft index, as a sum.
type Digest struct{ Index, Sum uint64 }

// digestsKept is how many digests of a shard a node tells of: others may be behind.
const digestsKept = 8

// digests are those of one machine. The sum over what was appended since the last
// comparison is known only to a machine that has appended all of it in this life; one
// that has not takes no digest the next time.
type digests struct {
	sum   uint64 // of Update alone
	known bool   // of Update alone

	mu     sync.Mutex
	undone []*undoneDigest // marks whose sums are not known yet, ascending
	taken  []Digest        // ascending
}

// undoneDigest is what a digest is the sum of.
type undoneDigest struct {
	index uint64
	sum   uint64 // over what was appended
	view  *state.View
	ends  []partitionEnd
}

type partitionEnd struct {
	id   state.PartitionID
	next log.Offset
}

// digest adds the state and the ends of the partitions to the sum.
func (u *undoneDigest) digest() Digest {
	image := xxhash.New()
	_ = u.view.Image(imagePiece, func(piece []byte) error {
		_, err := image.Write(piece)
		return err
	})
	sum := mix(u.sum, image.Sum64())
	for _, end := range u.ends {
		sum = mix(sum, end.id.Topic, uint64(end.id.Partition), uint64(end.next))
	}
	return Digest{u.index, sum}
}

// mix adds numbers to a sum.
func mix(sum uint64, numbers ...uint64) uint64 {
	var buf [8 * 8]byte
	b := binary.LittleEndian.AppendUint64(buf[:0], sum)
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return xxhash.Sum64(b)
}

// appended notes what an entry has appended to a partition.
func (d *digests) appended(f *openFrame) {
	if f.replay {
		d.known = false
		return
	}
	for i := range f.batch.Blocks {
		b := &f.batch.Blocks[i]
		d.sum = mix(d.sum, f.id.Topic, uint64(f.id.Partition), uint64(f.base), uint64(b.Count), xxhash.Sum64(b.Bytes))
	}
}

// forget is for a machine whose state comes from elsewhere.
func (d *digests) forget() {
	d.known = false
	d.mu.Lock()
	defer d.mu.Unlock()
	d.undone, d.taken = nil, nil
}

// complete finds the sums of the marks that have been applied. Update goes on meanwhile.
func (d *digests) complete() {
	for {
		d.mu.Lock()
		if len(d.undone) == 0 {
			d.mu.Unlock()
			return
		}
		first := d.undone[0]
		d.mu.Unlock()
		sum := first.digest()
		d.mu.Lock()
		if len(d.undone) > 0 && d.undone[0] == first { // not forgotten
			d.undone = d.undone[1:]
			d.taken = append(d.taken, sum)
			d.taken = slices.Clone(d.taken[max(0, len(d.taken)-digestsKept):])
		}
		d.mu.Unlock()
	}
}

// all are the digests kept. The result is not to be changed.
func (d *digests) all() []Digest {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.taken)
}

// applyCompare takes a digest: of the state, of where the partitions end, and of what was
// appended to them since the last one. It only notes what that is: see complete.
func (m *machine) applyCompare(dst []byte, index uint64) []byte {
	u := &undoneDigest{index: index, sum: m.digests.sum}
	known := m.digests.known
	for _, id := range m.state.Partitions() {
		p := m.logs[id]
		// While entries are applied again partitions are ahead of them.
		known = known && p.LastMark() < log.Mark(index)
		u.ends = append(u.ends, partitionEnd{id, p.Next()})
	}
	m.digests.sum, m.digests.known = 0, true
	if known {
		m.publish(func() { u.view = m.state.Freeze() })
		m.digests.mu.Lock()
		defer m.digests.mu.Unlock()
		m.digests.undone = append(m.digests.undone, u)
	}
	return appendAnswer(dst, answered, nil)
}

// compare has the replicas of the shards that this node leads compared, until ctx ends.
func (n *Node) compare(ctx context.Context) {
	tick := time.NewTicker(n.config.CompareEvery)
	defer tick.Stop()
	compared := make(map[uint64]uint64)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, id := range n.shardIDs() {
			s := n.shards[id]
			if !s.leads() || s.machine.appliedIndex() == compared[id] {
				continue
			}
			_, _, r, err := s.call(ctx, commandHeader, encodeCompare)
			switch {
			case err == nil:
				compared[id] = r.index
			case ctx.Err() == nil:
				n.config.Logger.Warn("replicas not compared", "shard", id, "error", err)
			}
		}
	}
}

// judge looks whether a majority of the nodes has another state than this one, or than
// another one.
func (n *Node) judge() {
	for _, id := range n.shardIDs() {
		own := n.shards[id].machine.digests.all()
		for _, d := range slices.Backward(own) {
			if n.judgeAt(id, d) {
				break
			}
		}
	}
}

// judgeAt compares the digests of one index; false where no majority has the same.
func (n *Node) judgeAt(shard uint64, own Digest) bool {
	r := n.roster.Load()
	votes := map[uint64]int{own.Sum: 1}
	others := make(map[*neighbour]uint64)
	for _, p := range r.peers {
		stand := p.stand.Load()
		if stand == nil {
			continue
		}
		for _, d := range stand.Digests[shard] {
			if d.Index == own.Index {
				others[p] = d.Sum
				votes[d.Sum]++
			}
		}
	}
	for sum, count := range votes {
		if count <= len(r.Members)/2 {
			continue
		}
		if sum != own.Sum {
			n.stopDiverged(shard, own.Index)
			return true
		}
		n.shards[shard].compared.Store(own.Index)
		for p, theirs := range others {
			if theirs == sum {
				p.diverged.Delete(shard)
			} else {
				n.tellDiverged(p, shard, own.Index)
			}
		}
		return true
	}
	return false
}

// divergedName is the file that marks a directory that is not to be used any more. It
// holds the reason.
const divergedName = "diverged"

// stopDiverged ends this node for good: nobody can tell since when and in what its state
// is wrong.
func (n *Node) stopDiverged(shard, index uint64) {
	reason := fault.New(fault.Corrupt, "diverged",
		"the state of shard %d is not that of the majority at raft index %d: this directory must not be used any more", shard, index)
	n.ready.Store(false)
	err := writeFile(n.config.FS, filepath.Join(n.config.Dir, divergedName), []byte(reason.Message+"\n"))
	var telling sync.WaitGroup
	for _, p := range n.roster.Load().peers {
		telling.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), lookEvery)
			defer cancel()
			_ = n.network.Call(ctx, p.ID, "Diverged", &Divergence{n.identity.ReplicaID, shard, index}, new(int))
		})
	}
	telling.Wait()
	if err != nil {
		n.config.Logger.Error("the directory is not marked as one that must not be used", "error", err)
	}
	n.book.end(reason)
}

// Divergence is what a node says of itself as its last word.
type Divergence struct{ Replica, Shard, Index uint64 }

// Diverged notes that another node stops.
func (s *service) Diverged(d *Divergence, _ *int) error {
	if p := s.node.roster.Load().peers[d.Replica]; p != nil {
		s.node.tellDiverged(p, d.Shard, d.Index)
	}
	return nil
}

// tellDiverged tells the operator, once, that a node has another state than the majority.
func (n *Node) tellDiverged(p *neighbour, shard, index uint64) {
	if _, known := p.diverged.LoadOrStore(shard, index); !known {
		n.config.Logger.Error("a node has another state than the majority and stops", "node", p.ID, "shard", shard, "index", index)
	}
}

// refuseDiverged refuses a directory that stopDiverged has marked.
func refuseDiverged(c Config) error {
	name := filepath.Join(c.Dir, divergedName)
	reason, err := readFile(c.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fault.New(fault.Corrupt, "diverged", "%s: %s", name, reason)
}

// divergedShards are the shards in which a node has another state than the majority.
func (p *neighbour) divergedShards() (shards []uint64) {
	p.diverged.Range(func(shard, _ any) bool {
		shards = append(shards, shard.(uint64))
		return true
	})
	slices.Sort(shards)
	return shards
}
