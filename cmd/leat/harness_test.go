package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
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

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

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
	url    string
	cmd    *exec.Cmd
	logs   *tail
	exited chan struct{}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - 16<<10; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// launch starts leat serve and does not wait until it is ready. The first line of
// its output comes through the channel.
func launch(t testing.TB, dir string, args ...string) (*child, <-chan string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, append([]string{"serve", "--port", "0", "--data-dir", dir}, args...)...)
	cmd.Env = append(os.Environ(), execVariable+"=1", "LEAT_TOKENS=", "RF_BEARER_TOKENS=", "RF_HA_ENABLED=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return launchCommand(t, cmd)
}

// launchCommand starts a command that is leat serve.
func launchCommand(t testing.TB, cmd *exec.Cmd) (*child, <-chan string) {
	t.Helper()
	c := &child{cmd: cmd, logs: &tail{}, exited: make(chan struct{})}
	c.cmd.Stderr = c.logs
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make(chan string, 1)
	go func() {
		defer close(c.exited)
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n')
		first <- strings.TrimSuffix(line, "\n")
		_, _ = io.Copy(io.Discard, lines)
		_ = c.cmd.Wait()
	}()
	t.Cleanup(c.kill)
	return c, first
}

// start starts leat serve and waits until it says that it is ready.
func start(t testing.TB, dir string, args ...string) *child {
	t.Helper()
	c, first := launch(t, dir, args...)
	return c.awaitReady(t, first)
}

// startCommand starts the leat serve that prepare makes of a command.
func startCommand(t testing.TB, prepare func(*exec.Cmd)) *child {
	t.Helper()
	cmd := &exec.Cmd{}
	prepare(cmd)
	c, first := launchCommand(t, cmd)
	return c.awaitReady(t, first)
}

// awaitReady waits for the line that tells the address.
func (c *child) awaitReady(t testing.TB, first <-chan string) *child {
	t.Helper()
	select {
	case line := <-first:
		url, ok := strings.CutPrefix(line, "leat ready ")
		if !ok {
			t.Fatalf("the first line is %q, the log:\n%s", line, c.logs)
		}
		c.url = url
	case <-time.After(patience):
		t.Fatalf("not ready after %s, the log:\n%s", patience, c.logs)
	}
	return c
}

// kill ends the process at once.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.exited
}

// stop asks the process to end and returns its exit code and how long that took.
func (c *child) stop(t testing.TB) (int, time.Duration) {
	t.Helper()
	began := time.Now()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.exited:
	case <-time.After(patience):
		t.Fatalf("still running %s after SIGTERM, the log:\n%s", patience, c.logs)
	}
	return c.cmd.ProcessState.ExitCode(), time.Since(began)
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

// eventually waits until check succeeds.
func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		}
	}
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
	eventually(t, "query "+query+" catches up", func() (err error) {
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
