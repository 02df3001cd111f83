package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestClientFollowsTheLeader: a call that a node sends on arrives with its method, body
// and token; one that is sent around for ever ends.
func TestClientFollowsTheLeader(t *testing.T) {
	t.Parallel()
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != "POST" || string(body) != `"x"` || r.Header.Get("Authorization") != "Bearer secret" || r.URL.String() != "/a?b=c" {
			t.Errorf("%s %s %q %v, %v", r.Method, r.URL, body, r.Header, err)
		}
		_, _ = w.Write([]byte(`{"ok":true}`))
	}))
	defer leader.Close()
	around := false
	var follower *httptest.Server
	follower = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := leader.URL
		if around {
			to = follower.URL
		}
		http.Redirect(w, r, to+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}))
	defer follower.Close()
	c, err := newClient(follower.URL, "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if body, err := c.post(t.Context(), "/a?b=c", "x"); err != nil || string(body) != `{"ok":true}` {
		t.Errorf("%s, %v", body, err)
	}
	around = true
	_, err = c.post(t.Context(), "/a?b=c", "x")
	if f := (*failure)(nil); !errors.As(err, &f) || f.exit != exitUnavailable {
		t.Errorf("sent around: %v", err)
	}
}

// TestClientOfSilence: a server under https:// that speaks plain HTTP waits for the rest of
// a request. The command does not wait as long, and says what may be wrong.
func TestClientOfSilence(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := dial(t, "https://"+silent.Addr().String())
	transport := c.http.Transport.(*http.Transport)
	if transport.TLSHandshakeTimeout <= 0 || transport.TLSHandshakeTimeout >= callTimeout {
		t.Errorf("a handshake is waited for %s", transport.TLSHandshakeTimeout)
	}
	transport.TLSHandshakeTimeout = time.Millisecond
	if _, err := c.get(t.Context(), "/health", nil); err == nil || !strings.Contains(err.Error(), "call it by http://") || classify(err).exit != exitUnavailable {
		t.Errorf("%v", err)
	}
}
