package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

func TestTailNDJSON(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.Heartbeat = 10 * time.Millisecond })
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=0", "before")
	response, lines := s.open("/broker/stream/t/0")
	if got := response.Header.Get("Content-Type"); got != typeNDJSON {
		t.Errorf("Content-Type is %q", got)
	}
	next := func() string { return line(t, lines) }
	wantLines(t, next, `{"meta":{"topic":"t","partition":0,"next_offset":1}}`, `{"heartbeat":{"next_offset":1}}`)
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=0&key=k", "line\nline")
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=1", "elsewhere")
	skip := func() string {
		for {
			if l := next(); !strings.HasPrefix(l, `{"heartbeat"`) {
				return l
			}
		}
	}
	wantLines(t, skip, `{"offset":1,"partition":0,"value":"line\nline","key":"k"}`)
	_, again := s.open("/broker/stream/t/0?offset=0&encoding=b64")
	wantLines(t, func() string { return line(t, again) }, `{"meta":{"topic":"t","partition":0,"next_offset":0}}`,
		`{"offset":0,"partition":0,"value_b64":"YmVmb3Jl"}`, `{"offset":1,"partition":0,"value_b64":"bGluZQpsaW5l","key_b64":"aw=="}`)
	s.cancel()
	if last := skip(); !strings.Contains(last, `"error":"shutting_down"`) {
		t.Errorf("the last line is %q", last)
	}
}

func TestTailSSE(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.Heartbeat = time.Hour })
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?partition=0", "a\nb\nc\n")
	_, lines := s.open("/broker/stream/t/0?offset=0", "Accept: text/event-stream", "Last-Event-ID: 0")
	next := func() string { return line(t, lines) }
	wantLines(t, next, "event: meta", `data: {"topic":"t","partition":0,"next_offset":1}`, "",
		"id: 1", `data: {"offset":1,"partition":0,"value":"b"}`, "", "id: 2", `data: {"offset":2,"partition":0,"value":"c"}`, "")
	s.want(200, `{"ok":true,"deleted_count":2,"freed_bytes":0}`, "POST", "/broker/delete-before", `{"topic":"t","partition":0,"before_offset":2}`)
	m := s.wantError(410, "offset_out_of_range", "GET", "/broker/stream/t/0", "", "Last-Event-ID: 0")
	if m["first_offset"] != 2.0 {
		t.Errorf("got %v", m)
	}
	s.wantError(410, "offset_out_of_range", "GET", "/broker/stream/t/0?offset=1", "")
	for _, call := range []string{"/broker/stream/t/0?offset=-1", "/broker/stream/t/9", "/broker/stream/t/0?encoding=hex"} {
		s.wantError(400, "invalid_parameter", "GET", call, "")
	}
	s.wantError(400, "invalid_parameter", "GET", "/broker/stream/t/0", "", "Last-Event-ID: -4")
	s.wantError(404, "unknown_topic", "GET", "/broker/stream/no/0", "")
}

// A client that reads slowly keeps producers from nothing, and one that does not
// read at all is let go.
func TestTailSlowConsumer(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.WriteTimeout, c.Limits.Heartbeat = 100*time.Millisecond, 5*time.Millisecond })
	c := s.dial()
	defer c.Close()
	_, _ = c.Write([]byte("GET /broker/stream/t/0?offset=0 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	testenv.Eventually(t, "the stream has begun", func() bool { return s.server.open.Load() == 1 })
	value := strings.Repeat("x", 1<<20-1)
	for range 24 {
		s.want(200, "", "POST", "/broker/topics/t/produce?partition=0", value)
	}
	testenv.Eventually(t, "the client is given up", func() bool { return s.server.open.Load() == 0 })
}

// Every record comes once and in order, however the reads fall between the writes.
func TestTailIsComplete(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	const records = 300
	_, lines := s.open("/broker/stream/t/0?offset=0")
	done := make(chan error, 1)
	go func() {
		for i := 0; i < records; i += 3 {
			a := s.do("POST", "/broker/topics/t/produce-ndjson?partition=0", strings.NewReader(fmt.Sprintf("%d\n%d\n%d\n", i, i+1, i+2)))
			if a.status != 200 {
				done <- fmt.Errorf("%d %s", a.status, a.body)
				return
			}
		}
		done <- nil
	}()
	_ = line(t, lines)
	for i := range records {
		want := fmt.Sprintf(`{"offset":%d,"partition":0,"value":"%d"}`, i, i)
		if got := line(t, lines); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A stream that retention overtakes ends with the reason, as does one of a topic
// that is deleted.
func TestTailOvertaken(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.Heartbeat = time.Hour })
	for range 8 {
		s.want(200, "", "POST", "/broker/topics/t/produce?partition=0", "x")
	}
	f := &tail{outlet: &outlet{server: s.server, pass: &pass{server: s.server, seen: s.server.credentials.Load()}}, topic: "t", next: 2}
	s.want(200, `{"ok":true,"deleted_count":5,"freed_bytes":0}`, "POST", "/broker/delete-before", `{"topic":"t","partition":0,"before_offset":5}`)
	var out strings.Builder
	f.w = bufio.NewWriter(&out)
	f.run()
	last := out.String()[strings.LastIndex(strings.TrimSpace(out.String()), "\n")+1:]
	var m map[string]any
	if err := json.Unmarshal([]byte(last), &m); err != nil || m["error"] != "offset_out_of_range" || m["first_offset"] != 5.0 {
		t.Errorf("the last line is %q", last)
	}
	_, lines := s.open("/broker/stream/t/0?offset=8")
	_ = line(t, lines)
	s.topics.mu.Lock()
	deleted := s.topics.topics["t"].logs[0]
	s.topics.mu.Unlock()
	s.want(200, "", "DELETE", "/broker/topics/t", "")
	_ = deleted.Close() // wakes who waits, as a node does
	if last := line(t, lines); !strings.Contains(last, `"error":"unknown_topic"`) {
		t.Errorf("the last line is %q", last)
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("something follows: %q %v", rest, err)
	}
}
