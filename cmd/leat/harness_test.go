package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"leat/internal/testenv"
)

// execVariable makes the test binary run as leat, so that tests can start it as a
// process of its own, signals and all.
const execVariable = "LEAT_TEST_EXEC"

func TestMain(m *testing.M) {
	if os.Getenv(execVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// outcome is what a command line came to.
type outcome struct {
	exit     int
	out, err string
}

// leat runs a command line in this process.
func leat(ctx context.Context, stdin string, environment map[string]string, args ...string) outcome {
	var out, errs bytes.Buffer
	sh := &shell{in: strings.NewReader(stdin), out: &out, err: &errs, getenv: func(name string) string { return environment[name] }}
	exit := run(ctx, sh, args)
	return outcome{exit: exit, out: out.String(), err: errs.String()}
}

// child is leat serve as a process of its own.
type child struct {
	*testenv.Process
	url string // where it serves, once it is ready
}

// launch starts leat serve and does not wait until it is ready.
func launch(t testing.TB, dir string, args ...string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, append([]string{"serve", "--port", "0", "--data-dir", dir}, args...)...)
	cmd.Env = append(os.Environ(), execVariable+"=1", "LEAT_TOKENS=", "RF_BEARER_TOKENS=", "RF_HA_ENABLED=")
	return &child{Process: testenv.Start(t, cmd)}
}

// start starts leat serve and waits until it says that it is ready.
func start(t testing.TB, dir string, args ...string) *child {
	t.Helper()
	c := launch(t, dir, args...)
	c.url = c.Ready(t)
	return c
}

// dial makes a client of the server at url.
func dial(t testing.TB, url string) *client {
	t.Helper()
	c, err := newClient(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// mustPost posts a value as JSON.
func (c *client) mustPost(t testing.TB, path string, value any) []byte {
	t.Helper()
	body, err := c.post(t.Context(), path, value)
	if err != nil {
		t.Fatalf("POST %s: %v", path, err)
	}
	return body
}

// mustStart starts a query.
func (c *client) mustStart(t testing.TB, spec []byte) {
	t.Helper()
	if _, err := c.call(t.Context(), request{method: http.MethodPost, path: "/queries", body: spec, json: true}); err != nil {
		t.Fatalf("start a query: %v\n%s", err, spec)
	}
}

// awaitRows waits until a query has worked on that many records.
func (c *client) awaitRows(t testing.TB, query string, records int64) standing {
	t.Helper()
	var q standing
	testenv.Succeeds(t, "query "+query+" catches up", func() (err error) {
		q, _, err = c.query(t.Context(), query)
		if err == nil && (q.State != "running" || q.Rows.In != records) {
			err = fmt.Errorf("it is %s (%v) and has worked on %d of %d records", q.State, q.Error, q.Rows.In, records)
		}
		return err
	})
	return q
}

// tool makes a directory with a leat in it that is this test binary.
func tool(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "leat")); err != nil {
		t.Fatal(err)
	}
	return dir
}
