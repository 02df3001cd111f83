package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"testing"
	"time"

	"leat/cluster/peer"
	"leat/internal/fault"
)

// pki makes credentials of one CA.
type pki struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	return &pki{cert: cert, key: key}
}

// issue makes the credentials of a name.
func (p *pki) issue(t *testing.T, name string) *peer.Credentials {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: p.cert.NotBefore, NotAfter: p.cert.NotAfter}
	ca, errCA := x509.CreateCertificate(rand.Reader, p.cert, p.cert, p.key.Public(), p.key)
	own, errOwn := x509.CreateCertificate(rand.Reader, leaf, p.cert, key.Public(), p.key)
	secret, errKey := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(errCA, errOwn, errKey); err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	c, err := peer.NewCredentials(text("CERTIFICATE", ca), text("CERTIFICATE", own), text("PRIVATE KEY", secret), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSecureCluster: three nodes with certificates elect leaders, take writes, and take
// one back that was away. Who has its directory and another certificate, or none, is refused.
func TestSecureCluster(t *testing.T) {
	t.Parallel()
	ca := newPKI(t)
	g := startGroup(t, 3, func(c *Config) { c.Credentials = ca.issue(t, c.NodeID) })
	g.createTopic("orders", 1)
	var want []string
	write := func(from, to int) {
		for i := from; i < to; i++ {
			want = append(want, fmt.Sprintf("record %d", i))
			g.append("orders", 0, want[i])
		}
	}
	write(0, 10)
	down := g.follower(2)
	g.stop(down)
	write(10, 20)
	g.restart(down)
	for i := range g.nodes {
		g.wantValues(i, "orders", 0, want)
	}
	up := (down + 1) % 3
	for name, credentials := range map[string]*peer.Credentials{"producer": ca.issue(t, "producer"), "": nil} {
		stranger := g.configs[down]
		stranger.Dir, stranger.Credentials, stranger.RaftListener = t.TempDir(), credentials, listenOn(t, "127.0.0.1:0")
		self := peer.Hello{Cluster: g.nodes[up].identity.Cluster, Node: stranger.NodeID, Incarnation: g.nodes[down].identity.Node}
		book, err := openBook(stranger.withDefaults(), seats(stranger.Members))
		if err != nil {
			t.Fatal(err)
		}
		network, err := peer.New(self, 4, book, stranger.RaftListener, &service{}, credentials, stranger.withDefaults().Logger)
		if err != nil {
			t.Fatal(err)
		}
		err = network.Probe(within(t, 10*time.Second), g.configs[up].NodeID, nil)
		if err == nil || credentials != nil && fault.As(err).Code != "wrong_certificate" {
			t.Errorf("with the directory of node %d and the certificate of %q: %v", down, name, err)
		}
		if err := network.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
