package api

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

// following is a stream that a test reads.
type following struct {
	path    string
	headers []string
	begins  func(line string) bool // the line that ends its beginning
	more    func(s *testServer)    // makes it go on
	went    string                 // is in the line that then comes
}

// followings are all the kinds of answers that stay open, each over app.a.
func followings() map[string]following {
	meta := func(l string) bool { return strings.HasPrefix(l, `{"meta"`) }
	produce := func(s *testServer) {
		s.want(200, "", "POST", "/broker/topics/app.a/produce?partition=0", "more", "Authorization: Bearer root")
	}
	return map[string]following{
		"tail": {"/broker/stream/app.a/0", nil, meta, produce, `"value":"more"`},
		"tail SSE": {"/broker/stream/app.a/0", []string{"Accept: text/event-stream"},
			func(l string) bool { return l == "" }, produce, `"value":"more"`},
		"watch": {"/kv/app.a?watch=1", nil, meta, func(s *testServer) {
			s.want(200, "", "POST", "/kv/app.a/k", "more", "Authorization: Bearer root")
		}, `"value":"bW9yZQ=="`},
		"follow": {"/queries/q/results?follow=1", nil, meta, func(s *testServer) { addRows(s, `"more"`) }, `"row":"more"`},
	}
}

// begin opens the stream with a token and reads its beginning.
func (f *following) begin(s *testServer, token string) *bufio.Reader {
	s.t.Helper()
	response, lines := s.open(f.path, append([]string{"Authorization: Bearer " + token}, f.headers...)...)
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", f.path, response.Status)
	}
	for !f.begins(line(s.t, lines)) {
	}
	return lines
}

const grants = "root:gone@consume+kv+query:less@consume=app.+kv=app.+query=app.:same@consume=app.+kv=app.+query=app."

func serveGuarded(t *testing.T, alter func(*Config)) *testServer {
	t.Helper()
	s := serve(t, func(c *Config) {
		c.Tokens, c.Limits.Heartbeat = tokens(t, grants), time.Hour
		if alter != nil {
			alter(c)
		}
	})
	s.want(200, "", "POST", "/broker/topics", `{"name":"app.a","partitions":1}`, "Authorization: Bearer root")
	s.want(201, "", "POST", "/queries", `{"name":"q","source":{"topic":"app.a"}}`, "Authorization: Bearer root")
	return s
}

// What stays open ends with its error where the new tokens do not let it in, and
// goes on where they do.
func TestRevokedStreams(t *testing.T) {
	t.Parallel()
	for name, f := range followings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveGuarded(t, nil)
			gone, less, same := f.begin(s, "gone"), f.begin(s, "less"), f.begin(s, "same")
			if err := s.server.SetTokens(tokens(t, "same@consume=app.+kv=app.+query=app.:less@consume=b+kv=b+query=b:root")); err != nil {
				t.Fatal(err)
			}
			for lines, code := range map[*bufio.Reader]string{gone: "unauthorized", less: "forbidden"} {
				rest, err := io.ReadAll(lines)
				text := strings.TrimSpace(string(rest))
				if err != nil || !strings.Contains(text, `{"ok":false,"error":"`+code+`"`) || strings.Contains(text, "more") {
					t.Errorf("got %q, %v, want one error %s", text, err, code)
				}
			}
			f.more(s)
			for !strings.Contains(line(t, same), f.went) {
			}
			testenv.Eventually(t, "the revoked streams have ended", func() bool { return s.server.open.Load() == 1 })
			s.wantError(401, "unauthorized", "GET", f.path, "", "Authorization: Bearer gone")
			s.wantError(403, "forbidden", "GET", f.path, "", "Authorization: Bearer less")
		})
	}
}

// A stream that never waits is looked at as well, and what was read for it before
// is not written any more.
func TestRevokedBusyStream(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t, nil)
	s.server.revokedGrace = time.Hour // however late the test comes to read
	const root = "Authorization: Bearer root"
	for range 3 { // far more than the buffers of a connection hold
		s.want(200, "", "POST", "/broker/topics/app.a/produce-ndjson?partition=0", strings.Repeat(strings.Repeat("x", 99)+"\n", 100_000), root)
	}
	f := followings()["tail"]
	f.path += "?offset=0"
	lines := f.begin(s, "gone")
	if err := s.server.SetTokens(tokens(t, "root")); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil || !strings.Contains(string(rest[max(0, len(rest)-200):]), `"error":"unauthorized"`) {
		t.Errorf("after %d bytes: %v, %q", len(rest), err, rest[max(0, len(rest)-200):])
	}
	if count := strings.Count(string(rest), "\n"); count > 200_000 {
		t.Errorf("%d records came all the same", count)
	}
}

