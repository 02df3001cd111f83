package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/internal/testenv"

	"github.com/spf13/cobra"
)

// commands lists every command that does something.
func commands(root *cobra.Command) []*cobra.Command {
	var found []*cobra.Command
	for pending := []*cobra.Command{root}; len(pending) > 0; pending = pending[1:] {
		pending = append(pending, pending[0].Commands()...)
		if !pending[0].HasSubCommands() && pending[0].Name() != "help" {
			found = append(found, pending[0])
		}
	}
	return found
}

// TestExamplesOfHelpRun runs every example of every help text as it stands there.
func TestExamplesOfHelpRun(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t)
	w.reset(t)
	for _, c := range commands(newRoot(&session{shell: osShell()})) {
		lines := strings.Split(strings.TrimSpace(c.Example), "\n")
		if lines[0] == "" {
			t.Errorf("%q has no example", c.CommandPath())
			continue
		}
		for _, line := range lines {
			line = strings.TrimSpace(line)
			if !strings.Contains(line, c.CommandPath()) {
				t.Errorf("an example of %q is another command: %s", c.CommandPath(), line)
			}
			if c.Annotations[clusterAnnotation] == "" { // TestMembersByCommand and TestRejoinByCommand do
				w.runExample(t, line)
			}
		}
		if c.Name() == "delete" || c.Name() == "create" || c.Name() == "retention" {
			w.reset(t)
		}
	}
}

// endless tells whether a command goes on until it is interrupted.
func endless(line string) bool {
	return strings.Contains(line, "--follow") || strings.HasPrefix(line, "leat serve") || line == "leat demo" ||
		strings.HasPrefix(line, "leat kv watch")
}

// runExample runs a line to its end, which has to be a good one. One that goes on
// for ever is interrupted after its first output.
func (w *workplace) runExample(t *testing.T, line string) {
	t.Helper()
	if !endless(line) {
		if out := w.sh(t, line); strings.Contains(out, "\n[exit ") || strings.HasPrefix(out, "[exit ") {
			t.Errorf("%s:\n%s", line, out)
		}
		return
	}
	cmd := exec.Command("sh", "-c", "exec "+line)
	cmd.Dir, cmd.Env = w.dir, w.env
	errs := &testenv.Tail{}
	cmd.Stderr = errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(testenv.Patience, func() { _ = cmd.Process.Kill() })
	defer guard.Stop()
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Errorf("%s: no output: %v\n%s", line, err, errs)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, lines)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: interrupted, it ends with %v\n%s", line, err, errs)
	}
}

// TestReadmeRuns runs the commands in the README of the examples, in order,
// against one server.
func TestReadmeRuns(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../examples/README.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkplace(t)
	for _, name := range []string{"questions", "nyc2013", "formats", "orders", "nyc2013/airlines.ndjson"} {
		target, err := filepath.Abs(filepath.Join("../../examples", name))
		if err == nil {
			err = os.Symlink(target, filepath.Join(w.dir, filepath.Base(name)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var ran int
	inside := false
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && line != "" && !strings.HasPrefix(line, "#"):
			line = strings.ReplaceAll(line, "http://127.0.0.1:1109", w.url)
			line = strings.ReplaceAll(line, "examples/nyc2013/", "")
			line = strings.ReplaceAll(line, "examples/", "")
			w.runExample(t, line)
			ran++
		}
	}
	if ran < 8 {
		t.Errorf("only %d commands were found", ran)
	}
}

// TestReadmeOfTheProject runs the calls that README.md shows after "./leat serve".
func TestReadmeOfTheProject(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkplace(t)
	host := strings.TrimPrefix(w.url, "http://")
	ran := 0
	for i, block := range strings.Split(string(text), "```") {
		script, found := strings.CutPrefix(block, "sh\n")
		if i%2 == 0 || !found || !strings.Contains(script, "curl ") {
			continue
		}
		ran++
		if out := w.sh(t, "set -e\n"+strings.ReplaceAll(script, "localhost:1109", host)); strings.Contains(out, `"ok":false`) || strings.Contains(out, "[exit ") {
			t.Errorf("%s\ngives\n%s", script, out)
		}
	}
	if ran == 0 {
		t.Error("there is nothing to run")
	}
	rows := resultRows(t, dial(t, w.url), "sales", 2)
	want := []string{
		`{"region":"eu","orders":1,"total":12,"window_start":1699999980000,"window_end":1700000040000}`,
		`{"region":"us","orders":1,"total":30,"window_start":1699999980000,"window_end":1700000040000}`,
	}
	if err := compareRows("sales", want, rows); err != nil {
		t.Error(err)
	}
}

// TestSecondSignalEndsAtOnce: who cannot wait for the drain sends another.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir())
	// A connection with half a request keeps the server draining.
	hold := openRaw(t, c.url)
	hold.send(t, "POST /broker/topics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	hold.expect(t, "HTTP/1.1 100")
	for range 2 {
		if err := c.Cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		// The second signal has to find the first one handled.
		testenv.Succeeds(t, "the server stops to accept", func() error {
			select {
			case <-c.Exited:
				return nil
			default:
			}
			return refused(c.url)
		})
	}
	select {
	case <-c.Exited:
	case <-time.After(testenv.Patience):
		t.Fatal("the server goes on after two signals")
	}
	if status, ok := c.Cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Errorf("the server ended by itself: %v", c.Cmd.ProcessState)
	}
}
