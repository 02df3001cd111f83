package api

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"leat/internal/fault"
)

// How long a connection may go on while the server drains, and after a refusal
// that left a part of the request unread.
const (
	idleGrace   = 100 * time.Millisecond // a request that has arrived and was not read yet
	readGrace   = 2 * time.Second        // the rest of a request that has begun
	lingerTime  = time.Second
	lingerBytes = 64 << 20
	writePart   = 64 << 10
)

// listener hands out connections that know whether a request is under way on
// them. It survives a shortage of file descriptors and refuses what is over its
// limit of connections in the one error form.
type listener struct {
	net.Listener
	tls      *tls.Config // nil = connections are not encrypted
	limit    int
	timeout  time.Duration // for one part of an answer to be taken
	draining atomic.Bool
	closed   chan struct{}
	once     sync.Once
	refusing chan struct{} // holds an element for every refusal that needs a handshake
	refusals sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]struct{}
	empty *sync.Cond
}

func newListener(inner net.Listener, config *tls.Config, limit int, timeout time.Duration) *listener {
	l := &listener{
		Listener: inner, tls: config, limit: limit, timeout: timeout, closed: make(chan struct{}),
		conns: make(map[*conn]struct{}), refusing: make(chan struct{}, 16),
	}
	l.empty = sync.NewCond(&l.mu)
	return l
}

// Accept waits for a connection. It fails only when the listener is closed.
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, io.EOF
		case err != nil:
			// Out of descriptors or memory: others may give some back.
			if !l.pause(50 * time.Millisecond) {
				return nil, io.EOF
			}
			continue
		}
		c := &conn{Conn: inner, listener: l}
		if l.tls != nil {
			c.Conn, c.exact = secure(inner, l.tls), true
		}
		if l.add(c) {
			return c, nil
		}
		l.refuse(c.Conn)
	}
}

// pause waits, false when the listener closed meanwhile.
func (l *listener) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closed:
		return false
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *listener) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= l.limit {
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	if len(l.conns) == 0 {
		l.empty.Broadcast()
	}
}

func (l *listener) all() []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		out = append(out, c)
	}
	return out
}

// drain ends idle connections, and gives those in the middle of a request a short
// time to bring it to an end.
func (l *listener) drain() {
	l.draining.Store(true)
	for _, c := range l.all() {
		_ = c.SetReadDeadline(time.Time{})
	}
}

// revoke gives the clients of answers that stay open, and that these tokens do not
// let go on, so much time to take the rest.
func (l *listener) revoke(c *credentials, grace time.Duration) {
	end := time.Now().Add(grace)
	for _, open := range l.all() {
		if p := open.pass.Load(); p != nil && p.under(c) != nil && open.revoked.CompareAndSwap(nil, &end) {
			_ = open.SetWriteDeadline(end)
		}
	}
}

// closeAll closes every connection, whatever it is doing.
func (l *listener) closeAll() {
	for _, c := range l.all() {
		c.linger.Store(false)
		c.over.Store(true)
		_ = c.Conn.Close()
	}
}

// wait returns once every connection has been given up.
func (l *listener) wait(d time.Duration) error {
	expired := false
	timer := time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		expired = true
		l.empty.Broadcast()
	})
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.conns) > 0 {
		if expired {
			return context.DeadlineExceeded
		}
		l.empty.Wait()
	}
	return nil
}

// refuse answers a connection there is no room for. Where that takes a handshake first,
// few are answered at a time, and the others only closed.
func (l *listener) refuse(c net.Conn) {
	answer := func(grace time.Duration) {
		_ = c.SetDeadline(time.Now().Add(grace))
		_, _ = c.Write(wireError(503, fault.New(fault.Unavailable, "overloaded", "The server has as many connections as it takes")))
		_ = c.Close()
	}
	if l.tls == nil {
		answer(idleGrace)
		return
	}
	select {
	case l.refusing <- struct{}{}:
		l.refusals.Go(func() {
			answer(lingerTime)
			<-l.refusing
		})
	default:
		_ = c.Close()
	}
}

