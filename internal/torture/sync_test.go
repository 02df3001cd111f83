package torture

import (
	"bufio"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

// strace is strace at work on a process.
type strace struct {
	cmd  *exec.Cmd
	file string // what it saw
	done chan error
}

// breakSync makes the next fdatasync of every thread of a process fail with EIO,
// of the files under paths, or of any.
func breakSync(t *testing.T, n *node, paths ...string) *strace {
	t.Helper()
	return injectSync(t, n, "error=EIO:when=1", paths...)
}

// injectSync has strace do something at each fdatasync of a process.
func injectSync(t *testing.T, n *node, what string, paths ...string) *strace {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: no strace on this machine, so no sync can be made to fail. Install it: apt-get install -y strace")
	}
	s := &strace{file: filepath.Join(t.TempDir(), "trace"), done: make(chan error, 1)}
	args := []string{"-f", "-e", "trace=fdatasync", "-e", "inject=fdatasync:" + what, "-o", s.file}
	for _, path := range paths {
		args = append(args, "-P", path)
	}
	s.cmd = exec.Command(path, append(args, "-p", strconv.Itoa(n.Cmd.Process.Pid))...)
	messages, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	attached := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(messages)
		for lines.Scan() {
			select {
			case attached <- lines.Text():
			default:
			}
		}
		s.done <- s.cmd.Wait()
	}()
	select {
	case line := <-attached:
		if strings.Contains(line, "not permitted") {
			t.Skip("SKIPPED: this user may not trace a process: run as root, or sysctl kernel.yama.ptrace_scope=0. " + line)
		}
		if !strings.Contains(line, "attached") {
			t.Fatalf("strace says %q", line)
		}
	case <-time.After(testenv.Patience):
		t.Fatal("strace does not attach")
	}
	return s
}

// broke checks that a sync has failed.
func (s *strace) broke(t *testing.T) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(testenv.Patience):
		t.Fatal("strace goes on without the process")
	}
	trace, err := os.ReadFile(s.file)
	if err != nil || !strings.Contains(string(trace), "(INJECTED)") {
		t.Fatalf("no sync was made to fail: %v\n%s", err, trace)
	}
}

// TestFailedSync: a sync fails once. What it was for is not acknowledged, the
// process ends with an error and does not try the sync again, which could succeed
// and mean nothing, and after a start everything acknowledged is there.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	for name, paths := range map[string][]string{
		"raft log": {"raft/*.wal"},
		"segment":  {"shards/*/p/*/*.seg"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dir := newWorld(), t.TempDir()
			w.damaged = true
			n := start(t, dir)
			c := dial(t, n.url)
			w.prepare(t, c)
			for range 5 {
				w.mustAppend(t, c, w.plain)
			}
			var files []string
			for _, path := range paths {
				found, err := filepath.Glob(filepath.Join(dir, path))
				if err != nil || len(found) == 0 {
					t.Fatal("no files like "+path, err)
				}
				files = append(files, found...)
			}
			s := breakSync(t, n, files...)
			ids := w.ids(1)
			w.plain.send(ids, false)
			o := w.append(t.Context(), c, w.plain, ids, 100, "")
			if name == "raft log" && o == done {
				t.Error("the record was acknowledged, and its sync had failed")
			}
			w.survives(t, n, s, dir)
		})
	}
}

// TestFailedSyncUnderLoad: the same while all kinds of clients are at work.
func TestFailedSyncUnderLoad(t *testing.T) {
	t.Parallel()
	w, dir := newWorld(), t.TempDir()
	w.damaged = true
	n := start(t, dir)
	w.prepare(t, dial(t, n.url))
	stop := w.load(t, n.url, rand.New(rand.NewPCG(3, 4)))
	defer stop()
	w.going(t, 200)
	s := breakSync(t, n)
	n.Await(t, "a sync failed")
	stop()
	w.survives(t, n, s, dir)
}

// mustAppend appends one record.
func (w *world) mustAppend(t *testing.T, c *client, p *partition) {
	t.Helper()
	ids := w.ids(1)
	p.send(ids, false)
	if w.append(t.Context(), c, p, ids, 100, "") != done {
		t.Fatal("a record is not acknowledged", w.failed())
	}
}

// survives checks that the process ends by itself with an error, and that the next
// one has everything.
func (w *world) survives(t *testing.T, n *node, s *strace, dir string) {
	t.Helper()
	if exit := n.Await(t, "a sync failed"); exit == 0 || exit == -1 {
		t.Errorf("after a sync failed the process ended with exit code %d, the log:\n%s", exit, n.Logs)
	}
	s.broke(t)
	if !strings.Contains(n.Logs.String(), "input/output error") {
		t.Errorf("the log does not say why the process ended:\n%s", n.Logs)
	}
	next := start(t, dir)
	c := dial(t, next.url)
	w.mustAppend(t, c, w.plain)
	w.settle(t, c, true, true)
	if len(w.plain.at) == 0 {
		t.Error(errors.New("nothing was checked"))
	}
	if exit, _ := next.Terminate(t); exit != 0 {
		t.Errorf("the last end: exit %d, the log:\n%s", exit, next.Logs)
	}
}
