package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"slices"
	"time"

	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/fault"
)

// A frame is, little endian:
//
//	0        4         8
//	+--------+---------+---------------------------- - - -
//	| length | CRC32C  | body of that length
//	+--------+---------+---------------------------- - - -
//
// The body is a dragonboat MessageBatch on a connection for raft and a Chunk on one
// for a snapshot. A frame of no bytes ends a snapshot's connection and is answered
// by one once all before it has been taken.
const (
	frameHeader   = 8
	maxFrameBytes = 512 << 20 // above a raft message of the largest entry there can be
	keptBytes     = 2 << 20   // a buffer larger than this is not kept
)

const (
	helloTimeout = 2 * time.Second
	writeTimeout = 10 * time.Second // for a frame to be taken
	endTimeout   = 10 * time.Second // for a snapshot's end to be answered
	acceptPause  = 100 * time.Millisecond
	// unheardTimeout is how long a connection lasts on which nothing is acknowledged by
	// the other side's system.
	unheardTimeout = 3 * time.Second
	// reconnectPause is the time between two tries to reach a node.
	reconnectPause = 100 * time.Millisecond
)

var errFrame = errors.New("the checksum of a frame does not hold")

// marshaller is a message of dragonboat.
type marshaller interface {
	MarshalTo([]byte) (int, error)
}

// sender writes frames. One goroutine uses it.
type sender struct {
	conn net.Conn
	buf  []byte
}

// send writes a message as one frame; size is at least what it encodes to.
func (s *sender) send(m marshaller, size int) error {
	if cap(s.buf) < frameHeader+size {
		s.buf = make([]byte, frameHeader+size)
	}
	buf := s.buf[:cap(s.buf)]
	n, err := m.MarshalTo(buf[frameHeader:])
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	if cap(s.buf) > keptBytes {
		s.buf = nil
	}
	return s.write(buf[:frameHeader+n])
}

// write fills in the header of a frame and sends it.
func (s *sender) write(frame []byte) error {
	body := frame[frameHeader:]
	binary.LittleEndian.PutUint32(frame, uint32(len(body)))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(frame)
	return err
}

// readFrame reads the next frame into buf where it fits. The body is buf's.
func readFrame(r io.Reader, buf []byte) (body []byte, err error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > maxFrameBytes {
		return nil, fault.New(fault.Invalid, codeMalformed, "a frame of %d bytes", size)
	}
	// No more memory is taken than has come, about: a length alone costs nothing.
	for body = buf[:0]; len(body) < int(size); {
		have := len(body)
		body = slices.Grow(body, min(int(size)-have, max(have, keptBytes)))
		body = body[:min(int(size), cap(body))]
		if _, err := io.ReadFull(r, body[have:]); err != nil {
			return nil, err
		}
	}
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errFrame
	}
	return body, nil
}

// raftConn sends messages to one node, over a connection that it makes with the first
// and again when it has broken. What cannot be sent is dropped, which raft expects of a
// network, and it never fails: after a failure dragonboat sends nothing for up to a
// second, and the votes of an election would be lost.
type raftConn struct {
	sender
	network *Network
	node    string
	tryAt   time.Time // while there is no connection
}

var _ raftio.IConnection = (*raftConn)(nil)

// Close closes the connection.
func (c *raftConn) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

// SendMessageBatch sends a batch or drops it.
func (c *raftConn) SendMessageBatch(batch pb.MessageBatch) error {
	if c.conn == nil && !c.connect() {
		return nil
	}
	if err := c.send(&batch, batch.SizeUpperLimit()); err != nil {
		c.network.logger.Debug("messages were dropped", "to", c.node, "error", err)
		_ = c.conn.Close()
		c.conn = nil
	}
	return nil
}

// connect makes the connection, unless it was tried just now.
func (c *raftConn) connect() bool {
	if time.Now().Before(c.tryAt) {
		return false
	}
	conn, err := c.network.dial(c.network.life, c.node, kindRaft)
	if err != nil {
		c.tryAt = time.Now().Add(reconnectPause)
		c.network.logger.Debug("a node is not reached", "node", c.node, "error", err)
		return false
	}
	c.conn = conn
	return true
}

// snapshotConn sends the chunks of a snapshot.
type snapshotConn struct {
	sender
	failed bool
}

var _ raftio.ISnapshotConnection = (*snapshotConn)(nil)

// SendChunk sends a chunk.
func (c *snapshotConn) SendChunk(chunk pb.Chunk) error {
	err := c.send(&chunk, chunk.Size())
	c.failed = c.failed || err != nil
	return err
}

// Close waits, unless a chunk could not be sent, until the other side has taken all
// chunks, and closes the connection.
func (c *snapshotConn) Close() {
	defer c.conn.Close()
	var end [frameHeader]byte
	if c.failed || c.write(end[:]) != nil || c.conn.SetReadDeadline(time.Now().Add(endTimeout)) != nil {
		return
	}
	_, _ = readFrame(c.conn, end[:])
}
