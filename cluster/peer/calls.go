package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"sync/atomic"

	"leat/internal/fault"
)

// serviceName is under which net/rpc knows the methods of a node.
const serviceName = "Node"

// callServer answers calls.
type callServer struct{ server *rpc.Server }

func newServer(service any) (callServer, error) {
	s := callServer{server: rpc.NewServer()}
	if err := s.server.RegisterName(serviceName, service); err != nil {
		return s, fmt.Errorf("register the calls between nodes: %w", err)
	}
	return s, nil
}

// stream reads through a buffer that may hold the first call already.
type stream struct {
	io.Reader
	net.Conn
}

// Read reads from the buffer.
func (s stream) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// serve answers the calls of a connection until it ends.
func (s callServer) serve(in io.Reader, conn net.Conn) { s.server.ServeConn(stream{in, conn}) }

// caller is a connection for calls to one node.
type caller struct {
	client *rpc.Client
	conn   *listening
}

// listening is a connection that knows when the other side has gone.
type listening struct {
	net.Conn
	gone atomic.Bool
}

// Read reads.
func (l *listening) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err != nil {
		l.gone.Store(true)
	}
	return n, err
}

// ErrNotSent is wrapped in the error of a call that never left this node.
var ErrNotSent = errors.New("the call was not sent")

// Call calls a method of another node and waits for the answer, or for ctx to end:
// the call may then still be carried out. An error of the method itself is a text
// only: methods put theirs into the reply.
func (n *Network) Call(ctx context.Context, node, method string, args, reply any) error {
	c, err := n.caller(ctx, node)
	if err != nil {
		return fmt.Errorf("call %s of node %q: %w: %w", method, node, ErrNotSent, err)
	}
	call := c.client.Go(serviceName+"."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		err = call.Error
	case <-ctx.Done():
		return fmt.Errorf("call %s of node %q: %w", method, node, context.Cause(ctx))
	}
	var answered rpc.ServerError
	if err != nil && !errors.As(err, &answered) {
		n.forget(node, c)
	}
	if err != nil {
		return fmt.Errorf("call %s of node %q: %w", method, node, err)
	}
	return nil
}

// caller finds the connection for calls to a node, or makes one.
func (n *Network) caller(ctx context.Context, node string) (*caller, error) {
	n.mu.Lock()
	c := n.calls[node]
	n.mu.Unlock()
	if c != nil && !c.conn.gone.Load() {
		return c, nil
	}
	if c != nil {
		n.forget(node, c)
	}
	conn, err := n.dial(ctx, node, kindCalls)
	if err != nil {
		return nil, err
	}
	c = &caller{conn: &listening{Conn: conn}}
	c.client = rpc.NewClient(c.conn)
	n.mu.Lock()
	faster, closed := n.calls[node], n.closed
	if faster == nil && !closed {
		n.calls[node] = c
	}
	n.mu.Unlock()
	// Closing a connection takes the lock.
	switch {
	case closed:
		_ = c.client.Close()
		return nil, fault.New(fault.Unavailable, "shutting_down", "the node is shutting down")
	case faster != nil:
		_ = c.client.Close()
		return faster, nil
	}
	return c, nil
}

// forget drops a connection that has failed.
func (n *Network) forget(node string, c *caller) {
	n.mu.Lock()
	if n.calls[node] == c {
		delete(n.calls, node)
	}
	n.mu.Unlock()
	_ = c.client.Close()
}
