package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

// damagedKinds are the kinds of files of a node, by what they match below its directory.
var damagedKinds = []string{
	"shards/*/p/*/*.seg", "shards/*/p/*/*.idx", "shards/*/state/*.seg", "shards/*/state/*.idx", "shards/*/checkpoint",
	"raft/*.wal", "raft/watermark", "raft/index", "identity.json", "peers.json", "nodehost/dragonboat.ds", "nodehost/NODEHOST.ID",
}

// damagedHow are the ways to damage a file. The function returns what is left of it.
var damagedHow = []struct {
	name string
	do   func(content []byte, r *rand.Rand) []byte
}{
	{"a bit", func(b []byte, r *rand.Rand) []byte { b[r.IntN(len(b))] ^= 1 << r.IntN(8); return b }},
	{"a page", func(b []byte, r *rand.Rand) []byte {
		const page = 4096
		at := r.IntN(len(b)) / page * page
		clear(b[at:min(at+page, len(b))])
		return b
	}},
	{"the tail", func(b []byte, r *rand.Rand) []byte { return b[:len(b)-1-r.IntN((len(b)+2)/3)] }},
}

// TestDamagedFiles: under load one of three nodes is killed, a bit, a page or the tail of
// one of its files is damaged, of every kind in turn, and it is started again. It never
// answers with what is not there: it has everything, or it says that a record is corrupt,
// or it ends and names the file. The others go on all the while, and where it has ended
// or is not whole it rejoins. LEAT_FAULT_ROUNDS says how often, LEAT_FAULT_SEED repeats
// the choices.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	rounds := variable(t, "LEAT_FAULT_ROUNDS", 3)
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestDamagedFiles$'", seed, rounds)
	r := rand.New(rand.NewPCG(uint64(seed), 9))
	w := newWorld()
	told := w.summarize(t)
	f := startApart(t, 3, 0)
	f.dial(t).must(t, http.MethodPost, "/broker/topics", nil, `{"name":"events","partitions":2}`)
	f.level(t, "events")
	cases := r.Perm(len(damagedKinds) * len(damagedHow))
	for w.round = range rounds {
		c := cases[w.round%len(cases)]
		kind, how := damagedKinds[c%len(damagedKinds)], damagedHow[c/len(damagedKinds)]
		before := w.answered.Load()
		stop := w.loadCluster(t, f, r)
		w.going(t, before+200)
		victim := r.IntN(len(f.nodes))
		f.kill(victim)
		w.probeBut(t, f, w.plain, victim)
		file := f.damage(t, victim, kind, how.do, r)
		became := w.restartDamaged(t, f, victim, file)
		stop()
		if became != whole || strings.HasPrefix(kind, "raft/") { // the raft log is verified later, too
			f.rejoin(t, victim)
		}
		w.decide(t, f, w.round == rounds-1)
		told.round("R5 damaged: " + kind)
		t.Logf("%s of %s of node %d: %s", how.name, file, victim, became)
	}
	f.end(t)
	f.sameFiles(t)
}

// damage damages a file of a node, whose name below the node's directory it returns.
func (f *fleet) damage(t *testing.T, i int, kind string, how func([]byte, *rand.Rand) []byte, r *rand.Rand) string {
	t.Helper()
	dir := filepath.Join(f.dir, fmt.Sprintf("n%d", i))
	names, err := filepath.Glob(filepath.Join(dir, kind))
	if kind == "raft/index" && len(names) == 0 { // it is written now and then
		return f.damage(t, i, "raft/*.wal", how, r)
	}
	if err != nil || len(names) == 0 {
		t.Fatalf("node %d has no %s, %v", i, kind, err)
	}
	name := names[r.IntN(len(names))]
	content, err := os.ReadFile(name)
	if err != nil || len(content) == 0 {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	if err := os.WriteFile(name, how(content, r), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(name, dir+"/")
}

// what has become of a node with a damaged file
const (
	whole   = "it has everything"
	tells   = "it says that a record is corrupt"
	refuses = "it ends and says why"
)

// restartDamaged starts a node with a damaged file and tells what becomes of it.
func (w *world) restartDamaged(t *testing.T, f *fleet, i int, file string) string {
	t.Helper()
	f.launch(t, i)
	n := f.nodes[i]
	select {
	case line := <-n.First:
		if line == "leat ready "+f.urls[i] {
			break
		}
		exit := n.Await(t, "it does not say that it is ready")
		f.nodes[i] = nil
		log := n.Logs.String()
		if exit <= 0 || strings.Contains(log, "panic:") || strings.Contains(log, "goroutine ") || !strings.Contains(log, filepath.Base(file)) && !strings.Contains(log, filepath.Dir(file)+" ends") {
			t.Errorf("with damage in %s it ends with exit code %d and does not name the file, the log:\n%s", file, exit, log)
		}
		return refuses
	case <-time.After(testenv.Patience):
		t.Fatalf("with damage in %s it is not ready and does not end, the log:\n%s", file, n.Logs)
	}
	for _, p := range []*partition{w.plain, w.mixed} {
		for next := int64(0); ; {
			query := url.Values{"offset": {fmt.Sprint(next)}, "limit": {"1000"}}
			c := dial(t, f.urls[i])
			a := c.call(t.Context(), http.MethodGet, fmt.Sprintf("/broker/consume/%s/%s/%d", p.place.topic, reader, p.place.partition), query, "")
			if a.status == http.StatusInternalServerError && strings.Contains(string(a.body), `"corrupt_record"`) {
				return tells
			}
			got, ok, err := c.consume(t.Context(), p.place, reader, next, 1000)
			if !ok {
				t.Fatalf("with damage in %s it answers %d %.300s, then %v, the log:\n%s", file, a.status, a.body, err, n.Logs)
			}
			if len(got.ids) == 0 {
				break
			}
			p.found(got)
			next = got.next
		}
	}
	return whole
}

// rejoin has a node begin again by the command, whether it runs or not.
func (f *fleet) rejoin(t *testing.T, i int) {
	t.Helper()
	if f.nodes[i] != nil {
		f.kill(i)
	}
	f.replace(t, i)
	f.launch(t, i)
	f.await(t, i)
	f.states(t, i, true)
}

// replace has the directory of a node that is down become that of a new replica.
func (f *fleet) replace(t *testing.T, i int) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	testenv.Succeeds(t, fmt.Sprintf("node %d may rejoin", i), func() error {
		cmd := exec.CommandContext(t.Context(), path, "cluster", "rejoin", "--node-id", fmt.Sprintf("n%d", i),
			"--data-dir", filepath.Join(f.dir, fmt.Sprintf("n%d", i)), "--server", f.other(i))
		cmd.Env = append(os.Environ(), "LEAT_TOKEN="+testToken)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	old, err := filepath.Glob(filepath.Join(f.dir, fmt.Sprintf("n%d", i), "before-rejoin-*"))
	if err != nil || len(old) == 0 {
		t.Fatal(errors.Join(err, errors.New("rejoin has kept nothing of what the directory held")))
	}
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// other is the address of a node that runs, and is not node i.
func (f *fleet) other(i int) string {
	for j, n := range f.nodes {
		if j != i && n != nil {
			return f.urls[j]
		}
	}
	return ""
}
