package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"leat/internal/fault"
	"leat/internal/testenv"
)

const spec = `{"name":"q","source":{"topic":"flights"}}`

func addRows(s *testServer, rows ...string) {
	s.queries.change("q", func(q *fakeQuery) {
		for _, r := range rows {
			q.rows = append(q.rows, json.RawMessage(r))
		}
	})
}

func wantLines(t *testing.T, next func() string, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := next(); got != w {
			t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func TestFollowNDJSON(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Heartbeat = 10 * time.Millisecond })
	s.want(201, `{"ok":true,"name":"q","warnings":[]}`, "POST", "/queries", spec)
	s.want(200, `{"ok":true,"name":"q","warnings":[]}`, "POST", "/queries", spec)
	addRows(s, `{"n":0}`, `{"n":1}`)
	response, lines := s.open("/queries/q/results?follow=1&offset=1")
	if got := response.Header.Get("Content-Type"); got != typeNDJSON {
		t.Errorf("Content-Type is %q", got)
	}
	next := func() string { return line(t, lines) }
	wantLines(t, next, `{"meta":{"query":"q","next_offset":1}}`, `{"offset":1,"row":{"n":1}}`, `{"heartbeat":{"next_offset":2,"watermark":null}}`)
	watermark := int64(7)
	s.queries.change("q", func(q *fakeQuery) { q.watermark = &watermark })
	skip := func() string { // heartbeats come when they like
		for {
			if l := next(); !strings.HasPrefix(l, `{"heartbeat"`) {
				return l
			}
		}
	}
	for beat := ""; beat != `{"heartbeat":{"next_offset":2,"watermark":7}}`; {
		beat = next()
	}
	addRows(s, "{\"n\":\n2}", `{"n":3}`)
	wantLines(t, skip, `{"offset":2,"row":{"n":2}}`, `{"offset":3,"row":{"n":3}}`)
	s.queries.change("q", func(q *fakeQuery) { q.complete = true })
	wantLines(t, skip, `{"complete":true,"next_offset":4}`)
	if rest, err := lines.ReadString('\n'); err == nil {
		t.Errorf("something follows: %q", rest)
	}
}

func TestFollowSSE(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.want(201, "", "POST", "/queries", spec)
	addRows(s, `{"n":0}`, `{"n":1}`, `{"n":2}`)
	response, lines := s.open("/queries/q/results?follow=1", "Accept: text/event-stream", "Last-Event-ID: 1")
	if got := response.Header.Get("Content-Type"); got != typeSSE {
		t.Errorf("Content-Type is %q", got)
	}
	next := func() string { return line(t, lines) }
	wantLines(t, next, "event: meta", `data: {"query":"q","next_offset":2}`, "", "id: 2", `data: {"n":2}`, "")
	s.queries.change("q", func(q *fakeQuery) {
		q.stopped = fault.New(fault.NotFound, "unknown_topic", "The source topic is gone")
	})
	wantLines(t, next, "event: error", `data: {"ok":false,"error":"unknown_topic","message":"The source topic is gone","docs":"/docs/errors/unknown_topic"}`, "")
	s.wantError(400, "invalid_parameter", "GET", "/queries/q/results?follow=1", "", "Last-Event-ID: x")
	s.wantError(404, "unknown_query", "GET", "/queries/no/results?follow=1", "")
}

func TestFollowEnds(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.want(201, "", "POST", "/queries", spec)
	addRows(s, `1`, `2`, `3`)
	s.want(200, "{\"meta\":{\"query\":\"q\",\"next_offset\":0}}\n{\"offset\":0,\"row\":1}\n{\"offset\":1,\"row\":2}\n",
		"GET", "/queries/q/results?follow=1&limit=2", "")
	_, lines := s.open("/queries/q/results?follow=1&offset=3")
	wantLines(t, func() string { return line(t, lines) }, `{"meta":{"query":"q","next_offset":3}}`)
	s.want(200, `{"ok":true,"name":"q"}`, "DELETE", "/queries/q", "")
	if last := line(t, lines); !strings.Contains(last, `"error":"unknown_query"`) {
		t.Errorf("the last line is %q", last)
	}
}

// A client that stops reading is let go after the write timeout.
func TestFollowStalledClient(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) {
		c.Limits.WriteTimeout, c.Limits.Heartbeat = 50*time.Millisecond, 5*time.Millisecond
	})
	s.want(201, "", "POST", "/queries", spec)
	row := `"` + strings.Repeat("x", 1<<20) + `"`
	for range 32 {
		addRows(s, row)
	}
	c := s.dial()
	defer c.Close()
	_, _ = c.Write([]byte("GET /queries/q/results?follow=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	testenv.Eventually(t, "the stream has begun", func() bool { return s.server.app.Server().GetCurrentConcurrency() > 0 })
	s.client.CloseIdleConnections()
	testenv.Eventually(t, "the connection is given up", func() bool { return s.server.app.Server().GetOpenConnectionsCount() == 0 })
	s.want(200, "", "GET", "/health", "")
}

func TestRows(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.want(201, "", "POST", "/queries", spec)
	addRows(s, `{"n":0}`, `{"n":1}`, `{"n":2}`)
	s.want(200, `{"ok":true,"rows":[{"n":1}],"next_offset":2,"complete":false}`, "GET", "/queries/q/results?offset=1&limit=1", "")
	s.queries.change("q", func(q *fakeQuery) { q.complete = true })
	s.want(200, `{"ok":true,"rows":[{"n":2}],"next_offset":3,"complete":true}`, "GET", "/queries/q/results?offset=2", "")
	s.want(200, `{"ok":true,"rows":[],"next_offset":9,"complete":true}`, "GET", "/queries/q/results?offset=9", "")
	s.wantError(409, "query_exists", "POST", "/queries", `{"name":"q","source":{"topic":"other"}}`)
	m := s.wantError(400, "invalid_query", "POST", "/queries/validate", `{}`)
	if m["pointer"] != "/name" || len(m["problems"].([]any)) != 1 {
		t.Errorf("got %v", m)
	}
	s.wantError(400, "invalid_parameter", "GET", "/queries/q/plan?format=yaml", "")
	if a := s.do("GET", "/queries/q/plan?format=mermaid", http.NoBody); a.header.Get("Content-Type") != typeText {
		t.Errorf("Content-Type is %q", a.header.Get("Content-Type"))
	}
	if a := s.do("POST", "/queries", strings.NewReader(spec)); a.header.Get("Location") != "/queries/q" {
		t.Errorf("Location is %q", a.header.Get("Location"))
	}
	for _, path := range []string{"", "/results", "/plan", "/late", "/dead-letters"} {
		s.wantError(404, "unknown_query", "GET", "/queries/no"+path, "")
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Dev = true })
	s.want(200, `{"ready":true}`, "GET", "/ready", "")
	s.readiness.mu.Lock()
	s.readiness.err = errors.New("no leader for shard 2")
	s.readiness.mu.Unlock()
	m := s.wantError(503, "not_ready", "GET", "/ready", "")
	if m["ready"] != false || m["message"] != "no leader for shard 2" || m["retryable"] != true {
		t.Errorf("got %v", m)
	}
	s.want(200, `{"ok":true}`, "GET", "/health", "")
}