// A client that does not read is let go long before the write timeout, one whose
// token is good is not.
func TestRevokedStalledClient(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t, func(c *Config) { c.Limits.WriteTimeout = time.Hour })
	s.server.revokedGrace = 20 * time.Millisecond
	for _, token := range []string{"gone", "same"} {
		c := s.dial()
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, "GET /kv/app.a?watch=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+token+"\r\n\r\n")
	}
	testenv.Eventually(t, "the streams have begun", func() bool { return s.server.open.Load() == 2 })
	value := strings.Repeat("x", 1<<20)
	for range 24 {
		s.want(200, "", "POST", "/kv/app.a/k", value, "Authorization: Bearer root")
	}
	if err := s.server.SetTokens(tokens(t, "root:same@kv")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the one without a token is given up", func() bool { return s.server.open.Load() == 1 })
	for c, p := range passes(s) {
		if p.under(s.server.credentials.Load()) != nil || c.revoked.Load() != nil {
			t.Error("the wrong one was given up")
		}
	}
}

// timedConn is a connection that remembers its write deadline, and does something before
// it is set for the first time.
type timedConn struct {
	net.Conn
	before func()
	end    time.Time
}

func (c *timedConn) SetWriteDeadline(t time.Time) error {
	if before := c.before; before != nil {
		c.before = nil
		before()
	}
	c.end = t
	return nil
}

// TestRevokedAsItWrites: the end of a revoked stream stands, also where the stream is about
// to give its next write the time that it had before.
func TestRevokedAsItWrites(t *testing.T) {
	t.Parallel()
	inner := &timedConn{}
	l := &listener{conns: map[*conn]struct{}{}}
	c := &conn{Conn: inner, listener: l, exact: true}
	l.conns[c] = struct{}{}
	c.pass.Store(&permit{scopes: ScopeKV})
	began := time.Now()
	inner.before = func() { l.revoke(newCredentials(tokens(t, "other")), time.Second) }
	if err := c.SetWriteDeadline(began.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	first := inner.end
	if first.After(time.Now().Add(time.Second)) {
		t.Errorf("the write has %s", first.Sub(began))
	}
	// Once it has been revoked, more tokens that are replaced give it no more time.
	l.revoke(newCredentials(tokens(t, "another")), time.Hour)
	if err := c.SetWriteDeadline(began.Add(time.Hour)); err != nil || !inner.end.Equal(first) {
		t.Errorf("the write has %s, %v", inner.end.Sub(began), err)
	}
}

// passes are those of the open streams.
func passes(s *testServer) map[*conn]*permit {
	found := map[*conn]*permit{}
	for _, c := range s.server.guarded.Load().all() {
		if p := c.pass.Load(); p != nil && !c.over.Load() {
			found[c] = p
		}
	}
	return found
}

func TestRevokedLongPoll(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t, nil)
	poll := func(token string) <-chan answer {
		got := make(chan answer, 1)
		go func() {
			request, _ := http.NewRequest("GET", "http://"+s.address+"/broker/consume/app.a/g/0?wait_ms=30000", nil)
			request.Header.Set("Authorization", "Bearer "+token)
			response, err := s.client.Do(request)
			if err != nil {
				got <- answer{body: err.Error()}
				return
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			got <- answer{response.StatusCode, response.Header, string(body)}
		}()
		return got
	}
	gone, less, same := poll("gone"), poll("less"), poll("same")
	testenv.Eventually(t, "all wait", func() bool { return s.topics.waits.Load() == 3 })
	if err := s.server.SetTokens(tokens(t, "same@consume=app.:less@consume=b:root")); err != nil {
		t.Fatal(err)
	}
	checkError(t, <-gone, 401, "unauthorized", "a revoked poll")
	checkError(t, <-less, 403, "forbidden", "a narrowed poll")
	s.want(200, "", "POST", "/broker/topics/app.a/produce?partition=0", "more", "Authorization: Bearer root")
	if a := <-same; a.status != 200 || !strings.Contains(a.body, `"value":"more"`) {
		t.Errorf("the poll that may go on: %d %s", a.status, a.body)
	}
}

// An open server can be closed and not the other way round.
func TestSetTokens(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.Heartbeat = time.Hour })
	_, lines := s.open("/broker/stream/t/0", "Authorization: Bearer ignored")
	_, known := s.open("/broker/stream/t/0", "Authorization: Bearer a")
	line(t, lines)
	line(t, known)
	for _, set := range []string{"", "a"} {
		if err := s.server.SetTokens(tokens(t, set)); err != nil {
			t.Fatal(err)
		}
	}
	if l := line(t, lines); !strings.Contains(l, `"error":"unauthorized"`) {
		t.Errorf("the last line is %q", l)
	}
	s.wantError(401, "unauthorized", "GET", "/broker/topics", "")
	if err := s.server.SetTokens(Tokens{}); err == nil {
		t.Error("the server is open again")
	}
	s.wantError(401, "unauthorized", "GET", "/broker/topics", "")
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=0", "more", "Authorization: Bearer a")
	if l := line(t, known); !strings.Contains(l, "more") {
		t.Errorf("the stream with a token goes on with %q", l)
	}
	dev := serve(t, func(c *Config) { c.Dev = true })
	if err := dev.server.SetTokens(Tokens{}); err != nil {
		t.Fatal(err)
	}
	dev.want(200, "", "GET", "/broker/topics", "", "Authorization: Bearer dev")
}
