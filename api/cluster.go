package api

import (
	"math"
	"net/http"
	"slices"
	"strconv"

	"leat/codecs"
	"leat/internal/bus"
	"leat/internal/fault"
)

// address is where clients reach this node.
func (s *Server) address() string {
	if url := s.url.Load(); url != nil {
		return *url
	}
	return ""
}

// member finds a node of the cluster; of a lone node that is the node itself.
func (s *Server) member(all []bus.Member, id uint64) (m bus.Member, ok bool) {
	for _, m := range all {
		if m.ReplicaID == id {
			return m, true
		}
	}
	if id != s.cluster.ID() {
		return bus.Member{ReplicaID: id, ID: strconv.FormatUint(id, 10)}, id != 0
	}
	return bus.Member{ReplicaID: id, ID: s.nodeID, URL: s.address(), Reachable: true}, true
}

// members lists the nodes of the cluster, a lone node too.
func (s *Server) members() []bus.Member {
	all := s.cluster.Members()
	if len(all) == 0 {
		self, _ := s.member(nil, s.cluster.ID())
		all = append(all, self)
	}
	return all
}

// appendNode appends the name of a node, null where none is known.
func (s *Server) appendNode(dst []byte, all []bus.Member, id uint64) []byte {
	m, ok := s.member(all, id)
	if !ok {
		return append(dst, "null"...)
	}
	return codecs.AppendJSONString(dst, m.ID)
}

// appendAddress appends the address of a node, null where it is not known.
func (s *Server) appendAddress(dst []byte, all []bus.Member, id uint64) []byte {
	m, _ := s.member(all, id)
	if m.URL == "" {
		return append(dst, "null"...)
	}
	return codecs.AppendJSONString(dst, m.URL)
}

// appendLag appends by how many entries a node is behind the one that is furthest in
// a shard, null where that is not known.
func appendLag(dst []byte, m *bus.Member, shard uint64) []byte {
	if !m.Reachable {
		return append(dst, `,"lag":null`...)
	}
	return appendField(dst, "lag", m.Lag[shard])
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
	role, all := s.role(&meta), s.members()
	out := codecs.AppendJSONString(append(c.out(), `{"node_id":`...), s.nodeID)
	out = append(out, `,"role":"`+role+`","leader_id":`...)
	out = s.appendNode(out, all, meta.LeaderID)
	out = append(out, `,"leader_url":`...)
	out = s.appendAddress(out, all, meta.LeaderID)
	out = appendField(out, "term", int64(meta.Term))
	// A node applies an entry as soon as it knows that it is committed.
	out = appendField(out, "commit_index", int64(meta.Applied))
	out = appendField(out, "applied_index", int64(meta.Applied))
	out = append(out, `,"nodes":[`...)
	for i := range all {
		m := &all[i]
		if i > 0 {
			out = append(out, ',')
		}
		out = codecs.AppendJSONString(append(out, `{"id":`...), m.ID)
		out = s.appendAddress(append(out, `,"url":`...), all, m.ReplicaID)
		own := "follower"
		switch m.ReplicaID {
		case s.cluster.ID():
			own = role
		case meta.LeaderID:
			own = "leader"
		}
		out = append(out, `,"role":"`+own+`"`...)
		out = appendLag(out, m, bus.MetaShard)
		out = append(out, `,"reachable":`...)
		out = append(strconv.AppendBool(out, m.Reachable), '}')
	}
	return c.send(http.StatusOK, typeJSON, append(out, "]}"...))
}

// clusterState answers GET /cluster: where every shard stands on this node.
func (c *call) clusterState() error {
	s := c.server
	all := s.members()
	out := codecs.AppendJSONString(append(c.out(), `{"ok":true,"node_id":`...), s.nodeID)
	if s.version != "" {
		out = codecs.AppendJSONString(append(out, `,"version":`...), s.version)
	}
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
		out = s.appendNode(out, all, shard.LeaderID)
		out = append(out, `,"leader_url":`...)
		out = s.appendAddress(out, all, shard.LeaderID)
		out = appendField(out, "term", int64(shard.Term))
		out = appendField(out, "applied_index", int64(shard.Applied))
		out = appendField(out, "checkpointed_index", int64(shard.Checkpointed))
		out = appendField(out, "log_time_ms", shard.LogTimeMs)
		out = appendField(out, "queued_bytes", shard.QueuedBytes)
		out = appendField(out, "document_bytes", shard.DocBytes)
		if len(all) > 1 {
			out = appendReplicas(out, all, shard.ID)
		}
		out = append(out, '}')
	}
	out = append(out, ']')
	out = appendField(out, "raft_log_bytes", s.cluster.RaftLogBytes())
	out = append(out, `,"nodes":[`...)
	for i := range all {
		if i > 0 {
			out = append(out, ',')
		}
		out = codecs.AppendJSONString(append(out, `{"id":`...), all[i].ID)
		out = s.appendAddress(append(out, `,"url":`...), all, all[i].ReplicaID)
		if all[i].State != "" {
			out = appendStanding(out, &all[i])
		}
		out = append(out, '}')
	}
	return c.send(http.StatusOK, typeJSON, append(out, "]}"...))
}

// appendStanding appends how a member of a cluster is.
func appendStanding(out []byte, m *bus.Member) []byte {
	out = append(out, `,"state":"`+m.State+`"`...)
	out = appendTextOr(append(out, `,"raft_address":`...), m.RaftAddress)
	out = strconv.AppendBool(append(out, `,"reachable":`...), m.Reachable)
	out = append(out, `,"diverged":[`...)
	for i, shard := range m.Diverged {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(out, shard, 10)
	}
	return append(out, ']')
}

// appendReplicas appends where the nodes stand in a shard.
func appendReplicas(out []byte, all []bus.Member, shard uint64) []byte {
	out = append(out, `,"replicas":[`...)
	for i := range all {
		if i > 0 {
			out = append(out, ',')
		}
		out = codecs.AppendJSONString(append(out, `{"id":`...), all[i].ID)
		out = append(appendLag(out, &all[i], shard), '}')
	}
	return append(out, ']')
}

// transferLeader answers POST /cluster/transfer.
func (c *call) transferLeader() error {
	if err := c.wholeAdmin(); err != nil {
		return err
	}
	body, err := c.readJSON()
	if err != nil {
		return err
	}
	o, err := parseObject(body, []string{"to"}, []string{"shard"})
	if err != nil {
		return err
	}
	for _, member := range [][3]string{
		{"shard", "missing_shard", "The number of the shard is required"},
		{"to", "missing_node", "The name of the node is required"},
	} {
		if err := o.required(member[0], member[1], member[2]); err != nil {
			return err
		}
	}
	shard, err := o.integer("shard", 1, math.MaxInt64, 0)
	if err != nil {
		return err
	}
	to := o.strings["to"]
	all := c.server.members()
	i := slices.IndexFunc(all, func(m bus.Member) bool { return m.ID == to })
	if i < 0 {
		return fault.New(fault.NotFound, "not_found", "There is no node %q", clip(to))
	}
	ctx, cancel := c.deadline()
	defer cancel()
	if err := c.server.cluster.Transfer(ctx, uint64(shard), all[i].ReplicaID); err != nil {
		return err
	}
	out := appendField(append(c.out(), `{"ok":true`...), "shard", shard)
	out = codecs.AppendJSONString(append(out, `,"leader_id":`...), to)
	return c.send(http.StatusOK, typeJSON, append(out, '}'))
}
