package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// certificates are what clients are served over TLS with: a certificate and its key, as
// two files last had them together. The zero value names none.
type certificates struct {
	cert, key string // files, "" = HTTP is not encrypted
	served    atomic.Pointer[tls.Certificate]
	contents  [2][]byte // of the files, as they were served first
	refused   string    // why the files were not taken last
}

// lookEvery is how often the files are looked at.
const lookEvery = 2 * time.Second

// on tells whether clients are served over TLS.
func (c *certificates) on() bool { return c != nil && c.cert != "" }

// load reads the files for the first time.
func (c *certificates) load(now time.Time) (warnings []string, err error) {
	switch {
	case c.cert == "" && c.key == "":
		return nil, nil
	case c.key == "":
		return nil, usage("--tls-cert names a certificate and --tls-key no key for it")
	case c.cert == "":
		return nil, usage("--tls-key names a key and --tls-cert no certificate")
	}
	if _, err := c.read(); err != nil {
		return nil, usage("the files of --tls-cert and --tls-key: %v", err)
	}
	if info, err := os.Stat(c.key); err == nil && info.Mode().Perm()&0o004 != 0 {
		warnings = append(warnings, c.key+" is a private key and everybody on this machine can read it; chmod o-r it")
	}
	return append(warnings, c.expiring(now)...), nil
}

// expiring warns of a certificate that has ended, or soon does.
func (c *certificates) expiring(now time.Time) []string {
	ends := c.leaf().NotAfter
	switch day := ends.UTC().Format(time.RFC3339); {
	case ends.Before(now):
		return []string{fmt.Sprintf("%s was valid until %s: clients refuse it; put a new one and its key in place, they are read without a restart", c.cert, day)}
	case ends.Sub(now) < expiresSoon:
		return []string{fmt.Sprintf("%s is valid until %s; then clients refuse it", c.cert, day)}
	}
	return nil
}

func (c *certificates) leaf() *x509.Certificate { return c.served.Load().Leaf }

// names tells whether the certificate is good for a host.
func (c *certificates) names(host string) bool {
	return c.leaf().VerifyHostname(host) == nil
}

// read takes what the files have, if that is not what is served already. What is no
// certificate with its key leaves things as they are: of two files one is always new
// first.
func (c *certificates) read() (changed bool, err error) {
	var contents [2][]byte
	for i, name := range []string{c.cert, c.key} {
		if contents[i], err = os.ReadFile(name); err != nil {
			return false, err
		}
	}
	if bytes.Equal(contents[0], c.contents[0]) && bytes.Equal(contents[1], c.contents[1]) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return false, fmt.Errorf("read %s and %s: %w", c.cert, c.key, err)
	}
	c.served.Store(&pair)
	c.contents = contents
	return true, nil
}

// refresh reads the files again, and tells the log what is new.
func (c *certificates) refresh(logger *slog.Logger) {
	changed, err := c.read()
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	switch {
	case changed:
		logger.Info("the certificate was read again", "file", c.cert, "valid_until", c.leaf().NotAfter.UTC().Format(time.RFC3339))
	case err != nil && reason != c.refused:
		logger.Warn("the certificate stays as it was", "error", err)
	}
	c.refused = reason
}

// server is how connections of clients are secured, nil where they are not. A handshake
// is done with the certificate of that moment; connections go on with theirs.
func (c *certificates) server() *tls.Config {
	if !c.on() {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.served.Load(), nil },
	}
}

// scheme is that of the addresses under which clients reach the node.
func (c *certificates) scheme() string {
	if c.on() {
		return "https://"
	}
	return "http://"
}

// own is how this program itself calls the node with these certificates, which need not
// name the address that is used for that: it trusts the certificate of the file.
func (c *certificates) own() *tls.Config {
	expected := c.leaf().Raw
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || !bytes.Equal(state.PeerCertificates[0].Raw, expected) {
				return errors.New("the certificate is another one than that of --tls-cert")
			}
			return nil
		},
	}
}

// trusting is how a client checks a server: by the CAs of the system, and those of a
// file where one is named.
func trusting(file string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return config, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("--ca: %v", err)
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		config.RootCAs = x509.NewCertPool()
	}
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, usage("--ca: %s has no certificate in PEM", file)
	}
	return config, nil
}

// hintOf tells what to do where a call failed over TLS, "" where it did for another
// reason.
func hintOf(err error) string {
	var unknown x509.UnknownAuthorityError
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "name the file with the certificate of its CA with --ca"
	case errors.As(err, &header), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "it does not speak HTTPS; call it by http://"
	case strings.Contains(err.Error(), "TLS handshake timeout"):
		return "where it does not speak HTTPS, call it by http://"
	}
	return ""
}
