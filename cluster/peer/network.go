// Package peer connects the nodes of a cluster: it carries raft's messages, the
// chunks of snapshots and calls between nodes over TCP, and lets nobody in who is no
// member or who has lost its data directory.
package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	dbconfig "github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/fault"
)

// Members knows the nodes of the cluster. It is safe for concurrent use.
type Members interface {
	// Address is host:port of a member's raft port; ok is false for who is none.
	Address(node string) (address string, ok bool)
	// Greet judges who says hello, and remembers where a member is reached and which
	// data directory it has. A probe is judged and not remembered. Errors are
	// faults: Forbidden "not_a_member", Conflict "identity_lost".
	Greet(h Hello, probe bool) error
	// Refused tells that another node did not let this one in.
	Refused(by string, refusal *fault.Error)
}

// Network is the connections of a node. It is dragonboat's transport factory and
// transport: dragonboat starts and closes it. Until it has started it, other nodes can
// ask whether they would be let in and no more: a node that does not know for good yet who
// it is must not be remembered by anybody.
type Network struct {
	self        Hello
	shards      uint64 // their numbers are 1 to this
	members     Members
	listener    net.Listener
	credentials *Credentials
	logger      *slog.Logger

	messages raftio.MessageHandler
	chunks   raftio.ChunkHandler
	started  chan struct{} // closed once there is somebody to take messages and chunks

	life   context.Context
	end    context.CancelFunc
	tasks  sync.WaitGroup
	mu     sync.Mutex
	open   map[net.Conn]string // with which node, "" = not known yet
	closed bool
	calls  map[string]*caller
	places map[uint64]*place // by shard

	complained time.Time // when a warning was last logged
}

var (
	_ dbconfig.TransportFactory = (*Network)(nil)
	_ raftio.ITransport         = (*Network)(nil)
)

// New makes a network that takes connections from listener at once; it owns the
// listener. The shards of the cluster are numbered from 1 to shards. The exported methods of service that have the form net/rpc asks for are
// what others can call. With credentials, connections are TLS 1.3 and both sides are
// checked to be the members they say they are. Close ends it.
func New(self Hello, shards uint64, members Members, listener net.Listener, service any, credentials *Credentials, logger *slog.Logger) (*Network, error) {
	self.Version = helloVersion
	n := &Network{
		self: self, shards: shards, members: members, listener: listener, credentials: credentials, logger: logger, started: make(chan struct{}),
		open: make(map[net.Conn]string), calls: make(map[string]*caller),
		places: make(map[uint64]*place),
	}
	server, err := newServer(service)
	if err != nil {
		return nil, err
	}
	n.life, n.end = context.WithCancel(context.Background())
	n.tasks.Go(func() { n.accept(server) })
	return n, nil
}

// Create remembers what takes messages and chunks.
func (n *Network) Create(_ dbconfig.NodeHostConfig, messages raftio.MessageHandler, chunks raftio.ChunkHandler) raftio.ITransport {
	n.messages, n.chunks = messages, chunks
	return n
}

// Validate accepts names of nodes, which stand for addresses everywhere in
// dragonboat: so a node may move.
func (n *Network) Validate(node string) bool { return node != "" }

// Name names the transport in dragonboat's messages.
func (n *Network) Name() string { return "leat" }

// Start lets messages and chunks in.
func (n *Network) Start() error {
	close(n.started)
	return nil
}

// accept takes connections until the network is closed.
func (n *Network) accept(server callServer) {
	for {
		conn, err := n.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			n.logger.Warn("a connection between nodes was not taken", "error", err)
			select {
			case <-n.life.Done():
				return
			case <-time.After(acceptPause):
			}
			continue
		}
		if !n.track(conn, "") {
			continue
		}
		n.tasks.Go(func() {
			defer n.untrack(conn)
			if err := n.take(conn, server); err != nil && n.life.Err() == nil {
				n.complain("a connection between nodes ended", err, "from", conn.RemoteAddr().String())
			}
		})
	}
}

// Close ends all connections and waits for what they were doing. Closing again does
// nothing.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	for conn := range n.open {
		_ = conn.Close()
	}
	n.mu.Unlock()
	n.end()
	err := n.listener.Close()
	n.tasks.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

// track has Close close a connection; false where it has been called.
func (n *Network) track(conn net.Conn, node string) bool {
	limitUnheard(conn, unheardTimeout)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		_ = conn.Close()
		return false
	}
	n.open[conn] = node
	return true
}

// Drop ends all connections with a node. Where one of the two opens another, both are
// judged anew.
func (n *Network) Drop(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for conn, with := range n.open {
		if with == node {
			_ = conn.Close()
		}
	}
}

func (n *Network) untrack(conn net.Conn) {
	_ = conn.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, conn)
}

// tracked is a connection that forgets itself when it is closed.
type tracked struct {
	net.Conn
	network *Network
	tcp     net.Conn // under Conn
}

// Close closes the connection.
func (t *tracked) Close() error {
	t.network.untrack(t.tcp)
	return nil
}

// GetConnection is a connection to a node for messages.
func (n *Network) GetConnection(_ context.Context, node string) (raftio.IConnection, error) {
	return &raftConn{network: n, node: node}, nil
}

