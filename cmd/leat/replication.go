package main

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"leat/cluster"
)

// haEnabled switches the other variables that begin with haPrefix on.
const haEnabled = "RF_HA_ENABLED"

// haVariables are the variables of the reference system about a cluster that have
// no flag here.
func haVariables() []string {
	return []string{"RF_HA_BOOTSTRAP_LEADER", "RF_HA_DEDICATED_WORKER"}
}

// replication is what is asked of a node about others.
type replication struct {
	nodeID       string
	nodes        string // id:host:raft_port:priority[:http_port],…
	writeConcern string
	proxyWrites  bool
	insecureRaft bool
	raftTLS      raftTLS
	join         string              // address of a cluster to join
	invitation   *cluster.Invitation // what this node has joined or is to join, nil for none
	seat         *clusterMember      // this node in it
	members      []clusterMember     // made of nodes; none where the node runs alone
	rocket       bool                // made of writeConcern: answer once the leader has queued it
	everywhere   bool                // made of writeConcern: answer once all nodes have it
}

// own is this node among the members, nil where it runs alone.
func (r *replication) own() *clusterMember {
	for i := range r.members {
		if r.members[i].id == r.nodeID {
			return &r.members[i]
		}
	}
	return r.seat
}

// clusterMember is one node of a cluster.
type clusterMember struct {
	id, host           string
	raftPort, httpPort int // httpPort 0 = not said
	priority           int
}

