// Package torture holds no code. Its tests run the real binary as a process of
// its own, hurt it (SIGKILL, SIGSTOP, SIGTERM, a failed sync, a full disk, a network
// that parts, loses or delays) under the load of concurrent clients, and hold what the
// clients were told against models of a log, a register and a group's commit.
package torture

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// buildDir is where this process builds leat.
func buildDir() string { return filepath.Join(os.TempDir(), "leat-torture-"+strconv.Itoa(os.Getpid())) }

// binary builds leat, once for all tests, and says where it is. LEAT_BINARY names
// one that is built already.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("LEAT_BINARY"); path != "" {
		return path, nil
	}
	path := filepath.Join(buildDir(), "leat")
	if out, err := exec.Command("go", "build", "-o", path, "leat/cmd/leat").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build leat: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(buildDir())
	os.Exit(code)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	buf  []byte
	most int // 0 = 16 KiB
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - cmp.Or(t.most, 16<<10); over > 0 {
		t.buf = t.buf[over:]
	}
	return len(p), nil
}

// keep has it keep more.
func (t *tail) keep(most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = most
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// node is leat serve as a process.
type node struct {
	url    string
	took   time.Duration // from the start to ready
	cmd    *exec.Cmd
	logs   *tail
	first  chan string // the first line of its output
	exited chan struct{}
}

// launch starts leat serve and does not wait until it is ready.
func launch(t *testing.T, dir string, args ...string) *node {
	t.Helper()
	return spawn(t, nil, nil, dir, args...)
}

// spawn is launch within a command that runs another one, with more in the environment.
func spawn(t *testing.T, within, environment []string, dir string, args ...string) *node {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{logs: &tail{}, first: make(chan string, 1), exited: make(chan struct{})}
	words := append(slices.Clone(within), append([]string{path, "serve", "--port", "0", "--data-dir", dir}, args...)...)
	n.cmd = exec.Command(words[0], words[1:]...)
	n.cmd.Env = append(os.Environ(), "LEAT_TOKENS=", "RF_BEARER_TOKENS=", "RF_HA_ENABLED=", "LEAT_HOST=", "LEAT_DEV=")
	n.cmd.Env = append(n.cmd.Env, environment...)
	n.cmd.Stderr = n.logs
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(n.exited)
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n')
		n.first <- strings.TrimSuffix(line, "\n")
		_, _ = io.Copy(io.Discard, lines)
		_ = n.cmd.Wait()
	}()
	watched(t, n)
	return n
}

// start starts leat serve and waits until it says that it is ready.
func start(t *testing.T, dir string) *node {
	t.Helper()
	began := time.Now()
	n := launch(t, dir)
	select {
	case line := <-n.first:
		url, ok := strings.CutPrefix(line, "leat ready ")
		if !ok {
			t.Fatalf("the first line is %q, the log:\n%s", line, n.logs)
		}
		n.url, n.took = url, time.Since(began)
	case <-time.After(patience):
		t.Fatalf("not ready after %s, the log:\n%s", patience, n.logs)
	}
	return n
}

// kill ends the process at once.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.exited
}

// await waits until the process has ended and returns its exit code.
func (n *node) await(t *testing.T, why string) int {
	t.Helper()
	select {
	case <-n.exited:
	case <-time.After(patience):
		t.Fatalf("still running %s after %s, the log:\n%s", patience, why, n.logs)
	}
	return n.cmd.ProcessState.ExitCode()
}

// terminate asks the process to end and returns its exit code and how long that
// took.
func (n *node) terminate(t *testing.T) (int, time.Duration) {
	t.Helper()
	began := time.Now()
	n.signal(t, syscall.SIGTERM)
	return n.await(t, "SIGTERM"), time.Since(began)
}

func (n *node) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check succeeds.
func eventually(t *testing.T, what string, check func() error) {
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

// variable reads a number from the environment.
func variable(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatal(errors.Join(fmt.Errorf("%s=%s is not a number", name, text), err))
	}
	return n
}
