package api

import (
	"testing"

	"leat/internal/bus"
	"leat/internal/fault"
)

func TestClusterCalls(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.NodeID = "n1" })
	s.want(200, `{"node_id":"n1","role":"leader","leader_id":"n1","leader_url":"http://127.0.0.1:1109","term":3,"commit_index":9,"applied_index":9,`+
		`"nodes":[{"id":"n1","url":"http://127.0.0.1:1109","role":"leader","lag":0,"reachable":true}]}`, "GET", "/metrics_ha", "")
	s.want(200, `{"ok":true,"node_id":"n1","shards":[`+
		`{"shard":1,"kind":"metadata","role":"leader","leader_id":"n1","leader_url":"http://127.0.0.1:1109","term":3,"applied_index":9,"checkpointed_index":8,"log_time_ms":1700000000000,"queued_bytes":0,"document_bytes":0},`+
		`{"shard":2,"kind":"data","role":"leader","leader_id":"n1","leader_url":"http://127.0.0.1:1109","term":4,"applied_index":21,"checkpointed_index":20,"log_time_ms":1700000000000,"queued_bytes":5,"document_bytes":0}],`+
		`"raft_log_bytes":4096,"nodes":[{"id":"n1","url":"http://127.0.0.1:1109"}]}`, "GET", "/cluster", "")
}

// A node whose shard has no leader, or another one, says so.
func TestClusterWithoutLeader(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for leader, want := range map[uint64]string{
		0: `"role":"candidate","leader_id":null,"leader_url":null,`,
		7: `"role":"follower","leader_id":"7","leader_url":null,`,
	} {
		s.documents.set(func(f *fakeDocuments) { f.leader = leader })
		s.wantPart("/metrics_ha", want)
		s.wantPart("/cluster", want)
	}
}

// The address of the listener is told where no other is configured.
func TestClusterAddress(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.URL = "" })
	s.wantPart("/cluster", `"leader_url":"http://`+s.address+`"`)
}

// ofThree makes the server one of three nodes, the second of which leads.
func ofThree(s *testServer) {
	s.documents.set(func(f *fakeDocuments) {
		f.leader = 2
		f.members = []bus.Member{
			{ReplicaID: 1, ID: "a", URL: "http://a:1109", Reachable: true, Lag: map[uint64]int64{1: 2, 2: 0}},
			{ReplicaID: 2, ID: "b", URL: "http://b:1109", Reachable: true, Lag: map[uint64]int64{1: 0, 2: 5}},
			{ReplicaID: 3, ID: "c"},
		}
	})
}

func TestClusterOfThree(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.NodeID = "a" })
	ofThree(s)
	s.wantPart("/metrics_ha", `"node_id":"a","role":"follower","leader_id":"b","leader_url":"http://b:1109",`)
	s.wantPart("/metrics_ha", `"nodes":[{"id":"a","url":"http://a:1109","role":"follower","lag":2,"reachable":true},`+
		`{"id":"b","url":"http://b:1109","role":"leader","lag":0,"reachable":true},{"id":"c","url":null,"role":"follower","lag":null,"reachable":false}]}`)
	s.wantPart("/cluster", `"replicas":[{"id":"a","lag":0},{"id":"b","lag":5},{"id":"c","lag":null}]`)
	s.wantPart("/cluster", `"nodes":[{"id":"a","url":"http://a:1109"},{"id":"b","url":"http://b:1109"},{"id":"c","url":null}]`)
	s.wantPart("/broker/topics/t", `"leader":"b"`)
	s.wantPart("/metrics", `leat_node_reachable{node="c"} 0`)
	s.wantPart("/metrics", `leat_shard_lag_entries{node="b",shard="2"} 5`)
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	ofThree(s)
	s.want(200, `{"ok":true,"shard":1,"leader_id":"c"}`, "POST", "/cluster/transfer", `{"shard":1,"to":"c"}`)
	s.wantPart("/metrics_ha", `"leader_id":"c"`)
	for body, code := range map[string]string{
		`{"shard":1,"to":"d"}`: "not_found", `{"to":"c"}`: "missing_shard", `{"shard":1}`: "missing_node", `{"shard":0,"to":"c"}`: "invalid_member",
	} {
		status := 400
		if code == "not_found" {
			status = 404
		}
		s.wantError(status, code, "POST", "/cluster/transfer", body)
	}
}

// A node of a cluster that does not know a topic asks whether there is one by now.
func TestUnknownTopicIsConfirmed(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	ofThree(s)
	s.want(404, "", "GET", "/broker/topics/none", "")
	s.documents.set(func(f *fakeDocuments) {
		if f.confirms == 0 {
			t.Error("nobody was asked")
		}
		f.unsure = fault.New(fault.Unavailable, "no_quorum", "nobody answers")
	})
	s.want(503, "", "GET", "/broker/topics/none", "")
}

// A node of a cluster that does not know a query, or the topic of one, asks as well.
func TestUnknownQueryIsConfirmed(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	ofThree(s)
	unheard := func(is bool) {
		s.queries.mu.Lock()
		defer s.queries.mu.Unlock()
		s.queries.unheard = is
	}
	s.documents.set(func(f *fakeDocuments) { f.confirmed = func() { unheard(false) } })
	const spec = `{"name":"q","source":{"topic":"t"}}`
	for _, call := range []struct {
		status             int
		method, path, body string
	}{
		{201, "POST", "/queries", spec},
		{200, "POST", "/queries/validate", spec},
		{200, "POST", "/queries/preview", spec},
		{200, "GET", "/queries/q", ""},
		{200, "GET", "/queries/q/results", ""},
		{200, "DELETE", "/queries/q", ""},
	} {
		unheard(true)
		s.want(call.status, "", call.method, call.path, call.body)
	}
	s.want(404, "", "GET", "/queries/q", "")
	s.documents.set(func(f *fakeDocuments) { f.unsure = fault.New(fault.Unavailable, "no_quorum", "nobody answers") })
	s.want(503, "", "GET", "/queries/q", "")
}

