//go:build linux

package testenv

import (
	"bufio"
	"cmp"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program under test: leat serve, or one that runs it. The end of the test
// kills it, and so does the end of the process that runs the tests. Its methods may be
// called by one goroutine at a time.
type Process struct {
	Cmd    *exec.Cmd
	Logs   *Tail           // of its standard error
	First  <-chan string   // gets the first line of its standard output, "" where there is none
	Exited <-chan struct{} // closed once it has ended; Cmd.ProcessState is set then
}

// Start starts a command, whose standard output and error have to be unset.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	first, exited := make(chan string, 1), make(chan struct{})
	p := &Process{Cmd: cmd, Logs: &Tail{}, First: first, Exited: exited}
	cmd.Stderr = p.Logs
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(exited)
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n')
		first <- strings.TrimSuffix(line, "\n")
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait()
	}()
	t.Cleanup(p.Kill)
	return p
}

// Ready waits until leat serve says that it is ready, and returns the address it says.
func (p *Process) Ready(t testing.TB) (url string) {
	t.Helper()
	select {
	case line := <-p.First:
		url, ok := strings.CutPrefix(line, "leat ready ")
		if !ok {
			t.Fatalf("the first line is %q, the log:\n%s", line, p.Logs)
		}
		return url
	case <-time.After(Patience):
		t.Fatalf("not ready after %s, the log:\n%s", Patience, p.Logs)
		return ""
	}
}

// Signal sends a signal.
func (p *Process) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the process at once, and returns when it has ended. It may have ended before.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill()
	<-p.Exited
}

// Await waits until the process has ended and returns its exit code. why is what it ends
// for.
func (p *Process) Await(t testing.TB, why string) (exit int) {
	t.Helper()
	select {
	case <-p.Exited:
	case <-time.After(Patience):
		t.Fatalf("still running %s after %s, the log:\n%s", Patience, why, p.Logs)
	}
	return p.Cmd.ProcessState.ExitCode()
}

// Terminate asks the process to end, waits for it, and returns its exit code and how
// long that took.
func (p *Process) Terminate(t testing.TB) (exit int, took time.Duration) {
	t.Helper()
	began := time.Now()
	p.Signal(t, syscall.SIGTERM)
	return p.Await(t, "SIGTERM"), time.Since(began)
}

// Tail keeps the end of what is written to it, 16 KiB unless Keep says more. It is safe
// for concurrent use.
type Tail struct {
	mu    sync.Mutex
	bytes []byte
	most  int // 0 = 16 KiB
}

// Keep has it keep that many bytes.
func (t *Tail) Keep(most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = most
}

// Write adds p. It never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes = append(t.bytes, p...)
	if over := len(t.bytes) - cmp.Or(t.most, 16<<10); over > 0 {
		t.bytes = t.bytes[over:]
	}
	return len(p), nil
}

// String is what is kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.bytes)
}
