package cluster

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"leat/internal/bus"
	"leat/internal/testenv"
	"leat/log"
)

// forgetful is a disk that loses what a new node is for good just before it is written,
// as a crash does.
type forgetful struct {
	log.FS
	before func()
}

var errCrash = errors.New("a crash")

// Rename fails where it is the identity's.
func (f forgetful) Rename(old, name string) error {
	if filepath.Base(name) != "identity.json" {
		return f.FS.Rename(old, name)
	}
	f.before()
	return errCrash
}

// heard counts the nodes that say hello for more than to ask.
type heard struct {
	net.Listener
	mu     sync.Mutex
	hellos int
}

// Accept takes a connection.
func (h *heard) Accept() (net.Conn, error) {
	conn, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &heardConn{Conn: conn, heard: h}, nil
}

// heardConn is a connection that heard listens to. One goroutine reads.
type heardConn struct {
	net.Conn
	heard *heard
	seen  []byte
}

// Read reads.
func (c *heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	was := bytes.Contains(c.seen, []byte(`"kind":"calls"`))
	c.seen = append(c.seen, b[:n]...)
	if !was && bytes.Contains(c.seen, []byte(`"kind":"calls"`)) {
		c.heard.mu.Lock()
		c.heard.hellos++
		c.heard.mu.Unlock()
	}
	return n, err
}

// TestCrashBeforeTheIdentity: a new node that crashes before it has noted for good who it
// is, and by then was called by the others, is let in when it starts again.
func TestCrashBeforeTheIdentity(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	h := &heard{Listener: listenOn(t, "127.0.0.1:0")}
	address := h.Addr().String()
	g.change(func(ctx context.Context, n *Node) (bus.Member, error) {
		return n.AddMember(ctx, bus.Member{ID: "d", RaftAddress: address, Priority: 1}, 0)
	})
	c := Config{Dir: t.TempDir(), NodeID: "d", RaftListener: h, Invitation: g.invitation()}
	crashing := c
	crashing.FS = forgetful{log.OS(), func() {
		testenv.Eventually(t, "the others have called", func() bool {
			for _, r := range g.nodes {
				r.book.mu.Lock()
				known := r.book.incarnations["d/4"] != ""
				r.book.mu.Unlock()
				if known {
					return true
				}
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.hellos > len(g.nodes) // one has come again
		})
	}}
	if _, err := Open(crashing); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	c.RaftListener = listenOn(t, address)
	g.configs, g.nodes = append(g.configs, c), append(g.nodes, nil)
	g.open(3)
	if g.nodes[3] == nil {
		t.FailNow()
	}
	g.nodes[3].awaitReady(t)
	g.settled("a", "b", "c", "d")
}
