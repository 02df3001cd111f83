package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leat/internal/testenv"
)

// freePorts finds ports that nobody listens on.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// memberCluster is a cluster of processes that commands are run against.
type memberCluster struct {
	*workplace
	ports []string
	url   map[string]string
	list  string // --nodes of the first three
	nodes map[string]*child
}

// begin starts a node; what it returns waits until it is ready.
func (m *memberCluster) begin(t *testing.T, id string, args ...string) (wait func()) {
	t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(m.url[id], "http://"), ":")
	c := launch(t, filepath.Join(m.dir, id), append([]string{"--node-id", id, "--port", port}, args...)...)
	m.nodes[id] = c
	return func() { c.Ready(t) }
}

// startMembers starts a, b and c.
func startMembers(t *testing.T) *memberCluster {
	t.Helper()
	m := &memberCluster{
		workplace: &workplace{dir: t.TempDir()}, ports: freePorts(t, 8), url: make(map[string]string), nodes: make(map[string]*child),
	}
	var list []string
	for i, id := range []string{"a", "b", "c", "d"} {
		m.url[id] = "http://127.0.0.1:" + m.ports[2*i+1]
		list = append(list, fmt.Sprintf("%s:127.0.0.1:%s:1:%s", id, m.ports[2*i], m.ports[2*i+1]))
	}
	m.list = strings.Join(list[:3], ",")
	m.env = append(os.Environ(), execVariable+"=1", "LEAT_SERVER="+m.url["a"], "LEAT_TOKEN=", "LEAT_TOKENS=", "RF_BEARER_TOKENS=", "HOME="+t.TempDir(),
		"PATH="+tool(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	var waits []func()
	for _, id := range []string{"a", "b", "c"} {
		waits = append(waits, m.begin(t, id, "--nodes", m.list))
	}
	for _, wait := range waits {
		wait()
	}
	return m
}

// example runs the example of a command with the addresses of this cluster.
func (m *memberCluster) example(t *testing.T, path string) {
	t.Helper()
	for _, c := range commands(newRoot(&session{shell: osShell()})) {
		if c.CommandPath() == path {
			line := strings.NewReplacer("10.0.0.4:7001", "127.0.0.1:"+m.ports[6], "http://10.0.0.4:1109", m.url["d"]).Replace(c.Example)
			m.runExample(t, strings.TrimSpace(line))
			return
		}
	}
	t.Fatalf("there is no command %q", path)
}

// await waits until these are the members.
func (m *memberCluster) await(t *testing.T, want string) {
	t.Helper()
	testenv.Succeeds(t, "the members are "+want, func() error {
		var all struct {
			Members []memberAnswer `json:"members"`
		}
		body, err := dial(t, m.url["a"]).get(t.Context(), "/cluster/members", nil)
		if err != nil || json.Unmarshal(body, &all) != nil {
			return err
		}
		var got []string
		for _, m := range all.Members {
			got = append(got, fmt.Sprintf("%s/%d %s", m.ID, m.Replica, m.State))
		}
		if text := strings.Join(got, " "); text != want {
			return errors.New(text)
		}
		return nil
	})
}

// ended waits until a node has ended by itself, as it should where it cannot go on.
func (m *memberCluster) ended(t *testing.T, id, why string) {
	t.Helper()
	c := m.nodes[id]
	<-c.Exited
	if code := c.Cmd.ProcessState.ExitCode(); code != exitConflict || !strings.Contains(c.Logs.String(), why) {
		t.Errorf("%s ends with %d:\n%s", id, code, c.Logs)
	}
}

// TestMembersByCommand: the examples of the commands about members, on a cluster of
// three: a node is added, is started with --join and again without, and removed.
func TestMembersByCommand(t *testing.T) {
	t.Parallel()
	m := startMembers(t)
	m.example(t, "leat cluster members add")
	m.await(t, "a/1 voting b/2 voting c/3 voting d/4 joining")
	m.begin(t, "d", "--join", m.url["b"])()
	m.await(t, "a/1 voting b/2 voting c/3 voting d/4 voting")
	m.example(t, "leat cluster members add")
	if code, _ := m.nodes["d"].Terminate(t); code != 0 {
		t.Errorf("d ends with %d:\n%s", code, m.nodes["d"].Logs)
	}
	m.begin(t, "d")()
	m.example(t, "leat cluster members list")
	m.example(t, "leat cluster members remove")
	m.ended(t, "d", "was taken out of the cluster")
	m.await(t, "a/1 voting b/2 voting c/3 voting")
}

// TestRejoinByCommand: a node that has lost its directory is refused and told how to
// rejoin, does, and has the records.
func TestRejoinByCommand(t *testing.T) {
	t.Parallel()
	m := startMembers(t)
	c := dial(t, m.url["a"])
	c.mustPost(t, "/broker/topics", map[string]any{"name": "orders", "partitions": 1})
	c.mustPost(t, "/broker/topics/orders/produce?partition=0", "first")
	m.nodes["b"].Kill()
	if err := os.RemoveAll(filepath.Join(m.dir, "b")); err != nil {
		t.Fatal(err)
	}
	m.begin(t, "b", "--nodes", m.list)
	m.ended(t, "b", "leat cluster rejoin")
	rejoin := "leat cluster rejoin --node-id b --data-dir ./b --server " + m.url["a"]
	// The directory of another node, or one in use, is not touched, and neither is the cluster.
	for name, content := range map[string]string{
		"other": `{"format":2,"node":"00","replica_id":3,"raft_address":"c"}`, "lone": `{"format":1,"node":"00","replica_id":1}`,
	} {
		if err := os.Mkdir(filepath.Join(m.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.dir, name, "identity.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]string{
		"./c": "uses the data directory", "./other": `belongs to node "c", not to "b"`, "./lone": "belongs to a node that runs alone",
	} {
		out := m.sh(t, strings.Replace(rejoin, "./b", dir, 1))
		if !strings.Contains(out, "[exit 4]") || !strings.Contains(out, want) {
			t.Errorf("rejoin with %s: %s", dir, out)
		}
	}
	m.await(t, "a/1 voting b/2 voting c/3 voting")
	testenv.Succeeds(t, "the rejoin is let go on", func() error {
		if out := m.sh(t, rejoin); strings.Contains(out, "[exit") {
			return errors.New(out)
		}
		return nil
	})
	m.begin(t, "b", "--nodes", m.list)()
	m.await(t, "a/1 voting c/3 voting b/4 voting")
	body, err := dial(t, m.url["b"]).call(t.Context(), request{method: http.MethodGet, path: "/broker/consume/orders/g/0"})
	if err != nil || !strings.Contains(string(body), "first") {
		t.Errorf("b has %s, %v", body, err)
	}
	if out := m.sh(t, rejoin); !strings.Contains(out, "[exit 4]") {
		t.Errorf("rejoin of a node that runs: %s", out)
	}
}
