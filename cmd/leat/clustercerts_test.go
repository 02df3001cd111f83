package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCertsOfAddedNode: the CA that is there signs for a node that is added, and nothing
// that is there changes.
func TestCertsOfAddedNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certs := func(nodes string) outcome {
		return leat(t.Context(), "", nil, "cluster", "certs", "--out", dir, "--nodes", nodes)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	if out := certs("a:127.0.0.1:7001:1,b:127.0.0.1:7002:1"); out.exit != exitOK {
		t.Fatal(out)
	}
	ca, err := os.ReadFile(at(authorityCert))
	if err != nil {
		t.Fatal(err)
	}
	if out := certs("c:127.0.0.1:7003:1"); out.exit != exitOK || strings.Contains(out.out, authorityCert) {
		t.Fatal(out)
	}
	if now, err := os.ReadFile(at(authorityCert)); err != nil || string(now) != string(ca) {
		t.Error("the CA has changed", err)
	}
	own := clusterMember{id: "c", host: "127.0.0.1"}
	r := raftTLS{on: true, ca: at(authorityCert), cert: at("node-c.crt"), key: at("node-c.key")}
	if warnings, err := r.load(&own, among([]clusterMember{own}), time.Now()); err != nil || len(warnings) > 0 {
		t.Error(warnings, err)
	}
	if out := certs("d:127.0.0.1:7004:1,a:127.0.0.1:7001:1"); out.exit != exitConflict || !strings.Contains(out.err, "node-a.crt exists") {
		t.Error(out)
	}
	if _, err := os.Stat(at("node-d.crt")); err == nil {
		t.Error("a refused command has written a file")
	}
	ended := time.Now().AddDate(authorityYears, 0, 1)
	if _, err := makeCertificates(dir, []clusterMember{own}, ended); err == nil || !strings.Contains(err.Error(), "was valid until") {
		t.Error("a CA that has expired:", err)
	}
	// What is no CA does not sign.
	for _, spoil := range []struct {
		do   func() error
		want string
	}{
		{func() error { return os.Remove(at(authorityKey)) }, "a CA is both"},
		{func() error { return os.Rename(at("node-a.key"), at(authorityKey)) }, "private key does not match"},
		{func() error { return os.Rename(at("node-a.crt"), at(authorityCert)) }, "is no certificate of a CA"},
	} {
		if err := spoil.do(); err != nil {
			t.Fatal(err)
		}
		if out := certs("d:127.0.0.1:7004:1"); out.exit != exitUsage || !strings.Contains(out.err, spoil.want) {
			t.Errorf("not %q: %+v", spoil.want, out)
		}
	}
}
