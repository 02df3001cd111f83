package peer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"
	"testing"

	pb "github.com/lni/dragonboat/v4/raftpb"
)

// framed is a message as one frame.
func framed(t testing.TB, m interface {
	MarshalTo([]byte) (int, error)
}, size int) []byte {
	t.Helper()
	frame := make([]byte, frameHeader+size)
	n, err := m.MarshalTo(frame[frameHeader:])
	if err != nil {
		t.Fatal(err)
	}
	frame = frame[:frameHeader+n]
	binary.LittleEndian.PutUint32(frame, uint32(n))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[frameHeader:], crc32.MakeTable(crc32.Castagnoli)))
	return frame
}

// signed is a body as one frame.
func signed(body string) []byte {
	frame := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	frame = binary.LittleEndian.AppendUint32(frame, crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)))
	return append(frame, body...)
}

// sending is what a member sends over one connection.
type sending struct {
	kind  string
	sent  []byte
	taken int // messages and chunks before it, and what drops them
	told  string
}

func sendings(t *testing.T) map[string]sending {
	t.Helper()
	batch := func(change func(*pb.MessageBatch)) []byte {
		b := pb.MessageBatch{SourceAddress: "a", Requests: []pb.Message{{Type: pb.Heartbeat, ShardID: 1, From: 1, To: 2}}}
		change(&b)
		return framed(t, &b, b.SizeUpperLimit())
	}
	chunk := func(change func(*pb.Chunk)) []byte {
		c := chunkOf(7, 0)
		change(&c)
		return framed(t, &c, c.Size())
	}
	begun := chunk(func(*pb.Chunk) {})
	later := func(change func(*pb.Chunk)) []byte {
		return append(bytes.Clone(begun), chunk(func(c *pb.Chunk) { c.ChunkId, c.FileChunkId, c.Data = 1, 1, nil; change(c) })...)
	}
	good := batch(func(*pb.MessageBatch) {})
	return map[string]sending{
		"a message":               {kindRaft, good, 1, ""},
		"cut":                     {kindRaft, good[:len(good)-1], 0, ""},
		"another checksum":        {kindRaft, append([]byte{1, 0, 0, 0, 1, 2, 3, 4}, 'x'), 0, ""},
		"2 GiB":                   {kindRaft, []byte{0, 0, 0, 0x80, 1, 2, 3, 4}, 0, "2147483648 bytes"},
		"512 MiB that never come": {kindRaft, []byte{0, 0, 0, 0x20, 1, 2, 3, 4}, 0, ""},
		"no batch":                {kindRaft, signed("what is this?"), 0, "decode messages"},
		"a panic":                 {kindRaft, signed("\n700000000000000000000Z 00000000000000000000000000000000X0"), 0, "decode messages"},
		"to nobody":               {kindRaft, batch(func(b *pb.MessageBatch) { b.Requests[0].To = 0 }), 0, "to nobody"},
		"from another":            {kindRaft, batch(func(b *pb.MessageBatch) { b.Requests[0].From = 2 }), 0, "of replica 2 from node"},
		"by another address":      {kindRaft, batch(func(b *pb.MessageBatch) { b.SourceAddress = "c" }), 0, "messages of"},
		"of no shard":             {kindRaft, batch(func(b *pb.MessageBatch) { b.Requests[0].ShardID = 9 }), 0, "shard 9"},
		"local":                   {kindRaft, batch(func(b *pb.MessageBatch) { b.Requests[0].Type = pb.InstallSnapshot }), 0, "of type 16"},
		"of no type":              {kindRaft, batch(func(b *pb.MessageBatch) { b.Requests[0].Type = 99 }), 0, "of type 99"},
		"no chunk":                {kindSnapshot, signed("what is this?"), 0, "decode a chunk"},
		"a small first chunk":     {kindSnapshot, chunk(func(c *pb.Chunk) { c.Data = c.Data[:noHeader-1] }), 0, "begins with 1023 bytes"},
		"no data":                 {kindSnapshot, chunk(func(c *pb.Chunk) { c.Data = nil }), 0, "begins with 0 bytes"},
		"a long header":           {kindSnapshot, chunk(func(c *pb.Chunk) { binary.LittleEndian.PutUint64(c.Data, noHeader-11) }), 0, "header of a snapshot"},
		"a huge header":           {kindSnapshot, chunk(func(c *pb.Chunk) { binary.LittleEndian.PutUint64(c.Data, 1<<63) }), 0, "header of a snapshot"},
		"a damaged header":        {kindSnapshot, chunk(func(c *pb.Chunk) { c.Data[8] ^= 1 }), 0, "does not hold"},
		"a header of nothing": {kindSnapshot, chunk(func(c *pb.Chunk) {
			copy(c.Data, append(binary.LittleEndian.AppendUint64(nil, 4), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0))
		}), 0, "decode the header"},
		"a chunk of no shard":  {kindSnapshot, chunk(func(c *pb.Chunk) { c.ShardID = 4 }), 0, "shard 4"},
		"for another":          {kindSnapshot, chunk(func(c *pb.Chunk) { c.ReplicaID = 3 }), 0, "replica 3"},
		"a chunk from another": {kindSnapshot, chunk(func(c *pb.Chunk) { c.From = 3 }), 0, "of replica 3 from node"},
		"no file":              {kindSnapshot, chunk(func(c *pb.Chunk) { c.Filepath = "" }), 0, "without a name"},
		"the directory above":  {kindSnapshot, chunk(func(c *pb.Chunk) { c.Filepath = "x/.." }), 0, "without a name"},
		"further files":        {kindSnapshot, chunk(func(c *pb.Chunk) { c.HasFileInfo = true }), 0, "further files"},
		"the middle of a file": {kindSnapshot, chunk(func(c *pb.Chunk) { c.FileChunkId = 3 }), 0, "further files"},
		"no first chunk":       {kindSnapshot, chunk(func(c *pb.Chunk) { c.ChunkId, c.FileChunkId = 1, 1 }), 0, "without those before"},
		"one left out":         {kindSnapshot, later(func(c *pb.Chunk) { c.ChunkId, c.FileChunkId = 2, 2 }), 3, "chunk 2 where 1 was due"},
		"another file":         {kindSnapshot, later(func(c *pb.Chunk) { c.Filepath = "other" }), 3, "of another snapshot"},
		"another index":        {kindSnapshot, later(func(c *pb.Chunk) { c.Index = 8 }), 3, "of another snapshot"},
		"another shard":        {kindSnapshot, later(func(c *pb.Chunk) { c.ShardID = 2 }), 3, "of another snapshot"},
	}
}

