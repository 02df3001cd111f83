package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	got, err := parseMembers("a:10.0.0.1:7000:3,b:[::1]:7001:2:1109")
	if err != nil || len(got) != 2 || got[0] != (clusterMember{id: "a", host: "10.0.0.1", raftPort: 7000, priority: 3}) ||
		got[1] != (clusterMember{id: "b", host: "::1", raftPort: 7001, httpPort: 1109, priority: 2}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"a", "a:h", "a:h:7000", "a:h:0:1", "a:h:65536:1", "a:h:x:1", "a:h:7000:-1", "a:h:7000:1:0", "a:h:7000:1:2:3",
		":h:7000:1", "a::7000:1", "a:[::1:7000:1", "a:h:7000:1,a:i:7000:1", "a:h:7000:1,b:h:7000:1", "a:h:7000:1,"} {
		if got, err := parseMembers(text); err == nil {
			t.Errorf("%q gives %+v", text, got)
		}
	}
}

// TestJoinedDirectory: a node that was added says what does not fit its directory, and
// what does.
func TestJoinedDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	identity := `{"format":3,"node":"00","replica_id":4,"raft_address":"d","data_shards":1,"cluster":"00",
		"roster":{"format":1,"next":5,"members":[{"id":"a","replica_id":1,"raft_address":"127.0.0.1:7001","state":"voting"},
		{"id":"d","replica_id":4,"raft_address":"127.0.0.1:7004","state":"voting"}]}}`
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), []byte(identity), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"--node-id", "a"}, exitConflict, `belongs to node "d", not to "a"`},
		{[]string{"--nodes", "a:127.0.0.1:7001:1,b:127.0.0.1:7002:1"}, exitUsage, `this node is "d", and --nodes names a, b: correct the list or --node-id; a node that was added needs no list`},
	} {
		out := leat(t.Context(), "", nil, append([]string{"serve", "--port", "0", "--data-dir", dir}, c.args...)...)
		if out.exit != c.exit || !strings.Contains(out.err, c.want) {
			t.Errorf("%q: %+v", c.args, out)
		}
	}
}

// TestReplicationOnOneNode: what one node can do it does, what it cannot is refused,
// and nothing is ignored in silence.
func TestReplicationOnOneNode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		r      replication
		env    map[string]string
		nodeID string
		rocket bool
		warns  string // part of the only warning
		ok     bool
	}{
		"nothing":        {ok: true},
		"named":          {r: replication{nodeID: "n1"}, nodeID: "n1", ok: true},
		"bad name":       {r: replication{nodeID: "n 1"}},
		"alone":          {r: replication{nodes: "a:h:7000:1"}, env: map[string]string{haEnabled: "1"}, nodeID: "a", warns: "nothing is replicated", ok: true},
		"not this":       {r: replication{nodeID: "b", nodes: "a:h:7000:1"}},
		"enabled only":   {env: map[string]string{haEnabled: "1"}},
		"three unnamed":  {r: replication{nodes: "a:::1:1,b:h:2:1,c:h:3:1"}},
		"three":          {r: replication{nodeID: "a", nodes: "a:127.0.0.1:1:1,b:h:2:1,c:h:3:1"}, nodeID: "a", ok: true},
		"none of three":  {r: replication{nodeID: "d", nodes: "a:127.0.0.1:1:1,b:h:2:1,c:h:3:1"}},
		"nameless":       {r: replication{nodes: "a:127.0.0.1:1:1,b:h:2:1,c:h:3:1"}},
		"off loopback":   {r: replication{nodeID: "b", nodes: "a:127.0.0.1:1:1,b:h:2:1,c:h:3:1"}},
		"insecure":       {r: replication{nodeID: "b", insecureRaft: true, nodes: "a:127.0.0.1:1:1,b:h:2:1,c:h:3:1"}, nodeID: "b", ok: true},
		"two":            {r: replication{nodeID: "a", nodes: "a:localhost:1:1,b:h:2:1"}, nodeID: "a", warns: "one more or one less", ok: true},
		"eight":          {r: replication{nodeID: "a", nodes: "a:localhost:1:1,b:h:2:1,c:h:3:1,d:h:4:1,e:h:5:1,f:h:6:1,g:h:7:1,i:h:8:1"}},
		"no files":       {r: replication{nodeID: "a", raftTLS: raftTLS{on: true}, nodes: "a:localhost:1:1,b:h:2:1,c:h:3:1"}},
		"both":           {r: replication{nodeID: "a", insecureRaft: true, raftTLS: raftTLS{on: true}, nodes: "a:localhost:1:1,b:h:2:1,c:h:3:1"}},
		"files, not on":  {r: replication{nodeID: "a", raftTLS: raftTLS{ca: "x"}, nodes: "a:localhost:1:1,b:h:2:1,c:h:3:1"}, nodeID: "a", warns: "not encrypted", ok: true},
		"secure alone":   {r: replication{raftTLS: raftTLS{on: true}}, warns: "HTTP is not encrypted", ok: true},
		"all of three":   {r: replication{nodeID: "a", writeConcern: "3", nodes: "a:localhost:1:1,b:h:2:1,c:h:3:1"}, nodeID: "a", ok: true},
		"four of three":  {r: replication{nodeID: "a", writeConcern: "4", nodes: "a:localhost:1:1,b:h:2:1,c:h:3:1"}},
		"async":          {r: replication{writeConcern: "async"}, rocket: true, warns: "a crash may lose", ok: true},
		"one":            {r: replication{writeConcern: "1"}, rocket: true, warns: "a crash may lose", ok: true},
		"two of one":     {r: replication{writeConcern: "2"}, warns: "there is one node", ok: true},
		"all":            {r: replication{writeConcern: "sync-all"}, ok: true},
		"zero":           {r: replication{writeConcern: "0"}},
		"off":            {env: map[string]string{"RF_HA_TLS": "1", haEnabled: "false"}, warns: "RF_HA_TLS is set", ok: true},
		"off and worker": {env: map[string]string{"RF_HA_DEDICATED_WORKER": "1"}, warns: "RF_HA_DEDICATED_WORKER", ok: true},
	} {
		warnings, err := c.r.check(func(name string) string { return c.env[name] })
		if (err == nil) != c.ok || c.r.rocket != c.rocket || c.ok && c.r.nodeID != c.nodeID {
			t.Errorf("%s: %+v, %v", name, c.r, err)
		}
		if (c.warns != "") != (len(warnings) == 1) || c.warns != "" && !strings.Contains(warnings[0], c.warns) {
			t.Errorf("%s: warnings %q", name, warnings)
		}
	}
}

