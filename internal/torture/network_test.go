package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// insideVariable tells a process of tests that it is in namespaces of its own.
	insideVariable = "LEAT_TORTURE_INSIDE"
	// testToken is what every client here shows; a node without tokens ignores it.
	testToken = "torture"
	// hubAddress is where clients and the slow links are.
	hubAddress = "10.99.0.254"
	raftPort   = 7001
	httpPort   = 1109
	linkPort   = 7100 // that of the slow link from node i to node j is linkPort + 10*i + j
)

// isInside tells whether this is the process that inside has started for a test.
func isInside(t *testing.T) bool { return os.Getenv(insideVariable) == t.Name() }

// inside runs a test once more as a process with a network and mounts of its own, so
// that nothing it does to them is seen by others or outlives it. It is true in that
// process; false in the one that waits for it, where there is nothing left to do.
func inside(t *testing.T) bool {
	t.Helper()
	if isInside(t) {
		return true
	}
	if why := again(t); why != "" {
		t.Skip("SKIPPED: " + why)
	}
	return false
}

// apart is inside for a test that breaks no network: where none can be made it runs here,
// its nodes on loopback.
func apart(t *testing.T) bool {
	t.Helper()
	if isInside(t) {
		return true
	}
	why := again(t)
	if why != "" {
		t.Log("the nodes share the loopback: " + why)
	}
	return why != ""
}

// again runs a test in a process of its own and fails as that does. It returns why there
// is none, "" = there was.
func again(t *testing.T) (why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return "only root may make network namespaces to part nodes in: sudo go test ./internal/torture"
	}
	for _, tool := range []string{"ip", "iptables", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Sprintf("no %s on this machine, so no network to break: apt-get install -y iproute2 iptables mount", tool)
		}
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "60m")
	cmd.Env = append(os.Environ(), insideVariable+"="+t.Name(), "LEAT_BINARY="+path, "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		return fmt.Sprintf("this machine makes no network namespaces (a container without the right?): %v", err)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()):
		t.Skipf("%s", out)
	default:
		for _, line := range regexp.MustCompile(`(?m)^    \w+_test\.go:\d+: (.*)$`).FindAllStringSubmatch(string(out), -1) {
			t.Log(line[1])
		}
	}
	return ""
}

// shell runs commands of a few words each, one a line.
func shell(commands string) error {
	for _, line := range strings.Split(strings.TrimSpace(commands), "\n") {
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, out)
		}
	}
	return nil
}

// network joins nodes, each in a network namespace of its own, over a bridge that the
// clients are on, too: what the nodes can say to each other can be taken from them
// while every client still reaches every node.
type network struct {
	nodes int
	spare int // of them, that are not started with the others
	links []*link
}

func namespace(i int) string { return fmt.Sprintf("n%d", i) }

func address(i int) string { return fmt.Sprintf("10.99.0.%d", i+1) }

// makeNetwork makes the network of n nodes; the test has to be inside.
func makeNetwork(t *testing.T, n int) *network {
	t.Helper()
	made, err := tryNetwork(n)
	if err != nil {
		t.Skipf("SKIPPED: this machine has no network to break: %v", err)
	}
	return made
}

// startApart starts n nodes in namespaces of their own, with room for as many spare ones,
// or on loopback where there are none. The test has to be apart.
func startApart(t *testing.T, n, spare int, args ...string) *fleet {
	t.Helper()
	if !isInside(t) {
		return startFleet(t, n, args...)
	}
	made, err := tryNetwork(n + spare)
	if err != nil {
		t.Log("the nodes share the loopback: ", err)
		return startFleet(t, n, args...)
	}
	made.spare = spare
	return made.startFleet(t, args...)
}

func tryNetwork(n int) (*network, error) {
	err := shell(`mount -t tmpfs tmpfs /run
		mkdir /run/netns
		ip link set lo up
		ip link add hub type bridge
		ip addr add ` + hubAddress + `/24 dev hub
		ip link set hub up`)
	for i := 0; i < n && err == nil; i++ {
		err = shell(strings.NewReplacer("NS", namespace(i), "IP", address(i)).Replace(`ip netns add NS
			ip link add to-NS type veth peer name eth0 netns NS
			ip link set to-NS master hub up
			ip -n NS addr add IP/24 dev eth0
			ip -n NS link set eth0 up
			ip -n NS link set lo up`))
	}
	if err == nil {
		err = shell("ip netns exec n0 iptables -A INPUT -s 10.99.1.1 -m statistic --mode random --probability 0.3 -j DROP")
	}
	return &network{nodes: n}, err
}

