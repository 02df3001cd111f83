package cluster

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/testenv"
)

// cutter is a listener that stops a snapshot that comes in, after a number of bytes. It
// does so once for each time that left is raised.
type cutter struct {
	net.Listener
	after int
	left  atomic.Int32
	held  chan *cutConn // what stopped; it stays so until it is closed
}

// Accept takes a connection.
func (c *cutter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, cutter: c, closed: make(chan struct{})}, nil
}

// cutConn is a connection that a cutter watches. One goroutine reads.
type cutConn struct {
	net.Conn
	cutter *cutter
	hello  []byte
	seen   int
	once   sync.Once
	closed chan struct{}
}

// Read reads, or waits for its end.
func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.seen += n
	if len(c.hello) < 1<<10 {
		c.hello = append(c.hello, b[:n]...)
	}
	if c.seen < c.cutter.after || !bytes.Contains(c.hello, []byte(`"kind":"snapshot"`)) || c.cutter.left.Add(-1) < 0 {
		return n, err
	}
	select {
	case c.cutter.held <- c:
		<-c.closed
	case <-c.closed:
	}
	return 0, net.ErrClosed
}

// Close closes the connection.
func (c *cutConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// cutTrial is a cluster whose third node is behind again and again, and gets a snapshot
// that is cut.
type cutTrial struct {
	*group
	want []string
}

const (
	behind     = 2
	cutRecords = 250
	cutRecord  = 64 << 10
	// cutAfter is in the third chunk, so that the first two have been stored.
	cutAfter = 5 << 20
)

// TestSnapshotStreamCut: the stream of a snapshot breaks in the middle: the connection,
// its sender, its receiver. The follower catches up all the same, has the same records,
// and nothing is left of what was cut: no files, nothing that keeps files, no goroutine.
func TestSnapshotStreamCut(t *testing.T) {
	t.Parallel()
	// Goroutines have the labels of who starts them.
	pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels("trial", t.Name())))
	g := &cutTrial{group: startGroup(t, 3, func(c *Config) {
		c.DataShards, c.RaftLogBytes, c.CheckpointEvery = 1, 1<<20, 20*time.Millisecond
	})}
	g.createTopic("orders", 1)
	for _, cut := range []struct {
		name string
		do   func(t *testing.T, held *cutConn)
	}{
		{"the connection breaks", g.breakConnection},
		{"the sender is killed", g.killSender},
		{"the receiver starts again", g.restartReceiver},
	} {
		if !t.Run(cut.name, func(t *testing.T) { g.suffer(t, cut.do) }) {
			return
		}
	}
	for i := range g.nodes {
		g.stop(i)
	}
	for i := range g.configs {
		g.wantTidy(t, i)
	}
	testenv.Eventually(t, "no goroutine is left", func() bool { return goroutines(t, t.Name()) == "" })
}

// suffer has the follower need a snapshot, and cuts it.
func (g *cutTrial) suffer(t *testing.T, cut func(*testing.T, *cutConn)) {
	if g.leader(firstDataShard) == behind {
		g.do(firstDataShard, func(n *Node) error { return n.Transfer(within(t, 10*time.Second), firstDataShard, g.nodes[0].ID()) })
	}
	g.stop(behind)
	had := g.configs[behind].has(t)
	padding := strings.Repeat("x", cutRecord)
	for range cutRecords {
		g.want = append(g.want, fmt.Sprint(len(g.want), padding))
		g.append("orders", 0, g.want[len(g.want)-1])
	}
	for _, i := range []int{0, 1} {
		g.wantValues(i, "orders", 0, g.want)
		testenv.Eventually(t, fmt.Sprintf("node %d drops what the follower lacks", i), func() bool {
			reader, err := g.nodes[i].host.GetLogReader(firstDataShard)
			must(t, err)
			first, _ := reader.GetRange()
			return first > had+1
		})
	}
	c := &cutter{Listener: listenOn(t, g.configs[behind].Members[behind].RaftAddress), after: cutAfter, held: make(chan *cutConn)}
	c.left.Store(1)
	g.configs[behind].RaftListener = c
	g.open(behind)
	select {
	case held := <-c.held:
		if len(g.received()) == 0 {
			t.Fatal("nothing of the snapshot has been stored yet")
		}
		cut(t, held)
	case <-time.After(30 * time.Second):
		t.Fatal("no snapshot came")
	}
	for i := range g.nodes {
		g.nodes[i].awaitReady(t)
		g.wantValues(i, "orders", 0, g.want)
	}
	g.append("orders", 0, "after it")
	g.want = append(g.want, "after it")
	for i, n := range g.nodes {
		g.wantValues(i, "orders", 0, g.want)
		testenv.Eventually(t, fmt.Sprintf("node %d streams no more", i), func() bool {
			m := n.shards[firstDataShard].machine
			m.mu.RLock()
			defer m.mu.RUnlock()
			return m.pins == 0
		})
	}
	testenv.Eventually(t, "what was stored of the cut snapshot is removed", func() bool { return len(g.received()) == 0 })
}

