package api

import (
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

func TestWatchNDJSON(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Heartbeat = 10 * time.Millisecond })
	s.want(200, "", "POST", "/kv/app/before", "x")
	response, lines := s.open("/kv/app?watch=1&prefix=a")
	if got := response.Header.Get("Content-Type"); got != typeNDJSON {
		t.Errorf("Content-Type is %q", got)
	}
	next := func() string { return line(t, lines) }
	wantLines(t, next, `{"meta":{"namespace":"app","version":1}}`)
	skip := func() string {
		for {
			if l := next(); !strings.HasPrefix(l, `{"heartbeat"`) {
				return l
			}
		}
	}
	s.want(200, "", "POST", "/kv/other/a", "x")
	s.want(200, "", "POST", "/kv/app/b", "x")
	s.want(200, "", "POST", "/kv/app/a1?ttl_ms=5", "one")
	s.want(200, "", "POST", "/kv/app/a2", "")
	s.want(200, "", "DELETE", "/kv/app/a2", "")
	s.documents.pass(5)
	wantLines(t, skip,
		`{"key":"a1","cas":4,"value":"b25l"}`,
		`{"key":"a2","cas":5,"value":""}`,
		`{"key":"a2","cas":6,"deleted":true,"expired":false}`,
		`{"key":"a1","cas":7,"deleted":true,"expired":true}`)
	s.want(200, "", "POST", "/kv/other/a", "x")
	for beat := ""; beat != `{"heartbeat":{"version":8}}`; {
		beat = next()
	}
	s.cancel()
	if last := skip(); !strings.Contains(last, `"error":"shutting_down"`) {
		t.Errorf("the last line is %q", last)
	}
}

func TestWatchSSE(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Heartbeat = time.Hour })
	for range 3 {
		s.want(200, "", "POST", "/kv/app/k", "v")
	}
	_, lines := s.open("/kv/app?watch=1&after=0", "Accept: text/event-stream", "Last-Event-ID: 1")
	next := func() string { return line(t, lines) }
	wantLines(t, next, "event: meta", `data: {"namespace":"app","version":1}`, "",
		"id: 2", `data: {"key":"k","cas":2,"value":"dg=="}`, "", "id: 3", `data: {"key":"k","cas":3,"value":"dg=="}`, "")
	// The changes between what was sent and the next one are forgotten.
	s.documents.set(func(f *fakeDocuments) { f.version, f.forgotten = 20, 15 })
	s.want(200, "", "POST", "/kv/app/k", "v")
	wantLines(t, next, "event: error",
		`data: {"ok":false,"error":"changes_gone","message":"The changes after 3 are no longer known: list the keys anew","docs":"/docs/errors/changes_gone"}`, "")
	s.wantError(410, "changes_gone", "GET", "/kv/app?watch=1&after=14", "")
	s.wantError(410, "changes_gone", "GET", "/kv/app?watch=1", "", "Last-Event-ID: 3")
	s.wantError(400, "invalid_parameter", "GET", "/kv/app?watch=1&after=22", "")
	s.wantError(400, "invalid_parameter", "GET", "/kv/app?watch=1&after=x", "")
	s.wantError(400, "invalid_parameter", "GET", "/kv/app?watch=yes", "")
}

// Heartbeats of server-sent events can be resumed after.
func TestWatchHeartbeatHasID(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Heartbeat = 5 * time.Millisecond })
	s.want(200, "", "POST", "/kv/other/k", "v")
	_, lines := s.open("/kv/app?watch=1", "Accept: text/event-stream")
	wantLines(t, func() string { return line(t, lines) }, "event: meta", `data: {"namespace":"app","version":1}`, "",
		"id: 1", "event: heartbeat", `data: {"version":1}`, "")
}

// A watcher that stops reading is let go, and nobody who writes waits for it.
func TestWatchStalledClient(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) {
		c.Limits.WriteTimeout, c.Limits.Heartbeat = 50*time.Millisecond, 5*time.Millisecond
	})
	c := s.dial()
	defer c.Close()
	_, _ = c.Write([]byte("GET /kv/app?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	testenv.Eventually(t, "the stream has begun", func() bool { return s.server.open.Load() == 1 })
	value := strings.Repeat("x", 1<<20)
	for range 24 {
		s.want(200, "", "POST", "/kv/app/k", value)
	}
	testenv.Eventually(t, "the watcher is given up", func() bool { return s.server.open.Load() == 0 })
}
