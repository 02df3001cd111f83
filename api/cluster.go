package api

import (
	"net/http"
	"strconv"

	"leat/internal/bus"
)

// address is where clients reach this node.
func (s *Server) address() string {
	if url := s.url.Load(); url != nil {
		return *url
	}
	return ""
}

// appendNode appends the name of a node, null where none is known.
func (s *Server) appendNode(dst []byte, id uint64) []byte {
	switch id {
	case 0:
		return append(dst, "null"...)
	case s.cluster.ID():
		return appendString(dst, s.nodeID)
	}
	return appendString(dst, strconv.FormatUint(id, 10))
}

// appendAddress appends the address of a node, null where it is not known.
func (s *Server) appendAddress(dst []byte, id uint64) []byte {
	if id == 0 || id != s.cluster.ID() {
		return append(dst, "null"...)
	}
	return appendString(dst, s.address())
}

// role is what this node is in a shard.
func (s *Server) role(shard *bus.Shard) string {
	switch shard.LeaderID {
	case s.cluster.ID():
		return "leader"
	case 0:
		return "candidate"
	}
	return "follower"
}

// metricsHA answers GET /metrics_ha: how this node sees the metadata shard.
func (c *call) metricsHA() error {
	s := c.server
	var meta bus.Shard
	for _, shard := range s.cluster.Shards() {
		if shard.ID == bus.MetaShard {
			meta = shard
		}
	}
	role := s.role(&meta)
	out := appendString(append(c.out(), `{"node_id":`...), s.nodeID)
	out = append(out, `,"role":"`+role+`","leader_id":`...)
	out = s.appendNode(out, meta.LeaderID)
	out = append(out, `,"leader_url":`...)
	out = s.appendAddress(out, meta.LeaderID)
	out = appendField(out, "term", int64(meta.Term))
	// A node applies an entry as soon as it knows that it is committed.
	out = appendField(out, "commit_index", int64(meta.Applied))
	out = appendField(out, "applied_index", int64(meta.Applied))
	out = appendString(append(out, `,"nodes":[{"id":`...), s.nodeID)
	out = append(out, `,"url":`...)
	out = s.appendAddress(out, s.cluster.ID())
	out = append(out, `,"role":"`+role+`","lag":0,"reachable":true}]}`...)
	return c.send(http.StatusOK, typeJSON, out)
}

// clusterState answers GET /cluster: where every shard stands on this node.
func (c *call) clusterState() error {
	s := c.server
	out := appendString(append(c.out(), `{"ok":true,"node_id":`...), s.nodeID)
	out = append(out, `,"shards":[`...)
	for i, shard := range s.cluster.Shards() {
		if i > 0 {
			out = append(out, ',')
		}
		kind := "data"
		if shard.ID == bus.MetaShard {
			kind = "metadata"
		}
		out = append(out, `{"shard":`...)
		out = strconv.AppendUint(out, shard.ID, 10)
		out = append(out, `,"kind":"`+kind+`","role":"`+s.role(&shard)+`","leader_id":`...)
		out = s.appendNode(out, shard.LeaderID)
		out = append(out, `,"leader_url":`...)
		out = s.appendAddress(out, shard.LeaderID)
		out = appendField(out, "term", int64(shard.Term))
		out = appendField(out, "applied_index", int64(shard.Applied))
		out = appendField(out, "checkpointed_index", int64(shard.Checkpointed))
		out = appendField(out, "log_time_ms", shard.LogTimeMs)
		out = appendField(out, "queued_bytes", shard.QueuedBytes)
		out = append(appendField(out, "document_bytes", shard.DocBytes), '}')
	}
	out = append(out, ']')
	out = appendField(out, "raft_log_bytes", s.cluster.RaftLogBytes())
	out = appendString(append(out, `,"nodes":[{"id":`...), s.nodeID)
	out = s.appendAddress(append(out, `,"url":`...), s.cluster.ID())
	return c.send(http.StatusOK, typeJSON, append(out, `}]}`...))
}
