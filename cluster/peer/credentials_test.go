package peer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/fault"
)

// authority is a CA of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{cert: &x509.Certificate{
		Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}}
	a.pem, a.key = sign(t, a.cert, a.cert, nil)
	return a
}

func sign(t *testing.T, cert, parent *x509.Certificate, by *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	cert.SerialNumber = big.NewInt(time.Now().UnixNano())
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key
}

// subject is who a certificate of a test is for: a common name, and alternative
// names, those that are addresses as such.
func subject(common string, names ...string) *x509.Certificate {
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: common}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, name)
		}
	}
	return cert
}

// issue makes the credentials of a certificate.
func (a *authority) issue(t *testing.T, cert *x509.Certificate) *Credentials {
	t.Helper()
	c, err := a.try(t, cert)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *authority) try(t *testing.T, cert *x509.Certificate) (*Credentials, error) {
	t.Helper()
	text, key := sign(t, cert, a.cert, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return NewCredentials(a.pem, text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), time.Now())
}

// TestWhoIsLetIn: node a dials node b, both with a certificate; b is at 127.0.0.1 in
// the list of a, and a at 127.0.0.9 in that of b, so that host and id differ.
func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	for name, c := range map[string]struct {
		a, b    *Credentials
		refused bool
	}{
		"ids":                     {a: ca.issue(t, subject("", "a")), b: ca.issue(t, subject("", "b"))},
		"hosts":                   {a: ca.issue(t, subject("x", "127.0.0.9")), b: ca.issue(t, subject("x", "127.0.0.1"))},
		"common names":            {a: ca.issue(t, subject("a")), b: ca.issue(t, subject("b"))},
		"common names and hosts":  {a: ca.issue(t, subject("a", "127.0.0.9")), b: ca.issue(t, subject("b", "127.0.0.1"))},
		"nothing":                 {},
		"a is a producer":         {a: ca.issue(t, subject("producer", "producer")), b: ca.issue(t, subject("b")), refused: true},
		"a is a producer, by CN":  {a: ca.issue(t, subject("producer")), b: ca.issue(t, subject("b")), refused: true},
		"b is a producer":         {a: ca.issue(t, subject("a")), b: ca.issue(t, subject("producer", "producer")), refused: true},
		"a is c":                  {a: ca.issue(t, subject("c")), b: ca.issue(t, subject("b")), refused: true},
		"a is c on that host":     {a: ca.issue(t, subject("c", "127.0.0.9")), b: ca.issue(t, subject("b")), refused: true},
		"b is c on that host":     {a: ca.issue(t, subject("a")), b: ca.issue(t, subject("x", "c", "127.0.0.1")), refused: true},
		"a is elsewhere":          {a: ca.issue(t, subject("x", "127.0.0.8")), b: ca.issue(t, subject("b")), refused: true},
		"CN beside another name":  {a: ca.issue(t, subject("a", "elsewhere")), b: ca.issue(t, subject("b")), refused: true},
		"a wildcard":              {a: ca.issue(t, subject("", "*")), b: ca.issue(t, subject("b")), refused: true},
		"a has another CA":        {a: other.issue(t, subject("a")), b: ca.issue(t, subject("b")), refused: true},
		"a is not encrypted":      {b: ca.issue(t, subject("b")), refused: true},
		"b is not encrypted":      {a: ca.issue(t, subject("a")), refused: true},
		"a trusts b of two CAs":   {a: other.trusting(ca).issue(t, subject("a")), b: ca.issue(t, subject("b")), refused: true},
		"b of another CA, really": {a: ca.issue(t, subject("a")), b: other.trusting(ca).issue(t, subject("b")), refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := make(signal, 2)
			a, b := openWith(t, "x", "a", c.a, said), openWith(t, "x", "b", c.b, said)
			a.knows("b", b)
			a.roll.addresses["a"], a.roll.addresses["c"] = "127.0.0.9:1", "127.0.0.1:1"
			b.roll.addresses = map[string]string{"a": "127.0.0.9:1", "b": "127.0.0.1:1", "c": "127.0.0.9:1"}
			err := a.Probe(t.Context(), "b", nil)
			if (err != nil) != c.refused {
				t.Fatalf("refused should be %v: %v", c.refused, err)
			}
			if c.refused {
				<-said // one of them says so in its log
			} else if len(said) > 0 {
				t.Errorf("let in, with the warning %s", <-said)
			}
			a.roll.mu.Lock()
			defer a.roll.mu.Unlock()
			b.roll.mu.Lock()
			defer b.roll.mu.Unlock()
			if c.refused && (len(a.roll.greeted) > 0 || len(b.roll.greeted) > 0) {
				t.Errorf("greeted although refused: %v, %v", a.roll.greeted, b.roll.greeted)
			}
		})
	}
}

// signal is written to by a logger.
type signal chan string

// Write keeps the first few lines.
func (s signal) Write(line []byte) (int, error) {
	select {
	case s <- string(line):
	default:
	}
	return len(line), nil
}

// trusting is an authority whose nodes trust another one.
func (a *authority) trusting(b *authority) *authority {
	return &authority{cert: a.cert, key: a.key, pem: append(bytes.Clone(a.pem), b.pem...)}
}