// TestRefusedFrames: what no node sends ends the connection of the member that does, is
// told once, and nothing of it reaches dragonboat, which would end the process.
func TestRefusedFrames(t *testing.T) {
	t.Parallel()
	for name, c := range sendings(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			warnings := new(tap)
			a, b := open(t, "x", "a"), openWith(t, "x", "b", nil, warnings)
			a.knows("b", b)
			conn, err := a.dial(t.Context(), "b", c.kind)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(c.sent); err != nil {
				t.Fatal(err)
			}
			if c.told == "" {
				if err := conn.(*tracked).Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			if got, _ := io.ReadAll(conn); len(got) > 0 {
				t.Errorf("answered %q", got)
			}
			conn.Close()
			if err := b.Close(); err != nil { // all is taken
				t.Fatal(err)
			}
			if got := len(b.messages) + len(b.chunks); got != c.taken {
				t.Errorf("%d were taken, not %d", got, c.taken)
			}
			if got := string(warnings.bytes()); !strings.Contains(got, c.told) || (got == "") != (c.told == "") {
				t.Errorf("told %q", got)
			}
		})
	}
}

// FuzzFrames: whatever a member sends over its connections is refused or taken, and what is
// taken can be taken.
func FuzzFrames(f *testing.F) {
	b := pb.MessageBatch{SourceAddress: "a", Requests: []pb.Message{{Type: pb.Replicate, ShardID: 1, From: 1, To: 2, Entries: []pb.Entry{{Index: 1, Cmd: []byte("x")}}}}}
	c := chunkOf(7, 0)
	f.Add(false, framed(f, &b, b.SizeUpperLimit())[frameHeader:])
	f.Add(true, framed(f, &c, c.Size())[frameHeader:])
	f.Fuzz(func(t *testing.T, snapshot bool, body []byte) {
		n := &Network{self: Hello{Node: "b"}, shards: 3, logger: slog.New(slog.DiscardHandler), places: make(map[uint64]*place)}
		from := &Hello{Node: "a", Replica: 1}
		n.messages = func(b pb.MessageBatch) {
			for _, m := range b.Requests {
				if m.To == 0 || m.ShardID == 0 || m.ShardID > 3 {
					t.Errorf("%+v", m)
				}
			}
		}
		n.chunks = func(c pb.Chunk) bool {
			if c.ChunkId == 0 && len(c.Data) < noHeader {
				t.Errorf("%d bytes", len(c.Data))
			}
			return true
		}
		s := &arrival{network: n, from: from}
		handle := s.chunk
		if !snapshot {
			handle = func(body []byte) error { return n.message(from, body) }
		}
		_ = n.receive(bufio.NewReader(bytes.NewReader(signed(string(body)))), handle)
		_ = n.receive(bufio.NewReader(bytes.NewReader(body)), handle) // with a header of its own
		s.end()
	})
}
