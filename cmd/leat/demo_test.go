package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"leat/examples"
	"leat/internal/testenv"
)

var (
	anyServer = regexp.MustCompile(`http://127\.0\.0\.1:\d+\.`)
	anyDir    = regexp.MustCompile(`/\S*/leat-demo-\d+`)
	anyTook   = regexp.MustCompile(`took [0-9.]+m?s`)
)

// startDemo starts leat demo as a process of its own.
func startDemo(t *testing.T, args ...string) (*exec.Cmd, *bufio.Reader, *testenv.Tail) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), execVariable+"=1", "TMPDIR="+t.TempDir())
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
	t.Cleanup(func() { guard.Stop() })
	return cmd, bufio.NewReader(out), errs
}

// TestDemoOnce: the demonstration ends by itself, in time, and prints the same as
// ever. "go test ./cmd/leat -run TestDemoOnce -update" rewrites the golden file.
func TestDemoOnce(t *testing.T) {
	t.Parallel()
	cmd, out, errs := startDemo(t, "--once", "--port", "0")
	text, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, text, errs)
	}
	got := anyServer.ReplaceAllString(string(text), "http://127.0.0.1:PORT.")
	dir := anyDir.FindString(got)
	got = anyTook.ReplaceAllString(anyDir.ReplaceAllString(got, "DIR"), "took 0s")
	const golden = "testdata/demo.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the demonstration prints\n%s", got)
	}
	if _, err := os.Stat(dir); dir == "" || !os.IsNotExist(err) {
		t.Errorf("the directory %q is still there: %v", dir, err)
	}
	if errs.String() != "" {
		t.Errorf("it logs:\n%s", errs)
	}
}

// TestDemoCallsWork: what the demonstration says to try works as printed.
func TestDemoCallsWork(t *testing.T) {
	t.Parallel()
	cmd, out, errs := startDemo(t, "--port", "0")
	var calls []string
	var dir string
	for {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatalf("%v\n%s", err, errs)
		}
		if dir == "" {
			dir = anyDir.FindString(line)
		}
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") {
			calls = append(calls, line)
		}
		if strings.Contains(line, "results?offset=") {
			break
		}
	}
	if len(calls) != 6 {
		t.Fatalf("%d calls are printed: %q", len(calls), calls)
	}
	answers := make([]string, len(calls))
	for i, call := range calls {
		answer, err := exec.Command("sh", "-c", call).CombinedOutput()
		if err != nil || strings.Contains(string(answer), `"ok":false`) {
			t.Errorf("%s: %v\n%s", call, err, answer)
		}
		answers[i] = string(answer)
	}
	for i, want := range []string{`"late":188`, "tumbling 1d", `"window_end"`, `"offset":32734`, `"offset":32735`,
		`"day":1388534400000,"airport":"JFK"`} {
		if !strings.Contains(answers[i], want) {
			t.Errorf("%s: no %s in\n%s", calls[i], want, answers[i])
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted, it ends with %v\n%s", err, errs)
	}
	if _, err := os.Stat(dir); dir == "" || !os.IsNotExist(err) {
		t.Errorf("the directory %q is still there: %v", dir, err)
	}
}

// TestDemoInForms: for machines the demonstration prints one document.
func TestDemoInForms(t *testing.T) {
	t.Parallel()
	cmd, out, errs := startDemo(t, "--once", "--port", "0", "-o", "json")
	text, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	var list struct {
		Queries []standing `json:"queries"`
	}
	if err := readAnswer(text, &list); err != nil || len(list.Queries) != 4 || list.Queries[0].Rows.In != 32735 {
		t.Errorf("%v, %d queries in\n%s", err, len(list.Queries), text)
	}
}

// TestExampleSpecs runs every example spec over the example data and compares the
// rows with the files that package examples computes in its own way.
func TestExampleSpecs(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t)
	w.reset(t)
	specs, err := examples.Specs()
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range specs {
		want, err := os.ReadFile(filepath.Join("..", "..", "examples", "testdata", spec.Name+".ndjson"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(want), "\n"), "\n")
		if err := compareRows(spec.Name, lines, resultRows(t, dial(t, w.url), spec.Name, len(lines))); err != nil {
			t.Error(err)
		}
	}
}