// The states of a connection.
const (
	stateIdle      int32 = iota // nothing of a request has arrived
	stateReceiving              // a request has begun to arrive
	stateHandling               // it is being worked on
	stateAnswering              // its answer is being written
)

// conn is a connection that knows where it stands in a request.
type conn struct {
	net.Conn
	listener *listener
	exact    bool // a write that is late has broken the connection
	state    atomic.Int32
	linger   atomic.Bool               // close politely: a part of the request was not read
	stream   atomic.Bool               // the answer goes on for as long as the client takes it
	over     atomic.Bool               // nothing more can be read
	pass     atomic.Pointer[permit]    // of the stream, nil where there is none
	revoked  atomic.Pointer[time.Time] // when the stream ends, whatever was not taken
	reading  deadline
	writing  deadline
	once     sync.Once
	closeErr error
}

func (c *conn) Read(p []byte) (int, error) {
	// Reading again after an answer means waiting for the next request.
	if c.state.CompareAndSwap(stateAnswering, stateIdle) && c.listener.draining.Load() {
		_ = c.SetReadDeadline(time.Time{})
	}
	n, err := c.Conn.Read(p)
	for n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.reading.renew(c.Conn.SetReadDeadline) {
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.state.CompareAndSwap(stateIdle, stateReceiving)
		return n, err
	}
	c.over.Store(true)
	if c.state.Load() == stateIdle && errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, io.EOF // there is no request to answer
	}
	return n, err
}

// Write writes p. Of a large answer and of a stream every part has the write
// timeout anew: who reads slowly is served, who does not read at all is not.
func (c *conn) Write(p []byte) (n int, err error) {
	if len(p) <= writePart && !c.stream.Load() {
		return c.write(p)
	}
	for err == nil && len(p) > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(c.listener.timeout)); err != nil {
			return n, err
		}
		var written int
		written, err = c.write(p[:min(len(p), writePart)])
		n, p = n+written, p[written:]
	}
	return n, err
}

func (c *conn) write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	for !c.exact && errors.Is(err, os.ErrDeadlineExceeded) && c.writing.renew(c.Conn.SetWriteDeadline) {
		var more int
		more, err = c.Conn.Write(p[n:])
		n += more
	}
	return n, err
}

// SetReadDeadline sets the deadline asked for, or a nearer one while the server
// drains.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.listener.draining.Load() {
		grace := readGrace
		if c.state.Load() == stateIdle {
			grace = idleGrace
		}
		if end := time.Now().Add(grace); t.IsZero() || t.After(end) {
			t = end
		}
	}
	return c.reading.set(t, c.Conn.SetReadDeadline)
}

// SetWriteDeadline sets the deadline of the next write, or that of a revoked stream.
func (c *conn) SetWriteDeadline(t time.Time) error {
	for {
		end := c.revoked.Load()
		if end != nil && (t.IsZero() || t.After(*end)) {
			t = *end
		}
		if err := c.setWriteDeadline(t); err != nil || c.revoked.Load() == end {
			return err
		}
		// It was revoked meanwhile, and that deadline may have been set before this one.
	}
}

func (c *conn) setWriteDeadline(t time.Time) error {
	if c.exact {
		return alive(c.Conn.SetWriteDeadline(t))
	}
	return c.writing.set(t, c.Conn.SetWriteDeadline)
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// alive hides that a connection is closed already: fasthttp panics where a deadline
// cannot be set. The next read or write says so anyway.
func alive(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Close closes the connection. Where a part of a request was left unread it first
// takes in some more of it, for otherwise the client's system may throw the answer
// away with the reset.
func (c *conn) Close() error {
	if c.listener.draining.Load() && c.state.Load() == stateIdle && !c.over.Load() {
		return nil // fasthttp closes what is idle; the deadline of the drain does, later
	}
	c.once.Do(func() {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger.Load() && half.CloseWrite() == nil {
			_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
			_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
		}
		c.closeErr = c.Conn.Close()
		c.listener.remove(c)
	})
	return c.closeErr
}
