package cluster

import (
	"context"
	"errors"

	dbconfig "github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/raftio"
)

// loneTransport is that of a node without peers: nothing listens and there is
// nobody to dial.
type loneTransport struct{}

var errNoPeers = errors.New("a lone node has no peers")

// Create returns the transport itself.
func (t loneTransport) Create(dbconfig.NodeHostConfig, raftio.MessageHandler, raftio.ChunkHandler) raftio.ITransport {
	return t
}

// Validate accepts any address: none is dialled.
func (loneTransport) Validate(string) bool { return true }

// Name names the transport in dragonboat's messages.
func (loneTransport) Name() string { return "lone" }

// Start does nothing.
func (loneTransport) Start() error { return nil }

// Close does nothing.
func (loneTransport) Close() error { return nil }

// GetConnection fails.
func (loneTransport) GetConnection(context.Context, string) (raftio.IConnection, error) {
	return nil, errNoPeers
}

// GetSnapshotConnection fails.
func (loneTransport) GetSnapshotConnection(context.Context, string) (raftio.ISnapshotConnection, error) {
	return nil, errNoPeers
}
