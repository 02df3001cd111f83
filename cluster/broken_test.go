package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dbconfig "github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/cluster/peer"
	"leat/internal/testenv"
)

// mute answers no call.
type mute struct{}

// Stand fails.
func (mute) Stand(int, *Standing) error { return errors.New("it is broken") }

// broken stops a node and is, to the others, that node with another program.
func (g *group) broken(t *testing.T, i int, credentials *peer.Credentials) *peer.Network {
	t.Helper()
	id, c := g.nodes[i].identity, g.configs[i]
	g.stop(i)
	c.Dir = t.TempDir()
	book, err := openBook(c.withDefaults(), seats(c.Members))
	must(t, err)
	self := peer.Hello{Cluster: id.Cluster, Node: c.NodeID, Replica: id.ReplicaID, Incarnation: id.Node}
	network, err := peer.New(self, 4, book, listenOn(g.t, c.Members[i].RaftAddress), mute{}, credentials, c.withDefaults().Logger)
	must(t, err)
	t.Cleanup(func() { _ = network.Close() })
	network.Create(dbconfig.NodeHostConfig{}, func(pb.MessageBatch) {}, func(pb.Chunk) bool { return false })
	must(t, network.Start())
	return network
}

// chunkTo is a chunk of a snapshot of the first data shard, from the third node to the first.
func chunkTo(index, id uint64) pb.Chunk {
	c := pb.Chunk{
		ShardID: firstDataShard, From: 3, ReplicaID: 1, Index: index, Term: 1 << 20, ChunkId: id, FileChunkId: id, Filepath: "snapshot.gbsnap",
		DeploymentId: 1, BinVer: raftio.TransportBinVersion, Data: make([]byte, 1<<10),
	}
	if id == 0 {
		h := pb.SnapshotHeader{Version: 2}
		header := make([]byte, h.Size())
		n, err := h.MarshalTo(header)
		if err != nil {
			panic(err)
		}
		binary.LittleEndian.PutUint64(c.Data, uint64(n))
		copy(c.Data[8:], header[:n])
		binary.BigEndian.PutUint32(c.Data[8+n:], crc32.ChecksumIEEE(header[:n]))
	}
	return c
}

// TestBrokenMember: a member with the right certificate sends what no node sends. The node
// it is sent to goes on, and so does the cluster. Streams of snapshots that it cuts, more
// than dragonboat keeps track of, are not in the way of the next one.
func TestBrokenMember(t *testing.T) {
	t.Parallel()
	ca := newPKI(t)
	g := startGroup(t, 3, func(c *Config) { c.Credentials = ca.issue(t, c.NodeID) })
	g.createTopic("orders", 1)
	network := g.broken(t, 2, ca.issue(t, "c"))
	stream := func(chunks ...pb.Chunk) {
		t.Helper()
		c, err := network.GetSnapshotConnection(within(t, 10*time.Second), "a")
		must(t, err)
		for _, chunk := range chunks {
			_ = c.SendChunk(chunk)
		}
		c.Close()
	}
	change := func(c pb.Chunk, f func(*pb.Chunk)) pb.Chunk { f(&c); return c }
	begun := chunkTo(1<<40, 0)
	for _, bad := range []func(*pb.Chunk){
		func(c *pb.Chunk) { c.Data = c.Data[:10] },
		func(c *pb.Chunk) { c.Data = nil },
		func(c *pb.Chunk) { binary.LittleEndian.PutUint64(c.Data, 1<<10-8) },
		func(c *pb.Chunk) {
			copy(c.Data, append([]byte{4, 0, 0, 0, 0, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0))
		},
		func(c *pb.Chunk) { c.Filepath = "" },
		func(c *pb.Chunk) { c.Filepath = ".." },
		func(c *pb.Chunk) { c.FileChunkId = 3 },
		func(c *pb.Chunk) { c.ShardID = 77 },
		func(c *pb.Chunk) { c.ReplicaID = 77 },
		func(c *pb.Chunk) { c.DeploymentId = 77 },
		func(c *pb.Chunk) { c.BinVer = 77 },
		func(c *pb.Chunk) { c.ChunkCount = pb.LastChunkCount },
		func(c *pb.Chunk) { c.ChunkCount = pb.PoisonChunkCount },
	} {
		first := chunkTo(1<<40, 0)
		bad(&first)
		stream(first)
	}
	stream(chunkTo(1<<40, 1))
	stream(begun, chunkTo(1<<40, 2))
	stream(begun, change(chunkTo(1<<40, 1), func(c *pb.Chunk) { c.Filepath = "other" }))
	stream(begun, change(chunkTo(1<<40, 1), func(c *pb.Chunk) { c.ChunkCount = pb.LastChunkCount }))
	sayNonsense(t, network)
	// Dragonboat has room for 128.
	for i := range uint64(140) {
		stream(chunkTo(1<<40+i, 0))
	}
	last, err := network.GetSnapshotConnection(within(t, 10*time.Second), "a")
	must(t, err)
	must(t, last.SendChunk(chunkTo(1<<41, 0)))
	testenv.Eventually(t, "a stream after those that were cut is received", func() bool { return receiving(g.configs[0].Dir) == 1 })
	last.Close()
	testenv.Eventually(t, "nothing is left of it", func() bool { return receiving(g.configs[0].Dir) == 0 })
	for i := range 3 {
		g.append("orders", 0, fmt.Sprint(i))
	}
	for i := range 2 {
		g.wantValues(i, "orders", 0, []string{"0", "1", "2"})
	}
}

// sayNonsense sends messages that no node sends.
func sayNonsense(t *testing.T, network *peer.Network) {
	t.Helper()
	messages, err := network.GetConnection(t.Context(), "a")
	must(t, err)
	for _, bad := range []func(*pb.MessageBatch){
		func(b *pb.MessageBatch) { b.Requests[0].To = 0 },
		func(b *pb.MessageBatch) { b.Requests[0].To = 77 },
		func(b *pb.MessageBatch) { b.Requests[0].From = 2 },
		func(b *pb.MessageBatch) { b.SourceAddress = "b" },
		func(b *pb.MessageBatch) { b.Requests[0].ShardID = 77 },
		func(b *pb.MessageBatch) { b.Requests[0].Type = 99 },
		func(b *pb.MessageBatch) { b.Requests[0].Type = pb.InstallSnapshot },
		func(b *pb.MessageBatch) { b.DeploymentId = 77 },
		func(b *pb.MessageBatch) { b.BinVer = 77 },
	} {
		b := pb.MessageBatch{SourceAddress: "c", DeploymentId: 1, BinVer: raftio.TransportBinVersion, Requests: []pb.Message{{Type: pb.HeartbeatResp, ShardID: firstDataShard, From: 3, To: 1}}}
		bad(&b)
		must(t, messages.SendMessageBatch(b))
	}
}

// receiving counts the directories that a node stores snapshots in which come in.
func receiving(dir string) (n int) {
	_ = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, _ error) error {
		if strings.HasSuffix(name, ".receiving") {
			n++
		}
		return nil
	})
	return n
}