// received are the directories that the follower stores a snapshot in.
func (g *cutTrial) received() []string {
	var found []string
	_ = filepath.WalkDir(g.configs[behind].Dir, func(name string, _ fs.DirEntry, _ error) error {
		if strings.HasSuffix(name, ".receiving") {
			found = append(found, name)
		}
		return nil
	})
	return found
}

// another has the next snapshot be another one than that which is held.
func (g *cutTrial) another() {
	g.want = append(g.want, "one more")
	g.append("orders", 0, "one more")
}

func (g *cutTrial) breakConnection(t *testing.T, held *cutConn) {
	g.another()
	must(t, held.Close())
}

// killSender ends the leader: nothing that it would yet have said is heard.
func (g *cutTrial) killSender(t *testing.T, held *cutConn) {
	sender := g.leader(firstDataShard)
	must(t, g.nodes[sender].network.Close())
	g.stop(sender)
	must(t, held.Close())
	g.wantValues(behind, "orders", 0, g.want)
	g.restart(sender)
}

// restartReceiver ends the follower as if it was killed: what it has stored of the
// snapshot is still there when it starts again.
func (g *cutTrial) restartReceiver(t *testing.T, _ *cutConn) {
	g.another()
	kept := make(map[string]string)
	for _, dir := range g.received() {
		kept[dir] = t.TempDir()
		must(t, os.CopyFS(kept[dir], os.DirFS(dir)))
	}
	g.stop(behind)
	for dir, copied := range kept {
		must(t, os.CopyFS(dir, os.DirFS(copied)))
	}
	g.restart(behind)
	if left := g.received(); slices.ContainsFunc(left, func(dir string) bool { return kept[dir] != "" }) {
		t.Errorf("%v are left of before", left)
	}
}

// wantTidy checks that a node that has ended has left nothing of a snapshot's stream.
func (g *cutTrial) wantTidy(t *testing.T, i int) {
	t.Helper()
	var raft int64
	must(t, filepath.WalkDir(g.configs[i].Dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch base := filepath.Base(name); {
		case base == recoveringName, slices.Contains([]string{".tmp", ".receiving", ".generating"}, filepath.Ext(base)):
			t.Errorf("node %d has left %s", i, name)
		case e.Type().IsRegular() && strings.HasPrefix(name, filepath.Join(g.configs[i].Dir, "nodehost")):
			info, err := e.Info()
			if err != nil {
				return err
			}
			raft += info.Size()
		}
		return nil
	}))
	if raft > 1<<20 {
		t.Errorf("node %d has left %d bytes of snapshots", i, raft)
	}
}

// goroutines are the stacks of those that a test has begun and that are not tests.
func goroutines(t *testing.T, trial string) string {
	t.Helper()
	var all bytes.Buffer
	must(t, pprof.Lookup("goroutine").WriteTo(&all, 1))
	var found []string
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, trial) && !strings.Contains(stack, "testing.tRunner") {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n\n")
}
