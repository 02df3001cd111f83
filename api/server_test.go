package api

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/testenv"
)

// Every request in flight is answered, waits and streams end, nothing is left.
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.LongPoll = time.Hour })
	s.want(201, "", "POST", "/queries", spec)
	entered, release := make(chan struct{}), make(chan struct{})
	s.topics.failAppends(func(context.Context, bus.Append) error { close(entered); <-release; return nil })
	produced, polled := make(chan answer, 1), make(chan answer, 1)
	go func() { produced <- s.do("POST", "/broker/topics/t/produce?partition=0", strings.NewReader("x")) }()
	<-entered
	go func() { polled <- s.do("GET", "/broker/consume/t/g/1?wait_ms=3600000", http.NoBody) }()
	_, lines := s.open("/queries/q/results?follow=1")
	if got := line(t, lines); got != `{"meta":{"query":"q","next_offset":0}}` {
		t.Errorf("got %q", got)
	}
	idle, half := s.dial(), s.dial()
	defer idle.Close()
	defer half.Close()
	_, _ = io.WriteString(half, "POST /broker/topics/t/produce?partition=2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na")
	testenv.Eventually(t, "all are under way", func() bool { return s.server.app.Server().GetOpenConnectionsCount() == 5 })
	testenv.Eventually(t, "the half request has begun", func() bool { return strings.Contains(stacks(), "readBody") })
	s.cancel()
	if last := line(t, lines); !strings.Contains(last, `"error":"shutting_down"`) {
		t.Errorf("the stream ends with %q", last)
	}
	if a := <-polled; a.status != 200 || !strings.Contains(a.body, `"messages":[]`) {
		t.Errorf("the long poll ends with %d %s", a.status, a.body)
	}
	s.topics.failAppends(nil)
	_, _ = io.WriteString(half, "bc")
	if got, _ := io.ReadAll(half); !strings.HasPrefix(string(got), "HTTP/1.1 200") {
		t.Errorf("the request that had begun ends with %q", got)
	}
	if got, err := io.ReadAll(idle); err != nil || len(got) != 0 {
		t.Errorf("the idle connection ends with %q %v", got, err)
	}
	close(release)
	if a := <-produced; a.status != 200 {
		t.Errorf("the append in flight ends with %d %s", a.status, a.body)
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	testenv.Eventually(t, "no goroutine is left", func() bool { return !leaked(t.Name()) })
	if err := s.server.Run(t.Context(), nil); err == nil {
		t.Error("Run runs twice")
	}
}

func stacks() string {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	return b.String()
}

// leaked tells whether a goroutine that descends from a test's server is alive.
// Two of fasthttp's own are let pass: its clock, one for the process, and the
// sweeper of its worker pool, which notices the end within ten seconds.
func leaked(test string) bool {
	for _, g := range strings.Split(stacks(), "\n\n") {
		if strings.Contains(g, `"server":"`+test+`"`) && !strings.Contains(g, "updateServerDate") && !strings.Contains(g, "workerPool).Start") {
			return true
		}
	}
	return false
}

// A call that does not end in time is cut off, and Run says so.
func TestShutdownCutsOff(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.Drain, c.Limits.CallTimeout = 50*time.Millisecond, time.Hour })
	entered := make(chan struct{})
	s.topics.failAppends(func(ctx context.Context, _ bus.Append) error { close(entered); <-ctx.Done(); return ctx.Err() })
	go func() {
		if response, err := s.client.Post("http://"+s.address+"/broker/topics/t/produce", "", strings.NewReader("x")); err == nil {
			_ = response.Body.Close()
		}
	}()
	<-entered
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Run: %v", err)
	}
	<-s.done
	s.done <- nil
}

// A shortage of descriptors must not end the server.
func TestAcceptSurvivesErrors(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(&shortListener{Listener: inner, failures: 3}, nil, 10, time.Second)
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = got.Close()
	_ = l.Close()
	if _, err := l.Accept(); err != io.EOF {
		t.Errorf("a closed listener: %v", err)
	}
}

type shortListener struct {
	net.Listener
	failures int
}

func (l *shortListener) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		return nil, &net.OpError{Op: "accept", Err: io.ErrShortBuffer}
	}
	return l.Listener.Accept()
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, path := range []string{"/health", "/broker/topics", "/nowhere", "/", "/docs/errors"} {
		a := s.do("GET", path, http.NoBody)
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Server") != "" || a.header.Get("Content-Type") == "" {
			t.Errorf("%s: %v", path, a.header)
		}
		if html := strings.Contains(a.header.Get("Content-Type"), "html"); html != (path == "/") || html && a.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
}

// A connection goes on after a body that was read to its end, however it came.
func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	c := s.dial()
	defer c.Close()
	r := bufio.NewReader(c)
	large := strings.Repeat("x", 300_000)
	const post = "POST /broker/topics/t/produce?partition=0 HTTP/1.1\r\nHost: localhost\r\n"
	for i, request := range []string{
		post + "Content-Length: 300000\r\n\r\n" + large,
		post + "Transfer-Encoding: chunked\r\n\r\n493e0\r\n" + large + "\r\n0\r\n\r\n",
		post + "Content-Length: 0\r\n\r\n",
		post + "Content-Length: 1\r\n\r\nx",
		"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
		post + "\r\n",
	} {
		go func() { _, _ = io.WriteString(c, request) }()
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		want := http.StatusOK
		if strings.HasPrefix(request, "GET") {
			want = http.StatusNotFound
		}
		if response.StatusCode != want || response.Close {
			t.Errorf("request %d: %d, want %d, close %v", i, response.StatusCode, want, response.Close)
		}
	}
	_, _ = io.WriteString(c, post+"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	if got, _ := r.ReadString('\n'); !strings.HasPrefix(got, "HTTP/1.1 100 ") {
		t.Fatalf("Expect is answered with %q", got)
	}
	_, _ = r.ReadString('\n')
	_, _ = io.WriteString(c, "ab")
	if response, err := http.ReadResponse(r, nil); err != nil || response.StatusCode != 200 {
		t.Errorf("after the body: %v %v", response, err)
	}
	l, _ := s.topics.log("t", 0)
	if l.Next() != 6 {
		t.Errorf("%d records", l.Next())
	}
}

// TestRunEndsBeforeItServes: a server that is ended before it has begun to accept ends.
func TestRunEndsBeforeItServes(t *testing.T) {
	t.Parallel()
	for range 50 {
		s := serve(t, nil)
		if err := s.stop(); err != nil || t.Failed() {
			t.Fatal(err)
		}
	}
}
