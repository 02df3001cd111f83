package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
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