// startFleet starts a node in every namespace.
func (n *network) startFleet(t *testing.T, args ...string) *fleet {
	t.Helper()
	f := &fleet{dir: t.TempDir(), nodes: make([]*node, n.nodes-n.spare), environment: []string{"LEAT_TOKENS=" + testToken, "LEAT_TOKEN=" + testToken}}
	for i := range f.nodes {
		var entries []string
		for j := range f.nodes {
			host, port := address(j), raftPort
			for _, l := range n.links {
				if l.from == i && l.to == j {
					host, port = hubAddress, l.port
				}
			}
			entries = append(entries, fmt.Sprintf("n%d:%s:%d:1:%d", j, host, port, httpPort))
		}
		f.lists = append(f.lists, strings.Join(entries, ","))
		f.urls = append(f.urls, fmt.Sprintf("http://%s:%d", address(i), httpPort))
		f.within = append(f.within, []string{"ip", "netns", "exec", namespace(i)})
	}
	f.args = append([]string{"--insecure-raft"}, args...)
	for i := range f.nodes {
		f.launch(t, i)
	}
	for i := range f.nodes {
		f.await(t, i)
	}
	return f
}

// cut takes away what one node says to another; what that one says still arrives.
func (n *network) cut(t *testing.T, from, to int) {
	t.Helper()
	if err := shell(fmt.Sprintf("ip netns exec %s iptables -A INPUT -s %s -j DROP", namespace(to), address(from))); err != nil {
		t.Fatal(err)
	}
}

// part takes away what two nodes say to each other.
func (n *network) part(t *testing.T, a, b int) {
	t.Helper()
	n.cut(t, a, b)
	n.cut(t, b, a)
}

// isolate parts a node from all others.
func (n *network) isolate(t *testing.T, node int) {
	t.Helper()
	for other := range n.nodes {
		if other != node {
			n.part(t, node, other)
		}
	}
}

// heal gives back what was taken away.
func (n *network) heal(t *testing.T) {
	t.Helper()
	for i := range n.nodes {
		if err := shell(fmt.Sprintf("ip netns exec %s iptables -F INPUT", namespace(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// lose has so many of a hundred packets between nodes get lost, each way. It needs
// slow links.
func (n *network) lose(t *testing.T, percent int) {
	t.Helper()
	for i := range n.nodes {
		for _, match := range []string{
			fmt.Sprintf("--dport %d", raftPort), fmt.Sprintf("--sport %d:%d", linkPort, linkPort+100),
		} {
			if err := shell(fmt.Sprintf("ip netns exec %s iptables -A INPUT -p tcp %s -m statistic --mode random --probability 0.%02d -j DROP",
				namespace(i), match, percent)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// slow puts links that take their time between all nodes. It comes before startFleet.
func (n *network) slow(t *testing.T, least, most time.Duration) {
	t.Helper()
	for from := range n.nodes {
		for to := range n.nodes {
			if from == to {
				continue
			}
			l := &link{from: from, to: to, port: linkPort + 10*from + to, least: least, most: most}
			l.start(t)
			n.links = append(n.links, l)
		}
	}
}

// link carries connections from one node to another, what is said each way some time
// later, in order.
type link struct {
	from, to, port int
	least, most    time.Duration

	listener net.Listener
	tasks    sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool // nil once it is closed
}

func (l *link) start(t *testing.T) {
	t.Helper()
	var err error
	if l.listener, err = net.Listen("tcp", net.JoinHostPort(hubAddress, fmt.Sprint(l.port))); err != nil {
		t.Fatal(err)
	}
	l.open = make(map[net.Conn]bool)
	l.tasks.Go(func() {
		for {
			near, err := l.listener.Accept()
			if err != nil {
				return
			}
			l.tasks.Go(func() { l.join(near) })
		}
	})
	t.Cleanup(func() {
		_ = l.listener.Close()
		l.mu.Lock()
		for c := range l.open {
			_ = c.Close()
		}
		l.open = nil
		l.mu.Unlock()
		l.tasks.Wait()
	})
}

// hold has the end of the test close a connection; false where it has ended.
func (l *link) hold(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		_ = c.Close()
		return false
	}
	l.open[c] = true
	return true
}

func (l *link) join(near net.Conn) {
	far, err := net.DialTimeout("tcp", net.JoinHostPort(address(l.to), fmt.Sprint(raftPort)), 2*time.Second)
	if err != nil {
		_ = near.Close()
		return
	}
	if !l.hold(near) || !l.hold(far) {
		_, _ = near.Close(), far.Close()
		return
	}
	l.tasks.Go(func() { l.carry(near, far) })
	l.carry(far, near)
}

// carry copies what comes from one end to the other, late. Where one end is closed it
// closes the other.
func (l *link) carry(from, to net.Conn) {
	type late struct {
		data []byte
		due  time.Time
	}
	under := make(chan late, 1024)
	l.tasks.Go(func() {
		defer to.Close()
		for p := range under {
			<-time.After(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close()
			}
		}
	})
	defer close(under)
	defer from.Close()
	r := rand.New(rand.NewPCG(uint64(l.port), 0))
	for {
		buf := make([]byte, 64<<10)
		n, err := from.Read(buf)
		if n > 0 {
			under <- late{buf[:n], time.Now().Add(l.least + time.Duration(r.Int64N(int64(l.most-l.least)+1)))}
		}
		if err != nil {
			return
		}
	}
}
