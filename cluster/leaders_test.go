package cluster

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"leat/internal/testenv"
)

// pad takes what a node logs.
type pad struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *pad) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *pad) has(text string) bool { return p.count(text) > 0 }

// count is how often something was logged.
func (p *pad) count(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Count(p.text.String(), text)
}

// of has a node log to p.
func (p *pad) of(node string) func(*Config) {
	return func(c *Config) {
		if c.NodeID == node {
			c.Logger = slog.New(slog.NewTextHandler(p, nil))
		}
	}
}

// TestWatchLeaders: the log of a node that has lost the majority says which shards wait
// and for whom, and so does its readiness; once they are back it says who leads.
func TestWatchLeaders(t *testing.T) {
	t.Parallel()
	var log pad
	g := startGroup(t, 3, log.of("a"))
	testenv.Eventually(t, "the first leaders are in the log", func() bool { return log.has(`"a shard has a leader" shard=1 node=`) })
	g.stop(1)
	g.stop(2)
	testenv.Eventually(t, "the log tells of the shard", func() bool {
		return log.has(`"a shard has no leader: what is written to it waits; not reached: b, c" shard=1`)
	})
	err := g.nodes[0].Ready()
	if err == nil || !strings.Contains(err.Error(), "shard 1 has no leader; not reached: b, c") {
		t.Error(err)
	}
	log.mu.Lock()
	log.text.Reset()
	log.mu.Unlock()
	g.restart(1)
	testenv.Eventually(t, "the log tells of the leader", func() bool { return log.has(`"a shard has a leader" shard=1 node=`) })
}

// TestNeverReached: a node with addresses at which the others are not says so, in its log
// and when it is asked whether it is ready.
func TestNeverReached(t *testing.T) {
	t.Parallel()
	var log pad
	own, other := listenOn(t, "127.0.0.1:0"), listenOn(t, "127.0.0.1:0")
	nobody := other.Addr().String()
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	n, err := Open(Config{
		Dir: t.TempDir(), NodeID: "a", RaftListener: own, DataShards: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Members: []Member{{ID: "a", RaftAddress: own.Addr().String()}, {ID: "b", RaftAddress: nobody}, {ID: "c", RaftAddress: nobody}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, n)
	for _, id := range []string{"b", "c"} {
		testenv.Eventually(t, "the log names "+id, func() bool {
			return log.has(`"a node has not been reached since the start" node=` + id + " address=" + nobody)
		})
	}
	if err := r.Ready(); err == nil || !strings.HasSuffix(err.Error(), "; not reached: b, c") {
		t.Error(err)
	}
}
