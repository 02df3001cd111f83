package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"leat/cluster"
)

// findSeat finds out, for a node that is not one of those its cluster was started with,
// what it has joined or is to join: by its data directory, or else by the cluster at the
// address of --join. It changes nothing.
func (s *session) findSeat(ctx context.Context, c *settings) error {
	var err error
	if c.dataDir == "" {
		if c.dataDir, err = stateDir(s.getenv); err != nil {
			return err
		}
	}
	node, invitation, err := cluster.Joined(c.dataDir)
	if err != nil {
		return advised(err, c.nodes != "" || c.join != "")
	}
	if invitation != nil && c.nodeID != "" && node != "" && node != c.nodeID {
		return &failure{exit: exitConflict, code: "other_node", text: fmt.Sprintf(
			"%s belongs to node %q, not to %q: correct --node-id or --data-dir", c.dataDir, node, c.nodeID)}
	}
	if c.nodeID == "" && invitation != nil {
		c.nodeID = node
	}
	if invitation == nil && c.join != "" && node == "" {
		if c.nodeID == "" {
			return usage("--join is given: say with --node-id which node this is")
		}
		if invitation, err = s.invitation(ctx, c.join); err != nil {
			return fmt.Errorf("ask the cluster that this node joins: %w", err)
		}
	}
	if invitation == nil {
		return nil
	}
	seat, err := invitation.Seat(c.nodeID)
	if err != nil {
		return err
	}
	c.invitation = invitation
	c.seat, err = seatMember(seat)
	return err
}

// seatMember is a member of the list as the cluster has it.
func seatMember(s *cluster.Seat) (*clusterMember, error) {
	host, port, err := net.SplitHostPort(s.RaftAddress)
	if err != nil {
		return nil, fmt.Errorf("read the address of node %q: %w", s.ID, err)
	}
	m := &clusterMember{id: s.ID, host: host, priority: s.Priority}
	if m.raftPort, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("read the address of node %q: %w", s.ID, err)
	}
	return m, nil
}

// invitation asks a cluster who belongs to it, with the token of LEAT_TOKEN and trusting
// the CA of LEAT_CA.
func (s *session) invitation(ctx context.Context, server string) (*cluster.Invitation, error) {
	secure, err := trusting(s.getenv("LEAT_CA"))
	if err != nil {
		return nil, err
	}
	c, err := newClient(server, s.getenv("LEAT_TOKEN"), secure)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.invitation(ctx)
}

// invitation asks who belongs to the cluster.
func (c *client) invitation(ctx context.Context) (*cluster.Invitation, error) {
	body, err := c.get(ctx, "/cluster/members", nil)
	if err != nil {
		return nil, err
	}
	var out cluster.Invitation
	if err := readAnswer(body, &out); err != nil {
		return nil, err
	}
	if out.Cluster == "" {
		return nil, &failure{exit: exitConflict, code: "not_clustered", text: fmt.Sprintf("%s runs alone; there is no cluster to join", c.base)}
	}
	return &out, nil
}
