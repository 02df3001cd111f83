package api

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

// refused checks a raw answer: the status, JSON in the one error form, and that
// the connection was closed, which raw waits for.
func refused(t *testing.T, what, got string, status int, code string) {
	t.Helper()
	head, body, _ := strings.Cut(got, "\r\n\r\n")
	if !strings.HasPrefix(head, fmt.Sprintf("HTTP/1.1 %d ", status)) || !strings.Contains(body, `"error":"`+code+`"`) ||
		!strings.Contains(head, "application/json") || strings.Contains(head, "\r\nServer:") {
		t.Errorf("%s: got %.400q, want %d %s", what, got, status, code)
	}
}

func TestFaultsGzipBomb(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(z, zeros{}, 32<<20); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	a := s.do("POST", "/broker/topics/t/produce", &bomb, "Content-Encoding: gzip")
	checkError(t, a, 415, "unsupported_encoding", "gzip bomb")
	s.want(200, "", "POST", "/broker/topics/t/produce", "x", "Content-Encoding: identity")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Many connections announce a large body and send next to nothing of it: memory must not
// follow the announcement, and they are answered when their time is over. It runs
// alone, for it counts what the process allocates.
func TestFaultsAnnouncedBodies(t *testing.T) {
	s := withTopic(t, func(c *Config) { c.Limits.ReadTimeout = 500 * time.Millisecond })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, 200)
	for i := range conns {
		conns[i] = s.dial()
		defer conns[i].Close()
		sent := []int{1, 8<<10 + 1}[i%2] // one byte, or what the library reads ahead and one more
		fmt.Fprintf(conns[i], "POST /broker/topics/t/produce-ndjson HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n%s", strings.Repeat("x", sent))
	}
	for i, c := range conns {
		got, err := io.ReadAll(c)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		refused(t, "an unfinished body", string(got), 408, "request_timeout")
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 100<<20 {
		t.Errorf("%d MB were allocated", grown>>20)
	}
}

func TestFaultsSlowHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.ReadTimeout = 300 * time.Millisecond })
	c := s.dial()
	defer c.Close()
	_, _ = c.Write([]byte("G"))
	go func() {
		// The next byte always comes before a timeout that were counted from the last one.
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := c.Write([]byte("G")); err != nil {
				return
			}
		}
	}()
	if got, err := io.ReadAll(c); err == nil {
		refused(t, "slow headers", string(got), 408, "request_timeout")
	}
}