// GetSnapshotConnection connects to a node for a snapshot.
func (n *Network) GetSnapshotConnection(ctx context.Context, node string) (raftio.ISnapshotConnection, error) {
	conn, err := n.dial(ctx, node, kindSnapshot)
	if err != nil {
		return nil, err
	}
	return &snapshotConn{sender: sender{conn: conn}}, nil
}

// Probe asks a node whether it would let this one in, with a raft log that ends where ends
// says, nil for not said.
func (n *Network) Probe(ctx context.Context, node string, ends map[uint64]uint64) error {
	hello := n.self
	hello.Kind, hello.To, hello.Ends = kindProbe, node, ends
	conn, err := n.dialAs(ctx, &hello)
	if err != nil {
		return err
	}
	return conn.Close()
}

// dial connects to a member and says hello.
func (n *Network) dial(ctx context.Context, node, kind string) (net.Conn, error) {
	hello := n.self
	hello.Kind, hello.To = kind, node
	return n.dialAs(ctx, &hello)
}

func (n *Network) dialAs(ctx context.Context, hello *Hello) (net.Conn, error) {
	node := hello.To
	address, ok := n.members.Address(node)
	if !ok {
		return nil, fault.New(fault.NotFound, "not_a_member", "there is no member %q", node)
	}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	defer context.AfterFunc(n.life, cancel)()
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to node %q: %w", node, err)
	}
	if !n.track(tcp, node) {
		return nil, fault.New(fault.Unavailable, "shutting_down", "the node is shutting down")
	}
	conn, err := n.secureDial(ctx, tcp, node)
	if err == nil {
		err = n.introduce(conn, hello)
	}
	if err != nil {
		n.untrack(tcp)
		n.complain("another node was not connected to", err, "node", node, "address", address)
		return nil, fmt.Errorf("connect to node %q at %s: %w", node, address, err)
	}
	return &tracked{Conn: conn, network: n, tcp: tcp}, nil
}

// introduce says hello and hears the answer.
func (n *Network) introduce(conn net.Conn, hello *Hello) error {
	node := hello.To
	if err := conn.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	if err := writeHello(conn, hello); err != nil {
		return err
	}
	var answer welcome
	if err := readHello(conn, &answer); err != nil {
		return err
	}
	if answer.Code != "" {
		refusal := fault.New(fault.Conflict, answer.Code, "node %q refuses: %s", node, answer.Message)
		n.members.Refused(node, refusal)
		return refusal
	}
	if answer.Node != node {
		return fault.New(fault.Conflict, "other_node", "there is node %q where %q is expected", answer.Node, node)
	}
	if err := n.members.Greet(answer.Hello, hello.Kind == kindProbe); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// take serves a connection that another node has opened.
func (n *Network) take(tcp net.Conn, server callServer) error {
	if err := tcp.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	conn, err := n.secureTake(tcp)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 256<<10)
	var hello Hello
	if err := readHello(in, &hello); err != nil {
		return err
	}
	if !n.track(tcp, hello.Node) || hello.Kind != kindProbe && !n.begun() {
		return nil
	}
	err = hello.check(&n.self)
	if err == nil {
		err = n.checkPeer(conn, hello.Node)
	}
	// Who is no member any more is told so, which the certificate alone does not say.
	if f := fault.As(err); err == nil || f != nil && f.Code == "not_a_member" {
		err = errors.Join(n.members.Greet(hello, err != nil || hello.Kind == kindProbe), err)
	}
	answer := welcome{Hello: n.self}
	if f := fault.As(err); f != nil {
		answer.Code, answer.Message = f.Code, f.Message
	} else if err != nil {
		answer.Code, answer.Message = "internal", err.Error()
	}
	if err := errors.Join(writeHello(conn, answer), err, conn.SetDeadline(time.Time{})); err != nil {
		return err
	}
	return n.serve(&hello, in, conn, server)
}

// begun waits until the network has been started, as long as the other side waits.
func (n *Network) begun() bool {
	over := time.NewTimer(helloTimeout)
	defer over.Stop()
	select {
	case <-n.started:
		return true
	case <-n.life.Done():
	case <-over.C:
	}
	return false
}

// serve does what a connection is for.
func (n *Network) serve(from *Hello, in *bufio.Reader, conn net.Conn, server callServer) error {
	switch from.Kind {
	case kindRaft:
		return n.receive(in, func(body []byte) error { return n.message(from, body) })
	case kindSnapshot:
		s := &arrival{network: n, from: from}
		err := n.receive(in, s.chunk)
		s.end()
		if err != nil {
			return err
		}
		var end [frameHeader]byte
		return (&sender{conn: conn}).write(end[:])
	case kindCalls:
		server.serve(in, conn)
	}
	return nil
}

// receive hands the frames of a connection on, until an empty one or an error.
func (n *Network) receive(in *bufio.Reader, handle func(body []byte) error) error {
	var buf []byte
	for {
		body, err := readFrame(in, buf)
		if err != nil || len(body) == 0 {
			return err
		}
		if err := handle(body); err != nil {
			return err
		}
		if cap(body) <= keptBytes {
			buf = body[:cap(body)]
		}
	}
}

// message takes a batch; decoding copies what it keeps.
func (n *Network) message(from *Hello, body []byte) error {
	var batch pb.MessageBatch
	if err := decode(&batch, body); err != nil {
		return fault.New(fault.Invalid, codeMalformed, "decode messages: %w", err)
	}
	if err := n.checkBatch(from, &batch); err != nil {
		return err
	}
	n.messages(batch)
	return nil
}
