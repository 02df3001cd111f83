package api

import "testing"

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
