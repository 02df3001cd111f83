package torture

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/internal/testenv"
)

// freeBase finds a port from which on n are free, and n more 6000 above.
func freeBase(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		base := 20_000 + rand.IntN(20_000)
		free := true
		for i := range n {
			for _, port := range []int{base + i, base + i + 6000} {
				l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
				if err != nil {
					free = false
					continue
				}
				_ = l.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no ports are free")
	return 0
}

// script prepares a script of deploy that starts nodes.
func script(t *testing.T, base int, name, dir string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{"../../deploy/" + name, path, dir}, args...)...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("LEAT_CLUSTER_PORT=%d", base), "LEAT_TOKENS=", "RF_BEARER_TOKENS=", "RF_HA_ENABLED=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // upon which it ends its nodes
	return cmd
}

// TestScenarioScript: deploy/scenario.sh writes to the leader, kills a follower, writes,
// starts it again and reads all offsets from it.
func TestScenarioScript(t *testing.T) {
	t.Parallel()
	out, err := script(t, freeBase(t, 3), "scenario.sh", filepath.Join(t.TempDir(), "scenario")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all 40 offsets read from n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestClusterScript: deploy/cluster.sh, which is `make cluster`, starts five and seven
// nodes. With two and three of them killed the others write on, and have everything; and
// it ends with its nodes.
func TestClusterScript(t *testing.T) {
	t.Parallel()
	for _, n := range []int{5, 7} {
		base, dir := freeBase(t, n), t.TempDir()
		cmd := script(t, base, "cluster.sh", dir, strconv.Itoa(n))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		end := func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			<-ended
		}
		t.Cleanup(end)
		ready := make(chan string, 1)
		go func() {
			defer close(ended)
			var text strings.Builder
			for lines := bufio.NewScanner(out); lines.Scan(); {
				text.WriteString(lines.Text() + "\n")
				if lines.Text() == "leat cluster ready" {
					ready <- text.String()
				}
			}
			_ = cmd.Wait()
			close(ready)
		}()
		if text, ok := <-ready; !ok || strings.Count(text, "http://127.0.0.1:") != n {
			t.Fatalf("%d nodes: %q", n, text)
		}
		bears(t, cmd.Process.Pid, base, n)
		end()
		if exit := cmd.ProcessState.ExitCode(); exit != 0 {
			t.Errorf("%d nodes: the end is exit %d", n, exit)
		}
	}
}

// TestClusterScriptTellsWhatEnded: where a node does not start the script ends too, with
// what that node said, and not only when it has waited in vain.
func TestClusterScriptTellsWhatEnded(t *testing.T) {
	t.Parallel()
	base := freeBase(t, 3)
	taken, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+1)))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	out, err := script(t, base, "cluster.sh", t.TempDir(), "3").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "node n2 has ended") || !strings.Contains(string(out), "is in use") {
		t.Errorf("%v\n%s", err, out)
	}
}

// bears writes to a cluster that a process has started, kills as many of its nodes as it
// has to bear, writes on and reads everything from the others.
func bears(t *testing.T, parent, base, n int) {
	t.Helper()
	w, p := newWorld(), newPartition("events", 0)
	f := &fleet{}
	for i := range n {
		f.urls = append(f.urls, fmt.Sprintf("http://127.0.0.1:%d", base+i))
	}
	c := f.dial(t)
	c.must(t, http.MethodPost, "/broker/topics", nil, `{"name":"events","partitions":1}`)
	for i := range n {
		c.url = f.urls[i]
		w.writeOn(t, c, p)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		t.Fatal(err)
	}
	pids := strings.Fields(string(children))
	if len(pids) != n {
		t.Fatalf("%d processes for %d nodes", len(pids), n)
	}
	var topic struct{ Detail []struct{ Leader string } }
	var leader int
	err = c.must(t, http.MethodGet, "/broker/topics/events", nil, "").read(&topic)
	if _, scanned := fmt.Sscanf(topic.Detail[0].Leader, "n%d", &leader); errors.Join(err, scanned) != nil {
		t.Fatal(errors.Join(err, scanned))
	}
	var left []string
	for i := range n { // from the leader of the partition on
		at := (leader - 1 + i) % n
		if i >= (n-1)/2 {
			left = append(left, f.urls[at])
			continue
		}
		pid, err := strconv.Atoi(pids[at])
		if err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL)); err != nil {
			t.Fatal(err)
		}
	}
	f.urls = left
	killed := time.Now()
	w.writeOn(t, f.dial(t), p)
	t.Logf("%d of %d nodes killed, the leader first: written again after %s", n-len(left), n, time.Since(killed))
	for _, url := range f.urls {
		testenv.Succeeds(t, url+" has everything", func() error {
			got, ok, err := dial(t, url).consume(t.Context(), p.place, reader, 0, 1000)
			if !ok || int64(len(got.ids)) < p.end() {
				return fmt.Errorf("%d of %d records, %w", len(got.ids), p.end(), err)
			}
			return nil
		})
	}
	first, next := w.readOn(t, dial(t, f.urls[0]), p, 0)
	if err := p.settle(first, next, w.watch.now()); err != nil {
		t.Error(err)
	}
}

// writeOn appends a record until that is acknowledged.
func (w *world) writeOn(t *testing.T, c *client, p *partition) {
	t.Helper()
	testenv.Succeeds(t, p.place.String()+" is written to", func() error {
		ids := w.ids(1)
		p.send(ids, false)
		if o := w.append(t.Context(), c, p, ids, 100, ""); o != done {
			return errors.Join(errors.New("not acknowledged"), w.failed())
		}
		return nil
	})
}
