package cluster

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"leat/internal/fault"
)

// identity is what a data directory is for good, kept in identity.json.
type identity struct {
	Format      int    `json:"format"`
	Node        string `json:"node"` // random, different for every directory
	ReplicaID   uint64 `json:"replica_id"`
	RaftAddress string `json:"raft_address"` // in a cluster the node's name
	DataShards  int    `json:"data_shards"`
	Hostname    string `json:"hostname"`        // of the last start
	Begun       bool   `json:"begun,omitempty"` // there is a raft log
	// Of a cluster only.
	Cluster string `json:"cluster,omitempty"`
	Members []seat `json:"members,omitempty"` // those it was started with, none of one that joined
	// Roster is the last membership that the node has seen, nil while that is Members.
	Roster *membership `json:"roster,omitempty"`
}

// A lone node, a node that a cluster was started with and one that joined a cluster have
// different formats: a version that knows less must not take the one for the other.
const (
	loneFormat    = 1
	clusterFormat = 2
	joinedFormat  = 3
)

// formatOf is the format of the directory of such a node.
func formatOf(c *Config) int {
	switch {
	case c.Invitation != nil:
		return joinedFormat
	case c.clustered():
		return clusterFormat
	}
	return loneFormat
}

// membership is who belongs to the cluster, as far as the directory knows.
func (id *identity) membership(c *Config) membership {
	if id.Roster != nil {
		return *id.Roster
	}
	return founders(c, id.Members)
}

// loadIdentity reads the directory's identity, or makes one for a new directory,
// which isNew tells and the caller writes.
func loadIdentity(c Config) (id identity, isNew bool, err error) {
	name := identityName(c)
	data, err := readFile(c.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = newIdentity(c)
		return id, true, err
	}
	if err != nil {
		return identity{}, false, err
	}
	id, err = oldIdentity(c, name, data)
	return id, false, err
}

// sumMark is what stands in identity.json before the checksum of all that is before it.
const sumMark = ",\n  \"sum\": "

func sumOf(body []byte) string { return fmt.Sprintf("\"%08x\"\n}\n", castagnoli(body)) }

// sealed is a JSON object that is not empty, with a mark and the checksum at its end.
func sealed(object any, mark string) ([]byte, error) {
	data, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(data, []byte("\n}"))
	return append(append(slices.Clip(body), mark...), sumOf(body)...), nil
}

// checkSeal refuses a file that was damaged since it was sealed. One without the mark is of
// an older version.
func checkSeal(name string, data []byte, mark string) error {
	if body, sum, ok := bytes.Cut(data, []byte(mark)); ok && string(sum) != sumOf(body) {
		return fault.New(fault.Corrupt, "corrupt", "%s: the checksum does not hold", name).With("file", name)
	}
	return nil
}

func oldIdentity(c Config, name string, data []byte) (identity, error) {
	var id identity
	if err := checkSeal(name, data, sumMark); err != nil {
		return identity{}, err
	}
	if err := json.Unmarshal(data, &id); err != nil {
		return identity{}, fault.New(fault.Corrupt, "corrupt", "%s: %w", name, err)
	}
	if err := id.check(&c, name); err != nil {
		return identity{}, err
	}
	return id, adoptHostname(c, &id, name)
}

// check refuses a directory that was made for another node, or for another cluster.
func (id *identity) check(c *Config, name string) error {
	if id.Format < loneFormat || id.Format > joinedFormat {
		return fault.New(fault.Unsupported, "unknown_format",
			"%s has format %d, this version reads %d to %d", name, id.Format, loneFormat, joinedFormat)
	}
	switch {
	case id.Format == formatOf(c) && !c.clustered():
		return nil
	case !c.clustered():
		return fault.New(fault.Conflict, "other_node",
			"%s belongs to node %q of a cluster: start it with --node-id and --nodes", c.Dir, id.RaftAddress)
	case id.Format == loneFormat:
		return fault.New(fault.Conflict, "other_node",
			"%s belongs to a node that runs alone; a node of a cluster begins with a directory of its own", c.Dir)
	case id.RaftAddress != c.NodeID:
		return fault.New(fault.Conflict, "other_node", "%s belongs to node %q, not to %q", c.Dir, id.RaftAddress, c.NodeID)
	}
	want := seats(c.Members)
	if id.Roster == nil && !slices.Equal(want, id.Members) {
		return fault.New(fault.Conflict, "other_members",
			"%s was made for the nodes %s, and the list has %s", c.Dir, names(id.Members), names(want))
	}
	if id.Roster != nil {
		known := id.Roster.names()
		for _, s := range want {
			if !known[s.ID] {
				return fault.New(fault.Conflict, "other_members", "node %q of the list has never been a member of the cluster: add it first", s.ID)
			}
		}
	}
	return nil
}

func names(all []seat) string {
	list := make([]string, len(all))
	for i, s := range all {
		list[i] = s.ID
	}
	return strings.Join(list, ", ")
}

func newIdentity(c Config) (identity, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return identity{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		return identity{}, err
	}
	id := identity{
		Format: formatOf(&c), Node: hex.EncodeToString(random[:]), ReplicaID: 1, DataShards: c.DataShards, Hostname: host,
		// Nobody dials a lone node and nothing listens; dragonboat wants an
		// address that resolves.
		RaftAddress: "127.0.0.1:1",
	}
	if c.Invitation != nil {
		return id, c.Invitation.accept(&id, c.NodeID)
	}
	if c.clustered() {
		id.Members, id.RaftAddress = seats(c.Members), c.NodeID
		id.Cluster = clusterName(id.Members, id.DataShards)
		for _, s := range id.Members {
			if s.ID == c.NodeID {
				id.ReplicaID = s.ReplicaID
			}
		}
	}
	return id, nil
}

func identityName(c Config) string { return filepath.Join(c.Dir, "identity.json") }

func (id identity) write(c Config, name string) error {
	data, err := sealed(id, sumMark)
	if err != nil {
		return err
	}
	return writeFile(c.FS, name, data)
}

// adoptHostname lets a directory move to a machine of another name, as a volume
// does with every new container. Dragonboat files its snapshots under the name
// and refuses to start under another; the directory's identity is ours to tell.
func adoptHostname(c Config, id *identity, name string) error {
	host, err := os.Hostname()
	if err != nil || strings.EqualFold(host, id.Hostname) {
		return err
	}
	dir := filepath.Join(c.Dir, "nodehost")
	err = os.Rename(filepath.Join(dir, id.Hostname), filepath.Join(dir, host))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("adopt the host name %q: %w", host, err)
	}
	if err := os.Remove(filepath.Join(dir, "dragonboat.ds")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("adopt the host name %q: %w", host, err)
	}
	id.Hostname = host
	return id.write(c, name)
}