// validNodeID tells whether a node can have that name.
func validNodeID(id string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`).MatchString(id)
}

// check refuses what one node cannot do and tells what it does in another way than
// was asked for.
func (r *replication) check(getenv func(string) string) (warnings []string, err error) {
	enabled := switchedOn(getenv(haEnabled))
	members, err := parseMembers(r.nodes)
	if err != nil {
		return nil, usage("read the nodes: %v", err)
	}
	switch {
	case enabled && len(members) == 0:
		return nil, usage("%s is on and RF_HA_NODES names no node; unset %s, or name this one node", haEnabled, haEnabled)
	case r.invitation != nil:
		return r.checkJoined(members)
	case len(members) > maxMembers:
		return nil, usage("%d nodes are named; a cluster has at most %d", len(members), maxMembers)
	}
	if r.nodeID == "" && len(members) == 1 {
		r.nodeID = members[0].id
	}
	if r.nodeID != "" && !validNodeID(r.nodeID) {
		return nil, usage("the node id %q has to be letters, digits, dot, underscore and dash, at most 63", r.nodeID)
	}
	if len(members) == 1 && members[0].id != r.nodeID {
		return nil, usage("this node is %q, and the one node named is %q", r.nodeID, members[0].id)
	}
	if warnings, err = r.parseWriteConcern(max(1, len(members))); err != nil {
		return nil, err
	}
	if len(members) > 1 {
		r.members = members
		if len(members)%2 == 0 {
			warnings = append(warnings, fmt.Sprintf("%d nodes bear the loss of no more than %d do; one more or one less is better", len(members), len(members)-1))
		}
		more, err := r.checkCluster()
		return append(warnings, more...), err
	}
	return append(warnings, r.unused(getenv, enabled)...), nil
}

// maxMembers is the size past which more nodes make a cluster slower and no safer.
const maxMembers = 7

// checkCluster refuses what a node of a cluster cannot do.
func (r *replication) checkCluster() (warnings []string, err error) {
	own := r.own()
	switch {
	case r.nodeID == "":
		return nil, usage("%d nodes are named: say with --node-id which one this is", len(r.members))
	case own == nil:
		return nil, r.unnamed()
	case r.raftTLS.on && r.insecureRaft:
		return nil, usage("--raft-tls and --insecure-raft contradict each other; give one of them")
	case !loopbackHost(own.host) && !r.insecureRaft && !r.raftTLS.on:
		return nil, usage("the raft port of node %q is on %s, where others can reach it and nothing is encrypted: give --raft-tls with certificates, or --insecure-raft if only the nodes can reach that network", r.nodeID, own.host)
	}
	if warnings, err = r.raftTLS.load(own, r.isMember, time.Now()); err != nil {
		return nil, err
	}
	return warnings, nil
}

// checkJoined is for a node that has joined its cluster, or is to: the list of nodes only
// says where they are, if there is one.
func (r *replication) checkJoined(members []clusterMember) (warnings []string, err error) {
	if warnings, err = r.parseWriteConcern(max(2, len(r.invitation.Members))); err != nil {
		return nil, err
	}
	r.members = members
	if len(members) > 0 && r.own() == r.seat {
		return nil, fmt.Errorf("%w; a node that was added needs no list: its directory knows the cluster", r.unnamed())
	}
	more, err := r.checkCluster()
	return append(warnings, more...), err
}

// unnamed is the error of a node that the list of nodes lacks.
func (r *replication) unnamed() error {
	ids := make([]string, len(r.members))
	for i, m := range r.members {
		ids[i] = m.id
	}
	return usage("this node is %q, and --nodes names %s: correct the list or --node-id", r.nodeID, strings.Join(ids, ", "))
}

// isMember tells whether a name is that of a node of the cluster.
func (r *replication) isMember(name string) bool {
	if r.invitation != nil {
		if _, err := r.invitation.Seat(name); err == nil {
			return true
		}
	}
	return slices.ContainsFunc(r.members, func(m clusterMember) bool { return m.id == name })
}

// loopbackHost tells whether a host is this machine alone.
func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// unused tells about variables that are set and do nothing on one node.
func (r *replication) unused(getenv func(string) string, enabled bool) (warnings []string) {
	if r.raftTLS.on {
		warnings = append(warnings, "--raft-tls secures the raft port, which one node does not open: HTTP is not encrypted")
	}
	if !enabled {
		var off []string
		for _, name := range append([]string{"RF_HA_NODE_ID", "RF_HA_NODES", "RF_HA_WRITE_CONCERN", "RF_HA_TLS", "RF_HA_TLS_CA", "RF_HA_TLS_CERT", "RF_HA_TLS_KEY"}, haVariables()...) {
			if getenv(name) != "" {
				off = append(off, name)
			}
		}
		if len(off) > 0 {
			warnings = append(warnings, strings.Join(off, ", ")+" is set and "+haEnabled+" is not on: not used")
		}
		return warnings
	}
	warnings = append(warnings, haEnabled+" is on with one node: it runs, opens no raft port, and nothing is replicated")
	if leader := getenv("RF_HA_BOOTSTRAP_LEADER"); leader != "" && !switchedOn(leader) {
		warnings = append(warnings, "RF_HA_BOOTSTRAP_LEADER is off and this is the one node: it leads")
	}
	return warnings
}

// parseWriteConcern reads async, sync-majority, sync-all or a number of nodes, of so
// many: 1 is the leader alone, which answers before anything is durable.
func (r *replication) parseWriteConcern(nodes int) (warnings []string, err error) {
	const unsafe = "write concern %s: a produce call is answered once it is queued, and a crash may lose the last of those; ask for mode=sealed where that matters"
	switch r.writeConcern {
	case "", "sync-majority":
		return nil, nil
	case "sync-all":
		r.everywhere = nodes > 1
		return nil, nil
	case "async", "1":
		r.rocket = true
		return []string{fmt.Sprintf(unsafe, r.writeConcern)}, nil
	}
	n, err := strconv.Atoi(r.writeConcern)
	switch {
	case err != nil || n < 1:
		return nil, usage("the write concern has to be async, sync-majority, sync-all or a number of nodes from 1 on, not %q", r.writeConcern)
	case nodes == 1:
		return []string{fmt.Sprintf("write concern %d: there is one node, and every write waits until it is durable there", n)}, nil
	case n > nodes:
		return nil, usage("the write concern is %d, and there are %d nodes", n, nodes)
	}
	r.everywhere = n > nodes/2+1 || n == nodes
	if r.everywhere && n < nodes {
		warnings = append(warnings, fmt.Sprintf("write concern %d of %d nodes is more than a majority: every write waits for all nodes", n, nodes))
	}
	return warnings, nil
}

// parseMembers reads id:host:raft_port:priority[:http_port],…
func parseMembers(text string) ([]clusterMember, error) {
	if text == "" {
		return nil, nil
	}
	var members []clusterMember
	for i, entry := range strings.Split(text, ",") {
		m, err := parseMember(strings.TrimSpace(entry))
		if err != nil {
			return nil, fmt.Errorf("node %d, %q: %w", i+1, entry, err)
		}
		if slices.ContainsFunc(members, func(other clusterMember) bool { return other.id == m.id }) {
			return nil, fmt.Errorf("node %d: %q is named twice", i+1, m.id)
		}
		for _, other := range members {
			if other.host == m.host && other.raftPort == m.raftPort {
				return nil, fmt.Errorf("node %d: %q has the raft port of %q, %s", i+1, m.id, other.id, net.JoinHostPort(m.host, strconv.Itoa(m.raftPort)))
			}
		}
		members = append(members, m)
	}
	return members, nil
}

func parseMember(entry string) (m clusterMember, err error) {
	id, rest, _ := strings.Cut(entry, ":")
	m.id = id
	if !validNodeID(id) {
		return m, fmt.Errorf("%q is no id", id)
	}
	if strings.HasPrefix(rest, "[") { // an address of IPv6
		end := strings.Index(rest, "]:")
		if end < 0 {
			return m, fmt.Errorf("%q has no end", rest)
		}
		m.host, rest = rest[1:end], rest[end+2:]
	} else {
		m.host, rest, _ = strings.Cut(rest, ":")
	}
	parts := strings.Split(rest, ":")
	if m.host == "" || len(parts) < 2 || len(parts) > 3 {
		return m, fmt.Errorf("expected id:host:raft_port:priority, with :http_port where it is not the next port")
	}
	for i, into := range []*int{&m.raftPort, &m.priority, &m.httpPort}[:len(parts)] {
		if *into, err = strconv.Atoi(parts[i]); err != nil || *into < 0 || i != 1 && (*into < 1 || *into > 65535) {
			return m, fmt.Errorf("%q is no %s", parts[i], []string{"raft port", "priority", "HTTP port"}[i])
		}
	}
	return m, nil
}
