package torture

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// scenes are the nodes that each test has started, so that one that fails can say how
// they were.
var scenes sync.Map // *testing.T → *scene

type scene struct {
	mu    sync.Mutex
	nodes []*node
	told  bool
}

const (
	// tellPatience is how long a node is asked how it stands, and may take to end.
	tellPatience = 3 * time.Second
	// dumpBytes is enough for the goroutines of a node.
	dumpBytes = 8 << 20
)

// watched has the test say how all its nodes are if it fails, before it ends this one.
func watched(t *testing.T, n *node) {
	have, _ := scenes.LoadOrStore(t, &scene{})
	s := have.(*scene)
	s.mu.Lock()
	s.nodes = append(s.nodes, n)
	s.mu.Unlock()
	t.Cleanup(func() {
		if t.Failed() {
			s.tell(t)
		}
		scenes.Delete(t)
		n.Kill()
	})
}

// tell logs where the nodes that run say that they and the queries stand, and then ends
// them for what their goroutines do.
func (s *scene) tell(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told {
		return
	}
	s.told = true
	running := slices.DeleteFunc(slices.Clone(s.nodes), (*node).hasExited)
	for _, n := range running {
		_ = n.Cmd.Process.Signal(syscall.SIGCONT)
		for _, path := range []string{"/ready", "/cluster", "/queries"} {
			t.Logf("%s of %s: %s", path, n.url, n.says(t, path))
		}
	}
	for _, n := range running {
		n.Logs.Keep(dumpBytes)
		_ = n.Cmd.Process.Signal(syscall.SIGQUIT)
	}
	for _, n := range running {
		select {
		case <-n.Exited:
		case <-time.After(tellPatience):
		}
		logs, dump, _ := strings.Cut(n.Logs.String(), "SIGQUIT: quit")
		t.Logf("the log of %s:\n%s\nits goroutines:\n%s", n.url, logs, condensed(dump))
	}
}

func (n *node) hasExited() bool {
	select {
	case <-n.Exited:
		return true
	default:
		return false
	}
}

// says is what a node answers.
func (n *node) says(t *testing.T, path string) string {
	if n.url == "" {
		return "it has said no address"
	}
	ctx, cancel := context.WithTimeout(context.Background(), tellPatience)
	defer cancel()
	a := dial(t, n.url).once(ctx, "GET", path, nil, "")
	return fmt.Sprintf("%d %.20000s %v", a.status, a.body, a.err)
}

var (
	heading = regexp.MustCompile(`(?m)^goroutine \d+ .*?\[(.*)\]:$`)
	calls   = regexp.MustCompile(`(?m)^(?:created by )?(\S+?)(?:\([^()]*\)| in goroutine \d+)?\n\t(\S+:\d+).*$`)
)

// condensed is what the runtime prints of goroutines, with those that are at the same
// place together: how many, since when, and the way there from the outside in.
func condensed(dump string) string {
	count, states := make(map[string]int), make(map[string]string)
	for _, one := range strings.Split(dump, "\n\n") {
		head := heading.FindStringSubmatch(one)
		if head == nil {
			continue
		}
		var way []string
		for _, call := range calls.FindAllStringSubmatch(one, -1) {
			way = append(way, path.Base(call[1])+" "+path.Base(call[2]))
		}
		slices.Reverse(way)
		at := strings.Join(way, "\n    ")
		count[at]++
		states[at] = max(states[at], head[1])
	}
	var b strings.Builder
	for _, at := range slices.SortedFunc(maps.Keys(count), func(x, y string) int { return cmp.Or(count[x]-count[y], strings.Compare(x, y)) }) {
		fmt.Fprintf(&b, "%d [%s]\n    %s\n", count[at], states[at], at)
	}
	return b.String()
}

// TestGoroutinesAreCondensed: what a test says of the goroutines of a node names those
// that wait at one place together, and the way there.
func TestGoroutinesAreCondensed(t *testing.T) {
	t.Parallel()
	over, begun := make(chan struct{}), make(chan struct{})
	for range 3 {
		go stuck(begun, over)
		<-begun
	}
	var buf []byte
	for {
		buf = make([]byte, dumpBytes)
		buf = buf[:runtime.Stack(buf, true)]
		if got := condensed(string(buf)); strings.Contains(got, "3 [chan receive]") {
			if !regexp.MustCompile(`3 \[chan receive\]\n    torture\.TestGoroutinesAreCondensed scene_test\.go:\d+\n    torture\.stuck scene_test\.go:\d+\n`).MatchString(got) {
				t.Errorf("the goroutines are\n%s", got)
			}
			break
		}
		runtime.Gosched() // until all three wait
	}
	close(over)
}

func stuck(begun chan<- struct{}, over <-chan struct{}) {
	begun <- struct{}{}
	<-over
}
