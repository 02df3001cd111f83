package torture

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// comparedWithin is more than it takes nodes to compare what they have: they do every 30
// seconds, and see it when they next ask each other where they stand.
const comparedWithin = 100 * time.Second

// TestBadMemory: under load a bit of a value that was acknowledged before turns in the memory
// of two of five nodes. They end, say that they have diverged and do not start again; the
// others go on and have what was acknowledged, and the two as well once they have rejoined.
// LEAT_FAULT_ROUNDS says how often, LEAT_FAULT_SEED repeats the choices.
func TestBadMemory(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	const odd = 2 // nodes at once
	rounds := (variable(t, "LEAT_FAULT_ROUNDS", odd) + odd - 1) / odd
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestBadMemory$'", seed, odd*rounds)
	r := rand.New(rand.NewPCG(uint64(seed), 11))
	w := newWorld()
	told := w.summarize(t)
	f := startApart(t, 5, 0)
	f.dial(t).must(t, http.MethodPost, "/broker/topics", nil, `{"name":"events","partitions":2}`)
	f.level(t, "events")
	for w.round = range rounds {
		before := w.answered.Load()
		stop := w.loadCluster(t, f, r)
		values := make(map[string]string)
		victims := r.Perm(len(f.nodes))[:odd]
		for _, i := range victims {
			key := fmt.Sprintf("/kv/memory/r%d-n%d", w.round, i)
			values[key] = fmt.Sprintf("%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64())
			f.dial(t).must(t, http.MethodPost, key, nil, values[key])
		}
		w.going(t, before+500) // all nodes have the values, and none has them on their way
		for _, i := range victims {
			turn(t, f.nodes[i], []byte(values[fmt.Sprintf("/kv/memory/r%d-n%d", w.round, i)]))
		}
		w.going(t, w.answered.Load()+200)
		stop()
		for _, i := range victims {
			w.diverges(t, f, i)
		}
		for _, i := range victims {
			f.stays(t, i)
			f.rejoin(t, i)
		}
		w.decide(t, f, w.round == rounds-1)
		for key, value := range values {
			for i := range f.nodes {
				a := dial(t, f.urls[i]).must(t, http.MethodGet, key, nil, "")
				if !strings.Contains(string(a.body), base64.StdEncoding.EncodeToString([]byte(value))) {
					t.Errorf("node %d has %s as %s", i, key, a.body)
				}
			}
		}
		for range odd {
			told.round("R19 a bit turns in the memory of two of five nodes")
		}
	}
	f.end(t)
}

// turn turns a bit in every copy that a process has of some bytes. It stands still meanwhile.
func turn(t *testing.T, n *node, of []byte) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d", n.Cmd.Process.Pid)
	mem, err := os.OpenFile(proc+"/mem", os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		t.Skip("SKIPPED: this user may not write to the memory of a process: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	n.Signal(t, syscall.SIGSTOP)
	defer n.Signal(t, syscall.SIGCONT)
	maps, err := os.ReadFile(proc + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	copies := 0
	piece := make([]byte, 1<<20)
	for _, area := range regexp.MustCompile(`(?m)^([0-9a-f]+)-([0-9a-f]+) rw`).FindAllSubmatch(maps, -1) {
		from, _ := strconv.ParseInt(string(area[1]), 16, 64)
		to, _ := strconv.ParseInt(string(area[2]), 16, 64)
		for from < to {
			read, _ := mem.ReadAt(piece[:min(int64(len(piece)), to-from)], from)
			if read < len(of) {
				break
			}
			for rest, at := piece[:read], from; ; {
				i := bytes.Index(rest, of)
				if i < 0 {
					break
				}
				if _, err := mem.WriteAt([]byte{of[0] ^ 1}, at+int64(i)); err != nil {
					t.Fatal(err)
				}
				copies++
				rest, at = rest[i+1:], at+int64(i)+1
			}
			from += int64(read - len(of) + 1)
			if read < len(piece) {
				break
			}
		}
	}
	if copies == 0 {
		t.Fatalf("%s is nowhere in the memory of the node", of)
	}
}

// diverges waits until a node ends because it has another state than the others, and
// writes meanwhile: what nobody writes to is not compared.
func (w *world) diverges(t *testing.T, f *fleet, i int) {
	t.Helper()
	began := time.Now()
	n := f.nodes[i]
	for ended := false; !ended; {
		select {
		case <-n.Exited:
			ended = true
		case <-time.After(200 * time.Millisecond):
			f.dial(t).call(t.Context(), http.MethodPost, "/kv/memory/tick", nil, "")
			w.probe(t, f, w.plain)
		}
		if time.Since(began) > comparedWithin {
			t.Fatalf("node %d goes on with another state than the others, the log:\n%s", i, n.Logs)
		}
	}
	if text := n.Logs.String(); n.Cmd.ProcessState.ExitCode() <= 0 || !strings.Contains(text, "diverged") {
		t.Errorf("it ends with %d, the log:\n%s", n.Cmd.ProcessState.ExitCode(), text)
	}
	f.nodes[i] = nil
	t.Logf("round %d: node %d has ended after %s", w.round, i, time.Since(began).Round(time.Millisecond))
}

// stays checks that a node that has diverged does not start again as it is.
func (f *fleet) stays(t *testing.T, i int) {
	t.Helper()
	f.launch(t, i)
	n := f.nodes[i]
	if exit := n.Await(t, "it had diverged"); exit == 0 || !strings.Contains(n.Logs.String(), "leat cluster rejoin") {
		t.Errorf("started again it ends with %d, the log:\n%s", exit, n.Logs)
	}
	f.nodes[i] = nil
}