// A node that knows a topic and has yet to hear of its partitions waits until it has.
func TestPartitionsAreAwaited(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	forget := func() {
		s.topics.mu.Lock()
		defer s.topics.mu.Unlock()
		s.topics.unheard = map[string]bool{"t": true}
	}
	for _, call := range [][3]string{
		{"GET", "/broker/topics/t", ""},
		{"GET", "/broker/topics/t/groups", ""},
		{"GET", "/broker/consume/t/g/0", ""},
		{"GET", "/broker/consume/t/g/0?offset=3", ""},
		{"POST", "/broker/query", `{"source":{"topic":"t","partition":0}}`},
	} {
		forget()
		s.want(200, "", call[0], call[1], call[2])
	}
	forget()
	if stream, _ := s.open("/broker/stream/t/0"); stream.StatusCode != 200 {
		t.Errorf("the stream is answered %d", stream.StatusCode)
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.NodeID, c.Version = "a", "v1.2.3" })
	s.wantPart("/cluster", `{"ok":true,"node_id":"a","version":"v1.2.3","shards":[`)
	s.want(200, `{"ok":true,"cluster":null,"data_shards":1,"members":[{"id":"a","replica_id":1,"raft_address":null,"url":"http://127.0.0.1:1109","priority":0,"state":"voting","reachable":true}]}`,
		"GET", "/cluster/members", "")
	ofThree(s)
	s.documents.set(func(f *fakeDocuments) {
		f.members[0].State, f.members[0].RaftAddress, f.members[0].Priority = "voting", "a:7001", 9
		f.members[0].Diverged = []uint64{2, 3}
	})
	s.wantPart("/cluster/members", `{"ok":true,"cluster":"c0ffee","data_shards":3,"members":[{"id":"a","replica_id":1,"raft_address":"a:7001","url":"http://a:1109","priority":9,"state":"voting","reachable":true},`)
	s.wantPart("/cluster", `"nodes":[{"id":"a","url":"http://a:1109","state":"voting","raft_address":"a:7001","reachable":true,"diverged":[2,3]},`)
	s.want(200, `{"ok":true,"id":"d","replica_id":4,"raft_address":"[::1]:7001","url":"https://d","priority":1,"state":"joining"}`,
		"POST", "/cluster/members", `{"id":"d","raft_address":"[::1]:7001","url":"https://d"}`)
	s.want(200, `{"ok":true,"id":"a","replica_id":5,"raft_address":null,"url":null,"priority":0,"state":"joining"}`,
		"POST", "/cluster/members", `{"id":"a","replaces":1,"priority":0}`)
	s.want(200, `{"ok":true,"id":"d","replica_id":4,"raft_address":"10.0.0.4:7001","url":"http://10.0.0.4:1109","priority":1,"state":"leaving"}`,
		"DELETE", "/cluster/members/d", "")
	s.wantError(404, "not_found", "DELETE", "/cluster/members/e", "")
	s.wantError(404, "not_found", "DELETE", "/cluster/members/%00", "")
	s.wantError(409, "member_exists", "POST", "/cluster/members", `{"id":"a","raft_address":"x:1"}`)
	s.wantError(400, "missing_node", "POST", "/cluster/members", `{"raft_address":"x:1"}`)
	s.wantError(400, "unknown_member", "POST", "/cluster/members", `{"id":"d","raft_adress":"x:1"}`)
	for _, body := range []string{
		`{"id":"../d","raft_address":"x:1"}`, `{"id":"d"}`, `{"id":"d","raft_address":"x"}`, `{"id":"d","raft_address":"x:0"}`, `{"id":"d","raft_address":"x:65536"}`,
		`{"id":"d","raft_address":"x y:1"}`, `{"id":"d","raft_address":":1"}`, `{"id":"d","raft_address":"x:1","url":"ftp://x"}`, `{"id":"d","raft_address":"x:1","url":"http://u:p@x"}`,
		`{"id":"d","raft_address":"x:1","priority":-1}`, `{"id":"d","raft_address":"x:1","replaces":0}`, `{"id":7,"raft_address":"x:1"}`,
	} {
		s.wantError(400, "invalid_member", "POST", "/cluster/members", body)
	}
}

// TestLimitedAdmin: who is an admin of some topics only does not say who belongs to the
// cluster, nor who leads it.
func TestLimitedAdmin(t *testing.T) {
	t.Parallel()
	tokens, _, err := ParseTokens("all:some@admin=app.")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(c *Config) { c.Tokens = tokens })
	for _, call := range [][3]string{
		{"POST", "/cluster/members", `{"id":"d","raft_address":"10.0.0.4:7001"}`},
		{"DELETE", "/cluster/members/d", ""},
		{"POST", "/cluster/transfer", `{"shard":2,"to":"1"}`},
	} {
		s.wantError(403, "forbidden", call[0], call[1], call[2], "Authorization: Bearer some")
		s.want(200, "", call[0], call[1], call[2], "Authorization: Bearer all")
	}
	s.want(200, "", "GET", "/cluster", "", "Authorization: Bearer some")
	s.want(200, "", "GET", "/cluster/members", "", "Authorization: Bearer some")
}
