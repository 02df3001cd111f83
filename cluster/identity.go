package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"leat/internal/fault"
)

// identity is what a data directory is for good, kept in identity.json.
type identity struct {
	Format      int    `json:"format"`
	Node        string `json:"node"`
	ReplicaID   uint64 `json:"replica_id"`
	RaftAddress string `json:"raft_address"`
	DataShards  int    `json:"data_shards"`
	Hostname    string `json:"hostname"` // of the last start
}

const identityFormat = 1

// loadIdentity reads the directory's identity, or gives a new one its own.
func loadIdentity(c Config) (identity, error) {
	name := filepath.Join(c.Dir, "identity.json")
	data, err := readFile(c.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(c, name)
	}
	if err != nil {
		return identity{}, err
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		return identity{}, fault.New(fault.Corrupt, "corrupt", "%s: %w", name, err)
	}
	if id.Format != identityFormat {
		return identity{}, fault.New(fault.Unsupported, "unknown_format",
			"%s has format %d, this version reads %d", name, id.Format, identityFormat)
	}
	return id, adoptHostname(c, &id, name)
}

func newIdentity(c Config, name string) (identity, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return identity{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		return identity{}, err
	}
	id := identity{
		Format: identityFormat, Node: hex.EncodeToString(random[:]), ReplicaID: 1, DataShards: c.DataShards, Hostname: host,
		// Nobody dials a lone node and nothing listens; dragonboat wants an
		// address that resolves.
		RaftAddress: "127.0.0.1:1",
	}
	return id, id.write(c, name)
}

func (id identity) write(c Config, name string) error {
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(c.FS, name, append(data, '\n'))
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
