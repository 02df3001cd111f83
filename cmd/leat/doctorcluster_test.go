package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/api"
	"leat/cluster"
	"leat/internal/testenv"
)

// ward is a cluster of three nodes that answer as a test has it.
type ward struct {
	doctor  *doctor
	seen    clusterAnswer
	servers []*httptest.Server
	ready   []bool
	version []string
	ahead   []time.Duration
}

func startWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{ready: []bool{true, true, true}, version: []string{"v1", "v1", "v1"}, ahead: make([]time.Duration, 3)}
	for i, id := range []string{"a", "b", "c"} {
		answer := http.NewServeMux()
		answer.HandleFunc("/health", func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Date", time.Now().Add(w.ahead[i]).UTC().Format(http.TimeFormat))
		})
		answer.HandleFunc("/ready", func(out http.ResponseWriter, _ *http.Request) {
			if !w.ready[i] {
				out.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		answer.HandleFunc("/cluster", func(out http.ResponseWriter, _ *http.Request) {
			seen := w.seen
			seen.NodeID, seen.Version = id, w.version[i]
			_ = json.NewEncoder(out).Encode(seen)
		})
		s := httptest.NewServer(answer)
		t.Cleanup(s.Close)
		w.servers = append(w.servers, s)
		raft := id + ":7001"
		w.seen.Nodes = append(w.seen.Nodes, clusterNode{ID: id, URL: &s.URL, Raft: &raft, State: "voting", Reachable: true})
	}
	leader, lag := "a", int64(3)
	if err := json.Unmarshal([]byte(`[{"shard":1,"kind":"metadata","replicas":[{"id":"a"},{"id":"b"},{"id":"c"}]},{"shard":2,"kind":"data","replicas":[{"id":"a"},{"id":"b"},{"id":"c"}]}]`), &w.seen.Shards); err != nil {
		t.Fatal(err)
	}
	for i := range w.seen.Shards {
		w.seen.Shards[i].Leader = &leader
		for r := range w.seen.Shards[i].Replicas {
			w.seen.Shards[i].Replicas[r].Lag = &lag
		}
	}
	own := &settings{host: "127.0.0.1", dataDir: filepath.Join(t.TempDir(), "b"), limits: api.Limits{BodyBytes: 16 << 20, RecordBytes: 1 << 20, Partitions: 256}}
	own.nodeID, own.seat = "b", &clusterMember{id: "b"}
	w.doctor = &doctor{
		settings: own, client: dial(t, w.servers[0].URL), named: true, machine: wellMachine(),
		open:     func(server string) (*client, error) { return newClient(server, "", nil) },
		identity: func(string) (string, error) { return "b", nil },
	}
	w.doctor.machine.now = time.Now
	return w
}

func (w *ward) down(i int) {
	w.servers[i].Close()
	w.seen.Nodes[i].Reachable = false
}

// TestDoctorOfACluster breaks one thing at a time: the lines that follow from it say so
// and what to do, and no others.
func TestDoctorOfACluster(t *testing.T) {
	t.Parallel()
	late := int64(1_234_567)
	for name, c := range map[string]struct {
		change func(*ward)
		want   string // check and verdict of all that is not ok
		says   string // some of the lines and of what to do
	}{
		"well":        {func(*ward) {}, "", ""},
		"one is down": {func(w *ward) { w.down(2) }, "member c fail, quorum warn", "leat cluster rejoin --node-id c; leat cluster members remove c; one more loss stops writes"},
		"two are": {func(w *ward) { w.down(1); w.down(2) }, "member b fail, member c fail, quorum fail",
			"1 of 3 voting members answer node a: nothing can be written"},
		"clients alone": {func(w *ward) { w.seen.Nodes[2].Reachable = false }, "member c fail, quorum warn", "node a does not reach it"},
		"nodes alone":   {func(w *ward) { w.servers[2].Close() }, "member c warn", "check --host and --url"},
		"not ready":     {func(w *ward) { w.ready[1] = false }, "member b fail", "is not ready"},
		"joining":       {func(w *ward) { w.seen.Nodes[2].State = "joining" }, "member c warn, quorum warn", "2 of 2 voting; leat cluster members remove c"},
		"leaving":       {func(w *ward) { w.seen.Nodes[2].State = "leaving" }, "member c warn, quorum warn", "is leaving"},
		"diverged":      {func(w *ward) { w.seen.Nodes[2].Diverged = []int64{2, 3} }, "member c fail, quorum warn", "shard 2, 3; leat cluster rejoin --node-id c"},
		"no leader":     {func(w *ward) { w.seen.Shards[1].Leader = nil }, "shard 2 fail", "data shard without a leader"},
		"behind":        {func(w *ward) { w.seen.Shards[1].Replicas[2].Lag = &late }, "shard 2 warn", "node c is 1,234,567 entries behind"},
		"versions":      {func(w *ward) { w.version[1] = "v2" }, "versions warn", "a, c: v1; b: v2"},
		"clock":         {func(w *ward) { w.ahead[1] = time.Hour }, "clocks warn", "b by 1h"},
		"damaged": {func(w *ward) {
			w.doctor.identity = func(string) (string, error) { return "", errors.New("the raft log is gone") }
		}, "identity fail", "the raft log is gone; leat cluster rejoin --node-id b"},
		"another's directory": {func(w *ward) { w.doctor.identity = func(string) (string, error) { return "c", nil } }, "identity fail", "belongs to node \"c\""},
		"empty directory":     {func(w *ward) { w.doctor.identity = func(string) (string, error) { return "", nil } }, "identity warn", "is empty"},
		"no member":           {func(w *ward) { w.doctor.settings.nodeID, w.doctor.settings.seat.id = "x", "x" }, "identity fail", "leat cluster members add x"},
		"asked through another": {func(w *ward) {
			w.doctor.named = false
			w.down(0)
			w.doctor.settings.invitation = &cluster.Invitation{Members: []cluster.Seat{{ID: "c", URL: w.servers[2].URL}}}
		}, "member a fail, quorum warn", "answer node c"},
	} {
		w := startWard(t)
		c.change(w)
		var got, text []string
		for _, f := range w.doctor.checkCluster(t.Context()) {
			if f.Status != verdictOK {
				got, text = append(got, f.Check+" "+f.Status), append(text, f.Message, f.Fix)
				if f.Fix == "" {
					t.Errorf("%s: nothing to do about %+v", name, f)
				}
			}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, not %q:\n%s", name, got, c.want, strings.Join(text, "\n"))
		}
		for part := range strings.SplitSeq(c.says, "; ") {
			if !strings.Contains(strings.Join(text, "\n")+strings.Join(text, "; "), part) {
				t.Errorf("%s: %q is not said:\n%s", name, part, strings.Join(text, "\n"))
			}
		}
	}
}

// TestDoctorSeesCertificates: those that clients are shown and that end soon.
func TestDoctorSeesCertificates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	seen := clusterAnswer{Nodes: []clusterNode{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
	found := judgeCertificates(seen, []visit{{}, {expires: now.Add(expiresSoon + time.Hour)}, {expires: now.Add(expiresSoon - time.Hour)}}, now)
	if len(found) != 1 || found[0].Status != verdictWarn || !strings.Contains(found[0].Message, "node c") {
		t.Errorf("%+v", found)
	}
}

// TestDoctorOfMembers: on a cluster of processes all is well; without one of them it says
// which, and that no other may be lost.
func TestDoctorOfMembers(t *testing.T) {
	t.Parallel()
	m := startMembers(t)
	ask := func() (lines []string) {
		t.Helper()
		got := leat(t.Context(), "", nil, "doctor", "--data-dir", t.TempDir(), "--server", m.url["a"], "--port", "0", "-o", "json")
		var report struct{ Checks []finding }
		if err := json.Unmarshal([]byte(got.out), &report); err != nil {
			t.Fatalf("%v: %s%s", err, got.out, got.err)
		}
		for _, f := range report.Checks {
			lines = append(lines, f.Check+" "+f.Status+": "+f.Message)
		}
		return lines
	}
	wait := func(want ...string) {
		t.Helper()
		testenv.Succeeds(t, strings.Join(want, ", "), func() error {
			lines := ask()
			for _, w := range want {
				if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, w) }) {
					return errors.New(strings.Join(lines, "\n"))
				}
			}
			return nil
		})
	}
	wait("member a ok", "member b ok", "member c ok", "quorum ok", "shards ok", "versions ok", "clocks ok")
	m.nodes["c"].Kill()
	wait("member a ok", "member b ok", "member c fail", "quorum warn: 2 of 3", "shards ok")
}