// TestHandshakeOfStrangers: who speaks TLS and is no node of the cluster gets no
// answer to a hello.
func TestHandshakeOfStrangers(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	node := ca.issue(t, subject("a"))
	b := openWith(t, "x", "b", ca.issue(t, subject("b")), io.Discard)
	b.roll.addresses = map[string]string{"a": "127.0.0.9:1", "b": "127.0.0.1:1"}
	for name, c := range map[string]struct {
		config *tls.Config
		ok     bool
	}{
		"a node":         {config: &tls.Config{Certificates: []tls.Certificate{node.own}}, ok: true},
		"no certificate": {config: &tls.Config{}},
		"TLS 1.2":        {config: &tls.Config{Certificates: []tls.Certificate{node.own}, MaxVersion: tls.VersionTLS12}},
	} {
		c.config.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", b.listener.Addr().String(), c.config)
		if err == nil {
			if err = writeHello(conn, Hello{Version: helloVersion, Kind: kindProbe, Cluster: "x", Node: "a", To: "b"}); err == nil {
				var answer welcome
				if err = readHello(conn, &answer); err == nil && answer.Code != "" {
					t.Errorf("%s: refused by hello, %s", name, answer.Message)
				}
			}
			conn.Close()
		}
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	plain, err := net.Dial("tcp", b.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := writeHello(plain, Hello{Version: helloVersion, Kind: kindCalls, Cluster: "x", Node: "a", To: "b"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(plain); bytes.Contains(got, []byte(helloMagic)) {
		t.Errorf("a hello that is not encrypted is answered: %q", got)
	}
}

// TestSecureTraffic: calls, messages and snapshots go over secure connections, and
// what they carry is not on the wire as it is.
func TestSecureTraffic(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	a, b := openWith(t, "x", "a", ca.issue(t, subject("a")), io.Discard), openWith(t, "x", "b", ca.issue(t, subject("b")), io.Discard)
	b.roll.addresses["a"] = "127.0.0.9:1"
	wire := &tap{to: b.listener.Addr().String()}
	a.roll.addresses["b"] = wire.listen(t)
	var got int
	if err := a.Call(t.Context(), "b", "Double", 4, &got); err != nil || got != 8 {
		t.Fatalf("%d, %v", got, err)
	}
	c, err := a.GetConnection(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Repeat([]byte("secret"), 1000)
	if err := c.SendMessageBatch(pb.MessageBatch{Requests: []pb.Message{{Type: pb.Replicate, ShardID: 1, To: 2, Term: 7, Entries: []pb.Entry{{Cmd: secret}}}}}); err != nil {
		t.Fatal(err)
	}
	if m := <-b.messages; m.Requests[0].Term != 7 || !bytes.Equal(m.Requests[0].Entries[0].Cmd, secret) {
		t.Error("another message has come")
	}
	s, err := a.GetSnapshotConnection(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	chunk := chunkOf(7, 0)
	chunk.Data = append(chunk.Data, secret...)
	if err := s.SendChunk(chunk); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got := <-b.chunks; !bytes.Equal(got.Data, chunk.Data) {
		t.Error("another chunk has come")
	}
	c.Close()
	if seen := wire.bytes(); len(seen) < 2*len(secret) || bytes.Contains(seen, []byte("secret")) || bytes.Contains(seen, []byte(helloMagic)) {
		t.Errorf("of %d bytes on the wire some can be read", len(seen))
	}
}

// TestCredentialsOfAStart: what others would refuse is refused at the start.
func TestCredentialsOfAStart(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	expired := subject("a")
	expired.NotAfter = time.Now().Add(-time.Minute)
	serverOnly := subject("a")
	serverOnly.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for name, cert := range map[string]*x509.Certificate{"expired": expired, "not for clients": serverOnly} {
		if _, err := ca.try(t, cert); code(err) != codeCertificate {
			t.Errorf("%s: %v", name, err)
		}
	}
	mixed := &authority{cert: ca.cert, key: ca.key, pem: newAuthority(t).pem}
	if _, err := mixed.try(t, subject("a")); err == nil || !strings.Contains(err.Error(), "other nodes would refuse") {
		t.Errorf("another CA: %v", err)
	}
	if _, err := NewCredentials([]byte("x"), nil, nil, time.Now()); code(err) != codeCertificate {
		t.Errorf("no CA: %v", err)
	}
	if _, err := NewCredentials(ca.pem, ca.pem, []byte("x"), time.Now()); code(err) != codeCertificate {
		t.Errorf("no key: %v", err)
	}
}

// TestWhatStays: a connection that breaks is no reason for a warning, a refusal is, also
// that of the other side.
func TestWhatStays(t *testing.T) {
	t.Parallel()
	for want, all := range map[bool][]error{
		false: {io.EOF, context.Canceled, &net.OpError{Op: "read", Err: io.ErrClosedPipe}, fault.New(fault.Conflict, "other_cluster", "x")},
		true: {
			fmt.Errorf("read a hello: %w", &net.OpError{Op: "remote error", Err: io.ErrNoProgress}),
			fault.New(fault.Forbidden, codeCertificate, "x"), fault.New(fault.Invalid, codeHello, "x"),
		},
	} {
		for _, err := range all {
			if got := stays(err); got != want {
				t.Errorf("%v: %v", err, got)
			}
		}
	}
}
