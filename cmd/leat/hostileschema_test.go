package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/internal/testenv"
)

// bait is a file and an address that nobody may open or call.
type bait struct {
	file, address string
	listener      net.Listener
}

func newBait(t *testing.T) *bait {
	t.Helper()
	b := &bait{file: filepath.Join(t.TempDir(), "bait.proto")}
	if err := syscall.Mkfifo(b.file, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.listener.Close() })
	b.address = "http://" + b.listener.Addr().String()
	return b
}

// taken tells whether somebody reads the file, or has called the address.
func (b *bait) taken(t *testing.T) bool {
	t.Helper()
	// A pipe can be opened for writing without waiting where somebody has it open.
	if f, err := os.OpenFile(b.file, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		_ = f.Close()
		return true
	} else if !errors.Is(err, syscall.ENXIO) {
		t.Fatal(err)
	}
	if err := b.listener.(*net.TCPListener).SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	conn, err := b.listener.Accept()
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// peakMemory is the most that a process has had in memory, in bytes.
func peakMemory(t testing.TB, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(line)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// schemaCalls are the ways that a schema gets to a node, with the statuses that refuse it.
func schemaCalls(t *testing.T, s *codecstest.HostileSchema) map[string]struct {
	body    []byte
	refused []int
} {
	t.Helper()
	body := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	type call = struct {
		body    []byte
		refused []int
	}
	language := map[string]string{codecs.FormatJSON: "JSON", codecs.FormatAvro: "AVRO", codecs.FormatProtobuf: "PROTOBUF"}[s.Format]
	registration := body(map[string]any{"schema": s.Text, "schemaType": language})
	calls := map[string]call{
		"/subjects/hostile/versions":                                     {registration, []int{422, 413}},
		"/subjects/known/versions":                                       {registration, []int{422, 413, 409}},
		"/compatibility/subjects/known-" + s.Format + "/versions/latest": {registration, []int{422, 413}},
	}
	if s.Format == codecs.FormatJSON {
		return calls
	}
	spec := body(map[string]any{"name": "q", "source": map[string]any{"topic": "t", "format": s.Format, "schema": s.Text}})
	calls["/queries/validate"] = call{spec, []int{400, 413}}
	calls["/queries/preview"] = call{spec, []int{400, 413}}
	kind := strings.TrimSuffix(s.Format, "buf")
	decode := map[string]any{"type": kind, "encoding": "binary", "schema_text": s.Text}
	calls["/broker/query"] = call{body(map[string]any{"source": map[string]any{"topic": "t", "partition": 0, "decode": decode}}), []int{400, 413, 422}}
	return calls
}

// TestHostileSchemas: whatever a client sends as a schema, to the registry or in a spec,
// is refused with a client's error or is a schema, costs little, and has the node open no
// file and call nobody.
func TestHostileSchemas(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir())
	c := dial(t, server.url)
	c.mustPost(t, "/broker/topics", map[string]any{"name": "t", "partitions": 1})
	for subject, schema := range map[string]map[string]string{
		"known-json": {"schema": `{"type":"object"}`, "schemaType": "JSON"}, "known-avro": {"schema": `"int"`}, "known": {"schema": `"int"`},
		"known-protobuf": {"schema": `syntax = "proto3"; message M {}`, "schemaType": "PROTOBUF"},
	} {
		c.mustPost(t, "/subjects/"+subject+"/versions", schema)
	}
	if _, err := c.call(t.Context(), request{method: http.MethodPut, path: "/config/hostile", body: []byte(`{"compatibility":"NONE"}`), json: true}); err != nil {
		t.Fatal(err)
	}
	b := newBait(t)
	patient := &http.Client{Timeout: testenv.Patience}
	for _, s := range codecstest.HostileSchemas(b.file, b.address) {
		for path, call := range schemaCalls(t, &s) {
			before := processorTime(t, server.Cmd.Process.Pid)
			response, err := patient.Post(server.url+path, "application/json", bytes.NewReader(call.body))
			if err != nil {
				t.Fatalf("%s: %s, %s: %v (the file or the address is used: %v)", path, s.Format, s.Name, err, b.taken(t))
			}
			answer, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			took := processorTime(t, server.Cmd.Process.Pid) - before
			good := response.StatusCode == http.StatusOK
			known := false
			for _, status := range call.refused {
				known = known || response.StatusCode == status
			}
			t.Logf("%-34s %-9s %-50.50s %d %v %.100s", path, s.Format, s.Name, response.StatusCode, took, answer)
			if good && !s.Good || !good && (!known || s.Good && response.StatusCode != http.StatusConflict) {
				t.Errorf("%s: %s, %s: %d %.300s", path, s.Format, s.Name, response.StatusCode, answer)
			}
			if took > time.Second {
				t.Errorf("%s: %s, %s: the node works %v for it", path, s.Format, s.Name, took)
			}
			if b.taken(t) {
				t.Fatalf("%s: %s, %s: the node opens the file or calls the address", path, s.Format, s.Name)
			}
		}
	}
	if peak := peakMemory(t, server.Cmd.Process.Pid); peak > 512<<20 {
		t.Errorf("the node has had %d MiB", peak>>20)
	} else {
		t.Logf("the node has had %d MiB at most", peak>>20)
	}
}
