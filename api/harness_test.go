package api

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"leat/codecs/registry"
)

// updating tells whether the golden files are to be written: go test ./api -update
func updating() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files")
	flag.Parse()
	os.Exit(m.Run())
}

// patience is how long a test waits for what has to happen.
const patience = 20 * time.Second

// testServer is a server on a loopback port over the fakes.
type testServer struct {
	t         *testing.T
	server    *Server
	topics    *fakeTopics
	documents *fakeDocuments
	queries   *fakeQueries
	readiness *fakeReadiness
	address   string
	client    *http.Client
	cancel    context.CancelFunc
	done      chan error
}

// serve starts a server that ends with the test.
func serve(t *testing.T, alter func(*Config)) *testServer {
	t.Helper()
	s := &testServer{
		t: t, topics: newFakeTopics(t), documents: newFakeDocuments(), queries: newFakeQueries(), readiness: &fakeReadiness{}, done: make(chan error, 1),
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
	}
	config := Config{
		Topics: s.topics, Documents: s.documents, Trimming: s.topics, Cluster: fakeCluster{s.documents},
		Queries: s.queries, Readiness: s.readiness, Clock: clockAt(fakeNowMs), URL: "http://127.0.0.1:1109",
	}
	config.Schemas = registry.New(s.documents, registry.Limits{})
	if alter != nil {
		alter(&config)
	}
	var err error
	if s.server, err = New(config); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(t.Context())
	go pprof.Do(ctx, pprof.Labels("server", t.Name()), func(ctx context.Context) {
		s.done <- s.server.Run(ctx, listener)
	})
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if err := s.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// clockAt is a clock that stands.
func clockAt(ms int64) func() time.Time { return func() time.Time { return time.UnixMilli(ms) } }

// stop ends the server, if it has not ended, and returns what Run returned.
func (s *testServer) stop() error {
	s.cancel()
	select {
	case err := <-s.done:
		s.done <- err
		return err
	case <-time.After(patience):
		s.t.Error("Run does not return")
		return nil
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("not JSON: %v: %.200q", err, a.body)
	}
	return m
}

// do sends a request; headers are "Name: value".
func (s *testServer) do(method, path string, body io.Reader, headers ...string) answer {
	s.t.Helper()
	request, err := http.NewRequest(method, "http://"+s.address+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatalf("%s %.80s: %v", method, path, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("%s %.80s: %v", method, path, err)
	}
	a := answer{response.StatusCode, response.Header, string(data)}
	conforms(s.t, method, path, a)
	return a
}

// want sends a request and checks the status and, unless it is empty, the whole body.
func (s *testServer) want(status int, body, method, path, send string, headers ...string) {
	s.t.Helper()
	a := s.do(method, path, strings.NewReader(send), headers...)
	if a.status != status || body != "" && a.body != body {
		s.t.Errorf("%s %.80s:\n got %d %.300s\nwant %d %.300s", method, path, a.status, a.body, status, body)
	}
}

// wantPart reads a path and checks that the answer contains a text.
func (s *testServer) wantPart(path, part string) {
	s.t.Helper()
	if a := s.do("GET", path, http.NoBody); a.status != 200 || !strings.Contains(a.body, part) {
		s.t.Errorf("%s: got %d %.500s\nwithout %s", path, a.status, a.body, part)
	}
}

// wantError sends a request and checks the status and code of the one error body.
func (s *testServer) wantError(status int, code, method, path, send string, headers ...string) map[string]any {
	s.t.Helper()
	a := s.do(method, path, strings.NewReader(send), headers...)
	return checkError(s.t, a, status, code, method+" "+clip(path))
}

func checkError(t *testing.T, a answer, status int, code, what string) map[string]any {
	t.Helper()
	m := a.json(t)
	if a.status != status || m["ok"] != false || m["error"] != code || m["message"] == "" || a.header.Get("Content-Type") != typeJSON {
		t.Errorf("%s: got %d %.300s, want %d %s", what, a.status, a.body, status, code)
	}
	return m
}

// raw sends bytes as they are and reads what comes back until the connection is
// closed.
func (s *testServer) raw(request string) string {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		s.t.Fatal(err)
	}
	data, err := io.ReadAll(c)
	if err != nil {
		s.t.Fatalf("after %.60q: %v", data, err)
	}
	return string(data)
}

func (s *testServer) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// open starts a request whose answer is read line by line.
func (s *testServer) open(path string, headers ...string) (*http.Response, *bufio.Reader) {
	s.t.Helper()
	request, err := http.NewRequest("GET", "http://"+s.address+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = response.Body.Close() })
	return response, bufio.NewReader(response.Body)
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	text, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("after %q: %v", text, err)
	}
	return strings.TrimSuffix(text, "\n")
}

// golden compares with a file, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if updating() {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./api -update", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at it with: go test ./api -update && git diff\n got:\n%s", path, got)
	}
}
