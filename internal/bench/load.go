//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// load is a closed loop: every connection sends a request, waits for the whole
// answer, and sends the next one.
type load struct {
	addresses   []string // host:port, for the connections in turn
	connections int
	requests    [][]byte // sent in turn; each connection begins at another one
	// greet, nil = none, says hello on a connection that blocks, and answers what that
	// connection has to send instead of requests.
	greet     func(fd, number int) (requests [][]byte, err error)
	protocol  protocol
	warm, run time.Duration
	done      <-chan struct{} // ends the load early when it is closed
}

// protocol reads answers. size is the length of the answer that buf begins with,
// 0 where that is not known yet; check judges a whole answer.
type protocol interface {
	size(buf []byte) (int, error)
	check(answer []byte) error
}

// outcome is what a load did after warming up.
type outcome struct {
	perSecond float64       // answers
	answers   uint64        // while warming up, too
	cpu       time.Duration // of the server for all of them, 0 = not measured
	latency   histogram
}

// maxThreads is how many threads drive a load: wrk is given as many.
const maxThreads = 2

// do runs the load. Any answer that is not the expected one ends it with an error.
func (l load) do() (outcome, error) {
	threads := min(maxThreads, l.connections)
	results := make([]thread, threads)
	start := time.Now()
	var running sync.WaitGroup
	for i := range results {
		t := &results[i]
		t.load, t.from, t.until = &l, start.Add(l.warm), start.Add(l.warm+l.run)
		n := l.connections / threads
		if i < l.connections%threads {
			n++
		}
		running.Go(func() { t.err = t.drive(n, i*l.connections/threads) })
	}
	running.Wait()
	var out outcome
	for i := range results {
		if results[i].err != nil {
			return out, fmt.Errorf("load %v: %w", l.addresses, results[i].err)
		}
		out.latency.merge(&results[i].latency)
		out.answers += results[i].answers
	}
	if out.latency.total == 0 {
		return out, fmt.Errorf("load %v: no answer within %v", l.addresses, l.run)
	}
	out.perSecond = float64(out.latency.total) / l.run.Seconds()
	return out, nil
}

// thread drives a part of the connections from one system thread, with epoll.
type thread struct {
	load        *load
	from, until time.Time // of what counts
	conns       []peer
	latency     histogram
	answers     uint64
	err         error
}

// peer is one connection.
type peer struct {
	fd       int
	requests [][]byte
	next     int    // request to send next
	out      []byte // of the request, not taken by the system yet
	in       []byte // of the answer
	need     int    // length of the answer, 0 = not known
	sent     time.Time
}

const answerBuffer = 16 << 10

func (t *thread) drive(n, first int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make an epoll: %w", err)
	}
	defer syscall.Close(epoll)
	defer t.hangUp()
	if err := t.connect(epoll, n, first); err != nil {
		return err
	}
	for i := range t.conns {
		if err := t.send(&t.conns[i], time.Now()); err != nil {
			return err
		}
	}
	return t.loop(epoll)
}

func (t *thread) loop(epoll int) error {
	const patience = 10 * time.Second
	events := make([]syscall.EpollEvent, 256)
	heard := time.Now()
	for {
		n, err := syscall.EpollWait(epoll, events, 50)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("wait for answers: %w", err)
		}
		now := time.Now()
		select {
		case <-t.load.done:
			return nil
		default:
		}
		switch {
		case !now.Before(t.until):
			return nil
		case n > 0:
			heard = now
		case now.Sub(heard) > patience:
			return fmt.Errorf("no answer for %v", patience)
		}
		for i := range max(n, 0) {
			if err := t.serve(&t.conns[events[i].Fd], events[i].Events); err != nil {
				return err
			}
		}
	}
}

// serve reads what has come on a connection and sends on.
func (t *thread) serve(p *peer, events uint32) error {
	if len(p.out) > 0 && events&syscall.EPOLLOUT != 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) == 0 {
		return nil
	}
	for {
		room := cap(p.in) - len(p.in)
		n, err := syscall.Read(p.fd, p.in[len(p.in):cap(p.in)])
		switch {
		case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
			return nil
		case err != nil:
			return fmt.Errorf("read an answer: %w", err)
		case n == 0:
			return errors.New("the server closed a connection")
		}
		p.in = p.in[:len(p.in)+n]
		if err := t.answered(p); err != nil {
			return err
		}
		if n < room {
			return nil // edge-triggered: a short read has drained the socket
		}
	}
}

// answered takes the answer, if it is whole, and sends the next request.
func (t *thread) answered(p *peer) error {
	protocol := t.load.protocol
	if p.need == 0 {
		var err error
		if p.need, err = protocol.size(p.in); err != nil {
			return err
		}
		if p.need > cap(p.in) {
			p.in = append(make([]byte, 0, p.need+answerBuffer), p.in...)
		}
	}
	if p.need == 0 && len(p.in) == cap(p.in) {
		return errors.New("an answer has too long a head")
	}
	if p.need == 0 || len(p.in) < p.need {
		return nil
	}
	if len(p.in) > p.need {
		return fmt.Errorf("%d bytes came after an answer", len(p.in)-p.need)
	}
	if err := protocol.check(p.in); err != nil {
		return err
	}
	now := time.Now()
	t.answers++
	if now.After(t.from) && now.Before(t.until) {
		t.latency.add(now.Sub(p.sent))
	}
	return t.send(p, now)
}

func (t *thread) send(p *peer, now time.Time) error {
	p.out = p.requests[p.next%len(p.requests)]
	p.next++
	p.in, p.need, p.sent = p.in[:0], 0, now
	return p.flush()
}

func (p *peer) flush() error {
	for len(p.out) > 0 {
		n, err := syscall.Write(p.fd, p.out)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("send a request: %w", err)
		}
		p.out = p.out[n:]
	}
	return nil
}

func (t *thread) connect(epoll, n, first int) error {
	for i := range n {
		number := first + i
		fd, err := dial(t.load.addresses[number%len(t.load.addresses)])
		if err != nil {
			return err
		}
		p := peer{fd: fd, requests: t.load.requests, next: number, in: make([]byte, 0, answerBuffer)}
		t.conns = append(t.conns, p)
		if t.load.greet != nil {
			if t.conns[i].requests, err = t.load.greet(fd, number); err != nil {
				return err
			}
		}
		err = errors.Join(
			syscall.SetNonblock(fd, true),
			syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{
				Events: syscall.EPOLLIN | syscall.EPOLLOUT | edgeTriggered, Fd: int32(i),
			}))
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
	}
	return nil
}

// dial connects a socket.
func dial(to string) (fd int, err error) {
	resolved, err := net.ResolveTCPAddr("tcp4", to)
	if err != nil {
		return 0, fmt.Errorf("read the address %q: %w", to, err)
	}
	address := syscall.SockaddrInet4{Port: resolved.Port}
	binary.BigEndian.PutUint32(address.Addr[:], binary.BigEndian.Uint32(resolved.IP.To4()))
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return 0, fmt.Errorf("make a socket: %w", err)
	}
	err = errors.Join(syscall.Connect(fd, &address), syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
	if err != nil {
		return 0, fmt.Errorf("connect: %w", errors.Join(err, syscall.Close(fd)))
	}
	return fd, nil
}

// edgeTriggered is EPOLLET, which package syscall has as a negative number.
const edgeTriggered = 1 << 31

func (t *thread) hangUp() {
	for i := range t.conns {
		_ = syscall.Close(t.conns[i].fd) // nothing is expected from it any more
	}
}
