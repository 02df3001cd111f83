package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"leat/internal/fault"
	"leat/log"
)

// Invitation is what a running cluster tells a node that is to join it: the answer to
// GET /cluster/members.
type Invitation struct {
	Cluster    string `json:"cluster"`
	DataShards int    `json:"data_shards"`
	Members    []Seat `json:"members"`
}

// Seat is that of a node of the cluster: the one that is joining, where there are two.
// Errors: NotFound "not_a_member".
func (i *Invitation) Seat(node string) (*Seat, error) {
	m := membership{Members: i.Members}
	if s := m.named(node); s != nil && s.State != stateLeaving {
		return s, nil
	}
	return nil, fault.New(fault.NotFound, "not_a_member", "the cluster has no member %q: add it first, with \"leat cluster members add\"", node)
}

// accept makes the identity of a new directory that of the seat of a node.
func (i *Invitation) accept(id *identity, node string) error {
	s, err := i.Seat(node)
	if err != nil {
		return err
	}
	if s.State != stateJoining {
		return fault.New(fault.Conflict, "identity_lost",
			"node %q is a member with a data directory that this one is not: give it that one back, or have it begin again with \"leat cluster rejoin\"", node)
	}
	m := membership{Format: membersFormat, Members: i.Members}
	id.Format, id.ReplicaID, id.RaftAddress = joinedFormat, s.ReplicaID, s.ID
	id.Cluster, id.DataShards, id.Roster = i.Cluster, i.DataShards, &m
	return nil
}

// Joined reads from a data directory which node it belongs to, "" for none yet, and with
// what it joined a cluster that ran already, nil where it did not.
func Joined(dir string) (node string, invitation *Invitation, err error) {
	return invited(&Config{Dir: dir, FS: log.OS()})
}

// invited is Joined, and the invitation of the configuration for a new directory.
func invited(c *Config) (node string, invitation *Invitation, err error) {
	name := identityName(*c)
	data, err := readFile(c.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", c.Invitation, nil
	}
	if err != nil {
		return "", nil, err
	}
	if err := checkSeal(name, data, sumMark); err != nil {
		return "", nil, err
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		return "", nil, fault.New(fault.Corrupt, "corrupt", "%s: %w", name, err)
	}
	if id.Format == joinedFormat && id.Roster != nil {
		invitation = &Invitation{Cluster: id.Cluster, DataShards: id.DataShards, Members: id.Roster.Members}
	}
	if id.Format == loneFormat && c.Invitation != nil {
		return "", nil, fault.New(fault.Conflict, "other_node",
			"%s belongs to a node that runs alone; a node that joins a cluster begins with a directory of its own", c.Dir)
	}
	if id.Format == loneFormat {
		return "", nil, nil
	}
	return id.RaftAddress, invitation, nil
}

// Seated tells whether a data directory is that of the seat which a node joins with, and
// was never used.
func Seated(dir string, invitation *Invitation, node string) bool {
	seat, err := invitation.Seat(node)
	if err != nil || seat.State != stateJoining {
		return false
	}
	var id identity
	data, err := readFile(log.OS(), filepath.Join(dir, "identity.json"))
	if err != nil || json.Unmarshal(data, &id) != nil {
		return false
	}
	_, err = os.Lstat(filepath.Join(dir, "raft"))
	return id.Format == joinedFormat && id.Cluster == invitation.Cluster && id.ReplicaID == seat.ReplicaID && errors.Is(err, fs.ErrNotExist)
}

// Rejoinable refuses a data directory that a node must not begin again with: one that a
// process uses, or that is another node's, or of another cluster. It changes nothing. Of a
// directory that is not there, or does not tell whose it is, it knows nothing.
// Errors: Conflict "data_dir_in_use", "other_node" and "other_cluster".
func Rejoinable(dir, node string, invitation *Invitation) (err error) {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return isOwn(dir, node, invitation)
}

// isOwn refuses a directory that says it is another node's.
func isOwn(dir, node string, invitation *Invitation) error {
	data, err := readFile(log.OS(), filepath.Join(dir, "identity.json"))
	var id identity
	if err != nil || json.Unmarshal(data, &id) != nil {
		return nil
	}
	switch {
	case id.Format == loneFormat:
		return fault.New(fault.Conflict, "other_node", "%s belongs to a node that runs alone, not to %q", dir, node)
	case id.RaftAddress != node:
		return fault.New(fault.Conflict, "other_node", "%s belongs to node %q, not to %q", dir, id.RaftAddress, node)
	case id.Cluster != invitation.Cluster:
		return fault.New(fault.Conflict, "other_cluster", "%s belongs to a node %q of another cluster", dir, node)
	}
	return nil
}

// Rejoin makes a data directory that of the seat which a node was given anew, with
// nothing in it. What it held is moved to aside, a directory in it, "" where it held
// nothing; it is of no use to the cluster. A directory that is Seated stays as it is; one that
// is not Rejoinable is refused.
func Rejoin(dir, node string, invitation *Invitation) (aside string, err error) {
	c := Config{Dir: dir, FS: log.OS(), NodeID: node, Invitation: invitation}
	if err := makeDurable(c.FS, dir); err != nil {
		return "", err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if Seated(dir, invitation, node) {
		return "", nil
	}
	if err := isOwn(dir, node, invitation); err != nil {
		return "", err
	}
	id, err := newIdentity(c)
	if err != nil {
		return "", err
	}
	if aside, err = setAside(dir); err != nil {
		return aside, fmt.Errorf("set aside what is in %s: %w", dir, err)
	}
	return aside, id.write(c, identityName(c))
}

// setAside moves what a node has in its directory to one of its own there.
func setAside(dir string) (aside string, err error) {
	for i := 1; ; i++ {
		aside = filepath.Join(dir, "before-rejoin-"+strconv.Itoa(i))
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	// The identity goes first: without it the rest is nobody's.
	moved := false
	for _, name := range []string{"identity.json", peersName, "raft", "nodehost", "shards", divergedName} {
		if _, err := os.Lstat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if !moved {
			if err := os.Mkdir(aside, 0o700); err != nil {
				return "", err
			}
			moved = true
		}
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(aside, name)); err != nil {
			return "", err
		}
	}
	if !moved {
		return "", nil
	}
	return aside, errors.Join(log.OS().SyncDir(aside), log.OS().SyncDir(dir))
}
