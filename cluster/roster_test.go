package cluster

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/log"
)

// oneWriter is a disk that notes where identity.json is written by two at a time: they
// would have the same temporary file.
type oneWriter struct {
	log.FS
	writing, clashes atomic.Int64
}

// Create begins to write a file.
func (o *oneWriter) Create(name string) (log.File, error) {
	if filepath.Base(name) == "identity.json.tmp" && o.writing.Add(1) > 1 {
		o.clashes.Add(1)
	}
	return o.FS.Create(name)
}

// Rename puts it in its place.
func (o *oneWriter) Rename(old, name string) error {
	if filepath.Base(name) == "identity.json" {
		defer o.writing.Add(-1)
	}
	return o.FS.Rename(old, name)
}

// TestIdentityHasOneWriter: however many calls come upon a new membership at the same time,
// identity.json is written by one of them at a time.
func TestIdentityHasOneWriter(t *testing.T) {
	t.Parallel()
	disk := &oneWriter{FS: log.OS()}
	g := startLed(t, func(c *Config) {
		if c.NodeID == "b" {
			c.FS = disk
		}
	})
	for range 10 {
		g.do(bus.MetaShard, func(n *Node) error {
			m, version, err := n.members()
			if err != nil {
				return err
			}
			return n.writeMembers(within(t, 10*time.Second), &m, version)
		})
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				if _, err := g.nodes[1].Membership(within(t, 20*time.Second)); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
	}
	if n := disk.clashes.Load(); n > 0 {
		t.Errorf("%d times two wrote it at a time", n)
	}
}
