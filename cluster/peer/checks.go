package peer

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path"

	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/fault"
)

// Dragonboat ends the process over a message or a chunk that cannot be, since it trusts
// whoever it is connected with. What follows refuses those before it sees them: then the
// connection ends, and a member that is broken, or somebody else with its certificate,
// takes no other node down. What is well formed and untrue, such as entries that the
// leader of a shard never had, cannot be told here.

// codeMalformed is the code of what a node never sends.
const codeMalformed = "malformed_frame"

// noHeader is the size of the header that a snapshot begins with in its first chunk.
const noHeader = 1 << 10

// decode reads a message of dragonboat, whose decoder panics over some of what is none.
func decode(m interface{ Unmarshal([]byte) error }, body []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return m.Unmarshal(body)
}

// checkBatch refuses messages that the node which said hello never sends to this one.
func (n *Network) checkBatch(from *Hello, batch *pb.MessageBatch) error {
	if batch.SourceAddress != "" && batch.SourceAddress != from.Node {
		return fault.New(fault.Invalid, codeMalformed, "messages of %q from node %q", batch.SourceAddress, from.Node)
	}
	for i := range batch.Requests {
		m := &batch.Requests[i]
		switch {
		case !n.hasShard(m.ShardID):
			return fault.New(fault.Invalid, codeMalformed, "a message of shard %d, which there is not", m.ShardID)
		case m.To == 0:
			return fault.New(fault.Invalid, codeMalformed, "a message to nobody")
		case !speaksFor(from, m.From):
			return fault.New(fault.Invalid, codeMalformed, "a message of replica %d from node %q, which is replica %d", m.From, from.Node, from.Replica)
		case !travels(m.Type):
			return fault.New(fault.Invalid, codeMalformed, "a message of type %d, which no node sends to another", m.Type)
		}
	}
	return nil
}

func (n *Network) hasShard(shard uint64) bool { return shard > 0 && shard <= n.shards }

// speaksFor tells whether a replica is of the node that said hello; one of an older
// version has not told its number.
func speaksFor(from *Hello, replica uint64) bool {
	return replica == 0 || from.Replica == 0 || replica == from.Replica
}

// travels tells whether messages of a type are sent to other nodes: the others are what
// raft tells itself, and it believes them.
func travels(t pb.MessageType) bool {
	switch t {
	case pb.LocalTick, pb.Election, pb.LeaderHeartbeat, pb.ConfigChangeEvent, pb.SnapshotStatus, pb.Unreachable,
		pb.CheckQuorum, pb.BatchedReadIndex, pb.InstallSnapshot, pb.LogQuery:
		return false
	}
	return t >= 0 && t < pb.LogQuery
}

// checkChunk refuses a chunk that cannot follow what has come of the snapshot.
func (s *arrival) checkChunk(c *pb.Chunk) error {
	name := path.Base(c.Filepath)
	switch {
	case !s.network.hasShard(c.ShardID):
		return fault.New(fault.Invalid, codeMalformed, "a chunk of shard %d, which there is not", c.ShardID)
	case c.ReplicaID != s.network.self.Replica:
		return fault.New(fault.Invalid, codeMalformed, "a chunk for replica %d", c.ReplicaID)
	case !speaksFor(s.from, c.From):
		return fault.New(fault.Invalid, codeMalformed, "a chunk of replica %d from node %q", c.From, s.from.Node)
	case c.HasFileInfo || c.Witness || c.FileChunkId != c.ChunkId:
		return fault.New(fault.Invalid, codeMalformed, "a chunk of a snapshot with further files")
	case name == "." || name == ".." || name == "/":
		return fault.New(fault.Invalid, codeMalformed, "a chunk of a file without a name")
	case c.ChunkId == 0:
		return checkHeader(c.Data)
	case s.place == nil:
		return fault.New(fault.Invalid, codeMalformed, "a chunk without those before it")
	case c.ShardID != s.first.ShardID || c.Index != s.first.Index || c.Filepath != s.first.Filepath:
		return fault.New(fault.Invalid, codeMalformed, "a chunk of another snapshot")
	case c.ChunkId != s.next:
		return fault.New(fault.Invalid, codeMalformed, "chunk %d where %d was due", c.ChunkId, s.next)
	}
	return nil
}

// checkHeader refuses the beginning of a snapshot that dragonboat cannot read: the length
// of the header, u64 little endian, the header and its CRC32, u32 big endian, all in noHeader
// bytes.
func checkHeader(data []byte) error {
	if len(data) < noHeader {
		return fault.New(fault.Invalid, codeMalformed, "a snapshot that begins with %d bytes", len(data))
	}
	size := binary.LittleEndian.Uint64(data)
	if size > noHeader-12 {
		return fault.New(fault.Invalid, codeMalformed, "the header of a snapshot with %d bytes", size)
	}
	header, sum := data[8:8+size], binary.BigEndian.Uint32(data[8+size:])
	if sum != 0 && sum != crc32.ChecksumIEEE(header) {
		return fault.New(fault.Invalid, codeMalformed, "the checksum of a snapshot's header does not hold")
	}
	var decoded pb.SnapshotHeader
	if err := decode(&decoded, header); err != nil {
		return fault.New(fault.Invalid, codeMalformed, "decode the header of a snapshot: %w", err)
	}
	return nil
}