// TestWriteConcernOfTheEnvironment: a node started as one of the reference system
// has its name, and answers as its write concern says.
func TestWriteConcernOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		mode string
	}{
		{nil, "sealed"},
		{[]string{"--write-concern", "1"}, "rocket"},
		{[]string{"--write-concern", "2"}, "sealed"},
	} {
		server := start(t, t.TempDir(), append(c.args, "--node-id", "n1", "--nodes", "n1:127.0.0.1:7000:1", "--url", "http://leat.example:1109")...)
		client := dial(t, server.url)
		client.mustPost(t, "/broker/topics", map[string]any{"name": "t", "partitions": 1})
		var done struct {
			Mode    string
			Durable bool
		}
		if err := json.Unmarshal(client.mustPost(t, "/broker/topics/t/produce", "x"), &done); err != nil ||
			done.Mode != c.mode || done.Durable != (c.mode == "sealed") {
			t.Errorf("%q: %+v, %v", c.args, done, err)
		}
		want := map[string]string{"sealed": "t/0 at offset 1\n", "rocket": "t/0, queued: not durable yet\n"}[c.mode]
		if got := leat(t.Context(), "", nil, "produce", "t", "y", "--server", server.url); got.out != want {
			t.Errorf("%q: %q, not %q; %s", c.args, got.out, want, got.err)
		}
		body, err := client.get(t.Context(), "/metrics_ha", nil)
		if err != nil || !strings.Contains(string(body), `"node_id":"n1"`) || !strings.Contains(string(body), `"leader_url":"http://leat.example:1109"`) {
			t.Errorf("%s, %v", body, err)
		}
	}
}

func TestWriteConcernOfNodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text               string
		nodes              int
		rocket, everywhere bool
		warns              bool
	}{
		{"sync-majority", 3, false, false, false},
		{"sync-all", 3, false, true, false},
		{"sync-all", 1, false, false, false},
		{"2", 3, false, false, false},
		{"3", 3, false, true, false},
		{"2", 5, false, false, false},
		{"3", 5, false, false, false},
		{"4", 5, false, true, true},
		{"5", 5, false, true, false},
		{"1", 3, true, false, true},
	} {
		r := replication{writeConcern: c.text}
		warnings, err := r.parseWriteConcern(c.nodes)
		if err != nil || r.rocket != c.rocket || r.everywhere != c.everywhere || (len(warnings) > 0) != c.warns {
			t.Errorf("%s of %d: %+v, %q, %v", c.text, c.nodes, r, warnings, err)
		}
	}
}
