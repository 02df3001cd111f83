package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	dbconfig "github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/fault"
)

// roll is the members as a test has them.
type roll struct {
	mu        sync.Mutex
	addresses map[string]string
	refuse    error // of Greet
	greeted   []Hello
	refused   []string
}

func (r *roll) Address(node string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.addresses[node]
	return a, ok
}

func (r *roll) Greet(h Hello, _ bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.greeted = append(r.greeted, h)
	return r.refuse
}

func (r *roll) Refused(by string, refusal *fault.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = append(r.refused, by+" "+refusal.Code)
}

// desk is what others call.
type desk struct{}

// Double answers twice the number.
func (desk) Double(n int, into *int) error { *into = 2 * n; return nil }

// side is a network with what it has received.
type side struct {
	*Network
	roll     *roll
	messages chan pb.MessageBatch
	chunks   chan pb.Chunk
}

func open(t *testing.T, cluster, node string) *side {
	t.Helper()
	return openWith(t, cluster, node, nil, io.Discard)
}

func openWith(t *testing.T, cluster, node string, credentials *Credentials, warnings io.Writer) *side {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &side{roll: &roll{addresses: make(map[string]string)}, messages: make(chan pb.MessageBatch, 16), chunks: make(chan pb.Chunk, 16)}
	self := Hello{Cluster: cluster, Node: node, Replica: uint64(node[0]-'a') + 1, Incarnation: node + "1", URL: "http://" + node}
	logger := slog.New(slog.NewTextHandler(warnings, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if s.Network, err = New(self, 3, s.roll, l, desk{}, credentials, logger); err != nil {
		t.Fatal(err)
	}
	s.Create(dbconfig.NodeHostConfig{}, func(b pb.MessageBatch) { s.messages <- b }, func(c pb.Chunk) bool { s.chunks <- c; return c.ChunkId < 2 })
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// knows has a side find another one under a name.
func (s *side) knows(node string, other *side) {
	s.roll.addresses[node] = other.listener.Addr().String()
}

func code(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return ""
}

func TestHello(t *testing.T) {
	t.Parallel()
	a, b, stranger := open(t, "x", "a"), open(t, "x", "b"), open(t, "y", "c")
	a.knows("b", b)
	a.knows("d", b) // a wrong address
	a.knows("c", stranger)
	if err := a.Probe(t.Context(), "b", nil); err != nil {
		t.Fatal(err)
	}
	if got := b.roll.greeted; len(got) != 1 || got[0].Node != "a" || got[0].URL != "http://a" || got[0].Incarnation != "a1" {
		t.Errorf("the one that was called heard %+v", got)
	}
	if got := a.roll.greeted; len(got) != 1 || got[0].Node != "b" || got[0].URL != "http://b" {
		t.Errorf("the one that called heard %+v", got)
	}
	b.roll.refuse = fault.New(fault.Conflict, "identity_lost", "who are you?")
	for node, want := range map[string]string{"b": "identity_lost", "c": "other_cluster", "d": "other_node", "e": "not_a_member"} {
		if err := a.Probe(t.Context(), node, nil); code(err) != want {
			t.Errorf("%s: %v, want %s", node, err, want)
		}
	}
	if got := strings.Join(a.roll.refused, ","); !strings.Contains(got, "b identity_lost") {
		t.Errorf("refused by %s", got)
	}
}

// TestStrangers: what is no hello ends the connection, without much being read or
// kept, and the others are served on.
func TestStrangers(t *testing.T) {
	t.Parallel()
	a, b := open(t, "x", "a"), open(t, "x", "b")
	a.knows("b", b)
	long := binary.LittleEndian.AppendUint32([]byte(helloMagic), maxHelloBytes+1)
	for name, sent := range map[string][]byte{
		"nothing":    nil,
		"HTTP":       []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"TLS":        {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0, 0, 0},
		"long":       long,
		"no JSON":    append(binary.LittleEndian.AppendUint32([]byte(helloMagic), 3), "abc"...),
		"dragonboat": append([]byte{0xAE, 0x7D}, bytes.Repeat([]byte{1}, 40)...),
	} {
		conn, err := net.Dial("tcp", b.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(sent); err != nil {
			t.Fatal(err)
		}
		if name == "nothing" {
			// It may stay silent as long as a hello may take; the others do not wait.
			defer conn.Close()
			continue
		}
		if got, err := io.ReadAll(conn); err == nil && len(got) > 0 {
			t.Errorf("%s: answered %q", name, got)
		}
		conn.Close()
	}
	if err := a.Probe(t.Context(), "b", nil); err != nil {
		t.Error(err)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	a, b := open(t, "x", "a"), open(t, "x", "b")
	c, err := a.GetConnection(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	send := func(term uint64) {
		t.Helper()
		batch := pb.MessageBatch{SourceAddress: "a", Requests: []pb.Message{{Type: pb.Replicate, ShardID: 1, To: 2, Term: term, Entries: []pb.Entry{{Cmd: bytes.Repeat([]byte{7}, 3<<20)}}}}}
		if err := c.SendMessageBatch(batch); err != nil {
			t.Fatal(err)
		}
	}
	send(1) // nobody knows where b is: dropped
	a.roll.mu.Lock()
	a.knows("b", b)
	a.roll.mu.Unlock()
	var got pb.MessageBatch
	for arrived := false; !arrived; {
		send(2)
		select {
		case got = <-b.messages:
			arrived = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	if m := got.Requests[0]; got.SourceAddress != "a" || m.Term != 2 || len(m.Entries[0].Cmd) != 3<<20 {
		t.Errorf("%s, term %d", got.SourceAddress, m.Term)
	}
	// A damaged frame ends the connection and is not taken; the next one is made anew.
	conn := c.(*raftConn).conn
	if _, err := conn.Write([]byte{4, 0, 0, 0, 1, 2, 3, 4, 'x', 'x', 'x', 'x'}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("something was answered")
	}
	for arrived := false; !arrived; {
		send(3)
		select {
		case got := <-b.messages:
			arrived = got.Requests[0].Term == 3
		case <-time.After(10 * time.Millisecond):
		}
	}
	c.Close()
}

// chunkOf is a chunk of two of a snapshot of shard 3, from a to b.
func chunkOf(index, id uint64) pb.Chunk {
	c := pb.Chunk{ShardID: 3, From: 1, ReplicaID: 2, Index: index, ChunkId: id, FileChunkId: id, ChunkCount: 2, Filepath: "snapshot"}
	if id == 0 {
		header := pb.SnapshotHeader{Version: 2}
		encoded := make([]byte, header.Size())
		n, err := header.MarshalTo(encoded)
		if err != nil {
			panic(err)
		}
		c.Data = append(binary.LittleEndian.AppendUint64(nil, uint64(n)), encoded[:n]...)
		c.Data = binary.BigEndian.AppendUint32(c.Data, crc32.ChecksumIEEE(encoded[:n]))
		c.Data = append(c.Data, make([]byte, noHeader-len(c.Data))...)
	}
	return c
}

// TestSnapshot: all chunks are taken by the time the connection is closed.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	a, b := open(t, "x", "a"), open(t, "x", "b")
	a.knows("b", b)
	c, err := a.GetSnapshotConnection(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(2) {
		chunk := chunkOf(7, i)
		chunk.Data = append(chunk.Data, make([]byte, 1<<20-len(chunk.Data))...)
		if err := c.SendChunk(chunk); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	if len(b.chunks) != 2 {
		t.Fatalf("%d chunks were taken", len(b.chunks))
	}
	if got := <-b.chunks; got.ShardID != 3 || got.ChunkId != 0 || len(got.Data) != 1<<20 {
		t.Errorf("shard %d, chunk %d, %d bytes", got.ShardID, got.ChunkId, len(got.Data))
	}
}

// TestSnapshotCut: of a snapshot that does not come to its end, and of one that another
// takes the place of, what has been stored is dropped.
func TestSnapshotCut(t *testing.T) {
	t.Parallel()
	a, b := open(t, "x", "a"), open(t, "x", "b")
	a.knows("b", b)
	begin := func(index uint64) raftio.ISnapshotConnection {
		t.Helper()
		c, err := a.GetSnapshotConnection(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SendChunk(chunkOf(index, 0)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	next := func(index, id uint64, damaged bool) {
		t.Helper()
		got := <-b.chunks
		if broken := bytes.Equal(got.Data, bytes.Repeat([]byte{0xff}, noHeader)); got.Index != index || got.ChunkId != id || broken != damaged {
			t.Fatalf("%d, chunk %d, damaged: %t where %d, %d, %t were due", got.Index, got.ChunkId, broken, index, id, damaged)
		}
	}
	dropped := func(index uint64) {
		t.Helper()
		next(index, 1, true) // the last one
		next(index, 0, true)
	}
	first := begin(7)
	next(7, 0, false)
	second := begin(8)
	dropped(7)
	next(8, 0, false)
	// The first has lost its place: nothing of it is taken, and the second stays.
	if err := first.SendChunk(chunkOf(7, 1)); err != nil {
		t.Fatal(err)
	}
	first.Close()
	second.Close()
	dropped(8)
	begin(9).Close()
	next(9, 0, false)
	dropped(9)
	if len(b.chunks) != 0 {
		t.Errorf("%d more chunks", len(b.chunks))
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	a, b := open(t, "x", "a"), open(t, "x", "b")
	var got int
	if err := a.Call(t.Context(), "b", "Double", 4, &got); !errors.Is(err, ErrNotSent) {
		t.Errorf("a call of nobody: %v", err)
	}
	a.knows("b", b)
	for range 3 {
		if err := a.Call(t.Context(), "b", "Double", 4, &got); err != nil || got != 8 {
			t.Fatalf("%d, %v", got, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, "x", "b")
	a.roll.mu.Lock()
	a.knows("b", again)
	a.roll.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for a.Call(ctx, "b", "Double", 5, &got) != nil {
		if ctx.Err() != nil {
			t.Fatal("the node that is back is not called")
		}
	}
	if got != 10 {
		t.Errorf("got %d", got)
	}
}

// TestCallsAtOnce: of connections for calls that are made at the same time one stays, and
// none is in the way of another.
func TestCallsAtOnce(t *testing.T) {
	t.Parallel()
	a, b := open(t, "x", "a"), open(t, "x", "b")
	a.knows("b", b)
	const callers = 64
	failed := make(chan error, callers)
	for range callers {
		go func() {
			var got int
			failed <- a.Call(t.Context(), "b", "Double", 4, &got)
		}()
	}
	for range callers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.calls) != 1 {
		t.Errorf("%d connections are kept for calls", len(a.calls))
	}
}
