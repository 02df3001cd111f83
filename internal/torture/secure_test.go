package torture

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

// TestSecureCluster: the commands of docs/operations.md make certificates that three nodes
// take as they are, named by the variables of the reference system, for each other and
// for their clients. A client that is sent on stays under https, the command, too.
func TestSecureCluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	testenv.DocumentedCertificates(t, dir)
	ports := freePorts(t, 6)
	var list, urls []string
	var nodes []*node
	for i := range 3 {
		list = append(list, fmt.Sprintf("node%d:127.0.0.1:%d:1:%d", i+1, ports[i], ports[3+i]))
		urls = append(urls, fmt.Sprintf("https://127.0.0.1:%d", ports[3+i]))
	}
	for i := range 3 {
		file := func(end string) string { return filepath.Join(dir, fmt.Sprintf("node%d%s", i+1, end)) }
		nodes = append(nodes, spawn(t, nil, []string{
			"RF_HA_ENABLED=1", fmt.Sprintf("RF_HA_NODE_ID=node%d", i+1), "RF_HA_NODES=" + strings.Join(list, ","),
			"RF_HA_TLS=1", "RF_HA_TLS_CA=" + filepath.Join(dir, "ca.crt"), "RF_HA_TLS_CERT=" + file(".crt"), "RF_HA_TLS_KEY=" + file(".key"),
			"LEAT_TLS_CERT=" + file(".crt"), "LEAT_TLS_KEY=" + file(".key"),
		}, filepath.Join(dir, fmt.Sprint("data", i)), "--port", fmt.Sprint(ports[3+i])))
	}
	for i, n := range nodes {
		if url := n.Ready(t); url != urls[i] {
			t.Fatalf("node %d is at %q, the log:\n%s", i, url, n.Logs)
		}
	}
	for i, n := range nodes {
		if strings.Contains(n.Logs.String(), `"WARN"`) && strings.Contains(n.Logs.String(), "certificate") {
			t.Errorf("node %d warns of its certificate:\n%s", i, n.Logs)
		}
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no CA", err)
	}
	redirects := checkSecure(t, urls, roots)
	commandSecure(t, urls, filepath.Join(dir, "ca.crt"))
	if redirects == 0 {
		t.Error("nobody was sent on")
	}
	for i, n := range nodes {
		if exit, took := n.Terminate(t); exit != 0 || took > 5*time.Second {
			t.Errorf("the end of node %d: exit %d after %s, the log:\n%s", i, exit, took, n.Logs)
		}
	}
}

// checkSecure writes by way of every node and looks at where it is sent, and at what the
// nodes call each other.
func checkSecure(t *testing.T, urls []string, roots *x509.CertPool) (redirects int) {
	t.Helper()
	for _, url := range urls {
		c := dial(t, url)
		c.others = urls
		c.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
		defer c.http.CloseIdleConnections()
		testenv.Succeeds(t, "there is the topic", func() error {
			if a := c.call(t.Context(), http.MethodPost, "/broker/topics", nil, `{"name":"tls","partitions":3}`); a.status != http.StatusOK {
				return fmt.Errorf("%d %s, %w", a.status, a.body, a.err)
			}
			return nil
		})
		for p := range 3 {
			c.url = url
			path := fmt.Sprintf("/broker/topics/tls/produce?partition=%d", p)
			if a := c.once(t.Context(), http.MethodPost, path, nil, "x"); a.status == http.StatusTemporaryRedirect {
				redirects++
			}
			c.must(t, http.MethodPost, path, nil, "x")
		}
		c.url = url
		testenv.Succeeds(t, "the nodes know each other", func() error {
			var ha struct {
				Leader string `json:"leader_url"`
				Nodes  []struct {
					URL       string
					Reachable bool
				}
			}
			if err := c.must(t, http.MethodGet, "/metrics_ha", nil, "").read(&ha); err != nil {
				return err
			}
			for i, n := range ha.Nodes {
				if n.URL != urls[i] || !n.Reachable {
					return fmt.Errorf("%+v", ha)
				}
			}
			if !strings.HasPrefix(ha.Leader, "https://") {
				return errors.New("the leader is at " + ha.Leader)
			}
			return nil
		})
	}
	return redirects
}

// commandSecure has the command write to all partitions by way of one node.
func commandSecure(t *testing.T, urls []string, ca string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for p := range 3 {
		cmd := exec.Command(path, "produce", "tls", "from the command", "--partition", fmt.Sprint(p), "--server", urls[0], "--ca", ca)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("partition %d: %v\n%s", p, err, out)
		}
	}
}
