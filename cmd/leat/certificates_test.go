package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"leat/internal/testenv"
)

// makeFiles makes a CA and a certificate for a host, and says where they are.
func makeFiles(t *testing.T, dir, host string) (ca, cert, key string) {
	t.Helper()
	files, err := makeCertificates(dir, []clusterMember{{id: "web", host: host}}, time.Now())
	if err == nil {
		err = writeNew(dir, files)
	}
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	return at("ca.crt"), at("node-web.crt"), at("node-web.key")
}

// replaceFile puts the contents of one file into the place of another in one step.
func replaceFile(t *testing.T, path, from string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(path+".next", text, 0o600)
	}
	if err = errors.Join(err, os.Rename(path+".next", path)); err != nil {
		t.Fatal(err)
	}
}

// serial is the number of the certificate that a server shows.
func serial(t *testing.T, address string) string {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestServeTLS: a node with a certificate says https, is reached with the CA and not
// without, tells who speaks plain HTTP, and changes its certificate with its files or a
// signal while calls go on, on the connections they have.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	dir, next := t.TempDir(), t.TempDir()
	ca, cert, key := makeFiles(t, dir, "127.0.0.1")
	ca2, cert2, key2 := makeFiles(t, next, "127.0.0.1")
	both := filepath.Join(dir, "both.crt")
	var cas []byte
	for _, name := range []string{ca, ca2} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cas = append(cas, text...)
	}
	if err := os.WriteFile(both, cas, 0o600); err != nil {
		t.Fatal(err)
	}
	server := start(t, t.TempDir(), "--tls-cert", cert, "--tls-key", key)
	address, secure := strings.CutPrefix(server.url, "https://")
	if !secure {
		t.Fatalf("ready at %s", server.url)
	}
	if got := leat(t.Context(), "", nil, "topic", "create", "tls", "--server", server.url, "--ca", ca, "--partitions", "1"); got.exit != exitOK {
		t.Errorf("with the CA: %+v", got)
	}
	if got := leat(t.Context(), "", nil, "topic", "list", "--server", server.url); got.exit != exitUnavailable || !strings.Contains(got.err, "--ca") {
		t.Errorf("without the CA: %+v", got)
	}
	if got := leat(t.Context(), "", nil, "topic", "list", "--server", "http://"+address); got.exit != exitFailure || !strings.Contains(got.err, "https://") {
		t.Errorf("plain HTTP: %+v", got)
	}
	if got := leat(t.Context(), "", nil, "doctor", "--ready", "--port", address[strings.LastIndex(address, ":")+1:], "--tls-cert", cert, "--tls-key", key); got.exit != exitOK {
		t.Errorf("doctor --ready: %+v", got)
	}
	load := underLoad(t, server.url, both)
	first := serial(t, address)
	replaceFile(t, cert, cert2) // and its key is not there yet
	testenv.Succeeds(t, "the log tells of half a change", func() error { return server.logged("the certificate stays as it was") })
	if serial(t, address) != first {
		t.Error("half a change is served")
	}
	replaceFile(t, key, key2)
	testenv.Succeeds(t, "the files are found to have changed", func() error { return server.logged("the certificate was read again") })
	second := serial(t, address)
	if second == first {
		t.Error("the old certificate is shown")
	}
	third := t.TempDir()
	_, cert3, key3 := makeFiles(t, third, "127.0.0.1")
	replaceFile(t, cert, cert3)
	replaceFile(t, key, key3)
	if err := server.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	testenv.Succeeds(t, "the certificate is changed by a signal", func() error {
		if serial(t, address) == second {
			return errors.New("it is the second one")
		}
		return nil
	})
	load()
}

// logged is an error until a server has logged a text.
func (c *child) logged(text string) error {
	if logs := c.Logs.String(); !strings.Contains(logs, text) {
		return errors.New(logs)
	}
	return nil
}

// underLoad has clients call a server on one connection each until the function that it
// returns is called, which checks that all calls were answered on that connection.
func underLoad(t *testing.T, url, ca string) (stop func()) {
	t.Helper()
	const clients = 4
	secure, err := trusting(ca)
	if err != nil {
		t.Fatal(err)
	}
	var ended atomic.Bool
	failed := make(chan error, clients)
	for range clients {
		var dialled int
		transport := &http.Transport{TLSClientConfig: secure}
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dialled++; dialled > 1 {
				return nil, errors.New("the connection was dropped")
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		c := &http.Client{Transport: transport, Timeout: testenv.Patience}
		go func() {
			defer transport.CloseIdleConnections()
			for n := 0; !ended.Load(); n++ {
				if err := produceOnce(c, url, n); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	return func() {
		ended.Store(true)
		for range clients {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
	}
}

func produceOnce(c *http.Client, url string, n int) error {
	response, err := c.Post(url+"/broker/topics/tls/produce?partition=0", "", strings.NewReader(fmt.Sprint(n)))
	if err != nil {
		return fmt.Errorf("call %d: %w", n, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	var answer struct{ Durable bool }
	if err = errors.Join(err, json.Unmarshal(body, &answer)); err != nil || !answer.Durable {
		return fmt.Errorf("call %d: %s, %w", n, body, err)
	}
	return nil
}

// TestServeTLSRefused: half of the files, files that do not belong together and files
// that are none are told before anything is opened.
func TestServeTLSRefused(t *testing.T) {
	t.Parallel()
	_, cert, key := makeFiles(t, t.TempDir(), "127.0.0.1")
	_, other, _ := makeFiles(t, t.TempDir(), "127.0.0.1")
	for _, c := range []struct {
		args []string
		why  string
	}{
		{[]string{"--tls-cert", cert}, "--tls-key"},
		{[]string{"--tls-key", key}, "--tls-cert"},
		{[]string{"--tls-cert", other, "--tls-key", key}, "does not match"},
		{[]string{"--tls-cert", key, "--tls-key", key}, "--tls-cert"},
		{[]string{"--tls-cert", cert + "x", "--tls-key", key}, "no such file"},
	} {
		got := leat(t.Context(), "", nil, append([]string{"serve", "--port", "0", "--data-dir", t.TempDir()}, c.args...)...)
		if got.exit != exitUsage || !strings.Contains(got.err, c.why) {
			t.Errorf("%v: %+v", c.args, got)
		}
	}
}

// TestServeTLSWarnings: what clients will refuse is said at the start.
func TestServeTLSWarnings(t *testing.T) {
	t.Parallel()
	_, cert, key := makeFiles(t, t.TempDir(), "leat.example")
	for url, warns := range map[string]bool{"https://leat.example": false, "https://LEAT.example:1109/": false, "": true, "https://other.example": true, "http://leat.example": true} {
		c := settings{host: "127.0.0.1", url: url, tlsCert: cert, tlsKey: key}
		if warnings, err := c.checkTLS(); err != nil || (len(warnings) > 0) != warns {
			t.Errorf("%q: %q, %v", url, warnings, err)
		}
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	c := settings{host: "leat.example", tlsCert: cert, tlsKey: key}
	if warnings, err := c.checkTLS(); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "chmod o-r") {
		t.Errorf("a key for all: %q, %v", warnings, err)
	}
	var later certificates
	later.cert, later.key = cert, key
	if warnings, err := later.load(time.Now().AddDate(certificateYears, 0, -1)); err != nil || len(warnings) != 2 {
		t.Errorf("soon expired: %q, %v", warnings, err)
	}
	warnings, err := later.load(time.Now().AddDate(certificateYears, 0, 1))
	if err != nil || !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "was valid until") }) {
		t.Errorf("expired: %q, %v", warnings, err)
	}
}
