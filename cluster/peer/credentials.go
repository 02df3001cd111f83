package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"leat/internal/fault"
)

// Credentials are a node's certificate with its key and the CA that it trusts. They
// are immutable. A nil *Credentials has connections neither encrypted nor checked.
type Credentials struct {
	authority *x509.CertPool
	own       tls.Certificate
}

// NewCredentials reads the PEM of a CA, of a certificate, with those between it and
// the CA behind it, and of its key. It refuses what other nodes would refuse at the
// time now. Errors are faults of kind Invalid.
func NewCredentials(ca, certificate, key []byte, now time.Time) (*Credentials, error) {
	c := &Credentials{authority: x509.NewCertPool()}
	if !c.authority.AppendCertsFromPEM(ca) {
		return nil, fault.New(fault.Invalid, codeCertificate, "there is no certificate of a CA in PEM")
	}
	var err error
	if c.own, err = tls.X509KeyPair(certificate, key); err != nil {
		return nil, fault.New(fault.Invalid, codeCertificate, "read the certificate and its key: %w", err)
	}
	between := x509.NewCertPool()
	for _, der := range c.own.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fault.New(fault.Invalid, codeCertificate, "read the certificates behind the first one: %w", err)
		}
		between.AddCert(cert)
	}
	// A node dials and is dialled.
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		options := x509.VerifyOptions{Roots: c.authority, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}
		if _, err := c.own.Leaf.Verify(options); err != nil {
			return nil, fault.New(fault.Invalid, codeCertificate, "other nodes would refuse the certificate: %w", err)
		}
	}
	return c, nil
}

// Expires is when the certificate is no longer valid.
func (c *Credentials) Expires() time.Time { return c.own.Leaf.NotAfter }

// IsOf tells whether the certificate is that of a node at a host; member tells who
// is a member.
func (c *Credentials) IsOf(node, host string, member func(string) bool) bool {
	return isOf(c.own.Leaf, node, host, member)
}

// What ends a connection for good.
const (
	codeCertificate = "wrong_certificate"
	codeHello       = "malformed_hello"
)

// isOf tells whether a certificate is a member's: it has the name of the node as a
// DNS name, or as its common name and no alternative name at all; or it has the host
// as a DNS name or address, and names no other member. Wildcards are no names.
func isOf(cert *x509.Certificate, node, host string, member func(string) bool) bool {
	names, common := cert.DNSNames, cert.Subject.CommonName
	if len(names)+len(cert.IPAddresses)+len(cert.EmailAddresses)+len(cert.URIs) == 0 {
		names = []string{common}
	}
	if slices.Contains(names, node) {
		return true
	}
	another := func(name string) bool { return name != node && member(name) && !strings.EqualFold(name, host) }
	if another(common) || slices.ContainsFunc(names, another) {
		return false
	}
	if ip := net.ParseIP(host); ip != nil {
		return slices.ContainsFunc(cert.IPAddresses, ip.Equal)
	}
	return slices.ContainsFunc(cert.DNSNames, func(name string) bool { return strings.EqualFold(name, host) })
}

// checkPeer refuses a certificate that is not the node's. What is not secure has none.
func (n *Network) checkPeer(conn net.Conn, node string) error {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	return n.checkCertificate(secure.ConnectionState().PeerCertificates[0], node)
}

func (n *Network) checkCertificate(cert *x509.Certificate, node string) error {
	address, known := n.members.Address(node)
	if !known {
		return fault.New(fault.Forbidden, "not_a_member", "node %q is no member of this cluster", node)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fault.New(fault.Invalid, codeCertificate, "the address of node %q: %w", node, err)
	}
	member := func(name string) bool { _, ok := n.members.Address(name); return ok }
	if !isOf(cert, node, host, member) {
		return fault.New(fault.Forbidden, codeCertificate, "the certificate of %q is that of neither node %q nor its host %s", cert.Subject, node, host)
	}
	return nil
}

// secureDial makes a connection that this node has opened to a node secure: what is
// at the other end has a certificate of the CA and is that node.
func (n *Network) secureDial(ctx context.Context, conn net.Conn, node string) (net.Conn, error) {
	if n.credentials == nil {
		return conn, nil
	}
	config := n.credentials.config()
	// crypto/tls would look for one name only, and never for the common one.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if err := n.credentials.verify(state.PeerCertificates); err != nil {
			return err
		}
		return n.checkCertificate(state.PeerCertificates[0], node)
	}
	secure := tls.Client(conn, config)
	return secure, handshake(ctx, secure)
}

// secureTake makes a connection that another node has opened secure: that node has a
// certificate of the CA. Whose it is has to be compared with its hello.
func (n *Network) secureTake(conn net.Conn) (net.Conn, error) {
	if n.credentials == nil {
		return conn, nil
	}
	config := n.credentials.config()
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.ClientCAs = n.credentials.authority
	secure := tls.Server(conn, config)
	return secure, handshake(n.life, secure)
}

func (c *Credentials) config() *tls.Config {
	own := &c.own
	return &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own, nil },
		// Also where the other side asks for another CA: it then says why it refuses.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil },
	}
}

// verify refuses who has no certificate of the CA with which to be dialled.
func (c *Credentials) verify(chain []*x509.Certificate) error {
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: c.authority, Intermediates: between}); err != nil {
		return fault.New(fault.Forbidden, codeCertificate, "the certificate of %q: %w", chain[0].Subject, err)
	}
	return nil
}

// complainEvery is the least time between two warnings about connections.
const complainEvery = 10 * time.Second

// complain logs why a connection failed: as a warning, but not too often, where that
// does not pass by itself.
func (n *Network) complain(message string, err error, args ...any) {
	args = append(args, "error", err)
	if !stays(err) || !n.mayComplain() {
		n.logger.Debug(message, args...)
		return
	}
	n.logger.Warn(message, args...)
}

// stays tells whether a connection failed for who was at one of its ends: the
// certificate was refused by this node, or by the other one, it was no node, or it sent
// what no node sends.
func stays(err error) bool {
	if f := fault.As(err); f != nil && (f.Code == codeCertificate || f.Code == codeHello || f.Code == codeMalformed) {
		return true
	}
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "remote error" // an alert of TLS
}

func (n *Network) mayComplain() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if now.Sub(n.complained) < complainEvery {
		return false
	}
	n.complained = now
	return true
}

// handshake does that of TLS, and tells a refusal from a connection that broke.
func handshake(ctx context.Context, conn *tls.Conn) error {
	err := conn.HandshakeContext(ctx)
	var broken net.Error
	if err == nil || fault.As(err) != nil || errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) || errors.As(err, &broken) {
		return err
	}
	return fault.New(fault.Forbidden, codeCertificate, "the connection is not secure: %w", err)
}
