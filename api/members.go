package api

import (
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"leat/codecs"
	"leat/internal/bus"
	"leat/internal/fault"
)

const (
	maxNodeName  = 63
	maxAddress   = 512
	maxPriority  = 1_000_000
	newPriority  = 1
	memberVoting = "voting"
)

// listMembers answers GET /cluster/members: who belongs to the cluster, which is also
// what a node has to know to join it.
func (c *call) listMembers() error {
	ctx, cancel := c.deadline()
	defer cancel()
	s := c.server
	m, err := s.cluster.Membership(ctx)
	if err != nil {
		return err
	}
	if len(m.Members) == 0 {
		self, _ := s.member(nil, s.cluster.ID())
		self.State = memberVoting
		m.Members = append(m.Members, self)
	}
	out := append(c.out(), `{"ok":true,"cluster":`...)
	out = appendTextOr(out, m.Cluster)
	out = appendField(out, "data_shards", int64(m.DataShards))
	out = append(out, `,"members":[`...)
	for i := range m.Members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '{')
		out = appendMember(out, &m.Members[i])
		out = append(out, `,"reachable":`...)
		out = append(strconv.AppendBool(out, m.Members[i].Reachable), '}')
	}
	return c.send(http.StatusOK, typeJSON, append(out, "]}"...))
}

// appendTextOr appends a text, null where there is none.
func appendTextOr(dst []byte, text string) []byte {
	if text == "" {
		return append(dst, "null"...)
	}
	return codecs.AppendJSONString(dst, text)
}

func appendMember(out []byte, m *bus.Member) []byte {
	out = codecs.AppendJSONString(append(out, `"id":`...), m.ID)
	out = appendField(out, "replica_id", int64(m.ReplicaID))
	out = appendTextOr(append(out, `,"raft_address":`...), m.RaftAddress)
	out = appendTextOr(append(out, `,"url":`...), m.URL)
	out = appendField(out, "priority", int64(m.Priority))
	return append(out, `,"state":"`+m.State+`"`...)
}

// answerMember answers with a member as it is now.
func (c *call) answerMember(m *bus.Member) error {
	out := appendMember(append(c.out(), `{"ok":true,`...), m)
	return c.send(http.StatusOK, typeJSON, append(out, '}'))
}

// addMember answers POST /cluster/members.
func (c *call) addMember() error {
	if err := c.wholeAdmin(); err != nil {
		return err
	}
	body, err := c.readJSON()
	if err != nil {
		return err
	}
	o, err := parseObject(body, []string{"id", "raft_address", "url"}, []string{"priority", "replaces"})
	if err != nil {
		return err
	}
	if err := o.required("id", "missing_node", "The name of the node is required"); err != nil {
		return err
	}
	m := bus.Member{ID: o.strings["id"], RaftAddress: o.strings["raft_address"], URL: o.strings["url"]}
	replaces, err := o.integer("replaces", 1, math.MaxInt64, 0)
	if err != nil {
		return err
	}
	priority, err := o.integer("priority", 0, maxPriority, newPriority)
	if err != nil {
		return err
	}
	m.Priority = int(priority)
	if err := checkMember(&m, replaces != 0); err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	if m, err = c.server.cluster.AddMember(ctx, m, uint64(replaces)); err != nil {
		return err
	}
	return c.answerMember(&m)
}

// checkMember refuses what no node can have.
func checkMember(m *bus.Member, replaces bool) error {
	bad := func(member, format string, args ...any) error {
		return fault.New(fault.Invalid, "invalid_member", format, args...).With("pointer", "/"+member)
	}
	if !validName(m.ID, maxNodeName) {
		return bad("id", "%q is not a valid name of a node: letters, digits, dot, underscore and dash, at most %d", clip(m.ID), maxNodeName)
	}
	if m.RaftAddress != "" || !replaces {
		host, port, err := net.SplitHostPort(m.RaftAddress)
		n, bound := strconv.ParseUint(port, 10, 16)
		if err != nil || bound != nil || n == 0 || host == "" || len(m.RaftAddress) > maxAddress || strings.ContainsFunc(m.RaftAddress, notPrinted) {
			return bad("raft_address", "The address of the raft port has to be host:port, not %q", clip(m.RaftAddress))
		}
	}
	if m.URL == "" {
		return nil
	}
	u, err := url.Parse(m.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || len(m.URL) > maxAddress {
		return bad("url", "The address for clients has to be like http://10.0.0.4:1109, not %q", clip(m.URL))
	}
	return nil
}

// notPrinted tells what has no place in an address.
func notPrinted(r rune) bool { return r <= ' ' || r > '~' }

// removeMember answers DELETE /cluster/members/{id}.
func (c *call) removeMember() error {
	if err := c.wholeAdmin(); err != nil {
		return err
	}
	id, ok := c.text("node")
	if !ok || !validName(id, maxNodeName) {
		return fault.New(fault.NotFound, "not_found", "There is no node %q", clip(id))
	}
	ctx, cancel := c.deadline()
	defer cancel()
	m, err := c.server.cluster.RemoveMember(ctx, id)
	if err != nil {
		return err
	}
	return c.answerMember(&m)
}
