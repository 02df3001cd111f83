package api

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
)

// lockedBuffer is a buffer several goroutines may write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestFaultsTokensAreNotLogged(t *testing.T) {
	t.Parallel()
	var logged lockedBuffer
	s := serve(t, func(c *Config) {
		c.Tokens = tokens(t, "s3cret-right")
		c.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const right = "Authorization: Bearer s3cret-right"
	for _, path := range []string{"/broker/topics?token=s3cret-right", "/kv/app?access_token=s3cret-right", "/broker/stream/t/0?token=s3cret-right"} {
		a := s.do("GET", path, http.NoBody, right)
		checkError(t, a, 400, "unknown_parameter", path)
		if strings.Contains(a.body, "s3cret") {
			t.Errorf("%s: repeated in the answer: %s", path, a.body)
		}
	}
	s.wantError(401, "unauthorized", "GET", "/broker/topics", "", "Authorization: Bearer s3cret-wrong")
	s.want(200, "", "POST", "/broker/topics", `{"name":"t","partitions":1}`, right)
	s.topics.failAppends(func(context.Context, bus.Append) error { panic("a defect") })
	s.wantError(500, "internal", "POST", "/broker/topics/t/produce", "x", right)
	if text := logged.String(); strings.Contains(text, "s3cret") || !strings.Contains(text, "panicked") {
		t.Errorf("logged: %s", text)
	}
}

func TestFaultsForgedHost(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Tokens = tokens(t, "a") })
	s.want(200, "", "POST", "/broker/topics", `{"name":"t","partitions":1}`, "Authorization: Bearer a")
	s.topics.failAppends(func(context.Context, bus.Append) error {
		return fault.New(fault.NotLeader, "not_leader", "Ask the leader").With("leader", "http://10.0.0.2:1109")
	})
	got := s.raw("POST /broker/topics/t/produce HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nAuthorization: Bearer a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
	if !strings.HasPrefix(got, "HTTP/1.1 307 ") || !strings.Contains(got, "Location: http://10.0.0.2:1109/broker/topics/t/produce\r\n") || strings.Contains(got, "evil") {
		t.Errorf("got %s", got)
	}
	for _, path := range []string{"/metrics_ha", "/cluster"} {
		got := s.raw("GET " + path + " HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer a\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || strings.Contains(got, "evil") {
			t.Errorf("got %s", got)
		}
	}
}

// What a client sent comes back as JSON that no browser takes for a page.
func TestFaultsMarkup(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	const markup, escaped = "<img src=x onerror=alert(1)>", "%3Cimg%20src=x%20onerror=alert(1)%3E"
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=0&key="+escaped, markup)
	s.want(200, "", "POST", "/kv/app/"+escaped, markup)
	for _, path := range []string{"/broker/consume/t/g/0", "/kv/app", "/kv/app/" + escaped + "x", "/broker/topics/" + escaped, "/" + escaped, "/docs/errors/" + escaped} {
		a := s.do("GET", path, http.NoBody)
		if a.header.Get("Content-Type") != typeJSON || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	for _, path := range []string{"/", "/docs", "/metrics"} {
		if a := s.do("GET", path, http.NoBody); a.status != 200 || strings.Contains(a.body, "<img") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

func TestFaultsOneShotJSON(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	const source = `"source":{"topic":"t","partition":0}`
	for _, path := range []string{"/broker/query", "/broker/join"} {
		for _, body := range []string{
			"", "null", `"x"`, "{", `{` + source + `} x`, `{` + source + `,}`, `{` + source + `,` + source + `}`,
			`{` + source + `,"transform":{"emit_rows":1e400}}`, `{` + source + `,"x":"\ud800"}`, "{\"x\":\"\xff\"}",
			strings.Repeat("[", 10_000), `{"x":` + strings.Repeat(`{"x":`, 10_000) + `1` + strings.Repeat("}", 10_001),
		} {
			started := time.Now()
			m := s.wantError(400, "invalid_query", "POST", path, body)
			if m["line"] == nil || m["column"] == nil || time.Since(started) > 2*time.Second {
				t.Errorf("%.40q: %v after %v", body, m, time.Since(started))
			}
		}
	}
}

// Every test that docs/faults.md and docs/semantics.md name is there, and each row of
// their tables names one.
func TestNamedTests(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, least := range map[string]int{"faults.md": 15, "semantics.md": 11} {
		doc, err := os.ReadFile("../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for l := range strings.Lines(string(doc)) {
			if !strings.HasPrefix(l, "| ") || strings.HasPrefix(l, "| input") || strings.HasPrefix(l, "| fault") || strings.HasPrefix(l, "| # ") {
				continue
			}
			rows++
			named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(l, -1)
			if len(named) == 0 {
				t.Errorf("%s: no test: %s", name, l)
			}
			for _, m := range named {
				if !tests[m[1]] {
					t.Errorf("%s: there is no test %s", name, m[1])
				}
			}
		}
		if rows < least {
			t.Errorf("%s: only %d rows", name, rows)
		}
	}
}