func TestFaultsAmbiguousRequests(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	const post = "POST /broker/topics/t/produce HTTP/1.1\r\n"
	for name, request := range map[string]string{
		"length and encoding":  post + "Host: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"encoding and length":  post + "Host: localhost\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n0\r\n\r\n",
		"two lengths":          post + "Host: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"no host":              post + "Content-Length: 1\r\n\r\na",
		"two hosts":            post + "Host: localhost\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na",
		"unknown encoding":     post + "Host: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"folded header":        post + "Host: localhost\r\nX-A: b\r\n c\r\nContent-Length: 1\r\n\r\na",
		"a CR in a header":     post + "Host: localhost\r\nX-A: b\rContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
		"a null in a header":   post + "Host: localhost\r\nX-A: b\x00\r\nContent-Length: 1\r\n\r\na",
		"two tokens":           post + "Host: localhost\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 1\r\n\r\na",
		"not a length":         post + "Host: localhost\r\nContent-Length: 1e3\r\n\r\na",
		"bad chunk":            post + "Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
		"not HTTP":             "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
		"space before a colon": post + "Host : localhost\r\nContent-Length: 1\r\n\r\na",
	} {
		refused(t, name, s.raw(request), 400, "malformed_request")
	}
	refused(t, "64 KB of headers", s.raw("GET /health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+strings.Repeat("a", 64<<10)+"\r\n\r\n"), 400, "headers_too_large")
	l, _ := s.topics.log("t", 0)
	if l.Next() != 0 {
		t.Errorf("%d records were appended", l.Next())
	}
}

// What follows an unread body must not be taken for a request.
func TestFaultsSmuggledRequest(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	inner := "DELETE /broker/topics/t HTTP/1.1\r\nHost: localhost\r\n\r\n"
	padded := strings.Repeat("x", headerBytes) + inner
	got := s.raw(fmt.Sprintf("GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(padded), padded))
	if strings.Count(got, "HTTP/1.1 ") != 1 {
		t.Errorf("the body was taken for a request: %q", got)
	}
	got = s.raw(fmt.Sprintf("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(inner), inner))
	if strings.Count(got, "HTTP/1.1 ") != 1 {
		t.Errorf("a chunk was taken for a request: %q", got)
	}
	s.want(200, "", "GET", "/broker/topics/t", "")
}

func TestFaultsBodyOverTheLimit(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	size := int64(17 << 20)
	plain := s.do("POST", "/broker/topics/t/produce-ndjson", bytes.NewReader(bytes.Repeat([]byte("abcdefg\n"), int(size/8))))
	checkError(t, plain, 413, "body_too_large", "plain")
	chunked := s.do("POST", "/broker/topics/t/produce-ndjson", io.LimitReader(&repeat{text: "abcdefg\n"}, size))
	checkError(t, chunked, 413, "body_too_large", "chunked")
	long := s.do("POST", "/broker/topics/t/produce-ndjson", io.MultiReader(strings.NewReader("a\nb\n"), io.LimitReader(&repeat{text: "x"}, 100<<20)))
	if m := checkError(t, long, 413, "record_too_large", "a line of 100 MB"); m["line"] != 3.0 {
		t.Errorf("the line is not named: %v", m)
	}
	checkError(t, s.do("POST", "/broker/topics/t/produce", io.LimitReader(zeros{}, 100<<20)), 413, "record_too_large", "a record of 100 MB")
	checkError(t, s.do("POST", "/queries", io.LimitReader(zeros{}, 100<<20)), 413, "body_too_large", "a spec of 100 MB")
	for p := range int32(4) {
		if l, _ := s.topics.log("t", p); l.Next() != 0 {
			t.Errorf("%d records of refused bodies were appended", l.Next())
		}
	}
	if n := s.server.inFlight.Load(); n != 0 {
		t.Errorf("%d bytes of the budget were not given back", n)
	}
}

type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[r.at]
		r.at = (r.at + 1) % len(r.text)
	}
	return len(p), nil
}

func TestFaultsBodyBudget(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.InFlightBytes = 300 << 10 })
	c := s.dial()
	defer c.Close()
	fmt.Fprintf(c, "POST /broker/topics/t/produce HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400000\r\n\r\n%s", strings.Repeat("x", 200_000))
	testenv.Eventually(t, "the first body is in flight", func() bool { return s.server.inFlight.Load() > 200<<10 })
	s.wantError(503, "overloaded", "POST", "/broker/topics/t/produce", strings.Repeat("y", 200_000))
	s.want(200, "", "POST", "/broker/topics/t/produce", "small ones pass")
	_ = c.Close()
	testenv.Eventually(t, "the budget is given back", func() bool { return s.server.inFlight.Load() == 0 })
	s.want(200, "", "POST", "/broker/topics/t/produce", strings.Repeat("y", 200_000))
}

func TestFaultsNames(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	for _, name := range []string{"%2e%2e%2f", "..", "%2e%2e", "a%00", "a%0a", "%zz", "a%2Fb", "-x", "%C3%A9", strings.Repeat("a", 250), "%252e"} {
		s.wantError(400, "invalid_topic", "POST", "/broker/topics/"+rawPath(name)+"/produce", "x")
		s.wantError(400, "invalid_topic", "GET", "/broker/consume/"+rawPath(name)+"/g/0", "")
		s.wantError(400, "invalid_group", "GET", "/broker/consume/t/"+rawPath(name)+"/0", "")
		s.wantError(400, "invalid_query_name", "GET", "/queries/"+rawPath(name), "")
		s.wantError(400, "invalid_topic", "DELETE", "/broker/topics/"+rawPath(name), "")
	}
	for _, name := range []string{`../x`, `a\u0000`, `a\n`, `\ud800`, strings.Repeat("a", 64<<10)} {
		s.wantError(400, "invalid_topic", "POST", "/broker/topics", `{"name":"`+name+`"}`)
	}
	s.want(200, "", "GET", "/broker/topics/%74", "") // decoded once, it is t
}

// rawPath keeps net/http from refusing what it cannot parse.
func rawPath(name string) string {
	if name == "%zz" {
		return "%25zz" // the server sees %25zz, which decodes to %zz: not a name either
	}
	return name
}

func TestFaultsJSON(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for body, code := range map[string]string{
		"":                                "invalid_json",
		"null":                            "invalid_json",
		"[]":                              "invalid_json",
		`"t"`:                             "invalid_json",
		"{":                               "invalid_json",
		`{"name"`:                         "invalid_json",
		`{"name":"t"} x`:                  "invalid_json",
		`{"name":"t",}`:                   "invalid_json",
		"{\"name\":\"\xff\"}":             "invalid_json",
		strings.Repeat("[", 10000):        "invalid_json",
		`{}`:                              "missing_topic",
		`{"name":""}`:                     "missing_topic",
		`{"name":null}`:                   "invalid_member",
		`{"name":7}`:                      "invalid_member",
		`{"name":["t"]}`:                  "invalid_member",
		`{"name":"t","partitions":"4"}`:   "invalid_member",
		`{"name":"t","partitions":0}`:     "invalid_member",
		`{"name":"t","partitions":257}`:   "invalid_member",
		`{"name":"t","partitions":1.5}`:   "invalid_member",
		`{"name":"t","partitions":1e400}`: "invalid_member",
		`{"name":"t","name":"t"}`:         "duplicate_member",
		`{"name":"t","partitons":4}`:      "unknown_member",
		`{"name":"t","Partitions":4}`:     "unknown_member",
	} {
		started := time.Now()
		m := s.wantError(400, code, "POST", "/broker/topics", body)
		if code == "invalid_json" && (m["line"] == nil || m["column"] == nil) {
			t.Errorf("%.40q: no position: %v", body, m)
		}
		if took := time.Since(started); took > 2*time.Second {
			t.Errorf("%.40q took %v", body, took)
		}
	}
	if len(s.topics.ListTopics()) != 0 {
		t.Error("a refused body made a topic")
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	for _, path := range []string{"/nowhere", "/broker", "/broker/topics/", "/broker/topics/t/", "/kv", "/broker/stream/t", "/metric", "//health", "/Health", "/queries/q/views", "/broker/topics/t/produce/x"} {
		s.wantError(404, "not_found", "GET", path, "")
	}
	for _, c := range [][3]string{
		{"PUT", "/broker/topics", "GET, HEAD, POST"}, {"GET", "/broker/topics/t/produce", "POST"}, {"OPTIONS", "/health", "GET, HEAD"},
		{"PATCH", "/queries/q", "GET, HEAD, PUT, DELETE"}, {"DELETE", "/health", "GET, HEAD"},
	} {
		a := s.do(c[0], c[1], http.NoBody)
		checkError(t, a, 405, "method_not_allowed", c[0]+" "+c[1])
		if got := a.header.Get("Allow"); got != c[2] {
			t.Errorf("%s %s: Allow is %q, want %q", c[0], c[1], got, c[2])
		}
	}
	s.wantError(405, "method_not_allowed", "BREW", "/health", "")
	a := s.do("HEAD", "/broker/topics", http.NoBody)
	if a.status != 200 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.status, a.body)
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Connections = 2 })
	a, b := s.dial(), s.dial()
	defer a.Close()
	defer b.Close()
	testenv.Eventually(t, "both are accepted", func() bool { return s.server.app.Server().GetOpenConnectionsCount() == 2 })
	c := s.dial()
	defer c.Close()
	got, _ := io.ReadAll(c)
	refused(t, "one connection too many", string(got), 503, "overloaded")
	_ = a.Close()
	testenv.Eventually(t, "there is room again", func() bool {
		d := s.dial()
		defer d.Close()
		_, _ = io.WriteString(d, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(d)
		return strings.HasPrefix(string(answer), "HTTP/1.1 200")
	})
}
