package api

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

// serveSecured starts a server that speaks TLS; the client of what is returned trusts
// it.
func serveSecured(t *testing.T, alter func(*Config)) (*testServer, *x509.CertPool) {
	t.Helper()
	lender := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	lender.Close()
	s := serve(t, func(c *Config) {
		c.TLS, c.URL = &tls.Config{Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, ""
		if alter != nil {
			alter(c)
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	s.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 4}
	return s, roots
}

func (s *testServer) secureGet(path string) answer {
	s.t.Helper()
	response, err := s.client.Get("https://" + s.address + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// TestSecured: calls over TLS are answered, on one connection as often as the client
// likes; versions below 1.2 and other protocols than HTTP/1.1 are refused, and the
// server says https where it names itself.
func TestSecured(t *testing.T) {
	t.Parallel()
	s, roots := serveSecured(t, nil)
	for range 3 {
		if a := s.secureGet("/health"); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if n := s.server.app.Server().GetOpenConnectionsCount(); n != 1 {
		t.Errorf("%d connections for one client", n)
	}
	if a := s.secureGet("/metrics_ha"); !strings.Contains(a.body, `"https://`+s.address) {
		t.Errorf("%s", a.body)
	}
	for what, config := range map[string]*tls.Config{
		"TLS 1.1": {RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"HTTP/2":  {RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"h2"}},
	} {
		if c, err := tls.Dial("tcp", s.address, config); err == nil {
			_ = c.Close()
			t.Errorf("%s is taken", what)
		}
	}
}

// TestSecuredPlain: a client that does not speak TLS is told at once that it should; one
// that speaks something else is let go.
func TestSecuredPlain(t *testing.T) {
	t.Parallel()
	s, _ := serveSecured(t, nil)
	for _, request := range []string{
		"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /broker/topics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400000\r\n\r\n" + strings.Repeat("x", 400_000),
	} {
		c := s.dial()
		go func() { _, _ = io.WriteString(c, request) }()
		got, err := io.ReadAll(c)
		if err != nil {
			t.Error(err)
		}
		refused(t, "plain HTTP", string(got), 400, "tls_required")
		_ = c.Close()
	}
	c := s.dial()
	defer c.Close()
	_, _ = io.WriteString(c, "SSH-2.0-x\r\n\r\n")
	if got, _ := io.ReadAll(c); strings.Contains(string(got), "HTTP") {
		t.Errorf("%q", got)
	}
}

// TestSecuredSilent: who connects and does not shake hands is let go like one who sends
// no request.
func TestSecuredSilent(t *testing.T) {
	t.Parallel()
	s, _ := serveSecured(t, func(c *Config) { c.Limits.ReadTimeout = 50 * time.Millisecond })
	for _, said := range []string{"", "\x16\x03\x01\x02\x00"} {
		c := s.dial()
		_, _ = io.WriteString(c, said)
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("%q: %v", said, err)
		}
		_ = c.Close()
	}
}

// TestSecuredTooMany: there is an answer also where there is no room for a connection.
func TestSecuredTooMany(t *testing.T) {
	t.Parallel()
	s, _ := serveSecured(t, func(c *Config) { c.Limits.Connections = 1 })
	a := s.dial()
	defer a.Close()
	testenv.Eventually(t, "it is accepted", func() bool { return s.server.app.Server().GetOpenConnectionsCount() == 1 })
	if a := s.secureGet("/health"); a.status != 503 || a.json(t)["error"] != "overloaded" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestSecuredStalledClient: who does not take an answer is let go after the write
// timeout, and one who takes it slowly gets all of it.
func TestSecuredStalledClient(t *testing.T) {
	t.Parallel()
	const records, size = 16, 1<<20 - 1
	s, roots := serveSecured(t, func(c *Config) { c.Limits.WriteTimeout = 300 * time.Millisecond })
	if _, err := s.topics.CreateTopic(t.Context(), "big", 1); err != nil {
		t.Fatal(err)
	}
	for range records {
		response, err := s.client.Post("https://"+s.address+"/broker/topics/big/produce?partition=0", "", strings.NewReader(strings.Repeat("x", size)))
		if err != nil || response.StatusCode != 200 {
			t.Fatal(response, err)
		}
		_ = response.Body.Close()
	}
	s.client.CloseIdleConnections()
	dial := func() net.Conn {
		c, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, "GET /broker/consume/big/g/0?limit=1000&offset=0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		return c
	}
	slow := dial()
	dial() // and reads nothing
	var total int64
	for {
		n, err := io.CopyN(io.Discard, slow, 1<<20)
		total += n
		if err != nil {
			break
		}
		<-time.After(30 * time.Millisecond)
	}
	if total < records*size {
		t.Errorf("%d bytes of %d", total, records*size)
	}
	testenv.Eventually(t, "the one who reads nothing is let go", func() bool { return s.server.app.Server().GetOpenConnectionsCount() == 0 })
}
